package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// Wrong is a total that isn't what its calls come to.
type Wrong struct {
	Hour       time.Time
	Key        postern.KeyID
	Operation  string
	Reason     postern.Reason
	Calls      int64 // as the total says
	ShouldBe   int64
	Everything bool // the calls are as many, and their bytes, durations or errors differ
}

// Check compares an account's totals with the calls that they are made of, from
// the hour that one time is in until before that of another, and returns up to 100
// that are wrong. Totals are written with their calls, so there are none, unless
// somebody changed the database. Hours whose calls were removed can't be checked.
func (l *Log) Check(ctx context.Context, account postern.AccountID, from, to time.Time) ([]Wrong, error) {
	sum := newSums()
	seen := map[shape]*facts{}
	first, end := hourOf(from), hourOf(to)
	f := Filter{Account: account, Since: postern.Micros(first).Time(), Until: postern.Micros(end).Time()}
	err := l.Each(ctx, f, func(a *postern.Activity) error {
		s := shapeOf(a)
		if seen[s] == nil {
			seen[s] = &facts{shape: s}
		}
		sum.add(a.Seq, postern.ToMicros(a.At), seen[s], a.Duration.Microseconds(), a.BytesIn, a.BytesOut)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range sum.cells {
		sum.addHour(c)
	}
	type row struct {
		hourKey
		hourSum
	}
	var wrong []Wrong
	note := func(k *hourKey, have, want hourSum) {
		if have != want && len(wrong) < 100 {
			wrong = append(wrong, Wrong{k.hour.Time(), k.key, k.operation, k.reason, have.calls, want.calls, have.calls == want.calls})
		}
	}
	for at := first; at < end; at += int64(hour) {
		rows, err := collect(ctx, l, func(rows *sql.Rows, r *row) error {
			var reason string
			var allowed int64
			err := rows.Scan(&r.key, &r.generation, &r.upstream, &r.operation, &r.scopes, &allowed, &reason, &r.status,
				&r.calls, &r.errors, &r.duration, &r.maxDuration, &r.bytesIn, &r.bytesOut)
			r.account, r.hour, r.allowed = account, postern.Micros(at), allowed == 1
			r.reason, _ = postern.ParseReason(reason)
			return err
		}, `select key_id, generation, upstream, operation, scopes, allowed, reason, status, calls, errors, duration, max_duration, bytes_in, bytes_out
			from activity_hours where account_id = $1 and hour = $2`, string(account), at)
		if err != nil {
			return nil, fmt.Errorf("activity: check totals: %w", err)
		}
		for i := range rows {
			r := &rows[i]
			var want hourSum
			if s := sum.hours[r.hourKey]; s != nil {
				want = *s
				delete(sum.hours, r.hourKey)
			}
			note(&r.hourKey, r.hourSum, want)
		}
	}
	for k, s := range sum.hours {
		note(&k, hourSum{}, *s)
	}
	return wrong, nil
}

// shapeOf is what a call has in common with others, as far as totals go by it.
func shapeOf(a *postern.Activity) shape {
	s := shape{account: a.AccountID, key: a.KeyID, upstream: a.Upstream, operation: a.Operation, generation: a.Generation, status: a.Status, reason: a.Reason, allowed: a.Allowed}
	needed := a.Missing
	if a.Allowed {
		needed = a.Used
	}
	for i, name := range needed {
		if i > 0 {
			s.missing += " "
		}
		s.missing += string(name)
	}
	s.used = s.missing
	return s
}
