package console

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

var (
	secretIn = regexp.MustCompile(`<output id="secret"[^>]*>([^<]+)</output>`)
	draftIn  = regexp.MustCompile(`name="draft" value="([^"]+)"`)
)

// goes asks for a page and follows where it leads.
func (b *browser) goes(path string) *page {
	b.w.t.Helper()
	p := b.get(path)
	for n := 0; p.status == http.StatusSeeOther && n < 5; n++ {
		p = b.get(p.header.Get("Location"))
	}
	return p
}

// review is the last step's page with a draft, as someone comes to it.
func review(b *browser, pairs ...string) (form []string) {
	b.w.t.Helper()
	p := b.goes(link("/keys/new", append([]string{"step", "3", "picked", "1", "use", "bi"}, pairs...)...)).want(200, "Check it, then create it")
	m, tok := draftIn.FindStringSubmatch(p.body), formTokenIn.FindStringSubmatch(p.body)
	if m == nil || tok == nil {
		b.w.t.Fatal("the review has no draft")
	}
	tokens := formTokenIn.FindAllStringSubmatch(p.body, -1)
	return append([]string{"_form", tokens[len(tokens)-1][1], "draft", m[1], "use", "bi", "expires", "2027-11-22", "where", "any", "per", "10"}, pairs...)
}

func TestCreateKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.goes("/keys/new").want(200, "Create a service key", "A key is a password for another piece of software. You decide what it may touch.", "What will use it?", "Power BI, Tableau, Looker")
		b.goes("/keys/new?step=2&name=&use=bi").want(422, "Give the key a name", "What is this key for?", "Error: ")
		b.goes("/keys/new?step=2&name=sales+board&use=bi").want(200, "What may it do?", `name="name" value="sales-board"`, "Contacts", "Suggested: reporting, read only", "Nothing yet. Tick at least one scope.").not(`data-acc="Read" checked`, `.read" checked`, `.write" checked`)
		b.goes("/keys/new?step=2&name=sales+board&use=bi&preset=report").want(200, "What may it do?", `name="name" value="sales-board"`, "Contacts", "3 of 5 endpoints", "contacts, deals and invoices", "Change nothing",
			`value="contacts.read" checked`, `value="contacts.write" data-acc`).not(`value="contacts.write" checked`)
		b.goes("/keys/new?step=3&name=sales-board&use=bi&picked=1&scope=deals.read&note=See+ticket+12").want(200, "Read deals", "Change nothing", "In 1 year, 22 November 2027", "No end", "Your account does not limit how long a key lives. We remind the team 30, 7 and 1 day before.", "Yours now is 127.0.0.1", "See ticket 12").not("This key can change records.")
		b.goes("/keys/new?step=3&name=test&use=bi&picked=1&scope=deals.write").want(200, "This key can change records.", "Add, change and delete deals", "says little")

		form := review(b, "name", "sales-board", "note", "See ticket 12", "scope", "deals.read")
		p := b.post("/keys", form...).want(200, "Key created. Copy the secret now.", "Waiting for the first call", "Where to paste it")
		m := secretIn.FindStringSubmatch(p.body)
		if m == nil {
			t.Fatal("the page has no secret")
		}
		secret := m[1]
		if n := strings.Count(p.body, secret); n != 1 {
			t.Errorf("the secret is on the page %d times, want 1", n)
		}
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", got)
		}
		k := must(w.kr.KeyNamed(t.Context(), w.super, "sales-board"))(t)
		if want := time.Date(2027, 11, 23, 0, 0, 0, 0, time.UTC); !k.ExpiresAt.Equal(want) || k.Description != "See ticket 12" || len(k.Scopes) != 1 {
			t.Errorf("key = %+v, want it to end at %s with its note and one scope", k, want)
		}
		// Sent again it makes nothing, and shows nothing.
		b.post("/keys", form...).want(200, "This secret was shown once, at 22 Nov 2026, 09:00.", "rotate the key").not(secret)
		// So it does where the page's own token is another: after signing in again, say.
		again := append([]string(nil), form...)
		again[1] = b.token()
		b.post("/keys", again...).want(200, "This secret was shown once").not(secret)
		// A name that is taken comes with one that is free.
		b.post("/keys", review(b, "name", "other", "scope", "deals.read")...).want(200)
		b.goes("/keys/new?step=2&name=sales-board&use=bi").want(422, "A key named sales-board exists already. Try sales-board-2.", `value="sales-board"`)
		form = review(b, "name", "third-key", "scope", "deals.read")
		w.createdKey("third-key")
		b.post("/keys", form...).want(422, "A key named third-key exists already. Try third-key-2.", "What is this key for?")
		for _, at := range []string{"/keys", "/keys/" + string(k.ID) + "/first-call", "/keys/" + string(k.ID) + "/first-call.json", "/keys/" + string(k.ID) + "/postman.json"} {
			b.get(at).want(200).not(secret, secret[20:])
		}
		if strings.Contains(w.log.String(), secret[20:]) {
			t.Error("the log holds the secret")
		}
	})
}

