package notify

import (
	"context"
	"fmt"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// AuditBroken is the kind of what AuditIsBroken tells.
const AuditBroken = "audit_broken"

// AuditIsBroken tells those of the operator's account who may read the audit log
// that it is broken at an entry: once for each entry, however many nodes find it.
func (n *Notifier) AuditIsBroken(ctx context.Context, entry int64, why string) error {
	accounts, err := n.db.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if !a.Operator || a.Altered {
			continue
		}
		who, err := n.people(ctx, n.db, a.ID)
		if err != nil {
			return err
		}
		d := draft{account: a.ID, kind: AuditBroken, dedupe: fmt.Sprintf("%s:%d", AuditBroken, entry), to: who.who(postern.PermAuditRead), link: "/audit",
			subject: fmt.Sprintf("The audit log is broken at entry %d", entry),
			words:   "It was changed by other means than Postern: " + why + ". Nothing after it can be trusted. Keep a copy of the database as it is, and download the proof."}
		if _, err := n.db.Write(ctx, func(tx *store.Tx) error { return n.tell(ctx, tx, []draft{d}) }); err != nil {
			return err
		}
	}
	n.Poke()
	return nil
}
