// Package catalogtest makes catalogs for tests and benchmarks. They are the same
// in every run.
package catalogtest

import (
	"fmt"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// Upstream is the upstream of the catalogs made here.
const Upstream postern.UpstreamID = "big"

// Big makes a catalog of as many operations as asked for, shaped like a large
// vendor's: services with versions, collections, items, fixed words beside
// parameters, actions ("{id}:archive"), file extensions and parts of parts. One
// operation in 50 is public and one in 51 uncovered; the others need one of two
// scopes, or both of a pair.
func Big(ops int) *catalog.Catalog {
	c := &catalog.Catalog{Upstream: Upstream, Title: "A large API", Version: "1",
		Documents: []catalog.Document{{Name: "big.yaml", SHA256: fmt.Sprintf("%064x", ops)}}}
	infos := make(map[postern.Scope]*postern.ScopeInfo)
	for n := 0; len(c.Operations) < ops; n++ {
		noun := fmt.Sprintf("things%d", n)
		base := fmt.Sprintf("/svc%d/v%d/%s", n%40, 1+n%3, noun)
		read := postern.Scope(fmt.Sprintf("svc%d.%s.read", n%40, noun))
		write := postern.Scope(fmt.Sprintf("svc%d.%s.write", n%40, noun))
		for _, s := range []postern.Scope{read, write} {
			infos[s] = &postern.ScopeInfo{Name: s, Upstream: Upstream, Group: noun, Access: postern.AccessRead, Words: "Use " + noun}
		}
		infos[write].Access = postern.AccessWrite
		for _, r := range routes {
			if len(c.Operations) == ops {
				break
			}
			c.Operations = append(c.Operations, operation(len(c.Operations), r, base, noun, read, write))
		}
	}
	slices.SortFunc(c.Operations, func(a, b catalog.Operation) int {
		if a.Path != b.Path {
			if a.Path < b.Path {
				return -1
			}
			return 1
		}
		if a.Method < b.Method {
			return -1
		}
		return 1
	})
	for i := range c.Operations {
		for _, w := range c.Operations[i].Ways {
			for _, s := range w.Scopes {
				infos[s].Opens = append(infos[s].Opens, c.Operations[i].Name)
			}
		}
	}
	for _, info := range infos {
		slices.Sort(info.Opens)
		info.Opens = slices.Compact(info.Opens)
		c.Scopes = append(c.Scopes, *info)
	}
	slices.SortFunc(c.Scopes, func(a, b postern.ScopeInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return c
}

type route struct{ method, path, verb string }

var routes = []route{
	{"GET", "", "list"}, {"POST", "", "create"},
	{"GET", "/{id}", "read"}, {"PATCH", "/{id}", "update"}, {"DELETE", "/{id}", "archive"},
	{"GET", "/settings", "readSettings"}, {"PUT", "/settings", "writeSettings"},
	{"POST", "/batch/read", "batchRead"}, {"POST", "/batch/create", "batchCreate"}, {"POST", "/search", "search"},
	{"GET", "/{id}/notes", "listNotes"}, {"POST", "/{id}/notes", "addNote"},
	{"GET", "/{id}/notes/{noteId}", "readNote"}, {"DELETE", "/{id}/notes/{noteId}", "removeNote"},
	{"GET", "/{id}/associations/{kind}", "associations"},
	{"PUT", "/{id}/associations/{kind}/{to}", "associate"},
	{"GET", "/{id}.json", "export"}, {"POST", "/{id}:restore", "restore"},
	{"GET", "/by-owner/{owner}", "byOwner"}, {"GET", "/by-owner/{owner}/count", "countByOwner"},
}

func operation(n int, r route, base, noun string, read, write postern.Scope) catalog.Operation {
	op := catalog.Operation{File: "big.yaml", Line: 1 + n, Operation: postern.Operation{Upstream: Upstream,
		Name: r.verb + "_" + noun, Method: r.method, Path: base + r.path, Summary: r.verb + " " + noun}}
	switch {
	case n%50 == 49:
		op.Public = true
	case n%51 == 50:
		op.Uncovered = true
	case r.verb == "associate":
		op.Ways = []catalog.Way{{Scopes: []postern.Scope{read, write}, Kinds: postern.DataKinds}}
	case r.method == "GET" || r.verb == "search" || r.verb == "batchRead":
		op.Ways = []catalog.Way{{Scopes: []postern.Scope{read}, Kinds: postern.DataKinds}, {Scopes: []postern.Scope{write}, Kinds: postern.DataKinds}}
	default:
		op.Ways = []catalog.Way{{Scopes: []postern.Scope{write}, Kinds: postern.DataKinds}}
	}
	return op
}
