package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// seen is what an answer tells, but for what tells one request from another.
func seen(t *testing.T, a *answer, ids ...string) map[string]any {
	t.Helper()
	out := map[string]any{"status": a.status}
	body := string(a.body)
	for _, id := range append(ids, a.header.Get("Postern-Request-Id")) {
		body = strings.ReplaceAll(body, id, "ID")
	}
	out["body"] = body
	for name, values := range a.header {
		if !slices.Contains([]string{"Date", "Postern-Request-Id"}, name) {
			out[name] = values
		}
	}
	return out
}

// place puts an id into a path.
func place(path, id string) string { return strings.NewReplacer("{id}", id, "{seq}", id).Replace(path) }

// imports imports one old credential.
func (w *world) imports(c *client.Client, name, secret string) api.LegacyCredential {
	w.t.Helper()
	r := must(c.ImportLegacy(w.t.Context(), "jsonl", fmt.Appendf(nil, `{"name":%q,"kind":"private_app","secret":%q,"scopes":"deals.read"}`, name, secret), false, true))(w.t)
	if r.Imported != 1 {
		w.t.Fatalf("import = %+v", r)
	}
	return must(c.LegacyCredential(w.t.Context(), r.Lines[0].ID))(w.t)
}

// alike sends an operation with an id of another account and with one of nobody: both
// are not found, in the same words.
func (w *world) alike(op *operation, pair [2]string, secret string, bodies []string) {
	w.t.Helper()
	for _, body := range bodies {
		for _, header := range [][]string{nil, {"If-Match", `"1"`}, {"Idempotency-Key", "k"}} {
			foreign := w.send(op.method, place(op.path, pair[0]), secret, body, header...)
			nobodys := w.send(op.method, place(op.path, pair[1]), secret, body, header...)
			if foreign.status != http.StatusNotFound {
				w.t.Errorf("%s %s of another account = %d %s", op.name, body, foreign.status, foreign.body)
			}
			if d := cmp.Diff(seen(w.t, nobodys, pair[1]), seen(w.t, foreign, pair[0])); d != "" {
				w.t.Errorf("%s %s tells another account's id from none:\n%s", op.name, body, d)
			}
		}
	}
}

