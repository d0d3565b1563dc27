package httpapi_test

import (
	"encoding/json"
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

// everything is what can be changed in the account, but for the audit log.
func (w *world) everything() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, path := range []string{"/v1/service-keys?limit=200", "/v1/service-keys?limit=200&state=ended", "/v1/members", "/v1/roles", "/v1/account",
		"/v1/accounts", "/v1/upstreams", "/v1/upstreams/api/catalog/versions", "/v1/legacy-credentials?limit=200", "/v1/migration/scopes", "/v1/campaigns"} {
		a := w.send(http.MethodGet, path, w.secret, "")
		if a.status != http.StatusOK {
			w.t.Fatalf("%s = %d %s", path, a.status, a.body)
		}
		out[path] = string(a.body)
	}
	mine := must(w.super.PersonalKeys(w.t.Context()))(w.t)
	for i := range mine {
		mine[i].LastUsed = nil
	}
	b, _ := json.Marshal(mine)
	out["/v1/personal-keys"] = string(b)
	return out
}

// refused are the refused attempts in the audit log, newest first.
func (w *world) refused() []api.AuditEntry {
	w.t.Helper()
	return must(w.super.Audit(w.t.Context(), client.AuditQuery{Result: "refused", Paging: client.Paging{Limit: 200}}))(w.t).Items
}

// attempt is one try to come to what one lacks.
type attempt struct {
	what, secret, method, path, body string
	names                            string // the scope that the refusal names
	header                           []string
}

