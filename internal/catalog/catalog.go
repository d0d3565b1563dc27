package catalog

import (
	"slices"
	"strings"

	"postern.dev/postern"
)

// Catalog is what one upstream's documents say: its operations, and the scopes
// that open them.
type Catalog struct {
	Upstream   postern.UpstreamID
	Title      string // of the first document
	Version    string // of the first document's API
	Documents  []Document
	Operations []Operation         // sorted by path, then method
	Scopes     []postern.ScopeInfo // sorted by name: all that are declared or used
}

// Document is a file that a catalog was made from.
type Document struct {
	Name    string
	SHA256  string // in hexadecimal
	Overlay bool   // the operator's overlay, and no OpenAPI document
}

// Operation is an operation and what it asks of a credential. At most one of
// Public, Uncovered and Denied is set; only where none is do Ways count.
type Operation struct {
	postern.Operation
	Ways      []Way // any one of these permits
	Public    bool  // needs no credential
	Uncovered bool  // names no scope: denied, until the document or the overlay does
	Denied    bool  // closed by the overlay
	Form      Form  // what tells it apart from another of the same method and template
	File      string
	Line      int
}

// Way is one way to be permitted: a credential of one of the kinds that holds
// all of the scopes. A way without kinds can't be gone by any credential.
type Way struct {
	Scopes []postern.Scope // sorted, implicit ones included; never empty
	Kinds  postern.Kinds
}

// Satisfiable reports whether some credential could be permitted to do op.
func (op *Operation) Satisfiable() bool {
	return op.Public || slices.ContainsFunc(op.Ways, func(w Way) bool { return w.Kinds != 0 })
}

// Scope finds what the catalog knows of a scope.
func (c *Catalog) Scope(name postern.Scope) (*postern.ScopeInfo, bool) {
	i, ok := slices.BinarySearchFunc(c.Scopes, name, func(s postern.ScopeInfo, n postern.Scope) int {
		return strings.Compare(string(s.Name), string(n))
	})
	if !ok {
		return nil, false
	}
	return &c.Scopes[i], true
}

// implicit is the set of the scopes that every credential of an admitted kind has.
func (c *Catalog) implicit() map[postern.Scope]bool {
	out := make(map[postern.Scope]bool)
	for _, s := range c.Scopes {
		if s.Implicit {
			out[s.Name] = true
		}
	}
	return out
}

// ways are the ways of an operation as they are decided by: implicit scopes left
// out, ways that nobody can go dropped unless there are no others, doubles removed.
func (op *Operation) ways(implicit map[postern.Scope]bool) []Way {
	if op.Public || op.Uncovered || op.Denied {
		return nil
	}
	var out, closed []Way
	for _, w := range op.Ways {
		way := Way{Kinds: w.Kinds}
		for _, s := range w.Scopes {
			if !implicit[s] {
				way.Scopes = append(way.Scopes, s)
			}
		}
		switch {
		case w.Kinds == 0:
			closed = append(closed, way)
		case len(w.Scopes) > 0: // a way that never named a scope permits nobody
			out = addWay(out, way)
		}
	}
	if len(out) == 0 {
		return closed
	}
	return out
}

func addWay(ways []Way, w Way) []Way {
	w.Scopes = postern.SortScopes(slices.Clone(w.Scopes))
	for i := range ways {
		if slices.Equal(ways[i].Scopes, w.Scopes) {
			ways[i].Kinds |= w.Kinds
			return ways
		}
	}
	return append(ways, w)
}

func compareOperations(a, b Operation) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	return strings.Compare(a.Method, b.Method)
}
