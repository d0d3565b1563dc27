package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

const day = 24 * time.Hour

// use is calls with a key: what a test says of them.
type use struct {
	gen    int64 // 1 unless set
	ip     string
	agent  string
	op     string // listDeals unless set; "-" is none
	status int    // 200 unless set; 403 is refused for want of a scope
	scope  string // that let it through, as far as that matters
	n      int
}

var testOps = map[string]*postern.Operation{
	"listDeals":    {Upstream: "crm", Name: "listDeals", Method: "GET", Path: "/deals"},
	"listContacts": {Upstream: "crm", Name: "listContacts", Method: "GET", Path: "/contacts"},
	"makeDeal":     {Upstream: "crm", Name: "makeDeal", Method: "POST", Path: "/deals"},
}

// used records calls with a key; flushed makes them readable.
func (w *world) used(k postern.ServiceKey, at time.Time, u use) {
	w.t.Helper()
	for i := range max(1, u.n) {
		op := testOps["listDeals"]
		if u.op != "" {
			op = testOps[u.op]
		}
		e := postern.Event{At: postern.ToMicros(at), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "python-requests/2.32", Status: 200,
			RequestID: fmt.Sprintf("req_%d", i), Duration: 12 * time.Millisecond, IP: netip.MustParseAddr("192.0.2.10")}
		if op != nil {
			e.Method, e.Path = op.Method, op.Path
		}
		if u.ip != "" {
			e.IP = netip.MustParseAddr(u.ip)
		}
		if u.agent != "" {
			e.UserAgent = u.agent
		}
		d := &e.Decision
		copy(d.Key[:], k.ID)
		d.Known, d.Account, d.Kind, d.Gen, d.At, d.Operation = true, k.AccountID, postern.KindServiceKey, uint32(max(1, u.gen)), e.At, op
		d.Allowed, d.Reason, d.Used = true, postern.ReasonAllowed, u.scope
		if u.status != 0 {
			e.Status = u.status
		}
		if u.status == 403 {
			d.Allowed, d.Reason, e.Missing = false, postern.ReasonInsufficientScope, "deals.write"
		}
		w.activity.Record(&e)
	}
}

func (w *world) flushed() {
	w.t.Helper()
	if err := w.activity.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(id postern.KeyID) postern.ServiceKey {
	w.t.Helper()
	return must(w.kr.Key(context.Background(), w.super, id))(w.t)
}

func at(k postern.ServiceKey, rest string) string { return "/keys/" + string(k.ID) + rest }

var revisionIn = regexp.MustCompile(`name="revision" value="(\d+)"`)

// revision is what a form of a page was made from.
func (p *page) revision() string {
	p.t.Helper()
	m := revisionIn.FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("no revision in %.400s", text(p.body))
	}
	return m[1]
}

func TestKeyPage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read", "contacts.read").Key
		b.get(at(k, "")).want(200, "airbyte-orders", "New", "No calls in the last 30 days.", "Nobody in 30 days.", "No calls yet.", "We have watched for 0 days. Wait until 14 for a fair picture.", "Created")
		w.later(20 * day)
		b = w.login()
		now := w.now()
		w.used(k, now.Add(-19*day), use{n: 3})
		w.used(k, now.Add(-2*time.Minute), use{n: 4})
		w.used(k, now.Add(-3*time.Hour), use{status: 403, op: "makeDeal"})
		w.used(k, now.Add(-1*day), use{ip: "198.51.100.17", agent: "curl/8.5", n: 2})
		w.flushed()
		p := b.get(at(k, "")).want(200, "Active", "10calls", "refused, 1 call", "2 min ago", "192.0.2.10", "Python script", "curl", "2 calls, new", "1 of 2 scopes are not being used", "Never used", "In use", "Remove 1 unused scope", "GET", "listDeals")
		p.not("Scope missing in", "Watch the rotation")
		for _, c := range []struct {
			query string
			want  []string
		}{
			{"?period=24h", []string{"5calls", "Hour"}}, {"?period=7d", []string{"7calls", "6 hours from"}}, {"?tab=activity", []string{"403", "/deals", "198.51.100.17"}}, {"?tab=activity&show=refused", []string{"403"}},
			{"?tab=scopes", []string{"Read contacts", "Never used", "1 endpoint"}}, {"?tab=secrets", []string{"number 1", "In force", "20 days old"}}, {"?tab=connect", []string{"POSTERN_KEY"}}, {"?tab=history", []string{"Created", "Maya Okafor"}},
		} {
			b.get(at(k, c.query)).want(200, c.want...)
		}
		b.get(at(k, "?tab=activity&show=refused")).not(`<span class="st ok">`)
		b.get(at(k, "?tab=nothing")).want(404)
		b.get("/keys/0000000000000000").want(404)
		b.get(at(k, "/callers")).want(200, "198.51.100.17", "new")
		csv := b.get(at(k, "/callers.csv")).want(200, "198.51.100.17,curl/8.5,2,0", "true")
		if list := must(w.kr.Audit(t.Context(), w.super, store.AuditFilter{Action: "service_key.callers.export"}, 0, 9))(t); len(list) != 1 || list[0].After["key"] != string(k.ID) {
			t.Errorf("audit entries of the download = %+v, want one that names the key", list)
		}
		if got := csv.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
			t.Errorf("the list of addresses is sent as %q", got)
		}
		// Every link of the page, in each tab, leads somewhere.
		for _, tab := range keyTabNames {
			for _, m := range regexp.MustCompile(`(?:href)="(/[^"#]*)`).FindAllStringSubmatch(b.get(at(k, "?tab="+tab.id)).body, -1) {
				to := strings.ReplaceAll(m[1], "&amp;", "&")
				if strings.HasPrefix(to, "/assets/") || to == "/docs/" { // the documentation is served beside the console
					continue
				}
				if p := b.get(to); p.status >= 400 {
					t.Errorf("%s on tab %q = %d", to, tab.id, p.status)
				}
			}
		}
	})
}

