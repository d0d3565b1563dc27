package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

const (
	// tailLook is how many new calls, of whatever account, one look of Tail reads at most.
	tailLook = 10000
	// tailPoll is how often Tail looks for calls that another node wrote.
	tailPoll = time.Second
)

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
	upTo := min(head, after.Seq+tailLook)
	var w where
	w.and("seq > ? and seq <= ?", after.Seq, upTo)
	// What is written is in the order of seq; an index of the account would want it sorted
	// anew. Joining with nothing hides the columns from the planners of both engines.
	w.and("account_id || '' = ?", string(f.Account))
	if f.Key != "" {
		w.and("key_id || '' = ?", string(f.Key))
	}
	f.rest(&w)
	page, err = collect(ctx, l, scanCall, `select `+callColumns+` from activity_calls where `+w.text.String()+
		fmt.Sprintf(` order by seq limit %d`, maxPage), w.args...)
	if err != nil {
		return nil, after, false, err
	}
	if len(page) == maxPage {
		last := &page[maxPage-1]
		return page, Cursor{postern.ToMicros(last.At), last.Seq}, true, nil
	}
	return page, Cursor{now, upTo}, upTo < head, nil
}
