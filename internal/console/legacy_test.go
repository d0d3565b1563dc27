package console

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/workbench"
)

func legacyViews(c func() Common) map[string][]view {
	l := postern.LegacyCredential{ID: "AAAAAAAAAAAAAAAA", Kind: postern.KindLegacyAPIKey, Name: polyglot, Note: polyglot, Shown: polyglot, Strength: postern.StrengthWeak, AllScopes: true,
		Slow: "bcrypt", Import: "imp_1", SunsetAt: t0, ExpiresAt: t0, InAddressAt: t0, DeprecatedAt: t0, RevokedAt: t0, EndedWhy: polyglot, CreatedAt: t0, Rate: postern.WeakRate}
	row := legacyRow{LegacyCredential: &l, Pill: pill{"warn", "Stops in 3 days"}, Used: t0, Weak: true}
	app := row
	app.LegacyCredential = &postern.LegacyCredential{ID: "BBBBBBBBBBBBBBBB", Kind: postern.KindLegacyPrivateApp, Name: "b", Scopes: []postern.Scope{"deals.read"}}
	one := func(l legacyRow) *legacyOneView {
		return &legacyOneView{Common: c(), F: newForm("name", polyglot), L: l, Live: true, Use: activity.Use{LastAt: t0, IP: "203.0.113.7", UserAgent: polyglot}, Callers: []callerRow{{Tool: polyglot, IP: "203.0.113.7", Calls: 3, Last: t0}, {}},
			More: 2, Scopes: []legacyScope{{Name: "deals.read", Held: true, Calls: 2, Last: t0}, {Name: "x"}}, Calls: "/activity", By: polyglot, Places: accepted{Header: "X-Api-Key", Query: []string{"crm"}}}
	}
	all := inventoryViews(c)
	maps.Copy(all, map[string][]view{
		"legacy": {&legacyView{}, &legacyView{Common: c(), Filter: legacyFilter{Tab: "weak", Q: polyglot, Kind: "legacy_api_key", Import: "imp_1"}, Kinds: []option{{Value: "", Label: "Any kind"}}, Rows: []legacyRow{row, app}, All: 2, Live: 1, Next: t0, Secret: true},
			&legacyView{Common: c(), All: 1, Filter: legacyFilter{Q: "x"}}},
		"legacy-one": {&legacyOneView{}, one(row), one(app)},
		"legacy-import": {&importView{}, &importView{Common: c(), F: newForm(), Job: "x", Most: importMost, Name: polyglot, Checked: "sealed", Others: 3, Refused: []keyring.LegacyResult{{Line: 2, Reason: polyglot}},
			Report: &workbench.ImportReport{DryRun: true, Records: 9, Imported: 4, Duplicates: 1, Refused: 4, Weak: 1, APIKeys: 1, Translated: []workbench.Translated{{Name: polyglot, Scopes: []postern.Scope{"a"}, Lines: 2}}}},
			&importView{Common: c(), F: newForm(), Report: &workbench.ImportReport{Imported: 3, Records: 3}, Stopped: polyglot}, &importView{Common: c(), F: newForm(), Report: &workbench.ImportReport{DryRun: true, Imported: 3, Records: 3}}},
		"legacy-names": {&namesView{}, &namesView{Common: c(), F: newForm("name", polyglot), May: true, Rows: []workbench.Standing{{ScopeName: workbench.ScopeName{Name: polyglot, Scopes: []string{polyglot}}},
			{ScopeName: workbench.ScopeName{Name: "hapikey", Builtin: true}, Everything: true}, {ScopeName: workbench.ScopeName{Name: "a"}, Now: []postern.Scope{"b"}}}}},
		"legacy-end":     {&legacyOneView{}, one(row)},
		"legacy-receipt": {&legacyReceiptView{}, &legacyReceiptView{Common: c(), L: row, Heading: "The credential has ended", R: receiptWords{Known: true, Confirmed: []string{polyglot}, Awaited: []awaitedRow{{polyglot, t0}}}}},
	})
	return all
}

