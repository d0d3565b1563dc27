package console

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/workbench"
)

// Config is what a Console needs. The first seven have no default.
type Config struct {
	Keyring  *keyring.Keyring
	Verifier *verify.Verifier
	Activity *activity.Log
	DB       *store.DB
	Signin   *signin.Service
	Auditor  *auditor.Auditor
	Door     *door.Door // tells who calls: address, request number

	// Advice is the API's too, so that what bounds it counts both; nil: one of its own.
	Advice *advice.Service
	// Leaks takes in secrets that were found; nil: the page for finders isn't there.
	Leaks *leaks.Intake

	PublicURL  string // where people reach the console; with https its cookies are Secure
	GatewayURL string // where integrations reach the gateway, for snippets; may be empty
	Docs       string // where the documentation is, for a link; may be empty
	// LegacyHeader and LegacyQuery are where imported credentials are accepted besides as bearers.
	LegacyHeader string
	LegacyQuery  []string
	// InventoryUnpacked is how many bytes of an access log are read, unpacked: 8 GiB unless set.
	InventoryUnpacked int64
	Version           string
	// WritesPerSecond is how many forms a member may send: 20 unless set.
	WritesPerSecond int
	// Refresh is how old what the lists say of calls may be: 5 s unless set.
	Refresh time.Duration
	// Stopping is closed when the server begins to end: streams end too. May be nil.
	Stopping <-chan struct{}
	Now      func() time.Time
	Log      *slog.Logger
}

func (c *Config) fill() error {
	if c.Keyring == nil || c.Verifier == nil || c.Activity == nil || c.DB == nil || c.Signin == nil || c.Door == nil || c.Auditor == nil {
		return errors.New("console: a keyring, a verifier, an activity log, a database, a sign-in service, a door and an auditor are needed")
	}
	if c.Now == nil {
		c.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Advice == nil {
		c.Advice = advice.NewService(c.Keyring, c.Activity, c.Now)
	}
	if c.InventoryUnpacked <= 0 {
		c.InventoryUnpacked = 8 << 30
	}
	if c.WritesPerSecond <= 0 {
		c.WritesPerSecond = 20
	}
	if c.Refresh <= 0 {
		c.Refresh = 5 * time.Second
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	c.GatewayURL = strings.TrimRight(c.GatewayURL, "/")
	return nil
}

// Console is the web console.
type Console struct {
	cfg       Config
	kr        *keyring.Keyring
	advice    *advice.Service
	migration *workbench.Service
	log       *slog.Logger
	assets    *assets
	pages     *pages
	answers   answers
	lists     keyLists
	book      bookCache
	covers    coverCache
	streams   streams
	uploads   uploads
	known     map[string]bool // patterns that are served, so that nothing links to what isn't there
	handler   http.Handler
	mux       *http.ServeMux
	writes    *limit.Throttle // of members' forms, and of refusals that are noted

	byPattern map[string]route
}

// New makes a Console.
func New(cfg Config) (*Console, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	c := &Console{cfg: cfg, kr: cfg.Keyring, advice: cfg.Advice, log: cfg.Log, known: map[string]bool{}}
	c.writes = limit.NewThrottle(cfg.WritesPerSecond)
	c.uploads.places = limit.NewPlaces(uploadsAtOnce, uploadsEach)
	c.migration = workbench.NewService(workbench.Config{DB: cfg.DB, Keyring: cfg.Keyring, Activity: cfg.Activity, Advice: c.advice, Now: cfg.Now})
	var err error
	if c.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("console: assets: %w", err)
	}
	if c.pages, err = loadPages(c.assets); err != nil {
		return nil, fmt.Errorf("console: templates: %w", err)
	}
	c.handler = c.serve()
	return c, nil
}

// Handler answers everything under "/" that no API answers.
func (c *Console) Handler() http.Handler { return c.handler }

func (c *Console) now() time.Time { return c.cfg.Now() }
