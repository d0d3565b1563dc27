// Package store keeps Postern's records in SQLite or PostgreSQL.
//
// database/sql is the seam between the two engines: a query is written once, in
// what both share. Pool is an opened database of either engine with its
// migrations applied; DB is the pool of the main records with their queries.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern.dev/postern"
)

// Engine is one of the two database engines.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// PoolConfig says which database to open and how.
type PoolConfig struct {
	// Target is the path of an SQLite file, or a URL that starts with "postgres://" or "postgresql://".
	Target string
	// Migrations holds the folders "sqlite" and "postgres" with equal numbers; Table is where the applied ones are noted.
	Migrations fs.FS
	Table      string
	// Relaxed gives up durability at power loss (SQLite's synchronous=NORMAL). For activity only, never for records.
	Relaxed bool
	// Nodes says that the leases of nodes are kept here: see noNodeBehind.
	Nodes  bool
	Logger *slog.Logger
}

// Pool is an opened database: reads go to any connection, writes through one
// transaction at a time on SQLite.
type Pool struct {
	Engine     Engine
	r, w       *sql.DB
	conns      *pgxpool.Pool // what r and w are made of on PostgreSQL; closing those doesn't close it
	schema     int64         // the newest that this binary knows
	groups     *groups       // of the changes of an SQLite file
	broken     atomic.Bool
	durability atomic.Pointer[Durability]
}

// Open opens a database, makes it where it isn't there (SQLite), and applies the
// migrations that it lacks. A schema newer than this binary is left as it is; where
// that is one which this binary can't work with, it is refused before anything is touched.
func Open(ctx context.Context, cfg PoolConfig) (*Pool, error) {
	var p *Pool
	var err error
	if isPostgres(cfg.Target) {
		p, err = openPostgres(ctx, cfg)
	} else {
		p, err = openSQLite(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := p.migrate(ctx, cfg); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// IsPostgres reports whether a target names a PostgreSQL server.
func isPostgres(target string) bool {
	return strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://")
}

func openSQLite(ctx context.Context, cfg PoolConfig) (*Pool, error) {
	sqlite.StrictPragmas(true)
	made := false
	if _, err := os.Stat(cfg.Target); errors.Is(err, fs.ErrNotExist) {
		f, err := os.OpenFile(cfg.Target, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("store: make %s: %w", cfg.Target, err)
		}
		f.Close()
		made = true
	}
	sync := "FULL"
	if cfg.Relaxed {
		sync = "NORMAL"
	}
	path := (&url.URL{Path: cfg.Target}).EscapedPath()
	base := "file:" + path + "?_busy_timeout=5000&_journal_mode=WAL&_foreign_keys=1&_synchronous=" + sync +
		"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-65536)&_pragma=journal_size_limit(67108864)"
	w, err := sql.Open("sqlite", base+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", cfg.Target, err)
	}
	w.SetMaxOpenConns(1)
	var mode string
	var level int
	if err := w.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode); err != nil {
		w.Close()
		return nil, fmt.Errorf("store: open %s: %w", cfg.Target, err)
	}
	// Read back what durability rests on: a file system that can't do it must not look as if it could.
	if err := w.QueryRowContext(ctx, "pragma synchronous").Scan(&level); err != nil || mode != "wal" || (!cfg.Relaxed && level != 2) {
		w.Close()
		return nil, fmt.Errorf("store: %s: want journal_mode wal and synchronous 2, have %s and %d (%v)", cfg.Target, mode, level, err)
	}
	if made {
		if err := syncDir(filepath.Dir(cfg.Target)); err != nil {
			w.Close()
			return nil, fmt.Errorf("store: %s: %w", cfg.Target, err)
		}
	}
	r, err := sql.Open("sqlite", base+"&_query_only=1")
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("store: open %s: %w", cfg.Target, err)
	}
	n := max(4, runtime.NumCPU())
	r.SetMaxOpenConns(n)
	r.SetMaxIdleConns(n)
	p := &Pool{Engine: SQLite, r: r, w: w}
	p.groups = &groups{pool: p}
	return p, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func openPostgres(ctx context.Context, cfg PoolConfig) (*Pool, error) {
	pc, assumed, err := connection(cfg.Target)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(cfg.Target, "pool_max_conns") {
		pc.MaxConns = int32(min(30, max(8, 4*runtime.NumCPU())))
	}
	pc.MinIdleConns = 2
	pc.MaxConnLifetime = 30 * time.Minute
	pc.MaxConnLifetimeJitter = 5 * time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("store: open PostgreSQL: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	err = reached(db.PingContext(ctx), assumed)
	if err == nil {
		err = checkVersion(ctx, db)
	}
	if err != nil {
		db.Close()
		pool.Close()
		return nil, err
	}
	return &Pool{Engine: Postgres, r: db, w: db, conns: pool}, nil
}

func (p *Pool) migrate(ctx context.Context, cfg PoolConfig) error {
	dialect := goose.DialectSQLite3
	opts := []goose.ProviderOption{goose.WithTableName(cfg.Table), goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger())}
	if p.Engine == Postgres {
		dialect = goose.DialectPostgres
		// A lock table works behind connection poolers and on distributed engines.
		l, err := lock.NewPostgresTableLocker()
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithLocker(l))
	}
	steps, floors, err := migrationSteps(&cfg, p.Engine)
	if err != nil {
		return err
	}
	g, err := goose.NewProvider(dialect, p.w, nil, append(opts, goose.WithGoMigrations(steps...))...)
	if err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	have, err := g.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("store: read the schema's version: %w", err)
	}
	var want int64
	for _, s := range g.ListSources() {
		want = max(want, s.Version)
	}
	p.schema = want
	if have > want {
		return p.olderThan(ctx, &cfg, have, want, steps)
	}
	if cfg.Nodes && p.Engine == Postgres { // one process has an SQLite file, and it is this one
		var floor int64
		for version, f := range floors {
			if version > have {
				floor = max(floor, f)
			}
		}
		if err := noNodeBehind(ctx, p.w, floor); err != nil {
			return err
		}
	}
	if _, err := g.Up(ctx); err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	return nil
}

