package activity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

const (
	// batchRows is the most calls that one transaction writes.
	batchRows = 4096
	// lastTries is how long Run goes on trying to write what is left, once it is told to stop.
	lastTries = 10 * time.Second
)

// Run writes what is recorded until ctx is done, and then what is left; meanwhile
// it merges small blocks and removes what is too old. While the database is away
// it tries again, ever more slowly, and holds as much as fits.
func (l *Log) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.tidy(ctx) })

	wait := l.cfg.Delay
	for {
		wake := l.wake
		if wait > l.cfg.Delay {
			wake = nil // the database is away: a full buffer is no reason to hurry
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTries)
			defer cancel()
			return l.finish(last)
		case <-wake:
		case <-time.After(wait):
		}
		if err := l.Flush(ctx); err == nil {
			wait = l.cfg.Delay
		} else if ctx.Err() == nil {
			if wait == l.cfg.Delay {
				l.cfg.Logger.Error("activity: can't write; holding what fits", "err", err)
			}
			wait = min(2*wait, max(5*time.Second, l.cfg.Delay))
		}
	}
}

// finish writes what is left, trying until ctx is done.
func (l *Log) finish(ctx context.Context) error {
	for {
		err := l.Flush(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			st := l.Stats()
			return fmt.Errorf("activity: %d calls are not written: %w", st.Buffered, err)
		case <-time.After(l.cfg.Delay):
		}
	}
}

// Flush writes everything that was recorded before it was called.
func (l *Log) Flush(ctx context.Context) error {
	select {
	case l.sem <- struct{}{}:
		defer func() {
			l.tries.Add(1)
			l.tried.tell()
			<-l.sem
		}()
	case <-ctx.Done():
		return ctx.Err()
	}
	// What is held from a failed try comes first, so that memory stays bounded
	// by the buffers and what was once taken out of them.
	if err := l.writePending(ctx); err != nil {
		return err
	}
	l.takeOut()
	return l.writePending(ctx)
}

// place is where a call that is taken out lies: in which buffer, in which slot.
type place struct {
	at          postern.Micros
	shard, slot int32
}

// takeOut moves what is buffered to pending, in the order of time.
func (l *Log) takeOut() {
	now := postern.ToMicros(l.cfg.Now())
	bufs, texts := make([]*buffer, len(l.shards)), make([]string, len(l.shards))
	order := l.order[:0]
	for i := range l.shards {
		b := l.shards[i].swap()
		bufs[i], texts[i] = b, string(b.text)
		for j := range b.slots {
			at := b.slots[j].at
			// A time from a clock that went wrong would stay at the top of every list.
			if at <= 0 || at > now+5*60*1_000_000 {
				at = now
			}
			order = append(order, place{at, int32(i), int32(j)})
		}
	}
	slices.SortFunc(order, func(a, b place) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.slot, b.slot))
	})
	l.pending = slices.Grow(l.pending, len(order))
	for _, p := range order {
		l.pending = append(l.pending, l.recordOf(texts[p.shard], &bufs[p.shard].slots[p.slot], p.at))
	}
	for i := range l.shards {
		l.shards[i].giveBack(bufs[i])
	}
	l.facts.forget()
	l.order = order
	l.room = l.pending
	l.tellPending()
}

func (l *Log) tellPending() {
	oldest := postern.Micros(0)
	if len(l.pending) > 0 {
		oldest = l.pending[0].at
	}
	l.status.held.Store(int64(len(l.pending)))
	l.status.oldest.Store(int64(oldest))
}

// writePending writes what is pending, in batches.
func (l *Log) writePending(ctx context.Context) error {
	for len(l.pending) > 0 {
		n := min(len(l.pending), batchRows)
		if err := l.writeBatch(ctx, n); err != nil {
			l.status.failed(err, l.cfg.Now())
			return err
		}
	}
	// Written, and cleared: the room is used again, unless an outage made it large.
	if cap(l.room) > l.capacity {
		l.room = nil
	}
	l.pending = l.room[:0]
	return nil
}

// writeBatch writes the first n pending records. Where the database refuses
// what is in them, it halves them until the one that is at fault is found, and
// counts it as lost: one bad record must not hold up all others.
func (l *Log) writeBatch(ctx context.Context, n int) error {
	err := l.write(ctx, l.pending[:n])
	switch {
	case err == nil:
		l.status.wrote(n, l.cfg.Now())
	case !permanent(err):
		return err
	case n > 1:
		if err := l.writeBatch(ctx, n/2); err != nil {
			return err
		}
		return l.writeBatch(ctx, n-n/2)
	default:
		l.cfg.Logger.Error("activity: the database refuses a record", "err", err, "reason", l.pending[0].facts.reason.String())
		l.lost.add(l.pending[0].facts.reason)
	}
	clear(l.pending[:n])
	l.pending = l.pending[n:]
	l.tellPending()
	return nil
}

// broadcast wakes all who wait for the next batch.
type broadcast struct{ c atomic.Pointer[chan struct{}] }

func (b *broadcast) open() {
	c := make(chan struct{})
	b.c.Store(&c)
}

// next is closed when something happens after the call.
func (b *broadcast) next() <-chan struct{} { return *b.c.Load() }

func (b *broadcast) tell() {
	c := make(chan struct{})
	close(*b.c.Swap(&c))
}

var errEmptyAccount = errors.New("activity: an account must be named")
