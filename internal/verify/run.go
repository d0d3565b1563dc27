package verify

import (
	"context"
	"errors"
	"time"

	"postern.dev/postern"
)

// Run keeps the lease and follows the feed until ctx ends; then the node stops
// deciding, and gives its lease back. Failures of the store are logged and tried
// again: while they last, the lease runs.
func (v *Verifier) Run(ctx context.Context) error {
	hints := make(chan struct{}, 1)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		v.listen(ctx, hints)
	}()
	loop := loop{v: v}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		loop.turn(ctx)
		timer.Reset(v.spread(loop.pause()))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-hints:
		}
	}
	<-stopped
	// First it decides no longer, then it says so.
	v.lease.Store(nil)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := v.store.DropLease(last, v.node); err != nil {
		v.log.Warn("can't give the lease back; it runs out by itself", "err", err)
	}
	return ctx.Err()
}

// loop is what Run remembers from one turn to the next.
type loop struct {
	v        *Verifier
	renewAt  int64 // monotonic
	failures int
	swept    uint8 // the shard whose expired tokens were dropped last
}

// turn renews the lease if that is due, and else reads the feed.
func (l *loop) turn(ctx context.Context) {
	v := l.v
	now := v.clock.Now()
	due := now.Mono >= l.renewAt || !v.lease.Load().alive(now) && l.failures == 0
	var err error
	if due {
		if err = v.Renew(ctx); err == nil {
			l.renewAt = now.Mono + int64(v.spread(v.renewEvery()))
		} else {
			l.renewAt = now.Mono + int64(v.spread(l.retry()))
		}
	} else if err = v.follow(ctx, l.failures > 0); err == nil {
		err = v.confirm(ctx)
	}
	switch {
	case err == nil:
		l.failures = 0
	case ctx.Err() == nil:
		// The first failure is told, and then fewer and fewer of them.
		if l.failures++; l.failures&(l.failures-1) == 0 && !errors.Is(err, ErrHalted) {
			v.log.Warn("can't keep up with the store", "failures", l.failures, "lease_left", v.lease.Load().left(now), "err", err)
		}
	}
	const told = postern.Micros(3_600_000_000) // an hour in which an expired token is still told so
	v.index.dropExpired(l.swept, v.storeTime(now)-told)
	l.swept++
}

// pause is how long to wait for the next turn, if no hint comes.
func (l *loop) pause() time.Duration {
	if l.failures > 0 {
		return l.retry()
	}
	return l.v.poll
}

// retry is the wait after failures: it doubles, and stays short where other nodes
// share the store, so that a lease which is nearly over meets a store that is back.
func (l *loop) retry() time.Duration {
	longest := l.v.ttl / 6
	if l.v.shared {
		longest = l.v.ttl / 60
	}
	return min(50*time.Millisecond<<min(l.failures, 10), longest)
}

// renewEvery is how old a lease gets. Where a store can go away, a node shall
// go on for nearly a whole lease from then on, so it renews often; a file is
// never away, and a renewal is a write.
func (v *Verifier) renewEvery() time.Duration {
	if v.shared {
		return v.ttl / 20
	}
	return v.ttl / 3
}

// patience is how long one question to the store may take: short beside a lease,
// so that a connection which died unnoticed leaves time for another.
func (v *Verifier) patience() time.Duration {
	if v.shared {
		return min(max(v.ttl/12, time.Second), v.ttl/3)
	}
	return v.ttl / 3
}

// spread takes off up to a fifth, so that nodes don't move in step.
func (v *Verifier) spread(d time.Duration) time.Duration { return d - v.random(d/5+1) }

// hintPause is between two hints, so that a Wait which returns early can't spin.
const hintPause = 5 * time.Millisecond

// listen waits for word of changes and passes it on.
func (v *Verifier) listen(ctx context.Context, hints chan<- struct{}) {
	for ctx.Err() == nil {
		pause := hintPause
		if err := v.store.Wait(ctx, v.feed.head.Load()); err != nil {
			pause = v.spread(v.poll) // the store is away; the feed is polled meanwhile
		} else {
			select {
			case hints <- struct{}{}:
			default:
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