func TestKeyPageIsForThoseWhoMay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read").Key
		viewer := w.login(w.member("v@example.com", "Vera", postern.RoleViewer))
		viewer.get(at(k, "")).want(200, "airbyte-orders").not("Edit scopes", "Rotate secret", "More actions", "History", "Delete")
		viewer.get(at(k, "?tab=history")).want(403)
		for _, act := range []string{"rename", "scopes", "scopes/unused", "limits", "pause", "resume", "end", "delete", "rotate", "rotate/finish", "rotate/cancel", "rotate/longer"} {
			viewer.get(at(k, "/"+act)).want(403)
			viewer.post(at(k, "/"+act), "name", "taken-over", "scope", "deals.write", "typed", k.Name).want(403)
		}
		if now := w.read(k.ID); now.Revision != k.Revision {
			t.Errorf("a viewer changed the key: %+v", now)
		}
		// Another account's key is not there.
		acc, inv, err := w.kr.CreateAccount(context.Background(), w.super, keyring.NewAccount{Name: "Other", AdminEmail: "o@example.com", AdminName: "Ola"})
		if err != nil {
			t.Fatal(err)
		}
		stranger := w.login(postern.Actor{AccountID: acc.ID, MemberID: inv.Member.ID})
		for _, p := range []string{"", "/rename", "/rotate", "/callers", "/callers.csv", "/receipt", "/rotate/live", "/delete"} {
			stranger.get(at(k, p)).want(404)
		}
	})
}

func TestRenameKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read").Key
		w.newKey("taken", "deals.read")
		p := b.get(at(k, "/rename")).want(200, "Rename airbyte-orders")
		b.post(at(k, "/rename"), "name", "taken", "description", "kept while wrong", "revision", p.revision()).want(422, "taken", "kept while wrong")
		b.post(at(k, "/rename"), "name", " ", "revision", p.revision()).want(422, "Say a name.")
		b.post(at(k, "/rename"), "name", "orders-to-warehouse", "description", "Every 15 minutes.", "revision", p.revision()).to(at(k, ""))
		b.get(at(k, "")).want(200, "orders-to-warehouse", "Every 15 minutes.", "Saved.", "Renamed from airbyte-orders and note changed")
		// Two people edit: the later one is warned, keeps what they typed, and may save then.
		late := b.post(at(k, "/rename"), "name", "mine", "description", "mine too", "revision", p.revision()).want(409, "Maya Okafor changed this", "Look at their change before saving yours.", "Show it", "mine too")
		if got := w.read(k.ID).Name; got != "orders-to-warehouse" {
			t.Errorf("name = %q after a conflict", got)
		}
		b.post(at(k, "/rename"), "name", "mine", "description", "mine too", "revision", late.revision()).to(at(k, ""))
		if got := w.read(k.ID).Name; got != "mine" {
			t.Errorf("name = %q", got)
		}
	})
}

