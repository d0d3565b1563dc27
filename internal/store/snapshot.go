package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"postern.dev/postern"
)

// Snapshot is a database of several parts as it was at one moment. It only reads,
// and a server may go on writing meanwhile. On SQLite each part is a file, and the
// moments of two files are a few milliseconds apart, the records first.
type Snapshot struct {
	Engine Engine
	Parts  []PartSnapshot
	Took   time.Time // by the store's clock
	main   *sql.Tx   // of the records
	pool   *sql.DB
	ends   []func()
}

// PartSnapshot is a part in a Snapshot.
type PartSnapshot struct {
	Part
	Schema int64
	Tables []Table // each after those that it refers to
	Bytes  int64   // about how many it takes
	tx     *sql.Tx
	engine Engine
}

// Place says where the parts of a database are: a PostgreSQL server, or files in a directory.
type Place struct {
	Data     string
	Database string
}

// Target is where a part is.
func (p Place) Target(part *Part) string {
	if p.Database != "" {
		return p.Database
	}
	return filepath.Join(p.Data, part.File)
}

// OpenSnapshot begins to read the parts that are there; those whose tables were
// never made are left out. The first of parts must be there. A schema newer than
// this binary is refused.
func OpenSnapshot(ctx context.Context, at Place, parts []Part) (s *Snapshot, err error) {
	s = &Snapshot{Engine: SQLite}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	if at.Database != "" {
		s.Engine = Postgres
		err = s.openPostgres(ctx, at.Database, parts)
	} else {
		err = s.openFiles(ctx, at.Data, parts)
	}
	if err != nil {
		return s, err
	}
	s.main = s.Parts[0].tx
	q := queries{s.main, s.Engine, nil}
	s.Took, err = q.now(ctx)
	return s, err
}

// Close ends the reading.
func (s *Snapshot) Close() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
	s.ends = nil
}

func (s *Snapshot) openFiles(ctx context.Context, dir string, parts []Part) error {
	for i, p := range parts {
		path := filepath.Join(dir, p.File)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue
		} else if err != nil {
			return fmt.Errorf("store: there is no database in %s: %w", dir, err)
		}
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_busy_timeout=5000&_query_only=1&_pragma=cache_size(-16384)")
		if err != nil {
			return fmt.Errorf("store: open %s: %w", path, err)
		}
		s.ends = append(s.ends, func() { db.Close() })
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("store: read %s: %w", path, err)
		}
		s.ends = append(s.ends, func() { tx.Rollback() })
		if err := s.add(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) openPostgres(ctx context.Context, target string, parts []Part) error {
	pc, err := pgxpool.ParseConfig(target)
	if err != nil {
		return fmt.Errorf("store: the database URL: %w", err)
	}
	// A replica would do for reading, but it may lag, and a backup must hold what was acknowledged.
	pc.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	pc.ConnConfig.RuntimeParams["application_name"] = "postern-backup"
	pc.MaxConns, pc.MinIdleConns = 2, 0
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return fmt.Errorf("store: open PostgreSQL: %w", err)
	}
	s.ends = append(s.ends, pool.Close)
	db := stdlib.OpenDBFromPool(pool)
	s.ends, s.pool = append(s.ends, func() { db.Close() }), db
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	s.ends = append(s.ends, func() { tx.Rollback() })
	// One question lasts as long as whatever takes its answer is slow.
	for _, set := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := tx.ExecContext(ctx, "set local "+set+" = 0"); err != nil {
			return fmt.Errorf("store: read PostgreSQL: %w", err)
		}
	}
	for _, p := range parts {
		if err := s.add(ctx, tx, p); err != nil {
			return err
		}
	}
	if len(s.Parts) == 0 || s.Parts[0].Name != parts[0].Name {
		return fmt.Errorf("store: the database holds no records of Postern")
	}
	return nil
}

