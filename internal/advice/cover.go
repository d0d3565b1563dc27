package advice

import (
	"cmp"
	"slices"
)

// coverBudget is how many steps the exact search for the cheapest cover takes
// for what hangs together, before the best that was found until then stands.
const coverBudget = 5000

// problem asks for the cheapest set of scopes that permits every operation. Each
// operation names its ways; a way is the numbers of the scopes that it takes, sorted.
type problem struct {
	cost []int64
	ops  [][][]int
}

// cover finds the cheapest set of scopes with which every operation has a way. It
// reports whether that is proven; where it isn't, the set is a cover all the same
// that no scope can be taken out of. An operation without ways isn't asked about.
func (p *problem) cover(budget int) (chosen []bool, exact bool) {
	chosen = make([]bool, len(p.cost))
	exact = true
	for _, ops := range components(p.reduce(), len(p.cost)) {
		s := search{cost: p.cost, ops: ops, budget: budget, now: make([]bool, len(p.cost))}
		s.best = s.greedy()
		s.bestCost = s.sum(s.best)
		s.look(0)
		for i, in := range s.best {
			chosen[i] = chosen[i] || in
		}
		exact = exact && s.budget > 0
	}
	return chosen, exact
}

// reduce leaves out operations that ask for nothing or for what another one asks
// too, and ways that take more than another way of the same operation.
func (p *problem) reduce() [][][]int {
	var out [][][]int
	for _, ways := range p.ops {
		if w := shortest(ways); len(w) > 0 && len(w[0]) > 0 {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, compareWays)
	return slices.CompactFunc(out, func(a, b [][]int) bool { return compareWays(a, b) == 0 })
}

func compareWays(a, b [][]int) int { return slices.CompareFunc(a, b, slices.Compare) }

// shortest drops the ways that hold all of another one, and sorts the rest.
func shortest(ways [][]int) [][]int {
	ways = slices.Clone(ways)
	slices.SortFunc(ways, func(a, b []int) int { return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b)) })
	var out [][]int
	for _, w := range ways {
		if !slices.ContainsFunc(out, func(o []int) bool { return subset(o, w) }) {
			out = append(out, w)
		}
	}
	return out
}

// subset reports whether all of sorted a is in sorted b.
func subset(a, b []int) bool {
	for _, x := range a {
		if _, ok := slices.BinarySearch(b, x); !ok {
			return false
		}
	}
	return true
}

// components parts operations into those that share scopes with each other.
func components(ops [][][]int, scopes int) [][][][]int {
	root := make([]int, scopes)
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	for _, ways := range ops {
		for _, w := range ways {
			for _, s := range w {
				root[find(s)] = find(ways[0][0])
			}
		}
	}
	of := map[int]int{}
	var out [][][][]int
	for _, ways := range ops {
		r := find(ways[0][0])
		i, ok := of[r]
		if !ok {
			i = len(out)
			of[r] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], ways)
	}
	return out
}

// search looks for the cheapest cover of a component.
type search struct {
	cost     []int64
	ops      [][][]int
	now      []bool // the scopes that are taken at this point
	best     []bool
	bestCost int64
	budget   int
}

func (s *search) sum(set []bool) (n int64) {
	for i, in := range set {
		if in {
			n += s.cost[i]
		}
	}
	return n
}

// adds is what a way costs more than is taken already.
func (s *search) adds(set []bool, way []int) (n int64) {
	for _, i := range way {
		if !set[i] {
			n += s.cost[i]
		}
	}
	return n
}

func goes(set []bool, ways [][]int) bool {
	return slices.ContainsFunc(ways, func(w []int) bool {
		return !slices.ContainsFunc(w, func(i int) bool { return !set[i] })
	})
}

// greedy takes, again and again, the way that costs least for each operation that
// it opens, and then leaves out what isn't needed after all, dearest first.
func (s *search) greedy() []bool {
	set := make([]bool, len(s.cost))
	left := slices.Clone(s.ops)
	for {
		left = slices.DeleteFunc(left, func(ways [][]int) bool { return goes(set, ways) })
		if len(left) == 0 {
			return s.prune(set)
		}
		var best []int
		var bestCost, bestOpens int64
		for _, ways := range left {
			for _, w := range ways {
				c, opens := s.adds(set, w), int64(0)
				with := slices.Clone(set)
				for _, i := range w {
					with[i] = true
				}
				for _, other := range left {
					if goes(with, other) {
						opens++
					}
				}
				if best == nil || c*bestOpens < bestCost*opens {
					best, bestCost, bestOpens = w, c, opens
				}
			}
		}
		for _, i := range best {
			set[i] = true
		}
	}
}

func (s *search) prune(set []bool) []bool {
	var in []int
	for i, ok := range set {
		if ok {
			in = append(in, i)
		}
	}
	slices.SortStableFunc(in, func(a, b int) int { return cmp.Compare(s.cost[b], s.cost[a]) })
	for _, i := range in {
		set[i] = false
		if slices.ContainsFunc(s.ops, func(ways [][]int) bool { return !goes(set, ways) }) {
			set[i] = true
		}
	}
	return set
}

// look tries every way of the operation with the fewest, and gives up where no
// cheaper cover than the best can come.
func (s *search) look(cost int64) {
	if s.budget--; s.budget <= 0 {
		return
	}
	next, bound := s.bound()
	if cost+bound >= s.bestCost {
		return
	}
	if next == nil {
		s.best, s.bestCost = slices.Clone(s.now), cost
		return
	}
	ways := slices.Clone(next)
	slices.SortStableFunc(ways, func(a, b []int) int { return cmp.Compare(s.adds(s.now, a), s.adds(s.now, b)) })
	for _, w := range ways {
		var took []int
		for _, i := range w {
			if !s.now[i] {
				s.now[i] = true
				took = append(took, i)
			}
		}
		var added int64
		for _, i := range took {
			added += s.cost[i]
		}
		s.look(cost + added)
		for _, i := range took {
			s.now[i] = false
		}
	}
}

// bound is what covering the rest costs at least: the cheapest ways of operations
// that share no scope, summed up. next is the operation to try next; nil where
// everything is covered.
func (s *search) bound() (next [][]int, least int64) {
	used := make([]bool, len(s.cost))
	for _, ways := range s.ops {
		if goes(s.now, ways) {
			continue
		}
		if next == nil || len(ways) < len(next) {
			next = ways
		}
		apart, cheapest := true, int64(-1)
		for _, w := range ways {
			if c := s.adds(s.now, w); cheapest < 0 || c < cheapest {
				cheapest = c
			}
			apart = apart && !slices.ContainsFunc(w, func(i int) bool { return used[i] && !s.now[i] })
		}
		if !apart {
			continue
		}
		least += cheapest
		for _, w := range ways {
			for _, i := range w {
				used[i] = true
			}
		}
	}
	return next, least
}