func TestEditScopes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read", "invoices.read").Key
		p := b.get(at(k, "/scopes?add=contacts.read")).want(200, "Read deals", "Change deals", "1 endpoint", "POST /deals")
		for scope, want := range map[string]bool{"deals.read": true, "contacts.read": true, "deals.write": false} {
			if got := regexp.MustCompile(`value="` + scope + `" checked`).MatchString(p.body); got != want {
				t.Errorf("%s ticked = %v, want %v", scope, got, want)
			}
		}
		b.post(at(k, "/scopes"), "scope", "deals.read", "scope", "deals.write", "revision", p.revision()).to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; !slices.Equal(got, []postern.Scope{"deals.read", "deals.write"}) {
			t.Errorf("scopes = %v", got)
		}
		b.post(at(k, "/scopes"), "scope", "contacts.read", "revision", p.revision()).want(409, "changed this", "Scopes")
		b.post(at(k, "/scopes"), "scope", "no.such").want(422, "There is no scope")

		// Containment, with words: who holds only reading can neither add writing nor forge it.
		who := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: "jo@example.com", Name: "Jo", RoleID: postern.RoleKeyManager, Scopes: postern.Grants{"deals.read", "contacts.read"}}))(t)
		jo := w.login(postern.Actor{AccountID: w.account, MemberID: who.Member.ID})
		p = jo.get(at(k, "/scopes")).want(200, "You don’t hold this, so you can’t pass it on.", "You can only give what you hold.", "Once it is removed you can’t put it back.")
		if !regexp.MustCompile(`value="contacts.write" disabled`).MatchString(p.body) || regexp.MustCompile(`value="deals.write"[^>]* disabled`).MatchString(p.body) {
			t.Error("what isn't held must be locked, and what the key has must be removable")
		}
		jo.post(at(k, "/scopes"), "scope", "deals.read", "scope", "contacts.write").want(422, "contacts.write", "You can only give what you hold")
		jo.post(at(k, "/scopes"), "scope", "deals.read", "scope", "contacts.read").to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; !slices.Equal(got, []postern.Scope{"contacts.read", "deals.read"}) {
			t.Errorf("scopes = %v", got)
		}
	})
}

// Each scope says when it let a call through last, from where, with what and for what: to the
// second, and not as of its hour's beginning. What calls lacked stands there as well.
func TestScopesSayTheirLastUse(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read", "contacts.read").Key
		w.later(30*day + 54*time.Minute)
		b, last := w.login(), w.now().Add(-time.Minute)
		w.used(k, w.now().Add(-3*day), use{op: "listContacts", scope: "contacts.read", ip: "203.0.113.9", agent: "airbyte/1.0"})
		w.used(k, last, use{scope: "deals.read"})
		w.used(k, last, use{status: 403, ip: "203.0.113.77", agent: "intruder/2"})
		w.flushed()
		stamped := `datetime="` + last.Format(time.RFC3339) + `"`
		p := b.get(at(k, "?tab=scopes")).want(200, stamped, "listDeals", "192.0.2.10", "python-requests/2.32", "listContacts", "203.0.113.9", "airbyte/1.0",
			"Asked for, and not held", "deals.write", "203.0.113.77", "intruder/2", "scope=deals.write")
		if strings.Contains(p.body, `datetime="`+last.Truncate(time.Hour).Format(time.RFC3339)+`"`) {
			t.Error("a time is that of its hour")
		}
		b.get(at(k, "")).want(200, "Last used", stamped)
		rep := must(w.console.advice.Key(t.Context(), w.super, k.ID))(t)
		for _, s := range rep.Scopes {
			if s.Scope == "deals.read" && !s.Last.Equal(last) {
				t.Errorf("the advice says that deals.read was needed last at %v, want %v", s.Last, last)
			}
		}
		// Who may not see calls is told nothing of them.
		role := must(w.kr.CreateRole(t.Context(), w.super, keyring.RoleInput{Name: "Lister", Permissions: []postern.Permission{postern.PermKeysRead}}))(t)
		nobody := w.login(w.member("kim@example.com", "Kim", role.ID))
		nobody.get(at(k, "?tab=scopes")).want(200, "deals.read").not("203.0.113.9", "203.0.113.77", "Asked for")
	})
}

