package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Another machine is talked to by checked TLS unless somebody said otherwise.
func TestConnectionAsksForTLS(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for _, c := range []struct {
		target          string
		checked, asIs   bool // TLS whose certificate is checked; whatever the URL says
		assumed         bool
		refused, params string
	}{
		{target: "postgres://postern@db.example/postern", checked: true, assumed: true},
		{target: "postgres://postern@10.0.0.7:5432/postern?pool_max_conns=9", checked: true, assumed: true},
		{target: "postgres://postern@127.0.0.1,db2.example/postern", checked: true, assumed: true},
		{target: "postgres://postern@db.example/postern?sslmode=verify-full", checked: true},
		{target: "postgres://postern@db.example/postern?sslmode=disable", asIs: true},
		{target: "postgres://postern@db.example/postern?sslmode=require", asIs: true},
		{target: "postgres://postern@db.example/postern?sslmode=prefer", refused: "sslmode=disable for a network that you trust"},
		{target: "postgres://postern@db.example/postern?sslmode=allow", refused: "sslmode=verify-full"},
		{target: "postgres://postern@127.0.0.1/postern", asIs: true},
		{target: "postgres://postern@localhost/postern", asIs: true},
		{target: "postgres://postern@[::1]/postern", asIs: true},
		{target: "postgres://postern@/postern?host=/run/postgresql", asIs: true},
	} {
		pc, assumed, err := connection(c.target)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, want an error that says %q", c.target, err, c.refused)
			}
			continue
		}
		if err != nil || assumed != c.assumed {
			t.Errorf("%s: assumed %v, %v, want %v", c.target, assumed, err, c.assumed)
			continue
		}
		tls := pc.ConnConfig.TLSConfig
		if checked := tls != nil && !tls.InsecureSkipVerify && tls.ServerName == pc.ConnConfig.Host; checked != c.checked && !c.asIs {
			t.Errorf("%s: the certificate is checked: %v, want %v", c.target, checked, c.checked)
		}
		for _, f := range pc.ConnConfig.Fallbacks {
			if c.checked && f.TLSConfig == nil {
				t.Errorf("%s: falls back to %s without TLS", c.target, f.Host)
			}
		}
		if pc.ConnConfig.RuntimeParams["lock_timeout"] != "5000" || pc.ConnConfig.ValidateConnect == nil || pc.ConnConfig.ConnectTimeout > 5e9 {
			t.Errorf("%s: timeouts or the demand for a primary are missing: %v", c.target, pc.ConnConfig.RuntimeParams)
		}
	}
	t.Setenv("PGSSLMODE", "disable")
	if pc, assumed, err := connection("postgres://postern@db.example/postern"); err != nil || assumed || pc.ConnConfig.TLSConfig != nil {
		t.Errorf("with PGSSLMODE=disable: assumed %v, %v", assumed, err)
	}
	err := reached(errors.New("tls: certificate signed by unknown authority"), true)
	if err == nil || !strings.Contains(err.Error(), "sslrootcert=FILE") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

// What may be done again, and what must not.
func TestLost(t *testing.T) {
	server := func(code string) error { return fmt.Errorf("store: x: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		err         error
		lost, again bool
	}{
		{server("40001"), false, true},
		{server("40P01"), false, true},
		{server("57P01"), true, true},
		{server("25006"), true, true}, // a primary that became a standby
		{server("23505"), false, false},
		{server("57014"), false, false}, // the statement took too long
		{io.ErrUnexpectedEOF, true, true},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, true, true},
		{commitLost{io.ErrUnexpectedEOF}, true, false},
		{commitLost{server("57P01")}, true, false},
		{context.Canceled, false, false},
		{context.DeadlineExceeded, false, false},
		{sql.ErrNoRows, false, false},
	} {
		if lost(c.err) != c.lost || retryable(c.err) != c.again {
			t.Errorf("%v: lost %v, again %v; want %v, %v", c.err, lost(c.err), retryable(c.err), c.lost, c.again)
		}
	}
}

// Where another connection holds the lock of SQLite's file, that is no reason to give up.
func TestATakenLockIsWaitedForAgain(t *testing.T) {
	target := "file:" + t.TempDir() + "/a.db?_busy_timeout=0&_journal_mode=WAL&_txlock=immediate"
	var dbs [2]*sql.DB
	for i := range dbs {
		db, err := sql.Open("sqlite", target)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs[i] = db
	}
	first, err := dbs[0].BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Rollback()
	if _, err := dbs[1].BeginTx(t.Context(), nil); err == nil || !retryable(err) {
		t.Errorf("a taken lock is %v, want what is tried again", err)
	}
}
