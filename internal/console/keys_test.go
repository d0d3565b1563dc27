package console

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

func keyViews(c func() Common) map[string][]view {
	k := &postern.ServiceKey{ID: "0123456789abcdef", Name: strings.Repeat("W", 64) + polyglot, Current: postern.SecretInfo{LastFour: "9f3K"}, ExpiresAt: t0.Add(time.Hour), FlaggedWhy: polyglot}
	row := &keyRow{Key: k, State: keyState{Kind: "bad", Words: "Failing", Detail: polyglot}, Tool: polyglot, What: polyglot, How: "Read only", Calls: 1234567, Days: []int64{0, 3, 9}, Used: t0, InDays: "in 1 h", Soon: true}
	return map[string][]view{
		"keys": {&keysView{}, &keysView{Common: c(), Filter: keysFilter{Tab: "unused", Q: polyglot, Scope: "deals.read", Sort: "name"}, Total: 1, Matching: 99, Rows: []*keyRow{row}, Bulk: true, Secret: true,
			Decisions: []decision{{Hot: true, Icon: "alert", Name: polyglot, Why: "is refused", Button: "Look", Link: "/keys"}}, Deciding: 4, More: true, Scopes: []option{{polyglot, polyglot, true}},
			Tabs: tabs{"Which", []tab{{polyglot, "/keys", "3", true}}}, Pager: pager{"1 to 2", "/keys", "/keys"}, Download: "/keys.csv"},
			&keysView{Common: c(), Total: 1, Filter: keysFilter{Q: "nothing"}}},
		"keys-bulk": {&bulkView{F: newForm()}, &bulkView{Common: c(), F: &form{Values: map[string][]string{"typed": {polyglot}}, Errors: []fieldError{{"typed", polyglot}, {"", polyglot}}}, Act: actDelete, Verb: "Delete",
			Rows: []bulkRow{{row, polyglot, false}, {row, "Stays", true}}, Changing: 1, InUse: 1, Calls: 9, Typed: polyglot, Back: "/keys", Several: true}},
	}
}

// TestWorstStateWins: of several states that hold, the list says the worst.
func TestWorstStateWins(t *testing.T) {
	ago, in := func(d time.Duration) time.Time { return t0.Add(-d) }, func(d time.Duration) time.Time { return t0.Add(d) }
	const day = 24 * time.Hour
	for _, c := range []struct {
		what           string
		key            postern.ServiceKey
		used           time.Time
		calls, refused int64
		want           string
	}{
		{"never called", postern.ServiceKey{CreatedAt: ago(day)}, time.Time{}, 0, 0, "New"},
		{"called", postern.ServiceKey{CreatedAt: ago(day)}, ago(time.Hour), 100, 4, "Active"},
		{"5% of 100 refused", postern.ServiceKey{CreatedAt: ago(day)}, ago(time.Hour), 100, 5, "Failing"},
		{"all of 19 refused", postern.ServiceKey{CreatedAt: ago(day)}, ago(time.Hour), 19, 19, "Active"},
		{"1 of 20 refused", postern.ServiceKey{CreatedAt: ago(day)}, ago(time.Hour), 20, 1, "Failing"},
		{"failing and expiring", postern.ServiceKey{CreatedAt: ago(day), ExpiresAt: in(day)}, ago(time.Hour), 20, 20, "Failing"},
		{"14 days left", postern.ServiceKey{CreatedAt: ago(day), ExpiresAt: in(14 * day)}, ago(time.Hour), 0, 0, "Expires in 14 days"},
		{"more than 14 days left", postern.ServiceKey{CreatedAt: ago(day), ExpiresAt: in(14*day + 1)}, ago(time.Hour), 0, 0, "Active"},
		{"hours left", postern.ServiceKey{CreatedAt: ago(day), ExpiresAt: in(time.Hour)}, ago(time.Hour), 0, 0, "Expires today"},
		{"expiring and unused", postern.ServiceKey{CreatedAt: ago(99 * day), ExpiresAt: in(day)}, ago(60 * day), 0, 0, "Expires in 1 day"},
		{"45 days unused", postern.ServiceKey{CreatedAt: ago(99 * day)}, ago(45 * day), 0, 0, "Unused 45 days"},
		{"44 days unused", postern.ServiceKey{CreatedAt: ago(99 * day)}, ago(45*day - 1), 0, 0, "Active"},
		{"never used for 50 days", postern.ServiceKey{CreatedAt: ago(50 * day)}, time.Time{}, 0, 0, "Unused 50 days"},
		{"rotating", postern.ServiceKey{CreatedAt: ago(day), Previous: postern.SecretInfo{Generation: 1, EndsAt: in(day)}}, ago(day), 0, 0, "Rotating"},
		{"rotating and unused", postern.ServiceKey{CreatedAt: ago(99 * day), Previous: postern.SecretInfo{Generation: 1, EndsAt: in(day)}}, ago(70 * day), 0, 0, "Unused 70 days"},
		{"paused", postern.ServiceKey{CreatedAt: ago(99 * day), PausedAt: ago(day)}, ago(70 * day), 30, 30, "Paused"},
		{"paused and expiring", postern.ServiceKey{CreatedAt: ago(99 * day), PausedAt: ago(day), ExpiresAt: in(3 * day)}, ago(70 * day), 0, 0, "Expires in 3 days"},
		{"expired", postern.ServiceKey{CreatedAt: ago(99 * day), ExpiresAt: ago(day)}, ago(70 * day), 99, 99, "Ended"},
		{"revoked", postern.ServiceKey{CreatedAt: ago(99 * day), RevokedAt: ago(day), ExpiresAt: in(day)}, ago(2 * day), 99, 99, "Ended"},
		{"not yet", postern.ServiceKey{CreatedAt: ago(99 * day), NotBefore: in(10 * day)}, time.Time{}, 0, 0, "Starts 2 Dec 2026"},
	} {
		k := c.key
		k.ID = "k"
		s := &keySnap{policy: postern.DefaultPolicy("a"), keys: []*postern.ServiceKey{&k}, uses: useOf(c.used), hour: hourWith(c.calls, c.refused)}
		if got := s.state(&k, t0, time.UTC); got.Words != c.want {
			t.Errorf("%s = %q, want %q", c.what, got.Words, c.want)
		}
	}
}

