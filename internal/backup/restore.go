package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/store"
)

// RestoreOptions say where a backup is restored to, and with what.
type RestoreOptions struct {
	To       store.Place // empty; held by the caller, who has the lock of the data directory
	Parts    []store.Part
	Without  []string // parts of the backup that are left out
	Pepper   *postern.Pepper
	Journals []string
	// AcceptLost is how many credentials and members may come back, where no journal
	// covers the time since the backup: exactly as many as worked when it was made.
	AcceptLost int64
	// AcceptAudit restores although the audit log in the backup isn't sound.
	AcceptAudit bool
	DryRun      bool // do all of it in a directory that is removed again
	Now         func() time.Time
	Log         *slog.Logger
	Progress    func(rows int64)
}

// Restored says what a restore did.
type Restored struct {
	DryRun   bool             `json:"dryRun"`
	Manifest Manifest         `json:"manifest"`
	Tables   []Digest         `json:"tables"`
	Seals    store.SealReport `json:"seals"`
	Audit    AuditFound       `json:"audit"`
	Journal  JournalFound     `json:"journal"`
	Replayed Replayed         `json:"replayed"`
	OAuth    int              `json:"oauthEnded"`
	Live     int64            `json:"liveCredentials"` // now
	Epoch    int64            `json:"epoch"`
	Feed     int64            `json:"feed"`
}

// AuditFound is what the check of the restored audit log found.
type AuditFound struct {
	Entries int64  `json:"entries"`
	Sound   bool   `json:"sound"`
	Why     string `json:"why,omitempty"`
}

// JournalFound is what was known of the time since the backup.
type JournalFound struct {
	Files   int       `json:"files"`
	Lines   int       `json:"lines"`
	Until   time.Time `json:"until"`
	Covered bool      `json:"covered"`
	Why     string    `json:"why,omitempty"`
	Torn    bool      `json:"torn,omitempty"`
}

// LostError refuses a restore that could bring revoked credentials back.
type LostError struct {
	Live     int64 // the credentials that worked when the backup was made
	Members  int64 // the members who weren't removed then
	Why      string
	Accepted int64
}

func (e *LostError) Error() string {
	given := ""
	if e.Accepted > 0 {
		given = fmt.Sprintf(", not %d", e.Accepted)
	}
	return fmt.Sprintf("what was revoked since this backup isn't known: %s. It holds %d credentials that worked when it was made, and of members %d: any of them may have been revoked, removed or given less since. "+
		"Give the journal with --journal, or accept that with --accept-lost-revocations %d%s", e.Why, e.Live, e.Members, e.Count(), given)
}

// Count is what accepts it: the credentials and the members together.
func (e *LostError) Count() int64 { return e.Live + e.Members }

// marker is a file in the data directory while files are put in their places.
const marker = "restore.unfinished"

// Unfinished reports whether a restore into a directory was stopped while it put files in their places.
func Unfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, marker))
	return err == nil
}

// Restore restores a backup into an empty place. It ends whole, or leaves the
// place empty; where even that was cut off, no server starts there, and it can be
// begun again.
func Restore(ctx context.Context, in *Reader, o RestoreOptions) (out Restored, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	r := &restore{o: o, in: in, out: &out, ctx: ctx}
	out.Manifest, out.DryRun = in.Manifest, o.DryRun
	if err := in.Manifest.RightPepper(o.Pepper); err != nil {
		return out, err
	}
	if err := r.readJournals(); err != nil {
		return out, err
	}
	if o.DryRun || o.To.Database == "" {
		return out, r.files()
	}
	return out, r.server()
}

// restore is one restore that is being made.
type restore struct {
	o       RestoreOptions
	in      *Reader
	out     *Restored
	ctx     context.Context
	history *journal.History // nil without journals
	loaders map[string]*store.Loader
	began   bool // the place was found empty: what is there now is ours
}

// readJournals finds out what is known of the time since the backup, and refuses
// where that is too little.
func (r *restore) readJournals() error {
	m, found := &r.in.Manifest, &r.out.Journal
	why := errors.New("no journal was given")
	if len(r.o.Journals) > 0 {
		h, err := journal.Read(r.o.Pepper, r.o.Journals...)
		if err != nil {
			return err
		}
		if h.Origin != m.Origin {
			return fmt.Errorf("the journal is of %s and the backup of %s: it is the journal of another server", h.Origin, m.Origin)
		}
		r.history = h
		found.Files, found.Lines, found.Until, found.Torn = h.Files, h.Lines, h.Until, h.Torn
		why = h.Covers(m.Epoch, m.Feed, m.Audit)
	}
	if found.Covered = why == nil; found.Covered {
		return nil
	}
	found.Why = why.Error()
	lost := &LostError{Live: m.Live, Members: m.Members, Why: found.Why, Accepted: r.o.AcceptLost}
	if n := lost.Count(); n > 0 && r.o.AcceptLost != n {
		return lost
	}
	return nil
}

