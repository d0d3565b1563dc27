// Package storetest gives each test a fresh database of each engine.
package storetest

import (
	"crypto/rand"
	"database/sql"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes the schemas

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Env names the PostgreSQL server that tests may use: a URL of a database in
// which they may make schemas. scripts/test starts one.
const Env = "POSTERN_TEST_POSTGRES"

// Run runs a test on SQLite, and on PostgreSQL where Env names a server.
func Run(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	Targets(t, func(t *testing.T, target string) { test(t, Open(t, target)) })
}

// Targets runs a test with a fresh target of each engine, for what opens the database itself.
func Targets(t *testing.T, test func(t *testing.T, target string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Open opens a target's main records for the length of a test.
func Open(t testing.TB, target string) *store.DB {
	t.Helper()
	db, err := store.OpenDB(t.Context(), target, Pepper(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Pepper seals the rows of every test's database, so that one can be opened again.
func Pepper(t testing.TB) *postern.Pepper {
	t.Helper()
	p, err := postern.ParsePepper("1:" + strings.Repeat("cG9zdGVy", 5) + "bmU=")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// SQLite is the path of a database file that isn't there yet.
func SQLite(t testing.TB) string {
	return filepath.Join(t.TempDir(), "postern.db")
}

// Postgres is the URL of an empty schema; the test is skipped where there is no server.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Env)
	if server == "" {
		t.Skipf("%s names no server; scripts/test starts one", Env)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "t_" + strings.ToLower(rand.Text())
	if _, err := db.Exec("create schema " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("drop schema " + schema + " cascade"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	q := u.Query()
	q.Set("search_path", schema)
	// Many tests run at once; each keeps to a few connections.
	q.Set("pool_max_conns", "4")
	u.RawQuery = q.Encode()
	return u.String()
}
