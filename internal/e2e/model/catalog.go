package model

import (
	"slices"
	"strings"
)

// The kinds of credentials that the model knows.
const (
	ServiceKey  = "service_key"
	PersonalKey = "personal_access_key"
)

// Catalog is what an upstream's document says.
type Catalog struct {
	Upstream   string
	Operations []Operation
	Sensitive  []string // scopes that only holding them by name counts for
	Implicit   []string // scopes that every credential of an admitted kind has
	Declared   []string // scopes that the document names beside its operations
}

// Operation is a method and a path template, and what they ask for.
type Operation struct {
	Name   string
	Method string
	Path   string // its segments are fixed, or a parameter in braces
	Ways   []Way  // any of them permits; none: uncovered, and denied
	Public bool
}

// Way is one way to be permitted: all of the scopes, by a credential of one of the kinds.
type Way struct {
	Scopes []string
	Kinds  []string
}

// known reports whether a scope is in the catalog in force: declared, said
// something about, or used.
func (c *Catalog) known(scope string) bool {
	if slices.Contains(c.Declared, scope) || slices.Contains(c.Sensitive, scope) || slices.Contains(c.Implicit, scope) {
		return true
	}
	for _, op := range c.Operations {
		for _, way := range op.Ways {
			if slices.Contains(way.Scopes, scope) {
				return true
			}
		}
	}
	return false
}

// sensitive reports whether a scope is covered only by its name. What no catalog
// declares is taken for sensitive: doubt is denial.
func (w *World) sensitive(scope string) bool {
	return !w.Catalog.known(scope) || slices.Contains(w.Catalog.Sensitive, scope)
}

// grantable reports whether a scope can be put on a key: it must be known, and
// not one that every key has anyway. Postern's own come with a member's role.
func (w *World) grantable(scope string) bool {
	return w.Catalog.known(scope) && (!slices.Contains(w.Catalog.Implicit, scope) || w.Bug == BugImplicitForAll)
}

// find finds the operation of a method and a path. The path alone picks the
// route, from the left, fixed segments before parameters; then the method picks
// the operation. HEAD follows GET, and a slash at the end changes nothing.
// It gives nil, and whether the path is known.
func (c *Catalog) find(method, path string) (op *Operation, known bool) {
	route := ""
	for i := range c.Operations {
		if t := c.Operations[i].Path; matches(t, path) && (route == "" || better(t, route)) {
			route = t
		}
	}
	if route == "" {
		return nil, false
	}
	for _, m := range []string{method, follows(method)} {
		for i := range c.Operations {
			if c.Operations[i].Path == route && c.Operations[i].Method == m {
				return &c.Operations[i], true
			}
		}
	}
	return nil, true
}

func follows(method string) string {
	if method == "HEAD" {
		return "GET"
	}
	return method
}

func segments(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

func parameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func matches(template, path string) bool {
	t, p := segments(template), segments(path)
	if len(t) != len(p) {
		return false
	}
	for i := range t {
		if !parameter(t[i]) && t[i] != p[i] {
			return false
		}
	}
	return true
}

// better reports whether of two templates for one path a wins over b.
func better(a, b string) bool {
	s, t := segments(a), segments(b)
	for i := range s {
		if parameter(s[i]) != parameter(t[i]) {
			return parameter(t[i])
		}
	}
	return false
}