func TestCreateLimits(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy(func(p *postern.Policy) { p.LongestLife = 365 })
		b := w.login()
		send := func(pairs ...string) *page {
			t.Helper()
			form := review(b, "name", "with-limits", "scope", "deals.read")
			v := url.Values{}
			for i := 0; i+1 < len(form); i += 2 {
				v.Set(form[i], form[i+1])
			}
			for i := 0; i+1 < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			var out []string
			for name := range v {
				out = append(out, name, v.Get(name))
			}
			return b.post("/keys", out...)
		}
		for _, c := range []struct{ name, value, want string }{
			{"expires", "on", "Choose the day on which the key ends."},
			{"expires", "2026-11-01", "That day is over."},
			{"expires", "2028-01-01", "Your account allows at most one year. Choose a day until 22 November 2027."},
			{"expires", "never", "Your account asks every key for an end."},
			{"notBefore", "soon", "Choose the first day"},
			{"notBefore", "2027-12-01", "The key would end before it starts."},
			{"where", "some", "Give at least one address"},
			{"calls", "many", "Give a number of calls"},
			{"per", "0", "Check it, then create it"},
		} {
			if c.name == "per" {
				send("calls", "5", "per", "0").want(422, "Give a number of calls", c.want)
				continue
			}
			send(c.name, c.value).want(422, c.want, "Error: ")
		}
		send("where", "some", "networks", "203.0.113.0/24\nnonsense").want(422, "nonsense is no address or range.", "203.0.113.0/24")
		send("where", "some", "networks", "203.0.113.0/24\r\n2001:db8::1", "calls", "1,000", "per", "60", "notBefore", "2026-12-01", "expires", "on", "expiresOn", "2027-01-31").want(200, "Key created.")
		k := must(w.kr.KeyNamed(t.Context(), w.super, "with-limits"))(t)
		if len(k.Networks) != 2 || k.Rate != (postern.Rate{Calls: 1000, Per: time.Minute}) || k.NotBefore.Format(time.DateOnly) != "2026-12-01" || k.ExpiresAt.Format(time.DateOnly) != "2027-02-01" {
			t.Errorf("key = %+v, want its limits", k)
		}
	})
}

// TestCreateContainment: nobody gives what they don't hold, whatever they send.
func TestCreateContainment(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		by := must(w.kr.InviteMember(t.Context(), w.super, keyring.NewMember{Email: "noor@example.com", Name: "Noor", RoleID: postern.RoleKeyManager,
			Scopes: postern.Grants{"deals.read", "deals.write", "contacts.read"}}))(t)
		b := w.login(postern.Actor{AccountID: w.account, MemberID: by.Member.ID})
		p := b.goes("/keys/new?step=2&name=crm-sync&use=wh&preset=everything").want(200, "You hold read only, so write is switched off.", "You don’t hold this, so you can’t pass it on.", `value="contacts.write" disabled`, `value="invoices.read" disabled`,
			"contacts and deals", "You can only give what you hold.")
		if strings.Contains(p.body, `value="invoices.read" checked`) {
			t.Error("a preset ticked what the member does not hold")
		}
		form := review(b, "name", "crm-sync", "scope", "deals.read")
		b.post("/keys", append(form, "scope", "invoices.read")...).want(403, "invoices.read", "What may it do?", `value="deals.read" checked`, "Error: ").not(`value="invoices.read" checked`)
		if _, err := w.kr.KeyNamed(t.Context(), w.super, "crm-sync"); err == nil {
			t.Error("the key was made")
		}
		// Copying takes over what is held, and says so.
		k := w.createdKey("all-of-it", "deals.read", "invoices.read").Key
		b.goes("/keys/new?copy="+string(k.ID)).want(200, "all-of-it", `name="scope" value="deals.read"`).not(`value="invoices.read"`)
		b.goes("/keys/new?step=2&name=crm-sync&use=bi&preset=copy&copy=all-of-it").want(200, "Some scopes were left out.", `value="deals.read" checked`)
		b.goes("/keys/new?step=2&name=crm-sync&use=bi&preset=copy&copy=nowhere").want(422, "There is no key named nowhere.")

		v := w.login(w.member("vera@example.com", "Vera", postern.RoleViewer))
		v.get("/keys/new").want(403, "Your role is Viewer")
		v.post("/keys", "name", "mine", "expires", "2027-01-01").want(403).not("Key created")
	})
}