// migrationSteps are the migrations of an engine. Each file is run as it is, all of it in one
// transaction: goose's own reading of SQL takes statements apart, which is most of
// what opening a database would cost.
// floors are by version the oldest schemas whose binaries work with what each makes.
func migrationSteps(cfg *PoolConfig, e Engine) (steps []*goose.Migration, floors map[int64]int64, err error) {
	names, err := fs.Glob(cfg.Migrations, string(e)+"/*.sql")
	if err != nil {
		return nil, nil, err
	}
	floors = map[int64]int64{}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, nil, fmt.Errorf("store: migration %s: %w", name, err)
		}
		text, err := fs.ReadFile(cfg.Migrations, name)
		if err != nil {
			return nil, nil, err
		}
		floor, err := floorOf(version, string(text))
		if err != nil {
			return nil, nil, fmt.Errorf("store: migration %s: %w", name, err)
		}
		floors[version] = floor
		all := string(text) + raiseFloor(e, cfg.Table, version, floor)
		up := func(ctx context.Context, tx *sql.Tx) error {
			if cfg.Nodes && e == Postgres {
				if err := noNodeComes(ctx, tx, floor); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, all); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil))
	}
	return steps, floors, nil
}

// Close closes the database. On SQLite it lets the planner note what it learnt.
func (p *Pool) Close() error {
	if p.Engine == SQLite {
		p.w.Exec("pragma optimize")
		return errors.Join(p.r.Close(), p.w.Close())
	}
	err := p.w.Close()
	p.conns.Close()
	return err
}

// Read is for queries outside a transaction that change nothing.
func (p *Pool) Read() *sql.DB { return p.r }

// Ping asks whether the database answers.
func (p *Pool) Ping(ctx context.Context) error {
	var one int
	return p.r.QueryRowContext(ctx, "select 1").Scan(&one)
}

