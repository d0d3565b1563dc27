package store

import (
	"context"
	"time"

	"postern.dev/postern"
)

// Dismissal is advice of a kind on a key that someone put aside.
type Dismissal struct {
	AccountID postern.AccountID
	Key       postern.KeyID
	Kind      string
	What      string // which fix it was
	By        postern.MemberID
	At        time.Time
}

// Dismissals reads what was put aside on the keys of an account, or on one key where it is named.
func (q *queries) Dismissals(ctx context.Context, a postern.AccountID, key postern.KeyID) ([]Dismissal, error) {
	rows, err := q.db.QueryContext(ctx, `select account_id, key_id, kind, what, dismissed_by, dismissed_at from advice_dismissals
		where account_id = $1 and ($2 = '' or key_id = $2) order by key_id, kind`, a, key)
	return collect(rows, err, func(s scanner) (d Dismissal, err error) {
		var at int64
		err = s.Scan(&d.AccountID, &d.Key, &d.Kind, &d.What, &d.By, &at)
		d.At = fromMicros(at)
		return d, err
	})
}

// PutDismissal notes that advice was put aside.
func (tx *Tx) PutDismissal(ctx context.Context, d *Dismissal) error {
	return tx.exec(ctx, "put advice aside", `insert into advice_dismissals (account_id, key_id, kind, what, dismissed_by, dismissed_at)
		values ($1, $2, $3, $4, $5, $6) on conflict (key_id, kind) do update set what = excluded.what, dismissed_by = excluded.dismissed_by, dismissed_at = excluded.dismissed_at`,
		d.AccountID, d.Key, d.Kind, d.What, d.By, micros(d.At))
}

// DeleteDismissal takes advice up again.
func (tx *Tx) DeleteDismissal(ctx context.Context, key postern.KeyID, kind string) error {
	return tx.exec(ctx, "take advice up", "delete from advice_dismissals where key_id = $1 and kind = $2", key, kind)
}
