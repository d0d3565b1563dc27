package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern.dev/postern"
)

// liveSecret is whether the secret of a report still works, or could again: what has
// expired can be given a later end, unless it is a personal key. Its argument is the time.
const liveSecret = `(c.revoked_at = 0 and c.deleted_at = 0 and (c.expires_at = 0 or c.expires_at > $2 or c.kind <> 'personal_access_key') and
	(r.generation = c.current_generation or r.generation = c.previous_generation and c.previous_until > $2 and c.previous_ended = 0))`

const leakColumns = `r.id, r.account_id, r.key_id, c.kind, coalesce(k.name, p.name, l.name, ''), r.generation, r.last_four, r.source, r.url, r.did, r.at,
	case when ` + liveSecret + ` then 1 else 0 end`

const leakFrom = ` from leak_reports r join credentials c on c.key_id = r.key_id
	left join service_keys k on k.key_id = r.key_id left join personal_keys p on p.key_id = r.key_id
	left join legacy_credentials l on l.key_id = r.key_id `

func scanLeak(s scanner) (l postern.LeakReport, err error) {
	var kind string
	var at, live int64
	err = s.Scan(&l.ID, &l.AccountID, &l.Key, &kind, &l.Name, &l.Generation, &l.LastFour, &l.Source, &l.URL, &l.Did, &at, &live)
	l.Kind, _ = postern.ParseKind(kind)
	l.At, l.Live = fromMicros(at), live == 1
	return l, err
}

// InsertLeak notes that a secret was found. It reports whether that is news: not
// where it was found at this place before, nor beyond the most that is kept of one secret.
func (tx *Tx) InsertLeak(ctx context.Context, l *postern.LeakReport) (bool, error) {
	var n int
	err := tx.db.QueryRowContext(ctx, "select count(*) from leak_reports where key_id = $1 and generation = $2", l.Key, l.Generation).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("store: count leak reports: %w", err)
	}
	if n >= postern.MaxLeakReports {
		return false, nil
	}
	res, err := tx.db.ExecContext(ctx, `insert into leak_reports (id, account_id, key_id, generation, last_four, source, url, did, at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (key_id, generation, source, url) do nothing`,
		l.ID, l.AccountID, l.Key, l.Generation, l.LastFour, l.Source, l.URL, string(l.Did), micros(l.At))
	if err != nil {
		return false, fmt.Errorf("store: insert leak report: %w", err)
	}
	made, err := res.RowsAffected()
	return made == 1, err
}

// Leaks gives up to n reports of an account, newest first, from after the cursor:
// those of one key where one is named.
func (q *queries) Leaks(ctx context.Context, a postern.AccountID, key postern.KeyID, now time.Time, after Cursor, n int) ([]postern.LeakReport, error) {
	args := []any{a, micros(now)}
	where := "where r.account_id = $1"
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if key != "" {
		where += " and r.key_id = " + arg(key)
	}
	if after.ID != "" {
		where += " and (r.at, r.id) < (" + arg(after.At) + ", " + arg(after.ID) + ")"
	}
	rows, err := q.db.QueryContext(ctx, "select "+leakColumns+leakFrom+where+" order by r.at desc, r.id desc limit "+arg(n), args...)
	return collect(rows, err, scanLeak)
}

// LiveLeaks are the newest reports of some credentials of an account whose found secret still works, or could again.
func (q *queries) LiveLeaks(ctx context.Context, a postern.AccountID, keys []postern.KeyID, now time.Time) (map[postern.KeyID]postern.LeakReport, error) {
	out := map[postern.KeyID]postern.LeakReport{}
	if len(keys) == 0 {
		return out, nil
	}
	args := []any{a, micros(now)}
	list := inList(keys, func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	})
	rows, err := q.db.QueryContext(ctx, "select "+leakColumns+leakFrom+
		strings.Join([]string{"where r.account_id = $1", "r.key_id in " + list, liveSecret}, " and ")+" order by r.at, r.id", args...)
	all, err := collect(rows, err, scanLeak)
	for _, l := range all {
		out[l.Key] = l
	}
	return out, err
}