// fixture makes keys in every state.
func (w *world) fixture() map[string]postern.ServiceKey {
	w.t.Helper()
	ctx, out := context.Background(), map[string]postern.ServiceKey{}
	now := w.now()
	add := func(name string, in keyring.NewKey) postern.ServiceKey {
		in.Name = name
		k := must(w.kr.CreateKey(ctx, w.super, in))(w.t).Key
		out[name] = k
		return k
	}
	w.later(-100 * 24 * time.Hour)
	add("gsheet-lead-import", keyring.NewKey{Scopes: []postern.Scope{"contacts.read", "contacts.write"}})
	w.later(100 * 24 * time.Hour)
	w.called(out["gsheet-lead-import"], now.Add(-94*24*time.Hour), 3, 200)
	w.called(add("stock-levels-to-erp", keyring.NewKey{Scopes: []postern.Scope{"deals.read", "deals.write"}, Description: "=cmd|' /C calc'!A0"}), now.Add(-2*time.Second), 40, 200)
	w.called(add("helpdesk-ticket-mirror", keyring.NewKey{Scopes: []postern.Scope{"deals.read"}}), now.Add(-20*time.Minute), 15, 200)
	w.called(out["helpdesk-ticket-mirror"], now.Add(-4*time.Minute), 15, 403)
	w.called(add("finance-invoice-export", keyring.NewKey{Scopes: []postern.Scope{"invoices.read", "deals.read", "contacts.read"}, ExpiresAt: now.Add(6 * 24 * time.Hour)}), now.Add(-time.Hour), 410, 200)
	w.called(add("deals-sync-warehouse", keyring.NewKey{Scopes: []postern.Scope{"deals.read"}}), now.Add(-4*time.Minute), 5, 200)
	must(w.kr.RotateKey(ctx, w.super, out["deals-sync-warehouse"].ID, keyring.Rotation{Grace: 2 * 24 * time.Hour}))(w.t)
	add("brand-new", keyring.NewKey{})
	yes := true
	must(w.kr.EditKey(ctx, w.super, add("warehouse-backfill", keyring.NewKey{Scopes: []postern.Scope{"deals.read"}}).ID, keyring.KeyEdit{Paused: &yes}))(w.t)
	must(w.kr.RevokeKey(ctx, w.super, add("old-script", keyring.NewKey{}).ID, "left the company"))(w.t)
	return out
}

