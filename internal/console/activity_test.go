package console

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
)

func activityViews(c func() Common) map[string][]view {
	a := &postern.Activity{Seq: 7, At: t0, KeyID: "0123456789abcdef", Generation: 1, Upstream: polyglot, Operation: polyglot, Method: polyglot, Path: polyglot, Status: 403, Reason: postern.ReasonInsufficientScope,
		Missing: []postern.Scope{polyglot}, IP: polyglot, UserAgent: polyglot, RequestID: polyglot, BytesIn: 3}
	row := callRow{Activity: a, Link: "/activity/1-1", Name: polyglot, Answer: "403", Kind: "bad", Why: polyglot, Took: "3 ms", Client: polyglot, KeyLink: "/keys/x"}
	f := callsFilter{asked: asked{F: &form{Values: url.Values{"path": {polyglot}, "key": {polyglot}}, Errors: []fieldError{{"ip", polyglot}, {"key", polyglot}}}, Secret: true, values: url.Values{"path": {polyglot}}}, KeyName: polyglot}
	bars := callsChart{Chart: chart{Label: polyglot, Names: []string{"Worked", "Refused"}, Kinds: []string{"b1", "b3"}, Bars: []bar{{polyglot, []int64{3, 4}}}}, Totals: activity.Totals{Calls: 7, Refused: 4}, Worked: 3, Average: "3 ms", Beyond: true,
		Points: []chartPoint{{t0, "22 Nov", 3, 4}}}
	key := &postern.ServiceKey{ID: "0123456789abcdef", Name: polyglot}
	return map[string][]view{
		"activity": {&callsView{}, &callsView{Common: c(), Filter: f, Periods: []tab{{"Last hour", "/activity", "", true}}, Reasons: []option{{"a", polyglot, false}}, Answers: callAnswers, Methods: callAnswers, Keys: []*postern.ServiceKey{key},
			Chart: bars, Rows: []callRow{row}, Words: "1 call", Newest: "/activity", Older: "/activity", Reached: t0, Live: "/activity/live", CSV: "/activity.csv", JSONL: "/activity.jsonl", Lost: 3, Horizon: true},
			&callsView{Common: c(), Filter: f, Widest: "the path", Drop: "/activity"}, &callsView{Common: c(), Filter: f, Older: "/activity", Reached: t0}, &callsView{Common: c(), Filter: f, Newest: "/activity"}},
		"call": {&callView{}, &callView{Common: c(), Row: row, Key: key, Heading: polyglot, Why: polyglot, Kind: "bad", Fixes: []action{{polyglot, "/keys", "", true}}, Scopes: []saidScope{{polyglot, polyglot}, {"", polyglot}}, Secret: "9f3K", Older: true, Doing: polyglot,
			Missing: []saidScope{{polyglot, polyglot}}, Would: true, Back: "/activity", Next: "/activity/1-1", Same: "/activity", Door: "Gateway"}},
	}
}

