package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"

	"github.com/pressly/goose/v3"
)

// A migration that only adds lets older binaries go on: they don't know what it
// added and needn't. It says so in a line of its own,
//
//	-- works with: 70
//
// which names the oldest schema whose binary may still work with what it makes.
// Without that line it is a breaking one, and only binaries that have it may.
//
// It is a breaking one where an older binary would read something wrongly, drop
// it, or not know that it forbids: a column that belongs to a row's seal, a new
// kind of change in the feed, a new value that is decided by. It adds where it
// makes tables, and columns with a default value that no seal covers.
//
// The highest of these numbers, the floor, is kept in the database beside the schema's
// version, and is written in the transaction of the migration that raises it.
var worksWith = regexp.MustCompile(`(?m)^-- works with: (\d+)$`)

// floorOf is the oldest schema whose binary works with what a migration makes.
func floorOf(version int64, text string) (int64, error) {
	m := worksWith.FindStringSubmatch(text)
	if m == nil {
		return version, nil
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n < 1 || n >= version {
		return 0, fmt.Errorf("it works with %s, which is no older schema", m[1])
	}
	return n, nil
}

// raiseFloor is what a migration runs after its own statements.
func raiseFloor(e Engine, table string, version, floor int64) string {
	number, strict := "bigint", ""
	if e == SQLite {
		number, strict = "integer", " strict"
	}
	return fmt.Sprintf(`;
create table if not exists schema_floor (name text not null primary key, oldest %[1]s not null, schema %[1]s not null)%[2]s;
insert into schema_floor (name, oldest, schema) values ('%[3]s', %[4]d, %[5]d) on conflict (name) do update set schema = excluded.schema,
	oldest = case when excluded.oldest > schema_floor.oldest then excluded.oldest else schema_floor.oldest end;`,
		number, strict, table, floor, version)
}

// readFloor is the oldest schema whose binary may work with a database that has
// some schema; that schema itself where nobody said that anything older would do.
func readFloor(ctx context.Context, q asker, e Engine, table string, have int64) (floor int64, err error) {
	there, err := tableThere(ctx, q, e, "schema_floor")
	if err != nil || !there {
		return have, err
	}
	err = q.QueryRowContext(ctx, "select case when schema = $2 then oldest else $2 end from schema_floor where name = $1", table, have).Scan(&floor)
	if errors.Is(err, sql.ErrNoRows) {
		return have, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: read which binaries may work with this schema: %w", err)
	}
	return floor, nil
}

func tableThere(ctx context.Context, q asker, e Engine, name string) (bool, error) {
	query := "select count(*) from sqlite_master where type = 'table' and name = $1"
	if e == Postgres {
		query = "select count(*) from pg_class where oid = to_regclass($1)"
	}
	var n int
	if err := q.QueryRowContext(ctx, query, name).Scan(&n); err != nil {
		return false, fmt.Errorf("store: look for the table %s: %w", name, err)
	}
	return n > 0, nil
}

// olderThan lets a binary work with a database whose schema is newer than what it knows, where
// that only has more. It changes nothing.
func (p *Pool) olderThan(ctx context.Context, cfg *PoolConfig, have, want int64, steps []*goose.Migration) error {
	floor, err := readFloor(ctx, p.w, p.Engine, cfg.Table, have)
	if err != nil {
		return err
	}
	if want < floor {
		return fmt.Errorf("store: the database has schema %d, which needs a binary that knows schema %d, and this one knows %d: use a newer binary", have, floor, want)
	}
	for _, s := range steps {
		var n int
		err := p.w.QueryRowContext(ctx, "select count(*) from "+cfg.Table+" where version_id = $1 and is_applied", s.Version).Scan(&n)
		if err != nil {
			return fmt.Errorf("store: read the schema's version: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("store: the database has schema %d and lacks %d, which this binary knows: use a newer binary", have, s.Version)
		}
	}
	if cfg.Logger != nil {
		cfg.Logger.Info("the database has a newer schema, which this version works with", slog.Int64("has", have), slog.Int64("knows", want))
	}
	return nil
}

// noNodeComes is noNodeBehind for the length of a migration: no node gets a lease
// meanwhile, and whoever waits for one finds the floor raised; see renewing.
func noNodeComes(ctx context.Context, tx *sql.Tx, floor int64) error {
	_, err := tx.ExecContext(ctx, "do $$ begin if to_regclass('leases') is not null then lock table leases in share row exclusive mode; end if; end $$")
	if err != nil {
		return fmt.Errorf("store: let no node come while this is migrated: %w", err)
	}
	return noNodeBehind(ctx, tx, floor)
}

// noNodeBehind refuses to take a PostgreSQL database beyond what a node can work with that still decides by it.
func noNodeBehind(ctx context.Context, q asker, floor int64) error {
	var told int
	err := q.QueryRowContext(ctx, "select count(*) from pg_attribute where attrelid = to_regclass('leases') and attname = 'schema' and not attisdropped").Scan(&told)
	if err != nil || told == 0 {
		return err
	}
	var node, version string
	var schema int64
	err = q.QueryRowContext(ctx, `select case name when '' then node else name end, version, schema from leases
		where until > cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) and schema < $1 order by schema limit 1`, floor).Scan(&node, &version, &schema)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: look which nodes run: %w", err)
	}
	return fmt.Errorf("store: the node %s runs %s, which knows schema %d and can't work with what this version makes of the database (it needs %d): upgrade it to the version between first, or stop it", node, version, schema, floor)
}

// renewing runs what renews a node's lease. A node whose database was taken further
// than it can follow renews none, and so soon decides no more.
func (d *DB) renewing(ctx context.Context, node string, fn func(q *queries) error) error {
	return d.small(ctx, func(q *queries) error {
		if d.Engine == SQLite {
			return fn(q) // nobody else has the file, and no word is needed
		}
		if err := fn(q); err != nil {
			return err
		}
		// Last, since a migration may have held up the lease until its end.
		var floor int64
		if err := q.db.QueryRowContext(ctx, "select coalesce(max(oldest), 0) from schema_floor where name = 'schema_migrations'").Scan(&floor); err != nil {
			return fmt.Errorf("store: read which binaries may work with this schema: %w", err)
		}
		if d.schema < floor {
			return fmt.Errorf("store: the database needs a binary that knows schema %d by now, and this one knows %d: start a newer binary", floor, d.schema)
		}
		return q.exec(ctx, "say which schema is known", "update leases set schema = $2 where node = $1 and schema <> $2", node, d.schema)
	})
}