func TestKeyList(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/keys").want(200, "No keys yet", "A service key lets one tool")
		keys := w.fixture()
		p := b.get("/keys").want(200, "3 keys need a decision", "All 7", "Needs a decision 3", "Rotating 1", "Unused 1", "Paused 1", "Ended 1",
			"helpdesk-ticket-mirror is being refused 50% of the time. It calls GET /deals, which its scopes do not open.",
			"finance-invoice-export stops working on 28 November. It makes about 29 calls a day.",
			"gsheet-lead-import can read and write", "has not been used since 20 August.",
			"Failing", "50% refused in the last hour", "Expires in 6 days", "Unused 94 days", "Rotating", "old secret off in 2 days", "Paused", "New", "Active",
			"Read and write", "Python script", "7 keys").not("old-script")
		order := []string{"stock-levels-to-erp", "finance-invoice-export"}
		if i, j := strings.Index(tableOf(p.body), order[0]), strings.Index(tableOf(p.body), order[1]); i < 0 || j < i {
			t.Errorf("%s at %d and %s at %d, want the one used last first", order[0], i, order[1], j)
		}
		b.get("/keys?tab=ended").want(200, "old-script", "1 key").not("stock-levels")
		b.get("/keys?tab=rotating").want(200, "deals-sync-warehouse").not("stock-levels")
		b.get("/keys?tab=decision").want(200, "3 keys").not("stock-levels")
		b.get("/keys?tab=nothing").want(404)
		b.get("/keys?q=LEVELS").want(200, "stock-levels-to-erp", "1 key").not("warehouse-backfill", "need a decision")
		b.get("/keys?q="+keys["brand-new"].Current.LastFour).want(200, "brand-new")
		b.get("/keys?q=python").want(200, "stock-levels-to-erp").not("brand-new")
		b.get("/keys?scope=invoices.read").want(200, "finance-invoice-export", "1 key").not("stock-levels")
		b.get("/keys?q=zzz").want(200, "No key matches that.", "Clear the search")
		b.get("/keys?q=pst_sk_0123456789abcdef_"+strings.Repeat("a", 49)).want(200, "looks like a secret", "last 4 characters").not(strings.Repeat("a", 49))
		b.get("/keys?sort=name").want(200, "brand-new")
		b.get("/keys?after=junk&before=junk").want(200, "brand-new")

		// A change is on the list at once.
		name := "brand-newer"
		must(w.kr.EditKey(t.Context(), w.super, keys["brand-new"].ID, keyring.KeyEdit{Name: &name}))(t)
		b.get("/keys").want(200, "brand-newer")
		must(w.kr.DeleteKey(t.Context(), w.super, keys["brand-new"].ID, 0))(t)
		b.get("/keys").want(200, "6 keys").not("brand-newer")

		v := w.login(w.member("vera@example.com", "Vera", postern.RoleViewer))
		v.get("/keys").want(200, "stock-levels-to-erp").not("Pause…", "Delete…", "Rotate secret…", "With the chosen keys", "Pause it")
		v.get("/keys/bulk?action=pause&id="+string(keys["deals-sync-warehouse"].ID)).want(403, "You cannot pause or end keys", "Stop keys")
		v.post("/keys/bulk/pause", "id", string(keys["deals-sync-warehouse"].ID)).want(403, "You cannot pause or end keys")
	})
}

func tableOf(body string) string {
	_, rest, _ := strings.Cut(body, "<tbody>")
	return rest
}

// TestAnotherAccountSeesNothing: lists are held by account.
func TestAnotherAccountSeesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		keys := w.fixture()
		w.login().get("/keys").want(200, "stock-levels-to-erp")
		_, inv, err := w.kr.CreateAccount(t.Context(), w.super, keyring.NewAccount{Name: "Other", AdminEmail: "o@example.net", AdminName: "O"})
		if err != nil {
			t.Fatal(err)
		}
		o := w.login(postern.Actor{AccountID: inv.Member.AccountID, MemberID: inv.Member.ID})
		o.get("/keys").want(200, "No keys yet").not("stock-levels")
		o.get("/keys/bulk?action=delete&id="+string(keys["brand-new"].ID)).want(404, "These keys are gone")
		o.post("/keys/bulk/delete", "id", string(keys["brand-new"].ID)).want(404)
	})
}

