package notify

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// The kinds of what a migration tells.
const (
	Brownout       = "brownout"
	MigrationWaits = "migration_waits"
)

// Migration tells whoever looks after the move of an old credential, and those who run
// the account, of something about it: once for each dedupe, however many nodes see it.
func (n *Notifier) Migration(ctx context.Context, a postern.AccountID, owner postern.MemberID, kind, dedupe, subject, words, link string) error {
	who, err := n.people(ctx, n.db, a)
	if err != nil {
		return err
	}
	d := draft{account: a, kind: kind, dedupe: dedupe, subject: subject, words: words, link: link}
	if m := who.by[owner]; m != nil && m.Can(postern.PermKeysRead) {
		d.to = append(d.to, reader{owner, "maker"})
	}
	for _, r := range who.who(postern.PermAccountWrite) {
		if !told(d.to, r.id) {
			d.to = append(d.to, r)
		}
	}
	if _, err := n.db.Write(ctx, func(tx *store.Tx) error { return n.tell(ctx, tx, []draft{d}) }); err != nil {
		return err
	}
	n.Poke()
	return nil
}