// Write runs fn in one transaction of its own and commits it, or changes nothing;
// see WriteGrouped for what is small. On
// PostgreSQL it runs fn again, up to five times, where the server asks for that
// (serialization failure, deadlock) or the connection is lost before the commit,
// so fn must have no effect outside tx.
// After an error that may mean lost writes it refuses to write until restart: a
// later sync that succeeds would prove nothing.
func (p *Pool) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return p.retry(ctx, func() error { return p.writeOnce(ctx, fn) })
}

// retry runs once a transaction, and again where the server asks for that.
func (p *Pool) retry(ctx context.Context, once func() error) error {
	if p.broken.Load() {
		return errStopped
	}
	for try := 0; ; try++ {
		err := once()
		if err == nil || try == 4 || !retryable(err) {
			return p.note(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(rand.Int64N(int64(10*time.Millisecond) << try))):
		}
	}
}

func (p *Pool) writeOnce(ctx context.Context, fn func(tx *sql.Tx) error) error {
	conn, tx, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Also where fn panics: a connection that is in a transaction can't be closed, and the writer's place would be held. After a commit it does nothing.
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return p.commit(conn, tx)
}

func (p *Pool) note(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch code := e.Code(); {
		case code&0xff == sqlite3.SQLITE_FULL:
			return &postern.Error{Code: postern.CodeStorageFull, Message: "The disk is full: nothing was changed. Free space and try again; no restart is needed.", Err: err}
		case code == sqlite3.SQLITE_IOERR_FSYNC || code == sqlite3.SQLITE_IOERR_DIR_FSYNC:
			p.broken.Store(true)
			return &postern.Error{Code: postern.CodeUnavailable, Message: "The disk failed while this was being written, so it isn't known whether it was. Changes are stopped; restart the server once the disk is sound.", Err: err}
		case code == sqlite3.SQLITE_IOERR_WRITE || code == sqlite3.SQLITE_IOERR_TRUNCATE || code&0xff == sqlite3.SQLITE_READONLY:
			return &postern.Error{Code: postern.CodeUnavailable, Message: "The database's files can't be written: nothing was changed. See that their disk is sound and isn't read-only, and try again; no restart is needed.", Err: err}
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" { // the lock wasn't to be had in time
		return &postern.Error{Code: postern.CodeUnavailable, Message: errBusy.Message, Err: err}
	}
	if _, unknown := errors.AsType[commitLost](err); p.Engine == Postgres && (unknown || lost(err)) {
		return away(err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "53100" {
		return &postern.Error{Code: postern.CodeStorageFull, Message: "The database's disk is full: nothing was changed. Free space and try again.", Err: err}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && slices.Contains([]string{"55P03", "57014", "25P03", "53300"}, e.Code) {
		return &postern.Error{Code: postern.CodeUnavailable, Message: "The database takes too long: nothing was changed. Try again in a moment.", Err: err}
	}
	return err
}

// retryable reports whether a transaction that was undone can be done again.
func retryable(err error) bool {
	if _, unknown := errors.AsType[commitLost](err); unknown {
		return false // it may not have been undone
	}
	// SQLite has no queue: where many want its lock, one may find it taken at each look for as long as a try waits.
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqlite3.SQLITE_BUSY
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01") || lost(err)
}

// IsUnique reports whether err is a violation of a unique constraint or index.
func IsUnique(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505"
}

// Empty reports whether a PostgreSQL database holds no records of Postern yet.
func Empty(ctx context.Context, target string) (bool, error) {
	pc, assumed, err := connection(target)
	if err != nil {
		return false, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return false, fmt.Errorf("store: open PostgreSQL: %w", err)
	}
	defer pool.Close()
	var there bool
	if err := pool.QueryRow(ctx, "select to_regclass('settings') is not null and to_regclass('credentials') is not null").Scan(&there); err != nil {
		return false, reached(err, assumed)
	}
	return !there, nil
}
