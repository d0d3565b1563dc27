package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// maxPoints is the most points of a series.
const maxPoints = 2000

// Subject is what totals are asked for: an account, a key of it, or one secret of that.
type Subject struct {
	Account    postern.AccountID
	Key        postern.KeyID
	Generation int64
}

func (s Subject) where() (*where, error) {
	var w where
	if s.Account == "" {
		return nil, errEmptyAccount
	}
	w.and("account_id = ?", string(s.Account))
	if s.Key != "" {
		w.and("key_id = ?", string(s.Key))
	}
	if s.Generation != 0 {
		w.and("generation = ?", s.Generation)
	}
	return &w, nil
}

// Totals are what many calls come to.
type Totals struct {
	Calls       int64
	Refused     int64
	Errors      int64 // allowed calls that were answered with a status of 400 or more
	Duration    time.Duration
	MaxDuration time.Duration
	BytesIn     int64
	BytesOut    int64
}

// Add adds other totals to these.
func (t *Totals) Add(o Totals) {
	t.Calls += o.Calls
	t.Refused += o.Refused
	t.Errors += o.Errors
	t.Duration += o.Duration
	t.MaxDuration = max(t.MaxDuration, o.MaxDuration)
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
}

// totalColumns are sums over activity_hours. PostgreSQL's sum of bigints is no
// bigint, which the casts make it again.
const totalColumns = `cast(sum(calls) as bigint), cast(sum(case when allowed = 0 then calls else 0 end) as bigint),
	cast(sum(errors) as bigint), cast(sum(duration) as bigint), cast(max(max_duration) as bigint),
	cast(sum(bytes_in) as bigint), cast(sum(bytes_out) as bigint)`

// targets are where totalColumns are scanned to, before done has the durations in their unit.
func (t *Totals) targets() []any {
	return []any{&t.Calls, &t.Refused, &t.Errors, (*int64)(&t.Duration), (*int64)(&t.MaxDuration), &t.BytesIn, &t.BytesOut}
}

func (t *Totals) done() {
	t.Duration *= time.Microsecond
	t.MaxDuration *= time.Microsecond
}

// Point is the totals of one step of a series.
type Point struct {
	Start time.Time
	Totals
}

// Series returns the totals of each step from one time until before another,
// also of those without calls. Times are cut to the hour and a step is at least
// one; there are at most 2,000.
func (l *Log) Series(ctx context.Context, s Subject, from, to time.Time, step time.Duration) ([]Point, error) {
	w, err := s.where()
	if err != nil {
		return nil, err
	}
	out, err := emptySeries(from, to, step)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	start, width := hourOf(from), stepOf(step)
	w.and("hour >= ? and hour < ?", start, start+width*int64(len(out)))
	type bucket struct {
		i int64
		t Totals
	}
	buckets, err := collect(ctx, l, func(rows *sql.Rows, b *bucket) error {
		defer b.t.done()
		return rows.Scan(append([]any{&b.i}, b.t.targets()...)...)
	}, fmt.Sprintf(`select (hour - %d) / %d as step, %s from activity_hours where %s group by 1 order by 1`,
		start, width, totalColumns, w.text.String()), w.args...)
	if err != nil {
		return nil, fmt.Errorf("activity: series: %w", err)
	}
	for _, b := range buckets {
		out[b.i].Totals = b.t
	}
	return out, nil
}

// stepOf is a step in microseconds, whole hours.
func stepOf(step time.Duration) int64 { return int64(hour) * max(1, int64(step/time.Hour)) }

func emptySeries(from, to time.Time, step time.Duration) ([]Point, error) {
	start, width := hourOf(from), stepOf(step)
	n := (micros(to) - start + width - 1) / width
	if n > maxPoints {
		return nil, postern.Errorf(postern.CodeInvalid, "A series has at most %d steps; make them longer.", maxPoints)
	}
	out := make([]Point, max(0, n))
	for i := range out {
		out[i].Start = postern.Micros(start + int64(i)*width).Time()
	}
	return out, nil
}

// Sparklines returns how many calls each of some keys made in each of the steps
// from one time until before another: one number a step. A key without calls is
// not in the map.
func (l *Log) Sparklines(ctx context.Context, account postern.AccountID, keys []postern.KeyID, from, to time.Time, step time.Duration) (map[postern.KeyID][]int64, error) {
	steps, err := emptySeries(from, to, step)
	if err != nil || len(steps) == 0 || len(keys) == 0 {
		return nil, err
	}
	if account == "" {
		return nil, errEmptyAccount
	}
	if len(keys) > maxKeys {
		return nil, postern.Errorf(postern.CodeInvalid, "Ask for at most %d keys.", maxKeys)
	}
	start, width := hourOf(from), stepOf(step)
	w := keysWhere(account, keys)
	w.and("hour >= ? and hour < ?", start, start+width*int64(len(steps)))
	type bucket struct {
		key   postern.KeyID
		i     int64
		calls int64
	}
	buckets, err := collect(ctx, l, func(rows *sql.Rows, b *bucket) error { return rows.Scan(&b.key, &b.i, &b.calls) },
		fmt.Sprintf(`select key_id, (hour - %d) / %d as step, cast(sum(calls) as bigint) from activity_hours
			where %s group by 1, 2 order by 1, 2`, start, width, w.text.String()), w.args...)
	if err != nil {
		return nil, fmt.Errorf("activity: sparklines: %w", err)
	}
	out := map[postern.KeyID][]int64{}
	for _, b := range buckets {
		if out[b.key] == nil {
			out[b.key] = make([]int64, len(steps))
		}
		out[b.key][b.i] = b.calls
	}
	return out, nil
}
