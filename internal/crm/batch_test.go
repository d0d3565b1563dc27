package crm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func inputs(list ...string) string { return `{"inputs":[` + strings.Join(list, ",") + `]}` }

func TestBatchRead(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		one := a.create("contacts", props{"email": "ada@example.org", "firstname": "Ada"})
		two := a.create("contacts", props{"email": "bo@example.org"})
		all := a.want(200, "POST", "/crm/v3/objects/contacts/batch/read", `{"inputs":[{"id":`+two+`},{"id":"`+one+`"}],"properties":["firstname"]}`)
		if all.str("status") != "COMPLETE" || len(all.ids()) != 2 || all.at("errors") != nil || all.at("numErrors") != nil || all.str("startedAt") == "" || all.str("completedAt") == "" {
			t.Errorf("all found: %s", all.raw)
		}
		some := a.want(207, "POST", "/crm/v3/objects/contacts/batch/read", inputs(`{"id":"`+one+`"}`, `{"id":"888"}`, `{"id":"889"}`))
		golden(t, "batch_read_some.json", some.raw)
		none := a.want(207, "POST", "/crm/objects/2026-03/contacts/batch/read", inputs(`{"id":"888"}`))
		if len(none.ids()) != 0 || none.str("numErrors") != "1" {
			t.Errorf("none found: %s", none.raw)
		}
		mail := a.want(200, "POST", "/crm/v3/objects/contacts/batch/read", `{"idProperty":"email","inputs":[{"id":"BO@example.org"}]}`)
		if got := mail.ids(); !slices.Equal(got, []string{two}) {
			t.Errorf("by email: %v, want %s", got, two)
		}
		a.want(204, "DELETE", "/crm/v3/objects/contacts/"+two, "")
		gone := a.want(200, "POST", "/crm/v3/objects/contacts/batch/read?archived=True", inputs(`{"id":"`+two+`"}`))
		if gone.at("results.0.archived") != true {
			t.Errorf("an archived one: %s", gone.raw)
		}

		many := strings.TrimSuffix(strings.Repeat(`{"id":"1"},`, 101), ",")
		a.want(400, "POST", "/crm/v3/objects/contacts/batch/read", inputs(many))
		a.want(400, "POST", "/crm/v3/objects/contacts/batch/read", inputs())
		a.want(400, "POST", "/crm/v3/objects/contacts/batch/read", `{"inputs":[{"id":"1"}],"idProperty":"firstname"}`)
		history := strings.TrimSuffix(strings.Repeat(`{"id":"1"},`, 51), ",")
		a.want(400, "POST", "/crm/v3/objects/contacts/batch/read", `{"propertiesWithHistory":["email"],"inputs":[`+history+`]}`)
	})
}

func TestBatchCreate(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		made := a.want(201, "POST", "/crm/v3/objects/contacts/batch/create", inputs(
			`{"properties":{"email":"ada@example.org"},"associations":[]}`, `{"properties":{"email":"bo@example.org"},"associations":null}`))
		if got := []string{made.str("results.0.properties.email"), made.str("results.1.properties.email")}; !slices.Equal(got, []string{"ada@example.org", "bo@example.org"}) {
			t.Errorf("made %v, in the order of the inputs", got)
		}
		count := func() int { return len(a.want(200, "GET", "/crm/v3/objects/contacts?limit=100", "").ids()) }

		clash := a.want(409, "POST", "/crm/v3/objects/contacts/batch/create", inputs(`{"properties":{"email":"cy@example.org"}}`, `{"properties":{"email":"Ada@example.org"}}`))
		if want := "Contact already exists. Existing ID: " + made.str("results.0.id"); clash.str("message") != want || clash.str("category") != "CONFLICT" {
			t.Errorf("a duplicate: %s, want %q", clash.raw, want)
		}
		a.want(409, "POST", "/crm/v3/objects/contacts/batch/create", inputs(`{"properties":{"email":"di@example.org"}}`, `{"properties":{"email":"di@example.org"}}`))
		if n := count(); n != 2 {
			t.Fatalf("%d contacts after a refused batch, want 2", n)
		}
		traced := a.want(207, "POST", "/crm/v3/objects/contacts/batch/create", inputs(
			`{"properties":{"email":"cy@example.org"},"objectWriteTraceId":"row-1"}`, `{"properties":{"email":"ada@example.org"},"objectWriteTraceId":"row-2"}`,
			`{"properties":{"shoe_size":"44"},"objectWriteTraceId":"row-3"}`))
		if traced.str("numErrors") != "2" || traced.str("errors.0.category") != "CONFLICT" || traced.str("errors.0.context.objectWriteTraceId.0") != "row-2" ||
			traced.str("errors.0.context.existingId.0") != made.str("results.0.id") || len(traced.ids()) != 1 {
			t.Errorf("with trace ids: %s", traced.raw)
		}
		a.want(400, "POST", "/crm/v3/objects/contacts/batch/create", inputs(`{"properties":{"email":"eve@example.org"}}`, `{"properties":{"shoe_size":"44"}}`))
		if n := count(); n != 3 {
			t.Errorf("%d contacts, want 3", n)
		}
	})
}

