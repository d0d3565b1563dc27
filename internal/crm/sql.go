package crm

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// querier is what reads run on: the pool of readers, or the transaction that a
// write reads afresh in. An implementation runs SQL with $1 placeholders.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// args collects the arguments of a query that is put together from parts.
type args []any

// add gives the placeholder of a further argument.
func (a *args) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// in gives "(…)" with a placeholder for each value; an empty list matches nothing.
func in[T any](a *args, vs []T) string {
	if len(vs) == 0 {
		return "(null)"
	}
	var b strings.Builder
	for i, v := range vs {
		b.WriteByte("(,"[min(i, 1)])
		b.WriteString(a.add(v))
	}
	b.WriteByte(')')
	return b.String()
}

// collect reads all rows with scan and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func scanOne[T any](rows *sql.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}

// insertArgs is how many arguments an inserting statement has at most. SQLite finds
// each of them by its name, one after the other, so many small statements are
// faster there than few large ones; for PostgreSQL it makes no difference.
const insertArgs = 120

// bulkInsert inserts rows, several with a statement. The tail goes behind the
// values: "on conflict do nothing".
func bulkInsert(ctx context.Context, tx *sql.Tx, into string, rows [][]any, tail string) error {
	if len(rows) == 0 {
		return nil
	}
	width := len(rows[0])
	per := max(1, insertArgs/width)
	text := func(n int) string { return "insert into " + into + " values " + placeholders(n, width) + " " + tail }
	flat := func(rows [][]any) []any {
		list := make([]any, 0, len(rows)*width)
		for _, r := range rows {
			list = append(list, r...)
		}
		return list
	}
	if len(rows) >= 2*per {
		stmt, err := tx.PrepareContext(ctx, text(per))
		if err != nil {
			return err
		}
		defer stmt.Close()
		for ; len(rows) >= per; rows = rows[per:] {
			if _, err := stmt.ExecContext(ctx, flat(rows[:per])...); err != nil {
				return err
			}
		}
	}
	return chunks(rows, per, func(rows [][]any) error {
		_, err := tx.ExecContext(ctx, text(len(rows)), flat(rows)...)
		return err
	})
}

func placeholders(rows, width int) string {
	var b strings.Builder
	k := 1
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		for j := range width {
			b.WriteByte("(,"[min(j, 1)])
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(k))
			k++
		}
		b.WriteByte(')')
	}
	return b.String()
}

// chunks calls fn with pieces of at most n elements.
func chunks[T any](list []T, n int, fn func([]T) error) error {
	for len(list) > 0 {
		k := min(n, len(list))
		if err := fn(list[:k]); err != nil {
			return err
		}
		list = list[k:]
	}
	return nil
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// sub is fsys below its only folder, which the migration tool wants.
func sub(fsys embed.FS) fs.FS {
	d, err := fs.Sub(fsys, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return d
}

func trimSlash(s string) string { return strings.TrimRight(s, "/") }
