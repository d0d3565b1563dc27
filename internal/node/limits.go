package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/limit/ledger"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// Limits says where nodes count the limits of keys in common.
type Limits struct {
	URL     string        // of Redis or Valkey; empty: each node allows its share
	Away    limit.Mode    // what holds while that is away: limit.Shared unless set
	Timeout time.Duration // how long a call waits for it at most; 0: the default
}

// openLimits reaches for Redis, where limits are counted there; else it gives nil.
func (n *Node) openLimits(ctx context.Context) (_ verify.Ledger, err error) {
	c := n.Config.Limits
	if c.URL == "" {
		return nil, nil
	}
	n.limitsMoved = make(chan struct{}, 1)
	n.limits, err = ledger.Open(ctx, ledger.Config{URL: c.URL, Away: c.Away, Timeout: c.Timeout, Now: n.Config.Now, Log: n.Config.Log, Changed: func() {
		select {
		case n.limitsMoved <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return n.limits, nil
}

// keepLimits looks after the connection to Redis, and lets the list of nodes show at
// once when it goes or comes back.
func (n *Node) keepLimits(ctx context.Context) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	telling.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.limitsMoved:
			}
			// Where that fails, the next renewal tells it.
			if err := n.Verifier.Renew(ctx); err != nil && ctx.Err() == nil {
				n.Config.Log.Debug("how limits are held can't be told yet", "err", err)
			}
		}
	})
	return n.limits.Run(ctx)
}

// howLimits is how this node holds the limits of keys, and since when.
func (n *Node) howLimits() (how string, since time.Time) {
	switch {
	case n.limits != nil:
		s := n.limits.State()
		return string(s.Mode), s.Since
	case n.DB.Engine == store.Postgres:
		return string(limit.Shared), time.Time{}
	}
	return "", time.Time{}
}

// limitWarnings are what health tells while Redis is away.
func (n *Node) limitWarnings() []string {
	if n.limits == nil {
		return nil
	}
	s := n.limits.State()
	if s.Mode == limit.Together && s.Why == "" {
		return nil
	}
	return []string{fmt.Sprintf("Limits are not counted together since %s: Redis is away: %s. Meanwhile %s.", s.Since.UTC().Format(time.RFC3339), s.Why, meanwhile[s.Mode])}
}

var meanwhile = map[limit.Mode]string{
	limit.Shared: "each node allows its share",
	limit.Allow:  "nothing is limited by the second",
	limit.Refuse: "calls of keys that have a limit are refused with 503",
}
