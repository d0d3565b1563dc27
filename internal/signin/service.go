package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// How long things last (security.md section 7), unless the configuration says otherwise.
const (
	DefaultIdle     = 30 * time.Minute
	DefaultAbsolute = 12 * time.Hour
	DefaultFresh    = 10 * time.Minute
)

// Config is what a Service needs. The first three have no default.
type Config struct {
	DB      *store.DB
	Pepper  *postern.Pepper
	Keyring *keyring.Keyring

	Brand     string // of single-use links; postern.DefaultBrand
	Name      string // what authenticators call this server; "Postern"
	PublicURL string // where people reach the console; passkeys and single sign-on depend on it
	Providers []Provider

	Idle     time.Duration // a session without requests ends
	Absolute time.Duration // every session ends
	Fresh    time.Duration // how long a proof is good enough for what is risky
	Now      func() time.Time
	Log      *slog.Logger
}

// Service signs members in. Its methods may be called at once from many goroutines.
type Service struct {
	cfg       Config
	db        *store.DB
	public    *url.URL
	hasher    *hasher
	strangers strangers
	providers map[string]*provider
	order     []string

	answerAfter time.Duration // tests of a hundred refusals make it shorter
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Pepper == nil || cfg.Keyring == nil {
		return nil, errors.New("signin: a database, a pepper and a keyring are needed")
	}
	if cfg.Brand == "" {
		cfg.Brand = postern.DefaultBrand
	}
	if cfg.Name == "" {
		cfg.Name = "Postern"
	}
	if cfg.Idle <= 0 {
		cfg.Idle = DefaultIdle
	}
	if cfg.Absolute <= 0 {
		cfg.Absolute = DefaultAbsolute
	}
	if cfg.Fresh <= 0 {
		cfg.Fresh = DefaultFresh
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	public, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("signin: the public URL: %w", err)
	}
	s := &Service{cfg: cfg, db: cfg.DB, public: public, hasher: newHasher(), answerAfter: answerAfter}
	s.strangers.key = s.key("stranger")
	return s, s.addProviders(cfg.Providers)
}

// ProvidersFor names the providers that bring members of an account.
func (s *Service) ProvidersFor(a *postern.Account) []Provider {
	var out []Provider
	for _, id := range s.order {
		if p := s.providers[id]; p.brings(a) {
			out = append(out, p.Provider)
		}
	}
	return out
}

// Providers names the single sign-on providers of all accounts, in the order of the
// configuration: for who isn't in yet, and so has no account.
func (s *Service) Providers() []Provider {
	out := make([]Provider, 0, len(s.order))
	for _, id := range s.order {
		out = append(out, s.providers[id].Provider)
	}
	return out
}

// Idle is how long a session lasts without requests.
func (s *Service) Idle() time.Duration { return s.cfg.Idle }

// Fresh is how long a proof is good enough for what is risky.
func (s *Service) Fresh() time.Duration { return s.cfg.Fresh }

func (s *Service) now() time.Time { return s.cfg.Now() }

// key is a key for one purpose, the same on every node. The purposes of this
// package never outlive the pepper's latest version by more than a session.
func (s *Service) key(purpose string) [32]byte {
	k, _ := s.cfg.Pepper.Derive(s.cfg.Pepper.Latest(), "signin "+purpose)
	return k
}

// change is one transaction of a member's own making, with its audit entry.
func (s *Service) change(ctx context.Context, fn func(tx *store.Tx) error) error {
	_, err := s.db.Write(ctx, fn)
	return err
}

// entry starts an audit entry of what a member does to their own ways in.
func (s *Service) audit(ctx context.Context, tx *store.Tx, by postern.Actor, action string, m *postern.Member, with ...func(*postern.AuditEntry)) error {
	e := by.Entry(s.now(), action, string(m.ID))
	e.AccountID, e.Actor.AccountID, e.Actor.MemberID, e.Name = m.AccountID, m.AccountID, m.ID, m.Email
	for _, w := range with {
		w(&e)
	}
	return tx.InsertAudit(ctx, e)
}

func after(facts map[string]any) func(*postern.AuditEntry) {
	return func(e *postern.AuditEntry) { e.After = facts }
}

func before(facts map[string]any) func(*postern.AuditEntry) {
	return func(e *postern.AuditEntry) { e.Before = facts }
}

// memberReader reads members: the database, or a transaction, which knows more.
type memberReader interface {
	Member(context.Context, postern.MemberID) (postern.Member, error)
	Account(context.Context, postern.AccountID) (postern.Account, error)
}

// live reads a member who can sign in: not removed, as they were sealed, in an account that isn't suspended.
func (s *Service) live(ctx context.Context, id postern.MemberID) (m postern.Member, a postern.Account, err error) {
	return live(ctx, s.db, id)
}

func live(ctx context.Context, q memberReader, id postern.MemberID) (m postern.Member, a postern.Account, err error) {
	if m, err = q.Member(ctx, id); err != nil {
		return m, a, err
	}
	if a, err = q.Account(ctx, m.AccountID); err != nil {
		return m, a, err
	}
	if !m.RemovedAt.IsZero() || m.Altered {
		return m, a, postern.Errorf(postern.CodeNotFound, "There is no such member.")
	}
	return m, a, nil
}

// Preferences reads what a member chose for themselves in the console.
func (s *Service) Preferences(ctx context.Context, m postern.MemberID) (map[string]string, error) {
	return s.db.Preferences(ctx, m)
}

// SetPreference keeps what a member chose for themselves. It concerns nobody else,
// so the audit log doesn't hear of it.
func (s *Service) SetPreference(ctx context.Context, m postern.MemberID, name, value string) error {
	if len(name) > 50 || len(value) > 1000 {
		return postern.Invalidf("value", "This is too long.")
	}
	return s.change(ctx, func(tx *store.Tx) error { return tx.PutPreference(ctx, m, name, value) })
}
