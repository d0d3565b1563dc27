package activity

import "hash/maphash"

// bound keeps the number of distinct things in a period finite, so that hostile
// input can't make rows without end: so many in a group, so many in all. It
// counts what this process saw; a restart begins anew.
type bound struct {
	perGroup, total int
	seed            maphash.Seed
	period          int64
	seen            map[uint64]struct{}
	groups          map[uint64]int
}

func newBound(perGroup, total int) *bound {
	return &bound{perGroup: perGroup, total: total, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, groups: map[uint64]int{}}
}

// admit reports whether a thing of a group may have a row of its own in a
// period: one that was admitted before may.
func (b *bound) admit(period int64, group, thing any) bool {
	if period > b.period {
		b.period = period
		clear(b.seen)
		clear(b.groups)
	}
	g := maphash.Comparable(b.seed, group)
	t := maphash.Comparable(b.seed, [2]any{group, thing})
	if _, ok := b.seen[t]; ok {
		return true
	}
	if len(b.seen) >= b.total || b.groups[g] >= b.perGroup {
		return false
	}
	b.seen[t] = struct{}{}
	b.groups[g]++
	return true
}
