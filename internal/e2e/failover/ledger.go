package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// state is what a key is, as far as answers told.
type state int

const (
	young  state = iota // made; not all nodes are known to know it
	live                // all nodes accept it
	ending              // somebody asked for its end
	over                // its end was acknowledged
)

// key is one that was made.
type key struct {
	id, secret string
	state      state
	dead       time.Time // from when on nobody may accept it
}

// ledger keeps what was acknowledged, and judges answers by it.
type ledger struct {
	mu   sync.Mutex
	keys []*key

	verified, failed       int
	verifiedDead, accepted int
	keysMade, keysEnded    int
	lost                   int
	acks                   []ack
	spreads                []time.Duration
	refusals               map[string]int
	faults                 []string
	news                   chan struct{} // closed and made anew at each acknowledged create

	shownBefore, receiptsBy, receiptsLate atomic.Int64
}

// ack is a create that was acknowledged.
type ack struct{ asked, answered time.Time }

func newLedger() *ledger { return &ledger{refusals: map[string]int{}, news: make(chan struct{})} }

func (l *ledger) made(k *key, asked, answered time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys, l.keysMade = append(l.keys, k), l.keysMade+1
	l.acks = append(l.acks, ack{asked, answered})
	close(l.news)
	l.news = make(chan struct{})
}

func (l *ledger) live(k *key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.state = live
}

func (l *ledger) ended(k *key, from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.state, k.dead, l.keysEnded = over, from, l.keysEnded+1
}

// keepLive is how many live keys are kept before one is ended for each that is made.
const keepLive = 20

// takeOne gives a live key to be ended, once there are enough.
func (l *ledger) takeOne() *key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*key
	for _, k := range l.keys {
		if k.state == live {
			all = append(all, k)
		}
	}
	if len(all) < keepLive {
		return nil
	}
	k := all[rand.IntN(len(all))]
	k.state = ending
	return k
}

// pick gives a key to verify: three times in four a live one.
func (l *ledger) pick() *key {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.keys) == 0 {
		return nil
	}
	want := live
	if rand.IntN(4) == 0 {
		want = over
	}
	for range 50 {
		// The latest ones are of most interest.
		n := len(l.keys) - 1 - rand.IntN(min(len(l.keys), 400))
		if k := l.keys[n]; k.state == want && k.secret != "" {
			return k
		}
	}
	return nil
}

func (l *ledger) state(k *key) state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return k.state
}

// judge counts an answer to a verification that began when its key was in a state.
func (l *ledger) judge(k *key, was state, began time.Time, allowed bool, reason string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verified++
	switch {
	case err != nil:
		l.failed++
		l.faults = append(l.faults, fmt.Sprintf("%s: a verification failed: %v", began.Format("15:04:05.000"), err))
	case was == over && began.After(k.dead):
		l.verifiedDead++
		if allowed {
			l.accepted++
			l.faults = append(l.faults, fmt.Sprintf("%s: key %s is accepted %s after its end", began.Format("15:04:05.000"), k.id, began.Sub(k.dead)))
		}
	case was == live && k.state == live && !allowed:
		l.failed++
		l.faults = append(l.faults, fmt.Sprintf("%s: live key %s is refused: %s", began.Format("15:04:05.000"), k.id, reason))
	}
}

func (l *ledger) all() []*key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.keys)
}

func (l *ledger) spread(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spreads = append(l.spreads, d)
}

func (l *ledger) median() time.Duration {
	if len(l.spreads) == 0 {
		return 0
	}
	s := slices.Clone(l.spreads)
	slices.Sort(s)
	return s[len(s)/2].Round(time.Millisecond)
}

func (l *ledger) refused(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals[why]++
}

func (l *ledger) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l *ledger) lose(format string, args ...any) {
	l.fault(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost++
}

// acked waits until n creates that were asked for after a time are acknowledged.
func (l *ledger) acked(ctx context.Context, after time.Time, n int) error {
	slow := time.After(3 * time.Minute)
	for {
		l.mu.Lock()
		have, news := 0, l.news
		for _, a := range l.acks {
			if a.asked.After(after) {
				have++
			}
		}
		l.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-slow:
			return errors.New("none for three minutes")
		}
	}
}

// firstAck is when the first of the creates asked for after a time was answered.
func (l *ledger) firstAck(after time.Time) (first time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.acks {
		if a.answered.After(after) && (first.IsZero() || a.answered.Before(first)) && a.asked.After(after) {
			first = a.answered
		}
	}
	return first
}

// verdict is an error where something happened that never may.
func (l *ledger) verdict() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failed+l.lost+l.accepted > 0:
		return fmt.Errorf("%d verifications failed, %d acknowledged changes were lost, %d times an ended key was accepted", l.failed, l.lost, l.accepted)
	case len(l.faults) > 0:
		return fmt.Errorf("%d answers that should not be: %s", len(l.faults), l.faults[0])
	case l.verified < 100 || l.keysEnded == 0 || l.verifiedDead == 0:
		return errors.New("too little was done to say anything")
	}
	return nil
}
