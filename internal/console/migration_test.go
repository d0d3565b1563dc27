package console

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/keyring"
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
		"migration-item": {&migrationItemView{}, &migrationItemView{Common: c(), F: newForm("path", polyglot), I: card, May: true, Stop: true, Undo: true, Takeovers: []option{{Value: "K", Label: polyglot}}, Shadow: &replayPart{Replay: &advice.Replay{Fails: 2}, Rows: []replayRow{{What: polyglot, Client: polyglot}}}, Brownouts: board.Calendar,
			Mapping: workbench.Mapping{Held: []postern.Scope{"a"}, Trimmed: []postern.Scope{"b"}, Unknown: []string{polyglot}}, Members: []option{{Value: "mem_1", Label: polyglot}}, Paths: []option{{Value: "app", Label: "An app"}}},
			&migrationItemView{Common: c(), F: newForm(), I: bare, May: true, Stop: true}},
		"migration-shadow": {&shadowView{}, &shadowView{Common: c(), I: card, Scopes: []postern.Scope{"a"}, Key: true, Replay: &replayPart{Replay: &advice.Replay{Fails: 2, Looked: 9}, Days: 7, Rows: []replayRow{{What: polyglot, Why: polyglot, Client: polyglot}}}},
			&shadowView{Common: c(), I: bare, Replay: &replayPart{Replay: &advice.Replay{}}}},
		"migration-key": {&migrationKeyView{}, &migrationKeyView{Common: c(), ID: "mig_1", Name: polyglot, Old: polyglot, Secret: "pst_sk_x"}},
	}
}

var itemLink = regexp.MustCompile(`/migration/([A-Za-z0-9_]{16,})"`)

// TestMigrationPages: an old credential is found on the board, its path and scopes are
// decided, and its new key made, all by forms.
func TestMigrationPages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/migration").want(200, "Each old token moves", "from left to right", "from top to bottom", "No old credentials yet")
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
		followsMove(t, w, b)
		nia := w.member("nia@example.com", "Nia Park", postern.RoleViewer)
		v := w.login(nia)
		v.get("/migration/"+id).want(200, "web-forms").not("Choose the path", "Schedule them")
		v.post("/migration/"+id+"/path", "path", "retire").want(403)
	})
}

// followsMove: what the new key would refuse is seen before it does, the page is told
// of callers that move, and what took over can be named.
func followsMove(t *testing.T, w *world, b *browser) {
	t.Helper()
	id := w.oldTokens("name,kind,secret,scopes\nold-sync,private_app,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3,deals.read contacts.read\n")[0]
	w.oldCalls(id, postern.KindLegacyPrivateApp, 4)
	at := "/migration/" + string(id)
	b.post(at+"/moved", "moved", "An app").want(422, "Choose the path app or service_key first")
	b.post(at+"/path", "path", "service_key").want(303)
	at = "/migration/" + regexp.MustCompile(`/migration/(mig_\w+)"><bdi>old-sync`).FindStringSubmatch(b.get("/migration").body)[1]
	b.get(at).want(200, "None of 4 calls would be refused", "See each call", "Still on old", "Where it moved")
	k := must(w.kr.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "there-already", Scopes: []postern.Scope{"contacts.read"}}))(t)
	b.post(at+"/moved", "takeover", "AAAAAAAAAAAAAAAA").want(422, "There is no such service key")
	b.post(at+"/moved", "takeover", string(k.Key.ID), "moved", "The sync app").to(at)
	b.get(at).want(200, "Taken over by", "there-already", "The sync app", "4 calls of 4 would be refused", "listDeals", "needs deals.read")
	b.get(at+"/shadow").want(200, "4 calls would be refused", "contacts.read", "needs deals.read", "airflow/2.9")
	b.get(at+"/shadow?period=1d").want(200, "4 calls would be refused")
	b.get(at+"/live").want(200, `"words":"Still on old"`, `"old":"4"`, `"new":"0"`, `"left":1`)
	w.later(time.Minute)
	w.called(k.Key, w.now(), 3, 200)
	b.get(at+"/live").want(200, `"new":"3"`, "both_running")
	b.post(at+"/moved", "takeover", "", "moved", "").to(at)
	b.get(at).not("Taken over by</dt>", "The sync app")
}
