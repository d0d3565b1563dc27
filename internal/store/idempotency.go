package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// Idempotent is what is remembered of a change that was asked for with an
// Idempotency-Key: what was asked, and what it made; never a secret.
type Idempotent struct {
	AccountID  postern.AccountID
	Actor      string
	Name       string // the Idempotency-Key
	Request    []byte // SHA-256 of what was asked
	Object     string
	Generation int64 // of the secret that was made; 0 if none
	CreatedAt  time.Time
}

// IdempotencyKept is how long a change is remembered.
const IdempotencyKept = 24 * time.Hour

// Idempotent reads what is remembered, or gives nil.
func (q *queries) Idempotent(ctx context.Context, a postern.AccountID, actor, name string, now time.Time) (*Idempotent, error) {
	i := Idempotent{AccountID: a, Actor: actor, Name: name}
	var at int64
	err := q.db.QueryRowContext(ctx, `select request, object, generation, created_at from idempotency
		where account_id = $1 and actor = $2 and name = $3 and created_at > $4`, a, actor, name, micros(now.Add(-IdempotencyKept))).
		Scan(&i.Request, &i.Object, &i.Generation, &at)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: read idempotency: %w", err)
	}
	i.CreatedAt = fromMicros(at)
	return &i, nil
}

// PutIdempotent remembers a change, and forgets some that are too old.
func (tx *Tx) PutIdempotent(ctx context.Context, i *Idempotent) error {
	err := tx.exec(ctx, "forget old idempotency", `delete from idempotency where (account_id, actor, name) in (
		select account_id, actor, name from idempotency where created_at <= $1 order by created_at, account_id, actor, name limit 50)`,
		micros(i.CreatedAt.Add(-IdempotencyKept)))
	if err != nil {
		return err
	}
	return tx.exec(ctx, "remember idempotency", `insert into idempotency (account_id, actor, name, request, object, generation, created_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict (account_id, actor, name) do update set
		request = excluded.request, object = excluded.object, generation = excluded.generation, created_at = excluded.created_at`,
		i.AccountID, i.Actor, i.Name, i.Request, i.Object, i.Generation, micros(i.CreatedAt))
}
