package verify

import (
	"sync/atomic"
	"time"
)

// ReceiptBounds are the upper bounds of the groups in which Receipts counts
// receipts by the time that they took; a last group has no bound.
var ReceiptBounds = []time.Duration{1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

// Receipts counts the answers to where a change is in force.
type Receipts struct {
	Everywhere int64
	Awaiting   int64 // with nodes that had not confirmed
	Unknown    int64 // nobody could tell
	Took       []int64
	TookSum    time.Duration
}

// receipts counts them while they are given.
type receipts struct {
	awaiting, unknown, sum atomic.Int64
	took                   [16]atomic.Int64 // one for each bound, and one beyond
}

func (r *receipts) everywhere(took time.Duration) {
	i := 0
	for i < len(ReceiptBounds) && took > ReceiptBounds[i] {
		i++
	}
	r.took[i].Add(1)
	r.sum.Add(int64(took))
}

func (r *receipts) counts() Receipts {
	out := Receipts{Awaiting: r.awaiting.Load(), Unknown: r.unknown.Load(), TookSum: time.Duration(r.sum.Load()), Took: make([]int64, len(ReceiptBounds)+1)}
	for i := range out.Took {
		out.Took[i] = r.took[i].Load()
		out.Everywhere += out.Took[i]
	}
	return out
}

// commits remember when the latest changes were made here, so that a receipt can
// tell how long it took.
type commits [256]struct{ seq, mono atomic.Int64 }

func (c *commits) note(seq int64, i Instant) {
	at := &c[seq%int64(len(c))]
	if at.seq.Load() != seq {
		at.mono.Store(i.Mono)
		at.seq.Store(seq)
	}
}

// at is when a change was made; now where that isn't known.
func (c *commits) at(seq int64, now Instant) int64 {
	at := &c[seq%int64(len(c))]
	if mono := at.mono.Load(); at.seq.Load() == seq {
		return mono
	}
	return now.Mono
}