// On every route another account's id is answered as one that nobody has: by a
// super admin who holds every permission in an account of their own.
func TestForeignIDs(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		intruder, joined := w.otherAccount("globex")
		k := must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read"}}))(t)
		must(w.super.RotateServiceKey(ctx, k.ID, api.Rotate{Grace: "1h"}))(t)
		role := must(w.super.CreateRole(ctx, api.NewRole{Name: "Readers", Permissions: []string{"postern.keys.read"}}))(t)
		_, kim := w.member("kim@example.org", role.ID)
		pak := must(w.super.CreatePersonalKey(ctx, api.NewPersonalKey{Name: "ci"}))(t)
		mem, acc, rol := string(postern.NewID("mem")), string(postern.NewID("acc")), string(postern.NewID("rol"))
		old := w.imports(w.super, "their nightly job", oldToken)
		item := must(w.super.ChoosePath(ctx, old.ID, api.ChoosePath{Path: "service_key", Why: "It is theirs."}))(t)
		own := w.imports(intruder, "mine", oldKey)
		camp := must(w.super.StartCampaign(ctx, api.NewCampaign{Name: "theirs by Friday", Deadline: time.Now().Add(48 * time.Hour), Choose: api.CampaignChoice{KeyIDs: []string{must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: "to be rotated"}))(t).ID}}}))(t)
		// By what stands before {id}: ids of the first account, each with one of nobody.
		ids := map[string][][2]string{"service-keys": {{k.ID, string(postern.NewKeyID())}}, "members": {{kim.Member.ID, mem}}, "roles": {{role.ID, rol}},
			"personal-keys": {{pak.ID, string(postern.NewKeyID())}}, "accounts": {{string(w.account), acc}},
			"audit":              {{fmt.Sprintf("%016d", must(w.super.Audit(ctx, client.AuditQuery{}))(t).Items[0].Seq), fmt.Sprintf("%016d", 999_999)}},
			"legacy-credentials": {{old.ID, string(postern.NewKeyID())}}, "migration": {{item.ID, postern.NewID("mig")}, {old.ID, string(postern.NewKeyID())}},
			"campaigns": {{camp.ID, postern.NewID("cmp")}}}
		// By the collection, or by the operation where its body can't be empty.
		bodies := map[string][]string{"service-keys": {`{}`, `{"name":"mine"}`, `{"scopes":["contacts.write"]}`, `{"paused":true}`},
			"members": {`{}`, `{"name":"Mine"}`, `{"roleId":"viewer"}`}, "roles": {`{}`, `{"name":"Mine"}`}, "accounts": {`{}`, `{"name":"Mine"}`, `{"suspended":true}`},
			"legacy-credentials": {`{}`, `{"note":"mine"}`, `{"expiresAt":null}`}, "choosePath": {`{"path":"retire"}`}, "chooseOwner": {`{"memberId":""}`, `{"memberId":"` + joined.Member.ID + `"}`},
			"chooseScopes": {`{}`, `{"scopes":["deals.read"]}`}, "movedMigration": {`{"note":"mine"}`}, "makeMigrationKey": {`{}`, `{"name":"mine-key"}`},
			"scheduleBrownouts": {`{"from":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","days":1}`}}
		// No list holds anything of another account.
		for _, path := range []string{"/v1/service-keys", "/v1/members", "/v1/roles", "/v1/accounts", "/v1/activity", "/v1/audit", "/v1/personal-keys", "/v1/account", "/v1/members/me",
			"/v1/legacy-credentials", "/v1/migration", "/v1/migration/report", "/v1/leaks", "/v1/tripwires", "/v1/advice", "/v1/campaigns"} {
			a := w.send("GET", path, joined.Secret, "")
			if a.status != http.StatusOK {
				t.Errorf("%s = %d %s", path, a.status, a.body)
			}
			for _, theirs := range []string{k.ID, role.ID, kim.Member.ID, pak.ID, string(w.account), "kim@example.org", "Acme", old.ID, item.ID, old.Name, camp.ID, camp.Name} {
				if strings.Contains(string(a.body), theirs) {
					t.Errorf("%s shows %s of another account", path, theirs)
				}
			}
		}
		before, routes := w.everything(), 0
		for _, op := range w.operations() {
			collection := strings.Split(op.path, "/")[2]
			pairs, ok := ids[collection]
			if !strings.Contains(op.path, "{") || collection == "upstreams" || strings.HasPrefix(op.path, "/v1/migration/scopes/") { // the server's own, not an account's
				continue
			}
			if !ok {
				t.Errorf("%s takes an id, and this test knows none", op.name)
				continue
			}
			routes++
			tries := []string{""}
			if these, has := bodies[op.name]; has {
				tries = these
			} else if op.method == http.MethodPatch {
				tries = bodies[collection]
			} else if op.method == http.MethodPost {
				tries = []string{"", "{}"}
			}
			for _, pair := range pairs {
				w.alike(&op, pair, joined.Secret, tries)
			}
		}
		if routes < 40 {
			t.Errorf("%d routes take an id of an account", routes)
		}
		// Ids in bodies and queries.
		for _, x := range []struct {
			method, path, body string
			real, none         string
		}{
			{"POST", "/v1/members", `{"email":"x@example.net","name":"X","roleId":"ID"}`, role.ID, rol},
			{"PATCH", "/v1/members/" + joined.Member.ID, `{"roleId":"ID"}`, role.ID, rol},
			{"POST", "/v1/service-keys", `{"name":"x","teamId":"ID"}`, "team_real", "team_none"},
			{"GET", "/v1/service-keys?madeBy=ID", "", k.MadeBy, mem},
			{"POST", "/v1/migration/items/" + own.ID + "/owner", `{"memberId":"ID"}`, kim.Member.ID, mem},
			{"GET", "/v1/legacy-credentials?import=ID", "", old.ImportID, postern.NewID("imp")},
			{"POST", "/v1/campaigns/choose", `{"keyIds":["ID"]}`, k.ID, noID},
			{"POST", "/v1/campaigns/choose", `{"madeBy":"ID"}`, k.MadeBy, mem},
			{"POST", "/v1/campaigns", `{"name":"x","deadline":"` + time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339) + `","choose":{"keyIds":["ID"]}}`, k.ID, noID},
			{"GET", "/v1/leaks?key=ID", "", k.ID, noID},
			{"GET", "/v1/tripwires?key=ID", "", k.ID, noID},
			{"GET", "/v1/activity?key=ID", "", k.ID, noID},
			{"GET", "/v1/audit?object=ID", "", k.ID, noID},
			{"GET", "/v1/audit?actor=ID", "", k.MadeBy, mem},
		} {
			in := func(s, id string) string { return strings.ReplaceAll(s, "ID", id) }
			a, b := w.send(x.method, in(x.path, x.real), joined.Secret, in(x.body, x.real)), w.send(x.method, in(x.path, x.none), joined.Secret, in(x.body, x.none))
			if d := cmp.Diff(seen(t, b, x.none), seen(t, a, x.real)); d != "" {
				t.Errorf("%s %s tells another account's id from none:\n%s", x.method, x.path, d)
			}
		}
		// What old names of scopes stand for is the operator's to say.
		for _, method := range []string{"PUT", "DELETE"} {
			if a := w.send(method, "/v1/migration/scopes/broad", joined.Secret, map[string]string{"PUT": `{"scopes":["deals.*"]}`}[method]); a.status != http.StatusForbidden {
				t.Errorf("%s of an old name by another account = %d %s", method, a.status, a.body)
			}
		}
		if now := must(w.super.MigrationItem(ctx, item.ID))(t); cmp.Diff(item, now) != "" {
			t.Errorf("the intruder has changed a migration:\n%s", cmp.Diff(item, now))
		}
		if d := cmp.Diff(before, w.everything()); d != "" {
			t.Errorf("the intruder has changed something:\n%s", d)
		}
		// Nor does one from another account's cursor on.
		for i := range 3 {
			must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: strings.Repeat("x", i+1)}))(t)
		}
		page := must(w.super.ServiceKeys(ctx, client.KeyQuery{Paging: client.Paging{Limit: 1}}))(t)
		if got := must(intruder.ServiceKeys(ctx, client.KeyQuery{Paging: client.Paging{Cursor: page.NextCursor}}))(t); len(got.Items) > 0 || page.NextCursor == "" {
			t.Errorf("another account's cursor %q gives %+v", page.NextCursor, got.Items)
		}
		// Even the operator reaches into another account only to rename or suspend it.
		key := must(intruder.CreateServiceKey(ctx, api.NewServiceKey{Name: "theirs"}))(t)
		if _, err := w.super.ServiceKey(ctx, key.ID); !client.IsCode(err, "not_found") {
			t.Errorf("the operator reads a key of another account: %v", err)
		}
	})
}
