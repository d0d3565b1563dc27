package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
)

// TripsKept is how long it is known that a tripwire was touched.
const TripsKept = 400 * 24 * time.Hour

const tripColumns = "id, account_id, key_id, name, kind, at, generation, ip, user_agent, words, paused"

func scanTrip(s scanner) (t postern.Trip, err error) {
	var at, paused int64
	err = s.Scan(&t.ID, &t.AccountID, &t.Key, &t.Name, &t.Kind, &at, &t.Generation, &t.IP, &t.UserAgent, &t.Words, &paused)
	t.At, t.Paused = fromMicros(at), paused == 1
	return t, err
}

// MarkTrip notes that a tripwire of a key was touched, and reports false where it
// was within a time before: of all nodes that see the same, one is told true.
func (tx *Tx) MarkTrip(ctx context.Context, key postern.KeyID, kind postern.TripKind, at time.Time, within time.Duration) (bool, error) {
	res, err := tx.db.ExecContext(ctx, `insert into tripwire_marks (key_id, kind, at) values ($1, $2, $3)
		on conflict (key_id, kind) do update set at = excluded.at where tripwire_marks.at <= $4`, key, kind, micros(at), micros(at.Add(-within)))
	if err != nil {
		return false, fmt.Errorf("store: mark a tripwire: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// InsertTrip writes that a tripwire was touched, and forgets what is too old.
func (tx *Tx) InsertTrip(ctx context.Context, t *postern.Trip) error {
	err := tx.exec(ctx, "insert tripwire", "insert into tripwires ("+tripColumns+") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		t.ID, t.AccountID, t.Key, t.Name, t.Kind, micros(t.At), t.Generation, postern.HideSecrets(t.IP), postern.HideSecrets(t.UserAgent),
		postern.HideSecrets(t.Words), bit(t.Paused))
	if err != nil {
		return err
	}
	return tx.exec(ctx, "forget tripwires", "delete from tripwires where at < $1", micros(t.At.Add(-TripsKept)))
}

// Trips gives up to n of the tripwires of an account that were touched, newest
// first, from after a cursor: those of one key where one is named.
func (q *queries) Trips(ctx context.Context, a postern.AccountID, key postern.KeyID, after Cursor, n int) ([]postern.Trip, error) {
	if after.At == 0 {
		after.At = 1 << 62
	}
	if key == "" {
		rows, err := q.db.QueryContext(ctx, "select "+tripColumns+` from tripwires where account_id = $1 and (at, id) < ($2, $3)
			order by at desc, id desc limit $4`, a, after.At, after.ID, n)
		return collect(rows, err, scanTrip)
	}
	rows, err := q.db.QueryContext(ctx, "select "+tripColumns+` from tripwires where account_id = $1 and key_id = $2 and (at, id) < ($3, $4)
		order by at desc, id desc limit $5`, a, key, after.At, after.ID, n)
	return collect(rows, err, scanTrip)
}

// AnyKey reads a service key of whatever account, one that was deleted too; its
// account is the one that its credential names. ok is false where there is none.
func (q *queries) AnyKey(ctx context.Context, id postern.KeyID) (rec KeyRecord, ok bool, err error) {
	rec, err = one(q.db.QueryRowContext(ctx, "select "+keyColumns+keyFrom+"where k.key_id = $1", id), scanKey, "service key")
	if errors.Is(err, postern.CodeNotFound) {
		return rec, false, nil
	}
	return rec, err == nil, err
}
