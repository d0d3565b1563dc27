// Package doctor looks at a deployment and says what is wrong with it, and what to
// do. It only reads, and works whether or not the server runs. It promises to tell
// what it could not look at instead of calling it healthy.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Level says how bad something is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // works, and shouldn't stay so
	Problem Level = "problem" // doesn't work, or a promise isn't kept
)

// Finding is what one look found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // what to do about it
}

// Config is the deployment as its settings say.
type Config struct {
	Place      store.Place
	Parts      []store.Part
	Standby    store.Standby
	PepperPath string // empty where the pepper comes from the environment
	Pepper     func() (*postern.Pepper, error)
	Journal    string
	Backups    string // directory; empty: not looked at
	BackupAge  time.Duration
	Limits     string // URL of Redis; empty: none is used
	LimitsAway string
	LimitsWait time.Duration
	Lease      time.Duration
	Version    string

	Listen, Gateway, PublicURL string
	TLSCert, TLSKey            string
	Proxies                    []string
	ForwardPeers               []string
	MailHost                   string
	MailPort                   int

	Now    func() time.Time
	Client *http.Client // asks the server, if it runs; nil: one that takes any certificate, since it asks at loopback
}

// doctor is one visit.
type doctor struct {
	Config
	ctx    context.Context
	found  []Finding
	pepper *postern.Pepper
	snap   *store.Snapshot
	head   store.Head
	now    time.Time
}

// Look looks at everything.
func Look(ctx context.Context, cfg Config) []Finding {
	d := &doctor{Config: cfg, ctx: ctx, now: time.Now()}
	if cfg.Now != nil {
		d.now = cfg.Now()
	}
	if d.BackupAge == 0 {
		d.BackupAge = 26 * time.Hour
	}
	for _, look := range []func(){d.directory, d.readPepper, d.database, d.pepperFits, d.durability, d.cluster, d.keptJournal, d.keptBackups, d.disks,
		d.clock, d.listeners, d.certificate, d.proxies, d.mail, d.limits, d.running, d.memory} {
		look()
	}
	if d.snap != nil {
		d.snap.Close()
	}
	return d.found
}

