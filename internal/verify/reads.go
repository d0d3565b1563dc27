package verify

import (
	"context"
	"sync"
	"time"
)

// leaseReads are readings of the table of leases, one at a time. Each serves all
// who asked before it began, so that many who wait for a receipt at once ask the
// store no more often than one does.
type leaseReads struct {
	store    Store
	patience time.Duration

	mu      sync.Mutex
	coming  *leaseRead // begins after now; nil while nobody asked
	reading bool
}

type leaseRead struct {
	done   chan struct{}
	leases []Lease
	now    time.Time
	err    error
}

// next gives what a reading finds that begins after the call. What it gives is shared.
func (l *leaseReads) next(ctx context.Context) ([]Lease, time.Time, error) {
	l.mu.Lock()
	if l.coming == nil {
		l.coming = &leaseRead{done: make(chan struct{})}
	}
	r := l.coming
	if !l.reading {
		l.reading = true
		go l.run()
	}
	l.mu.Unlock()
	select {
	case <-r.done:
		return r.leases, r.now, r.err
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// run reads until nobody waits any more.
func (l *leaseReads) run() {
	for {
		l.mu.Lock()
		r := l.coming
		l.coming, l.reading = nil, r != nil
		l.mu.Unlock()
		if r == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), l.patience)
		r.leases, r.now, r.err = l.store.Leases(ctx)
		cancel()
		close(r.done)
	}
}
