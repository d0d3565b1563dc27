package catalog

import (
	"errors"
	"slices"
	"strings"

	"postern.dev/postern"
)

// Result says how a request was matched.
type Result uint8

// The results. The zero Result is NoPath, which denies.
const (
	NoPath   Result = iota // the catalog has no such path
	NoMethod               // it has the path, and not with this method
	Found
)

// String is the result in words.
func (r Result) String() string {
	return [...]string{"no such path", "no such method", "found"}[min(r, Found)]
}

// Op is an operation as requests are decided by it. It is shared: read it only.
type Op struct {
	postern.Operation
	Need   postern.Need
	Scopes []postern.Scope // every scope that some way asks for, sorted; implicit ones are left out

	form Form
	next *Op // the next of its twins
}

// Matcher finds the operation that a method and a path name. It is immutable.
type Matcher struct {
	root      trieNode
	ops       []Op
	preflight bool
}

// MatchOption changes how a catalog is compiled.
type MatchOption func(*Matcher)

// AllowPreflight answers CORS preflights: MatchPreflight then finds a public
// operation for every path that is known with the method asked for. Without it
// an OPTIONS request is denied unless the document has an operation for it.
func AllowPreflight() MatchOption { return func(m *Matcher) { m.preflight = true } }

// Compile makes a Matcher of a catalog. id numbers scopes; it is asked for those
// that a credential must hold, and so never for implicit ones. Operations whose
// templates can't be told apart are refused, all of them named.
func Compile(c *Catalog, id func(postern.Scope) postern.ScopeID, opts ...MatchOption) (*Matcher, error) {
	m := &Matcher{ops: make([]Op, 0, len(c.Operations))}
	for _, opt := range opts {
		opt(m)
	}
	implicit := c.implicit()
	var failures []error
	same := make(map[string][]*Operation, len(c.Operations))
	for i := range c.Operations {
		op := &c.Operations[i]
		t, err := parseTemplate(op.Path)
		if err != nil {
			return nil, postern.Errorf(postern.CodeInvalid, "%s: %v", place(op.File, op.Line), err)
		}
		num := methodIndex(op.Method)
		if num < 0 {
			return nil, postern.Errorf(postern.CodeInvalid, "%s: the method %q of %s is not one of OpenAPI's.", place(op.File, op.Line), op.Method, op.Path)
		}
		key := op.Method + " " + t.shape()
		twins := append(same[key], op)
		if len(twins) > 1 && !tellApart(twins) {
			failures = append(failures, conflict(twins[0], op))
			continue
		}
		same[key] = twins
		m.ops = append(m.ops, compileOp(op, implicit, id))
		slot := &m.root.insert(t.segs).at(t.slash).ops[num]
		if added := &m.ops[len(m.ops)-1]; *slot == nil {
			*slot = added
		} else {
			*slot = (*slot).with(added)
		}
	}
	if len(failures) > 0 {
		return nil, &postern.Error{Code: postern.CodeInvalid, Message: errors.Join(failures...).Error()}
	}
	m.root.finish(m.preflight)
	return m, nil
}

func conflict(a, b *Operation) error {
	return postern.Errorf(postern.CodeInvalid, "%s: %s %s can't be told apart from %s %s at %s.",
		place(b.File, b.Line), b.Method, b.Path, a.Method, a.Path, place(a.File, a.Line))
}

func compileOp(op *Operation, implicit map[postern.Scope]bool, id func(postern.Scope) postern.ScopeID) Op {
	out := Op{Operation: op.Operation, form: op.Form, Need: postern.Need{Public: op.Public}}
	for _, w := range op.ways(implicit) {
		all := postern.AllOf{Kinds: w.Kinds, Scopes: make([]postern.ScopeID, 0, len(w.Scopes))}
		names := make([]string, 0, len(w.Scopes))
		for _, s := range w.Scopes {
			all.Scopes, names = append(all.Scopes, id(s)), append(names, string(s))
		}
		slices.Sort(names)
		all.Names = strings.Join(slices.Compact(names), " ")
		slices.Sort(all.Scopes)
		all.Scopes = slices.Compact(all.Scopes)
		out.Need.Any = append(out.Need.Any, all)
		out.Scopes = append(out.Scopes, w.Scopes...)
	}
	out.Scopes = postern.SortScopes(out.Scopes)
	return out
}

// Match finds the operation of a method and a canonical path. The path alone
// picks the route: fixed segments win over mixed ones and those over parameters,
// from the left. Then the method picks the operation, so that no method reaches
// a looser route than another does. HEAD follows GET where it has no operation
// of its own. A path with a slash at its end is the same route as without,
// unless the catalog has both.
func (m *Matcher) Match(method, path string) (*Op, Result) {
	r := m.route(path)
	if r == nil {
		return nil, NoPath
	}
	if op := r.op(method); op != nil {
		return op.choose(path), Found
	}
	return nil, NoMethod
}

// MatchPreflight finds the operation of a CORS preflight: an OPTIONS request
// with the headers Origin and Access-Control-Request-Method, whose value is
// wanted. An OPTIONS operation of the document comes first; with AllowPreflight
// there is else a public one for every path that has the method wanted.
func (m *Matcher) MatchPreflight(path, wanted string) (*Op, Result) {
	r := m.route(path)
	switch {
	case r == nil:
		return nil, NoPath
	case r.ops[methodOptions] != nil:
		return r.ops[methodOptions].choose(path), Found
	case r.preflight != nil && r.op(wanted) != nil:
		return r.preflight, Found
	}
	return nil, NoMethod
}

// Allow lists the methods that a path has, for the Allow header: sorted, nil
// where the path isn't known. The list is shared: read it only.
func (m *Matcher) Allow(path string) []string {
	if r := m.route(path); r != nil {
		return r.allow
	}
	return nil
}

// Ops are all operations, in the catalog's order. The list is shared: read it only.
func (m *Matcher) Ops() []Op { return m.ops }

func (m *Matcher) route(path string) *route {
	if path == "" || path[0] != '/' {
		return nil
	}
	slash := strings.HasSuffix(path, "/")
	if path = path[1:]; slash && path != "" {
		path = path[:len(path)-1]
		if path == "" {
			return nil // "//"
		}
	}
	return m.root.find(path, slash)
}
