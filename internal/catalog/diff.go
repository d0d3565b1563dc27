package catalog

import (
	"maps"
	"slices"
	"strings"

	"postern.dev/postern"
)

// Diff is what changes when one catalog takes the place of another.
type Diff struct {
	Operations []OperationChange // by path and method; only those that differ
	Scopes     []ScopeChange     // by name; only those that differ

	before, after map[postern.Scope]bool // the implicit scopes
}

// OperationChange is an operation that is new, gone, or different. Operations
// are the same if their method and template are, whatever parameters are called.
type OperationChange struct {
	Before, After *Operation // nil: new, or gone
	// Opens are the scopes that permit the operation now, each alone or with
	// others, in a way that was not there before. A scope that stands in the
	// catalog before is one that keys hold already.
	Opens []postern.Scope
	// Closes are the scopes of the ways that are no longer there.
	Closes []postern.Scope
	// BecomesPublic says that no credential is needed any more.
	BecomesPublic bool
}

// ScopeChange is a scope that is new, gone, or described differently.
type ScopeChange struct {
	Before, After *postern.ScopeInfo // nil: new, or gone
}

// Op is the operation as it is now, or as it was if it is gone.
func (c *OperationChange) Op() *Operation {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// Compare finds what changes from one catalog to another. Either may be nil: an empty one.
func Compare(before, after *Catalog) *Diff {
	if before == nil {
		before = &Catalog{}
	}
	if after == nil {
		after = &Catalog{}
	}
	d := &Diff{before: before.implicit(), after: after.implicit()}
	was, is := before.routes(), after.routes()
	for _, key := range slices.Sorted(maps.Keys(union(was, is))) {
		if c, differs := d.operation(was[key], is[key]); differs {
			d.Operations = append(d.Operations, c)
		}
	}
	slices.SortStableFunc(d.Operations, func(a, b OperationChange) int { return compareOperations(*a.Op(), *b.Op()) })
	wasScope, isScope := before.scopeMap(), after.scopeMap()
	for _, name := range slices.Sorted(maps.Keys(union(wasScope, isScope))) {
		a, b := wasScope[name], isScope[name]
		if a == nil || b == nil || a.Group != b.Group || a.Access != b.Access || a.Sensitive != b.Sensitive || a.Implicit != b.Implicit || a.Words != b.Words {
			d.Scopes = append(d.Scopes, ScopeChange{a, b})
		}
	}
	return d
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func (c *Catalog) routes() map[string]*Operation {
	out := make(map[string]*Operation, len(c.Operations))
	for i := range c.Operations {
		op := &c.Operations[i]
		out[routeKey(op.Method, op.Path)+" "+op.Form.Kind] = op
	}
	return out
}

func (c *Catalog) scopeMap() map[postern.Scope]*postern.ScopeInfo {
	out := make(map[postern.Scope]*postern.ScopeInfo, len(c.Scopes))
	for i := range c.Scopes {
		out[c.Scopes[i].Name] = &c.Scopes[i]
	}
	return out
}

func (d *Diff) operation(before, after *Operation) (OperationChange, bool) {
	c := OperationChange{Before: before, After: after}
	var was, is []Way
	if before != nil {
		was = before.ways(d.before)
	}
	if after != nil {
		is = after.ways(d.after)
		c.BecomesPublic = after.Public && (before == nil || !before.Public)
	}
	c.Opens, c.Closes = beyond(is, was), beyond(was, is)
	differs := before == nil || after == nil || before.state() != after.state() || before.Name != after.Name ||
		!covers(is, was) || !covers(was, is)
	return c, differs
}

// beyond lists the scopes of those ways of a that b does not have.
func beyond(a, b []Way) (out []postern.Scope) {
	for _, w := range a {
		if w.Kinds != 0 && !covers(b, []Way{w}) {
			out = append(out, w.Scopes...)
		}
	}
	return postern.SortScopes(out)
}

// covers reports whether each way of b can be gone by a way of a: one that asks
// for no more and admits the same kinds.
func covers(a, b []Way) bool {
	for _, w := range b {
		left := w.Kinds
		for _, v := range a {
			if !slices.ContainsFunc(v.Scopes, func(s postern.Scope) bool { return !slices.Contains(w.Scopes, s) }) {
				left &^= v.Kinds
			}
		}
		if left != 0 {
			return false
		}
	}
	return true
}

// Holder is what a key may do: its kind and the scopes that it holds.
type Holder struct {
	Kind   postern.Kind
	Scopes []postern.Scope
	All    bool // a legacy API key, which holds every scope
}

// Effect is how a change of catalogs touches a key: the operations that it may
// call after and not before, and the other way round. What becomes public or comes
// as public is open to everyone: no key gains it. A public operation that goes is
// no key's loss either, but one that comes to need what a key lacks is.
type Effect struct {
	Gains, Loses []*Operation
}

// Touched reports whether the key gains or loses anything.
func (e Effect) Touched() bool { return len(e.Gains)+len(e.Loses) > 0 }

// Effect finds how the change touches a key.
func (d *Diff) Effect(h Holder) (e Effect) {
	for i := range d.Operations {
		c := &d.Operations[i]
		could, can := permits(c.Before, d.before, h), permits(c.After, d.after, h)
		switch {
		case can && !could && !c.After.Public:
			e.Gains = append(e.Gains, c.After)
		case could && !can && (c.After != nil || !c.Before.Public):
			e.Loses = append(e.Loses, c.Before)
		}
	}
	return e
}

func permits(op *Operation, implicit map[postern.Scope]bool, h Holder) bool {
	if op == nil {
		return false
	}
	if op.Public {
		return true
	}
	return slices.ContainsFunc(op.ways(implicit), func(w Way) bool {
		return w.Kinds.Has(h.Kind) && (h.All || !slices.ContainsFunc(w.Scopes, func(s postern.Scope) bool { return !slices.Contains(h.Scopes, s) }))
	})
}

// String is the change in one line: "new GET /deals (listDeals)".
func (c *OperationChange) String() string {
	var parts []string
	switch {
	case c.Before == nil:
		parts = append(parts, "new "+c.After.label())
	case c.After == nil:
		parts = append(parts, "gone "+c.Before.label())
	default:
		parts = append(parts, "changed "+c.After.label())
	}
	if len(c.Opens) > 0 {
		parts = append(parts, "opened by "+scopeText(c.Opens))
	}
	if len(c.Closes) > 0 {
		parts = append(parts, "no longer by "+scopeText(c.Closes))
	}
	if c.BecomesPublic {
		parts = append(parts, "public")
	}
	return strings.Join(parts, ", ")
}

func scopeText(s []postern.Scope) string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = string(s[i])
	}
	return strings.Join(names, ", ")
}
