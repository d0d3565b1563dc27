package keyring

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Nodes are the processes that share the database, with the number of the latest
// change and the database's time. Only members of the operator's account see them.
type Nodes struct {
	List []store.Lease
	Head int64
	Now  time.Time
}

// Nodes lists them.
func (kr *Keyring) Nodes(ctx context.Context, by postern.Actor) (out Nodes, err error) {
	if err := kr.reader(ctx, by, postern.PermAccountsWrite); err != nil {
		return out, err
	}
	own, err := kr.db.Account(ctx, by.AccountID)
	if err != nil {
		return out, err
	}
	if !own.Operator {
		return out, postern.Errorf(postern.CodeForbidden, "Only the account that runs this server can see its nodes. Ask whoever runs it.")
	}
	if out.List, out.Now, err = kr.db.Leases(ctx); err != nil {
		return out, err
	}
	out.Head, _, err = kr.db.FeedHead(ctx)
	return out, err
}

// The states of a node.
const (
	NodeDecides = "decides"
	NodeBehind  = "behind"
	NodeGone    = "gone"
)

// State is how a node is: it decides, with or without all changes confirmed, or its lease is over.
func (n *Nodes) State(l *store.Lease) string {
	switch {
	case !l.Until.After(n.Now):
		return NodeGone
	case l.Confirmed < n.Head:
		return NodeBehind
	}
	return NodeDecides
}