func TestLeastAccess(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read", "contacts.read", "deals.write").Key
		w.later(80 * day)
		b := w.login()
		now := w.now()
		for i := range 20 {
			w.used(k, now.Add(-time.Duration(i)*day), use{})
		}
		// Contacts are read once a month, the last time 40 days ago: not idle before 70.
		w.used(k, now.Add(-40*day), use{op: "listContacts"})
		w.used(k, now.Add(-70*day), use{op: "listContacts"})
		w.flushed()
		b.get(at(k, "?tab=scopes")).want(200, "Never used", "Remove 1 unused scope").not("Idle")
		w.used(k, now.Add(-55*day), use{op: "listContacts"}) // no monthly job after all
		w.flushed()
		// What was needed in the 90 days is idle, and not for removal in one go.
		b.get(at(k, "?tab=scopes")).want(200, "Idle 40 days", "Remove 1 unused scope")
		p := b.get(at(k, "/scopes/unused")).want(200, "Change deals", "Remove 1 scope").not("Read deals").not("Read contacts")
		b.post(at(k, "/scopes/unused"), "scope", "contacts.read", "scope", "deals.write", "revision", p.revision()).to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; !slices.Equal(got, []postern.Scope{"deals.read"}) {
			t.Fatalf("scopes = %v", got)
		}
		b.get(at(k, "")).want(200, "2 scopes were removed", "Put them back", "contacts.read, deals.write")
		w.later(9 * time.Minute)
		b.post(at(k, "/undo")).to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; len(got) != 3 {
			t.Errorf("scopes = %v after they were put back", got)
		}
		b.get(at(k, "")).want(200).not("Put them back")
		// What was put back was granted long ago; what was just granted is not called unused.
		b.get(at(k, "?tab=scopes")).want(200, "Never used")
		p = b.get(at(k, "/scopes")).want(200)
		b.post(at(k, "/scopes"), "scope", "deals.read", "scope", "deals.write", "scope", "contacts.read", "scope", "contacts.write", "revision", p.revision()).to(at(k, "?tab=scopes"))
		b.get(at(k, "?tab=scopes")).want(200, "New")
		b.post(at(k, "/scopes/unused"), "scope", "deals.write").to(at(k, "?tab=scopes"))
		w.later(11 * time.Minute)
		b.get(at(k, "")).not("Put it back")
		b.post(at(k, "/undo")).to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; len(got) != 3 {
			t.Errorf("scopes = %v: undone after 10 minutes", got)
		}
	})
}

func TestKeyLimits(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read").Key
		b.get(at(k, "/expiry")).to(at(k, "/limits#f-expiresAt"))
		b.get(at(k, "/addresses?add=198.51.100.7")).to(at(k, "/limits?add=198.51.100.7#f-networks"))
		p := b.get(at(k, "/limits")).want(200, "Works until the end of", "Starts on")
		b.post(at(k, "/limits"), "expiresAt", "soon", "networks", "192.0.2.300", "calls", "many", "seconds", "1", "revision", p.revision()).
			want(422, "Write the day as", `"192.0.2.300" is no address`, "Give a whole number", `value="many"`)
		b.post(at(k, "/limits"), "expiresAt", "2026-11-01", "revision", p.revision()).want(422, "The expiry is in the past.")
		b.post(at(k, "/limits"), "expiresAt", "2026-12-31", "notBefore", "2026-11-23", "networks", "203.0.113.7, 198.51.100.0/24\n2001:db8::/32", "calls", "1,000", "seconds", "60", "revision", p.revision()).to(at(k, ""))
		got := w.read(k.ID)
		if !got.ExpiresAt.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) || !got.NotBefore.Equal(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) || len(got.Networks) != 3 || got.Rate != (postern.Rate{Calls: 1000, Per: time.Minute}) {
			t.Errorf("key = %+v", got)
		}
		b.get(at(k, "")).want(200, "3 ranges", "1,000 calls in 60 seconds", "Starts 23 Nov 2026")
		// The same form again changes nothing, not even the second in which the key ends.
		exact := w.now().Add(90*day + 17*time.Second)
		must(w.kr.EditKey(context.Background(), w.super, k.ID, keyring.KeyEdit{ExpiresAt: &exact}))(t)
		p = b.get(at(k, "/limits?add=192.0.2.77")).want(200, "192.0.2.77", "203.0.113.7")
		send := []string{"revision", p.revision(), "networks", "203.0.113.7\n198.51.100.0/24\n2001:db8::/32", "calls", "1000", "seconds", "60"}
		for _, f := range []string{"expiresAt", "notBefore"} {
			m := regexp.MustCompile(`name="` + f + `" type="date" value="([^"]*)"`).FindStringSubmatch(p.body)
			if m == nil {
				t.Fatalf("no field %s", f)
			}
			send = append(send, f, m[1])
		}
		before := w.read(k.ID)
		b.post(at(k, "/limits"), send...).to(at(k, ""))
		if after := w.read(k.ID); after.Revision != before.Revision || !after.ExpiresAt.Equal(exact) {
			t.Errorf("saving what was shown changed the key: %+v", after)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read").Key
		w.used(k, w.now(), use{n: 3})
		w.flushed()
		b.get(at(k, "/pause")).want(200, "This key is in use right now.", "It made 3 calls in the last 7 days", "Calls are refused at once. Nothing is lost and you can undo it.")
		b.post(at(k, "/pause")).to(at(k, ""))
		b.get(at(k, "")).want(200, "airbyte-orders is paused: its calls are refused. This is in force everywhere.", "Undo", "Paused", "Resume")
		if w.read(k.ID).PausedAt.IsZero() {
			t.Error("the key is not paused")
		}
		b.get(at(k, "/pause")).to(at(k, ""))
		b.get(at(k, "/receipt")).want(200, "The key is paused", "This is in force everywhere.")
		b.get(at(k, "/resume")).want(200, "The key works again at once")
		b.post(at(k, "/resume")).to(at(k, ""))
		if !w.read(k.ID).PausedAt.IsZero() {
			t.Error("the key is still paused")
		}
	})
}

