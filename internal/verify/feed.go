package verify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"postern.dev/postern"
)

// feed is how far this node has followed the feed. The fields without atomics
// belong to whoever has the turn.
type feed struct {
	turn      chan struct{} // holds one while somebody applies changes
	applied   atomic.Int64
	head      atomic.Int64
	confirmed atomic.Int64
	loaded    bool
	epoch     int64
	last      postern.Change // the one numbered applied, where known
	halted    atomic.Pointer[string]
}

// ErrHalted says that the feed is not what it was, so that the store may have
// forgotten revocations. The node keeps what it knows, renews no lease, and
// waits for an operator to look and to call Accept.
var ErrHalted = errors.New("verify: the feed is not what it was; an operator must decide")

// feedBatch is how many changes are read at once.
const feedBatch = 1000

func (v *Verifier) takeTurn(ctx context.Context) error {
	select {
	case v.feed.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *Verifier) endTurn() { <-v.feed.turn }

// follow applies everything that was committed before it was called. With sure it
// looks whether the last change is still the same even if there are no new ones.
func (v *Verifier) follow(ctx context.Context, sure bool) error {
	if err := v.takeTurn(ctx); err != nil {
		return err
	}
	defer v.endTurn()
	if !v.feed.loaded {
		return v.load(ctx, false)
	}
	if v.feed.halted.Load() != nil {
		return ErrHalted
	}
	head, err := v.readHead(ctx)
	if err != nil {
		return err
	}
	if head-v.feed.applied.Load() > v.maxBehind {
		v.log.Warn("too far behind the feed; reading everything anew", "applied", v.feed.applied.Load(), "head", head)
		return v.load(ctx, false)
	}
	if sure && head > 0 && head == v.feed.applied.Load() {
		_, err := v.readOn(ctx, head)
		return err
	}
	return v.applyFeed(ctx, head)
}

// readHead reads how far the feed goes, and halts if it is another feed.
func (v *Verifier) readHead(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, v.patience())
	defer cancel()
	head, epoch, err := v.store.FeedHead(ctx)
	if err != nil {
		return 0, fmt.Errorf("verify: read the feed's head: %w", err)
	}
	if err := v.sameFeed(head, epoch); err != nil {
		return 0, err
	}
	v.feed.head.Store(head)
	return head, nil
}

// sameFeed halts if the feed's head can't be that of the feed that was followed so far.
func (v *Verifier) sameFeed(head, epoch int64) error {
	applied := v.feed.applied.Load()
	switch {
	case epoch != v.feed.epoch:
		return v.halt(fmt.Sprintf("the feed's epoch went from %d to %d", v.feed.epoch, epoch))
	case head < applied:
		return v.halt(fmt.Sprintf("the feed went back from %d to %d", applied, head))
	}
	return nil
}

func (v *Verifier) halt(why string) error {
	v.feed.halted.Store(&why)
	v.log.Error("the store may have forgotten revocations; no lease is renewed until an operator decides", "why", why)
	return ErrHalted
}

// applyFeed applies the feed up to a number.
func (v *Verifier) applyFeed(ctx context.Context, upTo int64) error {
	for {
		applied := v.feed.applied.Load()
		if applied >= upTo {
			return nil
		}
		changes, err := v.readOn(ctx, applied)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return fmt.Errorf("verify: the feed ends at %d, before %d", applied, upTo)
		}
		if changes[0].Seq != applied+1 {
			// What is missing was removed for its age. Its effect can still be read.
			return v.load(ctx, false)
		}
		for i := range changes {
			if changes[i].Seq != applied+1+int64(i) {
				return v.halt(fmt.Sprintf("the feed has a gap before %d", changes[i].Seq))
			}
		}
		if err := v.apply(ctx, changes); err != nil {
			return err
		}
	}
}

