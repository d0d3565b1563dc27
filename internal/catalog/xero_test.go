package catalog_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

var xeroFiles = map[string]int{
	"xero-identity.yaml": 2, "xero-payroll-uk.yaml": 69, "xero-projects.yaml": 16, "xero-webhooks.yaml": 0,
	"xero_accounting.yaml": 235, "xero_assets.yaml": 6, "xero_bankfeeds.yaml": 7, "xero_files.yaml": 18,
}

func xero(t testing.TB, names ...string) (*catalog.Catalog, *catalog.Report) {
	t.Helper()
	var sources []catalog.Source
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", "xero", name))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, catalog.Source{Name: name, Data: data})
	}
	c, r, err := catalog.Parse(context.Background(), sources, catalog.Options{Upstream: "xero", ScopesAny: true})
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// numbers gives scopes numbers in the order in which it is asked for them.
func numbers() func(postern.Scope) postern.ScopeID {
	ids := make(map[postern.Scope]postern.ScopeID)
	return func(s postern.Scope) postern.ScopeID {
		if _, ok := ids[s]; !ok {
			ids[s] = postern.ScopeID(len(ids) + 1)
		}
		return ids[s]
	}
}

func TestXeroEach(t *testing.T) {
	for name, want := range xeroFiles {
		c, r := xero(t, name)
		if len(c.Operations) != want || r.Operations != want {
			t.Errorf("%s has %d operations, want %d", name, len(c.Operations), want)
		}
		if r.Unsafe() {
			t.Errorf("%s is unsafe: %v %v", name, r.Problems, r.Conflicts)
		}
		t.Log(name, len(c.Scopes), "scopes", len(r.Uncovered), "uncovered", len(r.Undeclared), "undeclared", len(r.Unused), "unused", len(r.Warnings), "warnings")
		for i, w := range r.Warnings {
			if i < 5 {
				t.Log(w)
			}
		}
		for _, w := range r.Undeclared {
			t.Log(w)
		}
	}
}
