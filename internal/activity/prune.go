package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	pruneRows  = 500
	pruneEvery = time.Hour
	// prunePause leaves the writer to the batches between two steps.
	prunePause = 20 * time.Millisecond
)

// Horizon says how far back activity is kept: single calls since one time, and
// all that is made from them since another.
type Horizon struct{ Calls, Totals time.Time }

// pruneSteps remove a few of the rows that are older than $1, at most $2. Calls
// are in the order of their numbers, which is nearly that of their times: the
// oldest are looked at, and of those the ones that are too old are removed.
var pruneSteps = []struct {
	calls bool
	query string
}{
	{true, `delete from activity_calls where at < $1 and seq in (select seq from activity_calls order by seq limit $2)`},
	{false, `delete from activity_hours where (account_id, key_id, hour, generation, upstream, operation, allowed, reason, status_class) in (
		select account_id, key_id, hour, generation, upstream, operation, allowed, reason, status_class from activity_hours where hour < $1 order by hour limit $2)`},
	{false, `delete from activity_callers where (account_id, key_id, hour, generation, ip, user_agent) in (
		select account_id, key_id, hour, generation, ip, user_agent from activity_callers where hour < $1 order by hour limit $2)`},
	{false, `delete from activity_uses where (account_id, key_id, generation) in (
		select account_id, key_id, generation from activity_uses where at < $1 order by at limit $2)`},
	{false, `delete from activity_days where (account_id, day_start) in (
		select account_id, day_start from activity_days where day_start < $1 order by day_start limit $2)`},
	{false, `delete from activity_strangers where (hour, network, reason, door) in (
		select hour, network, reason, door from activity_strangers where hour < $1 order by hour limit $2)`},
	{false, `delete from activity_losses where (hour, reason) in (
		select hour, reason from activity_losses where hour < $1 order by hour limit $2)`},
	{true, `delete from activity_writers where writer in (
		select writer from activity_writers where at < $1 order by at limit $2)`},
}

// Prune takes one small step of removing what is older than a horizon: up to n
// rows of each table, each in a transaction of its own. It returns how many rows
// went; call it until that is 0.
func (l *Log) Prune(ctx context.Context, before Horizon, n int) (int64, error) {
	var gone int64
	for _, step := range pruneSteps {
		// An hour goes when all of it is too old.
		at := hourOf(before.Totals)
		if step.calls {
			at = micros(before.Calls)
		}
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, step.query, at, max(1, n))
			if err != nil {
				return err
			}
			k, err := res.RowsAffected()
			gone += k
			return err
		})
		if err != nil {
			return gone, fmt.Errorf("activity: prune: %w", err)
		}
	}
	return gone, nil
}

// pruneHourly removes what is too old, in small steps, until ctx is done.
func (l *Log) pruneHourly(ctx context.Context) {
	wait := time.Minute // not while everything starts
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = pruneEvery
		now := l.cfg.Now()
		before := Horizon{now.Add(-l.cfg.KeepCalls), now.Add(-l.cfg.KeepTotals)}
		total := int64(0)
		for ctx.Err() == nil {
			n, err := l.Prune(ctx, before, pruneRows)
			total += n
			if err != nil && ctx.Err() == nil {
				l.cfg.Logger.Warn("activity: prune", "err", err)
			}
			if err != nil || n == 0 {
				break
			}
			time.Sleep(prunePause)
		}
		if total > 0 {
			l.cfg.Logger.Info("activity: pruned", "rows", total, "calls_before", before.Calls, "totals_before", before.Totals)
		}
	}
}
