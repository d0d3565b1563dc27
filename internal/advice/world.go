package advice

import (
	"maps"
	"math/bits"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// kind is the kind of credential that advice is about.
const kind = postern.KindServiceKey

// Op names an operation as activity does.
type Op struct {
	Upstream postern.UpstreamID
	Name     string
}

// World is what catalogs ask of a call, ready to be decided by. It is immutable.
type World struct {
	ids       map[postern.Scope]postern.ScopeID
	names     []postern.Scope // by number; 0 is none
	info      map[postern.Scope]postern.ScopeInfo
	upstreams map[postern.UpstreamID]*catalog.Matcher
	ops       map[Op][]*postern.Need // several where operations share a name
	opens     []set                  // by scope: the operations that it opens, alone or with others
}

// set is a set of small numbers.
type set []uint64

func (s *set) add(i int) {
	for i/64 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[i/64] |= 1 << (i % 64)
}

func (s set) len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) within(other set) bool {
	for i, w := range s {
		if i >= len(other) {
			if w != 0 {
				return false
			}
		} else if w&^other[i] != 0 {
			return false
		}
	}
	return true
}

// NewWorld makes a World of the catalogs in force.
func NewWorld(cats []*catalog.Catalog) (*World, error) {
	w := &World{ids: map[postern.Scope]postern.ScopeID{}, names: make([]postern.Scope, 1), opens: make([]set, 1),
		info: map[postern.Scope]postern.ScopeInfo{}, upstreams: map[postern.UpstreamID]*catalog.Matcher{}, ops: map[Op][]*postern.Need{}}
	for _, c := range cats {
		m, err := catalog.Compile(c, w.id)
		if err != nil {
			return nil, err
		}
		w.upstreams[c.Upstream] = m
		for i := range c.Scopes {
			w.learn(c.Scopes[i])
		}
	}
	n := 0
	for _, c := range cats {
		ops := w.upstreams[c.Upstream].Ops()
		for i := range ops {
			op := &ops[i]
			at := Op{c.Upstream, op.Name}
			w.ops[at] = append(w.ops[at], &op.Need)
			for _, way := range op.Need.Any {
				if !way.Kinds.Has(kind) {
					continue
				}
				for _, s := range way.Scopes {
					w.opens[s].add(n)
				}
			}
			n++
		}
	}
	return w, nil
}

// learn notes what a catalog says of a scope. One name in two catalogs is one
// scope, and the stricter marks hold.
func (w *World) learn(s postern.ScopeInfo) {
	if old, ok := w.info[s.Name]; ok {
		s.Sensitive, s.Implicit = s.Sensitive || old.Sensitive, s.Implicit && old.Implicit
		if old.Access == postern.AccessWrite {
			s.Access = old.Access
		}
	}
	w.info[s.Name] = s
}

func (w *World) id(s postern.Scope) postern.ScopeID {
	if id, ok := w.ids[s]; ok {
		return id
	}
	if len(w.names) > int(^postern.ScopeID(0)) {
		return 0 // beyond what any index holds; nobody is ever given it
	}
	id := postern.ScopeID(len(w.names))
	w.ids[s] = id
	w.names, w.opens = append(w.names, s), append(w.opens, nil)
	return id
}

// with is a world that has numbers for some more scopes, which no catalog knows.
func (w *World) with(list []postern.Scope) *World {
	if !slices.ContainsFunc(list, func(s postern.Scope) bool { return w.ids[s] == 0 }) {
		return w
	}
	more := *w
	more.ids, more.names, more.opens = maps.Clone(w.ids), slices.Clip(w.names), slices.Clip(w.opens)
	for _, s := range list {
		more.id(s)
	}
	return &more
}

// held gives the numbers of scopes that the world knows, sorted. Others permit nothing.
func (w *World) held(list []postern.Scope) []postern.ScopeID {
	out := make([]postern.ScopeID, 0, len(list))
	for _, s := range list {
		if id, ok := w.ids[s]; ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (w *World) scopes(ids []postern.ScopeID) (out []postern.Scope) {
	for _, id := range ids {
		out = append(out, w.names[id])
	}
	return postern.SortScopes(out)
}

// writes reports whether a scope can change something. What no catalog declares may.
func (w *World) writes(s postern.Scope) bool {
	i, ok := w.info[s]
	return !ok || i.Access == postern.AccessWrite
}

func (w *World) sensitive(s postern.Scope) bool {
	i, ok := w.info[s]
	return !ok || i.Sensitive
}

// opensOf is how many operations a scope opens, alone or with others.
func (w *World) opensOf(s postern.Scope) set { return w.opens[w.ids[s]] }

// narrower reports whether one scope does less than another: it opens some of
// what the other opens, and is neither a write scope nor sensitive where that isn't.
func (w *World) narrower(a, b postern.Scope) bool {
	i, ok := w.info[a]
	if !ok || i.Implicit || w.writes(a) && !w.writes(b) || w.sensitive(a) && !w.sensitive(b) {
		return false
	}
	x, y := w.opensOf(a), w.opensOf(b)
	return x.len() > 0 && x.within(y) && x.len() < y.len()
}

// ways gives the ways of an operation for a service key: none where nobody can
// go one today, and an empty one where it needs nothing.
func (w *World) ways(at Op) (out [][][]postern.ScopeID) {
	for _, need := range w.ops[at] {
		var ways [][]postern.ScopeID
		if need.Public {
			ways = append(ways, nil)
		}
		for i := range need.Any {
			if need.Any[i].Kinds.Has(kind) {
				ways = append(ways, need.Any[i].Scopes)
			}
		}
		out = append(out, ways)
	}
	return out
}
