package store

import (
	"context"
	"errors"

	"postern.dev/postern"
)

// policyBody is a policy as it is kept.
type policyBody struct {
	RequireExpiry bool  `json:"requireExpiry"`
	LongestLife   int   `json:"longestLife"`
	WriteNetworks bool  `json:"writeNetworks"`
	RemindExpiry  []int `json:"remindExpiry"`
	RemindAge     int   `json:"remindAge"`
	IdleAfter     int   `json:"idleAfter"`
	// Absent where it was written before there were any.
	Tripwires *postern.Tripwires  `json:"tripwires,omitempty"`
	Leaks     *postern.LeakPolicy `json:"leaks,omitempty"`
}

// Policy reads what an account asks of its keys: the default where it set nothing.
func (q *queries) Policy(ctx context.Context, a postern.AccountID) (postern.Policy, error) {
	p, err := one(q.db.QueryRowContext(ctx, "select "+policiesTable.list("")+" from policies where account_id = $1", a), q.scanPolicy, "policy")
	if errors.Is(err, postern.CodeNotFound) {
		return postern.DefaultPolicy(a), nil
	}
	return p, err
}

func (q *queries) scanPolicy(s scanner) (p postern.Policy, err error) {
	var body string
	var changed int64
	var m mark
	err = s.Scan(append([]any{&p.AccountID, &body, &p.ChangedBy, &changed, &p.Revision}, m.targets()...)...)
	if err != nil {
		return p, err
	}
	p.ChangedAt = fromMicros(changed)
	if q.seals.broken(policiesTable, []any{p.AccountID, body, p.ChangedBy, changed, p.Revision}, m) {
		// Nothing of it is believed; keys can't be made under it until it is set anew.
		return postern.AlteredPolicy(p.AccountID, p.Revision), nil
	}
	var b policyBody
	if err := fromJSON(body, &b); err != nil {
		return p, err
	}
	p.RequireExpiry, p.LongestLife, p.WriteNetworks = b.RequireExpiry, b.LongestLife, b.WriteNetworks
	p.RemindExpiry, p.RemindAge, p.IdleAfter = b.RemindExpiry, b.RemindAge, b.IdleAfter
	p.Tripwires = postern.DefaultTripwires()
	if b.Tripwires != nil {
		p.Tripwires = *b.Tripwires
	}
	p.Leaks = postern.DefaultLeakPolicy()
	if b.Leaks != nil {
		p.Leaks = *b.Leaks
	}
	return p, nil
}

// PutPolicy writes a policy as a whole, and counts its revision on. Over a record
// that was altered too: nothing of that one is kept.
func (tx *Tx) PutPolicy(ctx context.Context, p *postern.Policy) error {
	p.Revision++
	p.Altered = false
	body := asJSON(policyBody{p.RequireExpiry, p.LongestLife, p.WriteNetworks, p.RemindExpiry, p.RemindAge, p.IdleAfter, &p.Tripwires, &p.Leaks})
	return tx.exec(ctx, "put policy", policiesTable.put(), tx.seals.seal(policiesTable, []any{p.AccountID, body, p.ChangedBy, micros(p.ChangedAt), p.Revision})...)
}
