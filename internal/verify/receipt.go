package verify

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Receipt says where a change is in force. It can be asked for again.
type Receipt struct {
	Seq        int64
	Everywhere bool
	// EffectiveBy is when the last of the awaited nodes must have stopped deciding
	// by what it knew; zero where it is in force everywhere.
	EffectiveBy time.Time
	Confirmed   []string // nodes that said so
	// Took is how long it took from the commit, or from the question where the
	// change wasn't made here just now; zero where it isn't in force everywhere.
	Took    time.Duration
	Awaited []Awaited
}

// Awaited is a node that has not confirmed a change, and when its lease ends.
type Awaited struct {
	Node  string
	Until time.Time
}

// Receipt waits until a change that was committed is in force on every node, for
// at most wait, and says how far it has come. Where the leases can't be read it
// gives the error, and beside it what holds of a change that was made before the
// call: when the last lease that can have stood then is over.
func (v *Verifier) Receipt(ctx context.Context, seq int64, wait time.Duration) (Receipt, error) {
	made := v.commits.at(seq, v.clock.Now())
	// Where this node can't catch up now, it is awaited like the others.
	here, cancel := context.WithTimeout(ctx, max(wait, time.Second))
	_ = v.catchUp(here, seq)
	cancel()
	give := time.NewTimer(wait)
	defer give.Stop()
	leases, now, err := v.firstLeases(ctx, give.C)
	if err != nil {
		v.receipts.unknown.Add(1)
		return Receipt{Seq: seq, EffectiveBy: v.latest()}, fmt.Errorf("verify: read leases: %w", err)
	}
	p := v.promise(seq, leases)
	for pause := shortestLook; ; pause = min(2*pause, longestLook) {
		r := p.receipt(leases, now)
		if r.Everywhere {
			r.Took = time.Duration(v.clock.Now().Mono - made)
			v.receipts.everywhere(r.Took)
			return r, nil
		}
		select {
		case <-ctx.Done():
			v.receipts.awaiting.Add(1)
			return r, nil // what is known is worth telling
		case <-give.C:
			v.receipts.awaiting.Add(1)
			return r, nil
		case <-time.After(pause):
		}
		if again, at, err := v.reads.next(ctx); err == nil {
			leases, now = again, at
		}
	}
}

// unread is how far the time of the store, as a node knows it, may be off where
// the store can't be asked.
const unread = time.Second

// latest is when every lease that stands now is over, whatever the table says.
func (v *Verifier) latest() time.Time {
	// The leases of the others were written by a clock that may be ahead by a hundredth, and may run slower by another.
	return v.Now().Time().Add(v.ttl + 2*v.ttl/100 + 10*time.Millisecond + unread)
}

// firstLeases reads the leases, and again until over: a connection that broke is
// often the only one.
func (v *Verifier) firstLeases(ctx context.Context, over <-chan time.Time) ([]Lease, time.Time, error) {
	for pause := shortestLook; ; pause = min(2*pause, longestLook) {
		leases, now, err := v.reads.next(ctx)
		if err == nil {
			return leases, now, nil
		}
		select {
		case <-ctx.Done():
			return nil, now, err
		case <-over:
			return nil, now, err
		case <-time.After(pause):
		}
	}
}

// How often the leases are looked at for a receipt. All who wait at once share a reading.
const (
	shortestLook = 4 * time.Millisecond
	longestLook  = 32 * time.Millisecond
)

// promise is what a change waits for: the leases that stood in the table right
// after its commit. A lease that is written later was written by a node that
// read the feed after it, and so knows of the change.
type promise struct {
	v     *Verifier
	seq   int64
	until map[string]time.Time
}

func (v *Verifier) promise(seq int64, leases []Lease) *promise {
	p := &promise{v: v, seq: seq, until: make(map[string]time.Time, len(leases))}
	for _, l := range leases {
		// A clock that is slow by a hundredth makes a lease that much longer.
		p.until[l.Node] = l.Expires.Add(v.ttl/100 + 10*time.Millisecond)
	}
	return p
}

// receipt says how far it has come, by a later reading of the table.
func (p *promise) receipt(leases []Lease, now time.Time) Receipt {
	r := Receipt{Seq: p.seq}
	confirmed := make(map[string]bool, len(leases))
	for _, l := range leases {
		confirmed[l.Node] = l.Confirmed >= p.seq
	}
	for node, until := range p.until {
		// Of itself a node knows without the table, unless it doesn't know what feed it follows.
		itself := node == p.v.node && p.v.feed.halted.Load() == nil && p.v.feed.applied.Load() >= p.seq
		switch {
		case confirmed[node], itself:
			r.Confirmed = append(r.Confirmed, node)
		case until.After(now):
			r.Awaited = append(r.Awaited, Awaited{node, until})
			if until.After(r.EffectiveBy) {
				r.EffectiveBy = until
			}
		}
	}
	slices.Sort(r.Confirmed)
	slices.SortFunc(r.Awaited, func(a, b Awaited) int { return a.Until.Compare(b.Until) })
	r.Everywhere = len(r.Awaited) == 0
	return r
}
