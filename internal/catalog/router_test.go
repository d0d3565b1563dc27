package catalog_test

import (
	"errors"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

func TestRouter(t *testing.T) {
	r, err := catalog.NewRouter([]catalog.Mount{
		{Upstream: "crm", Prefix: "/crm"},
		{Upstream: "notes", Prefix: "/crm/notes/", StripPrefix: true},
		{Upstream: "billing", Host: "Billing.test.", Prefix: "/"},
		{Upstream: "invoices", Host: "billing.test", Prefix: "/invoices", StripPrefix: true},
		{Upstream: "six", Host: "::1", Prefix: "/six"},
		{Upstream: "east", Host: "east.test", Prefix: "/twice"},
		{Upstream: "west", Host: "west.test", Prefix: "/twice"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, path, upstream, inner string }{
		{"any.test", "/crm", "crm", "/crm"},
		{"any.test", "/crm/", "crm", "/crm/"},
		{"any.test", "/crm/v3", "crm", "/crm/v3"},
		{"any.test", "/crmx", "", ""},
		{"any.test", "/Crm", "", ""},
		{"any.test", "/", "", ""},
		{"any.test", "/crm/notes", "notes", "/"},
		{"any.test", "/crm/notes/", "notes", "/"},
		{"any.test", "/crm/notes/7", "notes", "/7"},
		{"any.test", "/crm/notesx", "crm", "/crm/notesx"},
		{"billing.test", "/x", "billing", "/x"},
		{"BILLING.test:443", "/x", "billing", "/x"},
		{"billing.test.", "/x", "billing", "/x"},
		{"billing.test.:443", "/x", "billing", "/x"},
		{"billing.test", "/invoices/7", "invoices", "/7"},
		{"billing.test", "/crm/v3", "billing", "/crm/v3"}, // its own host comes first
		{"xbilling.test", "/x", "", ""},
		{"[::1]:8081", "/six/a", "six", "/six/a"},
		{"[::1]", "/six/a", "six", "/six/a"},
		{"::1", "/six/a", "six", "/six/a"},
		{"east.test", "/twice/a", "east", "/twice/a"},
		// no host named
		{"", "/crm/v3", "crm", "/crm/v3"},
		{"", "/invoices/7", "invoices", "/7"},
		{"", "/x", "billing", "/x"},
		{"", "/twice/a", "", ""}, // east, west or billing
		{"", "/six/a", "", ""},   // ::1 or billing
	} {
		m, inner, ok := r.Find(tt.host, tt.path)
		got := postern.UpstreamID("")
		if ok {
			got = m.Upstream
		}
		if string(got) != tt.upstream || inner != tt.inner {
			t.Errorf("Find(%q, %q) = %q, %q, want %q, %q", tt.host, tt.path, got, inner, tt.upstream, tt.inner)
		}
	}
	if n := len(r.Mounts()); n != 7 {
		t.Errorf("%d mounts, want 7", n)
	}
}

func TestRouterRefuses(t *testing.T) {
	for name, mounts := range map[string][]catalog.Mount{
		"the same place":             {{Upstream: "a", Prefix: "/a"}, {Upstream: "b", Prefix: "/a/"}},
		"the same host":              {{Upstream: "a", Host: "A.test"}, {Upstream: "b", Host: "a.test."}},
		"the same host with a port":  {{Upstream: "a", Host: "a.test:80"}, {Upstream: "b", Host: "a.test"}},
		"a prefix without a slash":   {{Upstream: "a", Prefix: "a"}},
		"a prefix with dots":         {{Upstream: "a", Prefix: "/a/../b"}},
		"a prefix with two slashes":  {{Upstream: "a", Prefix: "/a//b"}},
		"a prefix with a semicolon":  {{Upstream: "a", Prefix: "/a;b"}},
		"a prefix of slashes":        {{Upstream: "a", Prefix: "//"}},
		"a prefix with a parameter?": {{Upstream: "a", Prefix: "/a\x00"}},
	} {
		if _, err := catalog.NewRouter(mounts); !errors.Is(err, postern.CodeInvalid) && !errors.Is(err, postern.CodeConflict) {
			t.Errorf("%s: %v, want an error", name, err)
		}
	}
	r, err := catalog.NewRouter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.Find("a", "/"); ok {
		t.Error("a router without mounts found one")
	}
}

func BenchmarkRouter(b *testing.B) {
	var mounts []catalog.Mount
	for _, p := range []string{"/crm", "/crm/v3", "/files", "/billing", "/marketing/v3", "/automation", "/cms/v3", "/oauth"} {
		mounts = append(mounts, catalog.Mount{Upstream: postern.UpstreamID(p), Prefix: p}, catalog.Mount{Upstream: postern.UpstreamID(p + "2"), Prefix: p, Host: "api.test"})
	}
	r, err := catalog.NewRouter(mounts)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := r.Find("api.test:8081", "/oauth/v1/token"); !ok {
			b.Fatal("not found")
		}
	}
}
