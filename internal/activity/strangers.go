package activity

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
)

// keptStrangers is how many of the latest calls without an account are kept in memory.
const keptStrangers = 512

// ring holds the latest calls of strangers, for whoever looks into a problem.
type ring struct {
	mu   sync.Mutex
	seen int
	call [keptStrangers]postern.Activity
}

func (r *ring) add(a postern.Activity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call[r.seen%keptStrangers] = a
	r.seen++
}

// Strangers returns the latest calls that belong to no account, newest first:
// up to 512 that this process saw. It is for the operator, not for an account.
func (l *Log) Strangers(n int) []postern.Activity {
	r := &l.strangers
	r.mu.Lock()
	defer r.mu.Unlock()
	n = max(0, min(n, r.seen, keptStrangers))
	out := make([]postern.Activity, 0, n)
	for i := r.seen - n; i < r.seen; i++ {
		out = append(out, r.call[i%keptStrangers])
	}
	slices.Reverse(out)
	return out
}

// Network is what a network of strangers did: calls that belong to no account.
type Network struct {
	Network string // a /24 or /48; empty for those beyond the bound of an hour, "unknown" for no address
	Reason  postern.Reason
	Door    string
	Calls   int64
	LastAt  time.Time
}

// Networks returns the networks that strangers called from since a time, by the
// hour, those with most calls first, up to n (at most 500). It is for the operator.
func (l *Log) Networks(ctx context.Context, since time.Time, n int) ([]Network, error) {
	out, err := collect(ctx, l, func(rows *sql.Rows, v *Network) error {
		var reason string
		var last int64
		err := rows.Scan(&v.Network, &reason, &v.Door, &v.Calls, &last)
		v.Reason, _ = postern.ParseReason(reason)
		v.LastAt = postern.Micros(last).Time()
		return err
	}, `select network, reason, door, cast(sum(calls) as bigint), max(last_at) from activity_strangers where hour >= $1
		group by network, reason, door order by 4 desc, network, reason, door limit $2`, hourOf(since), max(1, min(n, 500)))
	if err != nil {
		return nil, fmt.Errorf("activity: networks: %w", err)
	}
	return out, nil
}
