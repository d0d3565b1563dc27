package verify_test

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("cluster.seeds", 200, "seeds of the simulation of a cluster; 20000 is the long form")
	simSeed  = flag.Uint64("cluster.seed", 0, "the first of them")
	simTrace = flag.Bool("cluster.trace", false, "print all that happened to the cluster")
)

// A cluster of nodes keeps what is promised of revocations, of deciding without
// the store and of the feed, whatever goes wrong. Everything in a run follows from its seed.
func TestCluster(t *testing.T) {
	began := time.Now()
	var mu sync.Mutex
	var total simCounts
	workers := min(runtime.GOMAXPROCS(0), 4)
	t.Run("seeds", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				for i := w; i < *simSeeds; i += workers {
					p := newPlan(*simSeed+uint64(i), noBug)
					s := runPlan(t, p, *simTrace)
					if *simTrace {
						t.Logf("seed %d:\n%s", p.seed, strings.Join(s.trace, "\n"))
					}
					if s.wrong != "" {
						explain(t, p, s)
						return
					}
					mu.Lock()
					total.add(&s.count)
					mu.Unlock()
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	t.Logf("%d seeds in %s: %+v", *simSeeds, time.Since(began).Round(time.Millisecond), total)
	if *simSeeds >= 100 {
		for what, n := range map[string]int{"receipts that said everywhere": total.Everywhere, "receipts that awaited nodes": total.Awaiting, "changes": total.Changes,
			"decisions without a lease": total.Unavailable, "failovers": total.Failovers, "lost changes": total.Lost, "halts": total.Halts, "pauses": total.Pauses} {
			if n < *simSeeds/20 {
				t.Errorf("only %d %s in %d runs: the simulation is blind", n, what, *simSeeds)
			}
		}
	}
}

// explain tells how a run went wrong, with as little in it as does.
func explain(t *testing.T, p *plan, s *sim) {
	t.Helper()
	t.Errorf("seed %d: %s\nrun it again: go test ./internal/verify -run 'TestCluster$' -cluster.seed %d -cluster.seeds 1 -cluster.trace", p.seed, s.wrong, p.seed)
	less := p.shrink(func(p *plan) bool { return runPlan(t, p, false).wrong != "" })
	again := runPlan(t, less, true)
	var acts strings.Builder
	for _, a := range less.acts {
		fmt.Fprintf(&acts, "  %s\n", a)
	}
	trace := again.trace
	if len(trace) > 60 {
		trace = trace[len(trace)-60:]
	}
	t.Logf("it needs %d of %d acts (nodes %d, late standby %t):\n%sand ends so (%s):\n%s", len(less.acts), len(p.acts), p.nodes, p.late, &acts, again.wrong, strings.Join(trace, "\n"))
}

// bugSeedsMax is the most seeds that finding a planted bug may take. Those that are
// rare are looked for where they were found before, and from the first seed on
// only where that has changed.
const bugSeedsMax = 400

// Each known mistake, planted, is found within bugSeedsMax seeds.
func TestClusterFindsBugs(t *testing.T) {
	for b := noBug + 1; b < bugs; b++ {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			known := b.foundBy()
			for i := range uint64(bugSeedsMax) {
				seed := (known + i) % bugSeedsMax
				if s := runPlan(t, newPlan(seed, b), false); s.wrong != "" {
					t.Logf("found by seed %d, the %d. that was tried: %s", seed, i+1, s.wrong)
					return
				}
			}
			t.Errorf("%d seeds found nothing: the simulation is blind", bugSeedsMax)
		})
	}
}

// The same seed gives the same run, to the last message.
func TestClusterIsDeterministic(t *testing.T) {
	for seed := range uint64(4) {
		first := runPlan(t, newPlan(seed, noBug), true)
		second := runPlan(t, newPlan(seed, noBug), true)
		if len(first.trace) < 200 {
			t.Fatalf("seed %d: only %d lines", seed, len(first.trace))
		}
		for i := range max(len(first.trace), len(second.trace)) {
			if i >= len(first.trace) || i >= len(second.trace) || first.trace[i] != second.trace[i] {
				t.Fatalf("seed %d: line %d of %d and %d differs:\n%s\n%s", seed, i, len(first.trace), len(second.trace),
					strings.Join(first.trace[max(0, i-3):min(i+1, len(first.trace))], "\n"), strings.Join(second.trace[max(0, i-3):min(i+1, len(second.trace))], "\n"))
			}
		}
	}
}

// A run that goes wrong is told with few acts.
func TestClusterShrinks(t *testing.T) {
	for seed := range uint64(bugSeedsMax) {
		p := newPlan(seed, bugTrustingClock)
		if s := runPlan(t, p, false); s.wrong == "" {
			continue
		}
		less := p.shrink(func(p *plan) bool { return runPlan(t, p, false).wrong != "" })
		if len(less.acts) > 3 || len(less.acts) >= len(p.acts) {
			t.Errorf("seed %d: %d of %d acts are left, want at most 3:\n%v", seed, len(less.acts), len(p.acts), less.acts)
		}
		return
	}
	t.Error("nothing went wrong")
}
