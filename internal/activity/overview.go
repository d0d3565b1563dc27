package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// maxOverview is the most keys that an overview tells of: more than an account can have.
const maxOverview = 200_000

// AllUses tells when each key of an account was last used, for lists that are
// sorted by it. A key that never was is not in the map.
func (l *Log) AllUses(ctx context.Context, account postern.AccountID) (map[postern.KeyID]Use, error) {
	uses, err := collect(ctx, l, scanUse, `select `+useColumns+` from activity_uses where account_id = $1
		order by key_id, generation limit $2`, string(account), maxOverview)
	if err != nil {
		return nil, fmt.Errorf("activity: all uses: %w", err)
	}
	out := make(map[postern.KeyID]Use, len(uses))
	for i := range uses {
		if u := &uses[i]; u.LastAt.After(out[u.Key].LastAt) {
			out[u.Key] = *u
		}
	}
	return out, nil
}

// KeyCalls are the calls of one key.
type KeyCalls struct{ Calls, Refused int64 }

// CallsByKey returns the calls of each key of an account since the hour that a
// time is in. A key without calls is not in the map.
func (l *Log) CallsByKey(ctx context.Context, account postern.AccountID, since time.Time) (map[postern.KeyID]KeyCalls, error) {
	if account == "" {
		return nil, errEmptyAccount
	}
	type row struct {
		key postern.KeyID
		n   KeyCalls
	}
	// Grouped by what is no column of an index, or SQLite walks through all hours of the account in the order of keys.
	rows, err := collect(ctx, l, func(rows *sql.Rows, r *row) error { return rows.Scan(&r.key, &r.n.Calls, &r.n.Refused) }, `
		select key_id || '' as key, cast(sum(calls) as bigint), cast(sum(case when allowed = 0 then calls else 0 end) as bigint)
		from activity_hours where account_id = $1 and hour >= $2 group by 1 limit $3`,
		string(account), hourOf(since), maxOverview)
	if err != nil {
		return nil, fmt.Errorf("activity: calls by key: %w", err)
	}
	out := make(map[postern.KeyID]KeyCalls, len(rows))
	for _, r := range rows {
		out[r.key] = r.n
	}
	return out, nil
}
