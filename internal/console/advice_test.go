package console

import (
	"testing"
	"time"

	"postern.dev/postern/internal/advice"
)

// adviceViews are the page of advice, with full data and with none.
func adviceViews(c func() Common) map[string][]view {
	row := todoRow{ID: "0123456789abcdef", Key: polyglot, Link: "/keys/x", Kind: "no_expiry", Title: polyglot, Evidence: polyglot, Fix: polyglot, Points: 15, Revision: 3, Apply: true, Words: "Apply"}
	return map[string][]view{"advice": {&adviceView{}, &adviceView{Common: c(), Score: "82.5", Whole: 82, Todos: []todoRow{row, {Elsewhere: "/keys/x/rotate", Words: "Rotate"}}, Aside: []todoRow{row},
		More: 1, Undo: &undoneRow{"0123456789abcdef", polyglot}, Overview: &advice.Overview{Score: advice.Score{Keys: 4, Lost: 70}, Keys: 9, Waiting: 1, Unrecorded: 3}}}}
}

// The score has one fix behind each point: following one raises it, and an undo takes that back.
func TestAdvicePage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read", "deals.write").Key
		w.later(80 * day)
		b := w.login()
		for i := range 20 {
			w.used(k, w.now().Add(-time.Duration(i)*day), use{})
		}
		w.flushed()
		b.get("/advice").want(200, "60.0", "It can write, and only reads", "It never ends", "airbyte-orders", "deals.write")
		p := b.get(at(k, "")).want(200, "Score 60 of 100", "Remove 1 unused scope")
		b.post(at(k, "/advice/apply"), "kind", "write_never_used", "revision", p.revision()).to("/advice?done=" + string(k.ID))
		b.get("/advice?done="+string(k.ID)).want(200, "75.0", "You can undo what you did").not("only reads")
		if got := w.read(k.ID).Scopes; len(got) != 1 {
			t.Fatalf("scopes = %v", got)
		}
		b.post(at(k, "/undo"), "to", "advice").to("/advice")
		b.get("/advice").want(200, "60.0", "It can write").not("You can undo")
		b.post(at(k, "/advice/dismiss"), "kind", "no_expiry").to("/advice")
		b.get("/advice").want(200, "60.0", "Put aside", "Take up again")
		b.post(at(k, "/advice/dismiss"), "kind", "no_expiry", "up", "1").to("/advice")
		b.get("/advice").not("Take up again")
		b.get("/").want(200, "/advice")
	})
}

// Before an edit is saved, it shows which calls it would refuse; it can be tried
// first, made to count, and taken back.
func TestWhatIfAndWatch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.newKey("airbyte-orders", "deals.read", "contacts.read").Key
		w.later(30 * day)
		b := w.login()
		for i := range 5 {
			w.used(k, w.now().Add(-time.Duration(i+1)*time.Hour), use{op: "listContacts"})
		}
		w.flushed()
		p := b.get(at(k, "/scopes")).want(200, "What would fail?")
		b.post(at(k, "/what-if"), "from", "scopes", "scope", "deals.read", "revision", p.revision()).want(200, "5 calls would fail", "needs contacts.read", "Try it first", "Save it now")
		b.post(at(k, "/what-if"), "from", "scopes", "scope", "contacts.read", "revision", p.revision()).want(200, "No call would fail")
		b.post(at(k, "/what-if"), "from", "limits", "networks", "203.0.113.0/24", "revision", p.revision()).want(200, "5 calls would fail", "outside the list")
		b.post(at(k, "/what-if"), "from", "limits", "networks", "nonsense", "revision", p.revision()).want(422, "is no address")
		if got := w.read(k.ID); got.Revision != k.Revision || len(got.Scopes) != 2 {
			t.Fatalf("asking changed the key: %+v", got)
		}
		b.post(at(k, "/watch"), "from", "scopes", "scope", "deals.read", "revision", p.revision()).to(at(k, "/watch"))
		b.get(at(k, "")).want(200, "A narrower version is being tried", "See what would be")
		p = b.get(at(k, "/watch")).want(200, "Without", "contacts.read", "No call would have failed", "Make it count")
		b.post(at(k, "/watch/enforce"), "revision", p.revision()).to(at(k, "?tab=scopes"))
		if got := w.read(k.ID).Scopes; len(got) != 1 {
			t.Fatalf("scopes = %v", got)
		}
		b.post(at(k, "/undo")).to(at(k, "?tab=scopes"))
		p = b.get(at(k, "/watch")).want(200, "Make it count")
		b.post(at(k, "/watch/end"), "revision", p.revision()).to(at(k, "?tab=scopes"))
		b.get(at(k, "/watch")).to(at(k, ""))
		if got := w.read(k.ID); len(got.Scopes) != 2 || got.Watch != nil {
			t.Errorf("the key is %+v", got)
		}
	})
}