func TestScopeSearch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		at := "/keys/new?step=2&name=abc-def&use=bi&picked=1&scope=contacts.read&q="
		b.goes(at+"invoice").want(200, `value="invoices.read"`, `type="hidden" name="scope" value="contacts.read"`).not(`value="deals.read"`)
		b.goes(at+"deals.write").want(200, `value="deals.write"`).not(`value="invoices.read"`)
		b.goes(at+"%2Fdeals").want(200, `value="deals.read"`, "<details open>").not(`value="invoices.read"`)
		b.goes(at+"https%3A%2F%2Fapi.example.com%2Fdeals%3Flimit%3D1").want(200, `value="deals.read"`).not(`value="invoices.read"`)
		b.goes(at+"zzz").want(200, "No scope matches. Try a resource name, or paste the path you want to call.").not(`value="deals.read"`)
		b.goes(at+"&show=chosen").want(200, `value="contacts.read" checked`).not(`value="deals.read"`)
		b.goes(at+"&preset=none").want(200, "Nothing yet. Tick at least one scope.")
		var found map[string]struct{ Eps []createEp }
		if err := json.Unmarshal([]byte(b.get("/keys/new/find?q=/invoices").want(200).body), &found); err != nil || len(found) != 1 {
			t.Errorf("found = %v, %v, want one row", found, err)
		}
		req := must(http.NewRequest("POST", w.url+"/keys/new/sum", strings.NewReader("scope=deals.write&scope=deals.read&scope=none")))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		var s createSum
		if err := json.Unmarshal([]byte(b.do(req).want(200).body), &s); err != nil || s.Reads != "deals" || s.Writes != "deals" || s.Chosen != 2 || s.Opened != 2 || s.Total != 5 {
			t.Errorf("sum = %+v, %v, want two endpoints for deals", s, err)
		}
		b.goes("/keys/new?step=2&use=bi&name=pst_sk_0123456789abcdef_" + strings.Repeat("a", 49)).want(422).not(strings.Repeat("a", 49))
	})
}

// waits is the state of a key's first call, as a script asks for it.
func waits(b *browser, k postern.ServiceKey) waitingPart {
	b.w.t.Helper()
	var p waitingPart
	if err := json.Unmarshal([]byte(b.get("/keys/"+string(k.ID)+"/first-call.json").want(200).body), &p); err != nil {
		b.w.t.Fatal(err)
	}
	return p
}

func (p *waitingPart) sentence() string {
	var b strings.Builder
	for _, bit := range p.Bits {
		b.WriteString(bit.Text)
	}
	return b.String()
}

