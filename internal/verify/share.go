package verify

import "postern.dev/postern"

// Nodes that share a store share the limits too. Of a limit in seconds each
// enforces its part: the calls of the whole divided by the nodes that hold a lease.
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
