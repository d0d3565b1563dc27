package limit

import (
	"context"
	"sync"
	"time"
)

// Places bound how much of something runs at once: so many in all, and of one
// name, such as an account, no more than its share, so that none can hold them all.
type Places struct {
	all, share int

	mu    sync.Mutex
	taken int
	by    map[string]int // never an entry of 0
	freed chan struct{}  // closed when a place gets free
}

// NewPlaces makes Places.
func NewPlaces(all, share int) *Places {
	return &Places{all: all, share: share, by: map[string]int{}, freed: make(chan struct{})}
}

// Outcome is what came of asking for a place.
type Outcome string

// The outcomes.
const (
	Entered Outcome = "entered"
	Share   Outcome = "share" // the name holds all that it may
	Full    Outcome = "full"  // all places are taken
)

// Enter takes a place, and waits for one for a while, no longer than ctx lasts.
// Whoever entered calls leave, once or more often; it is nil for everybody else.
func (p *Places) Enter(ctx context.Context, name string, wait time.Duration) (leave func(), how Outcome) {
	var over <-chan time.Time
	for {
		freed, how := p.try(name)
		if how == Entered {
			return sync.OnceFunc(func() { p.leave(name) }), Entered
		}
		if wait <= 0 {
			return nil, how
		}
		if over == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			over = t.C
		}
		select {
		case <-freed:
		case <-over:
			return nil, how
		case <-ctx.Done():
			return nil, how
		}
	}
}

func (p *Places) try(name string) (freed chan struct{}, how Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.by[name] >= p.share:
		return p.freed, Share
	case p.taken >= p.all:
		return p.freed, Full
	}
	p.taken++
	p.by[name]++
	return nil, Entered
}

func (p *Places) leave(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[name]--; p.by[name] == 0 {
		delete(p.by, name)
	}
	close(p.freed)
	p.freed = make(chan struct{})
}
