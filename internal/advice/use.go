package advice

import (
	"cmp"
	"slices"
	"time"

	"postern.dev/postern"
)

// Days that the rules count by.
const (
	Window      = 90 // how far back calls are looked at
	FairHistory = 14 // under which nothing is said of what wasn't needed
	idleAfter   = 30 // without a need, a scope is idle
	monthlyIdle = 70 // one that is needed monthly
	monthlyGap  = 20 // needed so rarely is needed monthly
	sameBurst   = 3  // days so close are one occasion
)

const day = 24 * time.Hour

// Need is what allowed calls of one operation come to.
type Need struct {
	Op
	Asked []postern.Scope // where scopes were asked for instead of an operation
	First time.Time
	Last  time.Time
	Calls int64
	Days  []time.Time // on which it was called, as far as that is known
}

// Moment is when a scope let calls through first and last, to the microsecond:
// needs are known by the hour.
type Moment struct {
	Scope postern.Scope
	Op    // of the latest call
	First time.Time
	Last  time.Time
}

// sharpen puts the exact times in the place of the hours that hold them. Where the
// rules count calls for another scope than the one that let them through, the
// operation tells that it was the same call.
func (s *ScopeUse) sharpen(known []Moment) {
	first, last := s.First, s.Last
	if last.IsZero() {
		return
	}
	for i := range known {
		m := &known[i]
		if same := m.Scope == s.Scope; same || m.Name != "" && slices.Contains(s.latest, m.Op) {
			if within(m.Last, last) {
				s.Last = later(s.Last, m.Last)
			}
			if same && within(m.First, first) {
				s.First = m.First
			}
		}
	}
}

// within reports whether a time is in the hour that begins at another.
func within(t, hour time.Time) bool { return !t.Before(hour) && t.Sub(hour) < time.Hour }

// State is what became of a scope in the window.
type State string

// The states of a granted scope.
const (
	InUse   State = "in_use"
	Idle    State = "idle"    // needed in the window, and not for a while
	Unused  State = "unused"  // not needed in the window
	TooNew  State = "too_new" // granted too lately to say
	Unknown State = "unknown" // there is too little history to say
	Replace State = "replace" // needed, and a narrower scope would do
	// NotCounted is of scopes of Postern itself, which change what is told and let no call through.
	NotCounted State = "not_counted"
)

// ScopeUse is what is known of one scope of a key.
type ScopeUse struct {
	Scope   postern.Scope
	State   State
	Granted time.Time
	First   time.Time // zero where it wasn't needed in the window
	Last    time.Time
	Calls   int64
	Ops     int  // operations that needed it
	Idle    int  // days since it was last needed
	Monthly bool // it is needed about once a month
	Instead []postern.Scope
	latest  []Op // the operations that needed it in the latest hour
}

// use is how the calls of a window are explained.
type use struct {
	scopes  []ScopeUse
	target  []postern.Scope // the least that explains all calls: granted ones, and narrower ones in their place
	adds    []postern.Scope // of target, those that aren't granted
	unknown int64           // calls that no scope of today explains
	allowed int64
	exact   bool
}

// The weights of a scope. Whatever writes is dearer than all that reads, and
// whatever is sensitive than what isn't; then it counts what a scope opens. One
// that would have to be granted must open a quarter less.
const (
	weighWrite     = int64(1) << 40
	weighSensitive = int64(1) << 36
	weighOpens     = int64(300)
	weighGrant     = 10
	weighOne       = 1
)

func (w *World) weigh(s postern.Scope, granted bool) int64 {
	n := int64(w.opensOf(s).len())*weighOpens + weighOne
	if !granted {
		n = n*4/3 + weighGrant
	}
	if w.writes(s) {
		n += weighWrite
	}
	if w.sensitive(s) {
		n += weighSensitive
	}
	return n
}

// asks is one thing that calls needed: the ways that they could go.
type asks struct {
	need *Need
	ways [][]postern.ScopeID
}

// explain decides which scopes the calls of a window needed: of all sets that
// explain every call the one that writes least, then is least sensitive, then
// opens the fewest operations. Narrower scopes than the granted ones may stand in.
func (w *World) explain(granted []postern.Scope, needs []Need) use {
	w = w.with(granted)
	for i := range needs {
		w = w.with(needs[i].Asked)
	}
	held := w.held(granted)
	u := use{}
	var all []asks
	for i := range needs {
		n := &needs[i]
		u.allowed += n.Calls
		list := w.asked(n)
		if len(list) == 0 || slices.ContainsFunc(list, func(ways [][]postern.ScopeID) bool { return !anyWithin(ways, held) }) {
			u.unknown += n.Calls
			continue
		}
		for _, ways := range list {
			all = append(all, asks{n, ways})
		}
	}
	candidates := slices.Clone(held)
	for _, a := range all {
		for _, way := range a.ways {
			for _, id := range way {
				if !slices.Contains(candidates, id) && slices.ContainsFunc(held, func(h postern.ScopeID) bool { return w.narrower(w.names[id], w.names[h]) }) {
					candidates = append(candidates, id)
				}
			}
		}
	}
	slices.SortFunc(candidates, func(a, b postern.ScopeID) int { return cmp.Compare(w.names[a], w.names[b]) })
	chosen, exact := w.choose(candidates, held, all)
	if !exact {
		// What a search that gave up would put in the place of what works is not worth the change.
		candidates = held
		chosen, _ = w.choose(candidates, held, all)
	}
	u.exact = exact
	for i, id := range candidates {
		if !chosen[i] {
			continue
		}
		u.target = append(u.target, w.names[id])
		if !slices.Contains(held, id) {
			u.adds = append(u.adds, w.names[id])
		}
	}
	postern.SortScopes(u.target)
	postern.SortScopes(u.adds)
	u.scopes = w.attribute(granted, u.target, all)
	return u
}

