// Package limit bounds what one caller may take of what all share: how often
// something is done, and how much of it at once. It keeps a fixed, small amount of
// memory whatever callers send, and never tells one caller of another.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Throttle limits how often something is done, for any number of names in a
// fixed amount of memory: names share 4,096 buckets by a hash that nobody outside
// can foresee.
type Throttle struct {
	seed    maphash.Seed
	each    int64 // nanoseconds between two
	burst   int64 // how far ahead of time one may be
	start   time.Time
	buckets [4096]atomic.Int64 // the time at which a bucket is whole again, since start
}

// NewThrottle allows so many a second, and that many at once.
func NewThrottle(perSecond int) *Throttle {
	each := int64(time.Second) / int64(perSecond)
	return &Throttle{seed: maphash.MakeSeed(), each: each, burst: int64(time.Second), start: time.Now()}
}

func (t *Throttle) bucket(name string) *atomic.Int64 {
	return &t.buckets[maphash.String(t.seed, name)%uint64(len(t.buckets))]
}

// Take counts one, and reports whether it is within the limit.
func (t *Throttle) Take(name string) bool {
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

// Spent reports whether the next one would be beyond the limit, and counts nothing.
func (t *Throttle) Spent(name string) bool {
	now := int64(time.Since(t.start))
	return max(t.bucket(name).Load(), now)+t.each > now+t.burst
}

// Network is what an address is limited by: itself, or its /64, which one machine may own.
func Network(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