// add takes a part whose tables are there.
func (s *Snapshot) add(ctx context.Context, tx *sql.Tx, p Part) error {
	version, err := schemaVersion(ctx, tx, s.Engine, p.Table)
	if err != nil {
		return err
	}
	if version < 0 {
		if s.Engine == SQLite {
			return fmt.Errorf("store: %s holds no records of Postern", p.File)
		}
		return nil
	}
	names, latest, err := p.tables(s.Engine, version)
	if err != nil {
		return err
	}
	if version > latest {
		return fmt.Errorf("store: the database has schema %d of %s and this binary knows %d: use a newer binary", version, p.Name, latest)
	}
	ps := PartSnapshot{Part: p, Schema: version, tx: tx, engine: s.Engine}
	for _, name := range names {
		t, err := describe(ctx, tx, s.Engine, name)
		if err != nil {
			return err
		}
		ps.Tables = append(ps.Tables, t)
	}
	if ps.Bytes, err = size(ctx, tx, s.Engine, names); err != nil {
		return err
	}
	s.Parts = append(s.Parts, ps)
	return nil
}

// schemaVersion is the newest applied migration, -1 where there are none.
func schemaVersion(ctx context.Context, q asker, e Engine, table string) (v int64, err error) {
	there, err := tableThere(ctx, q, e, table)
	if err != nil {
		return 0, err
	}
	if !there {
		return -1, nil
	}
	if err := q.QueryRowContext(ctx, "select coalesce(max(version_id), -1) from "+table).Scan(&v); err != nil {
		return 0, fmt.Errorf("store: read the schema's version: %w", err)
	}
	return v, nil
}

func size(ctx context.Context, tx *sql.Tx, e Engine, tables []string) (n int64, err error) {
	query := "select page_count * page_size from pragma_page_count(), pragma_page_size()"
	if e == Postgres {
		// A partitioned table is as large as its partitions.
		query = `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c
			where c.oid in (select to_regclass(t) from unnest(string_to_array('` + strings.Join(tables, ",") + `', ',')) t
				union select i.inhrelid from pg_inherits i join unnest(string_to_array('` + strings.Join(tables, ",") + `', ',')) t on i.inhparent = to_regclass(t))`
	}
	if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("store: read the size: %w", err)
	}
	return n, nil
}

// Head is what a Snapshot says of itself.
type Head struct {
	Feed, Epoch, Audit int64
	Origin             string            // of the audit log
	Checkpoint         string            // the latest signed one; empty where none was signed yet
	Peppers            map[string]string // fingerprints by setting's name
	Live               int64             // credentials that work: neither ended nor expired
	Members            int64             // members who aren't removed
	Unfinished         string            // what was being done to this database when it was stopped
}

// Head reads what is copied along with the rows.
func (s *Snapshot) Head(ctx context.Context) (h Head, err error) {
	q := queries{s.main, s.Engine, nil}
	if h.Feed, h.Epoch, err = q.FeedHead(ctx); err != nil {
		return h, err
	}
	heads, err := q.AuditHead(ctx)
	if err != nil {
		return h, err
	}
	h.Audit = heads.Entries
	if h.Origin, _, err = q.AuditNames(ctx); err != nil {
		return h, err
	}
	list, err := q.AuditCheckpoints(ctx, 1<<62, 1)
	if err != nil {
		return h, err
	}
	for _, c := range list {
		h.Checkpoint = c.Note
	}
	h.Peppers = map[string]string{}
	rows, err := s.main.QueryContext(ctx, "select name, value from settings where name like 'pepper.%' or name = $1 order by name", settingUnfinished)
	_, err = collect(rows, err, func(r scanner) (struct{}, error) {
		var name, value string
		err := r.Scan(&name, &value)
		if name == settingUnfinished {
			h.Unfinished = value
		} else {
			h.Peppers[name] = value
		}
		return struct{}{}, err
	})
	if err != nil {
		return h, err
	}
	if h.Live, err = q.liveCredentials(ctx, s.Took); err != nil {
		return h, err
	}
	if err := s.main.QueryRowContext(ctx, "select count(*) from members where removed_at = 0").Scan(&h.Members); err != nil {
		return h, fmt.Errorf("store: count members: %w", err)
	}
	return h, nil
}

// liveCredentials counts those that work at a time, or will once it is theirs.
func (q *queries) liveCredentials(ctx context.Context, now time.Time) (n int64, err error) {
	err = q.db.QueryRowContext(ctx, `select count(*) from credentials where revoked_at = 0 and deleted_at = 0
		and (expires_at = 0 or expires_at > $1)`, micros(now)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("store: count credentials: %w", err)
	}
	return n, nil
}

// Reading is what may be asked of the records besides.
type Reading struct{ queries }

// Records asks the main records as they were at that moment.
func (s *Snapshot) Records() *Reading { return &Reading{queries{s.main, s.Engine, nil}} }

