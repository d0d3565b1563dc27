package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// streams are the calls that are on their way. Most end long before anyone looks
// at them, so joining and leaving is all that costs: each is an element of a
// ring, in one of several so that cores don't wait for each other.
type streams struct {
	rings [16]ring
	turn  atomic.Uint32
	wake  chan struct{}
}

type ring struct {
	mu   sync.Mutex
	head link // holds no call
	n    int64
}

// link is a call's place in a ring.
type link struct {
	prev, next *link
	x          *exchange
	ring       *ring
	here       bool // it has not left
	seen       bool // by an earlier look
	cut        bool // off; nothing more is to be decided
}

func (s *streams) init() {
	s.wake = make(chan struct{}, 1)
	for i := range s.rings {
		h := &s.rings[i].head
		h.prev, h.next = h, h
	}
}

func (s *streams) add(x *exchange) {
	r := &s.rings[s.turn.Add(1)%uint32(len(s.rings))]
	l := &x.link
	l.x, l.ring, l.here = x, r, true
	r.mu.Lock()
	l.prev, l.next = &r.head, r.head.next
	l.prev.next, l.next.prev = l, l
	r.n++
	r.mu.Unlock()
}

func (s *streams) remove(x *exchange) {
	l, r := &x.link, x.link.ring
	r.mu.Lock()
	l.prev.next, l.next.prev = l.next, l.prev
	l.here = false
	r.n--
	r.mu.Unlock()
}

func (s *streams) count() (n int64) {
	for i := range s.rings {
		r := &s.rings[i]
		r.mu.Lock()
		n += r.n
		r.mu.Unlock()
	}
	return n
}

// hurry asks for a look at all calls now.
func (s *streams) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run decides calls that last again, at once after a change and every so often
// for what time alone ends, until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	tick := time.NewTicker(g.recheck)
	defer tick.Stop()
	all := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.streams.wake:
			g.look(ctx, true)
			// A call that was decided before the change may join just now: the next look
			// is at all again.
			all = true
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond): // changes come in swarms
			}
		case <-tick.C:
			g.look(ctx, all)
			all = false
		}
	}
}

// look decides again about the calls that an earlier look saw already, or about all.
func (g *Gateway) look(ctx context.Context, all bool) {
	var again []*exchange
	for i := range g.streams.rings {
		again = g.streams.rings[i].lasting(again[:0], all)
		// Deciding may have to ask the store about a key that is gone, so no lock is held.
		for _, x := range again {
			if d := g.v.Still(ctx, &x.call.Request); !d.Allowed {
				x.cutOff(d)
			}
		}
	}
}

// lasting appends the calls to decide again, and marks all as seen.
func (r *ring) lasting(list []*exchange, all bool) []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := r.head.next; l != &r.head; l = l.next {
		if (l.seen || all) && !l.cut {
			list = append(list, l.x)
		}
		l.seen = true
	}
	return list
}

// cutOff is why the context of a call ends that is no longer allowed.
type cutOff struct{ d postern.Decision }

func (*cutOff) Error() string { return "the credential no longer permits this" }

// cutOff ends a call: its upstream is let go, nothing more is written, and what
// waits for a slow caller waits no longer.
func (x *exchange) cutOff(d postern.Decision) {
	r := x.link.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if !x.link.here || x.link.cut {
		return
	}
	x.link.cut = true
	x.g.counts.cut.Add(1)
	x.w.cut.Store(true)
	x.cancel(&cutOff{d})
	// While the call has not left the ring its writer is good. There is still time
	// for a refusal, where no answer has begun.
	now := time.Now()
	control := http.NewResponseController(x.w.ResponseWriter)
	_ = control.SetReadDeadline(now) // a writer without deadlines doesn't wait either
	// Later than that: who waits for a stalled upload is refused after it has ended.
	_ = control.SetWriteDeadline(now.Add(300 * time.Millisecond))
}
