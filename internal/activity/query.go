package activity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
)

const (
	// maxPage is the most rows of a page.
	maxPage = 200
	// readLimit is how long one question may take; then it is answered that it can't be.
	readLimit = 2 * time.Second
	// lookTime is how long Query looks for calls that pass such a filter before it gives what it found.
	lookTime = 500 * time.Millisecond
)

// lookRows is how many calls are looked at in one go for a filter that no index
// answers. A test makes it small.
var lookRows = 20000

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
	for stop := time.Now().Add(lookTime); ; {
		got, reached, err := l.look(ctx, &f, after, n+1-len(page))
		if err != nil {
			return nil, Cursor{}, fmt.Errorf("activity: query: %w", err)
		}
		page = append(page, got...)
		if len(page) > n {
			last := &page[n-1]
			return page[:n:n], Cursor{postern.ToMicros(last.At), last.Seq}, nil
		}
		if reached.Zero() || time.Now().After(stop) {
			return page, reached, nil
		}
		after = reached
	}
}

// look returns up to n of the next calls that pass, and how far it looked: zero for all the way.
func (l *Log) look(ctx context.Context, f *Filter, after Cursor, n int) ([]postern.Activity, Cursor, error) {
	var w where
	f.indexed(&w)
	w.and("(at, seq) < (?, ?)", int64(after.At), after.Seq)
	w.and("at >= ?", micros(f.Since))
	full := w.clone()
	var reached Cursor
	if f.rest(full) {
		at, err := l.skip(ctx, &w)
		if err != nil {
			return nil, Cursor{}, err
		}
		if reached = at; !reached.Zero() {
			full.and("(at, seq) >= (?, ?)", int64(reached.At), reached.Seq)
		}
	}
	rows, err := collect(ctx, l, scanCall, `select `+callColumns+` from activity_calls where `+full.text.String()+
		fmt.Sprintf(` order by at desc, seq desc limit %d`, n), full.args...)
	return rows, reached, err
}

// skip finds the call that ends a stretch of lookRows, by the index alone; zero where less is left.
func (l *Log) skip(ctx context.Context, w *where) (Cursor, error) {
	at, err := collect(ctx, l, func(rows *sql.Rows, c *Cursor) error { return rows.Scan(&c.At, &c.Seq) },
		`select at, seq from activity_calls where `+w.text.String()+
			fmt.Sprintf(` order by at desc, seq desc limit 1 offset %d`, lookRows), w.args...)
	if err != nil || len(at) == 0 {
		return Cursor{}, err
	}
	return at[0], nil
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
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = &postern.Error{Code: postern.CodeUnavailable, Err: err,
			Message: "That takes too long to look up. Ask for a shorter time, or for one key."}
	}
	return out, err
}

func scanAll[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows, *T) error, query string, args []any) ([]T, error) {
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

func scanCall(rows *sql.Rows, a *postern.Activity) error {
	var at, duration, allowed int64
	var kind, reason, missing string
	err := rows.Scan(&a.Seq, &at, &a.AccountID, &a.KeyID, &kind, &a.Generation, &a.MemberID, &a.Upstream, &a.Operation,
		&a.Method, &a.Path, &a.Status, &allowed, &reason, &missing, &a.Door, &duration, &a.BytesIn, &a.BytesOut,
		&a.IP, &a.UserAgent, &a.RequestID)
	a.At, a.Allowed, a.Duration = postern.Micros(at).Time(), allowed == 1, time.Duration(duration)*time.Microsecond
	a.Kind, _ = postern.ParseKind(kind)
	a.Reason, _ = postern.ParseReason(reason)
	a.Missing = splitScopes(missing)
	return err
}