// TimeZones are those of the accounts.
func (r *Reading) TimeZones(ctx context.Context) (map[postern.AccountID]string, error) {
	rows, err := r.db.QueryContext(ctx, "select id, time_zone from accounts")
	out := map[postern.AccountID]string{}
	_, err = collect(rows, err, func(s scanner) (none struct{}, err error) {
		var id, zone string
		err = s.Scan(&id, &zone)
		out[postern.AccountID(id)] = zone
		return none, err
	})
	return out, err
}

// Durability asks the database what it does for a commit; see Pool.CheckDurability.
func (s *Snapshot) Durability(ctx context.Context, standby Standby) (Durability, error) {
	p := Pool{Engine: s.Engine, r: s.pool}
	return p.CheckDurability(ctx, standby)
}

// JournalMode is how SQLite keeps the records' file safe: "wal" for a server's. Empty on PostgreSQL.
func (s *Snapshot) JournalMode(ctx context.Context) (mode string, err error) {
	if s.Engine == SQLite {
		err = s.main.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode)
	}
	return mode, err
}

// Newest is the newest schema of the part that this binary knows.
func (p *PartSnapshot) Newest() int64 {
	_, latest, err := p.tables(p.engine, 0)
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return latest
}

// Rows gives all rows of a table in the order of its key; each is only good until the next.
func (p *PartSnapshot) Rows(ctx context.Context, t *Table, yield func(row []any) error) error {
	return readRows(ctx, p.tx, p.engine, t, nil, 0, yield)
}

// RowsAfter gives up to n rows after the one with a key, from the first where it is nil.
func (p *PartSnapshot) RowsAfter(ctx context.Context, t *Table, key []any, n int) (out [][]any, err error) {
	err = readRows(ctx, p.tx, p.engine, t, key, n, func(row []any) error {
		out = append(out, slices.Clone(row))
		return nil
	})
	return out, err
}

// Count is how many rows a table has.
func (p *PartSnapshot) Count(ctx context.Context, t *Table) (n int64, err error) {
	if err := p.tx.QueryRowContext(ctx, "select count(*) from "+t.Name).Scan(&n); err != nil {
		return 0, fmt.Errorf("store: count %s: %w", t.Name, err)
	}
	return n, nil
}

// KeyOf are the values of a row's key.
func (t *Table) KeyOf(row []any) []any {
	out := make([]any, len(t.Key))
	for i, k := range t.Key {
		out[i] = row[t.At(k)]
	}
	return out
}

func readRows(ctx context.Context, q asker, e Engine, t *Table, after []any, n int, yield func([]any) error) error {
	query := "select " + strings.Join(t.Names(), ", ") + " from " + t.Name
	if after != nil {
		left, right := make([]string, len(t.Key)), make([]string, len(t.Key))
		for i, k := range t.Key {
			left[i], right[i] = t.collated(e, k), fmt.Sprintf("$%d", i+1)
		}
		query += " where (" + strings.Join(left, ", ") + ") > (" + strings.Join(right, ", ") + ")"
	}
	query += " order by " + t.orderBy(e)
	if n > 0 {
		query += fmt.Sprintf(" limit %d", n)
	}
	rows, err := q.QueryContext(ctx, query, after...)
	if err != nil {
		return fmt.Errorf("store: read %s: %w", t.Name, err)
	}
	defer rows.Close()
	row, targets := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range row {
		targets[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("store: read %s: %w", t.Name, err)
		}
		for i := range row {
			if row[i], err = asType(row[i], t.Columns[i].Type); err != nil {
				return fmt.Errorf("store: read %s.%s: %w", t.Name, t.Columns[i].Name, err)
			}
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("store: read %s: %w", t.Name, err)
	}
	return nil
}

// asType makes of what a driver gives what both engines would: an int64, a
// float64, a string, bytes or nil.
func asType(v any, want ColumnType) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		switch want {
		case Integer:
			return v, nil
		case Real:
			return float64(v), nil
		}
	case float64:
		if want == Real {
			return v, nil
		}
	case string:
		switch want {
		case Text:
			return v, nil
		case Blob:
			return []byte(v), nil
		}
	case []byte:
		switch want {
		case Text:
			return string(v), nil
		case Blob:
			return v, nil
		}
	}
	return nil, fmt.Errorf("a %T where a value of type %s belongs", v, want)
}
