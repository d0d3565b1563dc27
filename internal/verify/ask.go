package verify

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// asks are the questions to the store about well-formed keys that this node has
// not heard of, so that a key which another node just made works here before the
// feed tells of it. They are few: a flood of made-up keys can't reach the store.
type asks struct {
	limit   atomic.Int64 // the state of askLimit
	mu      sync.Mutex
	waiting map[[postern.KeyIDLen]byte]chan struct{}
}

var askLimit = burst{calls: 50, window: int64(time.Second)}

const (
	askTimeout = 500 * time.Millisecond
	// askTries bounds how often a question is put again because the feed moved.
	askTries = 3
)

// ask asks the store about a key, together with whoever asks at the same time.
func (v *Verifier) ask(ctx context.Context, key *[postern.KeyIDLen]byte, f *found) bool {
	if !v.shared || v.feed.halted.Load() != nil {
		return false
	}
	a := &v.asks
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a.mu.Lock()
	answered, asked := a.waiting[*key]
	if asked {
		a.mu.Unlock()
		select {
		case <-answered:
		case <-ctx.Done():
		}
		return v.index.find(key, f)
	}
	var state postern.LimitState
	if ok, _ := askLimit.take(&a.limit, postern.Micros(v.clock.Now().Mono/1000+1), &state); !ok {
		a.mu.Unlock()
		v.counts.asksRefused.Add(1)
		return false
	}
	answered = make(chan struct{})
	a.waiting[*key] = answered
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.waiting, *key)
		a.mu.Unlock()
		close(answered)
	}()
	v.counts.asks.Add(1)
	if err := v.askStore(ctx, postern.KeyID(key[:])); err != nil {
		if !errors.Is(err, postern.CodeNotFound) {
			v.log.Warn("can't ask the store about a key", "key_id", postern.KeyID(key[:]), "err", err)
		}
		return v.index.find(key, f)
	}
	v.counts.asksFound.Add(1)
	return v.index.find(key, f)
}

// askStore reads a key's row and puts it into the index, if no change was applied
// meanwhile: one of them may have been the end of that key.
func (v *Verifier) askStore(ctx context.Context, key postern.KeyID) error {
	for range askTries {
		applied := v.feed.applied.Load()
		row, err := v.store.Credential(ctx, key)
		if err != nil {
			return err
		}
		if err := v.takeTurn(ctx); err != nil {
			return err
		}
		if v.feed.applied.Load() == applied {
			err := v.admitRow(ctx, row)
			v.endTurn()
			return err
		}
		v.endTurn()
	}
	return nil
}