func TestBulk(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, keys := w.login(), w.fixture()
		id := func(name string) string { return string(keys[name].ID) }
		state := func(name string) postern.State {
			t.Helper()
			k := must(w.kr.Key(t.Context(), w.super, keys[name].ID))(t)
			return k.State(w.now())
		}
		b.get("/keys/bulk?action=pause").to("/keys")
		b.get("/keys").want(200, "Choose at least one key first.")
		b.get("/keys/bulk?action=eat&id=" + id("brand-new")).want(404)

		// The dry run changes nothing.
		b.get("/keys/bulk?action=pause&id="+id("brand-new")+"&id="+id("warehouse-backfill")+"&id="+id("old-script")).
			want(200, "Pause 3 keys?", "Will be paused", "Stays as it is: paused already", "Stays as it is: it has ended", "Pause 1 key")
		if got := state("brand-new"); got != postern.StateActive {
			t.Errorf("after the dry run the key is %s, want active", got)
		}
		b.post("/keys/bulk/pause", "id", id("brand-new"), "id", id("warehouse-backfill"), "back", "/keys?sort=name").to("/keys?sort=name")
		b.get("/keys").want(200, "1 key paused.")
		if got := state("brand-new"); got != postern.StatePaused {
			t.Errorf("the key is %s, want paused", got)
		}
		b.post("/keys/bulk/pause", "id", id("stock-levels-to-erp")).to("/keys")
		b.get("/keys").want(200, "stock-levels-to-erp is paused.", "Undo")
		b.post("/keys/bulk/resume", "id", id("stock-levels-to-erp"), "back", "//evil.example").to("/")
		if got := state("stock-levels-to-erp"); got != postern.StateActive {
			t.Errorf("the key is %s, want active", got)
		}

		// All that match.
		b.get("/keys/bulk?action=pause&all=1&q=warehouse").want(200, "Pause 2 keys?", "deals-sync-warehouse", "warehouse-backfill").not("helpdesk")

		// Deleting what is in use takes typing, and keeps what was typed.
		b.get("/keys/bulk?action=delete&id="+id("stock-levels-to-erp")).want(200, "This key is in use right now.", "Type “stock-levels-to-erp” to go on")
		b.post("/keys/bulk/delete", "id", id("stock-levels-to-erp"), "typed", "stock").want(422, "Type stock-levels-to-erp to go on.", `value="stock"`, "Error: ")
		b.post("/keys/bulk/delete", "id", id("stock-levels-to-erp"), "typed", "stock-levels-to-erp").to("/keys")
		b.get("/keys").want(200, "stock-levels-to-erp is deleted.")
		b.post("/keys/bulk/delete", "id", id("brand-new"), "id", id("warehouse-backfill")).to("/keys")

		// It asks for a fresh proof.
		token := b.token()
		w.later(12 * time.Minute)
		b.post("/keys/bulk/delete", "id", id("deals-sync-warehouse"), "_form", token).want(403, "Confirm that it is you")
		if got := state("deals-sync-warehouse"); got != postern.StateRotating {
			t.Errorf("the key is %s, want rotating", got)
		}
	})
}

var idIn = regexp.MustCompile(`name="id" value="([^"]+)"`)

