package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/limit/ledger"
	"postern.dev/postern/internal/limit/redistest"
)

// patient is a bound that no busy machine reaches.
const patient = 30 * time.Second

func open(t testing.TB, url string, change ...func(*ledger.Config)) *ledger.Ledger {
	t.Helper()
	cfg := ledger.Config{URL: url, Timeout: patient}
	for _, fn := range change {
		fn(&cfg)
	}
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

type key = [postern.KeyIDLen]byte

func keyOf(n int) (k key) {
	copy(k[:], fmt.Sprintf("%016d", n))
	return k
}

// clock is the time of nodes and Redis in one, which only the test moves.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.Store(int64(1000 * time.Hour))
	return c
}

func (c *clock) add(d time.Duration) { c.Add(int64(d)) }

// A burst, then a call for each step; what is left and when it is whole as a node alone says it.
func TestTake(t *testing.T) {
	l, c, k := open(t, redistest.Start(t).URL()), newClock(), keyOf(1)
	l.SetClock(c.Load)
	const window = int64(10 * time.Second)
	for i := range int64(10) {
		got := l.Take(k, 10, window)
		if want := (limit.Taken{Mode: limit.Together, OK: true, Left: 9 - i, Reset: time.Duration(i+1) * time.Second}); got != want {
			t.Fatalf("call %d: %+v, want %+v", i, got, want)
		}
	}
	beyond := limit.Taken{Mode: limit.Together, Reset: 10 * time.Second, Retry: time.Second}
	asked := l.State().Asked
	for range 3 {
		if got := l.Take(k, 10, window); got != beyond {
			t.Fatalf("the eleventh call: %+v, want %+v", got, beyond)
		}
	}
	if n := l.State().Asked - asked; n != 1 {
		t.Errorf("%d questions for three calls that have to be refused, want 1", n)
	}
	c.add(time.Second - 1)
	if l.Take(k, 10, window).OK {
		t.Error("a call before its time is allowed")
	}
	c.add(1)
	if !l.Take(k, 10, window).OK {
		t.Error("a call at the time named is refused")
	}
	// The clock of Redis is set back a day: nobody is locked out for a day.
	c.add(-24 * time.Hour)
	l2 := open(t, l.URL())
	l2.SetClock(c.Load)
	if got := l2.Take(k, 10, window); got.OK || got.Retry > time.Second {
		t.Errorf("after the clock went back: %+v", got)
	}
	c.add(time.Second)
	if !l2.Take(k, 10, window).OK {
		t.Error("after the clock went back, a call at the time named is refused")
	}
}

// A limit that was changed holds at once, and what was used of the old one counts.
func TestChangedLimit(t *testing.T) {
	l, c, k := open(t, redistest.Start(t).URL()), newClock(), keyOf(1)
	l.SetClock(c.Load)
	taken := func(calls int64) (n int64) {
		for l.Take(k, calls, int64(10*time.Second)).OK {
			n++
		}
		l.Settle()
		return n
	}
	if n := taken(100); n < 95 || n > 100 {
		t.Errorf("%d of 100 calls at once", n)
	}
	if n := taken(5); n != 0 {
		t.Errorf("%d more calls by the narrower limit, want none", n)
	}
	c.add(5 * time.Second)
	if n := taken(10); n < 4 || n > 5 {
		t.Errorf("%d of 10 calls after half of the window, want 5", n)
	}
	other := keyOf(2)
	if !l.Take(other, 10, int64(10*time.Second)).OK {
		t.Error("one key's limit is another's")
	}
	c.add(time.Minute)
	if n := l.Forget(); n != 0 {
		t.Errorf("%d keys are remembered that nobody calls, want none", n)
	}
}

