package crm_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRecordLife(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		made := a.want(201, "POST", "/crm/v3/objects/contacts", `{"properties":{"email":" Ada@Example.org ","firstname":"Ada","lastname":"Vance","annualrevenue":120000}}`)
		golden(t, "create_contact.json", made.raw)
		id := made.str("id")

		golden(t, "read_contact.json", a.want(200, "GET", "/crm/v3/objects/contacts/"+id, "").raw)
		for _, path := range []string{"/crm/v3/objects/contact/" + id, "/crm/v3/objects/CONTACT/" + id, "/crm/v3/objects/0-1/" + id, "//crm/v3/objects/contacts/" + id + "/",
			"/crm/objects/2026-03/contacts/" + id, "/crm/objects/2026-09-beta/contacts/" + id, "/crm/v4/objects/contacts/" + id,
			"/crm/v3/objects/contacts/ada%40example.org?idProperty=email", "/crm/v3/objects/contacts/ADA@example.org?idProperty=email",
			"/crm/v3/objects/contacts/" + id + "?idProperty=hs_object_id"} {
			if got := a.want(200, "GET", path, "").str("id"); got != id {
				t.Errorf("GET %s: id = %q, want %q", path, got, id)
			}
		}

		a.clock.add(time.Hour)
		changed := a.want(200, "PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"phone":"+44 20 7946 0000","firstname":""}}`)
		golden(t, "update_contact.json", changed.raw)
		if got := changed.str("updatedAt"); got != "2026-03-05T11:00:00.100Z" {
			t.Errorf("updatedAt = %s after a change an hour later", got)
		}
		a.clock.add(time.Hour)
		same := a.want(200, "PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"phone":"+44 20 7946 0000"}}`)
		if got := same.str("updatedAt"); got != "2026-03-05T11:00:00.100Z" {
			t.Errorf("updatedAt = %s after a change that changes nothing", got)
		}
		golden(t, "contact_history.json", a.want(200, "GET", "/crm/v3/objects/contacts/"+id+"?propertiesWithHistory=phone,firstname", "").raw)

		a.want(204, "DELETE", "/crm/v3/objects/contacts/"+id, "")
		a.want(204, "DELETE", "/crm/v3/objects/contacts/"+id, "")
		a.want(204, "DELETE", "/crm/v3/objects/contacts/999", "")
		a.want(204, "DELETE", "/crm/v3/objects/contacts/none", "")
		gone := a.want(404, "GET", "/crm/v3/objects/contacts/"+id, "")
		golden(t, "not_found.json", gone.raw)
		a.want(404, "PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"phone":"1"}}`)
		old := a.want(200, "GET", "/crm/v3/objects/contacts/"+id+"?archived=True", "")
		if old.at("archived") != true || old.str("archivedAt") == "" {
			t.Errorf("an archived record = %s", old.raw)
		}
		// The address is free again.
		a.create("contacts", props{"email": "ada@example.org"})
	})
}

func TestListPages(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		var ids []string
		for i := range 7 {
			ids = append(ids, a.create("companies", props{"name": fmt.Sprint("Company ", i)}))
		}
		first := a.want(200, "GET", "/crm/v3/objects/companies?limit=3&properties=name", "")
		golden(t, "list_companies.json", first.raw)
		var got []string
		after := ""
		for {
			p := a.want(200, "GET", "/crm/v3/objects/companies?limit=3"+after, "")
			got = append(got, p.ids()...)
			next := p.str("paging.next.after")
			if next == "" {
				if _, ok := p.body["paging"]; ok {
					t.Errorf("the last page has paging: %s", p.raw)
				}
				break
			}
			// What is made during the walk comes at its end; what is archived is not repeated.
			if len(got) == 3 {
				ids = append(ids, a.create("companies", props{"name": "Late"}))
				a.want(204, "DELETE", "/crm/v3/objects/companies/"+next, "")
				ids = slices.DeleteFunc(ids, func(s string) bool { return s == next })
			}
			after = "&after=" + next
		}
		if !slices.Equal(got, ids) {
			t.Errorf("pages hold %v, want %v", got, ids)
		}
		if n := len(a.want(200, "GET", "/crm/v3/objects/companies?archived=true", "").ids()); n != 1 {
			t.Errorf("%d archived records, want 1", n)
		}
		for query, status := range map[string]int{"limit=101": 400, "limit=x": 400, "limit=0": 400, "after=x": 400, "after=-1": 400, "archived=perhaps": 400,
			"limit=51&propertiesWithHistory=name": 400, "limit=50&propertiesWithHistory=name": 200, "limit=100&portalId=1&hs_static_app=x": 200} {
			a.want(status, "GET", "/crm/v3/objects/companies?"+query, "")
		}
	})
}

