package verify

import (
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// burst is a limit by the generic cell rate algorithm: so many calls in any
// window of a length, spent at once or evenly. Its whole state is one number,
// the theoretical arrival time: when the bucket would be whole again, in
// nanoseconds since 1970.
type burst struct {
	calls  int64
	window int64 // nanoseconds
}

func burstOf(r postern.Rate) burst {
	if r.Calls <= 0 {
		return burst{}
	}
	return burst{r.Calls, int64(max(r.Per, time.Second))}
}

// limited reports whether there is a limit at all.
func (b burst) limited() bool { return b.calls > 0 }

// take spends one call at a time, unless none is left, and notes in l what the
// limit says now. Where none is left, retry is when one will be.
func (b burst) take(state *atomic.Int64, now postern.Micros, l *postern.LimitState) (ok bool, retry postern.Micros) {
	at := int64(now) * 1000
	step := max(1, b.window/b.calls)
	l.BurstLimit = clip32(b.calls)
	l.BurstSecs = clip32(b.window / int64(time.Second))
	for {
		old := state.Load()
		// A time before now is a whole bucket. One beyond a window can only come
		// from a clock that was set back or a limit that was changed: an empty bucket.
		tat := min(max(old, at), at+b.window)
		next := tat + step
		if next-at > b.window {
			l.BurstLeft = 0
			l.BurstReset = seconds(tat - at)
			// In microseconds, rounded up: a call at that time succeeds.
			return false, postern.Micros((next - b.window + 999) / 1000)
		}
		if state.CompareAndSwap(old, next) {
			l.BurstLeft = clip32((b.window - (next - at)) / step)
			l.BurstReset = seconds(next - at)
			return true, 0
		}
	}
}

// seconds rounds nanoseconds up to whole seconds.
func seconds(ns int64) uint32 { return clip32((ns + int64(time.Second) - 1) / int64(time.Second)) }

func clip32(n int64) uint32 { return uint32(min(max(n, 0), 1<<32-1)) }