func TestEndKeyAndItsReceipt(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read").Key
		w.used(k, w.now(), use{})
		w.flushed()
		b.post(at(k, "/end"), "reason", "the vendor is gone", "endtyped", "airbyte").want(422, "Type airbyte-orders to go on.", "the vendor is gone")
		b.post(at(k, "/end"), "reason", "the vendor is gone", "endtyped", "airbyte-orders").to(at(k, "/receipt"))
		b.get(at(k, "/receipt")).want(200, "The key has ended", "its calls are refused, for good", "Reason: the vendor is gone", "This is in force everywhere.")
		b.get(at(k, "")).want(200, "Ended", "the vendor is gone").not("Rotate secret", "Edit scopes", "Pause")
		for _, act := range []string{"rename", "scopes", "rotate", "limits"} {
			b.get(at(k, "/"+act)).want(409, "has ended")
		}
		b.get(at(k, "/end")).to(at(k, "/receipt"))
		// What has ended leaves the list with one press.
		b.get(at(k, "/delete")).want(200).not("Type the key")
		b.post(at(k, "/delete")).to("/keys")
		b.get(at(k, "")).want(404)
	})
}

func TestDeleteKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		idle, busy := w.newKey("idle", "deals.read").Key, w.newKey("busy", "deals.read").Key
		w.used(idle, w.now(), use{})
		w.later(31 * day)
		w.used(busy, w.now().Add(-5*time.Minute), use{n: 2})
		w.flushed()
		b := w.login()
		b.get(at(busy, "/delete")).want(200, "This key is in use right now.", "It made 2 calls in the last 7 days, the latest 5 min ago from 192.0.2.10.", "They will all fail. If you are not sure, pause it instead.", "Pause instead")
		b.post(at(busy, "/delete"), "typed", "Busy").want(422, "Type busy to go on.")
		b.get(at(idle, "/delete")).want(200, "Its latest call was").not("Type the key")
		b.post(at(idle, "/delete")).to("/keys")
		b.post(at(busy, "/delete"), "typed", "busy").to("/keys")
		b.get("/keys").want(200, "busy is deleted. Its calls are refused for good.")
		b.get(at(busy, "")).want(404)
		// A proof that is too old is asked for again.
		k := w.newKey("third", "deals.read").Key
		w.later(16 * time.Minute)
		b.post(at(k, "/delete")).want(403, "Confirm")
		if now := w.read(k.ID); now.Ended() {
			t.Error("the key was deleted without a fresh proof")
		}
	})
}

