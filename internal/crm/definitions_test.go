package crm_test

import "testing"

func TestProperties(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		q := "/crm/v3/properties/contacts"
		a.want(201, "POST", q+"/groups", `{"name":"sync_fields","label":"Sync fields","displayOrder":-1}`)
		a.want(409, "POST", q+"/groups", `{"name":"sync_fields","label":"Again"}`)
		season := `{"name":"favourite_season","label":"Favourite season","type":"enumeration","fieldType":"select","groupName":"sync_fields","options":[{"label":"Winter","value":"winter","displayOrder":0,"hidden":false}]}`
		golden(t, "create_property.json", a.want(201, "POST", q, season).raw)
		taken := a.want(409, "POST", q, season)
		if taken.str("category") != "OBJECT_ALREADY_EXISTS" || taken.str("subCategory") != "Properties.PROPERTY_WITH_NAME_EXISTS" || taken.str("context.name.0") != "favourite_season" {
			t.Errorf("a name taken: %s", taken.raw)
		}
		for _, body := range []string{
			`{"name":"x","label":"X","type":"enumeration","fieldType":"text","groupName":"sync_fields"}`,
			`{"name":"9x","label":"X","type":"string","fieldType":"text","groupName":"sync_fields"}`,
			`{"name":"x","label":"X","type":"string","fieldType":"text","groupName":"nowhere"}`,
			`{"name":"x","type":"string","fieldType":"text","groupName":"sync_fields"}`,
			`{"name":"x","label":"X","type":"enumeration","fieldType":"select","groupName":"sync_fields"}`,
		} {
			a.want(400, "POST", q, body)
		}
		id := a.create("contacts", props{"favourite_season": "winter"})
		a.want(400, "PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"favourite_season":"Winter"}}`)
		a.want(200, "PATCH", q+"/favourite_season", `{"options":[{"label":"Winter","value":"winter"},{"label":"Summer","value":"summer"}]}`)
		a.want(200, "PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"favourite_season":"summer"}}`)

		full := a.want(400, "DELETE", q+"/groups/sync_fields", "")
		if full.str("subCategory") != "PropertyGroupError.GROUP_WITH_ACTIVE_PROPERTIES" {
			t.Errorf("a group in use: %s", full.raw)
		}
		a.want(204, "DELETE", q+"/favourite_season", "")
		a.want(404, "GET", q+"/favourite_season", "")
		a.want(200, "GET", q+"/favourite_season?archived=true", "")
		a.want(204, "DELETE", q+"/groups/sync_fields", "")
		a.want(400, "PATCH", q+"/hs_object_id", `{"label":"Mine"}`)
		a.want(400, "DELETE", q+"/hs_object_id", "")
		a.want(207, "POST", q+"/batch/create", inputs(`{"name":"age","label":"Age","type":"number","fieldType":"number","groupName":"contactinformation"}`,
			`{"name":"email","label":"Mail","type":"string","fieldType":"text","groupName":"contactinformation"}`))
		if r := a.want(200, "POST", q+"/batch/read", inputs(`{"name":"age"}`)); r.str("results.0.type") != "number" {
			t.Errorf("batch read: %s", r.raw)
		}
		a.want(204, "POST", q+"/batch/archive", inputs(`{"name":"age"}`, `{"name":"none"}`))

		// Definitions of a type can be read with any of the type's scopes, and of no other.
		a.with("oauth crm.objects.deals.read").want(200, "GET", "/crm/properties/2026-03/deals", "")
		a.with("oauth crm.objects.deals.read").want(403, "GET", q, "")
		a.with("oauth crm.objects.contacts.write").want(403, "POST", q, season)
		// Another account has none of it.
		a.as("acc_B", "4343").want(404, "GET", q+"/age", "")
	})
}

