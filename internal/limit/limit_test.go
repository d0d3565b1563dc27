package limit_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern.dev/postern/internal/limit"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.NewThrottle(5)
		took := func() (n int) {
			for range 20 {
				if l.Take("a") {
					n++
				}
			}
			return n
		}
		if l.Spent("a") {
			t.Error("spent before the first")
		}
		if n := took(); n != 5 {
			t.Errorf("%d at once, want 5", n)
		}
		if !l.Spent("a") {
			t.Error("not spent after the last")
		}
		time.Sleep(400 * time.Millisecond) // of the bubble's clock
		if n := took(); n != 2 {
			t.Errorf("%d after 0.4 s, want 2", n)
		}
	})
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := limit.Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("Network(%s) = %s, want %s", in, got, want)
		}
	}
}

// One name holds its share and no more, all of them together what there is; who
// waits gets a place that is left, and who gives up takes none.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := limit.NewPlaces(3, 2)
		ctx := t.Context()
		enter := func(name string, want limit.Outcome) func() {
			t.Helper()
			leave, how := p.Enter(ctx, name, 0)
			if how != want || (leave != nil) != (want == limit.Entered) {
				t.Fatalf("%s: %s, want %s", name, how, want)
			}
			return leave
		}
		one := enter("a", limit.Entered)
		enter("a", limit.Entered)
		enter("a", limit.Share)
		other := enter("b", limit.Entered)
		enter("b", limit.Full)
		enter("c", limit.Full)

		var got limit.Outcome
		var waits sync.WaitGroup
		waits.Go(func() { _, got = p.Enter(ctx, "c", time.Minute) })
		synctest.Wait()
		other()
		waits.Wait()
		if got != limit.Entered {
			t.Errorf("who waited: %s", got)
		}
		other() // once more frees nothing
		enter("b", limit.Full)

		began := time.Now()
		if _, how := p.Enter(ctx, "b", time.Second); how != limit.Full || time.Since(began) != time.Second {
			t.Errorf("%s after %v", how, time.Since(began))
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, how := p.Enter(gone, "b", time.Hour); how != limit.Full {
			t.Errorf("who went away: %s", how)
		}
		one()
		enter("b", limit.Entered)
	})
}

func TestPlacesAtOnce(t *testing.T) {
	p := limit.NewPlaces(4, 2)
	var now, most, entered atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			leave, how := p.Enter(t.Context(), string(rune('a'+i%3)), time.Minute)
			if how != limit.Entered {
				return
			}
			defer leave()
			entered.Add(1)
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			now.Add(-1)
		})
	}
	all.Wait()
	if most.Load() > 4 || entered.Load() != 32 {
		t.Errorf("%d at once and %d in all, want at most 4 and 32", most.Load(), entered.Load())
	}
}
