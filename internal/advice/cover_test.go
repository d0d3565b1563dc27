package advice

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomProblem is one of a few scopes, so that trying all sets is possible.
func randomProblem(r *rand.Rand, scopes, ops int) *problem {
	p := &problem{}
	for range scopes {
		p.cost = append(p.cost, 1+r.Int64N(20))
	}
	for range ops {
		var ways [][]int
		for range 1 + r.IntN(3) {
			w := r.Perm(scopes)[:1+r.IntN(min(3, scopes))]
			slices.Sort(w)
			ways = append(ways, w)
		}
		p.ops = append(p.ops, ways)
	}
	return p
}

// cheapest tries all sets.
func (p *problem) cheapest() int64 {
	best := int64(-1)
	for m := range uint(1) << len(p.cost) {
		set, cost := make([]bool, len(p.cost)), int64(0)
		for i := range set {
			if m>>i&1 == 1 {
				set[i], cost = true, cost+p.cost[i]
			}
		}
		if (best < 0 || cost < best) && p.covers(set) {
			best = cost
		}
	}
	return best
}

func (p *problem) covers(set []bool) bool {
	return !slices.ContainsFunc(p.ops, func(ways [][]int) bool { return len(ways) > 0 && !goes(set, ways) })
}

func (p *problem) sum(set []bool) int64 { return (&search{cost: p.cost}).sum(set) }

// The search finds what trying all sets finds.
func TestCoverIsCheapest(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(1, seed))
		p := randomProblem(r, 1+r.IntN(9), r.IntN(14))
		set, exact := p.cover(coverBudget)
		if !exact {
			t.Fatalf("seed %d: the search gave up on %d scopes", seed, len(p.cost))
		}
		if !p.covers(set) {
			t.Fatalf("seed %d: %v doesn't cover %v", seed, set, p.ops)
		}
		if got, want := p.sum(set), p.cheapest(); got != want {
			t.Fatalf("seed %d: a cover of %d, want %d", seed, got, want)
		}
	}
}

// Where the search ends early, its set covers, holds nothing that it could do
// without, and is at most as much dearer than the cheapest as greedy covers are.
func TestCoverWithoutBudget(t *testing.T) {
	var got, want int64
	gaveUp := 0
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(2, seed))
		p := randomProblem(r, 8+r.IntN(4), 8+r.IntN(20))
		set, exact := p.cover(2)
		if !p.covers(set) {
			t.Fatalf("seed %d: %v doesn't cover", seed, set)
		}
		if !exact {
			gaveUp++
			for i := range set {
				if set[i] {
					set[i] = false
					if p.covers(set) {
						t.Fatalf("seed %d: scope %d could be left out", seed, i)
					}
					set[i] = true
				}
			}
		}
		g, w := p.sum(set), p.cheapest()
		// The harmonic bound, over ways instead of single scopes.
		if bound := w * int64(1+bits.Len(uint(len(p.ops)))) * 3; g > bound {
			t.Errorf("seed %d: a cover of %d, beyond %d", seed, g, bound)
		}
		got, want = got+g, want+w
	}
	if gaveUp == 0 {
		t.Error("no search gave up")
	}
	t.Logf("%d of 1500 gave up; all covers together cost %.1f %% more than the cheapest", gaveUp, 100*float64(got-want)/float64(want))
}

// A cover is the cover of what it is made of: following advice changes none of the rest.
func TestCoverIsStable(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(3, seed))
		p := randomProblem(r, 10, 12)
		set, _ := p.cover(coverBudget)
		only := &problem{cost: p.cost}
		for _, ways := range p.ops {
			only.ops = append(only.ops, slices.DeleteFunc(slices.Clone(ways), func(w []int) bool {
				return slices.ContainsFunc(w, func(i int) bool { return !set[i] })
			}))
		}
		if again, _ := only.cover(coverBudget); !slices.Equal(set, again) {
			t.Fatalf("seed %d: %v, and of it alone %v", seed, set, again)
		}
	}
}

func BenchmarkCover(b *testing.B) {
	p := randomProblem(rand.New(rand.NewPCG(4, 4)), 80, 353)
	for b.Loop() {
		p.cover(coverBudget)
	}
}
