package leaks

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// throttle limits how often something is done, for any number of names in a fixed
// amount of memory: names share buckets by a hash that nobody outside can foresee.
type throttle struct {
	seed    maphash.Seed
	each    int64
	start   time.Time
	buckets [4096]atomic.Int64 // the time at which a bucket is whole again, since start
}

func newThrottle(perSecond int) *throttle {
	return &throttle{seed: maphash.MakeSeed(), each: int64(time.Second) / int64(perSecond), start: time.Now()}
}

// take counts one, and reports whether it is within the limit.
func (t *throttle) take(name string) bool {
	b, now := &t.buckets[maphash.String(t.seed, name)%uint64(len(t.buckets))], int64(time.Since(t.start))
	for {
		was := b.Load()
		next := max(was, now) + t.each
		if next > now+int64(time.Second) {
			return false
		}
		if b.CompareAndSwap(was, next) {
			return true
		}
	}
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
