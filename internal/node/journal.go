package node

import (
	"context"
	"fmt"

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

// warnings are what health tells besides.
func (n *Node) warnings() (out []string) {
	if n.Journal == nil {
		return nil
	}
	if s := n.Journal.State(); s.Failed != "" {
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
