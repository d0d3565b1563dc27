package verify

import (
	"sync/atomic"
	"time"
)

// Clock tells the time in the three ways in which a lease is judged. They part
// company when a machine sleeps, is paused, or has its clock set.
type Clock interface{ Now() Instant }

// Instant is one moment, in nanoseconds by three clocks.
type Instant struct {
	Wall int64 // since 1970; jumps when somebody sets it
	Mono int64 // since any start; stands still while the machine sleeps
	Boot int64 // since any start; goes on while the machine sleeps
}

// systemClock reads Go's clock, which gives wall and monotonic time for 40 ns,
// and asks the kernel for boot time only when there is cause: the two run apart
// by as much as the machine slept, and the wall clock shows that too.
type systemClock struct {
	start time.Time
	last  atomic.Pointer[bootReading]
}

// bootReading is how far boot time and wall time were ahead of monotonic time.
type bootReading struct{ mono, boot, wall int64 }

const (
	// bootSlack is by how much wall and monotonic time may part unremarked.
	bootSlack = int64(time.Millisecond)
	// bootAge is the longest that a reading of the boot clock counts.
	bootAge = int64(100 * time.Millisecond)
)

// SystemClock is the machine's clock.
func SystemClock() Clock { return &systemClock{start: time.Now()} }

func (c *systemClock) Now() Instant {
	t := time.Now()
	i := Instant{Wall: t.UnixNano(), Mono: int64(t.Sub(c.start))}
	last := c.last.Load()
	if last == nil || i.Mono-last.mono > bootAge || abs(i.Wall-i.Mono-last.wall) > bootSlack {
		last = &bootReading{mono: i.Mono, wall: i.Wall - i.Mono}
		if boot, ok := bootTime(); ok {
			last.boot = boot - i.Mono
		}
		c.last.Store(last)
	}
	i.Boot = i.Mono + last.boot
	return i
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