// An undo names exactly what was done, and what failed is told key by key.
func TestBulkUndoAndPartly(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		one, two, three := w.createdKey("key-one", "deals.read").Key, w.createdKey("key-two", "contacts.read").Key, w.createdKey("key-three", "deals.read").Key
		id := func(k postern.ServiceKey) string { return string(k.ID) }
		b.post("/keys/bulk/pause", "id", id(one)).to("/keys")
		// The first that was sent is paused already: the undo is of the other two.
		b.post("/keys/bulk/pause", "id", id(one), "id", id(two), "id", id(three)).to("/keys")
		undo := regexp.MustCompile(`href="(/keys/bulk[^"]*action=resume[^"]*)">Undo`).FindStringSubmatch(b.get("/keys").want(200, "2 keys paused.").body)
		if undo == nil {
			t.Fatal("there is no undo")
		}
		p := b.get(strings.ReplaceAll(undo[1], "&amp;", "&")).want(200, "Resume 2 keys?", "key-two", "key-three").not("key-one")
		if got := idIn.FindAllStringSubmatch(p.body, -1); len(got) != 2 {
			t.Errorf("the undo is of %d keys, want 2", len(got))
		}
		// Who may not resume gets no undo.
		inv := must(w.kr.InviteMember(t.Context(), w.super, keyring.NewMember{Email: "noor@example.com", Name: "Noor", RoleID: postern.RoleKeyManager, Scopes: postern.Grants{"deals.read"}}))(t)
		role := must(w.kr.CreateRole(t.Context(), w.super, keyring.RoleInput{Name: "Stopper", Permissions: []postern.Permission{postern.PermKeysRead, postern.PermKeysRevoke}}))(t)
		stop := w.login(w.member("stan@example.com", "Stan", role.ID))
		four := w.createdKey("key-four", "deals.read").Key
		stop.post("/keys/bulk/pause", "id", id(four)).to("/keys")
		stop.get("/keys").want(200, "key-four is paused.").not("Undo")
		stop.post("/keys/bulk/resume", "id", id(four)).want(403)
		// Noor lacks what one of the keys holds: the others are resumed, and the page says so of each.
		n := w.login(postern.Actor{AccountID: w.account, MemberID: inv.Member.ID})
		p = n.post("/keys/bulk/resume", "id", id(one), "id", id(two), "id", id(three)).want(409, "2 keys resumed. 1 key stayed as before. The list says why.", "Is resumed", "Stayed as it was: ", "contacts.read", "Resume 1 key")
		if got := idIn.FindAllStringSubmatch(p.body, -1); len(got) != 1 || got[0][1] != id(two) {
			t.Errorf("what is left to do is %v, want key-two", got)
		}
		for k, want := range map[postern.KeyID]postern.State{one.ID: postern.StateActive, two.ID: postern.StatePaused, three.ID: postern.StateActive} {
			is := must(w.kr.Key(t.Context(), w.super, k))(t)
			if got := is.State(w.now()); got != want {
				t.Errorf("%s is %s, want %s", is.Name, got, want)
			}
		}
	})
}

func TestUndoPauseOfMany(t *testing.T) {
	v := &visit{session: &signin.Session{Member: postern.Member{Role: postern.Role{Permissions: []postern.Permission{postern.PermKeysWrite}}}}}
	ids := make([]string, undoMost+1)
	for i := range ids {
		ids[i] = fmt.Sprintf("k%015d", i)
	}
	if f := v.undoPause("x", ids[:undoMost]); f.LinkText != "Undo" || strings.Count(f.Link, "id=k") != undoMost || len(f.Link) > 2500 {
		t.Errorf("an undo of %d keys leads to %q", undoMost, f.Link)
	}
	if f := v.undoPause("x", ids); f.LinkText != "See paused keys" || f.Link != "/keys?tab=paused" {
		t.Errorf("an undo of %d keys is %+v, want all that are paused", len(ids), f)
	}
}

func TestDownloadKeys(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.fixture()
		p := w.login().get("/keys.csv?scope=deals.read&sort=name").want(200)
		if got := p.header.Get("Content-Disposition"); got != `attachment; filename="service-keys-2026-11-22.csv"` {
			t.Errorf("Content-Disposition = %q", got)
		}
		rows := must(csv.NewReader(strings.NewReader(p.body)).ReadAll())(t)
		var names []string
		for _, r := range rows[1:] {
			names = append(names, r[0])
			if r[0] == "stock-levels-to-erp" && r[len(r)-1] != "'=cmd|' /C calc'!A0" {
				t.Errorf("note = %q, want it not to be a formula", r[len(r)-1])
			}
		}
		if want := []string{"deals-sync-warehouse", "finance-invoice-export", "helpdesk-ticket-mirror", "stock-levels-to-erp", "warehouse-backfill"}; !slices.Equal(names, want) {
			t.Errorf("names = %q, want %q", names, want)
		}
		list := must(w.kr.Audit(t.Context(), w.super, store.AuditFilter{Action: "service_key.export"}, 0, 9))(t)
		if len(list) != 1 || list[0].After["filter"] != "/keys?scope=deals.read&sort=name" || list[0].After["keys"] != float64(5) {
			t.Errorf("audit entries of the download = %+v, want one with its filter", list)
		}
		w.login().get("/audit?action=service_key.export").want(200, "downloaded the list of keys")
	})
	for _, c := range []string{"=1", "+1", "-1", "@a", "\ta", "\ra"} {
		if got := cells([]string{c})[0]; got != "'"+c {
			t.Errorf("cell %q = %q, want a ' before it", c, got)
		}
	}
	if got := cells([]string{"", "a=1"}); got[0] != "" || got[1] != "a=1" {
		t.Errorf("cells = %q, want them as they were", got)
	}
}