// oldTokens brings in credentials.
func (w *world) oldTokens(csv string) []postern.KeyID {
	w.t.Helper()
	r := must(workbench.Import(w.t.Context(), w.kr, w.super, strings.NewReader(csv), workbench.ImportOptions{Format: "csv", All: true}))(w.t)
	if r.Refused > 0 {
		w.t.Fatalf("the import refused: %+v", r.Lines)
	}
	out := make([]postern.KeyID, len(r.Lines))
	for i, l := range r.Lines {
		out[i] = l.ID
	}
	return out
}

const twoOld = "name,note,kind,secret,scopes\nweb-forms,Kim,api_key,7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2,\nold-sync,Lee,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3,deals.read contacts.read\n"

// oldCalls records calls with an imported credential.
func (w *world) oldCalls(id postern.KeyID, kind postern.Kind, n int) {
	w.t.Helper()
	for i := range n {
		e := postern.Event{At: postern.ToMicros(w.now().Add(-time.Hour)), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "airflow/2.9", RequestID: fmt.Sprintf("old_%d", i), Status: 200}
		d := &e.Decision
		copy(d.Key[:], id)
		d.Known, d.Account, d.Kind, d.Gen, d.At, d.Allowed, d.Used = true, w.account, kind, 1, e.At, true, "deals.read"
		d.Operation = &postern.Operation{Upstream: "crm", Name: "listDeals", Method: "GET", Path: "/deals"}
		w.activity.Record(&e)
	}
	if err := w.activity.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestLegacyPages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/legacy").want(200, "No legacy credentials")
		ids := w.oldTokens(twoOld)
		w.oldCalls(ids[1], postern.KindLegacyPrivateApp, 4)
		b.get("/legacy").want(200, "web-forms", "Everything", "as it always did", "old-sync", "2 scopes", "Kim", "2 of 2 have not ended", "as a bearer", "in the header X-Old").not("7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2")
		b.get("/legacy?q=LEE").want(200, "old-sync").not("web-forms")
		b.get("/legacy?kind=legacy_api_key").want(200, "web-forms").not("old-sync")
		b.get("/legacy?q=pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3").want(200, "looks like a secret").not("7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3")
		b.get("/legacy?tab=ended").want(200, "No credential here")
		b.get("/legacy?tab=nonsense").want(404)
		b.get("/legacy?after=nonsense").want(404)
		one := "/legacy/" + string(ids[1])
		b.get(one).want(200, "old-sync", "deals.read", "Never used", "In use", "Airflow", "See the calls", "Move it", "Sunset")
		b.get("/legacy/"+string(ids[0])).want(200, "It may do everything, as it always did")
		b.get("/legacy/AAAAAAAAAAAAAAAA").want(404)
		revision := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(b.get(one).body)[1]
		b.post(one+"/edit", "name", "old-sync", "note", "Ada, the nightly job", "sunsetAt", "31.1.2027", "expiresAt", "", "revision", revision).want(422, "Write the day as", "Ada, the nightly job")
		b.post(one+"/edit", "name", "old-sync", "note", "Ada, the nightly job", "sunsetAt", "2027-01-31", "expiresAt", "", "revision", revision).to(one)
		b.get(one).want(200, "Ada, the nightly job", "To stop in", "31 Jan 2027")
		b.post(one+"/edit", "name", "mine", "note", "", "sunsetAt", "", "expiresAt", "", "revision", revision).want(409, "changed by someone else")
		b.get("/legacy?tab=sunset").want(200, "old-sync").not("web-forms")
		b.post(one + "/pause").to(one)
		b.get(one).want(200, "Paused", "Resume", "This is in force everywhere").not("Pause</button>")
		b.post(one + "/resume").to(one)
		b.get(one).want(200, "works again")
		b.get(one+"/end").want(200, "It is in use right now", "Type its name to go on")
		b.post(one+"/end", "typed", "no").want(422, "Type its name to go on")
		b.post(one+"/end", "typed", "old-sync", "reason", "It leaked.").to(one + "/receipt")
		b.get(one+"/receipt").want(200, "The credential has ended", "It leaked.", "in force everywhere")
		b.get(one).want(200, "Ended", "It leaked.").not("Change it")
		b.post(one+"/resume").want(422, "was ended")
		b.get(one + "/end").to(one + "/receipt")

		sam := w.login(w.member("sam@example.com", "Sam Whitlock", postern.RoleViewer))
		sam.get("/legacy").want(200, "web-forms").not("Import")
		sam.get("/legacy/"+string(ids[0])).want(200, "web-forms").not("Change it", "End for good")
		sam.post("/legacy/" + string(ids[0]) + "/pause").want(403)
		sam.post("/legacy/"+string(ids[0])+"/edit", "name", "x").want(403)
		sam.get("/legacy/" + string(ids[0]) + "/end").want(403)

		w.later(20 * time.Minute)
		b.post("/legacy/"+string(ids[0])+"/end", "reason", "x").want(403, "Confirm that it is you")
	}, func(c *Config) { c.LegacyHeader = "X-Old" })
}

