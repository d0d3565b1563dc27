package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"postern.dev/postern"
)

//go:embed migrations
var migrations embed.FS

// DB is the main records: accounts, members, credentials, catalogs, the audit
// log and the feed.
type DB struct {
	*Pool
	queries
	hint     chan struct{}
	listener listener
	keeper   keeper
	turn     chan struct{} // holds one while this process writes on PostgreSQL, or on SQLite writes alone
}

// OpenDB opens the main records of a target (see PoolConfig). Rows that give
// someone a power are sealed under the pepper; without one (nil) all of them count
// as altered, and none can be written.
func OpenDB(ctx context.Context, target string, pepper *postern.Pepper, log *slog.Logger) (*DB, error) {
	p, err := Open(ctx, PoolConfig{Target: target, Migrations: migrationFS(), Table: "schema_migrations", Nodes: true, Logger: log})
	if err != nil {
		return nil, err
	}
	return &DB{Pool: p, queries: queries{p.r, p.Engine, &seals{pepper: pepper, log: log}}, hint: make(chan struct{}, 1),
		listener: listener{turn: make(chan struct{}, 1)}, turn: make(chan struct{}, 1)}, nil
}

// Close closes the database.
func (d *DB) Close() error {
	d.listener.close()
	return d.Pool.Close()
}

// queries are the methods that a plain read and a transaction share.
type queries struct {
	db     Statements
	engine Engine
	seals  *seals
}

// Tx is one transaction that changes something.
type Tx struct {
	queries
	seq   int64  // the last feed number that was taken; 0 if none
	trace *trace // the last audit entry that was made; nil if none
}

// FeedSeq is the last feed number that the transaction took, or 0.
func (tx *Tx) FeedSeq() int64 { return tx.seq }

// takePlace takes the one writer's place until the end of a transaction.
const takePlace = "update heads set n = n + 1 where name = 'writer'"

// Write runs fn in a transaction, one at a time, and gives the last feed number
// that it took. On SQLite changes that wait at the same time are committed together
// (see Pool.WriteGrouped). On PostgreSQL it runs fn again where the server asks for
// that or the connection was lost. Where it was lost while the transaction was
// committed, it finds out which it was, made or not, before it answers.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) (seq int64, err error) {
	return d.write(ctx, d.WriteGrouped, fn)
}

// WriteAlone is Write for a change that takes long: what others did is answered
// before it begins. Between two of them on SQLite, small changes have their turn.
func (d *DB) WriteAlone(ctx context.Context, fn func(tx *Tx) error) (seq int64, err error) {
	return d.write(ctx, d.alone, fn)
}

func (d *DB) alone(ctx context.Context, fn func(Statements) error) error {
	if d.Engine == SQLite {
		// database/sql gives a connection to any of those that wait for it. So one of these waits at a time, beside the group.
		if err := d.takeTurn(ctx); err != nil {
			return err
		}
		defer d.endTurn()
	}
	return d.Pool.Write(ctx, func(t *sql.Tx) error { return fn(t) })
}

type runner func(ctx context.Context, fn func(t Statements) error) error

func (d *DB) write(ctx context.Context, run runner, fn func(tx *Tx) error) (seq int64, err error) {
	for try := 0; ; try++ {
		var tx *Tx
		tx, err = d.writeOnce(ctx, run, fn)
		if tx != nil {
			seq = tx.seq
		}
		if _, unknown := errors.AsType[commitLost](err); !unknown || try == 4 {
			break
		}
		made, unsettled := d.settle(ctx, tx.trace)
		if unsettled != nil {
			break
		}
		if made {
			err = nil
			break
		}
	}
	if err == nil && seq > 0 {
		select {
		case d.hint <- struct{}{}:
		default:
		}
	}
	return seq, err
}

// longestTurn is how long a change waits for those before it in this process.
const longestTurn = 10 * time.Second

// takeTurn lets one change of this process at a time wait for the writer's place,
// which all nodes on PostgreSQL share: the others would hold connections that reads
// need, those that keep the lease first of all.
func (d *DB) takeTurn(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(longestTurn):
		return errBusy
	}
}

func (d *DB) endTurn() { <-d.turn }

var errBusy = postern.Errorf(postern.CodeUnavailable, "Too many changes are being made at once: nothing was changed. Try again in a moment.")

func (d *DB) writeOnce(ctx context.Context, run runner, fn func(tx *Tx) error) (tx *Tx, err error) {
	if d.Engine == Postgres { // SQLite's one writing connection is the turn; see alone
		if err := d.takeTurn(ctx); err != nil {
			return nil, err
		}
		defer d.endTurn()
	}
	err = run(ctx, func(t Statements) error {
		tx = &Tx{queries: queries{t, d.Engine, d.seals}}
		if d.Engine == Postgres {
			// One writer at a time, as on SQLite: what fn reads afresh stays so until the commit.
			if _, err := t.ExecContext(ctx, takePlace); err != nil {
				return fmt.Errorf("store: take the writer's place: %w", err)
			}
		}
		return fn(tx)
	})
	return tx, err
}

// small makes a small change that is no one's but the nodes': it takes no place
// among the changes, no feed number and no audit entry.
func (d *DB) small(ctx context.Context, fn func(q *queries) error) error {
	return d.WriteGrouped(ctx, func(t Statements) error { return fn(&queries{t, d.Engine, d.seals}) })
}

// one reads a single row, or gives postern.CodeNotFound.
func one[T any](row *sql.Row, scan func(scanner) (T, error), what string) (T, error) {
	v, err := scan(row)
	if err == sql.ErrNoRows {
		return v, postern.Errorf(postern.CodeNotFound, "There is no such %s.", what)
	}
	if err != nil {
		return v, fmt.Errorf("store: read %s: %w", what, err)
	}
	return v, nil
}

// collect reads all rows.
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, fmt.Errorf("store: query: %w", err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("store: scan: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: rows: %w", err)
	}
	return out, nil
}

type scanner interface{ Scan(...any) error }

func (q *queries) exec(ctx context.Context, what, query string, args ...any) error {
	if _, err := q.db.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	return nil
}

// execOne runs a statement that must change exactly one row.
func (q *queries) execOne(ctx context.Context, what, query string, args ...any) error {
	res, err := q.db.ExecContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return postern.Errorf(postern.CodeNotFound, "There is no such %s.", what)
	}
	return nil
}

func micros(t time.Time) int64     { return int64(postern.ToMicros(t)) }
func fromMicros(n int64) time.Time { return postern.Micros(n).Time() }

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// asJSON is for what is certain to encode: strings, numbers and lists of them.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func fromJSON(s string, v any) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), v)
}

func networksJSON(ns []netip.Prefix) string {
	return asJSON(networkTexts(ns))
}

func scopesJSON(ss []postern.Scope) string {
	if ss == nil {
		ss = []postern.Scope{}
	}
	return asJSON(ss)
}
