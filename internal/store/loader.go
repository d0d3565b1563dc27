package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// settingUnfinished names what is being done to a database as a whole. While it
// is there, no server starts on it.
const settingUnfinished = "unfinished"

// Unfinished says what was being done to the whole database when it was stopped; empty for nothing.
func (q *queries) Unfinished(ctx context.Context) (string, error) {
	return q.Setting(ctx, settingUnfinished)
}

// Loader fills one part of an empty database.
type Loader struct {
	Part
	*Pool
	Tables []Table
}

// OpenLoader opens a part, and makes its tables as they were at a version of the schema.
func OpenLoader(ctx context.Context, at Place, p Part, schema int64, log *slog.Logger) (*Loader, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	target := at.Target(&p)
	engine := SQLite
	if at.Database != "" {
		engine = Postgres
	}
	names, latest, err := p.tables(engine, schema)
	if err != nil {
		return nil, err
	}
	if schema > latest {
		return nil, fmt.Errorf("store: this has schema %d of %s and this binary knows %d: use a newer binary", schema, p.Name, latest)
	}
	pool, err := Open(ctx, PoolConfig{Target: target, Migrations: upTo{p.Migrations, schema}, Table: p.Table, Relaxed: p.Relaxed, Logger: log})
	if err != nil {
		return nil, err
	}
	l := &Loader{Part: p, Pool: pool}
	for _, name := range names {
		t, err := describe(ctx, pool.r, pool.Engine, name)
		if err != nil {
			pool.Close()
			return nil, err
		}
		l.Tables = append(l.Tables, t)
	}
	return l, nil
}

// Table finds a table, nil where there is none.
func (l *Loader) Table(name string) *Table {
	i := slices.IndexFunc(l.Tables, func(t Table) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &l.Tables[i]
}

// seeded are tables in which migrations write rows.
var seeded = []string{"heads", "activity_head", "settings"}

// Empty reports whether no server ever wrote anything here.
func (l *Loader) Empty(ctx context.Context) (bool, error) {
	for _, t := range l.Tables {
		query := "select count(*) from (select 1 from " + t.Name + " limit 1) x"
		switch {
		case t.Name == "settings":
			query = "select count(*) from settings where name <> '" + settingUnfinished + "'"
		case slices.Contains(seeded, t.Name):
			continue
		}
		var n int
		if err := l.r.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return false, fmt.Errorf("store: look into %s: %w", t.Name, err)
		}
		if n > 0 {
			return false, nil
		}
	}
	return true, nil
}

// Clear takes every row away. In the records it leaves what is being done, where that is given.
func (l *Loader) Clear(ctx context.Context, unfinished string) error {
	return l.Write(ctx, func(tx *sql.Tx) error {
		if l.Engine == Postgres {
			names := make([]string, len(l.Tables))
			for i, t := range l.Tables {
				names[i] = t.Name
			}
			if _, err := tx.ExecContext(ctx, "truncate "+strings.Join(names, ", ")); err != nil {
				return fmt.Errorf("store: clear %s: %w", l.Name, err)
			}
		} else {
			for _, t := range slices.Backward(l.Tables) {
				if _, err := tx.ExecContext(ctx, "delete from "+t.Name); err != nil {
					return fmt.Errorf("store: clear %s: %w", t.Name, err)
				}
			}
		}
		if unfinished == "" {
			return nil
		}
		_, err := tx.ExecContext(ctx, "insert into settings (name, value) values ($1, $2)", settingUnfinished, unfinished)
		return err
	})
}

// Finished takes away that something is being done.
func (l *Loader) Finished(ctx context.Context) error {
	return l.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "delete from settings where name = $1", settingUnfinished)
		return err
	})
}

// Unfinished says what is being done.
func (l *Loader) Unfinished(ctx context.Context) (v string, err error) {
	err = l.r.QueryRowContext(ctx, "select coalesce((select value from settings where name = $1), '')", settingUnfinished).Scan(&v)
	return v, err
}

// ClearTable takes the rows of one table away, but not what says that something is being done.
func (l *Loader) ClearTable(ctx context.Context, t *Table) error {
	return l.Write(ctx, func(tx *sql.Tx) error {
		query := "delete from " + t.Name
		if t.Name == "settings" {
			query += " where name <> '" + settingUnfinished + "'"
		}
		_, err := tx.ExecContext(ctx, query)
		return err
	})
}

// Insert adds rows of some columns to a table: all of them, or none.
func (l *Loader) Insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	return l.Load(ctx, func(tx *sql.Tx, copy Copier) error {
		if l.Prepare != nil {
			if err := l.Prepare(ctx, tx, l.Engine, table, columns, rows); err != nil {
				return err
			}
		}
		if copy != nil {
			if err := copy(table, columns, rows); err != nil {
				return fmt.Errorf("store: load %s: %w", table, err)
			}
			return nil
		}
		return insertMany(ctx, tx, table, columns, rows)
	})
}

