package crm_test

import (
	"testing"
	"time"

	"postern.dev/postern/internal/crm"
)

func TestSeed(t *testing.T) {
	both(t, func(t *testing.T, target string) {
		a := newAPI(t, target)
		began := time.Now()
		sum, err := a.s.Seed(t.Context(), "acc_A", crm.SeedOptions{Now: t0})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seeded %+v in %s", sum, time.Since(began).Round(time.Millisecond))
		again, err := a.s.Seed(t.Context(), "acc_A", crm.SeedOptions{Now: t0})
		if err != nil || again.Seeded {
			t.Errorf("a second Seed = %+v, %v", again, err)
		}
		for kind, n := range map[string]int{"contacts": sum.Contacts, "companies": sum.Companies, "deals": sum.Deals, "tickets": sum.Tickets} {
			r := a.want(200, "POST", "/crm/v3/objects/"+kind+"/search", `{"limit":1}`)
			if got := r.str("total"); got != itoa(n) {
				t.Errorf("%s: %s found, want %d", kind, got, n)
			}
		}
		deals := a.want(200, "GET", "/crm/v3/objects/deals?limit=2&associations=contacts,companies&propertiesWithHistory=dealstage", "")
		golden(t, "seeded_deals.json", deals.raw)
		if got := a.want(200, "GET", "/crm/v3/owners/", "").ids(); len(got) != 8 {
			t.Errorf("%d owners, want 8", len(got))
		}
		won := a.want(200, "POST", "/crm/v3/objects/deals/search", `{"filters":[{"propertyName":"hs_is_closed_won","operator":"EQ","value":true}]}`)
		if won.str("total") < "100" {
			t.Errorf("%s deals are won", won.str("total"))
		}
		recent := a.want(200, "POST", "/crm/v3/objects/contacts/search", `{"filters":[{"propertyName":"lastmodifieddate","operator":"GTE","value":"2026-02-26"}]}`)
		if recent.str("total") == "0" {
			t.Error("no contact changed in the last week")
		}
		// Every derived number agrees with the associations, so that the next change of one moves it by one.
		r := a.want(200, "POST", "/crm/v3/objects/companies/search", `{"sorts":["-num_associated_contacts"],"limit":1,"properties":["num_associated_contacts"]}`)
		id, n := r.str("results.0.id"), r.str("results.0.properties.num_associated_contacts")
		links := a.want(200, "GET", "/crm/v4/objects/companies/"+id+"/associations/contacts?limit=500", "")
		if list := links.at("results").([]any); itoa(len(list)) != n {
			t.Errorf("company %s has %d contacts and says %s", id, len(list), n)
		}
		empty := a.as("acc_B", "4343").want(200, "GET", "/crm/v3/objects/deals", "")
		if len(empty.ids()) != 0 {
			t.Errorf("another account has the seeded deals: %v", empty.ids())
		}
	})
}
