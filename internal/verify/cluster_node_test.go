package verify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

func compareTexts(a, b string) int { return cmp.Compare(a, b) }

// simNode is one node: a process on a machine of its own.
type simNode struct {
	s      *sim
	no     int
	v      *verify.Verifier
	ctx    context.Context
	cancel func()
	died   chan struct{} // closed when the process is killed
	gone   bool
	asked  int // questions to the store

	mu         sync.Mutex
	held       chan struct{} // closed when the process goes on; nil while it runs
	heldAs     actKind
	heldSince  time.Duration
	fast       float64 // by which part its clocks go too fast
	ahead      time.Duration
	paused     time.Duration // by which monotonic time stood still
	asleep     time.Duration // and boot time too
	stood      time.Duration // how long the process stood still altogether
	lastSeq    int64         // that it told of having applied
	requests   int
	asking     bool     // for a receipt
	later      []func() // other receipts to ask for
	cutUntil   time.Duration
	deafUntil  time.Duration
	leased     time.Duration // when the latest renewal that was committed was sent
	answered   atomic.Int64  // when the latest renewal that was answered was sent
	renewals   int64
	renewed    time.Duration // when the latest of them was sent
	decides    time.Duration // until when it must decide
	jumped     time.Duration // when its wall clock was last set forward
	parted     time.Duration // when its wall clock last went ahead of its others
	stale      int64         // the end of the feed when the store lost some of it; -1 where it didn't
	told       [simKeys]bool // that a key is ended
	haltedOnce bool
	was        struct { // when it was last looked at
		alive   bool
		applied int64
		asked   int
	}
}

// join starts a process on a new machine.
func (s *sim) join() {
	s.count.Joins++
	n := &simNode{s: s, no: len(s.nodes), died: make(chan struct{}), stale: -1, jumped: -1}
	d := s.plan.dice(9, uint64(n.no))
	n.fast = float64(d.below(1601)-800) / 1e5
	if s.plan.bug == bugSlowClock {
		n.fast = -0.04
	}
	n.ahead = d.span(-time.Hour, time.Hour)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	v, err := verify.New(verify.Config{Store: &wire{n}, Pepper: simPepper(), Node: fmt.Sprint("n", n.no), Shared: true, Lease: simLease, Poll: simPoll,
		MaxBehind: 6, Clock: n, Applied: n.appliedThese})
	if err != nil {
		panic(err)
	}
	n.v = v
	verify.SetRandom(v, func(below time.Duration) time.Duration {
		// Both of a node's goroutines ask: so the answer goes by the moment, not by the order.
		return time.Duration(s.plan.dice(3, uint64(n.no), uint64(s.now()), uint64(below)).next() % uint64(below))
	})
	s.plan.bug.plant(v)
	s.nodes = append(s.nodes, n)
	go func() {
		_ = v.Run(n.ctx)
		s.hand(n.no, "ended", func() { n.over() })
	}()
}

// Now is what the clocks of the node's machine show; a process that stands still can't look.
func (n *simNode) Now() verify.Instant {
	n.pass()
	n.mu.Lock()
	defer n.mu.Unlock()
	is := n.s.now()
	is += time.Duration(float64(is) * n.fast)
	if n.s.plan.bug == bugTrustingClock {
		is -= n.stood
		return verify.Instant{Wall: simStart.Add(is + n.ahead).UnixNano(), Mono: int64(is + time.Hour), Boot: int64(is + time.Hour)}
	}
	return verify.Instant{Wall: simStart.Add(is + n.ahead).UnixNano(), Mono: int64(is - n.paused + time.Hour), Boot: int64(is - n.asleep + time.Hour)}
}

// pass waits while the process stands still.
func (n *simNode) pass() {
	for {
		n.mu.Lock()
		held := n.held
		n.mu.Unlock()
		if held == nil {
			return
		}
		select {
		case <-held:
		case <-n.died:
			return
		}
	}
}

// pause makes the process stand still for a while.
func (n *simNode) pause(as actKind, span time.Duration) {
	if n.held != nil {
		return
	}
	n.s.count.Pauses++
	n.mu.Lock()
	n.held, n.heldAs, n.heldSince = make(chan struct{}), as, n.s.now()
	held := n.held
	n.mu.Unlock()
	n.s.after(span, func() {
		if n.held == held {
			n.resume()
		}
	})
}

// resume lets the process go on. The first thing that it is asked comes before
// anything that it does by itself.
func (n *simNode) resume() {
	if n.held == nil || n.gone {
		return
	}
	n.mu.Lock()
	held, span := n.held, n.s.now()-n.heldSince
	n.held = nil
	n.stood += span
	if n.heldAs != actStop {
		n.paused += span
	}
	if n.heldAs == actFreeze {
		n.asleep += span
		n.parted = n.s.now()
	}
	n.mu.Unlock()
	n.s.log("n%d goes on", n.no)
	n.s.checkNode(n, true)
	close(held)
}

func (n *simNode) jump(by time.Duration) {
	if by > 0 {
		n.jumped, n.parted, n.decides = n.s.now(), n.s.now(), 0
	}
	n.mu.Lock()
	n.ahead += by
	n.mu.Unlock()
	n.s.touched[n] = true
}