func TestRotateLater(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		made := w.newKey("airbyte-orders", "deals.read")
		k := made.Key
		for i := range 40 { // hourly, from one place
			w.used(k, w.now().Add(-time.Duration(i)*time.Hour-10*time.Minute), use{agent: "apache-airflow/2.10", ip: "52.18.4.21"})
		}
		for i := range 20 { // a quarter of an hour apart
			w.used(k, w.now().Add(-time.Duration(i+1)*15*time.Minute), use{})
		}
		w.flushed()
		p := b.get(at(k, "/rotate")).want(200, "Both secrets work for a while, so you can update each tool without an outage.", "The old secret stops within 5 seconds, everywhere.", "Places to update", "Airflow", "52.18.4.21, hourly", "every 15 min")
		b.post(at(k, "/rotate"), "why", "later", "grace", "other", "days", "31", "revision", p.revision()).want(422, "Give 1 to 30 days.", `value="31"`)
		sent := url.Values{"why": {"later"}, "grace": {"other"}, "days": {"2"}, "revision": {p.revision()}, formToken: {b.token()}}
		pairs := []string{}
		for name, v := range sent {
			pairs = append(pairs, name, v[0])
		}
		made2 := b.post(at(k, "/rotate"), pairs...).want(200, "New secret made. Copy it now.", "Both secrets work until 24 Nov 2026", "Paste it in these 2 places", "Airflow at 52.18.4.21", `data-file="`+k.Name+`.env" hidden>`)
		secret := regexp.MustCompile(`pst_sk_[0-9A-Za-z_]+`).FindString(made2.body)
		now := w.read(k.ID)
		if !now.Rotating(w.now()) || !strings.HasSuffix(secret, now.Current.LastFour) || !now.Previous.EndsAt.Equal(w.now().Add(2*day)) || made2.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("secret %.8s…, key %+v", secret, now)
		}
		if n := strings.Count(made2.body, secret); n != 1 {
			t.Errorf("the secret is in the page %d times, want once", n)
		}
		// The same form again makes nothing, and nothing else ever has the secret.
		b.post(at(k, "/rotate"), pairs...).want(200, "This secret was shown once, at").not(secret)
		if again := w.read(k.ID); again.Current.Generation != 2 {
			t.Errorf("generation = %d after sending the form twice", again.Current.Generation)
		}
		for _, part := range []string{"", "?tab=secrets", "?tab=history", "/rotate", "/rotate/live"} {
			b.get(at(k, part)).want(200).not(secret)
		}
		if strings.Contains(w.log.String(), secret) {
			t.Error("the secret is in the log")
		}
		// Another rotation has to wait.
		b.get(at(k, "/rotate?why=exposed")).want(200, "A rotation is under way.")
		b.post(at(k, "/rotate"), "why", "later", "grace", "7").want(409, "A rotation is under way.")

		// A call just before the change stands before the line, and is not counted after it.
		w.used(k, w.now().Add(-time.Second), use{gen: 1})
		w.flushed()
		b.get(at(k, "/rotate")).want(200, "Waiting for the first call with the new secret", "Watch it move over", "Keep it longer", "End the old secret now", "0calls since the change", "before the change")
		var begun liveAnswer
		if err := json.Unmarshal([]byte(b.get(at(k, "/rotate/live")).want(200).body), &begun); err != nil {
			t.Fatal(err)
		}
		var since int64
		for _, bar := range begun.Bars[begun.Mark:] {
			since += bar.Values[1]
		}
		if since != 0 || begun.Old.Calls != "0" || begun.Bars[begun.Mark-1].Values[1] == 0 {
			t.Errorf("after the change the chart has %d old calls and the number says %s; before it %d", since, begun.Old.Calls, begun.Bars[begun.Mark-1].Values[1])
		}
		w.later(2 * time.Hour)
		b = w.login()
		w.used(k, w.now().Add(-5*time.Minute), use{gen: 2, n: 3})
		w.used(k, w.now().Add(-70*time.Minute), use{gen: 1, agent: "apache-airflow/2.10", ip: "52.18.4.21"})
		w.used(k, w.now().Add(-10*time.Minute), use{gen: 1, agent: "apache-airflow/2.10", ip: "52.18.4.21"})
		w.flushed()
		b.get(at(k, "/rotate")).want(200, "60% of calls use the new secret", "1 of 2 places have moved.", "Old secret", "Moved", "52.18.4.21, hourly, last old call 10 min ago", "1 left")
		var live liveAnswer
		if err := json.Unmarshal([]byte(b.get(at(k, "/rotate/live")).want(200).body), &live); err != nil {
			t.Fatal(err)
		}
		if live.Over || live.Heading != "60% of calls use the new secret" || live.New.Calls != "3" || live.Old.Calls != "2" || len(live.Places) != 2 || live.Places[0].Pill != "Old secret" || len(live.Calls) == 0 || live.Mark == 0 {
			t.Errorf("live = %+v", live)
		}
		var fresh, old int64
		for i, bar := range live.Bars {
			if i < live.Mark && bar.Values[0] != 0 {
				t.Errorf("a call with the new secret before the change: %+v", bar)
			}
			fresh, old = fresh+bar.Values[0], old+bar.Values[1]
		}
		if fresh != 3 || old < 10 {
			t.Errorf("bars have %d and %d calls", fresh, old)
		}

		b.get(at(k, "/rotate/longer")).want(200, "at most 7 days")
		b.post(at(k, "/rotate/longer"), "more", "8").want(422, "Give 1 to 7 days.")
		b.post(at(k, "/rotate/longer"), "more", "7").to(at(k, "/rotate"))
		b.get(at(k, "/rotate")).want(200, "The old secret now works until Tuesday 1 December").not("Keep it longer")
		b.post(at(k, "/rotate/longer"), "more", "1").want(422, "kept longer once already")

		// Who may rotate but not see calls is told so, and sees nobody.
		role := must(w.kr.CreateRole(t.Context(), w.super, keyring.RoleInput{Name: "Rotator", Permissions: []postern.Permission{postern.PermKeysRead, postern.PermKeysWrite}, Grants: postern.Grants{"*"}}))(t)
		blind := w.login(w.member("bo@example.com", "Bo", role.ID))
		for _, part := range []string{"/rotate", "/rotate/finish", "/rotate/cancel"} {
			blind.get(at(k, part)).want(200, "Who uses this key is not shown to you: that needs the See activity permission").not("Airflow", "52.18.4.21", "1 left", "No place", "Nobody used", "place uses")
		}
		live = liveAnswer{}
		if err := json.Unmarshal([]byte(blind.get(at(k, "/rotate/live")).want(200).body), &live); err != nil || len(live.Places) != 0 || live.Lead != "" || live.Left != "" || live.Tone != "" {
			t.Errorf("live for who sees no calls = %+v, %v", live, err)
		}
		still := w.createdKey("still-one", "deals.read").Key
		w.used(still, w.now().Add(-time.Minute), use{agent: "apache-airflow/2.10", ip: "52.18.4.21"})
		w.flushed()
		blind.get(at(still, "/rotate")).want(200, "Who uses this key is not shown to you").not("Airflow", "52.18.4.21", "No place used")
		blind.post(at(still, "/rotate"), "why", "exposed").want(200, "New secret made.", "Who uses this key is not shown to you").not("Airflow", "52.18.4.21", "No place used", "Nobody called")

		b.get(at(k, "/rotate/finish")).want(200, "Airflow at 52.18.4.21 still uses it.", "Its last call was 10 min ago and the next is due in 50 min. That call will fail. This cannot be undone.", "End it anyway", "Wait")
		b.post(at(k, "/rotate/finish")).to(at(k, ""))
		if now := w.read(k.ID); now.Rotating(w.now()) {
			t.Error("the old secret lives on")
		}
		b.get(at(k, "")).want(200, "has ended. This is in force everywhere.", "Rotate secret")
		b.post(at(k, "/rotate/finish")).to(at(k, ""))
		if err := json.Unmarshal([]byte(b.get(at(k, "/rotate/live")).body), &live); err != nil || !live.Over {
			t.Errorf("live = %+v, %v after the end", live, err)
		}
		b.get(at(k, "?tab=history")).want(200, "Rotated, new secret", "kept longer", "ended early")
	})
}

