package verify

import (
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// Ledger counts the calls of keys for all nodes together. Take must answer soon,
// and say what holds instead where it can't tell.
type Ledger interface {
	Take(key [postern.KeyIDLen]byte, calls, window int64) limit.Taken
	State() limit.State
}

// takeBurst spends one call of a key's limit in seconds: of the one that all nodes
// count together, or of this node's share.
func (v *Verifier) takeBurst(b burst, now postern.Micros, d *postern.Decision, f *found) postern.Reason {
	if v.ledger != nil {
		t := v.ledger.Take(f.cred.Key, b.calls, b.window)
		switch t.Mode {
		case limit.Together:
			return b.told(&t, now, d)
		case limit.Allow:
			return postern.ReasonAllowed
		case limit.Refuse:
			d.RetryAt = now + micros(t.Retry)
			return postern.ReasonLimitsAway
		}
	}
	ok, retry := b.share(v.sharers.Load()).take(f.burst, now, &d.Limit)
	if !ok {
		d.RetryAt = retry
		return postern.ReasonRateLimited
	}
	return postern.ReasonAllowed
}

// told notes what a limit says that is counted elsewhere.
func (b burst) told(t *limit.Taken, now postern.Micros, d *postern.Decision) postern.Reason {
	d.Limit.BurstLimit, d.Limit.BurstSecs = clip32(b.calls), clip32(b.window/int64(time.Second))
	d.Limit.BurstLeft, d.Limit.BurstReset = clip32(t.Left), seconds(int64(t.Reset))
	if !t.OK {
		d.RetryAt = now + micros(t.Retry)
		return postern.ReasonRateLimited
	}
	return postern.ReasonAllowed
}

// micros rounds up: whoever waits so long is let in.
func micros(d time.Duration) postern.Micros {
	return postern.Micros((d + time.Microsecond - 1) / time.Microsecond)
}

// Nodes that share a store share the limits too. Without a ledger, and while it is
// away, each enforces its part of a limit in seconds: the calls of the whole divided
// by the nodes that hold a lease.
// Where calls are spread over the nodes they come to the limit together; where all
// come to one node, it is reached early, and never passed by more than one call a
// node. Of a day's limit each counts what all did, a few seconds late.

// ShareLimits says how many nodes share the limits from now on.
func (v *Verifier) ShareLimits(nodes int) { v.sharers.Store(int64(max(1, nodes))) }

// Sharers is how many nodes share the limits: 1 where this node is alone.
func (v *Verifier) Sharers() int64 { return max(1, v.sharers.Load()) }

// share is this node's part of a limit, rounded up.
func (b burst) share(nodes int64) burst {
	if nodes > 1 && b.limited() {
		b.calls = max(1, (b.calls+nodes-1)/nodes)
	}
	return b
}

// MergeUsage takes in how much of their day's calls the accounts used on all
// nodes, as read reads it, so that a day's limit holds for all of them together.
func (v *Verifier) MergeUsage(read func() ([]Usage, error)) error {
	before := map[postern.AccountID]int64{}
	for _, a := range *v.accounts.list.Load() {
		if d := a.day.Load(); d != nil {
			before[a.id] = d.used.Load()
		}
	}
	list, err := read()
	if err != nil {
		return err
	}
	now := v.storeTime(v.clock.Now())
	for _, u := range list {
		a := v.accounts.find(u.Account)
		if a == nil {
			continue
		}
		if f := a.facts.Load(); f != nil {
			if d := a.today(f, now); d.start == postern.ToMicros(u.Day) {
				d.merge(u.Calls, before[u.Account])
			}
		}
	}
	return nil
}

// merge raises a count to what all nodes had written, and what came here since it was read.
func (d *day) merge(all, before int64) {
	for {
		used := d.used.Load()
		next := all + max(0, used-before)
		if next <= used || d.used.CompareAndSwap(used, next) {
			return
		}
	}
}