func TestBatchUpdate(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		one := a.create("contacts", props{"email": "ada@example.org", "city": "York"})
		two := a.create("contacts", props{"email": "bo@example.org", "city": "York"})
		city := func(id string) string {
			return a.want(200, "GET", "/crm/v3/objects/contacts/"+id+"?properties=city", "").str("properties.city")
		}
		a.want(200, "POST", "/crm/v3/objects/contacts/batch/update", inputs(`{"id":`+one+`,"properties":{"city":"Leeds"}}`, `{"id":"bo@example.org","idProperty":"email","properties":{"city":"Hull"}}`))
		if city(one) != "Leeds" || city(two) != "Hull" {
			t.Errorf("cities %s and %s, want Leeds and Hull", city(one), city(two))
		}
		some := a.want(207, "POST", "/crm/v3/objects/contacts/batch/update", inputs(`{"id":"`+one+`","properties":{"city":"Bath"}}`, `{"id":"888","properties":{"city":"Bath"}}`))
		if city(one) != "Bath" || some.str("errors.0.category") != "OBJECT_NOT_FOUND" || some.str("errors.0.context.ids.0") != "888" {
			t.Errorf("an unknown one: %s", some.raw)
		}
		bad := a.want(400, "POST", "/crm/v3/objects/contacts/batch/update", inputs(`{"id":"`+one+`","properties":{"city":"Ely"}}`, `{"id":"`+two+`","properties":{"shoe_size":"44"}}`))
		if city(one) != "Bath" || bad.str("errors.0.code") != "PROPERTY_DOESNT_EXIST" {
			t.Errorf("an invalid value: city %s, %s", city(one), bad.raw)
		}
		twice := a.want(400, "POST", "/crm/v3/objects/contacts/batch/update", inputs(`{"id":"`+one+`","properties":{"city":"Ely"}}`, `{"id":"`+one+`","properties":{"city":"Ripon"}}`))
		if want := "Duplicate IDs found in batch input: [" + one + "]. IDs must be unique"; twice.str("message") != want || twice.str("context.ids.0") != one {
			t.Errorf("the same id twice: %s, want %q", twice.raw, want)
		}
	})
}

func TestBatchUpsertAndArchive(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		one := a.create("contacts", props{"email": "ada@example.org"})
		r := a.want(200, "POST", "/crm/v3/objects/contacts/batch/upsert", inputs(`{"id":"ADA@example.org","idProperty":"email","properties":{"firstname":"Ada"}}`,
			`{"id":"bo@example.org","idProperty":"email","properties":{"firstname":"Bo"}}`))
		if r.at("results.0.new") != false || r.at("results.1.new") != true || r.str("results.0.id") != one || r.str("results.1.properties.email") != "bo@example.org" {
			t.Errorf("upsert: %s", r.raw)
		}
		for _, body := range []string{`{"id":"5","properties":{"firstname":"x"}}`, `{"id":"5","idProperty":"hs_object_id","properties":{}}`, `{"id":"5","idProperty":"firstname","properties":{}}`} {
			a.want(400, "POST", "/crm/v3/objects/contacts/batch/upsert", inputs(body))
		}
		a.want(204, "POST", "/crm/v3/objects/contacts/batch/archive", inputs(`{"id":"`+one+`"}`, `{"id":"888"}`, fmt.Sprintf(`{"id":%s}`, r.str("results.1.id"))))
		a.want(204, "POST", "/crm/v3/objects/contacts/batch/archive", inputs(`{"id":"`+one+`"}`))
		if ids := a.want(200, "GET", "/crm/v3/objects/contacts", "").ids(); len(ids) != 0 {
			t.Errorf("left after archiving: %v", ids)
		}
	})
}

func TestMergeAndErase(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		one := a.create("contacts", props{"email": "ada@example.org", "firstname": "Ada"})
		two := a.create("contacts", props{"email": "ada.vance@example.org", "firstname": "A", "city": "Leeds"})
		company := a.create("companies", props{"name": "Vance"})
		a.want(200, "PUT", "/crm/v4/objects/contacts/"+two+"/associations/default/companies/"+company, "")
		m := a.want(200, "POST", "/crm/v3/objects/contacts/merge", `{"primaryObjectId":"`+one+`","objectIdToMerge":"`+two+`"}`)
		kept := a.want(200, "GET", "/crm/v3/objects/contacts/"+one+"?properties=firstname,city,email,hs_additional_emails&associations=companies", "")
		if m.str("id") != one || kept.str("properties.firstname") != "Ada" || kept.str("properties.city") != "Leeds" || kept.str("properties.hs_additional_emails") != "ada.vance@example.org" ||
			kept.str("associations.companies.results.0.id") != company {
			t.Errorf("after a merge: %s", kept.raw)
		}
		for _, body := range []string{`{"primaryObjectId":"` + one + `","objectIdToMerge":"` + one + `"}`, `{"primaryObjectId":"` + one + `","objectIdToMerge":"999"}`} {
			a.want(400, "POST", "/crm/v3/objects/contacts/merge", body)
		}

		a.want(204, "POST", "/crm/v3/objects/contacts/gdpr-delete", `{"objectId":"ada@example.org","idProperty":"email"}`)
		a.want(404, "GET", "/crm/v3/objects/contacts/"+m.str("id")+"?archived=true", "")
		a.want(204, "POST", "/crm/v3/objects/contacts/gdpr-delete", `{"objectId":"nobody@example.org","idProperty":"email"}`)
	})
}