func TestFirstCall(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := must(w.kr.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "first", Scopes: []postern.Scope{"deals.read"}, Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}))(t).Key
		at := "/keys/" + string(k.ID) + "/first-call"
		if p := waits(b, k); p.State != waitWaiting || !strings.Contains(p.sentence(), "Paste the secret into your tool") {
			t.Errorf("before any call = %+v, want waiting", p)
		}
		b.get(at).want(200, "Waiting for the first call", "Check again", "Where to paste it")

		// Refused for want of a scope, which is added in place.
		w.later(time.Second)
		w.called(k, w.now(), 1, 403)
		p := waits(b, k)
		if p.State != waitRefused || p.sentence() != "GET /deals needs Deals: write, which this key does not have. The secret itself is fine." || len(p.Acts) != 1 || p.Acts[0].Words != "Add Deals: write" {
			t.Errorf("without its scope = %+v, want the scope and a button", p)
		}
		b.get(at).want(200, "A call arrived, but we refused it.", "Add Deals: write")
		req := must(http.NewRequest("POST", w.url+p.Acts[0].Link, strings.NewReader(url.Values{"_form": {p.Token}, "scope": {p.Acts[0].Value}}.Encode())))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "application/json")
		b.do(req).want(200, "Deals: write", " was added.", "Waiting for the next call")
		if k = must(w.kr.Key(t.Context(), w.super, k.ID))(t); len(k.Scopes) != 2 {
			t.Errorf("scopes = %v, want the added one", k.Scopes)
		}

		// From an address that isn't on the list.
		w.later(time.Second)
		w.refusedFrom(k, postern.ReasonAddressNotAllowed, "198.51.100.7")
		b.get(at).want(200, "A call arrived from 198.51.100.7, which is not on this key’s list.", "Allow it")
		b.post(at+"/address", "address", "198.51.100.7").to(at)
		b.get(at).want(200, "198.51.100.7 is allowed now.")
		if k = must(w.kr.Key(t.Context(), w.super, k.ID))(t); len(k.Networks) != 2 {
			t.Errorf("networks = %v, want the added one", k.Networks)
		}
		b.post(at+"/address", "address", "nowhere").want(422, "This is no IP address.")

		for reason, want := range map[postern.Reason]string{
			postern.ReasonUnknownOperation: "is no endpoint of the API", postern.ReasonMethodNotAllowed: "but not with", postern.ReasonUncovered: "is opened by no scope",
			postern.ReasonRateLimited: "rate limit is reached", postern.ReasonRetired: "came with the old secret", postern.ReasonDailyLimit: "used up its calls of today",
			postern.ReasonWrongKind: "takes no service keys", postern.ReasonAccountSuspended: "the account is suspended", postern.ReasonRevoked: "has ended",
			postern.ReasonPaused: "The key was resumed.", postern.ReasonExpired: "end was moved", postern.ReasonNotYetValid: "works now", postern.ReasonUnavailable: "try again",
			postern.ReasonUnknownKey: "with a wrong secret. The right one ends in " + k.Current.LastFour, postern.ReasonMalformed: "not a whole secret",
		} {
			w.later(time.Second)
			w.refusedFrom(k, reason, "203.0.113.9")
			if p := waits(b, k); !strings.Contains(p.sentence(), want) {
				t.Errorf("%s = %q, want %q in it", reason, p.sentence(), want)
			}
		}
		// And then it works.
		w.later(time.Second)
		w.called(k, w.now(), 1, 200)
		if p := waits(b, k); p.State != waitWorks || p.Title != "It works. First call received." || !strings.Contains(p.sentence(), "GET /deals answered 200 in 12 ms, from ") || !strings.Contains(p.sentence(), "(Python script)") {
			t.Errorf("after a call = %+v, want that it works", p)
		}

		n := must(w.kr.InviteMember(t.Context(), w.super, keyring.NewMember{Email: "noor@example.com", Name: "Noor", RoleID: postern.RoleKeyManager, Scopes: postern.Grants{"deals.read"}}))(t)
		other := w.createdKey("second", "deals.read").Key
		w.later(time.Second)
		w.called(other, w.now(), 1, 403)
		nb := w.login(postern.Actor{AccountID: w.account, MemberID: n.Member.ID})
		if p := waits(nb, other); len(p.Acts) != 0 || !strings.Contains(p.sentence(), "You cannot add it") {
			t.Errorf("for who lacks the scope = %+v, want no button", p)
		}
		nb.post("/keys/"+string(other.ID)+"/first-call/scope", "scope", "deals.write").want(403)
	})
}

// refusedFrom records a refused call from an address.
func (w *world) refusedFrom(k postern.ServiceKey, why postern.Reason, ip string) {
	w.t.Helper()
	e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "curl/8.9", RequestID: "req_1", Status: why.Status(), IP: netip.MustParseAddr(ip)}
	d := &e.Decision
	d.Reason, d.At = why, e.At
	if why != postern.ReasonMalformed {
		copy(d.Key[:], k.ID)
	}
	if why != postern.ReasonMalformed && why != postern.ReasonUnknownKey {
		d.Known, d.Account, d.Kind, d.Gen = true, k.AccountID, postern.KindServiceKey, 1
	}
	w.activity.Record(&e)
	if err := w.activity.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// TestFirstCallStream: a page that waits hears of the call when it comes.
