package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

var (
	clusterLong = flag.Bool("cluster", false, "the long forms of the cluster's tests: a database that writes to the disk, 60 s of lease, and what needs root")
	revocations = flag.Int("revocations", 0, "how many keys TestClusterRevocations revokes; 0: 320, or 10,000 with -cluster")
)

// clientLoops is how many clients revoke and ask at once.
const clientLoops = 64

// Three nodes share a database. No request that starts after a receipt said
// everywhere is allowed on any of them; and how long the receipts took is told.
func TestClusterRevocations(t *testing.T) {
	n, people := *revocations, 16
	var database string
	if long() {
		database = storetest.NewServer(t).URL()
		people = clientLoops
	} else {
		database = storetest.Postgres(t)
	}
	if n == 0 {
		if n = 320; long() {
			n = 10_000
		}
	}
	c := newCluster(t, database)
	defer c.logs()
	for range 3 {
		c.start(c.database, "--lease", "60s")
	}
	r := &revoking{cluster: c, judge: newJudge()}
	r.people(people)
	began := time.Now()
	r.make(n)
	made := time.Since(began)
	began = time.Now()
	r.revokeAll()
	took := time.Since(began)
	r.judge.verdict(t, 3*n)
	if r.awaiting > 0 {
		t.Errorf("%d of %d first receipts had nodes to wait for, though all were well", r.awaiting, n)
	}
	s, whole := spreadOf(r.receipts), spreadOf(r.answers)
	t.Logf("%d keys made in %s, %d revoked in %s by %d loops on 3 nodes; %d questions, %d of them about dead secrets, 0 answered with yes",
		n, made.Round(time.Millisecond), n, took.Round(time.Millisecond), clientLoops, r.questions, r.judge.asked)
	t.Logf("from commit to receipt: p50 %s, p99 %s, maximum %s; from request to answer: p50 %s, p99 %s, maximum %s",
		s.at(.5), s.at(.99), s.at(1), whole.at(.5).Round(time.Millisecond), whole.at(.99).Round(time.Millisecond), whole.at(1).Round(time.Millisecond))
	if limit := 250 * time.Millisecond; long() && s.at(.99) > limit {
		t.Errorf("p99 from commit to receipt is %s, want at most %s", s.at(.99), limit)
	}
}

// The same judge, told of a key's end as soon as it is committed and not when
// the receipt comes, finds that it is allowed: what confirms too early is seen.
func TestClusterJudgeSees(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	near := c.start(c.database, "--lease", "60s")
	slow, by := through(t, c.database)
	far := c.start(by, "--lease", "60s")
	ctx := t.Context()
	early, right := newJudge(), newJudge()
	for i := range 3 {
		k := c.key(c.as(near, c.admin), fmt.Sprint("early-", i))
		c.until(far, k.Secret, allows)
		slow.hold()
		var receipt *api.Receipt
		var err error
		var done sync.WaitGroup
		done.Go(func() { receipt, err = c.revoke(c.as(near, c.admin), k.ID) })
		c.until(near, k.Secret, refuses)
		early.dead(k.Secret, time.Now()) // it is committed
		asked := time.Now()
		a, why := c.ask(ctx, far, k.Secret)
		early.hears("far", k.Secret, asked, a)
		right.hears("far", k.Secret, asked, a)
		if a != allows {
			t.Errorf("a node that has not heard of the revocation %s (%s), want that it allows", a, why)
		}
		slow.release()
		done.Wait()
		if err != nil || receipt.Effective != api.EffectiveEverywhere {
			t.Fatalf("the receipt is %+v, %v", receipt, err)
		}
		right.dead(k.Secret, time.Now())
		asked = time.Now()
		a, _ = c.ask(ctx, far, k.Secret)
		right.hears("far", k.Secret, asked, a)
	}
	right.verdict(t, 3)
	if len(early.wrong) != 3 {
		t.Errorf("a judge that takes the commit for the receipt found %d of 3 secrets allowed", len(early.wrong))
	}
}

// until asks a node about a secret until it gives an answer.
func (c *cluster) until(s *server, secret string, want answer) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for {
		a, why := c.ask(ctx, s, secret)
		if a == want {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("a node %s (%s), want that it %s", a, why, want)
		}
	}
}