// Worst is the worst level of some findings.
func Worst(list []Finding) Level {
	worst := OK
	for _, f := range list {
		if f.Level == Problem || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func (d *doctor) say(check string, l Level, do, format string, args ...any) {
	d.found = append(d.found, Finding{check, l, fmt.Sprintf(format, args...), do})
}

func (d *doctor) directory() {
	const check = "data directory"
	info, err := os.Stat(d.Place.Data)
	switch {
	case err != nil:
		d.say(check, Problem, "Name the server's data directory with --data.", "%s can't be looked at: %v.", d.Place.Data, err)
	case !info.IsDir():
		d.say(check, Problem, "Name a directory with --data.", "%s is no directory.", d.Place.Data)
	case info.Mode().Perm()&0o077 != 0:
		d.say(check, Warning, "Run: chmod 700 "+d.Place.Data, "Others on this machine can look into %s (mode %04o).", d.Place.Data, info.Mode().Perm())
	default:
		if open := d.openFiles(); len(open) > 0 {
			d.say(check, Warning, "Run: chmod 600 "+strings.Join(open, " "), "Others on this machine can read %s.", strings.Join(open, ", "))
			return
		}
		d.say(check, OK, "", "%s is this user's alone.", d.Place.Data)
	}
}

// openFiles are databases that others may read.
func (d *doctor) openFiles() (out []string) {
	for _, p := range d.Parts {
		path := filepath.Join(d.Place.Data, p.File)
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			out = append(out, path)
		}
	}
	return out
}

func (d *doctor) readPepper() {
	const check = "pepper"
	var err error
	if d.pepper, err = d.Pepper(); err != nil {
		d.say(check, Problem, "Put the pepper back from where you keep it. A new one would make every key useless.", "%v.", err)
		return
	}
	if d.PepperPath == "" {
		d.say(check, OK, "", "It comes from the environment.")
		return
	}
	if within(d.PepperPath, d.Place.Data) {
		d.say(check, Warning, "Move it elsewhere and name it with pepper-path, so that no copy of the data takes it along. Keep another copy apart from the backups.",
			"%s lies in the data directory: whoever copies that could make keys.", d.PepperPath)
		return
	}
	d.say(check, OK, "", "%s can be read by this user alone.", d.PepperPath)
}

// within reports whether a file is in a directory, whatever links lead there.
func within(path, dir string) bool {
	real := func(p string) string {
		if abs, err := filepath.Abs(p); err == nil {
			p = abs
		}
		if r, err := filepath.EvalSymlinks(p); err == nil {
			p = r
		}
		return p
	}
	rel, err := filepath.Rel(real(dir), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (d *doctor) database() {
	const check = "database"
	var err error
	if d.snap, err = store.OpenSnapshot(d.ctx, d.Place, d.Parts); err != nil {
		d.snap = nil
		d.say(check, Problem, "Start the database, and check the settings data and database. \"postern config check\" reads them.", "%v.", err)
		return
	}
	if d.head, err = d.snap.Head(d.ctx); err != nil {
		d.say(check, Problem, "Restore a backup, or ask for help.", "It can't be read: %v.", err)
		d.snap.Close()
		d.snap = nil
		return
	}
	if d.head.Unfinished != "" {
		d.say(check, Problem, "Run it again; no server starts before.", "It isn't whole: a %s was stopped before its end.", d.head.Unfinished)
		return
	}
	for i := range d.snap.Parts {
		if p := &d.snap.Parts[i]; p.Schema < p.Newest() {
			d.say(check, Warning, "Back up, and start the server: it brings the tables up to date.", "The schema of %s is %d and this binary knows %d.", p.Name, p.Schema, p.Newest())
		}
	}
	d.say(check, OK, "", "It answers (%s), and holds %d credentials that work, change %d, audit entry %d.", d.snap.Engine, d.head.Live, d.head.Feed, d.head.Audit)
}

// current reports whether the records can be asked for everything that this binary knows.
func (d *doctor) current() bool {
	return d.snap != nil && d.snap.Parts[0].Schema == d.snap.Parts[0].Newest()
}

func (d *doctor) pepperFits() {
	const check = "pepper and database"
	if d.pepper == nil || d.snap == nil {
		return
	}
	for _, v := range d.pepper.Versions() {
		have, ok := d.head.Peppers[fmt.Sprintf("pepper.%d", v)]
		if ok && have != d.pepper.Fingerprint(v) {
			d.say(check, Problem, "Use the pepper that the database was made with.", "This is not the pepper of this database (version %d): no secret would be accepted.", v)
			return
		}
	}
	used, err := d.snap.Records().PepperVersions(d.ctx)
	if err != nil {
		d.say(check, Warning, "", "Which versions of the pepper are needed can't be read: %v.", err)
		return
	}
	for _, v := range used {
		if !d.pepper.Has(v) {
			d.say(check, Problem, "Add its line to the pepper file.", "The pepper lacks version %d, under which keys were made.", v)
			return
		}
	}
	d.say(check, OK, "", "They belong together.")
}

func (d *doctor) durability() {
	const check = "durability"
	if d.snap == nil {
		return
	}
	if d.snap.Engine == store.SQLite {
		mode, err := d.snap.JournalMode(d.ctx)
		kind, remote := fileSystem(d.Place.Data)
		switch {
		case err != nil || mode != "wal":
			d.say(check, Problem, "Let only Postern write to it, and start the server once.", "The file isn't in the mode that a server sets (%q, %v).", mode, err)
		case remote:
			d.say(check, Problem, "Move the data to a disk of this machine.", "The data is on a network file system (%s), where a lock or a sync may not hold.", kind)
		case kind == "tmpfs":
			d.say(check, Problem, "Move the data to a disk.", "The data is in memory (tmpfs): a restart of the machine forgets everything.")
		default:
			d.say(check, OK, "", "SQLite in write-ahead mode on a local file system (%s); the server sets and reads back synchronous=FULL.", kind)
		}
		return
	}
	got, err := d.snap.Durability(d.ctx, d.Standby)
	switch {
	case err != nil:
		d.say(check, Warning, "", "It can't be asked: %v.", err)
	case len(got.Reasons) > 0:
		level := Problem
		if d.Standby == store.StandbyNone {
			level = Warning
		}
		d.say(check, level, "Mend that in PostgreSQL's configuration; \"standby\" says what is accepted.", "%s", strings.Join(got.Reasons, " "))
	default:
		d.say(check, OK, "", "PostgreSQL: %s.", got.Level)
	}
}

// cluster looks at the nodes: who decides, how far they are, and which versions they have.
func (d *doctor) cluster() {
	if !d.current() {
		return
	}
	leases, now, err := d.snap.Records().Leases(d.ctx)
	if err != nil {
		d.say("nodes", Warning, "", "The leases can't be read: %v.", err)
		return
	}
	live := slices.DeleteFunc(slices.Clone(leases), func(l store.Lease) bool { return !l.Until.After(now) })
	if len(live) == 0 {
		d.say("nodes", OK, "", "None holds a lease: no server runs on this database, or it stopped less than a moment ago.")
		return
	}
	var names, versions []string
	for _, l := range live {
		names = append(names, l.Node)
		if l.Version != "" && !slices.Contains(versions, l.Version) {
			versions = append(versions, l.Version)
		}
		// On SQLite the one node tells nobody how far it is.
		if behind := d.head.Feed - l.Confirmed; d.snap.Engine == store.Postgres && behind > 0 && l.Confirmed > 0 && d.quietSince(5*time.Second) {
			d.say("feed", Warning, "Look at that node's log, and at its way to the database.", "The node %s is %d changes behind.", l.Node, behind)
		}
	}
	d.say("nodes", OK, "", "%d with a lease: %s.", len(live), strings.Join(names, ", "))
	if len(versions) > 2 {
		d.say("versions", Problem, "Bring all nodes to one version. Two adjacent ones may run together.", "Nodes of %d versions run: %s.", len(versions), strings.Join(versions, ", "))
	} else if len(versions) == 2 {
		d.say("versions", Warning, "Finish the upgrade.", "Nodes of two versions run: %s.", strings.Join(versions, ", "))
	}
}

// quietSince reports whether the last change is older than a while, so that every node had time for it.
func (d *doctor) quietSince(a time.Duration) bool {
	list, err := d.snap.Records().Feed(d.ctx, d.head.Feed-1, 1)
	return err == nil && len(list) == 1 && d.snap.Took.Sub(list[0].At) > a
}
