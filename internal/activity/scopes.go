package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// ScopeUse is when and from where a scope of a key was needed first and last.
// Allowed tells whether it let the calls through or was what they lacked: only
// the first is a use.
type ScopeUse struct {
	Key        postern.KeyID
	Scope      postern.Scope
	Allowed    bool
	FirstAt    time.Time
	LastAt     time.Time
	Generation int64 // of the latest call, as all that follows
	IP         string
	UserAgent  string
	Upstream   postern.UpstreamID
	Operation  string
	Calls      int64 // since the key was made, or as long as totals are kept
}

// ScopeUses tells when each scope of a key was needed, in the order of their
// names. A scope that never was is not among them.
func (l *Log) ScopeUses(ctx context.Context, account postern.AccountID, key postern.KeyID) ([]ScopeUse, error) {
	if account == "" || key == "" {
		return nil, errEmptyAccount
	}
	out, err := collect(ctx, l, scanScopeUse, `select `+scopeColumns+` from activity_scopes
		where account_id = $1 and key_id = $2 order by scope, allowed desc limit 10000`, string(account), string(key))
	if err != nil {
		return nil, fmt.Errorf("activity: scopes of %s: %w", key, err)
	}
	return out, nil
}

// AllScopeUses goes through the scopes that each key of an account needed, in the
// order of the keys and of the scopes, a page at a time.
func (l *Log) AllScopeUses(ctx context.Context, account postern.AccountID, fn func(*ScopeUse) error) error {
	if account == "" {
		return errEmptyAccount
	}
	const page = 1000
	var last ScopeUse
	for {
		rows, err := collect(ctx, l, scanScopeUse, `select `+scopeColumns+` from activity_scopes
			where account_id = $1 and (key_id, scope, allowed) > ($2, $3, $4) order by key_id, scope, allowed limit $5`,
			string(account), string(last.Key), string(last.Scope), bit(last.Allowed), page)
		if err != nil {
			return fmt.Errorf("activity: scopes: %w", err)
		}
		for i := range rows {
			if err := fn(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		last = rows[len(rows)-1]
	}
}

const scopeColumns = `key_id, scope, allowed, first_at, at, generation, ip, user_agent, upstream, operation, calls`

func scanScopeUse(rows *sql.Rows, u *ScopeUse) error {
	var allowed, first, at int64
	err := rows.Scan(&u.Key, &u.Scope, &allowed, &first, &at, &u.Generation, &u.IP, &u.UserAgent, &u.Upstream, &u.Operation, &u.Calls)
	u.Allowed, u.FirstAt, u.LastAt = allowed == 1, postern.Micros(first).Time(), postern.Micros(at).Time()
	return err
}

// Needed is what the calls of one operation that needed the same scopes come to.
type Needed struct {
	Upstream  postern.UpstreamID
	Operation string          // empty where scopes were asked for instead of an operation
	Scopes    []postern.Scope // what let the calls through, or what they lacked
	Allowed   bool
	First     time.Time // the starts of the hours of the first and the latest call
	Last      time.Time
	Calls     int64
}

// maxNeeded is the most rows of one answer.
const maxNeeded = 20_000

// Needs tells what a key called, and which scopes it needed for it, from one time
// until before another, by the hour. It reaches as far back as totals are kept.
// A zero until is now.
func (l *Log) Needs(ctx context.Context, account postern.AccountID, key postern.KeyID, since, until time.Time) ([]Needed, error) {
	if account == "" || key == "" {
		return nil, errEmptyAccount
	}
	out, err := collect(ctx, l, func(rows *sql.Rows, n *Needed) error {
		var scopes string
		var allowed, first, last int64
		err := rows.Scan(&n.Upstream, &n.Operation, &scopes, &allowed, &first, &last, &n.Calls)
		n.Scopes, n.Allowed = splitScopes(scopes), allowed == 1
		n.First, n.Last = postern.Micros(first).Time(), postern.Micros(last).Time()
		return err
	}, `select upstream, operation, scopes, allowed, min(hour), max(hour), cast(sum(calls) as bigint) from activity_hours
		where account_id = $1 and key_id = $2 and hour >= $3 and hour < $4
		group by 1, 2, 3, 4 order by 1, 2, 3, 4 limit $5`, string(account), string(key), hourOf(since), microsEnd(until), maxNeeded)
	if err != nil {
		return nil, fmt.Errorf("activity: needs of %s: %w", key, err)
	}
	return out, nil
}