// revoking is many clients that make, use and revoke keys.
type revoking struct {
	*cluster
	judge   *judge
	secrets []string // of members, one for some loops

	mu        sync.Mutex
	keys      [clientLoops][]api.ChangedKey
	receipts  []time.Duration // from commit to receipt
	answers   []time.Duration // from request to answer
	awaiting  int
	questions int
}

// people invites those who revoke: nobody may change things as fast as they do together.
func (r *revoking) people(n int) {
	r.t.Helper()
	for i := range n {
		r.secrets = append(r.secrets, r.as(r.nodes[i%len(r.nodes)], r.admin).invite(r.t, fmt.Sprintf("m%d@example.org", i), "super_admin"))
	}
}

// who is the caller of a loop at a node.
func (r *revoking) who(loop, node int) caller {
	return r.as(r.nodes[node%len(r.nodes)], r.secrets[loop%len(r.secrets)])
}

// each runs a loop for each client.
func (r *revoking) each(loop func(i int)) {
	var all sync.WaitGroup
	for i := range clientLoops {
		all.Go(func() { loop(i) })
	}
	all.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
}

func (r *revoking) make(n int) {
	r.t.Helper()
	r.each(func(loop int) {
		for i := loop; i < n && !r.t.Failed(); i += clientLoops {
			status, out, err := 0, []byte(nil), error(nil)
			for busy := true; busy; {
				status, out, err = r.who(loop, i).do("POST", "/v1/service-keys", api.NewServiceKey{Name: fmt.Sprint("key-", i)})
				if busy = tryAgain(status); busy {
					<-time.After(50 * time.Millisecond)
				}
			}
			var k api.ChangedKey
			if err != nil || status != http.StatusCreated || json.Unmarshal(out, &k) != nil {
				r.t.Errorf("make a key = %d %s, %v", status, out, err)
				return
			}
			r.keys[loop] = append(r.keys[loop], k)
		}
	})
}

func (r *revoking) revokeAll() {
	r.t.Helper()
	r.each(func(loop int) {
		for i, k := range r.keys[loop] {
			if r.t.Failed() {
				return
			}
			r.end(loop, loop+i, k)
			if i > 0 { // and one that ended before
				r.asks(anyNode(r.nodes), r.keys[loop][i/2].Secret)
			}
		}
	})
}

// end uses a key, revokes it on one node and asks all of them at once.
func (r *revoking) end(loop, at int, k api.ChangedKey) {
	ctx := r.t.Context()
	if a, why := r.ask(ctx, r.nodes[(at+1)%len(r.nodes)], k.Secret); a != allows {
		r.t.Errorf("a node %s a live secret: %s", a, why)
		return
	}
	began := time.Now()
	receipt, err := r.revoke(r.who(loop, at), k.ID)
	if err != nil {
		r.t.Error(err)
		return
	}
	answered := time.Since(began)
	first := receipt.Effective == api.EffectiveEverywhere
	for receipt.Effective != api.EffectiveEverywhere {
		status, out, err := r.who(loop, at).do("GET", "/v1/service-keys/"+k.ID+"/receipt", nil)
		if err != nil || status != http.StatusOK || json.Unmarshal(out, receipt) != nil {
			r.t.Errorf("read a receipt = %d %s, %v", status, out, err)
			return
		}
	}
	r.judge.dead(k.Secret, time.Now())
	r.mu.Lock()
	if first {
		r.receipts = append(r.receipts, time.Duration(receipt.TookMs)*time.Millisecond)
	} else {
		r.awaiting++
	}
	r.answers = append(r.answers, answered)
	r.mu.Unlock()
	for _, n := range r.nodes {
		r.asks(n, k.Secret)
	}
}

// asks asks a node about a secret, and tells the judge.
func (r *revoking) asks(n *server, secret string) {
	began := time.Now()
	a, why := r.ask(r.t.Context(), n, secret)
	r.judge.hears(n.API, secret, began, a)
	if a == cannot || a == silent {
		r.t.Errorf("a node %s: %s", a, why)
	}
	r.mu.Lock()
	r.questions++
	r.mu.Unlock()
}
