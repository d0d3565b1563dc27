package verify_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

var simRuns = flag.Int("sims", 1500, "seeds of the revocation simulation")

// order is the order in which a node takes the steps of a renewal.
type order []func(context.Context, *verify.Renewal) error

var (
	note    = func(_ context.Context, r *verify.Renewal) error { r.Note(); return nil }
	write   = func(ctx context.Context, r *verify.Renewal) error { return r.Write(ctx) }
	read    = func(ctx context.Context, r *verify.Renewal) error { return r.Read(ctx) }
	extend  = func(_ context.Context, r *verify.Renewal) error { r.Extend(); return nil }
	confirm = func(ctx context.Context, r *verify.Renewal) error { return r.Confirm(ctx) }

	rightOrder = order{note, write, read, extend, confirm}
	// The two known mistakes: reading the feed before the lease is written, and
	// counting the lease from the answer.
	readFirst = order{note, read, write, extend, confirm}
	lateStart = order{write, read, note, extend, confirm}
)

// simulation is a cluster in one process, whose every step a seed decides.
type simulation struct {
	w      *world
	rand   *rand.Rand
	order  order
	nodes  []*simNode
	made   int
	row    postern.CredentialRow
	req    *verify.Request
	seq    int64 // of the revocation, once committed
	wait   *verify.Promise
	acked  bool
	tested int // decisions after the receipt
}

type simNode struct {
	v       *verify.Verifier
	clock   *clock
	slow    time.Duration // one part in this many by which its clocks lag
	renewal *verify.Renewal
	step    int
}

func simulate(t *testing.T, seed uint64, o order) (broken bool, tested int) {
	s := &simulation{rand: rand.New(rand.NewPCG(seed, 1)), order: o}
	s.w = newWorld(t)
	secret, row := s.w.key()
	s.row, s.req = row, get(secret, "GET", "/deals")
	s.w.store.set(func() { clear(s.w.store.leases) }) // the world's own node takes no part
	for range 2 {
		s.nodes = append(s.nodes, s.start())
	}
	for range 120 {
		s.act(t)
		if !s.acked {
			continue
		}
		for _, n := range s.nodes {
			s.tested++
			if d := verifyWith(t, n.v, s.req); d.Allowed {
				return true, s.tested
			}
		}
	}
	return false, s.tested
}

func (s *simulation) start() *simNode {
	s.made++
	n := &simNode{clock: newClock(), slow: time.Duration(200 + s.rand.IntN(1000))}
	n.clock.now = s.w.clock.time()
	n.clock.ahead = time.Duration(s.rand.IntN(7200)-3600) * time.Second
	n.v = s.w.node(func(c *verify.Config) { c.Clock, c.Node, c.Shared = n.clock, fmt.Sprint("n", s.made), true })
	return n
}

func (s *simulation) act(t *testing.T) {
	ctx := context.Background()
	switch n := s.nodes[s.rand.IntN(len(s.nodes))]; s.rand.IntN(12) {
	case 0, 1:
		s.tick([]time.Duration{time.Second, 5 * time.Second, 20 * time.Second, 58 * time.Second}[s.rand.IntN(4)])
	case 2:
		if s.rand.IntN(4) == 0 { // a crash, and a new process
			*n = *s.start()
		}
	case 3:
		if n.step == 0 && n.v.Alive() { // a poll between two renewals
			s.must(t, verify.NewRenewal(n.v).Read(ctx))
			s.must(t, verify.NewRenewal(n.v).Confirm(ctx))
		}
	case 4, 5:
		s.revoke()
	default:
		if n.step == 0 {
			n.renewal = verify.NewRenewal(n.v)
		}
		s.must(t, s.order[n.step](ctx, n.renewal))
		n.step = (n.step + 1) % len(s.order)
	}
}

func (s *simulation) must(t *testing.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func (s *simulation) tick(d time.Duration) {
	s.w.clock.add(d)
	for _, n := range s.nodes {
		lag := d / n.slow
		n.clock.set(func() {
			n.clock.now = n.clock.now.Add(d)
			n.clock.ahead -= lag
			n.clock.paused += lag
			n.clock.asleep += lag
		})
	}
}

// revoke takes the next step of the revocation: commit, look, acknowledge.
func (s *simulation) revoke() {
	leases, now, _ := s.w.store.Leases(context.Background())
	switch {
	case s.seq == 0 && s.rand.IntN(6) == 0:
		s.row.RevokedAt = s.w.clock.time()
		s.row.Revision++
		s.row.Seal(s.w.pepper)
		s.seq = s.w.store.commit(postern.ChangeCredential, string(s.row.Key), func() { s.w.store.rows[s.row.Key] = s.row })
	case s.seq != 0 && s.wait == nil:
		p := verify.NewPromise(s.w.v, s.seq, leases)
		s.wait = &p
	case s.wait != nil:
		s.acked = s.acked || s.wait.Receipt(leases, now).Everywhere
	}
}

// After a receipt that says everywhere no node lets the key pass: not with the
// right order of steps, and soon with either of the wrong ones.
func TestRevocationSimulation(t *testing.T) {
	runs := *simRuns
	if testing.Short() {
		runs = 300
	}
	tests := []struct {
		name  string
		order order
		found bool
	}{
		{"right order", rightOrder, false},
		{"reads the feed before the lease is written", readFirst, true},
		{"counts the lease from the answer", lateStart, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tested := 0
			for seed := range uint64(runs) {
				broken, n := simulate(t, seed, tt.order)
				tested += n
				if broken {
					if !tt.found {
						t.Fatalf("seed %d: a revoked key passed after its receipt", seed)
					}
					t.Logf("found by seed %d", seed)
					return
				}
			}
			if tt.found {
				t.Errorf("%d seeds found nothing: the simulation is blind", runs)
			}
			if tested < runs {
				t.Errorf("only %d decisions after a receipt in %d runs", tested, runs)
			}
			t.Logf("%d decisions after a receipt in %d runs", tested, runs)
		})
	}
}
