package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/workbench"
)

// Config is what the handler needs. The first six have no default.
type Config struct {
	Keyring  *keyring.Keyring
	Verifier *verify.Verifier // with OwnCatalog among its upstreams
	Activity *activity.Log
	DB       *store.DB // asked whether it answers
	Door     *door.Door
	Auditor  *auditor.Auditor

	// Advice is the console's too, so that what bounds it counts both; nil: one of its own.
	Advice *advice.Service
	// Leaks takes in secrets that were found; nil: none are.
	Leaks *leaks.Intake
	// PublicURL is where people reach this handler, for links; empty: links are paths.
	PublicURL string
	Version   string
	// Leads, where set, says whether this node does what is done once in a cluster.
	Leads func() bool
	// ReceiptWait is how long a revocation waits for all nodes: 3 s unless set.
	ReceiptWait time.Duration
	// InFlight is how many requests are served at once, not counting those that end
	// keys and those that wait for activity: 256 unless set.
	InFlight int
	// WritesPerSecond is how many changes an actor may make: 20 unless set.
	WritesPerSecond int
	// FailuresPerSecond is how many refused credentials an address may present: 50 unless set.
	FailuresPerSecond int
	// Stopping, where given, is closed when the server begins to stop: it is no
	// longer ready then, and whoever waits for activity is answered at once.
	Stopping <-chan struct{}
	// Warnings, where given, are what health tells besides what it finds itself.
	Warnings func() []string
	// Journal, where a journal of revocations is kept, says up to which change it holds all, and whether it can't be written.
	Journal func() (feed int64, failing bool)
	Now     func() time.Time
	Log     *slog.Logger
}

func (c *Config) fill() error {
	if c.Keyring == nil || c.Verifier == nil || c.Activity == nil || c.DB == nil || c.Door == nil || c.Auditor == nil {
		return errors.New("httpapi: a keyring, a verifier, an activity log, a database, a door and an auditor are needed")
	}
	if c.Now == nil {
		c.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.ReceiptWait <= 0 {
		c.ReceiptWait = 3 * time.Second
	}
	if c.InFlight <= 0 {
		c.InFlight = 256
	}
	if c.WritesPerSecond <= 0 {
		c.WritesPerSecond = 20
	}
	if c.FailuresPerSecond <= 0 {
		c.FailuresPerSecond = 50
	}
	if c.Advice == nil {
		c.Advice = advice.NewService(c.Keyring, c.Activity, c.Now)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return nil
}

// server answers requests.
type server struct {
	cfg       Config
	kr        *keyring.Keyring
	verifier  *verify.Verifier
	activity  *activity.Log
	advice    *advice.Service
	migration *workbench.Service
	door      *door.Door
	log       *slog.Logger

	document     []byte // the OpenAPI document, as it is served
	lanes        lanes
	writes       *limit.Throttle // changes, by actor
	endings      *limit.Throttle // of them those that end keys
	failures     *limit.Throttle // refused credentials, by address
	exports      *limit.Places   // of exports of activity
	metrics      *metrics
	auditExports *limit.Places // of exports of the audit log
	imports      chan struct{} // places of the imports of old credentials
	ready        readiness
}

// New makes the handler of the console's listener.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &server{cfg: cfg, kr: cfg.Keyring, verifier: cfg.Verifier, activity: cfg.Activity, door: cfg.Door, log: cfg.Log,
		advice:   cfg.Advice,
		lanes:    newLanes(cfg.InFlight),
		exports:  limit.NewPlaces(exportsAtOnce, exportsEach),
		writes:   limit.NewThrottle(cfg.WritesPerSecond),
		endings:  limit.NewThrottle(5 * cfg.WritesPerSecond),
		failures: limit.NewThrottle(cfg.FailuresPerSecond)}
	s.migration = workbench.NewService(workbench.Config{DB: cfg.DB, Keyring: cfg.Keyring, Activity: cfg.Activity, Advice: s.advice, Now: cfg.Now})
	s.metrics, s.auditExports, s.imports = newMetrics(s), limit.NewPlaces(exportsAtOnce, exportsEach), make(chan struct{}, importsAtOnce)
	operations, document, err := s.operations()
	if err != nil {
		return nil, err
	}
	s.document = document
	return s.routes(operations), nil
}

func (s *server) now() time.Time { return s.cfg.Now() }

// link is the address of a page of the console that a single-use secret opens.
func (s *server) link(page string, secret postern.Secret) string {
	return s.cfg.PublicURL + "/" + page + "/" + secret.Reveal()
}