// call records one call of a key, changed as a test likes.
func (w *world) call(k postern.ServiceKey, at time.Time, change func(*postern.Event)) {
	w.t.Helper()
	e := postern.Event{At: postern.ToMicros(at), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "python-requests/2.32", RequestID: "req_plain", Status: 200, Duration: 12 * time.Millisecond}
	d := &e.Decision
	copy(d.Key[:], k.ID)
	d.Known, d.Account, d.Kind, d.Gen, d.At, d.Allowed, d.Reason = true, k.AccountID, postern.KindServiceKey, uint32(k.Current.Generation), e.At, true, postern.ReasonAllowed
	d.Operation = &postern.Operation{Upstream: "crm", Name: "listDeals", Method: "GET", Path: "/deals"}
	if change != nil {
		change(&e)
	}
	w.activity.Record(&e)
	if err := w.activity.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

var callLinks = regexp.MustCompile(`href="(/activity/[^"]+)"`)

// calls are the addresses of the calls that a page lists.
func (p *page) calls() (out []string) {
	for _, m := range callLinks.FindAllStringSubmatch(p.body, -1) {
		out = append(out, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return out
}

// TestEachFilterOfActivity: every filter lets through what it says, in the address,
// and the downloads hold the same calls.
func TestEachFilterOfActivity(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		keys := w.fixture()
		b := w.login()
		sync, other := keys["stock-levels-to-erp"], keys["brand-new"]
		at := w.now().Add(-20 * time.Minute)
		w.call(other, at, nil)
		w.call(other, at, func(e *postern.Event) { e.Status = 500 })
		w.call(other, at, func(e *postern.Event) { e.Method, e.Path = "POST", "/contacts/7" })
		w.call(other, at, func(e *postern.Event) { e.RequestID = "req_wanted" })
		w.call(other, at, func(e *postern.Event) {
			e.Status, e.Decision.Allowed, e.Decision.Reason, e.Missing = 403, false, postern.ReasonInsufficientScope, "deals.write"
		})
		w.call(other, at, func(e *postern.Event) {
			e.Path, e.Decision.Used, e.Decision.Would, e.Missing = "/contacts", "contacts.read", postern.ReasonInsufficientScope, "contacts.read"
		})
		w.call(other, at.Add(-3*24*time.Hour), func(e *postern.Event) { e.UserAgent = "=cmd|calc" })
		for _, c := range []struct {
			query string
			want  int
		}{
			{"key=brand-new&period=1h", 6},
			{"key=" + string(other.ID) + "&period=1h", 6},
			{"key=brand-new&period=7d", 7},
			{"key=brand-new&period=1h&answer=refused", 1},
			{"key=brand-new&period=1h&answer=worked", 5},
			{"key=brand-new&period=1h&answer=5xx", 1},
			{"key=brand-new&period=1h&answer=2xx", 4},
			{"key=brand-new&period=1h&answer=would", 1},
			{"key=brand-new&period=7d&scope=contacts.read", 1},
			{"key=brand-new&period=7d&scope=deals.write", 1},
			{"key=brand-new&period=7d&scope=deals", 0},
			{"key=brand-new&period=7d&reason=insufficient_scope", 1},
			{"key=brand-new&period=1h&method=POST", 1},
			{"key=brand-new&period=1h&path=/contacts", 2},
			{"key=brand-new&period=1h&operation=listDeals", 6},
			{"key=brand-new&period=1h&operation=other", 0},
			{"key=brand-new&request=req_wanted", 1},
			{"key=brand-new&ip=203.0.113.99", 0},
			{"key=brand-new&from=" + w.now().Add(-4*24*time.Hour).Format("2006-01-02T15:04") + "&to=" + w.now().Add(-2*24*time.Hour).Format("2006-01-02T15:04"), 1},
		} {
			p := b.get("/activity?" + c.query).want(200)
			if got := len(p.calls()); got != c.want {
				t.Errorf("?%s lists %d calls, want %d", c.query, got, c.want)
			}
			for _, link := range p.calls() {
				if !strings.Contains(link, "key="+string(other.ID)) {
					t.Errorf("?%s leads to %s, which forgets the filter", c.query, link)
				}
			}
			d := b.get("/activity.csv?" + c.query).want(200)
			rows, err := csv.NewReader(strings.NewReader(d.body)).ReadAll()
			if err != nil || len(rows) != c.want+1 {
				t.Errorf("the CSV of ?%s has %d rows, %v, want %d", c.query, len(rows), err, c.want+1)
			}
			lines := strings.Split(strings.TrimSpace(b.get("/activity.jsonl?"+c.query).want(200).body), "\n")
			if n := len(lines); n != max(1, c.want) || c.want > 0 && !json.Valid([]byte(lines[0])) {
				t.Errorf("the JSON lines of ?%s are %d, want %d", c.query, n, c.want)
			}
		}
		if d := b.get("/activity.csv?period=7d&key=brand-new"); !strings.Contains(d.body, ",'=cmd|calc,") {
			t.Errorf("a formula stands in the CSV: %s", d.body)
		}
		b.get("/audit?action=activity.export").want(200, "downloaded activity")
		b.get("/activity?key="+string(sync.ID)).want(200, "stock-levels-to-erp")
		b.get("/activity?key=brand-new&method=DELETE").want(200, "No calls match", "The widest thing you can drop is the method.", "Drop the method")
		b.get("/activity?key=nobody&ip=here&from=soon&answer=7xx").want(200, "No key is called that", "Write one address", "Write the time", "Choose one of the answers", "Error: Activity")
		b.get("/activity?path=pst_sk_0123456789abcdef_"+strings.Repeat("a", 49)).want(200, "That looks like a secret").not(strings.Repeat("a", 49))
	})
}

// TestRefusalsAreExplained: the page of a refused call says why and leads to what mends it.
func TestRefusalsAreExplained(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		keys := w.fixture()
		b, k := w.login(), keys["brand-new"]
		id := string(k.ID)
		for i, c := range []struct {
			reason postern.Reason
			want   []string
		}{
			{postern.ReasonInsufficientScope, []string{"Scope missing", "Deals: write", "Add Deals: write to this key", "/keys/" + id + "/scopes?add=deals.write"}},
			{postern.ReasonAddressNotAllowed, []string{"Wrong address", "not on this key's list", "Allow 203.0.113.5", "/keys/" + id + "/addresses?add=203.0.113.5", "It was not us"}},
			{postern.ReasonRateLimited, []string{"Too many calls", "faster than its limit", "Change its limit"}},
			{postern.ReasonExpired, []string{"Expired", "came to its end", "Change its end"}},
			{postern.ReasonPaused, []string{"It works again by now"}},
			{postern.ReasonRetired, []string{"Old secret", "still sends a secret that was replaced", "Rotate the secret"}},
			{postern.ReasonUnknownKey, []string{"Wrong secret", "cut off or changed while pasting"}},
			{postern.ReasonRevoked, []string{"Key deleted", "needs a new key"}},
			{postern.ReasonUnknownOperation, []string{"No such path"}},
			{postern.ReasonMethodNotAllowed, []string{"not with GET"}},
			{postern.ReasonUncovered, []string{"No scope opens it"}},
			{postern.ReasonDailyLimit, []string{"used all calls of its day"}},
			{postern.ReasonWrongKind, []string{"does not take this kind"}},
			{postern.ReasonBadRequest, []string{"could not be judged"}},
			{postern.ReasonUnavailable, []string{"can try again"}},
			{postern.ReasonNotYetValid, []string{"starts to work later"}},
		} {
			path := fmt.Sprintf("/refused-%d", i)
			w.call(k, w.now().Add(-time.Minute), func(e *postern.Event) {
				e.Path, e.Status, e.Decision.Allowed, e.Decision.Reason = path, c.reason.Status(), false, c.reason
				e.IP = netip.MustParseAddr("203.0.113.5")
				if c.reason == postern.ReasonInsufficientScope {
					e.Missing = "deals.write"
				}
			})
			links := b.get("/activity?path=" + path).want(200).calls()
			if len(links) != 1 {
				t.Fatalf("%s: %d calls", c.reason, len(links))
			}
			b.get(links[0]).want(200, c.want...)
		}
		w.call(k, w.now(), nil)
		links := b.get("/activity?answer=worked&key=" + id).not("would be refused:").calls()
		b.get(links[0]).want(200, "the call was let through", "Secret ends in", "GET /deals", "Request number")
		// What let a call through stands there as it was recorded, and what a change that is being tried would do.
		w.call(k, w.now(), func(e *postern.Event) { e.Path, e.Decision.Used = "/used", "contacts.read deals.read" })
		b.get(b.get("/activity?path=/used").calls()[0]).want(200, "Scopes used", "Contacts: read contacts.read, Deals: read deals.read")
		w.call(k, w.now(), func(e *postern.Event) {
			e.Path, e.Decision.Used, e.Decision.Would, e.Missing = "/would", "deals.read", postern.ReasonInsufficientScope, "deals.read"
		})
		w.call(k, w.now(), func(e *postern.Event) {
			e.Path, e.Decision.Used, e.Decision.Would, e.IP = "/elsewhere", "deals.read", postern.ReasonAddressNotAllowed, netip.MustParseAddr("203.0.113.5")
		})
		p := b.get("/activity?path=/would&answer=would").want(200, "Would be refused: Scope missing")
		b.get(p.calls()[0]).want(200, "Worked, and would be refused", "would have refused it, because it needs Deals: read", "Scope it would lack").not("Look at what is being tried")
		b.get(b.get("/activity?path=/elsewhere").calls()[0]).want(200, "because 203.0.113.5 is not among its addresses")
		less := []postern.Scope{}
		must(w.kr.NarrowKey(context.Background(), w.super, k.ID, keyring.Narrowing{Watch: true, Scopes: &less}))(t)
		b.get(p.calls()[0]).want(200, "Look at what is being tried", "/keys/"+id+"/watch", "answer=would")
		b.get("/keys/"+id+"?tab=activity&show=would").want(200, "Would be refused: Scope missing", "/elsewhere").not("/used")
		b.get("/activity/zzz").want(404)
		b.get("/activity/1-1").want(404, "kept for 30 days")
	})
}