// However many nodes there are, and whatever comes to which: in no span of time do
// they allow more than the algorithm does in one that is a twentieth of the window longer.
func TestNodesTogether(t *testing.T) {
	url := redistest.Start(t).URL()
	const most = 5
	var c atomic.Pointer[clock]
	nodes := make([]*ledger.Ledger, most)
	c.Store(newClock())
	for i := range nodes {
		nodes[i] = open(t, url)
		nodes[i].SetClock(func() int64 { return c.Load().Load() })
	}
	tried, passed, runs := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		n, calls := rapid.IntRange(1, most).Draw(t, "nodes"), rapid.Int64Range(1, 2000).Draw(t, "calls")
		window := time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second
		k, now := keyOf(runs), c.Load()
		var at []int64 // when calls were allowed
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now.add(time.Duration(rapid.Int64Range(0, int64(window)/20).Draw(t, "gap")))
			node := nodes[rapid.IntRange(0, n-1).Draw(t, "node")]
			for range rapid.IntRange(1, 40).Draw(t, "at once") {
				tried++
				if node.Take(k, calls, int64(window)).OK {
					at = append(at, now.Load())
				}
			}
			node.Settle() // else the clock moves while a question is under way
		}
		passed += len(at)
		rate := float64(calls) / float64(window)
		for i := range at {
			for j := i; j < len(at); j++ {
				// All from i to j.
				due := float64(calls) + (float64(at[j]-at[i])+float64(window)/20)*rate + 1
				if float64(j-i+1) > due {
					t.Fatalf("%d calls in %s, %.1f were due (%d in %s, %d nodes)", j-i+1, time.Duration(at[j]-at[i]), due, calls, window, n)
				}
			}
		}
	})
	if passed == 0 || passed == tried {
		t.Errorf("%d of %d calls were allowed: the test shows nothing", passed, tried)
	}
	t.Logf("%d of %d calls were allowed in %d runs", passed, tried, runs)
}

// Whoever keeps to a limit is never refused, on however many nodes: what they take
// ahead of need and don't use comes back.
func TestNothingIsLost(t *testing.T) {
	url := redistest.Start(t).URL()
	for _, tt := range []struct {
		nodes, calls int64
		window       time.Duration
	}{{1, 100, 10 * time.Second}, {3, 100, 10 * time.Second}, {1, 2000, 10 * time.Second}, {3, 1000, time.Second}} {
		c, k := newClock(), keyOf(int(tt.nodes*10_000+tt.calls))
		var nodes []*ledger.Ledger
		for range tt.nodes {
			l := open(t, url)
			l.SetClock(c.Load)
			nodes = append(nodes, l)
		}
		// Nine tenths of the rate, for five windows, a little unevenly.
		refused := 0
		for i := range tt.calls * 9 / 2 {
			c.add(tt.window * 10 / 9 / time.Duration(tt.calls))
			l := nodes[i*i%tt.nodes]
			if !l.Take(k, tt.calls, int64(tt.window)).OK {
				refused++
			}
			l.Settle()
		}
		var asked int64
		for _, l := range nodes {
			asked += l.State().Asked
		}
		t.Logf("%d nodes, %d calls in %s: %d questions for %d calls", tt.nodes, tt.calls, tt.window, asked, tt.calls*9/2)
		if refused > 0 {
			t.Errorf("%d nodes, %d calls in %s: %d calls were refused", tt.nodes, tt.calls, tt.window, refused)
		}
	}
}

// Many callers at once are answered with few questions, and never allowed too many calls.
func TestAtOnce(t *testing.T) {
	url := redistest.Start(t).URL()
	a, b, k, c := open(t, url), open(t, url), keyOf(1), newClock()
	a.SetClock(c.Load)
	b.SetClock(c.Load)
	var ok atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			l := []*ledger.Ledger{a, b}[i%2]
			for range 50 {
				if l.Take(k, 1000, int64(10*time.Second)).OK {
					ok.Add(1)
				}
			}
		})
	}
	all.Wait()
	asked := a.State().Asked + b.State().Asked
	t.Logf("%d of 3200 calls were allowed with %d questions", ok.Load(), asked)
	if n := ok.Load(); n > 1000 || n < 900 {
		t.Errorf("%d calls were allowed, want 1000 or a few less", n)
	}
	if asked > 500 {
		t.Errorf("%d questions for 3,200 calls", asked)
	}
}