// A member who lacks a scope comes to it by no way that the API has; each try is
// refused with the name of what is missing, is on the record, and changes nothing.
func TestNobodyGetsWhatTheyLack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		const W = "contacts.write"
		lead := must(c.CreateRole(ctx, api.NewRole{Name: "Lead", Scopes: []string{"contacts.read", "deals.*"}, Permissions: []string{"postern.account.read", "postern.activity.read", "postern.catalog.read",
			"postern.keys.read", "postern.keys.revoke", "postern.keys.write", "postern.members.read", "postern.members.write"}}))(t)
		_, lee := w.member("lee@example.org", lead.ID)
		_, vic := w.member("vic@example.org", "viewer")
		own := must(w.client(lee.Secret).CreateServiceKey(ctx, api.NewServiceKey{Name: "lees", Scopes: []string{"contacts.read"}}))(t)
		soon, later := time.Now().UTC().Truncate(time.Second).Add(time.Hour), time.Now().UTC().Truncate(time.Second).Add(2*time.Hour)
		make := func(name string) api.NewServiceKey {
			return api.NewServiceKey{Name: name, Scopes: []string{"contacts.read", W}, Networks: []string{"203.0.113.0/24"},
				ExpiresAt: later, RateLimit: &api.RateLimit{Calls: 1, Seconds: 10}}
		}
		wide := must(c.CreateServiceKey(ctx, make("wide"), client.IdempotencyKey("supers")))(t)
		turning := must(c.CreateServiceKey(ctx, make("turning")))(t)
		must(c.RotateServiceKey(ctx, turning.ID, api.Rotate{Grace: "1h"}))(t)
		paused := must(c.CreateServiceKey(ctx, make("paused")))(t)
		must(c.PauseServiceKey(ctx, paused.ID))(t)
		next := make("scheduled")
		next.NotBefore = soon
		scheduled := must(c.CreateServiceKey(ctx, next))(t)
		revoker, reader, writer := w.narrowed("postern.keys.revoke"), w.narrowed("postern.keys.read"), w.narrowed("postern.keys.write", "postern.keys.read")
		people := w.narrowed("postern.members.write", "postern.members.read")
		all := must(c.Members(ctx))(t)
		super := all[slices.IndexFunc(all, func(m api.Member) bool { return m.RoleID == "super_admin" })].ID
		key := func(id string) string { return "/v1/service-keys/" + id }
		at := func(what, method, path, body, names string, header ...string) attempt {
			return attempt{what, lee.Secret, method, path, body, names, header}
		}
		through := func(secret string, a attempt) attempt { a.secret = secret; return a }
		attempts := []attempt{
			at("create", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.write"]}`, W),
			at("create among others", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.read","contacts.write","deals.read"]}`, W),
			at("create by an escape", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.\u0077rite"]}`, W),
			at("create by someone's idempotency key", "POST", "/v1/service-keys", `{"name":"wide","scopes":["contacts.write"]}`, W, "Idempotency-Key", "supers"),
			at("create as another account", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.write"]}`, W, "Postern-Account", "acc_x", "X-Forwarded-User", "ada"),
			at("create by another method", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.write"]}`, W, "X-HTTP-Method-Override", "GET"),
			at("edit", "PATCH", key(own.ID), `{"scopes":["contacts.read","contacts.write"]}`, W),
			at("edit as a merge patch", "PATCH", key(own.ID), `{"scopes":["contacts.write"]}`, W, "Content-Type", "application/merge-patch+json"),
			at("edit any revision", "PATCH", key(own.ID), `{"scopes":["contacts.write"]}`, W, "If-Match", "*"),
			at("a longer life", "PATCH", key(wide.ID), fmt.Sprintf(`{"expiresAt":%q}`, later.Add(time.Hour).Format(time.RFC3339)), W),
			at("a life without end", "PATCH", key(wide.ID), `{"expiresAt":null}`, W),
			at("any address", "PATCH", key(wide.ID), `{"networks":[]}`, W),
			at("my address", "PATCH", key(wide.ID), `{"networks":["203.0.113.0/24","198.51.100.7"]}`, W),
			at("a higher limit", "PATCH", key(wide.ID), `{"rateLimit":{"calls":100,"seconds":1}}`, W),
			at("no limit", "PATCH", key(wide.ID), `{"rateLimit":null}`, W),
			at("a wider key and a name", "PATCH", key(wide.ID), `{"name":"mine","description":"x","expiresAt":null}`, W),
			at("resume", "PATCH", key(paused.ID), `{"paused":false}`, W),
			at("start now", "PATCH", key(scheduled.ID), `{"notBefore":null}`, W),
			at("rotate now", "POST", key(wide.ID)+"/rotate", `{"grace":"0s"}`, W),
			at("rotate later", "POST", key(wide.ID)+"/rotate", `{"grace":"24h"}`, W),
			at("rotate by default", "POST", key(wide.ID)+"/rotate", ``, W),
			at("rotate and replace", "POST", key(wide.ID)+"/rotate", `{"grace":"24h","replace":true}`, W),
			at("start again", "POST", key(turning.ID)+"/rotate", `{"grace":"1h","replace":true}`, W),
			at("the old secret without a deadline", "POST", key(turning.ID)+"/rotation/cancel", ``, W),
			at("recover someone's rotation", "POST", key(turning.ID)+"/rotate", `{"grace":"1h"}`, W, "Idempotency-Key", "supers"),
			at("promote oneself", "PATCH", "/v1/members/"+lee.Member.ID, `{"roleId":"super_admin"}`, "**"),
			at("become a key manager", "PATCH", "/v1/members/"+lee.Member.ID, `{"roleId":"key_manager"}`, "*"),
			at("hold it oneself", "PATCH", "/v1/members/"+lee.Member.ID, `{"scopes":["contacts.read","contacts.write"]}`, W),
			at("hold all", "PATCH", "/v1/members/"+lee.Member.ID, `{"scopes":["**"]}`, "**"),
			at("hold a prefix", "PATCH", "/v1/members/"+lee.Member.ID, `{"scopes":["contacts.*"]}`, "contacts.*"),
			at("let another hold it", "PATCH", "/v1/members/"+vic.Member.ID, `{"scopes":["contacts.write"]}`, W),
			at("promote another", "PATCH", "/v1/members/"+vic.Member.ID, `{"roleId":"developer"}`, "*"),
			at("widen one's role", "PATCH", "/v1/roles/"+lead.ID, `{"scopes":["contacts.read","contacts.write"]}`, W),
			at("widen one's role to all", "PATCH", "/v1/roles/"+lead.ID, `{"scopes":["*"]}`, "*"),
			at("widen one's role's permissions", "PATCH", "/v1/roles/"+lead.ID, `{"permissions":["postern.keys.read","postern.audit.read"]}`, "postern.audit.read"),
			at("make a role", "POST", "/v1/roles", `{"name":"More","permissions":[],"scopes":["contacts.write"]}`, W),
			at("make a role of permissions", "POST", "/v1/roles", `{"name":"More","permissions":["postern.catalog.write"]}`, "postern.catalog.write"),
			at("invite a wider member", "POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer","scopes":["contacts.write"]}`, W),
			at("invite a super admin", "POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"super_admin"}`, "**"),
			at("invite a key manager", "POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"key_manager"}`, "*"),
			at("come in as the super admin", "POST", "/v1/members/"+super+"/reinvite", ``, "**"),
			at("a key that may verify", "POST", "/v1/service-keys", `{"name":"a","scopes":["postern.verify"]}`, "postern.verify"),
			at("another catalog", "PUT", "/v1/upstreams/api", `{"url":"http://127.0.0.1:1","prefix":"/api"}`, "postern.catalog.write"),
			at("the audit log's permission", "POST", "/v1/personal-keys", `{"name":"a","scopes":["postern.audit.read"]}`, "postern.audit.read"),
			through(reader, at("create with a narrowed key", "POST", "/v1/service-keys", `{"name":"a","scopes":["contacts.read"]}`, "postern.keys.write")),
			through(revoker, at("edit with a key that may only end", "PATCH", key(own.ID), `{"scopes":["contacts.read","contacts.write"]}`, "postern.keys.write")),
			through(revoker, at("rename with it", "PATCH", key(own.ID), `{"name":"mine"}`, "postern.keys.write")),
			through(revoker, at("resume with it", "PATCH", key(paused.ID), `{"paused":false}`, "postern.keys.write")),
			through(revoker, at("rotate with it", "POST", key(own.ID)+"/rotate", `{"grace":"0s"}`, "postern.keys.write")),
			through(writer, at("give away what a narrowed key leaves out", "POST", "/v1/service-keys", `{"name":"a","scopes":["postern.verify"]}`, "postern.verify")),
			through(writer, at("a wider personal key", "POST", "/v1/personal-keys", `{"name":"a","scopes":["postern.members.write"]}`, "postern.members.write")),
			through(writer, at("a personal key for everything", "POST", "/v1/personal-keys", `{"name":"a","scopes":["postern.*"]}`, "postern.*")),
			through(people, at("appoint with a narrowed key", "POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer"}`, "postern.keys.read")),
		}
		before, secrets := w.everything(), 0
		for _, a := range attempts {
			noted := w.refused()
			got := w.send(a.method, a.path, a.secret, a.body, a.header...)
			p := got.problem(t)
			if got.status != http.StatusForbidden || !slices.Contains(p.MissingScopes, a.names) || !strings.Contains(p.Detail, a.names) {
				t.Errorf("%s = %d %s, want 403 naming %s", a.what, got.status, got.body, a.names)
			}
			if strings.Contains(string(got.body), "pst_") {
				secrets++
			}
			now := w.refused()
			if len(now) != len(noted)+1 {
				t.Errorf("%s left %d entries of a refusal, want 1", a.what, len(now)-len(noted))
				continue
			}
			missing, _ := now[0].After["missingScopes"].([]any)
			if e := now[0]; !slices.Contains(missing, any(a.names)) || e.Actor.MemberID == "" || e.Actor.KeyID == "" || e.Actor.RequestID == "" || e.Reason == "" {
				t.Errorf("%s is noted as %+v", a.what, e)
			}
		}
		if secrets > 0 {
			t.Errorf("%d refusals hold a secret", secrets)
		}
		if d := cmp.Diff(before, w.everything()); d != "" {
			t.Errorf("what was refused has changed something:\n%s", d)
		}
		if a := w.send("PUT", key(own.ID), lee.Secret, `{"scopes":["contacts.write"]}`); a.status != http.StatusMethodNotAllowed {
			t.Errorf("PUT of a key = %d %s", a.status, a.body)
		}
		// The same member may do with the same keys what gives nothing away.
		for _, fine := range []attempt{
			at("narrow a wider key", "PATCH", key(wide.ID), `{"scopes":["contacts.read"],"networks":["203.0.113.7"]}`, ""),
			at("rotate it then", "POST", key(wide.ID)+"/rotate", `{"grace":"0s"}`, ""),
			at("pause a wider one", "PATCH", key(turning.ID), `{"paused":true}`, ""),
			at("end it", "POST", key(turning.ID)+"/revoke", `{"reason":"x"}`, ""),
			through(revoker, at("pause with a key that may only end", "PATCH", key(own.ID), `{"paused":true}`, "")),
		} {
			if a := w.send(fine.method, fine.path, fine.secret, fine.body); a.status != http.StatusOK {
				t.Errorf("%s = %d %s", fine.what, a.status, a.body)
			}
		}
	})
}

// A crafted body is refused as malformed, whoever sends it, and does nothing.
func TestCraftedBodies(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	k := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "sync", Scopes: []string{"deals.read"}}))(t)
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf(`"deals.x%d"`, i)
	}
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	var wide strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&wide, `"m%d":1,`, i)
	}
	malformed := []string{
		`{"name":"a","scopes":[],"scopes":["contacts.write"]}`, `{"name":"a","name":"b"}`, `{"name":"a","\u0073copes":["deals.read"],"scopes":[]}`,
		`{"name":"a","scopes":[],"Scopes":["contacts.write"]}`, `{"name":"a","scopes":[],"ſcopes":["contacts.write"]}`,
		`{"name":"a","SCOPES":["contacts.write"]}`, `{"name":"a","ſcopes":["contacts.write"]}`, `{"Name":"a"}`,
		`{"name":"a","accountId":"acc_x"}`, `{"name":"a","AccountID":"acc_x"}`, `{"name":"a","account_id":"acc_x"}`,
		`{"name":"a","createdBy":"mem_x"}`, `{"name":"a","madeBy":"mem_x"}`, `{"name":"a","secretHash":"00"}`, `{"name":"a","secret":"pst_sk_x"}`,
		`{"name":"a","id":"0000000000000000"}`, `{"name":"a","keyId":"0000000000000000"}`, `{"name":"a","state":"active"}`, `{"name":"a","revision":9}`,
		`{"name":"a","kind":"personal_access_key"}`, `{"name":"a","allScopes":true}`, `{"name":"a","generation":7}`, `{"name":"a","__proto__":{}}`, `{"name":"a","":1}`,
		`{"name":"a","scopes":[["contacts.write"]]}`, `{"name":"a","scopes":null}`, `{"name":"a","scopes":[null]}`, `{"name":"a","scopes":"contacts.write"}`,
		`{"name":"a","scopes":{"0":"contacts.write"}}`, `{"name":"a","scopes":[1]}`, `{"name":"a","scopes":[{"name":"contacts.write"}]}`,
		`{"name":null,"scopes":[]}`, `{"name":7}`, `{"name":["a"]}`, `{"name":{"a":"b"}}`, `{"name":true}`,
		`{"name":"a","rateLimit":{"calls":null,"seconds":1}}`, `{"name":"a","rateLimit":{"calls":1,"seconds":1,"calls":9}}`, `{"name":"a","rateLimit":{"calls":1,"seconds":1,"x":1}}`,
		`{"name":"a","rateLimit":{"calls":0,"seconds":1}}`, `{"name":"a","rateLimit":{"calls":1.5,"seconds":1}}`, `{"name":"a","rateLimit":{"calls":1e99,"seconds":1}}`,
		`{"name":"a","rateLimit":[]}`, `{"name":"a","expiresAt":"tomorrow"}`, `{"name":"a","expiresAt":0}`, `{"name":"a","expiresAt":"1999-01-01T00:00:00Z"}`,
		`{"name":"a","networks":["203.0.113.0/33"]}`, `{"name":"a","networks":["fe80::1%eth0"]}`, `{"name":"a","networks":[null]}`, `{"name":"a","networks":["example.org"]}`,
		`{"name":"a"}{"name":"b"}`, `{"name":"a"} []`, `{"name":"a"},`, `{"name":"a"}x`, `{"name":"a",}`, `{"name":"a"`, `{name:"a"}`, `{'name':'a'}`, `// x` + "\n" + `{"name":"a"}`,
		`[]`, `[{"name":"a"}]`, `null`, `"a"`, `7`, ` `, `{"name":"a","scopes":` + deep + `}`, "{\"name\":\"\xff\"}", "\xef\xbb\xbf{\"name\":\"a\"}",
		`{` + wide.String() + `"name":"a"}`, `{"name":"a","scopes":[` + strings.Join(many, ",") + `]}`,
		`{"name":"a","scopes":["contacts.write "]}`, `{"name":"a","scopes":["contacts.writе"]}`, `{"name":"a","scopes":["*"]}`, `{"name":"a","scopes":["**"]}`,
		`{"name":"a","scopes":["contacts.*"]}`, `{"name":"a","scopes":["Contacts.Write"]}`, `{"name":"a","scopes":[""]}`, `{"name":"a","scopes":["postern.keys.write"]}`,
		`{"name":"a","scopes":["postern.self"]}`, `{"name":"a","scopes":["postern.*"]}`, `{"name":"a","scopes":["contacts.read,contacts.write"]}`,
		"{\"name\":\"a\\u0000b\"}", `{"name":"a\u202eb"}`, `{"name":"   "}`, `{"name":""}`, `{"name":"` + strings.Repeat("n", 101) + `"}`,
	}
	doors := []struct{ method, path string }{{"POST", "/v1/service-keys"}, {"PATCH", "/v1/service-keys/" + k.ID}}
	before := w.everything()
	check := func(what string, a *answer, status ...int) {
		t.Helper()
		if !slices.Contains(status, a.status) {
			t.Errorf("%s = %d %s, want %v", what, a.status, a.body, status)
			return
		}
		if p := a.problem(t); p.Status != a.status || p.Detail == "" || !strings.HasPrefix(p.Instance, api.InstancePrefix) {
			t.Errorf("%s answers with %s", what, a.body)
		}
	}
	for _, body := range malformed {
		for _, d := range doors {
			check(fmt.Sprintf("%s %.80q", d.method, body), w.send(d.method, d.path, w.secret, body), http.StatusBadRequest)
		}
	}
	good := `{"name":"good"}`
	for _, d := range doors {
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "application/json, text/plain", "", "application"} {
			check(d.method+" as "+kind, w.send(d.method, d.path, w.secret, good, "Content-Type", kind), http.StatusUnsupportedMediaType)
		}
		check(d.method+" compressed", w.send(d.method, d.path, w.secret, good, "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType)
		check(d.method+" too large", w.send(d.method, d.path, w.secret, `{"name":"`+strings.Repeat("a", 1<<20)+`"}`), http.StatusRequestEntityTooLarge)
		check(d.method+" a parameter", w.send(d.method, d.path+"?scopes=contacts.write", w.secret, good), http.StatusBadRequest)
		check(d.method+" no body", w.send(d.method, d.path, w.secret, ""), http.StatusBadRequest)
	}
	others := []struct{ method, path, body string }{
		{"POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer","scopes":null}`},
		{"POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer","accountId":"acc_x"}`},
		{"POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer","roleId":"super_admin"}`},
		{"POST", "/v1/members", `{"email":"x@example.org","name":"X","roleId":"viewer","scopes":["a.*.b"]}`},
		{"POST", "/v1/members", `{"email":"x@example.org, y@example.org","name":"X","roleId":"viewer"}`},
		{"POST", "/v1/roles", `{"name":"X","permissions":[],"builtin":true}`}, {"POST", "/v1/roles", `{"name":"X","permissions":["postern.*"]}`},
		{"POST", "/v1/roles", `{"name":"X","permissions":null}`}, {"POST", "/v1/roles", `{"name":"X","permissions":[],"id":"super_admin"}`},
		{"POST", "/v1/personal-keys", `{"name":"X","memberId":"mem_x"}`}, {"POST", "/v1/personal-keys", `{"name":"X","scopes":["contacts.write"]}`},
		{"PATCH", "/v1/account", `{"operator":true}`}, {"PATCH", "/v1/account", `{"id":"acc_x"}`}, {"PATCH", "/v1/account", `{"dailyLimit":-1}`},
		{"POST", "/v1/accounts", `{"name":"X","adminEmail":"x@example.org","adminName":"X","operator":true}`},
		{"POST", "/v1/service-keys/" + k.ID + "/rotate", `{"grace":"-1h"}`}, {"POST", "/v1/service-keys/" + k.ID + "/rotate", `{"grace":"721h"}`},
		{"POST", "/v1/service-keys/" + k.ID + "/rotate", `{"grace":0}`}, {"POST", "/v1/service-keys/" + k.ID + "/rotate", `{"Replace":true}`},
		{"POST", "/v1/service-keys/" + k.ID + "/rotate", `{"grace":null}`}, {"POST", "/v1/service-keys/" + k.ID + "/revoke", `{"reason":null}`},
		{"POST", "/v1/service-keys/" + k.ID + "/revoke", `{"reason":7}`}, {"POST", "/v1/service-keys/" + k.ID + "/revoke", `[]`},
	}
	for _, o := range others {
		check(o.method+" "+o.path+" "+o.body, w.send(o.method, o.path, w.secret, o.body), http.StatusBadRequest)
	}
	if d := cmp.Diff(before, w.everything()); d != "" {
		t.Errorf("what was refused has changed something:\n%s", d)
	}
	if strings.Contains(w.log.String(), string(postern.CodeInternal)) {
		t.Error("the log tells of an internal error")
	}
}