func TestPipelines(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		golden(t, "deal_pipelines.json", a.want(200, "GET", "/crm/v3/pipelines/deals", "").raw)
		tickets := a.want(200, "GET", "/crm/v3/pipelines/tickets/0/stages", "")
		if tickets.str("results.3.id") != "4" || tickets.str("results.3.metadata.ticketState") != "CLOSED" {
			t.Errorf("the stages of tickets: %s", tickets.raw)
		}
		made := a.want(201, "POST", "/crm/v3/pipelines/deals", `{"label":"Renewals","displayOrder":1,"stages":[{"label":"Due","displayOrder":0,"metadata":{"probability":"0.5"}},{"label":"Renewed","displayOrder":1,"metadata":{"probability":"1.0"}}]}`)
		id, due := made.str("id"), made.str("stages.0.id")
		if made.str("stages.1.metadata.isClosed") != "true" || made.str("stages.0.metadata.isClosed") != "false" {
			t.Errorf("a stage of certainty is closed: %s", made.raw)
		}
		for _, body := range []string{`{"label":"Renewals","displayOrder":1,"stages":[{"label":"a","displayOrder":0,"metadata":{"probability":"0.5"}}]}`,
			`{"label":"None","displayOrder":1,"stages":[]}`, `{"label":"No odds","displayOrder":1,"stages":[{"label":"a","displayOrder":0,"metadata":{}}]}`,
			`{"label":"Odd","displayOrder":1,"stages":[{"label":"a","displayOrder":0,"metadata":{"probability":"1.5"}}]}`} {
			if r := a.do("POST", "/crm/v3/pipelines/deals", body); r.status != 400 && r.status != 409 {
				t.Errorf("%s = %d %s", body, r.status, r.raw)
			}
		}
		deal := a.create("deals", props{"dealname": "Vance", "pipeline": id, "dealstage": due, "amount": "100"})
		a.want(400, "PATCH", "/crm/v3/objects/deals/"+deal, `{"properties":{"pipeline":"default"}}`)
		a.want(400, "PATCH", "/crm/v3/objects/deals/"+deal, `{"properties":{"dealstage":"closedwon"}}`)
		won := a.want(200, "PATCH", "/crm/v3/objects/deals/"+deal, `{"properties":{"pipeline":"default","dealstage":"closedwon"}}`)
		if won.str("properties.hs_is_closed_won") != "true" {
			t.Errorf("a deal that was won: %s", won.raw)
		}
		a.want(200, "PATCH", "/crm/v3/pipelines/deals/"+id, `{"label":"Renewals and more"}`)
		extra := a.want(201, "POST", "/crm/v3/pipelines/deals/"+id+"/stages", `{"label":"Talking","displayOrder":1,"metadata":{"probability":"0.6"}}`)
		a.want(200, "PATCH", "/crm/v3/pipelines/deals/"+id+"/stages/"+extra.str("id"), `{"label":"In talks"}`)
		a.want(204, "DELETE", "/crm/v3/pipelines/deals/"+id+"/stages/"+extra.str("id"), "")
		a.want(204, "DELETE", "/crm/v3/pipelines/deals/"+id, "")
		a.want(404, "GET", "/crm/v3/pipelines/deals/"+id, "")
	})
}

func TestSchemas(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		rover := `{"name":"rover","labels":{"singular":"Rover","plural":"Rovers"},"primaryDisplayProperty":"plate","requiredProperties":["plate"],"searchableProperties":["plate","model"],
			"associatedObjects":["CONTACT"],"properties":[{"name":"plate","label":"Plate","type":"string","fieldType":"text","hasUniqueValue":true},{"name":"model","label":"Model","type":"string","fieldType":"text"}]}`
		made := a.want(201, "POST", "/crm-object-schemas/v3/schemas", rover)
		kind := made.str("objectTypeId")
		if made.str("fullyQualifiedName") != "p4242_rover" || made.at("associations.0") == nil {
			t.Errorf("made: %s", made.raw)
		}
		one := a.create("p4242_rover", props{"plate": "AB 12", "model": "North"})
		for _, name := range []string{"rover", "p_rover", kind, "P4242_ROVER"} {
			a.want(200, "GET", "/crm/v3/objects/"+name+"/"+one, "")
		}
		a.want(400, "POST", "/crm/v3/objects/rover", `{"properties":{"model":"South"}}`)
		twice := a.want(400, "POST", "/crm/v3/objects/rover", `{"properties":{"plate":"AB 12"}}`)
		if twice.str("errors.0.code") != "CONFLICTING_UNIQUE_VALUE" {
			t.Errorf("a value that another has: %s", twice.raw)
		}
		if got := a.want(200, "GET", "/crm/v3/objects/rover/AB%2012?idProperty=plate", "").str("id"); got != one {
			t.Errorf("by plate: %s, want %s", got, one)
		}
		if got := a.want(200, "POST", "/crm/v3/objects/rover/search", `{"query":"north"}`).str("total"); got != "1" {
			t.Errorf("found %s", got)
		}
		a.want(200, "GET", "/crm/v3/schemas/contacts", "")
		a.as("acc_B", "4343").want(400, "GET", "/crm/v3/objects/"+kind, "")
		a.want(400, "DELETE", "/crm/v3/schemas/rover", "")
		a.want(204, "DELETE", "/crm/v3/objects/rover/"+one, "")
		a.want(204, "DELETE", "/crm/v3/schemas/rover", "")
		a.want(204, "DELETE", "/crm/v3/schemas/"+kind+"?archived=true", "")
		a.want(201, "POST", "/crm/v3/schemas", rover)
	})
}

func TestAccountAndOwners(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		bare := a.with("oauth")
		if r := bare.want(200, "GET", "/account-info/v3/details", ""); r.str("portalId") != "4242" || r.str("uiDomain") == "" {
			t.Errorf("details: %s", r.raw)
		}
		if r := bare.want(200, "GET", "/account-info/2026-03/api-usage/daily/private-apps", ""); r.str("results.0.fetchStatus") != "SUCCESS" {
			t.Errorf("usage: %s", r.raw)
		}
		bare.want(403, "GET", "/crm/v3/owners/", "")
		if r := a.want(200, "GET", "/crm/v3/owners/?limit=500", ""); r.at("results") == nil {
			t.Errorf("owners: %s", r.raw)
		}
		a.want(404, "GET", "/crm/v3/owners/999999", "")
		a.want(400, "GET", "/crm/v3/owners?limit=501", "")
	})
}
