package verify

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
)

// lease is this node's permission to decide, by its own clocks. It is over as
// soon as any of them says so, so that a machine that was paused or put to sleep
// does not wake up trusting.
type lease struct {
	wall, mono, boot int64 // when it ends

	// The store's time at a moment of boot time. The store's time at another moment
	// follows from boot time, which nobody sets.
	storeAt postern.Micros
	bootAt  int64
	// offset is by how much the store's clock is ahead of this node's wall clock.
	offset time.Duration
}

const (
	// maxRoundTrip is the longest that a renewal may take for the store's time to
	// be learned from it: the error is at most half of it.
	maxRoundTrip = 2 * time.Second
	// offsetAlarm is how far a wall clock may be from the store's.
	offsetAlarm = 5 * time.Second
)

// alive reports whether the lease lasts at a moment.
func (l *lease) alive(i Instant) bool {
	return l != nil && i.Mono < l.mono && i.Boot < l.boot && i.Wall < l.wall
}

// left is how much longer the lease lasts.
func (l *lease) left(i Instant) time.Duration {
	if !l.alive(i) {
		return 0
	}
	return time.Duration(min(l.mono-i.Mono, l.boot-i.Boot, l.wall-i.Wall))
}

// at is the store's time at a moment.
func (l *lease) at(i Instant) postern.Micros {
	return l.storeAt + postern.Micros((i.Boot-l.bootAt)/1000)
}

// clockDoubt is by how much this machine's wall clock may have gone ahead of its
// others since a renewal without a doubt about what time it is.
const clockDoubt = postern.Micros(1_000_000)

// latest is the latest that the store's time may be. Where the wall clock went
// ahead of boot time, either somebody set it, or a virtual machine stood still
// and boot time with it: only the next renewal tells.
func (l *lease) latest(i Instant) postern.Micros {
	at, byWall := l.at(i), postern.Micros((i.Wall+int64(l.offset))/1000)
	if byWall > at+clockDoubt {
		return byWall
	}
	return at
}

// decidingAt gives the store's time, the latest that it may be, and whether this node may decide.
func (v *Verifier) decidingAt(i Instant) (now, latest postern.Micros, ok bool) {
	l := v.lease.Load()
	if !l.alive(i) {
		return 0, 0, false
	}
	return l.at(i), l.latest(i), true
}

// storeTime is the store's time, or this node's before it has heard the store's.
func (v *Verifier) storeTime(i Instant) postern.Micros {
	if l := v.lease.Load(); l != nil {
		return l.at(i)
	}
	return postern.Micros(i.Wall / 1000)
}

// Alive reports whether this node decides now.
func (v *Verifier) Alive() bool {
	_, _, ok := v.decidingAt(v.clock.Now())
	return ok
}

// renewal is one renewal of the lease. Its steps are taken in the order of inOrder,
// and the promise of revocation rests on two facts of that order:
//
//   - The lease row is committed before the feed is read. Whoever revokes a key
//     and then reads the table of leases either finds this lease in it and waits,
//     or commits early enough for the reading of the feed to see the revocation.
//   - The lease counts from before the row was written, so that it ends here
//     before it ends by the store's clock.
type renewal struct {
	v        *Verifier
	t0, t1   Instant
	storeNow time.Time
}

// step is one of a renewal.
type step func(*renewal, context.Context) error

// inOrder are the steps in their order. Tests take them in others, to see that
// what goes wrong then is found.
var inOrder = []step{(*renewal).note, (*renewal).write, (*renewal).read, (*renewal).extend, (*renewal).confirm}

func (r *renewal) note(context.Context) error {
	r.t0 = r.v.clock.Now()
	return nil
}

func (r *renewal) write(ctx context.Context) error {
	// What was confirmed may be gone: with a row that was over for long, or with the
	// end of the log that a standby lacks. So each renewal confirms anew.
	r.v.feed.confirmed.Store(0)
	ctx, cancel := context.WithTimeout(ctx, r.v.patience())
	defer cancel()
	now, err := r.v.store.RenewLease(ctx, r.v.node, r.v.ttl)
	if err != nil {
		return fmt.Errorf("verify: renew the lease: %w", err)
	}
	r.storeNow, r.t1 = now, r.v.clock.Now()
	return nil
}

// read reads the feed and applies it.
func (r *renewal) read(ctx context.Context) error { return r.v.follow(ctx, true) }

func (r *renewal) extend(context.Context) error {
	v, old := r.v, r.v.lease.Load()
	ttl := int64(v.ttl)
	next := &lease{wall: r.t0.Wall + ttl, mono: r.t0.Mono + ttl, boot: r.t0.Boot + ttl}
	trip := r.t1.Boot - r.t0.Boot
	next.storeAt, next.bootAt = postern.ToMicros(r.storeNow), r.t0.Boot+trip/2
	next.offset = r.storeNow.Sub(time.Unix(0, r.t1.Wall-trip/2))
	if old != nil && trip > int64(maxRoundTrip) {
		next.storeAt, next.bootAt, next.offset = old.storeAt, old.bootAt, old.offset
	}
	if off := next.offset.Abs(); off > offsetAlarm && (old == nil || old.offset.Abs() <= offsetAlarm) {
		v.log.Error("this machine's clock is wrong; times are judged by the store's", "offset", next.offset)
	}
	v.lease.Store(next)
	v.readied.Do(func() { close(v.ready) })
	return nil
}

func (r *renewal) confirm(ctx context.Context) error { return r.v.confirm(ctx) }

// Renew renews the lease once: after it the node has applied all that was
// committed before, and decides for the length of a lease. Run calls it in time.
func (v *Verifier) Renew(ctx context.Context) error {
	v.renewing.Lock()
	defer v.renewing.Unlock()
	if v.feed.halted.Load() != nil {
		return ErrHalted
	}
	r := &renewal{v: v}
	err := r.steps(ctx)
	if err == nil && !v.Alive() {
		// The first reading takes longer than a lease where there are millions of
		// rows. What came since is little, so a second renewal is quick.
		err = r.steps(ctx)
	}
	if err != nil {
		v.counts.renewalsFailed.Add(1)
		return err
	}
	v.counts.renewals.Add(1)
	return nil
}

func (r *renewal) steps(ctx context.Context) error {
	for _, take := range r.v.order {
		if err := take(r, ctx); err != nil {
			return err
		}
	}
	return nil
}

// confirm tells the store up to which change this node refuses what it must, if
// other nodes may want to know.
func (v *Verifier) confirm(ctx context.Context) error {
	applied := v.feed.applied.Load()
	if !v.shared || applied == v.feed.confirmed.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, v.patience())
	defer cancel()
	if err := v.store.Confirm(ctx, v.node, applied); err != nil {
		return fmt.Errorf("verify: confirm change %d: %w", applied, err)
	}
	v.feed.confirmed.Store(applied)
	return nil
}
