package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/catalog/catalogtest"
)

// routes makes a catalog of "GET /path" lines; each operation is called by its line.
func routes(lines ...string) *catalog.Catalog {
	c := &catalog.Catalog{Documents: []catalog.Document{{Name: "a.yaml"}}}
	for i, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		c.Operations = append(c.Operations, catalog.Operation{File: "a.yaml", Line: i + 1, Public: true,
			Operation: postern.Operation{Name: line, Method: method, Path: path}})
	}
	return c
}

func compile(t testing.TB, c *catalog.Catalog, opts ...catalog.MatchOption) *catalog.Matcher {
	t.Helper()
	m, err := catalog.Compile(c, numbers(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatch(t *testing.T) {
	m := compile(t, routes(
		"GET /", "GET /a", "GET /a/{id}", "DELETE /a/{id}", "GET /a/settings", "POST /a/{id}:archive", "GET /a/{id}.json", "GET /a/{id}.{ext}",
		"GET /a/{id}/b", "GET /a/settings/c", "GET /{any}/settings/d", "GET /s/", "POST /s", "GET /s/{id}/", "GET /Foo({id})",
		"GET /two words/{id}", "GET /esc%7Bx", "GET /{a}:{b}/x", "HEAD /h", "GET /h", "OPTIONS /o", "GET /o", "GET /{a}{b}/pair", "GET /x{a}y{b}z",
	))
	for _, tt := range []struct{ request, want string }{
		{"GET /", "GET /"},
		{"GET /a", "GET /a"},
		{"GET /a/", "GET /a"},
		{"GET /A", ""},
		{"get /a", "no such method"},
		{"GET /a/7", "GET /a/{id}"},
		{"GET /a/7/", "GET /a/{id}"},
		{"DELETE /a/7", "DELETE /a/{id}"},
		{"GET /a/settings", "GET /a/settings"},
		{"GET /a/settings/", "GET /a/settings"},
		{"DELETE /a/settings", "no such method"}, // never the looser one
		{"DELETE /a/settings/", "no such method"},
		{"HEAD /a/settings", "GET /a/settings"},
		{"POST /a/7:archive", "POST /a/{id}:archive"},
		{"DELETE /a/7:archive", "no such method"},
		{"POST /a/:archive", "no such method"}, // a parameter is never empty: this is /a/{id}
		{"GET /a/7.json", "GET /a/{id}.json"},
		{"GET /a/7.xml", "GET /a/{id}.{ext}"},
		{"GET /a/.json", "GET /a/{id}"},
		{"GET /a/settings/b", "GET /a/{id}/b"},
		{"GET /a/settings/c", "GET /a/settings/c"},
		{"GET /a/settings/d", "GET /{any}/settings/d"},
		{"GET /a/x/d", ""},
		{"GET /s/", "GET /s/"},
		{"GET /s", "no such method"},
		{"POST /s/", "no such method"},
		{"GET /s/7", "GET /s/{id}/"},
		{"GET /s/7/", "GET /s/{id}/"},
		{"GET /Foo(7)", "GET /Foo({id})"},
		{"GET /Foo()", ""},
		{"GET /two words/7", "GET /two words/{id}"},
		{"GET /esc{x", "GET /esc%7Bx"},
		{"GET /p:q/x", "GET /{a}:{b}/x"},
		{"GET /pq/pair", "GET /{a}{b}/pair"},
		{"GET /p/pair", ""},
		{"GET /x1y2z", "GET /x{a}y{b}z"},
		{"GET /xyyyz", "GET /x{a}y{b}z"},
		{"GET /xyz", ""},
		{"HEAD /h", "HEAD /h"},
		{"OPTIONS /o", "OPTIONS /o"},
		{"OPTIONS /a", "no such method"},
		{"GET //", ""},
		{"GET //a", ""},
		{"GET /a//", ""},
		{"GET /a//b", ""},
		{"GET a", ""},
		{"GET ", ""},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		op, result := m.Match(method, path)
		got := ""
		switch result {
		case catalog.Found:
			got = op.Name
		case catalog.NoMethod:
			got = "no such method"
		}
		if got != tt.want {
			t.Errorf("Match(%s) = %q, want %q", tt.request, got, tt.want)
		}
	}
	for path, want := range map[string]string{"/a/7": "DELETE GET HEAD", "/a/settings/": "GET HEAD", "/s": "POST", "/o": "GET HEAD OPTIONS", "/zzz": ""} {
		if got := strings.Join(m.Allow(path), " "); got != want {
			t.Errorf("Allow(%s) = %q, want %q", path, got, want)
		}
	}
}

func TestMatchPreflight(t *testing.T) {
	c := routes("GET /a/{id}", "GET /o", "OPTIONS /o")
	c.Operations[2].Public, c.Operations[2].Uncovered = false, true
	for _, tt := range []struct {
		allow        bool
		path, wanted string
		result       catalog.Result
		public       bool
	}{
		{false, "/a/7", "GET", catalog.NoMethod, false},
		{true, "/a/7", "GET", catalog.Found, true},
		{true, "/a/7/", "HEAD", catalog.Found, true},
		{true, "/a/7", "DELETE", catalog.NoMethod, false},
		{true, "/a/7", "", catalog.NoMethod, false},
		{true, "/b", "GET", catalog.NoPath, false},
		{true, "/o", "GET", catalog.Found, false}, // the document's own counts
		{false, "/o", "GET", catalog.Found, false},
	} {
		var opts []catalog.MatchOption
		if tt.allow {
			opts = append(opts, catalog.AllowPreflight())
		}
		op, result := compile(t, c, opts...).MatchPreflight(tt.path, tt.wanted)
		if result != tt.result || result == catalog.Found && (op.Need.Public != tt.public || op.Method != "OPTIONS") {
			t.Errorf("MatchPreflight(%s, %s) with allow %v = %+v, %v", tt.path, tt.wanted, tt.allow, op, result)
		}
	}
	m := compile(t, c, catalog.AllowPreflight())
	if _, result := m.Match("OPTIONS", "/a/7"); result != catalog.NoMethod {
		t.Errorf("an OPTIONS request that is no preflight is %v, want no such method", result)
	}
	if got := strings.Join(m.Allow("/a/7"), " "); got != "GET HEAD OPTIONS" {
		t.Errorf("Allow = %q", got)
	}
}

func TestCompileConflicts(t *testing.T) {
	for _, tt := range [][2]string{
		{"GET /a/{id}", "GET /a/{name}"},
		{"GET /a", "GET /a"},
		{"GET /a/{id}.json", "GET /a/{x}.json"},
		{"GET /{a}:{b}/", "GET /{c}:{d}/"},
		{"GET /a%20b", "GET /a b"},
		{"GET /%61", "GET /a"},
	} {
		_, err := catalog.Compile(routes(tt[:]...), numbers())
		if !errors.Is(err, postern.CodeInvalid) || !strings.Contains(err.Error(), "a.yaml:2: "+tt[1]+" can't be told apart from "+tt[0]+" at a.yaml:1.") {
			t.Errorf("%s and %s: %v, want a conflict that names both", tt[0], tt[1], err)
		}
	}
	for _, tt := range [][2]string{{"GET /a/{id}", "POST /a/{name}"}, {"GET /a", "GET /a/"}, {"GET /{a}.json", "GET /{a}.{b}"}, {"GET /%7Ba%7D", "GET /{a}"}} {
		if _, err := catalog.Compile(routes(tt[:]...), numbers()); err != nil {
			t.Errorf("%s and %s: %v, want no conflict", tt[0], tt[1], err)
		}
	}
	for _, bad := range []string{"GET a", "GET ", "GET /{a", "GET /a//b", "get /a", "FETCH /a", "GET /./a"} {
		if _, err := catalog.Compile(routes(bad), numbers()); !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("%s: %v, want an error", bad, err)
		}
	}
}

// Twins stand beside each other only where they ask for the same, whatever tells them apart.
func TestCompileTwins(t *testing.T) {
	twins := func(change func(a, b *catalog.Operation)) error {
		c := routes("GET /a/{id}", "GET /a/{name}")
		a, b := &c.Operations[0], &c.Operations[1]
		for _, op := range []*catalog.Operation{a, b} {
			op.Public, op.Ways = false, []catalog.Way{{Scopes: []postern.Scope{"x"}, Kinds: postern.DataKinds}}
		}
		a.Form, b.Form = catalog.Form{Segment: 2, Kind: "uuid"}, catalog.Form{Segment: 2}
		change(a, b)
		_, err := catalog.Compile(c, numbers())
		return err
	}
	if err := twins(func(a, b *catalog.Operation) {}); err != nil {
		t.Errorf("twins that ask for the same: %v", err)
	}
	for name, change := range map[string]func(a, b *catalog.Operation){
		"another scope": func(a, b *catalog.Operation) { b.Ways[0].Scopes = []postern.Scope{"y"} },
		"other kinds":   func(a, b *catalog.Operation) { b.Ways[0].Kinds = postern.AllKinds },
		"public":        func(a, b *catalog.Operation) { b.Public, b.Ways = true, nil },
		"denied":        func(a, b *catalog.Operation) { b.Denied, b.Ways = true, nil },
		"same form":     func(a, b *catalog.Operation) { b.Form = a.Form },
		"no form":       func(a, b *catalog.Operation) { a.Form, b.Form = catalog.Form{}, catalog.Form{} },
		"other segment": func(a, b *catalog.Operation) { b.Form.Segment = 1 },
	} {
		if err := twins(change); !errors.Is(err, postern.CodeInvalid) {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
	}
}

func FuzzMatch(f *testing.F) {
	m := compile(f, catalogtest.Big(400))
	xeroCatalog, _ := xero(f)
	mx := compile(f, xeroCatalog)
	for _, s := range []string{"/svc0/v1/things0/7", "/svc0/v1/things0/settings/", "/svc1/v2/things1/7.json", "//", "/", "", "/svc1//", "/api.xro/2.0/Invoices/x", "/\x00", "/a/b/c/d/e/f"} {
		f.Add("GET", s)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		for _, m := range []*catalog.Matcher{m, mx} {
			op, result := m.Match(method, path)
			if (op != nil) != (result == catalog.Found) {
				t.Fatalf("Match(%q, %q) = %v, %v", method, path, op, result)
			}
			if (m.Allow(path) == nil) != (result == catalog.NoPath) {
				t.Fatalf("Match(%q, %q) is %v, and Allow gives %v", method, path, result, m.Allow(path))
			}
			if op == nil {
				continue
			}
			// A slash more or less never reaches another operation, as no template here ends in one.
			other := path + "/"
			if strings.HasSuffix(path, "/") {
				other = strings.TrimSuffix(path, "/")
			}
			if op2, _ := m.Match(method, other); op2 != op && other != "" && !strings.HasSuffix(other, "/") {
				t.Fatalf("%q is %v and %q is %v", path, op.Name, other, op2)
			}
			if strings.Count(strings.Trim(path, "/"), "/") != strings.Count(strings.Trim(op.Path, "/"), "/") {
				t.Fatalf("%q matched %s", path, op.Path)
			}
		}
	})
}

// Every operation of a large catalog is found by a path made from its template.
func TestMatchBig(t *testing.T) {
	c := catalogtest.Big(3800)
	m := compile(t, c)
	if len(m.Ops()) != 3800 {
		t.Fatalf("%d operations, want 3800", len(m.Ops()))
	}
	for i := range c.Operations {
		op := &c.Operations[i]
		path := name.ReplaceAllString(op.Path, "v-7")
		got, result := m.Match(op.Method, path)
		if result != catalog.Found || got.Name != op.Name {
			t.Fatalf("Match(%s %s) = %v, %v, want %s", op.Method, path, got, result, op.Name)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	c := catalogtest.Big(3800)
	m := compile(b, c)
	var paths, verbs []string
	for i := range c.Operations {
		paths = append(paths, name.ReplaceAllString(c.Operations[i].Path, "8812003"))
		verbs = append(verbs, c.Operations[i].Method)
	}
	b.Run("3800", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			n := i * 7919 % len(paths)
			if _, r := m.Match(verbs[n], paths[n]); r != catalog.Found {
				b.Fatal(paths[n])
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, r := m.Match("GET", "/svc1/v2/things1/7/associations/x/y/z"); r != catalog.NoPath {
				b.Fatal(r)
			}
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := catalog.Compile(c, func(postern.Scope) postern.ScopeID { return 1 }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	m := compile(t, catalogtest.Big(3800))
	r, err := catalog.NewRouter([]catalog.Mount{{Upstream: "big", Host: "api.test", Prefix: "/big", StripPrefix: true, Matcher: m}})
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		path, err := catalog.Canonical("/big/svc0/v1/things0/7/notes/8", catalog.PathOptions{})
		if err != nil {
			t.Fatal(err)
		}
		mount, inner, ok := r.Find("API.test:8081", path)
		if !ok {
			t.Fatal("not mounted")
		}
		if op, _ := mount.Matcher.Match("GET", inner); op == nil {
			t.Fatal("not matched")
		}
		if catalog.Escape(path) != path {
			t.Fatal("escaped")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func ExampleMatcher_Match() {
	c := routes("GET /deals/{id}", "GET /deals/settings")
	m, _ := catalog.Compile(c, func(postern.Scope) postern.ScopeID { return 1 })
	op, result := m.Match("GET", "/deals/settings/")
	fmt.Println(op.Path, result)
	// Output: /deals/settings found
}
