package catalog

import (
	"slices"
	"strings"

	"postern.dev/postern"
)

// A trieNode is a place between two segments. Every node is reached by one
// path only, so a search, however much it has to go back, visits no node twice.
type trieNode struct {
	fixed map[string]*trieNode
	mixed []mixedEdge // the most particular first
	param *trieNode
	end   [2]*route // without and with a slash at the end
}

type mixedEdge struct {
	segment
	to *trieNode
}

// A route is what all operations of one template share.
type route struct {
	ops       [len(methods)]*Op
	allow     []string
	preflight *Op
}

// methods are those that an OpenAPI path item may have.
var methods = [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"}

const (
	methodGet     = 0
	methodHead    = 5
	methodOptions = 6
)

func methodIndex(m string) int {
	for i := range methods {
		if methods[i] == m {
			return i
		}
	}
	return -1
}

func (r *route) op(method string) *Op {
	i := methodIndex(method)
	if i < 0 {
		return nil
	}
	if i == methodHead && r.ops[i] == nil {
		i = methodGet
	}
	return r.ops[i]
}

func (n *trieNode) insert(segs []segment) *trieNode {
	for _, s := range segs {
		n = n.child(s)
	}
	return n
}

func (n *trieNode) child(s segment) *trieNode {
	switch s.class {
	case classFixed:
		if n.fixed == nil {
			n.fixed = make(map[string]*trieNode)
		}
		if n.fixed[s.parts[0]] == nil {
			n.fixed[s.parts[0]] = new(trieNode)
		}
		return n.fixed[s.parts[0]]
	case classMixed:
		i, ok := slices.BinarySearchFunc(n.mixed, s, func(e mixedEdge, s segment) int { return compareMixed(e.segment, s) })
		if !ok {
			n.mixed = slices.Insert(n.mixed, i, mixedEdge{s, new(trieNode)})
		}
		return n.mixed[i].to
	}
	if n.param == nil {
		n.param = new(trieNode)
	}
	return n.param
}

func (n *trieNode) at(slash bool) *route {
	i := 0
	if slash {
		i = 1
	}
	if n.end[i] == nil {
		n.end[i] = new(route)
	}
	return n.end[i]
}

// find takes what is left of a path, without the slashes at its ends.
func (n *trieNode) find(path string, slash bool) *route {
	if path == "" {
		return n.terminal(slash)
	}
	seg, rest := path, ""
	if i := strings.IndexByte(path, '/'); i >= 0 {
		seg, rest = path[:i], path[i+1:]
		if rest == "" {
			return nil // an empty segment: not canonical
		}
	}
	if seg == "" {
		return nil
	}
	if to := n.fixed[seg]; to != nil {
		if r := to.find(rest, slash); r != nil {
			return r
		}
	}
	for i := range n.mixed {
		if n.mixed[i].matches(seg) {
			if r := n.mixed[i].to.find(rest, slash); r != nil {
				return r
			}
		}
	}
	if n.param != nil {
		return n.param.find(rest, slash)
	}
	return nil
}

func (n *trieNode) terminal(slash bool) *route {
	same, other := n.end[0], n.end[1]
	if slash {
		same, other = other, same
	}
	if same != nil {
		return same
	}
	return other
}

// finish fills in what a route answers besides its operations.
func (n *trieNode) finish(preflight bool) {
	for _, to := range n.fixed {
		to.finish(preflight)
	}
	for _, e := range n.mixed {
		e.to.finish(preflight)
	}
	if n.param != nil {
		n.param.finish(preflight)
	}
	for _, r := range n.end {
		if r != nil {
			r.finish(preflight)
		}
	}
}

func (r *route) finish(preflight bool) {
	for i, op := range r.ops {
		if op == nil {
			continue
		}
		r.allow = append(r.allow, methods[i])
		if preflight && r.preflight == nil && r.ops[methodOptions] == nil {
			r.preflight = &Op{Need: postern.Need{Public: true}, Operation: postern.Operation{
				Upstream: op.Upstream, Name: "OPTIONS " + op.Path, Method: "OPTIONS", Path: op.Path, Summary: "CORS preflight"}}
		}
	}
	if r.ops[methodGet] != nil && r.ops[methodHead] == nil {
		r.allow = append(r.allow, methods[methodHead])
	}
	if r.preflight != nil {
		r.allow = append(r.allow, methods[methodOptions])
	}
	slices.Sort(r.allow)
}
