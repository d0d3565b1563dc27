package activity

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern.dev/postern/internal/store"
)

// What differs between the engines, and how rows get into them.

func mustSub() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return sub
}

// table says how rows of one table are inserted, or added to those that are there.
type table struct {
	name, columns, conflict string

	mu  sync.Mutex
	sql map[insertKey]string
}

type insertKey struct {
	engine store.Engine
	rows   int
}

// insertSizes are the numbers of rows that one statement inserts: few, so that
// a database sees the same statements again and again.
var insertSizes = [...]int{500, 100, 20, 4, 1}

func (t *table) width() int { return strings.Count(t.columns, ",") + 1 }

// insert inserts rows, whose values follow each other in args, with few statements.
func (t *table) insert(ctx context.Context, tx *sql.Tx, engine store.Engine, args []any) error {
	w := t.width()
	for _, size := range insertSizes {
		n := size * w
		if len(args) < n {
			continue
		}
		query := t.statement(engine, size)
		run := func(args []any) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		}
		// pgx prepares a statement once for a connection; for SQLite it is done here, once for a transaction.
		if engine == store.SQLite {
			stmt, err := tx.PrepareContext(ctx, query)
			if err != nil {
				return err
			}
			defer stmt.Close()
			run = func(args []any) error {
				_, err := stmt.ExecContext(ctx, args...)
				return err
			}
		}
		for len(args) >= n {
			if err := run(args[:n]); err != nil {
				return err
			}
			args = args[n:]
		}
	}
	return nil
}

// load inserts rows, by COPY where that is given.
func (t *table) load(ctx context.Context, tx *sql.Tx, copy store.Copier, engine store.Engine, rows [][]any) error {
	if copy != nil && len(rows) > 0 {
		return copy(t.name, strings.Split(strings.ReplaceAll(t.columns, " ", ""), ","), rows)
	}
	args := make([]any, 0, len(rows)*t.width())
	for _, r := range rows {
		args = append(args, r...)
	}
	return t.insert(ctx, tx, engine, args)
}

func (t *table) statement(engine store.Engine, rows int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := insertKey{engine, rows}
	if q, ok := t.sql[key]; ok {
		return q
	}
	q := "insert into " + t.name + " (" + t.columns + ") values " + placeholders(engine, rows, t.width()) + " " + t.conflict
	if t.sql == nil {
		t.sql = map[insertKey]string{}
	}
	t.sql[key] = q
	return q
}

// placeholders is "($1, $2), ($3, $4)". SQLite looks up a named parameter among
// all before it, so thousands of them must be nameless there.
func placeholders(engine store.Engine, rows, width int) string {
	var b strings.Builder
	n := 0
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for j := range width {
			if j > 0 {
				b.WriteString(", ")
			}
			n++
			if engine == store.SQLite {
				b.WriteByte('?')
			} else {
				b.WriteByte('$')
				b.WriteString(strconv.Itoa(n))
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// permanent reports whether an error is about what was to be written, so that
// trying the same again is in vain.
func permanent(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
			return true
		}
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23") || e.Code == "54000")
}