// crash kills the process: what it sent is on its way, and it does nothing more.
func (n *simNode) crash() {
	if n.gone {
		return
	}
	n.gone = true
	close(n.died)
	n.cancel()
}

// leave stops the process in order.
func (n *simNode) leave() {
	if n.s.plan.bug == bugDropsEarly {
		kept := verify.LeaseOf(n.v)
		n.cancel()
		go func() { // it decides on, though its lease is given back
			time.Sleep(6 * time.Second)
			n.s.hand(n.no, "keeps", func() { verify.SetLease(n.v, kept); n.s.checkNode(n, true) })
		}()
		return
	}
	n.cancel()
}

// over tells that the process has ended in order.
func (n *simNode) over() {
	if n.s.plan.bug == bugDropsEarly {
		return
	}
	n.gone = true
}

func (n *simNode) applied() int64 { return verify.Applied(n.v) }
func (n *simNode) halted() bool   { return verify.Halted(n.v) }

// appliedThese is told by the node of what it applied: every number, in order.
func (n *simNode) appliedThese(list []postern.Change) {
	if list == nil {
		n.lastSeq = verify.Applied(n.v)
		return
	}
	for _, c := range list {
		if c.Seq != n.lastSeq+1 {
			last := n.lastSeq
			n.s.hand(n.no, "gap", func() { n.s.fail("n%d applied change %d after %d", n.no, c.Seq, last) })
		}
		n.lastSeq = c.Seq
	}
}

// accept is an operator's answer to a node that halted.
func (n *simNode) accept() {
	if !n.halted() {
		return
	}
	n.s.log("n%d: an operator accepts the feed", n.no)
	if n.s.plan.bug == bugForgets {
		verify.ForgetEnds(n.v)
	}
	go func() {
		if err := n.v.Accept(n.ctx); err == nil {
			n.s.hand(n.no, "accepted", func() { n.stale = -1 })
		}
	}()
}

// change asks the node for a change, as a client does: it is made once, and
// answered with a receipt.
func (n *simNode) change(a act) {
	s := n.s
	n.requests++
	id := fmt.Sprintf("n%d-%d", n.no, n.requests)
	since, rolled := s.now(), s.history.rolledBack
	go func() {
		made, err := n.commit(id, a, since)
		if err != nil {
			return // not answered with success: nothing is promised
		}
		s.hand(n.no, "made "+id, func() {
			s.log("n%d answers %s: change %d", n.no, id, made.seq)
			if _, there := s.store.is.done[id]; made.new && !there && s.history.rolledBack == rolled {
				s.fail("n%d acknowledged %s, which isn't in the store", n.no, id)
			}
			n.askReceipt(made.seq, rolled)
		})
	}()
}

type madeChange struct {
	seq int64
	new bool
}

// commit makes a change, and where the answer is lost finds out what became of it.
func (n *simNode) commit(id string, a act, since time.Duration) (madeChange, error) {
	l := &wire{n}
	for {
		made, err := ask[madeChange](n.ctx, l, "change "+id, answerWait, func(c *call, done func(any, error)) {
			st := n.s.store
			hold := time.Duration(0)
			if !n.s.healed && c.dice.below(3) == 0 {
				hold = c.dice.span(time.Millisecond, 3*time.Second)
			}
			st.change(id, hold, func() (int, postern.Change, func(*state)) { return n.s.history.build(a, st) }, func(v any, err error) {
				if err == nil {
					_, there := st.is.done[id]
					v = madeChange{v.(int64), there}
				}
				done(v, err)
			})
		})
		if err == nil || errors.Is(err, errDead) || n.ctx.Err() != nil || n.s.now()-since > simLease {
			return made, err
		}
		if errors.Is(err, errLost) && n.s.plan.bug == bugGuesses {
			return madeChange{verify.Applied(n.v), true}, nil
		}
		// It is asked for again under the same name, which is how it is settled.
		time.Sleep(300 * time.Millisecond)
	}
}

// askReceipt asks for the receipt of a change. One is asked for at a time: those
// that wait together share readings, and which of them would be chance.
func (n *simNode) askReceipt(seq int64, rolled int) {
	if n.asking {
		n.later = append(n.later, func() { n.askReceipt(seq, rolled) })
		return
	}
	n.asking = true
	go func() {
		r, err := n.v.Receipt(n.ctx, seq, 1200*time.Millisecond)
		n.s.hand(n.no, fmt.Sprint("receipt ", seq), func() {
			n.s.receipt(n, r, err, rolled)
			n.asking = false
			if len(n.later) > 0 {
				next := n.later[0]
				n.later = n.later[1:]
				next()
			}
		})
	}()
}

// present asks the node for a decision like any caller: it may ask the store.
func (n *simNode) present(k int) {
	s := n.s
	floor := s.history.floor
	s.count.Presented++
	go func() {
		d, err := n.v.Verify(n.ctx, get(s.history.keys[k].secret, "GET", "/deals"))
		s.hand(n.no, fmt.Sprint("presented ", k), func() {
			switch {
			case n.gone:
			case err != nil:
				s.fail("n%d: Verify: %v", n.no, err)
			case d.Allowed && !s.history.may(n, k, postern.ReasonAllowed, min(floor, s.history.floor)):
				s.fail("n%d let k%d pass, which was refused everywhere before it was presented", n.no, k)
			}
		})
	}()
}
