package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

// How a transaction's begin and end go over the wire: as simple queries.
var (
	beginMessage  = []byte("Q\x00\x00\x00\x0abegin\x00")
	commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")
)

// The connection to the database breaks while a change is committed, before the
// server has heard of it or after. Either way the answer is what happened: one
// key, which works with the secret that was given, or one that has ended.
func TestConnectionLostDuringCommit(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	w, by := through(t, c.database)
	s := c.start(by)
	admin := c.as(s, c.admin)
	for _, after := range []bool{false, true} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("after=%v,idempotency-key=%v", after, named), func(t *testing.T) {
				name := fmt.Sprintf("key-%v-%v", after, named)
				cut := cutting(w, name, after)
				var headers []string
				if named {
					headers = []string{"Idempotency-Key", name}
				}
				var made api.ChangedKey
				admin.must(t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: name}, headers...)
				if cut.Load() != 1 {
					t.Fatalf("%d commits were cut, want 1", cut.Load())
				}
				c.until(s, made.Secret, allows)
				var page api.Page[api.ServiceKey]
				// A question may meet a connection that is not known to be gone; it says so, and is asked again.
				for status := 0; status != http.StatusOK; {
					out, err := []byte(nil), error(nil)
					if status, out, err = admin.do("GET", "/v1/service-keys?limit=100", nil); err != nil || status != http.StatusOK && !tryAgain(status) {
						t.Fatalf("list = %d %s, %v", status, out, err)
					}
					if err := json.Unmarshal(out, &page); status == http.StatusOK && err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				for _, k := range page.Items {
					if k.Name == name {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d keys are called %s, want 1", n, name)
				}
				if named { // and asked again, nothing new is made
					status, out, err := admin.do("POST", "/v1/service-keys", api.NewServiceKey{Name: name}, headers...)
					if err != nil || status/100 != 2 || !bytes.Contains(out, []byte(made.ID)) || bytes.Contains(out, []byte(made.Secret)) {
						t.Errorf("the same again = %d %s, %v; want the same key without its secret", status, out, err)
					}
				}

				cut = cutting(w, made.ID, after)
				r, err := c.revoke(admin, made.ID)
				if err != nil || r.Effective != api.EffectiveEverywhere || cut.Load() != 1 {
					t.Fatalf("revoke, with %d commits cut: %+v, %v", cut.Load(), r, err)
				}
				if a, why := c.ask(t.Context(), s, made.Secret); a != refuses {
					t.Errorf("after the receipt a node %s (%s)", a, why)
				}
			})
		}
	}
}

// cutting cuts the connection on which a transaction that is about something is
// committed, before its COMMIT reaches the server or after.
func cutting(w *wire, about string, after bool) *atomic.Int64 {
	var cut atomic.Int64
	var mu sync.Mutex
	mine := map[net.Conn]bool{} // connections in a transaction, and whether it is the one
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = func(c net.Conn, b []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		if bytes.Contains(b, beginMessage) {
			mine[c] = false
		}
		if is, within := mine[c]; within && !is && bytes.Contains(b, []byte(about)) {
			mine[c] = true
		}
		if !bytes.Contains(b, commitMessage) {
			return true
		}
		is := mine[c]
		delete(mine, c)
		if !is || !cut.CompareAndSwap(0, 1) {
			return true
		}
		if after {
			c.Write(b)
			<-time.After(50 * time.Millisecond) // the server does it, and its answer is lost
		}
		return false
	}
	return &cut
}
