package activity

import (
	"context"
	"database/sql"
	"fmt"

	"postern.dev/postern"
)

// eachBlocks is how many blocks one look of Each reads.
const eachBlocks = 16

// Each calls fn with every call that passes a filter and was written before Each
// began, in the order of their numbers, which is that of writing and nearly that
// of time. Memory is bounded however many there are, and the database is free
// between two looks. An error of fn ends it, and is returned.
func (l *Log) Each(ctx context.Context, f Filter, fn func(*postern.Activity) error) error {
	return l.EachAfter(ctx, f, 0, fn)
}

// EachAfter is Each for the calls after a number: that of the last which fn was
// given before. Numbers never change, so whoever goes on later gets each call once.
func (l *Log) EachAfter(ctx context.Context, f Filter, after int64, fn func(*postern.Activity) error) error {
	if f.Account == "" {
		return errEmptyAccount
	}
	heads, err := collect(ctx, l, func(rows *sql.Rows, n *int64) error { return rows.Scan(n) }, `select seq from activity_head where id = 1`)
	if err != nil {
		return fmt.Errorf("activity: each call: %w", err)
	}
	test := f.test()
	since, until := postern.Micros(micros(f.Since)), postern.Micros(microsEnd(f.Until))
	for after < heads[0] {
		rows, err := l.blocksAfter(ctx, &f, after, heads[0])
		if err != nil {
			return fmt.Errorf("activity: each call: %w", err)
		}
		for i := range rows {
			b := &rows[i]
			var failed error
			l.open(b, func(u *unpacked) error {
				return test.pass(u, func(c *call) {
					if failed == nil && c.seq > after && c.seq <= heads[0] && c.at >= since && c.at < until {
						failed = fn(u.show(c))
					}
				})
			})
			if failed != nil {
				return failed
			}
			after = max(after, b.seq)
		}
		if len(rows) < eachBlocks {
			return nil
		}
	}
	return nil
}

// blocksAfter returns the next blocks that hold calls after a number, up to another.
func (l *Log) blocksAfter(ctx context.Context, f *Filter, after, upTo int64) ([]blockRow, error) {
	query := `select ` + blockColumns + ` from activity_blocks b
		where account_id = $1 and seq > $2 and first_seq <= $3 and last_at >= $4 and first_at < $5`
	args := []any{string(f.Account), after, upTo, micros(f.Since), microsEnd(f.Until), eachBlocks}
	if f.Key != "" {
		query += ` and exists (select 1 from activity_block_keys k where k.account_id = b.account_id and k.key_id = $7
			and k.last_at >= b.first_at and k.last_at <= b.last_at and k.seq = b.seq)`
		args = append(args, string(f.Key))
	}
	return collect(ctx, l, scanBlock, query+` order by seq limit $6`, args...)
}
