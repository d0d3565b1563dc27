package verify_test

import (
	"cmp"
	pile "container/heap"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// sim is a cluster in one process: the real code of every node on a virtual
// clock, a virtual network and a virtual store. One goroutine, the simulator's,
// decides when each message arrives; nothing else happens meanwhile. So the seed
// decides everything, and a run can be had again.
type sim struct {
	plan  *plan
	began time.Time
	queue events
	added int
	wake  chan struct{}

	mu      sync.Mutex
	arrived []arrival // from the goroutines of the nodes, since the simulator last looked

	probing atomic.Bool // the simulator itself asks; the network has no part in it
	store   *simStore
	nodes   []*simNode
	touched map[*simNode]bool // true where any answer of it may be another now
	history *history
	slow    time.Duration // until when everything takes long
	lossy   time.Duration // until when some is lost
	healed  bool
	ended   bool

	wrong   string // what broke a promise first
	tracing bool
	trace   []string
	count   simCounts
}

// simCounts are what a run saw, so that a blind one shows.
type simCounts struct {
	Events, Probes, Changes, Everywhere, Awaiting, Unknown, Unavailable, Failovers, Lost, Halts, Crashes, Pauses, Joins, Presented int
}

func (c *simCounts) add(o *simCounts) {
	for _, p := range [][2]*int{{&c.Events, &o.Events}, {&c.Probes, &o.Probes}, {&c.Changes, &o.Changes}, {&c.Everywhere, &o.Everywhere}, {&c.Awaiting, &o.Awaiting},
		{&c.Unknown, &o.Unknown}, {&c.Unavailable, &o.Unavailable}, {&c.Failovers, &o.Failovers}, {&c.Lost, &o.Lost}, {&c.Halts, &o.Halts}, {&c.Crashes, &o.Crashes},
		{&c.Pauses, &o.Pauses}, {&c.Joins, &o.Joins}, {&c.Presented, &o.Presented}} {
		*p[0] += *p[1]
	}
}

// arrival is something that a node's goroutine hands to the simulator. Those of
// one moment are taken in the order of their names, not in which they came.
type arrival struct {
	node     int
	what     string
	dispatch func()
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// runPlan runs a plan, and gives the run when all its goroutines have ended.
func runPlan(t *testing.T, p *plan, tracing bool) (s *sim) {
	synctest.Test(t, func(*testing.T) {
		s = &sim{plan: p, began: time.Now(), wake: make(chan struct{}, 1), touched: map[*simNode]bool{}, tracing: tracing}
		s.history = newHistory()
		s.store = newSimStore(s)
		for range p.nodes {
			s.join()
		}
		for _, a := range p.acts {
			s.at(a.at, func() { s.act(a) })
		}
		s.at(simTrial, s.heal)
		s.at(simHealed, s.finish)
		s.loop()
		for _, n := range s.nodes {
			n.crash()
		}
		time.Sleep(time.Minute) // all that waits for something finds that it is over
		synctest.Wait()
	})
	return s
}

// now is how long the run has lasted: the true time, by which no clock goes.
func (s *sim) now() time.Duration { return time.Since(s.began) }

func (s *sim) at(at time.Duration, do func()) {
	s.added++
	pile.Push(&s.queue, event{at, s.added, do})
}

func (s *sim) after(d time.Duration, do func()) { s.at(s.now()+d, do) }

// hand gives something to the simulator, from any goroutine.
func (s *sim) hand(node int, what string, do func()) {
	s.mu.Lock()
	s.arrived = append(s.arrived, arrival{node, what, do})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// loop lets one thing happen after the other, and looks at the promises after each.
func (s *sim) loop() {
	for {
		synctest.Wait() // whatever the last event set going has come to rest
		s.check()
		if s.wrong != "" || s.ended {
			return
		}
		if s.takeArrivals() {
			continue
		}
		if wait := s.queue[0].at - s.now(); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.wake:
			}
			timer.Stop()
			continue
		}
		s.count.Events++
		pile.Pop(&s.queue).(event).do()
	}
}

func (s *sim) takeArrivals() bool {
	s.mu.Lock()
	list := s.arrived
	s.arrived = nil
	s.mu.Unlock()
	slices.SortStableFunc(list, func(a, b arrival) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.what, b.what))
	})
	for _, a := range list {
		a.dispatch()
	}
	return len(list) > 0
}

