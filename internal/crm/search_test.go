package crm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// people makes five contacts an hour apart, and gives their ids.
func people(a *api) []string {
	var ids []string
	for _, p := range []props{
		{"email": "ada@example.org", "firstname": "Ada", "lastname": "Vance", "lifecyclestage": "lead", "jobtitle": "Head of data", "annualrevenue": "7"},
		{"email": "bo@example.org", "firstname": "Bo", "lastname": "Vance", "lifecyclestage": "customer", "annualrevenue": "70"},
		{"email": "cy@other.example", "firstname": "Cy", "lastname": "Marsh", "lifecyclestage": "customer", "annualrevenue": "700.5"},
		{"email": "di@other.example", "firstname": "Di", "lifecyclestage": "subscriber"},
		{"firstname": "ADA", "lastname": "O'Hara"},
	} {
		ids = append(ids, a.create("contacts", p))
		a.clock.add(time.Hour)
	}
	return ids
}

func TestSearchOperators(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		ids := people(a)
		made := func(i int) int64 { return t0.Add(time.Duration(i) * time.Hour).UnixMilli() }
		for _, c := range []struct {
			filters string
			want    string // positions, from 0
		}{
			{`{"propertyName":"firstname","operator":"EQ","value":"ada"}`, "04"},
			{`{"propertyName":"firstname","operator":"NEQ","value":"ada"}`, "123"},
			{`{"propertyName":"lastname","operator":"NEQ","value":"Vance"}`, "234"},
			{`{"propertyName":"lifecyclestage","operator":"EQ","value":"customer"}`, "12"},
			{`{"propertyName":"lifecyclestage","operator":"EQ","value":"Customer"}`, ""},
			{`{"propertyName":"lifecyclestage","operator":"IN","values":["lead","subscriber"]}`, "034"},
			{`{"propertyName":"lifecyclestage","operator":"NOT_IN","values":["lead","subscriber"]}`, "12"},
			{`{"propertyName":"lastname","operator":"HAS_PROPERTY"}`, "0124"},
			{`{"propertyName":"lastname","operator":"NOT_HAS_PROPERTY","value":null}`, "3"},
			{`{"propertyName":"email","operator":"CONTAINS_TOKEN","value":"*@example.org"}`, "01"},
			{`{"propertyName":"email","operator":"NOT_CONTAINS_TOKEN","value":"*@example.org"}`, "234"},
			{`{"propertyName":"jobtitle","operator":"CONTAINS_TOKEN","value":"data head"}`, "0"},
			{`{"propertyName":"jobtitle","operator":"CONTAINS_TOKEN","value":"dat"}`, ""},
			{`{"propertyName":"jobtitle","operator":"CONTAINS_TOKEN","value":"dat*"}`, "0"},
			{`{"propertyName":"hs_object_id","operator":"GT","value":"` + ids[2] + `"}`, "34"},
			{`{"propertyName":"hs_object_id","operator":"IN","values":["` + ids[1] + `","` + ids[3] + `"]}`, "13"},
			{fmt.Sprintf(`{"propertyName":"createdate","operator":"GTE","value":"%d"}`, made(3)), "34"},
			{fmt.Sprintf(`{"propertyName":"createdate","operator":"LT","value":%d}`, made(1)), "0"},
			{`{"propertyName":"hs_createdate","operator":"GTE","value":"2026-03-05T14:00:00.100+01:00"}`, "34"},
			{`{"propertyName":"lastmodifieddate","operator":"BETWEEN","value":"2026-03-05T11:00:00Z","highValue":"2026-03-05T12:00:00.100Z"}`, "12"},
			{`{"propertyName":"hs_lastmodifieddate","operator":"GT","value":"2026-03-05T13:00:00.100Z"}`, "4"},
			{`{"propertyName":"firstname","operator":"EQ","value":"Ada"},{"propertyName":"lastname","operator":"EQ","value":"Vance"}`, "0"},
			{`{"propertyName":"lastname","operator":"EQ","value":"o'hara"}`, "4"},
			{`{"propertyName":"lastname","operator":"EQ","value":"' or 1=1 --"}`, ""},
			{`{"propertyName":"email","operator":"CONTAINS_TOKEN","value":"*%*"}`, ""},
			{`{"propertyName":"email","operator":"CONTAINS_TOKEN","value":"*_*"}`, ""},
		} {
			r := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"filterGroups":[{"filters":[`+c.filters+`]}]}`)
			var got strings.Builder
			for _, id := range r.ids() {
				fmt.Fprint(&got, slices.Index(ids, id))
			}
			if got.String() != c.want || r.str("total") != itoa(len(c.want)) {
				t.Errorf("%s: found %q of %s, want %q", c.filters, got.String(), r.str("total"), c.want)
			}
		}
	})
}

func TestSearchNumbers(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		var ids []string
		for _, amount := range []string{"7", "70", "700.5", "-1", "1e3", ""} {
			ids = append(ids, a.create("deals", props{"dealname": "d" + amount, "dealstage": "contractsent", "amount": amount}))
		}
		for _, c := range []struct{ filter, want string }{
			{`"operator":"EQ","value":"7.0"`, "0"},
			{`"operator":"GT","value":"8"`, "124"},
			{`"operator":"LTE","value":70`, "013"},
			{`"operator":"BETWEEN","value":"-1","highValue":"70"`, "013"},
			{`"operator":"IN","values":["700.50","1000"]`, "24"},
			{`"operator":"NOT_HAS_PROPERTY"`, "5"},
			{`"operator":"NEQ","value":"7"`, "12345"},
		} {
			r := a.want(200, "POST", "/crm/v3/objects/deals/search", `{"filters":[{"propertyName":"amount",`+c.filter+`}]}`)
			got := ""
			for _, id := range r.ids() {
				got += itoa(slices.Index(ids, id))
			}
			if got != c.want {
				t.Errorf("%s: found %q, want %q", c.filter, got, c.want)
			}
		}
		sorted := a.want(200, "POST", "/crm/objects/2026-03/deals/search", `{"sorts":[{"propertyName":"amount","direction":"DESCENDING"}],"filters":[{"propertyName":"amount","operator":"HAS_PROPERTY"}]}`)
		if got, want := sorted.ids(), []string{ids[4], ids[2], ids[1], ids[0], ids[3]}; !slices.Equal(got, want) {
			t.Errorf("by amount, largest first: %v, want %v", got, want)
		}
	})
}

func TestSearchPages(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		ids := people(a)
		walk := func(sort string) (got []string) {
			after := "0"
			for range ids {
				r := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"limit":"2","after":`+after+`,"sorts":[`+sort+`],"properties":["email","nonsense"]}`)
				if r.str("total") != "5" {
					t.Fatalf("total = %s, want 5", r.str("total"))
				}
				got = append(got, r.ids()...)
				if r.at("paging") == nil {
					break
				}
				after = `"` + r.str("paging.next.after") + `"`
			}
			return got
		}
		back := slices.Clone(ids)
		slices.Reverse(back)
		for sort, want := range map[string][]string{
			``: ids, `"createdate"`: ids, `"-createdate"`: back,
			`{"propertyName":"createdate","direction":"DESCENDING"}`:      back,
			`{"propertyName":"hs_object_id","direction":"ASCENDING"}`:     ids,
			`{"propertyName":"lastmodifieddate","direction":"ASCENDING"}`: ids,
		} {
			if got := walk(sort); !slices.Equal(got, want) {
				t.Errorf("sorted by %s: %v, want %v", sort, got, want)
			}
		}

		first := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{}`)
		if len(first.ids()) != 5 || first.at("paging") != nil {
			t.Errorf("an empty search: %s", first.raw)
		}
		for query, want := range map[string][]string{"vance": ids[:2], "ADA": {ids[0], ids[4]}, "example.org vance": ids[:2], "nobody": {}} {
			if got := a.want(200, "POST", "/crm/v3/objects/contacts/search", fmt.Sprintf(`{"query":%q}`, query)).ids(); !slices.Equal(got, want) {
				t.Errorf("query %q: %v, want %v", query, got, want)
			}
		}

		a.want(204, "DELETE", "/crm/v3/objects/contacts/"+ids[0], "")
		if got := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"filters":[{"propertyName":"hs_object_id","operator":"EQ","value":"`+ids[0]+`"}]}`); got.str("total") != "0" {
			t.Errorf("an archived contact is found: %s", got.raw)
		}
		a.want(200, "PATCH", "/crm/v3/objects/contacts/"+ids[1], `{"properties":{"firstname":"Beau"}}`)
		if got := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"query":"beau"}`).ids(); !slices.Equal(got, ids[1:2]) {
			t.Errorf("a change isn't found at once: %v", got)
		}
	})
}

func TestSearchRefusals(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		group := `{"filters":[{"propertyName":"email","operator":"HAS_PROPERTY"}]}`
		for name, body := range map[string]string{
			"unknown_filter":   `{"filters":[{"propertyName":"shoe_size","operator":"EQ","value":"44"}]}`,
			"unknown_sort":     `{"sorts":["shoe_size"]}`,
			"unknown_operator": `{"filters":[{"propertyName":"email","operator":"LIKE","value":"x"}]}`,
			"no_value":         `{"filters":[{"propertyName":"email","operator":"EQ"}]}`,
			"no_values":        `{"filters":[{"propertyName":"email","operator":"IN","values":[]}]}`,
			"bad_number":       `{"filters":[{"propertyName":"hs_object_id","operator":"GT","value":"ten"}]}`,
			"bad_date":         `{"filters":[{"propertyName":"createdate","operator":"GT","value":"soon"}]}`,
			"limit":            `{"limit":201}`,
			"limit_zero":       `{"limit":-1}`,
			"window":           `{"limit":200,"after":"9900"}`,
			"after":            `{"after":"abc"}`,
			"groups":           `{"filterGroups":[` + strings.TrimSuffix(strings.Repeat(group+",", 6), ",") + `]}`,
			"query":            `{"query":"` + strings.Repeat("a", 3001) + `"}`,
		} {
			r := a.want(400, "POST", "/crm/v3/objects/contacts/search", body)
			if r.str("category") != "VALIDATION_ERROR" || r.str("message") == "" {
				t.Errorf("%s: %s", name, r.raw)
			}
			golden(t, "refused/search_"+name+".json", r.raw)
		}
		if r := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"limit":200,"after":"9800"}`); len(r.ids()) != 0 {
			t.Errorf("the end of the window: %s", r.raw)
		}
	})
}

// All searches of an account share five a second; those of another account don't count.
func TestSearchRate(t *testing.T) {
	a := newAPI(t, t.TempDir()+"/crm.db", func(c *crmConfig) { c.SearchPerSecond = 5 })
	for i := range 5 {
		a.want(200, "POST", "/crm/v3/objects/"+[]string{"contacts", "deals"}[i%2]+"/search", "{}")
	}
	r := a.want(429, "POST", "/crm/v3/objects/contacts/search", "{}")
	if r.str("message") != "You have reached your secondly limit." || r.str("policyName") != "SECONDLY" || r.str("category") != "RATE_LIMITS" || r.header.Get("Retry-After") != "1" {
		t.Errorf("the sixth search in a second: %s %v", r.raw, r.header)
	}
	a.want(200, "GET", "/crm/v3/objects/contacts", "")
	a.as("acc_B", "4343").want(200, "POST", "/crm/v3/objects/contacts/search", "{}")
	a.clock.add(time.Second)
	a.want(200, "POST", "/crm/v3/objects/contacts/search", "{}")
}
