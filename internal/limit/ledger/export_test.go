package ledger

import (
	"context"
	"runtime"
)

// SetClock makes a ledger, and its questions to Redis, go by a clock of the test: nanoseconds.
func (l *Ledger) SetClock(clock func() int64) {
	l.clock = clock
	l.at = func() any { return clock() / 1000 }
}

// Settle waits until no question is under way.
func (l *Ledger) Settle() {
	for i := range l.parts {
		p := &l.parts[i]
		for busy := true; busy; {
			p.mu.Lock()
			busy = false
			for _, s := range p.stocks {
				busy = busy || s.asking
			}
			p.mu.Unlock()
			runtime.Gosched()
		}
	}
}

// Forget is what happens to keys that weren't called for a while.
func (l *Ledger) Forget() int {
	l.sweep()
	n := 0
	for i := range l.parts {
		n += len(l.parts[i].stocks)
	}
	return n
}

// URL is where its Redis is.
func (l *Ledger) URL() string { return l.cfg.URL }

// LookNow looks whether Redis is there, as Run does now and then.
func (l *Ledger) LookNow() { l.look(context.Background()) }
