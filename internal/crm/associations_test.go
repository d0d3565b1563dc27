package crm_test

import (
	"encoding/json"
	"testing"
)

func TestAssociations(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		contact, first, second := a.create("contacts", props{"email": "ada@example.org"}), a.create("companies", props{"name": "Vance"}), a.create("companies", props{"name": "Marsh"})
		of := "/crm/v4/objects/contacts/" + contact + "/associations/"

		made := a.want(200, "PUT", of+"default/companies/"+first, "")
		if made.str("results.0.associationSpec.associationTypeId") != "279" || made.str("results.1.associationSpec.associationTypeId") != "280" {
			t.Errorf("the default association: %s", made.raw)
		}
		list := a.want(200, "GET", of+"companies", "")
		if _, ok := list.at("results.0.toObjectId").(json.Number); !ok || list.at("results.0.associationTypes.1") == nil || list.at("paging") != nil {
			t.Errorf("listed under v4: %s", list.raw)
		}
		if _, ok := a.want(200, "GET", "/crm/objects/2026-03/contacts/"+contact+"/associations/companies", "").at("results.0.toObjectId").(string); !ok {
			t.Error("under a date the id is a number, want text")
		}
		primary := func() string {
			return a.want(200, "GET", "/crm/v3/objects/contacts/"+contact+"?properties=associatedcompanyid", "").str("properties.associatedcompanyid")
		}
		if primary() != first {
			t.Errorf("the primary company is %q, want the first, %s", primary(), first)
		}

		label := a.want(200, "POST", "/crm/v4/associations/contacts/companies/labels", `{"label":"Referrer","name":"referrer","inverseLabel":"Referred by"}`)
		id := label.str("results.0.typeId")
		if id == "" || label.str("results.1.typeId") == id {
			t.Fatalf("a paired label: %s", label.raw)
		}
		set := a.want(201, "PUT", of+"companies/"+second, `[{"associationCategory":"USER_DEFINED","associationTypeId":`+id+`}]`)
		if set.str("labels.0") != "Referrer" || set.str("fromObjectTypeId") != "0-1" || set.str("toObjectId") != second {
			t.Errorf("labels set: %s", set.raw)
		}
		back := a.want(200, "GET", "/crm/v4/objects/companies/"+second+"/associations/contacts", "")
		found := false
		types, _ := back.at("results.0.associationTypes").([]any)
		for _, x := range types {
			found = found || x.(map[string]any)["label"] == "Referred by"
		}
		if !found || len(types) != 2 {
			t.Errorf("seen from the company: %s", back.raw)
		}
		a.want(201, "PUT", of+"companies/"+second, `[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":1}]`)
		if primary() != second {
			t.Errorf("the primary company is %q, want %s", primary(), second)
		}

		read := a.want(207, "POST", "/crm/v4/associations/contact/company/batch/read", inputs(`{"id":"`+contact+`"}`, `{"id":"999"}`))
		if read.str("errors.0.subCategory") != "crm.associations.NO_ASSOCIATIONS_FOUND" || read.str("results.0.from.id") != contact {
			t.Errorf("batch read: %s", read.raw)
		}
		bad := a.want(207, "POST", "/crm/v4/associations/contacts/contacts/batch/create", inputs(`{"from":{"id":"`+contact+`"},"to":{"id":"`+contact+`"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":449}]}`))
		if bad.str("errors.0.category") != "VALIDATION_ERROR" {
			t.Errorf("with itself: %s", bad.raw)
		}

		a.want(204, "POST", "/crm/v4/associations/contacts/companies/batch/archive", inputs(`{"from":{"id":"`+contact+`"},"to":[{"id":"`+second+`"}]}`))
		left := a.want(200, "GET", of+"companies?limit=500", "")
		if n, _ := left.at("results").([]any); len(n) != 1 || left.str("results.0.toObjectId") != first {
			t.Errorf("after ending one: %s", left.raw)
		}
		a.want(204, "DELETE", "/crm/v3/objects/companies/"+first, "")
		if n, _ := a.want(200, "GET", of+"companies", "").at("results").([]any); len(n) != 0 {
			t.Errorf("an archived company is still associated: %v", n)
		}
	})
}

// What a caller may do with associations follows from both types.
func TestAssociationScopes(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		contact, company := a.create("contacts", props{"email": "ada@example.org"}), a.create("companies", props{"name": "Vance"})
		path := "/crm/v4/objects/contacts/" + contact + "/associations/default/companies/" + company
		for _, scopes := range []string{"oauth crm.objects.contacts.write", "oauth crm.objects.contacts.read crm.objects.companies.read", "oauth crm.objects.companies.write"} {
			if r := a.with(scopes).want(403, "PUT", path, ""); r.str("category") != "MISSING_SCOPES" {
				t.Errorf("with %s: %s", scopes, r.raw)
			}
		}
		a.with("oauth crm.objects.contacts.write crm.objects.companies.write").want(200, "PUT", path, "")
		a.with("oauth crm.objects.contacts.read").want(403, "GET", "/crm/v4/objects/contacts/"+contact+"/associations/companies", "")
		// Reading a contact with its companies takes both, too.
		a.with("oauth crm.objects.contacts.read").want(403, "GET", "/crm/v3/objects/contacts/"+contact+"?associations=companies", "")
	})
}

func TestAssociationsV3(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		contact, company := a.create("contacts", props{"email": "ada@example.org"}), a.create("companies", props{"name": "Vance"})
		one := inputs(`{"from":{"id":"` + contact + `"},"to":{"id":"` + company + `"},"type":"contact_to_company"}`)
		a.want(201, "POST", "/crm/v3/associations/contact/company/batch/create", one)
		r := a.want(200, "POST", "/crm/v3/associations/contacts/companies/batch/read", inputs(`{"id":"`+contact+`"}`))
		if r.str("results.0.to.0.id") != company {
			t.Errorf("read: %s", r.raw)
		}
		names := a.want(200, "GET", "/crm/v3/associations/contact/company/types", "")
		if names.str("results.0.name") == "" || names.str("results.0.id") == "" {
			t.Errorf("types: %s", names.raw)
		}
		// Ending what is primary leaves the two associated; ending the unlabelled one ends all.
		a.want(204, "POST", "/crm/v3/associations/contact/company/batch/archive", one)
		a.want(200, "POST", "/crm/v3/associations/contact/company/batch/read", inputs(`{"id":"`+contact+`"}`))
		a.want(204, "POST", "/crm/v3/associations/contact/company/batch/archive", inputs(`{"from":{"id":"`+contact+`"},"to":{"id":"`+company+`"},"type":"contact_to_company_unlabeled"}`))
		a.want(207, "POST", "/crm/v3/associations/contact/company/batch/read", inputs(`{"id":"`+contact+`"}`))
		a.want(200, "PUT", "/crm/v3/objects/contacts/"+contact+"/associations/companies/"+company+"/279", "")
		a.want(204, "DELETE", "/crm/v3/objects/contacts/"+contact+"/associations/companies/"+company+"/279", "")
	})
}
