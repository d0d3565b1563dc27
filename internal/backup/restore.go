package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern.dev/postern"
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
