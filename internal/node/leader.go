package node

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"postern.dev/postern/internal/store"
)

// What is done once in a cluster, such as removing what is too old or telling of
// keys that end soon, is done by the node that leads. Whoever leads keeps a row
// of the database that has an end; when the node is gone, another takes it within
// leadFor and a try. For a moment of a change two may believe that they lead, so
// everything that they do is claimed or written so that twice is as once.
const (
	leadFor   = 8 * time.Second
	leadEvery = 2 * time.Second
	leadTime  = 2 * time.Second // how long one try may take
)

// leader is whether this node leads, by its own clock.
type leader struct {
	mu      sync.Mutex
	now     bool
	changed chan struct{} // closed at the next change
}

func newLeader() *leader { return &leader{changed: make(chan struct{})} }

func (l *leader) set(leads bool) (moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if moved = l.now != leads; moved {
		l.now = leads
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return moved
}

// state is whether it leads, and what is closed when that changes.
func (l *leader) state() (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.changed
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
	var until time.Time
	for ctx.Err() == nil {
		began := time.Now()
		try, cancel := context.WithTimeout(ctx, leadTime)
		leads, err := n.DB.Lead(try, n.Verifier.Node(), leadFor)
		cancel()
		switch {
		case err == nil && leads:
			until = began.Add(leadFor)
		case err == nil:
			until = time.Time{}
		}
		// Where the database doesn't answer, it leads on until its time is over.
		n.setLead(time.Now().Before(until))
		wait := leadEvery - rand.N(leadEvery/4)
		if left := time.Until(until); left > 0 {
			wait = min(wait, left)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	n.lead.set(false)
	return nil
}

func (n *Node) setLead(leads bool) {
	if !n.lead.set(leads) {
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