// insertMany is for SQLite, which takes nameless values fastest, and some rows at a time.
func insertMany(ctx context.Context, tx *sql.Tx, table string, columns []string, rows [][]any) error {
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	head := "insert into " + table + " (" + strings.Join(columns, ", ") + ") values "
	args := make([]any, 0, 64*len(columns))
	for _, size := range []int{64, 1} {
		if len(rows) < size {
			continue
		}
		stmt, err := tx.PrepareContext(ctx, head+one+strings.Repeat(", "+one, size-1))
		if err != nil {
			return fmt.Errorf("store: load %s: %w", table, err)
		}
		for len(rows) >= size {
			args = args[:0]
			for _, r := range rows[:size] {
				args = append(args, r...)
			}
			if _, err := stmt.ExecContext(ctx, args...); err != nil {
				stmt.Close()
				return fmt.Errorf("store: load %s: %w", table, err)
			}
			rows = rows[size:]
		}
		stmt.Close()
	}
	return nil
}

// RowsAfter gives up to n rows after the one with a key, from the first where it is nil.
func (l *Loader) RowsAfter(ctx context.Context, t *Table, key []any, n int) (out [][]any, err error) {
	err = readRows(ctx, l.r, l.Engine, t, key, n, func(row []any) error {
		if t.Name != "settings" || row[t.At("name")] != settingUnfinished {
			out = append(out, slices.Clone(row))
		}
		return nil
	})
	return out, err
}

// LastKey is the key of the last row of a table, nil where it has none.
func (l *Loader) LastKey(ctx context.Context, t *Table) ([]any, error) {
	order := make([]string, len(t.Key))
	for i, k := range t.Key {
		order[i] = t.collated(l.Engine, k) + " desc"
	}
	out, targets := make([]any, len(t.Key)), make([]any, len(t.Key))
	for i := range out {
		targets[i] = &out[i]
	}
	err := l.r.QueryRowContext(ctx, "select "+strings.Join(t.Key, ", ")+" from "+t.Name+" order by "+strings.Join(order, ", ")+" limit 1").Scan(targets...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: read %s: %w", t.Name, err)
	}
	for i, k := range t.Key {
		if out[i], err = asType(out[i], t.Columns[t.At(k)].Type); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// upTo is a folder of migrations without those that came later.
type upTo struct {
	fs.FS
	version int64
}

func (f upTo) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool {
		v, err := goose.NumericComponent(path.Base(e.Name()))
		return err == nil && v > f.version
	}), err
}

// Held is a database whose changes are held off, until Release.
type Held struct{ release func() }

// Release lets changes through again.
func (h *Held) Release() { h.release() }

// HoldWriters keeps every node from changing anything in a PostgreSQL database, and
// refuses where one still decides by it: changes after that would be lost. What
// they write waits, and fails after its own time.
func HoldWriters(ctx context.Context, target string) (*Held, error) {
	pool, err := openPostgres(ctx, PoolConfig{Target: target})
	if err != nil {
		return nil, err
	}
	tx, err := pool.w.BeginTx(ctx, nil)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("store: hold the writers: %w", err)
	}
	h := &Held{func() { tx.Rollback(); pool.Close() }}
	for _, q := range []string{"set local idle_in_transaction_session_timeout = 0", "select n from heads where name = 'writer' for update"} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			h.Release()
			return nil, fmt.Errorf("store: hold the writers: %w", err)
		}
	}
	q := queries{tx, Postgres, nil}
	leases, now, err := q.Leases(ctx)
	if err != nil {
		h.Release()
		return nil, err
	}
	for _, l := range leases {
		if l.Until.After(now) {
			h.Release()
			return nil, fmt.Errorf("the node %s still runs on this database, or stopped less than a lease ago (its lease ends at %s); stop every node, and wait for that", l.Node, l.Until.Format("15:04:05"))
		}
	}
	return h, nil
}

// Sync writes all that SQLite still keeps beside its file into it, and that to the disk.
func (l *Loader) Sync(ctx context.Context) error {
	if l.Engine != SQLite {
		return nil
	}
	return truncateLog(ctx, l.w)
}

// Count is how many rows a table has.
func (l *Loader) Count(ctx context.Context, t *Table) (n int64, err error) {
	if err := l.r.QueryRowContext(ctx, "select count(*) from "+t.Name).Scan(&n); err != nil {
		return 0, fmt.Errorf("store: count %s: %w", t.Name, err)
	}
	return n, nil
}