// files restores into files: beside their places first, and then all at once.
func (r *restore) files() (err error) {
	dir := r.o.To.Data
	if err := r.freeFiles(dir); err != nil {
		return err
	}
	stage := filepath.Join(dir, ".restore")
	if r.o.DryRun {
		if stage, err = os.MkdirTemp("", "postern-restore-"); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	} else if err := errors.Join(os.RemoveAll(stage), os.Mkdir(stage, 0o700)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(stage)
	at := store.Place{Data: stage}
	if err := r.load(at, ""); err != nil {
		return err
	}
	if err := r.finish(at); err != nil {
		return err
	}
	if r.o.DryRun {
		return nil
	}
	return r.place(stage, dir)
}

// freeFiles refuses a directory that holds a database; what a restore left of one goes.
func (r *restore) freeFiles(dir string) error {
	if r.o.To.Database != "" {
		return nil
	}
	again := Unfinished(dir)
	for _, p := range slices.Backward(r.o.Parts) {
		for _, name := range []string{p.File, p.File + "-wal", p.File + "-shm"} {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !again || r.o.DryRun {
				return postern.Errorf(postern.CodeConflict, "There is a database in %s already (%s). A backup is restored into an empty directory only.", dir, name)
			}
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
		}
	}
	return nil
}

// place moves the files into their places, the records last: without them there is no database.
func (r *restore) place(stage, dir string) error {
	mark := filepath.Join(dir, marker)
	if err := errors.Join(os.WriteFile(mark, []byte("A restore was stopped here. Run it again.\n"), 0o600), SyncDir(dir)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, p := range slices.Backward(r.o.Parts) {
		path := filepath.Join(stage, p.File)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(syncFile(path), os.Rename(path, filepath.Join(dir, p.File))); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	if err := errors.Join(SyncDir(dir), os.Remove(mark), SyncDir(dir)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// server restores into PostgreSQL. While it isn't finished, the database says so.
func (r *restore) server() error {
	err := r.load(r.o.To, "restore of the backup of "+r.in.Manifest.MadeAt)
	if err == nil {
		err = r.finish(r.o.To)
	}
	if err == nil || !r.began {
		return err
	}
	return errors.Join(err, r.undo())
}

// undo takes back what was loaded, whatever became of ctx.
func (r *restore) undo() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), time.Minute)
	defer cancel()
	for i, p := range slices.Backward(r.o.Parts) {
		pm := r.in.Manifest.Part(p.Name)
		if pm == nil {
			continue
		}
		l, err := store.OpenLoader(ctx, r.o.To, p, pm.Schema, r.o.Log)
		if err == nil {
			err = errors.Join(l.Clear(ctx, ""), l.Close())
		}
		if err != nil {
			return fmt.Errorf("what was loaded is still there, and no server will start on it; run the restore again (part %d: %w)", i, err)
		}
	}
	return nil
}

// load fills the parts from the stream, and checks all of it.
func (r *restore) load(at store.Place, unfinished string) (err error) {
	r.loaders = map[string]*store.Loader{}
	defer func() {
		for _, l := range r.loaders {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := r.open(at, unfinished); err != nil {
		return err
	}
	b := batch{ctx: r.ctx}
	r.out.Tables, err = r.in.ReadAll(func(part string, t *store.Table, row []any) error {
		l := r.loaders[part]
		if l == nil {
			return nil // left out
		}
		return b.add(l, t, row)
	}, r.o.Progress)
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		err = r.in.Authentic(r.o.Pepper)
	}
	return err
}

// open makes the tables, and clears them.
func (r *restore) open(at store.Place, unfinished string) error {
	m := &r.in.Manifest
	for _, pm := range m.Parts {
		i := slices.IndexFunc(r.o.Parts, func(p store.Part) bool { return p.Name == pm.Name })
		if i < 0 {
			return fmt.Errorf("the backup holds a part %q, which this binary doesn't know: use a newer binary", pm.Name)
		}
		if slices.Contains(r.o.Without, pm.Name) {
			continue
		}
		l, err := store.OpenLoader(r.ctx, at, r.o.Parts[i], pm.Schema, r.o.Log)
		if err != nil {
			return err
		}
		r.loaders[pm.Name] = l
	}
	again, err := r.loaders["records"].Unfinished(r.ctx)
	if err != nil {
		return err
	}
	for _, l := range r.loaders {
		if empty, err := l.Empty(r.ctx); err != nil {
			return err
		} else if !empty && again == "" {
			return postern.Errorf(postern.CodeConflict, "The database isn't empty. A backup is restored into an empty database only.")
		}
	}
	r.began = true
	if err := r.loaders["records"].Clear(r.ctx, unfinished); err != nil {
		return err
	}
	for name, l := range r.loaders {
		if name != "records" {
			if err := l.Clear(r.ctx, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch collects rows, so that they are loaded many at a time.
type batch struct {
	ctx    context.Context
	loader *store.Loader
	table  *store.Table
	rows   [][]any
	bytes  int
}

const (
	batchRows  = 2000
	batchBytes = 8 << 20
)

func (b *batch) add(l *store.Loader, t *store.Table, row []any) error {
	if b.table != t {
		if err := b.flush(); err != nil {
			return err
		}
		have := l.Table(t.Name)
		if have == nil {
			return fmt.Errorf("the database has no table %s", t.Name)
		}
		if err := sameColumns(t, have); err != nil {
			return err
		}
		b.loader, b.table = l, t
	}
	b.rows = append(b.rows, row)
	for _, v := range row {
		switch v := v.(type) {
		case string:
			b.bytes += len(v)
		case []byte:
			b.bytes += len(v)
		}
	}
	if len(b.rows) >= batchRows || b.bytes >= batchBytes {
		return b.flush()
	}
	return nil
}

func (b *batch) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	err := b.loader.Insert(b.ctx, b.table.Name, b.table.Names(), b.rows)
	b.rows, b.bytes = nil, 0
	return err
}

// finish checks what was loaded, plays the journal on it, and begins another life of the database.
func (r *restore) finish(at store.Place) (err error) {
	records := store.Records()
	db, err := store.OpenDB(r.ctx, at.Target(&records), r.o.Pepper, r.o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := r.checkAudit(db); err != nil {
		return err
	}
	if r.out.Seals, err = db.CheckSeals(r.ctx); err != nil {
		return err
	}
	m, now := &r.in.Manifest, r.o.Now()
	_, err = db.Write(r.ctx, func(tx *store.Tx) error {
		p := replayer{Tx: tx, ctx: r.ctx, pepper: r.o.Pepper, now: now}
		epoch, feed := max(m.Epoch+1, now.Unix()), m.Feed
		if r.history != nil {
			if err := p.play(r.history.After(m.Epoch, m.Feed, m.Audit)); err != nil {
				return err
			}
			epoch, feed = max(epoch, r.history.Epoch()+1), max(feed, r.history.Feed())
		}
		if err := p.endTokens(r.out); err != nil {
			return err
		}
		r.out.Replayed, r.out.Epoch = p.done, epoch
		if err := tx.EndPassing(r.ctx, now); err != nil {
			return err
		}
		if err := p.noteRestore(r.out); err != nil {
			return err
		}
		if err := tx.BeginLife(r.ctx, epoch, feed, now); err != nil {
			return err
		}
		return tx.Finish(r.ctx)
	})
	if err != nil {
		return err
	}
	if r.out.Feed, _, err = db.FeedHead(r.ctx); err != nil {
		return err
	}
	if r.out.Live, err = db.Live(r.ctx, now); err != nil {
		return err
	}
	return db.Sync(r.ctx)
}

// endTokens ends the OAuth access tokens.
func (r *replayer) endTokens(out *Restored) error {
	ids, err := r.LiveOfKind(r.ctx, postern.KindOAuthAccess)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row, err := r.Credential(r.ctx, id)
		if err != nil {
			return err
		}
		fit := row.Sealed(r.pepper)
		row.RevokedAt = r.now
		if err := r.save(&row, fit); err != nil {
			return err
		}
	}
	out.OAuth = len(ids)
	return nil
}

// noteRestore writes the entry of the restore itself.
func (r *replayer) noteRestore(out *Restored) error {
	by := postern.Actor{System: "restore"}
	e := by.Entry(r.now, "backup.restore", out.Manifest.Origin)
	e.After = map[string]any{"madeAt": out.Manifest.MadeAt, "feed": out.Manifest.Feed, "auditEntries": out.Manifest.Audit, "epoch": out.Epoch,
		"journalCovers": out.Journal.Covered, "journalUntil": out.Journal.Until.Format(time.RFC3339), "ended": r.done.Ended, "narrowed": r.done.Narrowed,
		"oauthEnded": out.OAuth}
	if !out.Journal.Covered {
		e.After["acceptedLost"] = out.Manifest.Live + out.Manifest.Members
	}
	return r.InsertAudit(r.ctx, e)
}

// checkAudit holds the restored log against itself, the backup's checkpoint and the pepper's keys.
func (r *restore) checkAudit(db *store.DB) error {
	m := &r.in.Manifest
	opts := auditlog.Options{}
	signers, err := auditor.SigningKeys(r.o.Pepper, m.Origin)
	if m.Origin != "" && err != nil {
		return err
	}
	for _, s := range signers {
		opts.Keys = append(opts.Keys, s.Key)
	}
	if m.Checkpoint != "" {
		opts.Kept = []string{m.Checkpoint}
	}
	report, err := db.VerifyAudit(r.ctx, opts)
	if err != nil {
		return err
	}
	found := &r.out.Audit
	found.Entries, found.Sound = report.Entries, report.Sound
	if report.Entries != m.Audit {
		found.Sound, found.Why = false, fmt.Sprintf("it has %d entries and the backup says %d", report.Entries, m.Audit)
	} else if !report.Sound {
		f := report.First()
		found.Why = fmt.Sprintf("entry %d: %s", f.Entry, f.Why)
	}
	if !found.Sound && !r.o.AcceptAudit {
		return postern.Errorf(postern.CodeConflict, "The audit log in the backup is not sound (%s). To restore it all the same, add --accept-broken-audit.", found.Why)
	}
	return nil
}