func TestFirstCallStream(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.createdKey("stream", "deals.read").Key
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		req := must(http.NewRequestWithContext(ctx, "GET", w.url+"/keys/"+string(k.ID)+"/first-call/events", nil))(t)
		res := must(b.c.Do(req))(t)
		defer res.Body.Close()
		if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Fatalf("Content-Type = %q", got)
		}
		read := json.NewDecoder(&eventReader{res.Body, nil})
		var p waitingPart
		if err := read.Decode(&p); err != nil || p.State != waitWaiting {
			t.Fatalf("first event = %+v, %v, want waiting", p, err)
		}
		w.later(time.Second)
		w.called(k, w.now(), 1, 200)
		if err := read.Decode(&p); err != nil || p.State != waitWorks {
			t.Errorf("second event = %+v, %v, want that it works", p, err)
		}
	})
}

// eventReader takes "data: " off the lines of a stream.
type eventReader struct {
	from interface{ Read([]byte) (int, error) }
	rest []byte
}

func (r *eventReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	return copy(b, strings.ReplaceAll(string(b[:n]), "data: ", "")), err
}

func TestConnect(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.createdKey("tools", "deals.read", "deals.write").Key
		c := must(w.console.connect(t.Context(), &k, "Python script"))(t)
		if c.Panes[0].ID != "python" || !c.Panes[0].Chosen || c.Nothing || c.Unknown {
			t.Errorf("connect = %+v, want Python first", c.Panes[0])
		}
		for _, p := range c.Panes {
			if p.Code != "" && !strings.Contains(p.Code, "https://api.example.com") {
				t.Errorf("%s does not name this server: %s", p.ID, p.Code)
			}
			if p.Code != "" && !strings.Contains(p.Code, "POSTERN_KEY") {
				t.Errorf("%s does not read the secret from POSTERN_KEY: %s", p.ID, p.Code)
			}
		}
		none := w.createdKey("nothing").Key
		for use, want := range map[string][]string{"bi": {"powerbi", "tableau", "looker"}, "sheet": {"excel", "sheets", "looker"}} {
			for i, p := range must(w.console.connect(t.Context(), &none, use))(t).Panes[:len(want)] {
				if p.ID != want[i] {
					t.Errorf("for %s pane %d is %s, want %s", use, i, p.ID, want[i])
				}
			}
		}
		if c := must(w.console.connect(t.Context(), &none, "bi"))(t); !c.Nothing || c.Panes[0].ID != "powerbi" {
			t.Errorf("connect = %+v, want that it opens nothing", c)
		}
		p := b.get("/keys/"+string(k.ID)+"/postman.json").want(200, "{{base_crm}}/deals", "https://api.example.com", `"key": "POSTERN_KEY"`).not("/contacts", "/invoices")
		if got := p.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; ") {
			t.Errorf("Content-Disposition = %q", got)
		}
		var file postmanFile
		if err := json.Unmarshal([]byte(p.body), &file); err != nil || len(file.Item) != 1 || len(file.Item[0].Item) != 2 || file.Variable[0].Value != "" {
			t.Errorf("file = %+v, %v, want both calls and an empty variable", file, err)
		}
	})
	for in, want := range map[string]string{"a'b": `'a'\''b'`} {
		if got := shellQuoted(in); got != want {
			t.Errorf("shellQuoted = %s, want %s", got, want)
		}
	}
	if got := mQuoted(`a"b`); got != `"a""b"` {
		t.Errorf("mQuoted = %s", got)
	}
	if got := quoted("a\"<b>\n"); got != `"a\"<b>\n"` || html.UnescapeString(got) != got {
		t.Errorf("quoted = %s", got)
	}
	u := postern.Upstream{Host: "api.other.example", Prefix: "/v2/", Options: postern.UpstreamOptions{StripPrefix: true}}
	if got := baseOf(&u, "https://gw.example.com:8443"); got != "https://api.other.example:8443/v2" {
		t.Errorf("baseOf = %s", got)
	}
}

// createdKey makes a service key.
func (w *world) createdKey(name string, scopes ...postern.Scope) keyring.Made {
	w.t.Helper()
	return must(w.kr.CreateKey(context.Background(), w.super, keyring.NewKey{Name: name, Scopes: scopes}))(w.t)
}