// TestLiveCalls: what the live list asks gives where now is, then what came, as texts.
func TestLiveCalls(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.fixture()["brand-new"]
		b := w.login()
		var got struct {
			Calls []liveCall
			Next  string
		}
		ask := func(path string) {
			t.Helper()
			got.Calls = nil
			if err := json.Unmarshal([]byte(b.get(path).want(200).body), &got); err != nil {
				t.Fatal(err)
			}
		}
		ask("/activity/live?key=brand-new&answer=refused")
		if len(got.Calls) != 0 || got.Next == "" {
			t.Fatalf("the first answer = %+v", got)
		}
		w.call(k, w.now(), nil)
		w.call(k, w.now(), func(e *postern.Event) {
			e.Path, e.Status, e.Decision.Allowed, e.Decision.Reason = `/<b>"x`, 429, false, postern.ReasonRateLimited
		})
		ask("/activity/live?key=brand-new&answer=refused&after=" + got.Next)
		if len(got.Calls) != 1 || got.Calls[0].Path != `/<b>"x` || got.Calls[0].Why != "Too many calls" || got.Calls[0].Kind != "bad" || got.Calls[0].Name != "brand-new" {
			t.Errorf("the live list got %+v", got.Calls)
		}
		b.get("/activity/live?after=wrong").want(422)
	})
}

