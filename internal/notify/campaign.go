package notify

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Campaign is the kind of what a rotation of many keys tells.
const Campaign = "campaign"

// RotateMany tells members of an account of a rotation of many keys: each of them
// once for each dedupe, however many nodes see it.
func (n *Notifier) RotateMany(ctx context.Context, a postern.AccountID, to []postern.MemberID, dedupe, subject, words, link string) error {
	who, err := n.people(ctx, n.db, a)
	if err != nil {
		return err
	}
	d := draft{account: a, kind: Campaign, dedupe: dedupe, subject: subject, words: words, link: link}
	for _, id := range to {
		if m := who.by[id]; m != nil && m.Can(postern.PermKeysRead) {
			d.to = append(d.to, reader{id, "maker"})
		}
	}
	if _, err := n.db.Write(ctx, func(tx *store.Tx) error { return n.tell(ctx, tx, []draft{d}) }); err != nil {
		return err
	}
	n.Poke()
	return nil
}