// A long list is walked forth and back, and each credential is met once.
func TestLegacyPaging(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		var csv strings.Builder
		csv.WriteString("name,kind,secret,scopes\n")
		for i := range 120 {
			fmt.Fprintf(&csv, "tool-%03d,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-%012d,deals.read\n", i, i)
		}
		w.oldTokens(csv.String())
		b := w.login()
		name, next, prev := regexp.MustCompile(`<bdi>(tool-\d+)</bdi></a>`), regexp.MustCompile(`rel="next" href="([^"]+)"`), regexp.MustCompile(`rel="prev" href="([^"]+)"`)
		seen := map[string]bool{}
		var pages []string
		for at := "/legacy"; at != ""; {
			body := b.get(at).want(200).body
			for _, m := range name.FindAllStringSubmatch(body, -1) {
				if seen[m[1]] {
					t.Errorf("%s is on two pages", m[1])
				}
				seen[m[1]] = true
			}
			pages = append(pages, fmt.Sprint(name.FindAllString(body, -1)))
			at = ""
			if m := next.FindStringSubmatch(body); m != nil {
				at = strings.ReplaceAll(m[1], "&amp;", "&")
			} else {
				for i := len(pages) - 2; i >= 0; i-- {
					m := prev.FindStringSubmatch(body)
					if m == nil {
						t.Fatalf("no way back to page %d", i+1)
					}
					body = b.get(strings.ReplaceAll(m[1], "&amp;", "&")).want(200).body
					if fmt.Sprint(name.FindAllString(body, -1)) != pages[i] {
						t.Errorf("page %d is another on the way back", i+1)
					}
				}
				if prev.MatchString(body) {
					t.Error("there is a page before the first")
				}
			}
		}
		if len(seen) != 120 || len(pages) != 3 {
			t.Errorf("%d credentials on %d pages, want 120 on 3", len(seen), len(pages))
		}
	})
}

// The operator says what an old name stands for, and the next import goes by it.
func TestLegacyNames(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/legacy/names").want(200, "contacts", "hapikey", "Everything, now and later", "crm.lists.*")
		b.get("/legacy/names?name=contacts").want(200, `value="contacts"`, "crm.objects.owners.read")
		b.post("/legacy/names", "name", "", "scopes", " ").want(422, "Say the old name", "Say what it stands for")
		b.post("/legacy/names", "name", "contacts", "scopes", `deals"read`).want(422, "neither a scope")
		b.post("/legacy/names", "name", "contacts", "scopes", "contacts.*\nno.such.scope").to("/legacy/names")
		b.get("/legacy/names").want(200, "Changed here", "contacts.*", "Take back")
		id := w.oldTokens("name,kind,secret,scopes\nold,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3,contacts\n")[0]
		b.get("/legacy/"+string(id)).want(200, "contacts.read", "contacts.write").not("<code>contacts</code>")
		b.post("/legacy/names/reset", "name", "contacts").to("/legacy/names")
		b.get("/legacy/names").not("Changed here")

		sam := w.login(w.member("sam@example.com", "Sam Whitlock", postern.RoleViewer))
		sam.get("/legacy/names").want(200, "contacts", "Whoever runs this server").not("Save")
		sam.post("/legacy/names", "name", "contacts", "scopes", "deals.read").want(403)
	})
}
