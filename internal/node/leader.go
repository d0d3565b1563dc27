package node

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// What is done once in a cluster, such as removing what is too old or telling of
// keys that end soon, is done by the node that leads. Whoever leads keeps a row
// of the database that has an end; when the node is gone, another takes it within
// leadFor and a try. For a moment of a change two may believe that they lead, so
// everything that they do is claimed or written so that twice is as once.
const leadFor = 8 * time.Second

// leadTime is how long one try to lead may take, and about how long after it the next one is.
func (n *Node) leadTime() time.Duration { return n.Config.LeadFor / 4 }

// leader is whether this node leads, by its own clocks: a process that stood still
// beyond the end of its lead does nothing by it when it goes on.
type leader struct {
	clock verify.Clock

	mu      sync.Mutex
	now     bool
	until   verify.Instant
	changed chan struct{} // closed at the next change
}

func newLeader(clock verify.Clock) *leader {
	if clock == nil {
		clock = verify.SystemClock()
	}
	return &leader{clock: clock, changed: make(chan struct{})}
}

// after is an instant that is later by all clocks.
func after(i verify.Instant, d time.Duration) verify.Instant {
	return verify.Instant{Wall: i.Wall + int64(d), Mono: i.Mono + int64(d), Boot: i.Boot + int64(d)}
}

// left is how long it is until an instant, by the clock that says least.
func (l *leader) left(until verify.Instant) time.Duration {
	i := l.clock.Now()
	return time.Duration(min(until.Wall-i.Wall, until.Mono-i.Mono, until.Boot-i.Boot))
}

// always leads from now on.
func (l *leader) always() {
	l.set(verify.Instant{Wall: math.MaxInt64, Mono: math.MaxInt64, Boot: math.MaxInt64})
}

// set notes that it leads until an instant, where that is still to come.
func (l *leader) set(until verify.Instant) (leads, moved bool) {
	leads = l.left(until) > 0
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
	if moved = l.now != leads; moved {
		l.now = leads
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return leads, moved
}

// state is whether it leads, and what is closed when that changes.
func (l *leader) state() (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now && l.left(l.until) > 0, l.changed
}

// leads reports whether this node does what is done once in a cluster.
func (n *Node) leads() bool {
	leads, _ := n.lead.state()
	return leads
}

// elect takes and keeps the lead where nobody else has it, until ctx ends. A node
// with a file of its own leads always: nobody else can open it.
func (n *Node) elect(ctx context.Context) error {
	if n.DB.Engine == store.SQLite {
		<-ctx.Done()
		return nil
	}
	var until verify.Instant
	for ctx.Err() == nil {
		began := n.lead.clock.Now()
		try, cancel := context.WithTimeout(ctx, n.leadTime())
		leads, err := n.DB.Lead(try, n.Verifier.Node(), n.Config.LeadFor)
		cancel()
		switch {
		case err == nil && leads:
			until = after(began, n.Config.LeadFor)
		case err == nil:
			until = verify.Instant{}
		}
		// Where the database doesn't answer, it leads on until its time is over.
		n.setLead(until)
		wait := n.leadTime() - rand.N(n.leadTime()/4)
		if left := n.lead.left(until); left > 0 {
			wait = min(wait, left)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	n.lead.set(verify.Instant{})
	return nil
}

func (n *Node) setLead(until verify.Instant) {
	leads, moved := n.lead.set(until)
	if !moved {
		return
	}
	if leads {
		n.Config.Log.Info("this node leads: it does what is done once in the cluster", "node", n.Verifier.Node())
		n.Notifier.Poke()
		return
	}
	n.Config.Log.Info("this node leads no more", "node", n.Verifier.Node())
}

// whileLeading runs work as long as this node leads, and from the start when it leads again.
func (n *Node) whileLeading(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			leads, changed := n.lead.state()
			if leads {
				term, end := context.WithCancel(ctx)
				go func() {
					select {
					case <-changed:
						end()
					case <-term.Done():
					}
				}()
				err := run(term)
				lost := term.Err() != nil
				end()
				if err != nil && !lost {
					return err
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		return nil
	}
}