// TestActivityNeedsItsPermission: nobody sees the calls of another account, or
// without the right to.
func TestActivityNeedsItsPermission(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.fixture()["brand-new"]
		w.call(k, w.now(), nil)
		link := w.login().get("/activity").calls()[0]
		someone := w.member("nia@example.com", "Nia", postern.RoleViewer)
		b := w.login(someone)
		b.get(link).want(200)
		b.get("/audit").want(403)
		w.stranger().get("/activity.csv").want(303)
		w.stranger().get("/activity/live").want(401, "You are signed out")
	})
}

// TestActivityPages: the list goes on where a page ended, and its parts are the whole.
func TestActivityPages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.fixture()["brand-new"]
		w.called(k, w.now().Add(-30*time.Second), 120, 200)
		b := w.login()
		seen, path, pages := map[string]bool{}, "/activity?key=brand-new&period=1h&path=/deals", 0
		for path != "" && pages < 10 {
			p := b.get(path).want(200)
			for _, l := range p.calls() {
				seen[l] = true
			}
			m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(p.body)
			if path = ""; m != nil {
				path = strings.ReplaceAll(m[1], "&amp;", "&")
			}
			pages++
		}
		if len(seen) != 120 || pages != 3 {
			t.Errorf("%d calls on %d pages, want 120 on 3", len(seen), pages)
		}
	})
}

// TestDownloadsAreShared: one account can't hold all places for downloads.
func TestDownloadsAreShared(t *testing.T) {
	places := limit.NewPlaces(exportsAtOnce, exportsEach)
	ask := func(a postern.AccountID, want error) func() {
		t.Helper()
		v := &visit{r: httptest.NewRequest("GET", "/activity.csv", nil), by: postern.Actor{AccountID: a}}
		leave, err := v.enterExport(places)
		if !errors.Is(err, want) {
			t.Fatalf("a download of %s: %v, want %v", a, err, want)
		}
		return leave
	}
	first := ask("acme", nil)
	ask("acme", nil)
	ask("acme", postern.CodeRateLimited)
	ask("globex", nil)
	ask("globex", nil)
	ask("initech", postern.CodeUnavailable)
	first()
	ask("initech", nil)
}
