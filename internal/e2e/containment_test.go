package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern/api"
)

// A member can't come to a scope that they don't hold, by any door; each attempt
// is refused with the scope's name, and is on the record.
func TestContainment(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		const held, want = "crm.objects.deals.read", "crm.objects.contacts.write"
		pak := p.setup(t)
		s := start(t, p.data, p.args("serve", "--crm", "--lease", "5s")...)
		admin := s.as(pak)
		noor := admin.invite(t, "noor@example.org", "key_manager", held)
		member := s.as(noor)
		var own, wide api.ChangedKey
		member.must(t, 201, &own, "POST", "/v1/service-keys", api.NewServiceKey{Name: "own", Scopes: []string{held}})
		admin.must(t, 201, &wide, "POST", "/v1/service-keys", api.NewServiceKey{Name: "wide", Scopes: []string{held, want}})

		refusals := 0
		refused := func(how, action, object string, attempt func() (int, string)) {
			t.Helper()
			before := audited(t, admin, action, object)
			status, answer := attempt()
			if status != http.StatusForbidden || !strings.Contains(answer, want) {
				t.Errorf("%s = %d %s, want 403 that names %s", how, status, answer, want)
			}
			if after := audited(t, admin, action, object); len(after) != len(before)+1 || !slices.Contains(after[0].After, want) {
				t.Errorf("%s left %d audit entries of %s %s, had %d before; want one more, which names the scope", how, len(after), action, object, len(before))
			}
			refusals++
		}
		web := func(method, path, body string, headers ...string) func() (int, string) {
			return func() (int, string) {
				status, out, err := member.do(method, path, body, headers...)
				if err != nil {
					t.Fatal(err)
				}
				var problem api.Problem
				if json.Unmarshal(out, &problem) != nil || !slices.Contains(problem.MissingScopes, want) {
					t.Errorf("%s %s: missingScopes = %v, want %s", method, path, problem.MissingScopes, want)
				}
				return status, string(out)
			}
		}
		cli := func(args ...string) func() (int, string) {
			return func() (int, string) {
				out, errs, code := s.cliRun(noor, "", args...)
				if code == 5 { // not permitted
					return http.StatusForbidden, out + errs
				}
				return code, out + errs
			}
		}
		for _, scopes := range []string{`["` + want + `"]`, `["` + held + `","` + want + `","` + held + `"]`} {
			refused("create "+scopes, "service_key.create", "", web("POST", "/v1/service-keys", `{"name":"x","scopes":`+scopes+`}`))
			refused("edit "+scopes, "service_key.update", own.ID, web("PATCH", "/v1/service-keys/"+own.ID, `{"scopes":`+scopes+`}`))
		}
		refused("rotate a wider key", "service_key.rotate", wide.ID, web("POST", "/v1/service-keys/"+wide.ID+"/rotate", `{"grace":"0s"}`))
		refused("rotate it with an Idempotency-Key", "service_key.rotate", wide.ID, web("POST", "/v1/service-keys/"+wide.ID+"/rotate", `{}`, "Idempotency-Key", "again"))
		refused("create by the command line", "service_key.create", "", cli("keys", "create", "x", "--scope", want))
		refused("edit by the command line", "service_key.update", own.ID, cli("keys", "scopes", "own", "--add", want, "--yes"))
		refused("rotate by the command line", "service_key.rotate", wide.ID, cli("keys", "rotate", "wide", "--yes"))

		// Crafted bodies: none is taken, whatever the status.
		for _, body := range []string{
			`{"name":"x","scopes":["` + held + `"],"scopes":["` + want + `"]}`,
			`{"name":"x","scopes":["` + held + `"],"Scopes":["` + want + `"]}`,
			`{"name":"x","scopes":["` + held + `"],"allScopes":true}`,
			`{"name":"x","scopes":["` + held + `"],"madeBy":"system","accountId":"acc_other"}`,
			`{"name":"x","scopes":["crm.objects.*"]}`, `{"name":"x","scopes":["**"]}`, `{"name":"x","scopes":["*"]}`,
			`{"name":"x","scopes":["` + held + ` ` + want + `"]}`, `{"name":"x","scopes":"` + want + `"}`, `{"name":"x","scopes":[["` + want + `"]]}`,
		} {
			status, out, err := member.do("POST", "/v1/service-keys", body)
			if err != nil || status/100 != 4 {
				t.Errorf("%s = %d %s (%v), want a refusal", body, status, out, err)
			}
		}
		var list struct{ Items []api.ServiceKey }
		admin.must(t, 200, &list, "GET", "/v1/service-keys", nil)
		for _, k := range list.Items {
			if k.Name != "own" && k.Name != "wide" || k.Name == "own" && !slices.Equal(k.Scopes, []string{held}) || k.Revision != 1 {
				t.Errorf("the key %s has scopes %v and revision %d after refusals", k.Name, k.Scopes, k.Revision)
			}
		}
		if allowed, reason := s.verified(t, wide.Secret); !allowed {
			t.Errorf("the wider key is refused (%s) after attempts to rotate it", reason)
		}
		t.Logf("%d attempts refused and on the record", refusals)
		s.stop()
	})
}

// refusal is an audit entry of an attempt, with the scopes that were missing.
type refusal struct {
	After []string
}

// audited lists the refused attempts of an action, newest first.
func audited(t *testing.T, admin caller, action, object string) (out []refusal) {
	t.Helper()
	var page struct {
		Items []struct {
			After struct{ MissingScopes []string }
		}
	}
	admin.must(t, 200, &page, "GET", "/v1/audit?limit=200&result=refused&action="+action+"&object="+object, nil)
	for _, e := range page.Items {
		out = append(out, refusal{e.After.MissingScopes})
	}
	return out
}
