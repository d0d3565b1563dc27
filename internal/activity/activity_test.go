package activity_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

var t0 = time.Date(2026, 3, 4, 10, 20, 0, 0, time.UTC)

const (
	keyA = postern.KeyID("AAAAAAAAAAAAAAAA")
	keyB = postern.KeyID("BBBBBBBBBBBBBBBB")
	acme = postern.AccountID("acc_acme")
	ajax = postern.AccountID("acc_ajax")
)

var listDeals = &postern.Operation{Upstream: "crm", Name: "listDeals", Method: "GET", Path: "/crm/v3/objects/deals"}

// engines runs a test on SQLite and, where POSTERN_TEST_POSTGRES names a server, on PostgreSQL.
func engines(t *testing.T, fn func(t *testing.T, target string)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, filepath.Join(t.TempDir(), "activity.db")) })
	t.Run("postgres", func(t *testing.T) { fn(t, postgres(t)) })
}

// postgres is the URL of a schema of this test's own.
func postgres(t testing.TB) string {
	base := os.Getenv("POSTERN_TEST_POSTGRES")
	if base == "" {
		t.Skip("POSTERN_TEST_POSTGRES is not set: not tested on PostgreSQL")
	}
	db, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := "activity_" + strings.ToLower(postern.RandomText(12))
	if _, err := db.Exec("create schema " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := sql.Open("pgx", base)
		if err == nil {
			defer db.Close()
			_, err = db.Exec("drop schema " + schema + " cascade")
		}
		if err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func open(t testing.TB, cfg activity.Config) *activity.Log {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return t0 }
	}
	l, err := activity.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func flush(t testing.TB, l *activity.Log) {
	t.Helper()
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// call is an allowed call of keyA's first secret, changed by what follows.
func call(at time.Time, change ...func(*postern.Event)) *postern.Event {
	e := &postern.Event{At: postern.ToMicros(at), Door: postern.DoorGateway, Method: "GET", Path: "/crm/v3/objects/deals",
		UserAgent: "sync/1.0", RequestID: "req_1", IP: netip.MustParseAddr("192.0.2.7"), Status: 200,
		Duration: 3 * time.Millisecond, BytesIn: 10, BytesOut: 100}
	e.Decision = postern.Decision{Allowed: true, Reason: postern.ReasonAllowed, Kind: postern.KindServiceKey,
		Which: postern.WhichCurrent, Gen: 1, Known: true, Account: acme, Operation: listDeals}
	copy(e.Decision.Key[:], keyA)
	for _, c := range change {
		c(e)
	}
	return e
}

func by(key postern.KeyID, gen uint32) func(*postern.Event) {
	return func(e *postern.Event) { copy(e.Decision.Key[:], key); e.Decision.Gen = gen }
}

func of(account postern.AccountID) func(*postern.Event) {
	return func(e *postern.Event) { e.Decision.Account = account }
}

func from(ip, agent string) func(*postern.Event) {
	return func(e *postern.Event) { e.IP, e.UserAgent = netip.MustParseAddr(ip), agent }
}

func refused(r postern.Reason) func(*postern.Event) {
	return func(e *postern.Event) { e.Decision.Allowed, e.Decision.Reason, e.Status = false, r, r.Status() }
}

func unknown(e *postern.Event) {
	refused(postern.ReasonUnknownKey)(e)
	e.Decision.Known, e.Decision.Account, e.Decision.Gen = false, "", 0
}

// all pages through every call that passes a filter.
func all(t testing.TB, l *activity.Log, f activity.Filter, n int) (out []postern.Activity) {
	t.Helper()
	var c activity.Cursor
	for range 100000 {
		page, next, err := l.Query(context.Background(), f, c, n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page...)
		if next.Zero() {
			return out
		}
		c = next
	}
	t.Fatal("Query: the pages don't end")
	return nil
}

func count(t testing.TB, l *activity.Log, table string) (n int64) {
	t.Helper()
	if err := activity.Pool(l).Read().QueryRow("select count(*) from " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// calls are all calls that are stored.
func calls(t testing.TB, l *activity.Log) []postern.Activity {
	t.Helper()
	out, err := activity.Calls(l)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ref[T any](v T) *T { return &v }

var ctx = context.Background()

func path(i int) func(*postern.Event) {
	return func(e *postern.Event) { e.Path = fmt.Sprintf("/n/%d", i) }
}
