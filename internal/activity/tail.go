package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// tailBlocks is how many new blocks one look of Tail reads at most.
const tailBlocks = 32

// tailPoll is how often Tail looks for calls that another node wrote. A test makes it long.
var tailPoll = time.Second

// Tail waits for calls that pass a filter and were written after a cursor, and
// returns up to 200 of them, oldest first, with the cursor to go on from. The
// zero Cursor means from now on. Where nothing came in the time it may wait, it
// returns none, and a cursor. Since and Until don't matter here: what counts is
// the order of writing, so that a call which reached the database late is still shown.
func (l *Log) Tail(ctx context.Context, f Filter, after Cursor, wait time.Duration) ([]postern.Activity, Cursor, error) {
	if f.Account == "" {
		return nil, after, errEmptyAccount
	}
	over := time.NewTimer(max(0, wait))
	defer over.Stop()
	for {
		grown := l.grown.next() // before looking, so that nothing falls between
		page, next, more, err := l.tail(ctx, &f, after)
		if err != nil {
			return nil, after, fmt.Errorf("activity: tail: %w", err)
		}
		after = next
		if len(page) > 0 {
			return page, after, nil
		}
		if more {
			grown = closed
		}
		select {
		case <-ctx.Done():
			return nil, after, ctx.Err()
		case <-over.C:
			return nil, after, nil
		case <-grown:
		case <-time.After(tailPoll):
		}
	}
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// tail looks once, and reports whether there is more to look at.
func (l *Log) tail(ctx context.Context, f *Filter, after Cursor) (page []postern.Activity, next Cursor, more bool, err error) {
	heads, err := collect(ctx, l, func(rows *sql.Rows, n *int64) error { return rows.Scan(n) }, `select seq from activity_head where id = 1`)
	if err != nil || len(heads) == 0 {
		return nil, after, false, err
	}
	// A cursor of Tail has a time even where there was no call, so that it isn't the zero one.
	now := max(1, postern.ToMicros(l.cfg.Now()))
	head := heads[0]
	if after.Zero() {
		return nil, Cursor{now, head}, false, nil
	}
	if after.Seq >= head {
		return nil, after, false, nil
	}
	// Numbers of an account's blocks don't overlap, so this is the order of writing. What
	// is there now reaches at least to the head that was read before.
	rows, err := collect(ctx, l, scanBlock, `select `+blockColumns+` from activity_blocks b
		where account_id = $1 and seq > $2 order by seq limit $3`, string(f.Account), after.Seq, tailBlocks)
	if err != nil {
		return nil, after, false, err
	}
	test := f.test()
	for i := range rows {
		var found []postern.Activity
		l.open(&rows[i], func(u *unpacked) error {
			return test.pass(u, func(c *call) {
				if c.seq > after.Seq && len(page)+len(found) < maxPage {
					found = append(found, *u.show(c))
				}
			})
		})
		page = append(page, found...)
		if len(page) == maxPage {
			last := &page[maxPage-1]
			return page, Cursor{postern.ToMicros(last.At), last.Seq}, true, nil
		}
	}
	if len(rows) == tailBlocks {
		last := &rows[len(rows)-1]
		return page, Cursor{last.lastAt, last.seq}, true, nil
	}
	if len(rows) > 0 {
		head = max(head, rows[len(rows)-1].seq)
	}
	return page, Cursor{now, head}, false, nil
}
