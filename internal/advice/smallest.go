package advice

import (
	"cmp"
	"slices"

	"postern.dev/postern"
)

// Smallest gives the scopes with which a service key could do all of some
// operations: of all such sets the one that writes least, then is least sensitive,
// then opens the fewest operations. Operations that no scope opens are left out.
func (w *World) Smallest(ops []Op) []postern.Scope {
	var all []asks
	var candidates []postern.ScopeID
	for _, op := range ops {
		for _, ways := range w.ways(op) {
			all = append(all, asks{ways: ways})
			for _, way := range ways {
				candidates = append(candidates, way...)
			}
		}
	}
	slices.SortFunc(candidates, func(a, b postern.ScopeID) int { return cmp.Compare(w.names[a], w.names[b]) })
	candidates = slices.Compact(candidates)
	chosen, _ := w.choose(candidates, nil, all)
	var out []postern.Scope
	for i, id := range candidates {
		if chosen[i] {
			out = append(out, w.names[id])
		}
	}
	return postern.SortScopes(out)
}
