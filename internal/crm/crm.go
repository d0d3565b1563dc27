package crm

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

//go:embed migrations
var migrations embed.FS

//go:embed openapi.yaml
var openAPI []byte

// Config is what a Service needs. Target alone has no useful zero value.
type Config struct {
	// Target is the path of an SQLite file of its own, or the URL of a PostgreSQL database.
	Target string
	// UIBase is where people look at records and documentation; it begins the "url"
	// of every record. Empty means "https://crm.localhost".
	UIBase string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Account tells what account-info shows; nil means an account in UTC and US dollars.
	Account func(context.Context, postern.AccountID) (AccountInfo, error)
	// KeyLabel names a key for a value's history; nil means the key ID alone.
	KeyLabel func(context.Context, postern.KeyID) string
	// Introspect resolves a secret that a caller asks about; nil means none is known.
	Introspect func(ctx context.Context, secret string) (Identity, bool)
	// SearchPerSecond limits the searches of one account; 0 means 5, and less than 0 no limit.
	SearchPerSecond int
	Logger          *slog.Logger
}

// AccountInfo is what the account-info calls tell of an account.
type AccountInfo struct {
	Type             string // STANDARD, SANDBOX, DEVELOPER_TEST or APP_DEVELOPER; empty means STANDARD
	TimeZone         string // an IANA name; empty means UTC
	Currency         string // ISO 4217; empty means USD
	MoreCurrencies   []string
	UIDomain         string // empty means the host of UIBase
	DataLocation     string // empty means "local"
	DailyLimit       int64  // calls a day of all keys together; 0 means 250,000
	DailyUsage       int64
	UsageCollectedAt time.Time // zero means now
}

// Identity is whom a credential speaks for, as token introspection tells it.
type Identity struct {
	Account   postern.AccountID
	Number    int64 // the account's public number
	Key       postern.KeyID
	Scopes    []postern.Scope
	UserID    int64 // the number of the member it speaks for, if any
	UserEmail string
	ExpiresAt time.Time // zero means never
}

// Service is the CRM data API over one database.
type Service struct {
	cfg    Config
	db     *store.Pool
	now    func() time.Time
	log    *slog.Logger
	uiBase string
	router *router
	search *limiter
	accts  sync.Map // postern.AccountID to its short number, which never changes
}

// Open opens the database, brings its tables up to date, and readies the API.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	db, err := store.Open(ctx, store.PoolConfig{Target: cfg.Target, Migrations: sub(migrations), Table: "crm_migrations", Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("crm: %w", err)
	}
	clock := cfg.Now
	if clock == nil {
		clock = time.Now
	}
	s := &Service{cfg: cfg, db: db, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), uiBase: trimSlash(cmp.Or(cfg.UIBase, "https://crm.localhost"))}
	// Times on the wire have milliseconds: what is stored has no more, so that a
	// client which asks for what changed after a time it was told isn't answered
	// with the same record again.
	s.now = func() time.Time { return clock().UTC().Truncate(time.Millisecond) }
	s.search = newLimiter(cfg.SearchPerSecond, s.now)
	s.router = newRouter(routes())
	return s, nil
}

// Close closes the database.
func (s *Service) Close() error { return s.db.Close() }

// Handler is the API. It trusts the identity headers of its caller, so nothing but
// the gateway may reach it.
func (s *Service) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// OpenAPI is the description of the API that a Service serves, an OpenAPI 3.1
// document in YAML that a scope catalog reads. The caller must not change it.
func OpenAPI() []byte { return openAPI }
