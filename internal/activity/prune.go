package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern/internal/store"
)

const (
	pruneRows = 500
	// pruneCalls is how many calls, in blocks, go with one step.
	pruneCalls = 20_000
	// tidyEvery is how often small blocks are merged; pruneEvery is every how many times of it that what is too old goes.
	tidyEvery  = time.Minute
	pruneEvery = 60
	// prunePause leaves the writer to the batches between two steps.
	prunePause = 20 * time.Millisecond
)

// Horizon says how far back activity is kept: single calls since one time, and
// all that is made from them since another.
type Horizon struct{ Calls, Totals time.Time }

// pruneSteps remove a few of the rows that are older than $1, at most $2. Blocks
// of calls have a step of their own.
var pruneSteps = []string{
	`delete from activity_hours where (account_id, key_id, hour, generation, upstream, operation, scopes, allowed, reason, status) in (
		select account_id, key_id, hour, generation, upstream, operation, scopes, allowed, reason, status from activity_hours where hour < $1 order by hour limit $2)`,
	`delete from activity_callers where (account_id, key_id, hour, generation, ip, user_agent) in (
		select account_id, key_id, hour, generation, ip, user_agent from activity_callers where hour < $1 order by hour limit $2)`,
	`delete from activity_uses where (account_id, key_id, generation) in (
		select account_id, key_id, generation from activity_uses where at < $1 order by at limit $2)`,
	`delete from activity_scopes where (account_id, key_id, scope, allowed) in (
		select account_id, key_id, scope, allowed from activity_scopes where at < $1 order by at limit $2)`,
	`delete from activity_days where (account_id, day_start) in (
		select account_id, day_start from activity_days where day_start < $1 order by day_start limit $2)`,
	`delete from activity_strangers where (hour, network, reason, door) in (
		select hour, network, reason, door from activity_strangers where hour < $1 order by hour limit $2)`,
	`delete from activity_losses where (hour, reason) in (
		select hour, reason from activity_losses where hour < $1 order by hour limit $2)`,
	// As long as totals are kept, so that a spool that lay about isn't counted again.
	`delete from activity_writers where writer in (
		select writer from activity_writers where at < $1 order by at limit $2)`,
}

// Prune takes one small step of removing what is older than a horizon: up to n
// rows of each table, each in a transaction of its own. It returns how many rows
// went; call it until that is 0. A block of calls
// goes when all of it is too old; on PostgreSQL, a day of them.
func (l *Log) Prune(ctx context.Context, before Horizon, n int) (int64, error) {
	gone, err := l.pruneCalls(ctx, before.Calls, max(1, n))
	if err != nil {
		return gone, fmt.Errorf("activity: prune calls: %w", err)
	}
	spans, err := l.pruneSpans(ctx, before.Calls)
	if gone += spans; err != nil {
		return gone, fmt.Errorf("activity: prune spans: %w", err)
	}
	at := hourOf(before.Totals) // an hour goes when all of it is too old
	for _, step := range pruneSteps {
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, step, at, max(1, n))
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

// pruneCalls takes one step of removing calls: some blocks, or on PostgreSQL a day.
func (l *Log) pruneCalls(ctx context.Context, before time.Time, n int) (int64, error) {
	if l.pool.Engine == store.SQLite {
		return l.pruneBlocks(ctx, before, n)
	}
	dropped, err := l.dropDay(ctx, before)
	return bit(dropped), err
}

// pruneSpans removes the oldest group, and the oldest span without one, whose
// calls are all older than a time.
func (l *Log) pruneSpans(ctx context.Context, before time.Time) (gone int64, err error) {
	type row struct {
		account string
		lastSeq int64
	}
	scan := func(rows *sql.Rows, r *row) error { return rows.Scan(&r.account, &r.lastSeq) }
	groups, err := collect(ctx, l, scan, `select account_id, last_seq from activity_groups where last_at < $1 and state >= $2 order by last_at limit 1`, micros(before), groupDone)
	if err != nil {
		return 0, err
	}
	spans, err := collect(ctx, l, scan, `select account_id, last_seq from activity_spans s where last_at < $1
		and not exists (select 1 from activity_groups g where g.account_id = s.account_id and g.last_seq >= s.last_seq) order by last_at limit 1`, micros(before))
	if err != nil {
		return 0, err
	}
	for _, r := range groups {
		if err := l.pruneGroup(ctx, r.account, r.lastSeq); err != nil {
			return gone, err
		}
		gone++
	}
	for _, r := range spans {
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `delete from activity_spans where account_id = $1 and last_seq = $2`, r.account, r.lastSeq); err != nil {
				return err
			}
			return deleteBits(ctx, tx, `delete from activity_span_bits where account_id = $1 and last_seq = $2 and chunk in `, r.account, r.lastSeq, 0, signatureBits/chunkRows)
		})
		if err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// pruneGroup removes a group and its spans, in small steps.