// asked gives the ways of what a need is of, one list for each thing that must be permitted.
func (w *World) asked(n *Need) [][][]postern.ScopeID {
	if n.Name != "" {
		return w.ways(n.Op)
	}
	var way []postern.ScopeID
	for _, s := range n.Asked {
		if w.info[s].Implicit {
			continue
		}
		way = append(way, w.ids[s])
	}
	slices.Sort(way)
	return [][][]postern.ScopeID{{slices.Compact(way)}}
}

func anyWithin(ways [][]postern.ScopeID, held []postern.ScopeID) bool {
	return slices.ContainsFunc(ways, func(way []postern.ScopeID) bool { return allIn(way, held) })
}

func allIn(way, held []postern.ScopeID) bool {
	return !slices.ContainsFunc(way, func(id postern.ScopeID) bool { return !slices.Contains(held, id) })
}

func (w *World) choose(candidates, held []postern.ScopeID, all []asks) (chosen []bool, exact bool) {
	p := &problem{}
	at := map[postern.ScopeID]int{}
	for i, id := range candidates {
		at[id] = i
		p.cost = append(p.cost, w.weigh(w.names[id], slices.Contains(held, id)))
	}
	for _, a := range all {
		var ways [][]int
		for _, way := range a.ways {
			if !allIn(way, candidates) {
				continue
			}
			nums := make([]int, len(way))
			for i, id := range way {
				nums[i] = at[id]
			}
			slices.Sort(nums)
			ways = append(ways, nums)
		}
		p.ops = append(p.ops, ways)
	}
	return p.cover(coverBudget)
}

// attribute says of each granted scope when its calls were. A scope that a
// narrower one stands in for has the calls that it alone lets through today.
func (w *World) attribute(granted, target []postern.Scope, all []asks) []ScopeUse {
	within := w.held(target)
	held := w.held(granted)
	needed := map[postern.ScopeID]*ScopeUse{}
	days := map[postern.ScopeID][]time.Time{}
	note := func(id postern.ScopeID, n *Need) {
		s := needed[id]
		if s == nil {
			s = &ScopeUse{}
			needed[id] = s
		}
		if s.First.IsZero() || n.First.Before(s.First) {
			s.First = n.First
		}
		switch n.Last.Compare(s.Last) {
		case 1:
			s.Last, s.latest = n.Last, []Op{n.Op}
		case 0:
			s.latest = append(s.latest, n.Op)
		}
		s.Calls += n.Calls
		s.Ops++
		days[id] = append(append(days[id], n.Days...), n.First, n.Last)
	}
	for _, a := range all {
		way := w.cheapest(a.ways, within)
		if !allIn(way, held) {
			// It goes a way that isn't granted yet; today it goes the cheapest that is.
			for _, id := range way {
				if slices.Contains(held, id) {
					note(id, a.need)
				}
			}
			for _, id := range w.cheapest(a.ways, held) {
				if !slices.Contains(within, id) {
					note(id, a.need)
					needed[id].State = Replace
				}
			}
			continue
		}
		for _, id := range way {
			note(id, a.need)
		}
	}
	out := make([]ScopeUse, 0, len(granted))
	for _, name := range granted {
		s := ScopeUse{}
		if got := needed[w.ids[name]]; got != nil {
			s = *got
			s.Monthly = monthly(days[w.ids[name]])
		}
		s.Scope = name
		out = append(out, s)
	}
	return out
}

// cheapest is the way within held that costs least.
func (w *World) cheapest(ways [][]postern.ScopeID, held []postern.ScopeID) (best []postern.ScopeID) {
	least := int64(-1)
	for _, way := range ways {
		if !allIn(way, held) {
			continue
		}
		cost := int64(0)
		for _, id := range way {
			cost += w.weigh(w.names[id], true)
		}
		if least < 0 || cost < least {
			best, least = way, cost
		}
	}
	return best
}

// monthly reports whether what was called on some days is called about monthly:
// on one occasion, or on several that are weeks apart.
func monthly(days []time.Time) bool {
	slices.SortFunc(days, time.Time.Compare)
	for i := 1; i < len(days); i++ {
		gap := days[i].Sub(days[i-1])
		if gap > sameBurst*day && gap < monthlyGap*day {
			return false
		}
	}
	// A burst that goes on for weeks is no occasion.
	for i, start := 1, 0; i < len(days); i++ {
		if days[i].Sub(days[i-1]) > sameBurst*day {
			start = i
		}
		if days[i].Sub(days[start]) > 2*sameBurst*day {
			return false
		}
	}
	return true
}