func TestRotationCancelledOrQuiet(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.newKey("airbyte-orders", "deals.read").Key
		end := w.now().Add(5 * day)
		must(w.kr.EditKey(context.Background(), w.super, k.ID, keyring.KeyEdit{ExpiresAt: &end}))(t)
		b.get(at(k, "/rotate")).want(200, "but not past the end of the key")
		b.post(at(k, "/rotate"), "why", "later", "grace", "7").want(200, "New secret made.")
		if got := w.read(k.ID).Previous.EndsAt; !got.Equal(end) {
			t.Errorf("the old secret ends %v, want the key's own end %v", got, end)
		}
		b.get(at(k, "/rotate")).not("Keep it longer") // there is no more to give
		w.used(k, w.now().Add(time.Minute), use{gen: 2})
		w.later(time.Hour)
		b = w.login()
		w.flushed()
		b.get(at(k, "/rotate/cancel")).want(200, "1 place uses the new secret already")
		b.post(at(k, "/rotate/cancel")).to(at(k, ""))
		if now := w.read(k.ID); now.Current.Generation != 1 || now.Rotating(w.now()) {
			t.Errorf("key = %+v after cancelling", now)
		}
		b.get(at(k, "?tab=secrets")).want(200, "Taken back", "In force")
		b.post(at(k, "/rotate"), "why", "later", "grace", "3").want(200)
		w.used(k, w.now().Add(time.Minute), use{gen: 3})
		w.flushed()
		w.later(25 * time.Hour)
		b = w.login()
		b.get(at(k, "/rotate")).want(200, "Nobody uses the old secret. End it now?")
		b.get(at(k, "/rotate/finish")).want(200, "Nobody used the old secret in the last 24 hours.")
	})
}

