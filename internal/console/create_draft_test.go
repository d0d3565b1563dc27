package console

import (
	"context"
	"fmt"
	"html"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// policy changes the account's security policy.
func (w *world) policy(change func(*postern.Policy)) {
	w.t.Helper()
	p := must(w.kr.Policy(context.Background(), w.super))(w.t)
	change(&p)
	must(w.kr.SetPolicy(context.Background(), w.super, p))(w.t)
}

var (
	inputIn    = regexp.MustCompile(`<input[^>]*>`)
	textareaIn = regexp.MustCompile(`(?s)<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>`)
	attrIn     = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
	formsIn    = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="(/keys[^"]*)"[^>]*>.*?</form>|<form[^>]*action="(/keys[^"]*)"[^>]*method="post"[^>]*>.*?</form>`)
)

// fields are what a browser without scripts would send of the page's form.
func (p *page) fields() url.Values {
	p.t.Helper()
	all := formsIn.FindString(p.body)
	if all == "" {
		p.t.Fatalf("the page has no form: %.400s", text(p.body))
	}
	v := url.Values{}
	for _, tag := range inputIn.FindAllString(all, -1) {
		at := map[string]string{}
		for _, m := range attrIn.FindAllStringSubmatch(strings.TrimPrefix(tag, "<input"), -1) {
			if _, has := at[m[1]]; !has {
				at[m[1]] = html.UnescapeString(m[2])
			}
		}
		_, checked := at["checked"]
		_, disabled := at["disabled"]
		if at["name"] == "" || disabled || (at["type"] == "checkbox" || at["type"] == "radio") && !checked {
			continue
		}
		v.Add(at["name"], at["value"])
	}
	for _, m := range textareaIn.FindAllStringSubmatch(all, -1) {
		v.Add(m[1], html.UnescapeString(m[2]))
	}
	return v
}

// submit sends the page's form with some values set, and follows where it leads.
func (b *browser) submit(p *page, to string, pairs ...string) *page {
	b.w.t.Helper()
	v := p.fields()
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	var all []string
	for name, values := range v {
		for _, one := range values {
			all = append(all, name, one)
		}
	}
	p = b.post(to, all...)
	if p.status != 303 {
		return p
	}
	if at := p.header.Get("Location"); len(at) > 500 {
		b.w.t.Errorf("the next address has %d characters", len(at))
	}
	return b.goes(p.header.Get("Location"))
}

// Three hundred scopes go through all steps of the form without scripts, and every
// address on the way is short.
func TestCreateManyScopes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const n = 300
		var doc, scopes strings.Builder
		for i := range n {
			fmt.Fprintf(&doc, "  /things-%d: {get: {operationId: list%d, security: [{keys: [crm.objects.custom.things-%d.read]}]}}\n", i, i, i)
			fmt.Fprintf(&scopes, "crm.objects.custom.things-%d.read: Read things %d, ", i, i)
		}
		cat, _, err := catalog.Parse(t.Context(), []catalog.Source{{Name: "big.yaml", Data: []byte("openapi: 3.1.0\ninfo: {title: Big, version: \"1\"}\npaths:\n" + doc.String() +
			"components:\n  securitySchemes:\n    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {" + strings.TrimSuffix(scopes.String(), ", ") + "}}}}\n")}}, catalog.Options{Upstream: "crm"})
		if err != nil {
			t.Fatal(err)
		}
		must(w.kr.LoadCatalog(t.Context(), w.super, "crm", cat, false))(t)
		b := w.login()
		p := b.submit(b.goes("/keys/new"), "/keys/new", "name", "all of it", "use", "wh", "step", "2").want(200, "What may it do?")
		p = b.submit(p, "/keys/new", "preset", "everything").want(200, "300 of 300 endpoints")
		// Searching and going on keeps what no row shows.
		p = b.submit(p, "/keys/new", "q", "things-299", "step", "2").want(200, "things-299")
		p = b.submit(p, "/keys/new", "step", "3", "q", "").want(200, "Check it, then create it", "300 of 300 endpoints", "all-of-it")
		b.submit(p, "/keys", "expires", "2027-01-31").want(200, "Key created. Copy the secret now.")
		if k := must(w.kr.KeyNamed(t.Context(), w.super, "all-of-it"))(t); len(k.Scopes) != n {
			t.Errorf("the key has %d scopes, want %d", len(k.Scopes), n)
		}
	})
}

// Back and reload find what was typed; nothing of it is in an address, and nobody
// else finds it.
func TestCreateDraft(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		first := b.get("/keys/new").header.Get("Location")
		p := b.get(first).want(200, "What is this key for?", `action="/keys/new" method="post"`).not(`action="/keys/new" method="get"`)
		one := b.post("/keys/new", "draft", p.fields().Get("draft"), "name", "Sales board", "use", "script", "note", "See ticket 12", "step", "2").header.Get("Location")
		if strings.Contains(one, "ales") || strings.Contains(one, "ticket") {
			t.Errorf("the address %s holds what was typed", one)
		}
		p = b.get(one).want(200, "What may it do?")
		b.get(first).want(200, `value="sales-board"`, `value="See ticket 12"`, `id="use-script" value="script" checked`) // Back
		p = b.submit(p, "/keys/new", "scope", "deals.read", "step", "3").want(200, "Read deals", "Check it, then create it")
		b.get(one).want(200, `value="deals.read" checked`) // Back
		// What was typed in the last step is there after a look at the others, with the same token of the form.
		fields := p.fields()
		p = b.submit(p, "/keys/new", "expires", "on", "expiresOn", "2026-12-24", "where", "some", "networks", "203.0.113.7", "calls", "12", "step", "1", "_form", fields.Get("_form")).want(200, `value="sales-board"`)
		p = b.submit(p, "/keys/new", "name", "sales-board-2", "step", "3").want(200, `value="2026-12-24"`, "203.0.113.7", `value="12"`, "sales-board-2")
		b.submit(p, "/keys/new", "name", "x", "step", "1", "_form", fields.Get("_form")).want(200, `value="x"`) // the same token again, after Back
		b.goes(one).want(422, "A name has at least 3 characters.", `value="x"`)

		// A secret that was typed as a name is not kept anywhere.
		secret := "pst_sk_0123456789abcdef_" + strings.Repeat("a", 49)
		b.submit(b.goes("/keys/new"), "/keys/new", "name", secret, "note", secret, "use", "bi", "step", "2").want(422, "This holds a secret, which we did not keep.").not(secret, strings.Repeat("a", 49))
		if strings.Contains(w.log.String(), strings.Repeat("a", 49)) {
			t.Error("the log holds the secret")
		}
		// Another session doesn't find the draft, and it is over after two hours.
		other := w.login()
		other.get(one).to("/keys/new")
		other.get(first).want(200, "What is this key for?").not("sales")
		w.later(time.Second)
		for range draftsMost + 2 {
			b.post("/keys/new", "name", "other", "use", "bi", "step", "2")
		}
		b.get(one).to("/keys/new")
		late := b.post("/keys/new", "name", "later", "use", "bi", "step", "2").header.Get("Location")
		w.later(20 * time.Minute)
		b.get(late).want(200)
		for range 5 { // the session goes on
			w.later(20 * time.Minute)
			b.get("/keys").want(200)
		}
		b.get(late).to("/keys/new")
		b.goes("/keys/new").want(200, "What you typed was kept for 2 hours and is gone.")
		b.post("/keys/new", "name", "big", "use", "bi", "networks", strings.Repeat("203.0.113.7\n", 9000)).want(413, "more than one key can be made with")
	})
}

// The form follows the account's security policy.
func TestCreateByPolicy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		to := func(name, scope string) *page {
			t.Helper()
			return b.goes(link("/keys/new", "step", "3", "picked", "1", "use", "wh", "name", name, "scope", scope)).want(200, "Check it, then create it")
		}
		// Without limits a key need not end.
		p := to("forever", "deals.write").want(200, "No end", "In 1 year, 22 November 2027", "Your account does not limit how long a key lives.").not("security policy refuses")
		b.submit(p, "/keys", "expires", "never").want(200, "Key created.")
		if k := must(w.kr.KeyNamed(t.Context(), w.super, "forever"))(t); !k.ExpiresAt.IsZero() {
			t.Errorf("the key ends at %s, want no end", k.ExpiresAt)
		}
		p = to("far", "deals.read")
		b.submit(p, "/keys", "expires", "on", "expiresOn", "2031-01-01").want(200, "Key created.")

		w.policy(func(p *postern.Policy) { p.LongestLife, p.RemindExpiry, p.WriteNetworks = 90, []int{14, 3}, true })
		p = to("ninety", "deals.read").want(200, "In 30 days, 22 December 2026", `value="2027-02-20" selected>In 90 days, 20 February 2027`, "Your account allows at most 90 days. We remind the team 14 and 3 days before.", `max="2027-02-20"`).
			not("In 1 year", "No end", "security policy refuses")
		b.submit(p, "/keys", "expires", "on", "expiresOn", "2027-02-21").want(422, "Your account allows at most 90 days. Choose a day until 20 February 2027.")
		b.submit(p, "/keys", "expires", "never").want(422, "Your account asks every key for an end.")
		b.submit(p, "/keys", "expires", "2027-02-20").want(200, "Key created.")
		if k := must(w.kr.KeyNamed(t.Context(), w.super, "ninety"))(t); !k.ExpiresAt.Equal(time.Date(2027, 2, 21, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the key ends at %s, want the end of 20 February", k.ExpiresAt)
		}
		// Writing from anywhere is refused, which the review says before.
		p = to("writer", "deals.write").want(200, "The security policy refuses this key as it is.", "asks keys that can change records for an IP list", `id="where-some" value="some" checked`)
		b.submit(p, "/keys", "where", "any", "expires", "2026-12-22").want(422, "IP list", "The security policy refuses this key as it is.")
		b.submit(p, "/keys", "networks", "203.0.113.0/24", "expires", "2026-12-22").want(200, "Key created.")
		if k := must(w.kr.KeyNamed(t.Context(), w.super, "writer"))(t); len(k.Networks) != 1 || k.Networks[0] != netip.MustParsePrefix("203.0.113.0/24") {
			t.Errorf("networks = %v", k.Networks)
		}
		w.policy(func(p *postern.Policy) { p.LongestLife, p.RequireExpiry, p.RemindExpiry = 0, true, nil })
		to("asked", "deals.read").want(200, "Your account asks every key for an end.").not("No end", "We remind")
		w.policy(func(p *postern.Policy) { p.LongestLife = 730 })
		to("long", "deals.read").want(200, "Your account allows at most 2 years.", "In 2 years, 22 November 2028", `value="2027-11-22" selected`)
	})
}

// How long a key may go unused, and how old a secret may be, is what the account says.
func TestPolicyOfStates(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.createdKey("quiet-one", "deals.read").Key
		w.later(20 * 24 * time.Hour)
		w.login().get("/keys?tab=unused").want(200).not("quiet-one")
		w.login().get("/keys/"+string(k.ID)).want(200, "20 days old, rotate after 180").not(`class="late"`)
		w.policy(func(p *postern.Policy) { p.IdleAfter, p.RemindAge = 20, 15 })
		w.login().get("/keys?tab=unused").want(200, "quiet-one", "Unused 20 days")
		w.login().get("/keys/"+string(k.ID)).want(200, "20 days old, rotate after 15", `class="late"`)
		w.policy(func(p *postern.Policy) { p.IdleAfter, p.RemindAge = 0, 0 })
		w.login().get("/keys?tab=unused").want(200).not("quiet-one")
		w.login().get("/keys/"+string(k.ID)).want(200, "20 days old").not("rotate after", `class="late"`)
	})
}