func TestPropertyLists(t *testing.T) {
	a := newAPI(t, t.TempDir()+"/crm.db")
	id := a.create("contacts", props{"email": "a@example.org", "city": "Leeds"})
	for _, query := range []string{"properties=city&properties=phone", "properties=city,phone", "properties=city%2Cphone", "properties=city,%20phone,,nothing,city"} {
		r := a.want(200, "GET", "/crm/v3/objects/contacts/"+id+"?"+query, "")
		m := r.at("properties").(map[string]any)
		if len(m) != 5 || m["city"] != "Leeds" || m["phone"] != nil {
			t.Errorf("%s: properties = %v", query, m)
		}
		if _, ok := m["phone"]; !ok {
			t.Errorf("%s: a defined property without a value must be null", query)
		}
	}
}

func TestRefusals(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		id := a.create("contacts", props{"email": "ada@example.org"})
		other := a.create("contacts", props{"email": "bo@example.org"})
		company := a.create("companies", props{"name": "Vance"})
		for _, c := range []struct {
			golden, method, path, body string
			status                     int
		}{
			{"unknown_type.json", "GET", "/crm/v3/objects/butterflies", "", 400},
			{"unknown_route.json", "GET", "/crm/v3/nothing", "", 404},
			{"wrong_method.json", "PUT", "/crm/v3/objects/contacts", "{}", 405},
			{"malformed.json", "POST", "/crm/v3/objects/contacts", "{\"properties\":\n {]}", 400},
			{"wrong_kind.json", "POST", "/crm/v3/objects/contacts", `{"properties":[]}`, 400},
			{"nul.json", "POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":"a\u0000"}}`, 400},
			{"duplicate_email.json", "POST", "/crm/v3/objects/contacts", `{"properties":{"email":"ADA@example.org"}}`, 409},
			{"duplicate_email_patch.json", "PATCH", "/crm/v3/objects/contacts/" + other, `{"properties":{"email":"ada@example.org"}}`, 409},
			{"bad_values.json", "POST", "/crm/v3/objects/contacts", `{"properties":{"shoe_size":"44","hs_object_id":"1","lifecyclestage":"Reports","email":"nobody","hubspot_owner_id":"12"}}`, 400},
			{"bad_values_first.json", "PATCH", "/crm/v3/objects/contacts/1", `{"properties":{"shoe_size":"44"}}`, 400},
			{"missing_record.json", "PATCH", "/crm/v3/objects/contacts/1", `{"properties":{"city":"Leeds"}}`, 404},
			{"not_numeric.json", "GET", "/crm/v3/objects/contacts/ada", "", 404},
			{"not_unique.json", "GET", "/crm/v3/objects/contacts/Ada?idProperty=firstname", "", 400},
			{"ticket_required.json", "POST", "/crm/v3/objects/tickets", `{"properties":{"subject":"Broken"}}`, 400},
			{"deal_stage.json", "POST", "/crm/v3/objects/deals", `{"properties":{"dealname":"x","dealstage":"nowhere"}}`, 400},
			{"bad_target.json", "POST", "/crm/v3/objects/contacts", `{"associations":[{"to":{"id":"5"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":279}]}]}`, 400},
			{"bad_kind.json", "POST", "/crm/v3/objects/contacts", `{"associations":[{"to":{"id":` + company + `},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":280}]}]}`, 400},
			{"batch_empty.json", "POST", "/crm/v3/objects/contacts/batch/read", `{}`, 400},
			{"read_only_type.json", "POST", "/crm/v3/objects/feedback_submissions", `{}`, 400},
		} {
			r := a.want(c.status, c.method, c.path, c.body)
			golden(t, "refused/"+c.golden, r.raw)
			if r.str("status") != "error" || r.str("message") == "" || r.str("correlationId") != r.header.Get("X-HubSpot-Correlation-Id") {
				t.Errorf("%s %s: %s", c.method, c.path, r.raw)
			}
		}
		if got := a.do("PUT", "/crm/v3/objects/contacts", "{}").header.Get("Allow"); got != "GET, POST" {
			t.Errorf("Allow = %q", got)
		}
		if n := len(a.want(200, "GET", "/crm/v3/objects/contacts", "").ids()); n != 2 {
			t.Errorf("%d contacts after refused writes, want 2", n)
		}
		_ = id
	})
}

func TestScopesBeforeExistence(t *testing.T) {
	a := newAPI(t, t.TempDir()+"/crm.db")
	deal := a.create("deals", props{"dealname": "Rollout"})
	reader := a.with("crm.objects.deals.read")
	reader.want(200, "GET", "/crm/v3/objects/0-3/"+deal, "")
	for _, c := range []struct{ method, path, body, missing string }{
		{"POST", "/crm/v3/objects/deals", `{"properties":{}}`, "crm.objects.deals.write"},
		{"POST", "/crm/v3/objects/DEAL", `not JSON`, "crm.objects.deals.write"},
		{"PATCH", "/crm/v3/objects/0-3/" + deal, `{}`, "crm.objects.deals.write"},
		{"DELETE", "/crm/objects/2026-03/deals/" + deal, "", "crm.objects.deals.write"},
		{"GET", "/crm/v3/objects/contacts/1", "", "crm.objects.contacts.read"},
		{"POST", "/crm/v3/objects/contacts/search", "{}", "crm.objects.contacts.read"},
		{"GET", "/crm/v3/objects/deals?associations=contacts", "", "crm.objects.contacts.read"},
		{"POST", "/crm/v3/objects/deals/search", `{"filters":[{"propertyName":"associations.contact","operator":"EQ","value":"1"}]}`, "crm.objects.contacts.read"},
		{"GET", "/crm/v4/objects/deals/" + deal + "/associations/contacts", "", "crm.objects.contacts.read"},
		{"GET", "/crm/v3/objects/tickets", "", "tickets"},
		{"GET", "/crm/v3/objects/products", "", "crm.objects.products.read e-commerce"},
		{"GET", "/crm/v3/owners", "", "crm.objects.owners.read"},
		{"POST", "/crm/v3/properties/deals", "{}", "crm.schemas.deals.write"},
	} {
		r := reader.want(403, c.method, c.path, c.body)
		if got := r.header.Get("Postern-Missing-Scopes"); got != c.missing || r.header.Get("Postern-Refused") != "insufficient_scope" {
			t.Errorf("%s %s: missing %q, want %q", c.method, c.path, got, c.missing)
		}
		if r.str("category") != "MISSING_SCOPES" || r.str("errors.0.context.requiredGranularScopes.0") != strings.Fields(c.missing)[0] {
			t.Errorf("%s %s: %s", c.method, c.path, r.raw)
		}
	}
	golden(t, "refused/missing_scopes.json", reader.want(403, "POST", "/crm/v3/objects/deals", `{"properties":{}}`).raw)
	reader.want(200, "GET", "/crm/v3/properties/deals", "")
	reader.want(200, "GET", "/crm/v3/pipelines/deals", "")
	// A key without any scope can still see whose it is.
	a.with("").want(200, "GET", "/account-info/v3/details", "")

	nobody := *a
	nobody.account = ""
	r := nobody.want(401, "GET", "/crm/v3/objects/deals", "")
	golden(t, "refused/unauthenticated.json", r.raw)
	if r.header.Get("X-HubSpot-Auth-Failure") == "" {
		t.Error("a 401 without X-HubSpot-Auth-Failure")
	}
}

func TestAccountsApart(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		b := a.as("acc_B", "4343")
		mine := a.create("contacts", props{"email": "ada@example.org"})
		company := a.create("companies", props{"name": "Vance"})
		theirs := b.create("contacts", props{"email": "ada@example.org"}) // unique within an account only
		if mine == theirs {
			t.Fatalf("two accounts have a record %s", mine)
		}
		a.want(201, "POST", "/crm/v3/properties/contacts", `{"name":"shade","label":"Shade","type":"string","fieldType":"text","groupName":"contactinformation"}`)
		a.want(201, "POST", "/crm/v3/pipelines/deals", `{"label":"Renewals","pipelineId":"renewals","stages":[{"label":"Open","stageId":"open","metadata":{"probability":"0.3"}}]}`)

		for _, c := range []struct{ method, path, body string }{
			{"GET", "/crm/v3/objects/contacts/" + mine, ""},
			{"GET", "/crm/v3/objects/contacts/" + mine + "?archived=true", ""},
			{"PATCH", "/crm/v3/objects/contacts/" + mine, `{"properties":{"city":"Leeds"}}`},
			{"GET", "/crm/v4/objects/contacts/" + mine + "/associations/companies", ""},
			{"PUT", "/crm/v4/objects/contacts/" + theirs + "/associations/default/companies/" + company, ""},
			{"GET", "/crm/v3/properties/contacts/shade", ""},
			{"GET", "/crm/v3/pipelines/deals/renewals", ""},
		} {
			b.want(404, c.method, c.path, c.body)
		}
		b.want(204, "DELETE", "/crm/v3/objects/contacts/"+mine, "")
		b.want(204, "POST", "/crm/v3/objects/contacts/batch/archive", `{"inputs":[{"id":"`+mine+`"}]}`)
		b.want(204, "POST", "/crm/v3/objects/contacts/gdpr-delete", `{"objectId":"`+mine+`"}`)
		b.want(207, "POST", "/crm/v3/objects/contacts/batch/update", `{"inputs":[{"id":"`+mine+`","properties":{"city":"X"}}]}`)
		b.want(400, "POST", "/crm/v3/objects/contacts/merge", `{"primaryObjectId":"`+theirs+`","objectIdToMerge":"`+mine+`"}`)
		if r := b.want(207, "POST", "/crm/v3/objects/contacts/batch/read", `{"inputs":[{"id":"`+mine+`"}]}`); len(r.ids()) != 0 {
			t.Errorf("batch read across accounts = %s", r.raw)
		}
		if got := b.want(200, "POST", "/crm/v3/objects/contacts/search", `{}`).ids(); !slices.Equal(got, []string{theirs}) {
			t.Errorf("a search across accounts = %v", got)
		}
		if got := b.want(200, "GET", "/crm/v3/objects/contacts/"+url.PathEscape("ada@example.org")+"?idProperty=email", "").str("id"); got != theirs {
			t.Errorf("idProperty across accounts = %s, want %s", got, theirs)
		}
		if got := b.want(200, "GET", "/crm/v3/objects/contacts", "").ids(); !slices.Equal(got, []string{theirs}) {
			t.Errorf("a list across accounts = %v", got)
		}
		if r := a.want(200, "GET", "/crm/v3/objects/contacts/"+mine+"?properties=city", ""); r.at("properties.city") != nil {
			t.Errorf("changed by another account: %s", r.raw)
		}
	})
}

func TestManyProperties(t *testing.T) {
	a := newAPI(t, t.TempDir()+"/crm.db")
	var names []string
	for i := range 5 {
		var in []string
		for j := range 80 {
			n := fmt.Sprintf("field_%d_%d", i, j)
			names = append(names, n)
			in = append(in, `{"name":"`+n+`","label":"F","type":"string","fieldType":"text","groupName":"contactinformation"}`)
		}
		a.want(201, "POST", "/crm/v3/properties/contacts/batch/create", `{"inputs":[`+strings.Join(in, ",")+`]}`)
	}
	var rows []string
	for range 100 {
		rows = append(rows, `{"properties":{"field_0_1":"x","field_3_7":"y"}}`)
	}
	a.want(201, "POST", "/crm/v3/objects/contacts/batch/create", `{"inputs":[`+strings.Join(rows, ",")+`]}`)
	r := a.want(200, "GET", "/crm/v3/objects/contacts?limit=100&properties="+strings.Join(names, ","), "")
	if len(r.ids()) != 100 || len(r.at("results.0.properties").(map[string]any)) != len(names)+3 {
		t.Errorf("%d records of %v properties", len(r.ids()), len(r.at("results.0.properties").(map[string]any)))
	}
}
