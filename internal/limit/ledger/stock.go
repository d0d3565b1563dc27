package ledger

import (
	"slices"
	"time"

	"postern.dev/postern/internal/limit"
)

// stock is what a node knows of a key's limit, and the calls that it took and
// has not used. Times are nanoseconds of the ledger's clock. The part's lock
// guards it.
type stock struct {
	calls, window int64  // of the limit
	have          int64  // calls that were taken from Redis and not used
	taken         int64  // how many of them at most came with the last answer; the others are used first
	held          string // what that answer said is held in Redis
	back          int64  // calls that weren't used in time, and are given back with the next question
	until         int64  // by when they must be used
	whole         int64  // when the limit is whole again, those that weren't used counted as used
	spent         int64  // until when no call is left
	chunk         int64  // how many are taken at a time
	seen          int64  // when a call came last
	asking        bool
	waits         []chan limit.Taken // who waits for an answer, in their order
}

// question is what Redis is asked.
type question struct {
	calls, window, want int64
	back                int64 // calls that come back
	held                string
}

// answer is what Redis says to it.
type answer struct {
	taken int64
	whole int64  // after what time the limit is whole again
	held  string // what Redis holds now
}

const (
	lifeShare  = 40 // part of the window for which calls may be kept
	lifeMost   = 500 * time.Millisecond
	chunkShare = 20 // part of the limit that is taken at a time
	chunkMost  = 64
	// The more of the limit is used, the fewer are taken: no node shall keep what another needs.
	leftShare = 8
)

func (s *stock) step() int64 { return max(1, s.window/s.calls) }

// life is how long calls may be kept. Those of one chunk may be kept into the
// life of the next, and no longer, so it is half of what the package promises.
func (s *stock) life() int64 { return min(s.window/lifeShare, int64(lifeMost)) }

// use uses a call that was taken, if there is one.
func (s *stock) use(now int64) bool {
	s.expire(now)
	if s.have == 0 {
		return false
	}
	s.have--
	return true
}

// expire lays calls aside that weren't used in time.
func (s *stock) expire(now int64) {
	if now >= s.until && s.have > 0 {
		s.back, s.have = min(s.have, s.taken), 0
	}
}

// of makes it one of this limit; what is known of another counts no more.
func (s *stock) of(calls, window int64) {
	if s.calls != calls || s.window != window {
		s.calls, s.window = calls, window
		s.clear()
	}
}

// clear forgets everything but who waits.
func (s *stock) clear() { s.have, s.taken, s.back, s.spent, s.chunk = 0, 0, 0, 0, 1 }

// low reports whether it is time to ask for more, before anyone has to wait.
func (s *stock) low() bool { return s.chunk >= 4 && s.have <= s.chunk/4 }

// within says that a call may come, and what the limit says now.
func (s *stock) within(now int64) limit.Taken {
	until := s.ahead(now)
	return limit.Taken{Mode: limit.Together, OK: true, Left: max(0, (s.window-until)/s.step()), Reset: time.Duration(until)}
}

// beyond says that a call may not come.
func (s *stock) beyond(now int64) limit.Taken {
	return limit.Taken{Mode: limit.Together, Reset: time.Duration(s.ahead(now)), Retry: time.Duration(s.spent - now)}
}

// ahead is in what time the limit is whole again.
func (s *stock) ahead(now int64) int64 { return max(0, s.whole-s.have*s.step()-now) }

// question is what to ask for now: a call for each who waits, and some more if
// calls come fast.
func (s *stock) question(now int64) question {
	s.expire(now)
	if now < s.until {
		s.chunk *= 2
	} else {
		s.chunk /= 2
	}
	left := max(0, s.window-s.ahead(now)) / s.step()
	s.chunk = max(1, min(s.chunk, s.calls/chunkShare, chunkMost, left/leftShare))
	want := int64(len(s.waits)) + s.chunk
	if len(s.waits) > 0 {
		want-- // the chunk holds the call of the first
	}
	q := question{calls: s.calls, window: s.window, want: min(want, s.calls), back: s.back, held: s.held}
	if s.back == 0 {
		q.held = "0"
	}
	s.back = 0 // once: whether it arrives or not
	return q
}

// fill takes in what Redis gave, and answers those who wait.
func (s *stock) fill(q question, a answer, sent, now int64) {
	s.expire(now)
	s.have += a.taken
	s.taken, s.held = a.taken, a.held
	s.until = sent + s.life()
	s.whole = now + a.whole
	for len(s.waits) > 0 && s.have > 0 {
		s.have--
		s.waits[0] <- s.within(now)
		s.waits = slices.Delete(s.waits, 0, 1)
	}
	if a.taken < q.want {
		s.spent = now + max(0, a.whole+s.step()-s.window)
		s.chunk = 1
		s.release(s.beyond(now))
	}
}

// release gives all who wait the same answer.
func (s *stock) release(t limit.Taken) {
	for _, w := range s.waits {
		w <- t
	}
	s.waits = nil
}

// forget takes out one who waits no longer, and reports whether it still did.
func (s *stock) forget(w chan limit.Taken) bool {
	i := slices.Index(s.waits, w)
	if i < 0 {
		return false
	}
	s.waits = slices.Delete(s.waits, i, i+1)
	return true
}
