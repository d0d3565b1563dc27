package activity

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	// maxPage is the most rows of a page.
	maxPage = 200
	// readLimit is how long one question may take; then it is answered that it can't be.
	readLimit = 2 * time.Second
)

// lookTime is how long Query looks for calls that pass before it gives what it
// found; lookLeast is how many blocks it reads in any case. A test makes them less, or more.
var (
	lookTime  = 150 * time.Millisecond
	lookLeast = 64
)

// spanAfter is how many blocks are read one after the other before spans are asked. A test makes it small.
var spanAfter = 10

// lookBlocks is how many blocks are read in one go: few at first, since most
// questions are answered by one or two. A test makes them fewer.
var lookBlocks = struct{ first, most int }{2, 32}

// Query returns up to n calls that pass a filter, newest first, from after a
// cursor, and the cursor of what follows: zero where nothing does. n is at most
// 200, and 50 where it is 0. For a filter that few calls pass a page may hold
// less than n, even nothing, and have a next: so much was looked through in the
// time that one answer may take.
func (l *Log) Query(ctx context.Context, f Filter, after Cursor, n int) (page []postern.Activity, next Cursor, err error) {
	if f.Account == "" {
		return nil, Cursor{}, errEmptyAccount
	}
	if n <= 0 {
		n = 50
	}
	n = min(n, maxPage)
	if after.Zero() {
		after = newest
	}
	if end := (Cursor{postern.Micros(microsEnd(f.Until)), 0}); end.before(after) {
		after = end
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	// One view of the data: blocks may be merged while they are looked through.
	tx, err := l.pool.Read().BeginTx(ctx, &sql.TxOptions{Isolation: l.snapshot(), ReadOnly: true})
	if err == nil {
		defer tx.Rollback()
		page, next, err = l.look(ctx, tx, &f, after, n)
	}
	if err != nil {
		return nil, Cursor{}, fmt.Errorf("activity: query: %w", tooLong(ctx, err))
	}
	return page, next, nil
}

// snapshot is the isolation in which all statements of a transaction see the same.
func (l *Log) snapshot() sql.IsolationLevel {
	if l.pool.Engine == store.SQLite {
		return sql.LevelDefault
	}
	return sql.LevelRepeatableRead
}

// found is a call that passes.
type found struct {
	Cursor
	call call
	in   *unpacked
	show *postern.Activity
}

// look goes through blocks in the order of their latest calls. What it found is
// in order as far as it is newer than all that can be in the blocks to come.
func (l *Log) look(ctx context.Context, tx *sql.Tx, f *Filter, after Cursor, n int) ([]postern.Activity, Cursor, error) {
	var all []found
	test := f.test()
	// No block reaches from one hour to another, so of those that begin before
	// the cursor none ends later than its hour.
	reach := Cursor{math.MaxInt64, 0}
	if after.At < math.MaxInt64-hour {
		reach.At = after.At - after.At%hour + hour
	}
	start := reach
	stop := time.Now().Add(lookTime)
	read := 0
	next := l.source(ctx, tx, f, test, after)
	for many := lookBlocks.first; ; many = min(4*many, lookBlocks.most) {
		blocks, again, err := next(reach, many)
		if err != nil {
			return nil, Cursor{}, err
		}
		if again { // in another order from here on, and from the beginning
			all, reach = nil, start
			continue
		}
		for i := range blocks {
			b := &blocks[i]
			reach = b.reach
			ready := sort.Search(len(all), func(i int) bool { return !reach.before(all[i].Cursor) })
			if ready > n {
				return pageOf(all[:ready], n, Cursor{})
			}
			if on := (Cursor{reach.At, reach.Seq + 1}); on.before(after) && read >= lookLeast && time.Now().After(stop) {
				return pageOf(all[:ready], n, on)
			}
			read++
			if b.firstAt == after.At && b.firstSeq >= after.Seq {
				continue
			}
			all = newestOf(append(all, newestOf(l.find(b, test, after), n+1)...), n+1)
			for i := range all {
				if c := &all[i]; c.show == nil {
					c.show, c.in, c.call = c.in.show(&c.call), nil, call{}
				}
			}
		}
		if len(blocks) < many {
			return pageOf(all, n, Cursor{})
		}
	}
}

// source gives the blocks that may hold calls, newest first. At first it reads
// one after the other, which is enough for most questions. Where that goes on, it
// finds out from the spans which blocks are worth reading, and begins again.
func (l *Log) source(ctx context.Context, tx *sql.Tx, f *Filter, test *test, after Cursor) func(reach Cursor, n int) (blocks []blockRow, again bool, err error) {
	terms := test.terms()
	read := 0
	var finder *finder
	return func(reach Cursor, n int) ([]blockRow, bool, error) {
		if finder != nil {
			blocks, err := finder.next(ctx, n)
			return blocks, false, err
		}
		if read >= spanAfter && len(terms) > 0 {
			var err error
			if finder, err = l.finder(ctx, tx, test, terms, after); err != nil || finder != nil {
				return nil, true, err
			}
			terms = nil
		}
		blocks, err := l.blocksBefore(ctx, tx, f, after, reach, n)
		read += len(blocks)
		return blocks, false, err
	}
}

// find returns the calls of a block that pass and are older than a cursor.
func (l *Log) find(b *blockRow, test *test, after Cursor) []found {
	if test.RequestID != "" && !bytes.Contains(b.data, test.request.bytes()) {
		return nil // as most blocks that are read for a request
	}
	var out []found
	since := postern.Micros(micros(test.Since))
	l.open(b, func(u *unpacked) error {
		out = make([]found, 0, 64)
		return test.pass(u, func(c *call) {
			if at := (Cursor{c.at, c.seq}); at.before(after) && c.at >= since {
				out = append(out, found{Cursor: at, call: *c, in: u})
			}
		})
	})
	slices.Reverse(out) // nearly always in order then
	return out
}

// newestOf puts the newest first and leaves the first n.
func newestOf(all []found, n int) []found {
	newer := func(a, b found) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.Seq, a.Seq)) }
	if !slices.IsSortedFunc(all, newer) {
		slices.SortFunc(all, newer)
	}
	return all[:min(len(all), n)]
}

// pageOf is a page of what was found, and its cursor; where all of it fits, that is next.
func pageOf(all []found, n int, next Cursor) ([]postern.Activity, Cursor, error) {
	if len(all) > n {
		all = all[:n]
		next = all[n-1].Cursor
	}
	var page []postern.Activity
	for i := range all {
		page = append(page, *all[i].show)
	}
	return page, next, nil
}

// collect reads all rows of a question.
func collect[T any](ctx context.Context, l *Log, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	if l.trace != nil {
		l.trace(query, args)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readLimit)
		defer cancel()
	}
	out, err := scanAll(ctx, l.pool.Read(), scan, query, args)
	return out, tooLong(ctx, err)
}

// tooLong says what an error means where a question ran out of time.
func tooLong(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return &postern.Error{Code: postern.CodeUnavailable, Err: err,
		Message: "That takes too long to look up. Ask for a shorter time, or for one key."}
}

// querier is a database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func scanAll[T any](ctx context.Context, db querier, scan func(*sql.Rows, *T) error, query string, args []any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		out = append(out, *new(T))
		if err := scan(rows, &out[len(out)-1]); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
}