// TestPagesMeet: going forward shows each key once, going back the same pages.
func TestPagesMeet(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.many(t, 123)
	for _, sort := range []string{"", "name", "expires"} {
		b, at := w.login(), link("/keys", "sort", sort)
		var pages [][]string
		for at != "" {
			p := b.get(at).want(200)
			pages = append(pages, namesOn(p.body))
			at = relOn(p.body, "next")
			if at == "" {
				for i := len(pages) - 2; i >= 0; i-- {
					back := relOn(p.body, "prev")
					p = b.get(back).want(200)
					if got := namesOn(p.body); !slices.Equal(got, pages[i]) {
						t.Errorf("sort %q: page %d going back = %q, want %q", sort, i, got, pages[i])
					}
				}
			}
		}
		seen := map[string]bool{}
		for _, p := range pages {
			for _, n := range p {
				if seen[n] {
					t.Errorf("sort %q: %s is on two pages", sort, n)
				}
				seen[n] = true
			}
		}
		if len(seen) != 123 {
			t.Errorf("sort %q: %d keys on %d pages, want 123", sort, len(seen), len(pages))
		}
	}
}

func namesOn(body string) (out []string) {
	for _, part := range strings.Split(tableOf(body), `aria-label="Choose `)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		out = append(out, name)
	}
	return out
}

func relOn(body, rel string) string {
	_, rest, ok := strings.Cut(body, `rel="`+rel+`" href="`)
	if !ok {
		return ""
	}
	href, _, _ := strings.Cut(rest, `"`)
	return strings.ReplaceAll(href, "&amp;", "&")
}

var longBench = flag.Bool("long", false, "measure lists with 5 million calls")

// many makes n keys straight in the store, with a call each for two thirds of them.
func (w *world) many(t testing.TB, n int) []postern.KeyID {
	t.Helper()
	ids := insertKeys(t, w, n)
	for i, id := range ids {
		if i%3 != 0 {
			k := postern.ServiceKey{ID: id, AccountID: w.account, Current: postern.SecretInfo{Generation: 1}}
			w.record(k, t0.Add(-time.Duration(i)*time.Minute))
		}
	}
	if err := w.activity.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	return ids
}

// cpuTime is what this process has worked so far: on a busy machine the time that
// passes says little.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkKeysList measures a page of 10,000 keys with calls of 14 days, 500 calls
// a key: 5 million, rolled up by the hour as activity keeps them.
func BenchmarkKeysList(b *testing.B) {
	n, calls := 10_000, 500_000
	if *longBench {
		calls = 5_000_000
	}
	w := newWorld(b, storetest.SQLite(b), func(c *Config) { c.Refresh = 5 * time.Second })
	ids := insertKeys(b, w, n)
	rollUp(b, w, ids, calls)
	x := w.login()
	cookie := x.c.Jar.Cookies(must(httptest.NewRequest("GET", w.url, nil), nil)(b).URL)
	for _, c := range []struct{ name, path string }{
		{"first", "/keys"}, {"search", "/keys?q=sync-77"}, {"scope", "/keys?scope=deals.write&sort=name"}, {"decision", "/keys?tab=decision"}, {"csv", "/keys.csv"},
	} {
		b.Run(c.name, func(b *testing.B) {
			if _, err := w.console.snapshot(context.Background(), w.account); err != nil { // "cold" is measured by itself
				b.Fatal(err)
			}
			var all []time.Duration
			began := cpuTime(b)
			for b.Loop() {
				req := httptest.NewRequest("GET", c.path, nil)
				for _, k := range cookie {
					req.AddCookie(k)
				}
				req.Header.Set("Accept-Encoding", "gzip")
				rec := httptest.NewRecorder()
				start := time.Now()
				w.console.Handler().ServeHTTP(rec, req)
				all = append(all, time.Since(start))
				if rec.Code != 200 {
					b.Fatalf("status = %d", rec.Code)
				}
				b.ReportMetric(float64(rec.Body.Len()), "bytes")
			}
			slices.Sort(all)
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/1000/float64(len(all)), "cpu-ms/op")
			b.ReportMetric(float64(all[len(all)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			w.console.lists.mu.Lock()
			clear(w.console.lists.by)
			w.console.lists.mu.Unlock()
			if _, err := w.console.snapshot(context.Background(), w.account); err != nil {
				b.Fatal(err)
			}
		}
	})
}
