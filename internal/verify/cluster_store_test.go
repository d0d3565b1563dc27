package verify_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// state is what the store holds. What changes it is a function of it alone, so
// that a standby gets to the same by the same log.
type state struct {
	head, epoch, first int64 // first is the number before the oldest change that is kept
	feed               []postern.Change
	rows               map[int]postern.CredentialRow
	accounts           [2]postern.Account
	leases             map[string]verify.Lease
	done               map[string]int64 // the number of the change that was made for a request
}

func newState() *state {
	st := &state{rows: map[int]postern.CredentialRow{}, leases: map[string]verify.Lease{}, done: map[string]int64{}}
	for i := range st.accounts {
		st.accounts[i] = postern.Account{ID: simAccount(i), Number: int64(i + 1), TimeZone: "UTC", Revision: 1}
	}
	return st
}

func simAccount(i int) postern.AccountID {
	return postern.AccountID(fmt.Sprintf("acc_%016d", i))
}

// simStore is the primary of a database, with standbys that have its log.
type simStore struct {
	s     *sim
	is    *state
	log   []func(*state)
	fresh *state // the state before all of the log

	down   bool
	term   int           // counts primaries
	offset time.Duration // of the primary's clock from true time
	ahead  int64         // the latest number of a sequence, where there is one by mistake

	writing bool // one change at a time
	queue   []func()
	waiting []*waiter
	before  map[string]verify.Lease // the leases as they stood when the latest change began
}

type waiter struct {
	c    *call
	done func(any, error)
}

func newSimStore(s *sim) *simStore {
	st := &simStore{s: s, is: newState(), fresh: newState(), offset: s.plan.dice(5).span(-time.Hour, time.Hour)}
	// Three keys stand in it from the start. Nobody ever changes the first.
	for k := range 3 {
		row := s.history.keys[k].made()
		st.commit(0, func(x *state) {
			x.rows[k] = row
			x.append(postern.Change{At: simStart, Kind: postern.ChangeCredential, ID: string(row.Key)})
		})
		s.history.row(k, st.is.head, &row)
	}
	return st
}

// simStart is when the keys that stand from the start were made.
var simStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (st *simStore) now() time.Time { return time.Now().Add(st.offset).Truncate(time.Microsecond) }

// append gives a change its number: the next one, unless it has one already.
func (x *state) append(c postern.Change) {
	if c.Seq == 0 {
		c.Seq = x.head + 1
	}
	x.head = max(x.head, c.Seq)
	x.feed = append(x.feed, c)
	slices.SortFunc(x.feed, func(a, b postern.Change) int { return int(a.Seq - b.Seq) })
}

// commit makes a transaction part of the log after a while, and reports whether
// it could: the primary may have gone meanwhile.
func (st *simStore) commit(after time.Duration, tx func(*state), then ...func(ok bool)) {
	term := st.term
	do := func() {
		ok := term == st.term && !st.down
		if ok {
			st.log = append(st.log, tx)
			tx(st.is)
		}
		for _, f := range then {
			f(ok)
		}
	}
	if after == 0 {
		do()
		return
	}
	st.s.after(after, do)
}

// change makes a change in a transaction of its own, once for each request.
// build reads afresh and gives what to write; nil where there is nothing to do.
func (st *simStore) change(id string, hold time.Duration, build func() (int, postern.Change, func(*state)), done func(any, error)) {
	sequence := st.s.plan.bug == bugSequence
	if st.writing && !sequence {
		st.queue = append(st.queue, func() { st.change(id, hold, build, done) })
		return
	}
	if st.s.now() > simQuiet {
		st.next(false)
		done(nil, errDown)
		return
	}
	if seq, made := st.is.done[id]; made {
		st.next(false)
		done(seq, nil)
		return
	}
	key, c, write := build()
	if write == nil {
		st.next(false)
		done(st.is.head, nil)
		return
	}
	if sequence {
		st.ahead = max(st.ahead, st.is.head) + 1
		c.Seq = st.ahead
	}
	st.writing = true
	st.before = maps.Clone(st.is.leases)
	term := st.term
	c.At = st.now()
	st.commit(hold, func(x *state) {
		write(x)
		x.append(c)
		x.done[id] = max(c.Seq, x.head)
		if c.Seq != 0 {
			x.done[id] = c.Seq
		}
	}, func(ok bool) {
		if term == st.term {
			st.next(true) // what a primary that is gone was writing holds up nobody
		}
		if !ok {
			done(nil, errDown)
			return
		}
		seq := st.is.done[id]
		st.s.count.Changes++
		st.s.history.note(key, seq, st.is)
		st.s.log("store: change %d: %s", seq, st.s.history.words(key, st.is))
		for _, w := range st.waiting {
			st.s.after(w.c.dice.span(time.Millisecond, 300*time.Millisecond), func() { w.done(nil, nil) })
		}
		st.waiting = nil
		done(seq, nil)
	})
}

// next lets the next change begin.
func (st *simStore) next(was bool) {
	if was {
		st.writing = false
	}
	if len(st.queue) > 0 && !st.writing {
		first := st.queue[0]
		st.queue = st.queue[1:]
		st.s.after(time.Microsecond, first)
	}
}

// away takes the store out of reach for a while; nothing in it is lost.
func (st *simStore) away(span time.Duration) {
	if st.down {
		return
	}
	st.down = true
	st.term++
	st.abort()
	term := st.term
	st.s.after(span+time.Millisecond, func() {
		if st.term == term {
			st.back()
		}
	})
}

func (st *simStore) abort() { st.queue, st.writing, st.waiting = nil, false, nil }

func (st *simStore) back() { st.down = false }

// failover makes a standby the primary, after a while without one. A late one
// lacks the end of the log.
func (st *simStore) failover(a act) {
	if st.down {
		return
	}
	s := st.s
	s.count.Failovers++
	if s.plan.late {
		keep := max(len(st.log)-1-int(a.b%12), 3)
		is := newState()
		for _, tx := range st.log[:keep] {
			tx(is)
		}
		if a.b%5 == 0 {
			is.epoch = st.is.epoch + 1 // it was a restore from a backup
			st.log = append(st.log[:keep:keep], func(x *state) { x.epoch++ })
		} else {
			st.log = st.log[:keep:keep]
		}
		s.log("failover: change %d of %d is the last that the standby has", is.head, st.is.head)
		s.count.Lost += int(st.is.head - is.head)
		st.is = is
		s.rolledBack()
	}
	st.offset += time.Duration(int64(a.b%31)-15) * time.Millisecond
	st.away(min(a.span, 30*time.Second))
}

// prune forgets all but the latest changes of the feed.
func (st *simStore) prune() {
	if len(st.is.feed) > 3 && st.s.plan.bug != bugSequence {
		st.commit(0, func(x *state) {
			n := len(x.feed) - 3
			x.first, x.feed = x.first+int64(n), slices.Clone(x.feed[n:])
		})
	}
}
