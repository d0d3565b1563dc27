package crm

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// dateVersion is how the newest spelling of the API names a version: "2026-03".
var dateVersion = regexp.MustCompile(`^\d{4}-\d{2}(-beta)?$`)

// route is one operation: what it answers to, what it takes, and what it is called
// in the OpenAPI document, which is made from these.
type route struct {
	method, path string // the path with its parameters in braces
	op, summary  string
	tag          string
	need         need
	query        []string // the query parameters that it reads
	in, out      string   // the schemas of the request's and of the answer's body
	status       int
	multi        bool // may answer 207
	serve        func(*call) (int, any, error)
}

// router finds the route of a path. A fixed segment wins over a parameter, from the left.
type router struct {
	root *node
}

type node struct {
	fixed  map[string]*node
	params map[string]*node // by the parameter's name
	routes map[string]*route
}

func newRouter(list []route) *router {
	r := &router{root: &node{}}
	for i := range list {
		n := r.root
		for seg := range strings.SplitSeq(strings.TrimPrefix(list[i].path, "/"), "/") {
			n = n.child(seg)
		}
		if n.routes == nil {
			n.routes = map[string]*route{}
		}
		if _, ok := n.routes[list[i].method]; ok {
			panic("crm: two routes for " + list[i].method + " " + list[i].path)
		}
		n.routes[list[i].method] = &list[i]
	}
	return r
}

func (n *node) child(seg string) *node {
	name, isParam := strings.CutPrefix(strings.TrimSuffix(seg, "}"), "{")
	m := &n.fixed
	if isParam {
		m = &n.params
	}
	if *m == nil {
		*m = map[string]*node{}
	}
	if (*m)[name] == nil {
		(*m)[name] = &node{}
	}
	return (*m)[name]
}

// find gives the routes of a path by their methods, and what its parameters are.
// The path is still escaped: a segment may hold an escaped slash.
func (r *router) find(escaped string) (map[string]*route, map[string]string) {
	var segs []string
	for seg := range strings.SplitSeq(strings.Trim(escaped, "/"), "/") {
		s, err := url.PathUnescape(seg)
		if err != nil || strings.ContainsRune(s, 0) {
			return nil, nil
		}
		segs = append(segs, strings.ToValidUTF8(s, "\uFFFD"))
	}
	params := map[string]string{}
	if n := r.root.match(segs, params); n != nil {
		return n.routes, params
	}
	return nil, nil
}

func (n *node) match(segs []string, params map[string]string) *node {
	if len(segs) == 0 {
		if n.routes == nil {
			return nil
		}
		return n
	}
	if next, ok := n.fixed[segs[0]]; ok {
		if found := next.match(segs[1:], params); found != nil {
			return found
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.params)) {
		if name == "apiVersion" && !dateVersion.MatchString(segs[0]) || segs[0] == "" {
			continue
		}
		if found := n.params[name].match(segs[1:], params); found != nil {
			params[name] = segs[0]
			return found
		}
	}
	return nil
}
