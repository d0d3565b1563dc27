package catalog_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// xeroOperations counts the operations of each real document.
var xeroOperations = map[string]int{
	"xero-identity.yaml": 2, "xero-payroll-uk.yaml": 69, "xero-projects.yaml": 16, "xero-webhooks.yaml": 0,
	"xero_accounting.yaml": 235, "xero_assets.yaml": 6, "xero_bankfeeds.yaml": 7, "xero_files.yaml": 18,
}

func xeroSources(t testing.TB) (out []catalog.Source) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(xeroOperations)) {
		data, err := os.ReadFile(filepath.Join("testdata", "xero", name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, catalog.Source{Name: name, Data: data})
	}
	return out
}

func xero(t testing.TB) (*catalog.Catalog, *catalog.Report) {
	t.Helper()
	c, r, err := catalog.Parse(context.Background(), xeroSources(t), catalog.Options{Upstream: "xero", ScopesAny: true})
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
	for _, src := range xeroSources(t) {
		c, r, err := catalog.Parse(context.Background(), []catalog.Source{src}, catalog.Options{Upstream: "xero"})
		if err != nil {
			t.Error(err)
			continue
		}
		if want := xeroOperations[src.Name]; len(c.Operations) != want || r.Operations != want || r.Documents[0].Operations != want {
			t.Errorf("%s has %d operations, want %d", src.Name, len(c.Operations), want)
		}
		if r.Unsafe() {
			t.Errorf("%s is unsafe: %v %v", src.Name, r.Problems, r.Conflicts)
		}
	}
}

func TestXeroTogether(t *testing.T) {
	c, r := xero(t)
	if len(c.Operations) != 353 || r.Operations != 353 || len(c.Documents) != 8 {
		t.Errorf("%d operations of %d documents, want 353 of 8", len(c.Operations), len(c.Documents))
	}
	if r.Unsafe() || len(r.Problems)+len(r.Conflicts)+len(r.Undeclared)+len(r.Unsatisfiable) > 0 {
		t.Errorf("the report is not what it should be: %+v", r)
	}
	// The connections of the identity API name a scheme and no scope.
	if got := texts(r.Uncovered); len(got) != 2 || !strings.Contains(got[0], "GET /Connections") || !strings.Contains(got[1], "DELETE /Connections/{id}") {
		t.Errorf("uncovered: %v", got)
	}
	var unused []postern.Scope
	for _, f := range r.Unused {
		unused = append(unused, f.Scope)
	}
	if want := []postern.Scope{"email", "openid", "profile"}; !slices.Equal(postern.SortScopes(unused), want) {
		t.Errorf("unused: %v, want %v", unused, want)
	}
	// Fourteen pairs of twins, all told apart by a uuid, and a name that two documents have.
	twins, names := 0, 0
	for _, text := range texts(r.Warnings) {
		twins += strings.Count(text, "tells them apart")
		names += strings.Count(text, `operationId "getTrackingCategories"`)
	}
	if twins != 14 || names != 2 || len(r.Warnings) != 16 {
		t.Errorf("%d twins and %d names among %d warnings, want 14, 2 and 16", twins, names, len(r.Warnings))
	}
	s, ok := c.Scope("accounting.settings.read")
	if !ok || s.Access != postern.AccessRead || s.Group != "Settings" || s.Words == "" || !slices.Contains(s.Opens, "getAccounts") || slices.Contains(s.Opens, "getInvoices") {
		t.Errorf("accounting.settings.read = %+v, %v", s, ok)
	}
	if s, _ := c.Scope("accounting.transactions"); s.Access != postern.AccessWrite {
		t.Errorf("accounting.transactions has the access %q, want write: it opens POST", s.Access)
	}
}

func TestXeroMatch(t *testing.T) {
	c, _ := xero(t)
	m, err := catalog.Compile(c, numbers())
	if err != nil {
		t.Fatal(err)
	}
	const uuid = "297c2dc5-cc47-4afd-8ec8-74990b8761e9"
	for _, tt := range []struct{ request, op string }{
		{"GET /api.xro/2.0/Invoices", "getInvoices"},
		{"GET /api.xro/2.0/Reports/TrialBalance", "getReportTrialBalance"},
		{"GET /api.xro/2.0/Reports/trialbalance", "getReportFromId"},
		{"GET /api.xro/2.0/Reports/TrialBalance/", "getReportTrialBalance"}, // a slash leads to no looser one
		{"GET /api.xro/2.0/InvoiceReminders/Settings", "getInvoiceReminders"},
		{"GET /api.xro/2.0/Invoices/" + uuid, "getInvoice"},
		{"GET /api.xro/2.0/Invoices/INV-0001", "getInvoice"},
		{"HEAD /api.xro/2.0/Invoices/INV-0001", "getInvoice"},
		{"POST /api.xro/2.0/Invoices/INV-0001", "updateInvoice"},
		{"DELETE /api.xro/2.0/Invoices/INV-0001", ""},
		{"GET /api.xro/2.0/invoices", ""},
		{"GET /Invoices", ""},
		{"GET /api.xro/2.0/Contacts/" + uuid, "getContact"},
		{"GET /api.xro/2.0/Contacts/ACME-1", "getContactByContactNumber"},
		{"GET /api.xro/2.0/Contacts/" + uuid + "/Attachments/" + uuid, "getContactAttachmentById"},
		{"GET /api.xro/2.0/Contacts/" + uuid + "/Attachments/a.pdf", "getContactAttachmentByFileName"},
		{"GET /api.xro/2.0/Journals/12", "getJournalByNumber"},
		{"GET /api.xro/2.0/Journals/" + uuid, "getJournal"},
		{"GET /files.xro/1.0/Files", "getFiles"},
		{"GET /Connections", "getConnections"},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		op, result := m.Match(method, path)
		switch {
		case tt.op == "" && result != catalog.Found:
		case op == nil || op.Name != tt.op:
			t.Errorf("Match(%s) = %v (%v), want %q", tt.request, op, result, tt.op)
		}
	}
	op, _ := m.Match("GET", "/api.xro/2.0/Accounts")
	if want := []postern.Scope{"accounting.settings", "accounting.settings.read"}; !slices.Equal(op.Scopes, want) || len(op.Need.Any) != 2 {
		t.Errorf("getAccounts needs %v of %v, want one of %v", op.Need, op.Scopes, want)
	}
	if op, _ := m.Match("GET", "/Connections"); op.Need.Public || len(op.Need.Any) != 0 {
		t.Errorf("an uncovered operation needs %+v, want nothing that could be met", op.Need)
	}
}

// Without the vendor's meaning of a requirement, the standard's counts: both scopes are needed.
func TestXeroScopesAll(t *testing.T) {
	c, _, err := catalog.Parse(context.Background(), xeroSources(t), catalog.Options{Upstream: "xero"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := catalog.Compile(c, numbers())
	if err != nil {
		t.Fatal(err)
	}
	if op, _ := m.Match("GET", "/api.xro/2.0/Accounts"); len(op.Need.Any) != 1 || len(op.Need.Any[0].Scopes) != 2 {
		t.Errorf("getAccounts needs %+v, want both scopes", op.Need)
	}
}

func texts(list []catalog.Finding) (out []string) {
	for _, f := range list {
		out = append(out, f.String())
	}
	return out
}

func BenchmarkParse(b *testing.B) {
	sources := xeroSources(b)
	size := 0
	for _, src := range sources {
		size += len(src.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := catalog.Parse(context.Background(), sources, catalog.Options{Upstream: "xero", ScopesAny: true}); err != nil {
			b.Fatal(err)
		}
	}
}
