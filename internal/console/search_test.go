package console

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"postern.dev/postern"
)

func searchViews(c func() Common) map[string][]view {
	return map[string][]view{
		"search": {&searchView{}, &searchView{Common: c(), Q: polyglot, Secret: true, Total: 9, Groups: []foundGroup{{polyglot, "keys", []found{{"Key", "key", polyglot, polyglot, "/keys", 1}}, 8}}}, &searchView{Common: c(), Q: polyglot}},
	}
}

// TestSearchFinds: keys by name, last four and key ID; scopes, endpoints, pages and people.
func TestSearchFinds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		keys := w.fixture()
		nia := w.member("nia@example.com", "Nia Park", postern.RoleViewer)
		b := w.login()
		k := keys["brand-new"]
		for q, want := range map[string]string{
			"BRAND": "brand-new", string(k.ID): "brand-new", k.Current.LastFour: "brand-new", "deals.wr": "Change deals", "change con": "contacts.write",
			"/invoices": "GET /invoices", "audit l": "/audit", "8a8943d8-4d24-4fde-930d-ed516a240a76": "Calls with this request number", "Nia": "nia@example.com", "python": "stock-levels-to-erp",
		} {
			b.get("/search?q="+url.QueryEscape(q)).want(200, want)
			var got struct{ Items []found }
			if err := json.Unmarshal([]byte(b.get("/search.json?q="+url.QueryEscape(q)).want(200).body), &got); err != nil || len(got.Items) == 0 {
				t.Errorf("%q proposes %d things, %v", q, len(got.Items), err)
			}
		}
		b.get("/search?q=zzzzzz").want(200, "Nothing found for")
		b.get("/search").want(200, "What are you looking for?")
		// A viewer may not see people.
		w.login(nia).get("/search?q=maya").want(200, "Nothing found").not("maya@example.com")
	})
}

// TestSearchRefusesSecrets: nothing that looks like a secret is looked for, said
// again, or written anywhere.
func TestSearchRefusesSecrets(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		for _, secret := range []string{
			postern.NewSecret("pst", postern.SecretServiceKey, "0123456789abcdef").Reveal(), "pst_sk_0123456789abcdef_Zq9", "pat-na1-11223344-5566-7788-99aa-bbccddeeff00",
			"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "Bearer abcdefghijk", strings.Repeat("aB3", 20),
		} {
			b.get("/search?q=" + url.QueryEscape(secret)).to("/search?secret=1")
			b.get("/search.json?q="+url.QueryEscape(secret)).want(422, secretWords).not(secret)
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
		}
		b.get("/search?secret=1").want(200, "That looks like a secret.", "We did not send it anywhere. Search with its last 4 characters.")
		for _, fine := range []string{"9f3K", "0123456789abcdef", "finance-invoice-export", "/crm/v3/objects/contacts/batch/update", "crm.schemas.companies.sensitive.read.v2", "pst_sk"} {
			if hasSecret(fine) {
				t.Errorf("%q is taken for a secret", fine)
			}
		}
	})
}