// readOn reads the changes after the last one that was applied, and that one
// too, to see that it is still the same: a standby that took over late may have
// given its number to another.
func (v *Verifier) readOn(ctx context.Context, applied int64) ([]postern.Change, error) {
	changes, err := v.readFeed(ctx, max(applied-1, 0))
	if err != nil || applied == 0 || len(changes) == 0 || changes[0].Seq != applied {
		return changes, err
	}
	if last := v.feed.last; last.Seq == applied && !same(changes[0], last) {
		return nil, v.halt(fmt.Sprintf("change %d was %s %s and is %s %s", applied, last.Kind, last.ID, changes[0].Kind, changes[0].ID))
	}
	return changes[1:], nil
}

func same(a, b postern.Change) bool {
	return a.Seq == b.Seq && a.Kind == b.Kind && a.ID == b.ID && a.AccountID == b.AccountID && a.At.Equal(b.At)
}

func (v *Verifier) readFeed(ctx context.Context, after int64) ([]postern.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, v.patience())
	defer cancel()
	changes, err := v.store.Feed(ctx, after, feedBatch)
	if err != nil {
		return nil, fmt.Errorf("verify: read the feed after %d: %w", after, err)
	}
	return changes, nil
}

// apply brings changes into force: it reads afresh what each is about.
func (v *Verifier) apply(ctx context.Context, changes []postern.Change) error {
	type thing struct {
		kind postern.ChangeKind
		id   string
	}
	rows, err := v.changedRows(ctx, changes)
	if err != nil {
		return fmt.Errorf("verify: apply changes %d to %d: %w", changes[0].Seq, changes[len(changes)-1].Seq, err)
	}
	done := make(map[thing]bool, len(changes))
	for i := range changes {
		c := &changes[i]
		t := thing{c.Kind, c.ID}
		if c.Kind == postern.ChangeCatalog {
			t.id = "" // all upstreams are read together
		}
		if done[t] {
			continue // what was read already is later than this
		}
		if err := v.applyOne(ctx, c, rows); err != nil {
			return fmt.Errorf("verify: apply change %d: %w", c.Seq, err)
		}
		done[t] = true
	}
	v.feed.last = changes[len(changes)-1]
	v.feed.applied.Store(v.feed.last.Seq)
	v.feed.head.Store(max(v.feed.head.Load(), v.feed.last.Seq))
	v.counts.applied.Add(int64(len(changes)))
	if v.onApplied != nil {
		v.onApplied(changes)
	}
	return nil
}

// CatchUp returns once change seq is in force on this node. Whoever commits a
// change calls it before answering.
func (v *Verifier) CatchUp(ctx context.Context, seq int64) error {
	v.commits.note(seq, v.clock.Now())
	if v.feed.applied.Load() >= seq {
		// It was heard of already; or the feed went back, and gives the number a second time.
		return v.follow(ctx, true)
	}
	return v.catchUp(ctx, seq)
}

func (v *Verifier) catchUp(ctx context.Context, seq int64) error {
	switch {
	case v.feed.halted.Load() != nil:
		return ErrHalted
	case v.feed.applied.Load() >= seq:
		return nil
	}
	if err := v.takeTurn(ctx); err != nil {
		return err
	}
	defer v.endTurn()
	switch {
	case !v.feed.loaded:
		return nil // it decides nothing, and will read everything before it does
	case v.feed.halted.Load() != nil:
		return ErrHalted
	}
	return v.applyFeed(ctx, seq)
}

// Accept tells that an operator has looked at a feed that is not what it was and
// wants this node to follow it. The node reads everything anew. Revocations that
// it has seen it keeps.
func (v *Verifier) Accept(ctx context.Context) error {
	if err := v.takeTurn(ctx); err != nil {
		return err
	}
	defer v.endTurn()
	if v.feed.halted.Load() == nil {
		return nil
	}
	if err := v.load(ctx, true); err != nil {
		return err
	}
	v.log.Warn("an operator accepted the feed", "was", *v.feed.halted.Load(), "applied", v.feed.applied.Load())
	v.feed.halted.Store(nil)
	return nil
}
