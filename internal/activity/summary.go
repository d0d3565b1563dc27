package activity

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern"
)

// Summary is the totals of a time, whole and by what they are made of.
type Summary struct {
	Totals
	ByReason      map[postern.Reason]int64
	ByStatusClass map[int]int64 // 2 for 200 to 299; 0 where there was no answer
	ByOperation   []OperationTotals
}

// OperationTotals are the totals of one operation, the most called first.
type OperationTotals struct {
	Upstream  postern.UpstreamID
	Operation string // empty for calls that the catalog doesn't know
	Totals
}

// Summary returns the totals from one time until before another, by the hour.
// A zero until is now.
func (l *Log) Summary(ctx context.Context, s Subject, since, until time.Time) (*Summary, error) {
	w, err := s.where()
	if err != nil {
		return nil, err
	}
	w.and("hour >= ? and hour < ?", hourOf(since), microsEnd(until))
	type part struct {
		upstream  postern.UpstreamID
		operation string
		reason    string
		class     int
		t         Totals
	}
	parts, err := collect(ctx, l, func(rows *sql.Rows, p *part) error {
		defer p.t.done()
		return rows.Scan(append([]any{&p.upstream, &p.operation, &p.reason, &p.class}, p.t.targets()...)...)
	}, `select upstream, operation, reason, status / 100 as class, `+totalColumns+` from activity_hours where `+w.text.String()+`
		group by 1, 2, 3, 4 order by 1, 2, 3, 4`, w.args...)
	if err != nil {
		return nil, fmt.Errorf("activity: summary: %w", err)
	}
	out := &Summary{ByReason: map[postern.Reason]int64{}, ByStatusClass: map[int]int64{}}
	for _, p := range parts {
		out.Add(p.t)
		reason, _ := postern.ParseReason(p.reason)
		out.ByReason[reason] += p.t.Calls
		out.ByStatusClass[p.class] += p.t.Calls
		n := len(out.ByOperation)
		if n == 0 || out.ByOperation[n-1].Upstream != p.upstream || out.ByOperation[n-1].Operation != p.operation {
			out.ByOperation = append(out.ByOperation, OperationTotals{Upstream: p.upstream, Operation: p.operation})
			n++
		}
		out.ByOperation[n-1].Add(p.t)
	}
	slices.SortStableFunc(out.ByOperation, func(a, b OperationTotals) int { return cmp.Compare(b.Calls, a.Calls) })
	return out, nil
}

// SecretTotals are the calls with one secret of a key.
type SecretTotals struct {
	Generation int64
	Totals
	Use Use // the first and the latest allowed call; zero where there was none
}

// BySecret returns the calls of a key by secret since a time, the newest secret
// first: also of secrets that were used before and are silent since.
func (l *Log) BySecret(ctx context.Context, account postern.AccountID, key postern.KeyID, since time.Time) ([]SecretTotals, error) {
	if account == "" || key == "" {
		return nil, errEmptyAccount
	}
	out, err := collect(ctx, l, func(rows *sql.Rows, t *SecretTotals) error {
		defer t.done()
		return rows.Scan(append([]any{&t.Generation}, t.targets()...)...)
	}, `select generation, `+totalColumns+` from activity_hours where account_id = $1 and key_id = $2 and hour >= $3
		group by generation order by generation desc`, string(account), string(key), hourOf(since))
	if err != nil {
		return nil, fmt.Errorf("activity: by secret of %s: %w", key, err)
	}
	uses, err := l.Uses(ctx, account, key)
	if err != nil {
		return nil, err
	}
	for _, u := range uses {
		i := slices.IndexFunc(out, func(t SecretTotals) bool { return t.Generation == u.Generation })
		if i < 0 {
			i = len(out)
			out = append(out, SecretTotals{Generation: u.Generation})
		}
		out[i].Use = u
	}
	slices.SortFunc(out, func(a, b SecretTotals) int { return cmp.Compare(b.Generation, a.Generation) })
	return out, nil
}

// Caller is one address and user agent that calls with a secret of a key.
type Caller struct {
	Generation int64
	IP         string // empty, as UserAgent is, for callers beyond the 256 that a key's hour tells apart
	UserAgent  string
	FirstAt    time.Time
	LastAt     time.Time
	Calls      int64
	Refused    int64
}

// Callers returns who called with a key since a time, latest first, up to 500.
// With a generation they are those who used that secret: what a rotation waits
// for. Calls are counted by the hour that the time is in.
func (l *Log) Callers(ctx context.Context, account postern.AccountID, key postern.KeyID, generation int64, since time.Time) ([]Caller, error) {
	if account == "" || key == "" {
		return nil, errEmptyAccount
	}
	var w where
	w.and("account_id = ? and key_id = ?", string(account), string(key))
	w.and("hour >= ? and last_at >= ?", hourOf(since), micros(since))
	if generation != 0 {
		w.and("generation = ?", generation)
	}
	out, err := collect(ctx, l, func(rows *sql.Rows, c *Caller) error {
		var first, last int64
		err := rows.Scan(&c.Generation, &c.IP, &c.UserAgent, &first, &last, &c.Calls, &c.Refused)
		c.FirstAt, c.LastAt = postern.Micros(first).Time(), postern.Micros(last).Time()
		return err
	}, `select generation, ip, user_agent, min(first_at), max(last_at), cast(sum(calls) as bigint), cast(sum(refused) as bigint)
		from activity_callers where `+w.text.String()+` group by generation, ip, user_agent
		order by 5 desc, generation desc, ip, user_agent limit 500`, w.args...)
	if err != nil {
		return nil, fmt.Errorf("activity: callers of %s: %w", key, err)
	}
	return out, nil
}
