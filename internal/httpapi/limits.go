package httpapi

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// lanes bound how many requests are served at once. What ends keys, and health,
// has a lane of its own, so that a flood of anything else can't keep a key alive.
type lanes struct {
	ordinary, urgent, waiting chan struct{}
}

func newLanes(n int) lanes {
	return lanes{ordinary: make(chan struct{}, n), urgent: make(chan struct{}, max(16, n/4)), waiting: make(chan struct{}, max(16, n/2))}
}

// enter takes a place without waiting; leave gives it back.
func enter(lane chan struct{}) bool {
	select {
	case lane <- struct{}{}:
		return true
	default:
		return false
	}
}

func leave(lane chan struct{}) { <-lane }

// lane finds the lane of a request.
func (l *lanes) lane(r *http.Request) chan struct{} {
	switch {
	case isEnding(r):
		return l.urgent
	case r.URL.Path == "/v1/activity/export":
		return l.waiting
	case r.URL.Path == "/v1/activity" && r.URL.Query().Has("follow"):
		return l.waiting
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics":
		return l.urgent
	}
	return l.ordinary
}

// throttle limits how often something is done, for any number of names in a
// fixed amount of memory: names share 4,096 buckets by a hash that nobody outside
// can foresee.
type throttle struct {
	seed    maphash.Seed
	each    int64 // nanoseconds between two
	burst   int64 // how far ahead of time one may be
	start   time.Time
	buckets [4096]atomic.Int64 // the time at which a bucket is whole again, since start
}

// newThrottle allows so many a second, and that many at once.
func newThrottle(perSecond int) *throttle {
	each := int64(time.Second) / int64(perSecond)
	return &throttle{seed: maphash.MakeSeed(), each: each, burst: int64(time.Second), start: time.Now()}
}

func (t *throttle) bucket(name string) *atomic.Int64 {
	return &t.buckets[maphash.String(t.seed, name)%uint64(len(t.buckets))]
}

// take counts one, and reports whether it is within the limit.
func (t *throttle) take(name string) bool {
	b, now := t.bucket(name), int64(time.Since(t.start))
	for {
		was := b.Load()
		next := max(was, now) + t.each
		if next > now+t.burst {
			return false
		}
		if b.CompareAndSwap(was, next) {
			return true
		}
	}
}

// spent reports whether the next one would be beyond the limit, and counts nothing.
func (t *throttle) spent(name string) bool {
	now := int64(time.Since(t.start))
	return max(t.bucket(name).Load(), now)+t.each > now+t.burst
}

// network is what an address is limited by: itself, or its /64, which one machine may own.
func network(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
