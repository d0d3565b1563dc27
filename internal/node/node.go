// Package node is one running Postern: the records, the keyring, verification,
// activity and the doors, put together. cmd/postern starts one from its
// configuration; tests start one as they need it.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/crm"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/limit/ledger"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

// Config is how a node shall be. Data is needed; the rest has good zero values.
type Config struct {
	Data       string        // directory of the databases and the lock
	Database   string        // URL of a PostgreSQL server; empty: SQLite in Data
	Standby    store.Standby // of that server; what isn't StandbyRequired is accepted as it is
	Pepper     string        // the pepper itself; empty: it is read from PepperPath
	PepperPath string        // made where no database is there yet; empty: "pepper" in Data
	Journal    string        // file of revocations, kept beside the backups; empty: none
	Brand      string
	Name       string // of this node among others; empty: none but what it makes up

	PublicURL    string // where people reach the console and the API
	GatewayURL   string // where integrations reach the gateway
	TLSCert      string // files of the listeners' TLS certificate and key; empty: plain HTTP
	TLSKey       string
	Proxies      []netip.Prefix
	ForwardPeers []netip.Prefix

	Providers    []signin.Provider // of single sign-on
	SessionIdle  time.Duration     // of the console; zero values are signin's defaults
	SessionLife  time.Duration
	SessionFresh time.Duration

	Mail notify.Sender // of notifications; nil for none

	LegacyHeader string   // in which imported credentials are accepted too; empty: in none
	LegacyQuery  []string // upstreams that accept them as hapikey, or "*"
	LegacyLink   string   // page for their callers; empty: the documentation's

	InventoryUnpacked int64 // bytes that a log may have, unpacked, that the console reads; 0: the default

	GitHubLeaks string // reports of GitHub's secret scanning: GitHubLeaksOn, a URL or a file of its keys; empty: none are taken

	CRM          bool // serve the built-in CRM data API as the upstream "crm"
	Lease        time.Duration
	LeadFor      time.Duration // how long a node leads that says nothing more; 0: the default
	Burst        postern.Rate
	Limits       Limits
	DailyLimit   int64         // of new accounts
	KeepActivity time.Duration // single calls
	KeepTotals   time.Duration // what is made from them
	SpoolMax     int64         // bytes of calls that may wait on disk for the database; 0: the default

	Version string
	Now     func() time.Time // tests set it; verification keeps to Clock
	Clock   verify.Clock     // of verification; tests set it
	Log     *slog.Logger
}

// Node is a server that is put together and not yet running.
type Node struct {
	Config   Config
	DB       *store.DB
	Pepper   *postern.Pepper
	Keyring  *keyring.Keyring
	Verifier *verify.Verifier
	Activity *activity.Log
	Signin   *signin.Service
	Notifier *notify.Notifier
	Leaks    *leaks.Intake
	Auditor  *auditor.Auditor
	Journal  *journal.Follower // nil where none is kept
	CRM      *crm.Service      // nil where it isn't served

	doors       doors
	watchers    watchers
	legacy      legacy
	lead        *leader
	limits      *ledger.Ledger // nil where each node counts for itself
	limitsMoved chan struct{}  // signalled when Redis went or came back
	id          string         // of this process in the table of leases
	release     func()
}

// Open takes the data directory, opens the databases and puts a node together.
// Nothing is decided before Run.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Brand == "" {
		cfg.Brand = postern.DefaultBrand
	}
	if cfg.LeadFor == 0 {
		cfg.LeadFor = leadFor
	}
	n := &Node{Config: cfg, legacy: newLegacy(), lead: newLeader(cfg.Clock)}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if n.release, err = lockDir(cfg.Data); err != nil {
		return nil, err
	}
	if err := whole(cfg.Data); err != nil {
		return nil, err
	}
	if err := n.openPepper(); err != nil {
		return nil, err
	}
	if n.DB, err = store.OpenDB(ctx, n.target("postern.db"), n.Pepper, cfg.Log); err != nil {
		return nil, err
	}
	if err := n.checkDurability(ctx); err != nil {
		return nil, err
	}
	if err := n.finished(ctx); err != nil {
		return nil, err
	}
	if err := checkPepper(ctx, n.DB, n.Pepper); err != nil {
		return nil, err
	}
	if err := n.join(ctx); err != nil {
		return nil, err
	}
	if n.DB.Engine == store.SQLite {
		n.lead.always() // a file has one node, which leads from the start
	}
	if err := n.openRooms(ctx); err != nil {
		return nil, err
	}
	return n, n.openDoors()
}

