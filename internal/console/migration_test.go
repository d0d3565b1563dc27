package console

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/workbench"
)

func migrationViews(c func() Common) map[string][]view {
	full := func() *workbench.View {
		v := workbench.Stand(&workbench.Facts{Item: store.MigrationItem{ID: "mig_1", Key: "K", NewKey: "N", Name: polyglot, Path: "service_key", PathWhy: polyglot, Scopes: []postern.Scope{"deals.read"},
			ScopesAt: t0, StoppedAt: t0, StoppedWhy: polyglot, Forgotten: []string{polyglot}}, Legacy: &postern.LegacyCredential{ID: "K", Name: polyglot, AllScopes: true, InAddressAt: t0, SunsetAt: t0.AddDate(0, 1, 0),
			Brownouts: []postern.Window{{From: t0, Until: t0.Add(time.Hour)}}}, New: &postern.ServiceKey{ID: "N", Name: polyglot}, Now: t0, Week: 70, NewWeek: 30, NewFirst: t0.AddDate(0, 0, -1),
			Seen:  workbench.Item{Look: workbench.Look{Weak: true}, Calls: 100, Last: t0, Scopes: []postern.Scope{"deals.read"}, Callers: []workbench.Caller{{IP: netip.MustParseAddr("203.0.113.7"), UserAgent: polyglot}}},
			Moves: []workbench.Move{{IP: "203.0.113.7", UserAgent: polyglot, State: workbench.OnOld, OldCalls: 3, OldLast: t0}, {UserAgent: "b", State: workbench.OnBoth}, {UserAgent: "c", State: workbench.Moved}, {UserAgent: "d", State: workbench.Quiet}}})
		return v
	}
	card := itemCard{View: full(), Owner: polyglot, Initials: "MO"}
	bare := itemCard{View: workbench.Stand(&workbench.Facts{Item: store.MigrationItem{Name: "bare"}, Now: t0})}
	board := &workbench.Board{Items: []*workbench.View{card.View, bare.View}, All: 2, Full: 1, Off: 1, Stops: t0.AddDate(0, 1, 0), Finish: t0.AddDate(0, 2, 0), Partial: 1,
		Calendar: workbench.BrownoutsOf(card.View, time.Time{})}
	lanes := []lane{{ID: "found", Name: "Found", Words: polyglot, Number: 1, Cards: []itemCard{card, bare}, More: 2}, {ID: "switched_off", Name: "Switched off", Number: 5}}
	return map[string][]view{
		"migration": {&migrationView{}, &migrationView{Common: c(), Board: board, Lanes: lanes, DaysLeft: 30, First: &card}, &migrationView{Common: c(), Board: board, Lanes: lanes, List: true}},
		"migration-item": {&migrationItemView{}, &migrationItemView{Common: c(), F: newForm("path", polyglot), I: card, May: true, Stop: true, Undo: true, Brownouts: board.Calendar,
			Mapping: workbench.Mapping{Held: []postern.Scope{"a"}, Trimmed: []postern.Scope{"b"}, Unknown: []string{polyglot}}, Members: []option{{Value: "mem_1", Label: polyglot}}, Paths: []option{{Value: "app", Label: "An app"}}},
			&migrationItemView{Common: c(), F: newForm(), I: bare, May: true, Stop: true}},
		"migration-key": {&migrationKeyView{}, &migrationKeyView{Common: c(), ID: "mig_1", Name: polyglot, Old: polyglot, Secret: "pst_sk_x"}},
	}
}

var itemLink = regexp.MustCompile(`/migration/([A-Za-z0-9_]{16,})"`)

// TestMigrationPages: an old credential is found on the board, its path and scopes are
// decided, and its new key made, all by forms.
func TestMigrationPages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/migration").want(200, "Each old token moves from left to right.", "No old credentials yet")
		if _, err := workbench.Import(t.Context(), w.console.kr, w.super, strings.NewReader("name,kind,secret\nweb-forms,legacy_api_key,7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2\n"), workbench.ImportOptions{Format: "csv"}); err != nil {
			t.Fatal(err)
		}
		page := b.get("/migration").want(200, "web-forms", "Full access", "0 of 1 switched off", "1. Found").body
		id := itemLink.FindStringSubmatch(page)[1]
		b.get("/migration?view=list").want(200, "web-forms", "Step")
		b.get("/migration/"+id).want(200, "web-forms", "Steps", "Before it is switched off")
		b.post("/migration/"+id+"/path", "path", "").want(422, "A path is")
		b.post("/migration/"+id+"/path", "path", "service_key", "why", "It reads.").want(303)
		id = itemLink.FindStringSubmatch(b.get("/migration").want(200, "To a service key").body)[1]
		b.post("/migration/"+id+"/scopes").want(422, "No call of")
		b.post("/migration/"+id+"/key").want(422, "map its scopes first")
		b.post("/migration/"+id+"/sign-off").want(422, "Not yet")
		b.post("/migration/"+id+"/archive").want(422, "switched off yet")
		b.post("/migration/"+id+"/brownouts", "from", "", "days", "99", "calls", "5", "callers", "1").want(422, "Say when", "1 to 30 days")
		b.post("/migration/"+id+"/brownouts", "from", w.now().Add(2*time.Hour).UTC().Format("2006-01-02T15:04"), "days", "2", "calls", "5", "callers", "1").want(303)
		b.get("/migration/"+id).want(200, "Stop them at once")
		b.post("/migration/" + id + "/brownouts/stop").want(303)
		b.get("/migration.csv").want(200, "web-forms,")
		nia := w.member("nia@example.com", "Nia Park", postern.RoleViewer)
		v := w.login(nia)
		v.get("/migration/"+id).want(200, "web-forms").not("Choose the path", "Schedule them")
		v.post("/migration/"+id+"/path", "path", "retire").want(403)
	})
}
