package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/internal/store/storetest"
)

// The database is stopped for nearly as long as a lease lasts. Every question is
// answered as before, changes are refused with a word about it, and when the
// database is back everything goes on by itself.
func TestClusterOutage(t *testing.T) {
	lease, outage := 8*time.Second, 5*time.Second // a busy machine takes its time to start a database
	if long() {
		lease, outage = 60*time.Second, 55*time.Second
	}
	db := storetest.NewServer(t)
	c := newCluster(t, db.URL())
	defer c.logs()
	a, b := c.start(c.database, "--lease", lease.String()), c.start(c.database, "--lease", lease.String())
	live, dead := c.key(c.as(a, c.admin), "live"), c.key(c.as(b, c.admin), "dead")
	if _, err := c.revoke(c.as(a, c.admin), dead.ID); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		c.until(n, live.Secret, allows)
		c.until(n, dead.Secret, refuses)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	asked, wrong := 0, map[string]int{}
	for i := range 4 {
		n := c.nodes[i%2]
		all.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				secret, want := live.Secret, allows
				if k%4 == 3 {
					secret, want = dead.Secret, refuses
				}
				said, why := c.ask(ctx, n, secret)
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if asked++; said != want {
					wrong[string(said)+": "+why]++
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	db.Stop()
	stopped := time.Now()
	// Meanwhile nothing can be changed, and that is said.
	if status, out, err := c.as(a, c.admin).do("POST", "/v1/service-keys", map[string]any{"name": "new"}); err != nil || status != http.StatusServiceUnavailable && status != http.StatusInternalServerError {
		t.Errorf("a change without the database = %d %s, %v, want 503", status, out, err)
	}
	<-time.After(outage - time.Since(stopped))
	db.Start()
	away := time.Since(stopped)
	// The leases that were left are over before this, so they were renewed.
	<-time.After(lease / 2)
	stop()
	all.Wait()
	if len(wrong) > 0 {
		t.Errorf("of %d answers these were wrong: %v", asked, wrong)
	}
	if asked < 100 {
		t.Errorf("only %d questions", asked)
	}
	k := c.key(c.as(b, c.admin), "afterwards")
	c.until(a, k.Secret, allows)
	t.Logf("the database was away for %s, the lease is %s: %d questions on 2 nodes, all answered rightly", away.Round(10*time.Millisecond), lease, asked)
}