// target is where a database is: a file in the data directory, or the one PostgreSQL server.
func (n *Node) target(file string) string {
	if n.Config.Database != "" {
		return n.Config.Database
	}
	return filepath.Join(n.Config.Data, file)
}

func (n *Node) openPepper() (err error) {
	if n.Config.Pepper != "" {
		n.Pepper, err = postern.ParsePepper(n.Config.Pepper)
		return err
	}
	path := n.Config.PepperPath
	if path == "" {
		path = filepath.Join(n.Config.Data, "pepper")
	}
	// Over existing data a new pepper would make every key useless. Whether a
	// PostgreSQL database has data is found out by its fingerprint, after opening.
	_, missing := os.Stat(filepath.Join(n.Config.Data, "postern.db"))
	fresh := n.Config.Database == "" && errors.Is(missing, os.ErrNotExist)
	if n.Config.Database != "" {
		if fresh, err = store.Empty(context.Background(), n.Config.Database); err != nil {
			return err
		}
	}
	n.Pepper, err = LoadPepper(path, fresh)
	return err
}

// openRooms opens what stands behind the doors.
func (n *Node) openRooms(ctx context.Context) (err error) {
	cfg := n.Config
	own, err := httpapi.OwnCatalog()
	if err != nil {
		return fmt.Errorf("node: the catalog of Postern's own API: %w", err)
	}
	n.Activity, err = activity.Open(ctx, activity.Config{Target: n.target("activity.db"), Now: cfg.Now, Logger: cfg.Log, Brand: cfg.Brand,
		Spool: filepath.Join(cfg.Data, spoolDir), SpoolMax: cfg.SpoolMax, KeepCalls: cfg.KeepActivity, KeepTotals: cfg.KeepTotals,
		DayStart: func(a postern.AccountID, at postern.Micros) postern.Micros { return n.Verifier.DayStart(a, at) },
		Seen:     n.seen, Leads: n.leads})
	if err != nil {
		return err
	}
	records := verifystore.Of(n.DB, own)
	records.Info = n.info
	shared, err := n.openLimits(ctx)
	if err != nil {
		return err
	}
	n.Verifier, err = verify.New(verify.Config{Store: records, Node: n.id, Clock: cfg.Clock, Pepper: n.Pepper, Brand: cfg.Brand, Shared: n.DB.Engine == store.Postgres,
		Lease: cfg.Lease, Burst: cfg.Burst, Ledger: shared, Sink: n.Activity, Applied: n.applied, Proved: n.legacy.onProved, Log: cfg.Log})
	if err != nil {
		return err
	}
	n.Keyring = keyring.New(keyring.Config{DB: n.DB, Pepper: n.Pepper, Brand: cfg.Brand, Now: cfg.Now, Builtin: []*catalog.Catalog{own},
		DefaultRate: cfg.Burst, DailyLimit: cfg.DailyLimit, Logger: cfg.Log, Applied: func(ctx context.Context, seq int64) {
			// A change is in force here before its answer leaves. Where that fails, the
			// feed loop follows, and the receipt says that it is awaited.
			if err := n.Verifier.CatchUp(context.WithoutCancel(ctx), seq); err != nil {
				cfg.Log.WarnContext(ctx, "a change is not yet in force on this node", "seq", seq, "err", err)
			}
			n.journaled(ctx, seq)
		}})
	n.Notifier = notify.New(notify.Config{DB: n.DB, Activity: n.Activity, Mail: cfg.Mail, Leads: n.leads, PublicURL: cfg.PublicURL, Now: cfg.Now, Log: cfg.Log})
	n.Auditor, err = auditor.New(ctx, auditor.Config{DB: n.DB, Pepper: n.Pepper, Alarm: n.Notifier.AuditIsBroken, Leads: n.leads, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return err
	}
	if cfg.CRM {
		return n.openCRM(ctx)
	}
	return nil
}

// Close closes the databases and gives the data directory back. Run does so too when it returns.
func (n *Node) Close() error {
	var errs []error
	if n.CRM != nil {
		errs = append(errs, n.CRM.Close())
	}
	if n.Activity != nil {
		// Where the database is away, others wait for this node's next start.
		if err := n.leaveMark(); err != nil && n.Config.Log != nil {
			n.Config.Log.Warn("old secrets may end later: other nodes don't know that this one has left", "err", err)
		}
		errs = append(errs, n.Activity.Close())
	}
	if n.limits != nil {
		errs = append(errs, n.limits.Close())
	}
	if n.DB != nil {
		errs = append(errs, n.DB.Close())
	}
	if n.release != nil {
		n.release()
	}
	*n = Node{Config: n.Config}
	return errors.Join(errs...)
}