func (l *Log) pruneGroup(ctx context.Context, account string, lastSeq int64) error {
	const step = 4096
	for first := 0; first < signatureBits; first += step {
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			// Nobody looks into it from now on.
			if _, err := tx.ExecContext(ctx, `update activity_groups set state = $1 where account_id = $2 and last_seq = $3`, groupGoing, account, lastSeq); err != nil {
				return err
			}
			return deleteBits(ctx, tx, `delete from activity_group_bits where account_id = $1 and last_seq = $2 and bit in `, account, lastSeq, first, min(first+step, signatureBits))
		})
		if err != nil {
			return err
		}
		pause(ctx)
	}
	return l.pool.Write(ctx, func(tx *sql.Tx) error {
		// The oldest goes first, so that there is none before it.
		if _, err := tx.ExecContext(ctx, `delete from activity_spans where account_id = $1 and last_seq <= $2
			and last_seq > (select coalesce(max(last_seq), 0) from activity_groups where account_id = $1 and last_seq < $2)`, account, lastSeq); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from activity_groups where account_id = $1 and last_seq = $2`, account, lastSeq)
		return err
	})
}

// deleteBits removes rows of bits by their whole key, since those of others lie between.
func deleteBits(ctx context.Context, tx *sql.Tx, query, account string, lastSeq int64, from, to int) error {
	for ; from < to; from += 256 {
		args := []any{account, lastSeq}
		for i := from; i < min(from+256, to); i++ {
			args = append(args, i)
		}
		list, args := inList(args, len(args)-2)
		if _, err := tx.ExecContext(ctx, query+list, args...); err != nil {
			return err
		}
	}
	return nil
}

// pruneBlocks removes up to n blocks whose calls are all older than a time.
func (l *Log) pruneBlocks(ctx context.Context, before time.Time, n int) (gone int64, err error) {
	err = l.pool.Write(ctx, func(tx *sql.Tx) error {
		gone = 0
		if err := l.lockHead(ctx, tx); err != nil {
			return err
		}
		blocks, err := scanAll(ctx, tx, scanBlock, `select `+blockColumns+` from activity_blocks b where last_at < $1
			order by last_at limit $2`, []any{micros(before), n})
		if err != nil {
			return err
		}
		calls := int64(0)
		for i := range blocks {
			if calls += blocks[i].calls; calls > pruneCalls && i > 0 {
				break
			}
			if err := l.deleteBlocks(ctx, tx, blocks[i:i+1]); err != nil {
				return err
			}
			gone++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// tidy merges small blocks and removes what is too old, in small steps, until ctx is done.
func (l *Log) tidy(ctx context.Context) {
	var m merger
	wait := time.Minute // not while everything starts
	pruned := -pruneEvery
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = tidyEvery
		if l.cfg.Leads != nil && !l.cfg.Leads() {
			m = merger{} // another one does, and knows how far it is
			continue
		}
		if err := m.run(ctx, l); err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("activity: merge blocks", "err", err)
		}
		if err := l.makeSpans(ctx, m.seq); err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("activity: make spans", "err", err)
		}
		if err := l.makeGroups(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Logger.Warn("activity: make groups of spans", "err", err)
		}
		if i-pruned >= pruneEvery {
			pruned = i
			l.pruneAll(ctx)
		}
	}
}

// Tidy does at once what Run does from time to time: it merges small blocks, makes
// spans, and removes what is too old.
func (l *Log) Tidy(ctx context.Context) error {
	var m merger
	if err := m.run(ctx, l); err != nil {
		return err
	}
	if err := l.makeSpans(ctx, m.seq); err != nil {
		return err
	}
	if err := l.makeGroups(ctx); err != nil {
		return err
	}
	l.pruneAll(ctx)
	return ctx.Err()
}

// pruneAll removes all that is too old.
func (l *Log) pruneAll(ctx context.Context) {
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
		pause(ctx)
	}
	if total > 0 {
		l.cfg.Logger.Info("activity: pruned", "rows", total, "calls_before", before.Calls, "totals_before", before.Totals)
	}
}

// pause leaves the writer to the batches for a moment.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(prunePause):
	}
}
