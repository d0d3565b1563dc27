package store

import (
	"context"
	"errors"
	"time"

	"postern.dev/postern"
)

func (q *queries) scanRotation(s scanner) (p postern.RotationPlan, err error) {
	var began, deadline, latest, idle, asked int64
	var m mark
	err = s.Scan(append([]any{&p.Key, &p.AccountID, &p.Generation, &p.Ends, &began, &deadline, &latest, &idle, &asked}, m.targets()...)...)
	if err != nil {
		return p, err
	}
	p.BeganAt, p.Deadline, p.Latest, p.AskedAt = fromMicros(began), fromMicros(deadline), fromMicros(latest), fromMicros(asked)
	p.Idle = time.Duration(idle) * time.Microsecond
	p.Altered = q.seals.broken(rotationsTable, []any{p.Key, p.AccountID, p.Generation, p.Ends, began, deadline, latest, idle, asked}, m)
	return p, nil
}

// Rotation reads how the rotation of a key ends; nil where it has no plan but its deadline.
func (q *queries) Rotation(ctx context.Context, a postern.AccountID, key postern.KeyID) (*postern.RotationPlan, error) {
	p, err := one(q.db.QueryRowContext(ctx, "select "+rotationsTable.list("")+" from rotations where key_id = $1 and account_id = $2", key, a),
		q.scanRotation, "rotation")
	if errors.Is(err, postern.CodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// Rotations are the plans of an account's rotations, or of all accounts where none
// is named, in the order of keys. Some may be of rotations that are over.
func (q *queries) Rotations(ctx context.Context, a postern.AccountID) ([]postern.RotationPlan, error) {
	rows, err := q.db.QueryContext(ctx, "select "+rotationsTable.list("")+" from rotations where ($1 = '' or account_id = $1) order by key_id", a)
	return collect(rows, err, q.scanRotation)
}

// PutRotation writes how a rotation ends.
func (tx *Tx) PutRotation(ctx context.Context, p *postern.RotationPlan) error {
	return tx.exec(ctx, "put rotation", rotationsTable.put(), tx.seals.seal(rotationsTable, []any{p.Key, p.AccountID, p.Generation, p.Ends,
		micros(p.BeganAt), micros(p.Deadline), micros(p.Latest), p.Idle.Microseconds(), micros(p.AskedAt)})...)
}

// DropRotation forgets how a rotation ends.
func (tx *Tx) DropRotation(ctx context.Context, key postern.KeyID) error {
	return tx.exec(ctx, "drop rotation", "delete from rotations where key_id = $1", key)
}