func TestRotateExposed(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read").Key
		w.later(20 * day)
		w.used(k, w.now().Add(-15*day), use{})
		w.used(k, w.now().Add(-time.Hour), use{ip: "198.51.100.99", agent: "curl/8"})
		w.flushed()
		b := w.login()
		p := b.get(at(k, "/rotate?why=exposed")).want(200, "1 call a week", "Stop the old secret now")
		if !regexp.MustCompile(`value="exposed" checked`).MatchString(p.body) {
			t.Error("the choice is not made")
		}
		b.post(at(k, "/rotate"), "why", "exposed", "revision", p.revision()).
			want(200, "The old secret has stopped. This is in force everywhere.", "Every address in 30 days", "198.51.100.99", "1 address is new in the last 7 days", "Audit entry", "callers.csv")
		if now := w.read(k.ID); now.Rotating(w.now()) || now.Current.Generation != 2 {
			t.Errorf("key = %+v", now)
		}
		// After a while it takes a fresh proof, and the form goes on after it.
		w.later(16 * time.Minute)
		for _, why := range []string{"exposed", "later"} {
			b.post(at(k, "/rotate"), "why", why, "grace", "7").want(403, "Confirm")
		}
		for _, act := range []string{"finish", "cancel"} {
			b.post(at(k, "/rotate/"+act)).want(403, "Confirm")
		}
		if now := w.read(k.ID); now.Current.Generation != 2 {
			t.Error("rotated without a fresh proof")
		}
		list := must(w.db.AuditPage(context.Background(), w.account, store.AuditFilter{Object: string(k.ID), Action: "service_key.rotate"}, 0, 9))(t)
		if len(list) != 1 {
			t.Errorf("%d rotations in the audit log, want 1", len(list))
		}
	})
}

func TestRotateNeedsTheScopes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read", "invoices.read").Key
		who := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: "jo@example.com", Name: "Jo", RoleID: postern.RoleKeyManager, Scopes: postern.Grants{"deals.read"}}))(t)
		jo := w.login(postern.Actor{AccountID: w.account, MemberID: who.Member.ID})
		jo.get(at(k, "/rotate")).want(200, "You can’t rotate this key.", "invoices.read").not("Make a new secret")
		jo.post(at(k, "/rotate"), "why", "later", "grace", "7").want(422, "invoices.read")
		if now := w.read(k.ID); now.Rotating(w.now()) {
			t.Error("rotated by who holds too little")
		}
	})
}

func TestRhythm(t *testing.T) {
	every := func(gap time.Duration, n, burst int) (out []time.Time) {
		for i := range n {
			for j := range burst {
				out = append(out, t0.Add(-time.Duration(i)*gap-time.Duration(j)*time.Second))
			}
		}
		return out
	}
	for _, c := range []struct {
		calls []time.Time
		want  string
	}{
		{nil, ""}, {every(time.Hour, 2, 1), ""}, {every(time.Hour, 5, 1), "hourly"}, {every(15*time.Minute, 6, 8), "every 15 min"}, {every(6*time.Hour, 5, 2), "every 6 hours"},
		{every(day, 5, 3), "daily"}, {every(7*day, 4, 1), "weekly"}, {every(3*day, 4, 1), "every 3 days"}, {every(time.Second, 30, 1), "all the time"},
	} {
		if got := everyWords(rhythm(c.calls)); got != c.want {
			t.Errorf("rhythm of %d calls = %q, want %q", len(c.calls), got, c.want)
		}
	}
}

// newKey makes a service key.
func (w *world) newKey(name string, scopes ...postern.Scope) keyring.Made {
	w.t.Helper()
	return must(w.kr.CreateKey(context.Background(), w.super, keyring.NewKey{Name: name, Scopes: scopes}))(w.t)
}
