package store_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"postern.dev/postern/internal/store/storetest"
)

// A primary that was replaced and goes on living is used by nobody who has met
// the new one: not by the connections that are open, and not by new ones.
func TestReplacedPrimary(t *testing.T) {
	old := storetest.NewServer(t)
	next := old.Standby()
	// New connections go to the first of the two that takes writes.
	db := storetest.Open(t, fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&pool_max_conns=10", next.Port, old.Port))
	take := func(n int) (held []*sql.Conn) {
		t.Helper()
		for range n {
			c, err := db.Read().Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		return held
	}
	port := func(c *sql.Conn) (n int) {
		t.Helper()
		if err := c.QueryRowContext(t.Context(), "select inet_server_port()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	give := func(held []*sql.Conn) {
		for _, c := range held {
			c.Close()
		}
	}
	idle := take(5)
	for _, c := range idle {
		if p := port(c); p != old.Port {
			t.Fatalf("before the promotion a connection is to %d, want %d", p, old.Port)
		}
	}
	next.Promote()
	for met := false; !met; { // the pool may have some from before
		c := take(1)
		met = port(c[0]) == next.Port
		idle = append(idle, c...)
	}
	if p := port(idle[0]); p != old.Port {
		t.Fatal("the old server is gone, so this shows nothing")
	}
	give(idle)
	all := take(10)
	for _, c := range all {
		if p := port(c); p != next.Port {
			t.Errorf("after the new server was met a connection is to %d, want %d", p, next.Port)
		}
	}
	give(all)
	next.Stop()
	err := db.Ping(t.Context())
	for try := 0; try < 10 && err != nil && strings.Contains(err.Error(), "57P01"); try++ {
		err = db.Ping(t.Context()) // what was open has ended
	}
	if err == nil || !strings.Contains(err.Error(), "it was replaced") {
		t.Errorf("with the new server away the old one is asked: %v", err)
	}
}
