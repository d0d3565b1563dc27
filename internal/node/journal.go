package node

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/journal"
)

// openJournal makes what keeps the journal of revocations; nil where none is kept.
func (n *Node) openJournal() {
	if n.Config.Journal == "" {
		return
	}
	n.Journal = journal.New(journal.Config{DB: n.DB, Pepper: n.Pepper, Path: n.Config.Journal, Now: n.Config.Now, Log: n.Config.Log})
	n.doors.workers["journal"] = n.Journal.Run
}

// journaled returns once the journal holds a change. Where that can't be, the
// change stands all the same: a key that can't be revoked because of a full disk
// for backups would be worse. Health and doctor say so.
func (n *Node) journaled(ctx context.Context, seq int64) {
	if n.Journal == nil {
		return
	}
	if err := n.Journal.Await(context.WithoutCancel(ctx), seq); err != nil {
		n.Config.Log.WarnContext(ctx, "a change is not in the journal of revocations yet", "seq", seq, "err", err)
	}
}

// journalState tells how the journal is; nil where none is kept.
func (n *Node) journalState() func() (feed int64, failing bool) {
	if n.Config.Journal == "" {
		return nil
	}
	return func() (int64, bool) {
		s := n.Journal.State()
		return s.Feed, s.Failed != ""
	}
}

// lostTold is for how long health says that the feed went back; doctor says it longer.
const lostTold = 24 * time.Hour

// warnings are what health tells besides.
func (n *Node) warnings() []string { return append(n.journalWarnings(), n.limitWarnings()...) }

func (n *Node) journalWarnings() (out []string) {
	if n.Journal == nil {
		return nil
	}
	s := n.Journal.State()
	if s.Lost > 0 && n.Config.Now().Sub(s.LostAt) < lostTold {
		out = append(out, fmt.Sprintf("The database forgot changes that the journal of revocations held. No backup that ends before change %d can be restored without the chance that a revoked key comes back: make one once the database is past it.", s.Lost))
	}
	if s.Failed != "" {
		out = append(out, "The journal of revocations is not written. The log says why; a backup restored without it could bring revoked keys back.")
	}
	return out
}

// whole refuses data that a restore or a copy was not finished on.
func whole(dir string) error {
	if backup.Unfinished(dir) {
		return fmt.Errorf("a restore into %s was stopped before its end; run it again", dir)
	}
	return nil
}

func (n *Node) finished(ctx context.Context) error {
	what, err := n.DB.Unfinished(ctx)
	if err == nil && what != "" {
		err = fmt.Errorf("the database isn't whole: a %s was stopped before its end; run it again", what)
	}
	return err
}