func (s *sim) log(format string, args ...any) {
	if s.tracing {
		s.trace = append(s.trace, fmt.Sprintf("%13.9f  ", s.now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// fail notes the first broken promise.
func (s *sim) fail(format string, args ...any) {
	if s.wrong == "" {
		s.wrong = fmt.Sprintf("at %.6fs: ", s.now().Seconds()) + fmt.Sprintf(format, args...)
		s.log("WRONG %s", s.wrong)
	}
}

// alive are the nodes whose processes run and are to go on, stopped ones too.
func (s *sim) alive() (out []*simNode) {
	for _, n := range s.nodes {
		if !n.gone && n.ctx.Err() == nil {
			out = append(out, n)
		}
	}
	return out
}

// act makes one act of the plan happen.
func (s *sim) act(a act) {
	nodes := s.alive()
	if len(nodes) == 0 {
		s.join()
		return
	}
	n := nodes[int(a.a)%len(nodes)]
	s.log("%s n%d b=%d span=%v", actNames[a.kind], n.no, a.b%97, a.span)
	switch a.kind {
	case actCreate, actRevoke, actDelete, actPurge, actPause, actNarrow, actExpire, actSuspend:
		n.change(a)
	case actAskAgain:
		n.askReceipt(s.store.is.head, s.history.rolledBack)
	case actPresent:
		n.present(int(a.b) % simKeys)
	case actCrash:
		s.count.Crashes++
		n.crash()
		if a.b%3 > 0 {
			s.join()
		}
	case actJoin:
		if len(nodes) < 4 {
			s.join()
		}
	case actLeave:
		if len(nodes) > 1 {
			n.leave()
		}
	case actStop, actSleep, actFreeze:
		n.pause(a.kind, a.span)
	case actJump:
		by := time.Duration(int64(a.b%7200)-3600) * time.Second
		if a.b%3 == 0 {
			by = time.Duration(int64(a.b%20_000)-10_000) * time.Millisecond
		}
		n.jump(by)
	case actCut:
		n.cutUntil = s.now() + a.span
	case actDeaf:
		n.deafUntil = s.now() + a.span
	case actSlow:
		s.slow = s.now() + a.span
	case actLossy:
		s.lossy = s.now() + a.span
	case actOutage:
		s.store.away(a.span)
	case actFailover:
		s.store.failover(a)
	case actPrune:
		s.store.prune()
	}
}

// heal ends all that goes wrong. What the cluster does from then on must come right.
func (s *sim) heal() {
	s.log("all is healed")
	s.healed = true
	s.slow, s.lossy = 0, 0
	s.store.back()
	if len(s.alive()) == 0 {
		s.join()
	}
	for _, n := range s.nodes {
		n.cutUntil, n.deafUntil = 0, 0
		n.resume()
	}
	for at := time.Second; at < 6*time.Second; at += 2 * time.Second {
		s.after(at, func() {
			for _, n := range s.alive() {
				n.accept() // an operator looks at what was halted
			}
		})
	}
	s.after(simHealed-simTrial-2*time.Second, func() { s.alive()[0].askReceipt(s.store.is.head, s.history.rolledBack) })
}

// finish looks whether all came right.
func (s *sim) finish() {
	s.ended = true
	if s.history.floor < s.store.is.head {
		s.fail("the last change, %d, isn't in force everywhere (%d is) although all has been well for long", s.store.is.head, s.history.floor)
	}
	for _, n := range s.alive() {
		if !n.v.Alive() || n.applied() != s.store.is.head || n.halted() {
			s.fail("n%d: alive %t, applied %d of %d, halted %t, although all has been well for long", n.no, n.v.Alive(), n.applied(), s.store.is.head, n.halted())
		}
	}
}
