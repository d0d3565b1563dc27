package workbench_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/accesslog"
	"postern.dev/postern/internal/workbench/company"
)

// catalogs are the ones at hand: the built-in data API, and one that nobody here wrote.
func catalogs(t testing.TB) []*catalog.Catalog {
	t.Helper()
	var out []*catalog.Catalog
	for _, d := range []struct {
		file, upstream string
		any            bool
	}{{"../crm/openapi.yaml", "crm", false}, {"../catalog/testdata/xero/xero_accounting.yaml", "accounting", true}} {
		data, err := os.ReadFile(d.file)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := catalog.Parse(t.Context(), []catalog.Source{{Name: d.file, Data: data}}, catalog.Options{Upstream: postern.UpstreamID(d.upstream), ScopesAny: d.any, BasePath: map[bool]string{true: "/"}[d.any]})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

var companies = flag.Uint64("companies", 1, "how many companies to make up")

var prefixes = []string{"", "/accounting"}

func apis(cats []*catalog.Catalog) []workbench.API {
	return []workbench.API{{Catalog: cats[0]}, {Catalog: cats[1], Prefix: prefixes[1], Strip: true}}
}

var t0 = time.Date(2026, 8, 24, 0, 0, 0, 0, time.UTC)

// read reads the logs of a company: some credentials in each proxy's style.
func read(t testing.TB, c *company.Company, cats []*catalog.Catalog) (*workbench.Inventory, accesslog.Stats) {
	t.Helper()
	col, err := workbench.NewCollector(apis(cats), 2)
	if err != nil {
		t.Fatal(err)
	}
	var all accesslog.Stats
	for i, style := range []company.Style{company.Combined, company.JSON, company.Envoy, company.CSV} {
		var log bytes.Buffer
		err := c.WriteLog(&log, style, func(cred *company.Credential) bool { return styleOf(c, cred) == i })
		if err != nil {
			t.Fatal(err)
		}
		stats, err := accesslog.Scan(t.Context(), &log, accesslog.Options{Workers: 2}, func(w int, call *accesslog.Call) { col.Shard(w).Add(call) })
		if err != nil {
			t.Fatal(err)
		}
		if stats.Bad() != 0 {
			t.Errorf("%s: %d lines could not be read: %v", style, stats.Bad(), stats.Faults)
		}
		all.Calls += stats.Calls
		all.Bytes += stats.Bytes
	}
	return col.Inventory(), all
}

// styleOf is the proxy that a credential's calls go through: the combined log only has those in addresses.
func styleOf(c *company.Company, cred *company.Credential) int {
	n := slices.Index(c.Credentials, cred)
	if cred.InQuery && n%2 == 0 {
		return 0
	}
	return 1 + n%3
}

// A made-up company: every credential is found with its callers, the path is right
// or said to be unclear, and the scopes permit every call that worked.
func TestCompany(t *testing.T) {
	cats := catalogs(t)
	for seed := range *companies {
		c := company.New(seed, cats, prefixes, t0, 90, 1)
		inv, stats := read(t, c, cats)
		if len(inv.Items) != len(c.Credentials) {
			t.Fatalf("seed %d: %d credentials found, want %d", seed, len(inv.Items), len(c.Credentials))
		}
		right, unclear := 0, 0
		for _, cred := range c.Credentials {
			i := find(t, inv, cred)
			callers(t, cred, i)
			want := wantPath(cred)
			switch i.Advice.To {
			case want:
				right++
			case workbench.ToUnclear:
				unclear++
			default:
				t.Errorf("seed %d: %s goes to %s (%v), want %s", seed, cred.Name, i.Advice.To, i.Advice.Reasons, want)
			}
			permits(t, cats, cred, i)
			wantNotes(t, cred, i)
		}
		t.Logf("seed %d: %d calls in %d bytes of log: %d credentials, path right for %d, unclear for %d", seed, stats.Calls, stats.Bytes, len(inv.Items), right, unclear)
		if right < 38 {
			t.Errorf("seed %d: the path is right for %d of 40", seed, right)
		}
		silent(t, c, inv)
	}
}

func find(t *testing.T, inv *workbench.Inventory, cred *company.Credential) *workbench.Item {
	t.Helper()
	fp := workbench.FingerprintOf([]byte(cred.Secret))
	n := slices.IndexFunc(inv.Items, func(i workbench.Item) bool { return i.Fingerprint == fp })
	if n < 0 {
		t.Fatalf("%s isn't in the inventory", cred.Name)
	}
	i := &inv.Items[n]
	want := postern.KindLegacyPrivateApp
	if cred.InQuery {
		want = postern.KindLegacyAPIKey
	}
	if i.Kind != want {
		t.Errorf("%s is a %s, want a %s", cred.Name, i.Kind, want)
	}
	return i
}

func wantPath(cred *company.Credential) workbench.To {
	switch cred.Archetype {
	case company.Webhooks:
		return workbench.ToApp
	case company.Abandoned:
		return workbench.ToRetire
	}
	return workbench.ToServiceKey
}

func callers(t *testing.T, cred *company.Credential, i *workbench.Item) {
	t.Helper()
	var got, want []string
	for _, c := range i.Callers {
		got = append(got, c.IP.String()+" "+c.UserAgent)
	}
	for _, c := range cred.Clients {
		want = append(want, c.IP+" "+c.UserAgent)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s is used by %v, want %v", cred.Name, got, want)
	}
}

func wantNotes(t *testing.T, cred *company.Credential, i *workbench.Item) {
	t.Helper()
	has := func(code string) bool {
		return slices.ContainsFunc(i.Advice.Notes, func(n workbench.Note) bool { return n.Code == code })
	}
	if has("in_address") != cred.InQuery {
		t.Errorf("%s: notes %v, in the address: %t", cred.Name, i.Advice.Notes, cred.InQuery)
	}
	if cred.Archetype == company.Leaked && !has("two_places") || cred.Archetype == company.Shared && !has("shared") {
		t.Errorf("%s: notes %v", cred.Name, i.Advice.Notes)
	}
	if (cred.Archetype == company.NightlySync || cred.Archetype == company.OverScoped) && len(i.Advice.Notes) > 1 {
		t.Errorf("%s: notes %v about a credential of one tool", cred.Name, i.Advice.Notes)
	}
	want := map[company.Archetype]string{company.NightlySync: "daily", company.MonthlyJob: "monthly", company.BIRefresh: "interval", company.OverScoped: "office_hours"}[cred.Archetype]
	if want != "" && i.Rhythm.Kind != want {
		t.Errorf("%s: the rhythm is %+v, want %s", cred.Name, i.Rhythm, want)
	}
}

// permits decides every call that worked with the scopes that were mapped.
func permits(t *testing.T, cats []*catalog.Catalog, cred *company.Credential, i *workbench.Item) {
	t.Helper()
	for _, o := range i.Operations {
		if !o.Known() || o.OK == 0 {
			continue
		}
		ok := o.Public || slices.ContainsFunc(o.Ways, func(way []postern.Scope) bool {
			return !slices.ContainsFunc(way, func(s postern.Scope) bool { return !slices.Contains(i.Scopes, s) && !implicit(cats, s) })
		})
		if !ok {
			t.Errorf("%s: %v doesn't permit %s %s, which needs one of %v", cred.Name, i.Scopes, o.Method, o.Path, o.Ways)
		}
	}
	// And none of them can go.
	for _, s := range i.Scopes {
		needed := slices.ContainsFunc(i.Operations, func(o workbench.OperationUse) bool {
			return o.OK > 0 && len(o.Ways) > 0 && !slices.ContainsFunc(o.Ways, func(way []postern.Scope) bool {
				return !slices.ContainsFunc(way, func(x postern.Scope) bool { return x == s || !slices.Contains(i.Scopes, x) && !implicit(cats, x) })
			})
		})
		if !needed {
			t.Errorf("%s: no call needs %s of %v", cred.Name, s, i.Scopes)
		}
	}
}

func implicit(cats []*catalog.Catalog, s postern.Scope) bool {
	return slices.ContainsFunc(cats, func(c *catalog.Catalog) bool {
		i, ok := c.Scope(s)
		return ok && i.Implicit
	})
}

// silent looks for secrets in whatever an inventory says.
func silent(t *testing.T, c *company.Company, inv *workbench.Inventory) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "inventory.json")
	data, err := json.Marshal(inv)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(data, fmt.Sprintf("%+v", inv)...), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, cred := range c.Credentials {
		for _, form := range []string{cred.Secret, cred.Secret[len(cred.Secret)-20:], base64.StdEncoding.EncodeToString([]byte(cred.Secret)), strings.ToUpper(cred.Secret)} {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("the secret of %s is in the inventory", cred.Name)
			}
		}
	}
}
