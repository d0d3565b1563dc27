package console

import (
	"context"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
)

func policyViews(c func() Common) map[string][]view {
	f := func() *form {
		f := newForm("longestLife", polyglot, "remindExpiry", polyglot, "revision", polyglot)
		f.Wrong("longestLife", "%s", polyglot)
		return f
	}
	flags := flagsPart{Keys: []flagRow{{ID: "0123456789abcdef", Name: polyglot, Words: []string{polyglot, "b"}, Refused: true}, {ID: "x", Name: "y"}}, Total: 102, More: 100, Sums: []string{"1 unused key", "b"}}
	p := postern.Policy{RequireExpiry: true, LongestLife: 1, WriteNetworks: true, RemindAge: 2, IdleAfter: 3, ChangedAt: t0, Revision: 2, Altered: true}
	n := store.Notification{ID: "ntf_1", Kind: notify.KeyRefused, Subject: polyglot, Words: polyglot, Link: "/keys/x", MadeAt: t0, MailedAt: t0}
	return map[string][]view{
		"policy": {&policyView{F: newForm()}, &policyView{Common: c(), F: f(), P: p, By: polyglot, May: true, SeesKeys: true, Conflict: true, Checked: true, Flags: flags, Now: 1, Hidden: []nameValue{{polyglot, polyglot}}},
			&policyView{Common: c(), F: newForm(), P: p, By: polyglot, SeesKeys: true, Flags: flags, Remind: "30 and 7"}, &policyView{Common: c(), F: newForm(), Checked: true, May: true}},
		"sso":        {&ssoView{}, &ssoView{Common: c(), Rows: []ssoRow{{Name: polyglot, Issuer: polyglot, Client: polyglot, Callback: "https://x/y", Claim: polyglot, Roles: []nameValue{{polyglot, polyglot}}, Provision: true}, {}}}},
		"notices":    {&noticesView{}, &noticesView{Common: c(), Tabs: tabs{"x", []tab{{Name: "All", Link: "/notifications"}}}, Rows: []noticeRow{{n, "alert", "bad"}, {store.Notification{ReadAt: t0}, "key", ""}}, Unread: 2, Next: "/notifications?after=1.x", Newer: true, Here: "/notifications"}},
		"me_notices": {&noticeChoiceView{}, &noticeChoiceView{Common: c(), Email: polyglot, Kinds: []noticeChoice{{"a", polyglot, polyglot, true}, {"b", "B", "", false}}}},
	}
}

func TestSecurityPolicy(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		must(w.kr.CreateKey(ctx, w.super, keyring.NewKey{Name: "erp <i>", Scopes: []postern.Scope{"deals.write"}}))(t)
		used := must(w.kr.CreateKey(ctx, w.super, keyring.NewKey{Name: "board", Scopes: []postern.Scope{"deals.read"}, ExpiresAt: t0.Add(100 * 24 * time.Hour)}))(t)
		b := w.login()
		b.get("/settings/security").want(200, "Security policy", "No limits are set yet.", `name="longestLife" type="number" value="365"`, "Every live key is as the policy asks.").not("<i>")
		bad := b.post("/settings/security/check", "longestLife", "99999", "remindExpiry", "30, soon").want(422, "Write days with commas between them", `value="99999"`)
		bad.want(422, "<title>Error: ")
		b.post("/settings/security/check", "longestLife", "99999").want(422, "The longest life is 1 to 3650 days")
		values := []string{"requireExpiry", "on", "longestLife", "90", "writeNetworks", "on", "remindExpiry", "7, 30", "remindAge", "180", "idleAfter", "45", "revision", "0"}
		b.post("/settings/security/check", values...).want(200, "Before you save", "This would flag 2 keys, and 0 are flagged now.", "It has no end; at most 90 days ahead are allowed.",
			"It can change records, and can be used from any address.", "Its end is more than 90 days ahead.", "A new key like this is refused.", "Save the policy", `name="idleAfter" value="45"`)
		if p := must(w.kr.Policy(ctx, w.super))(t); p.Revision != 0 {
			t.Fatalf("looking saved %+v", p)
		}
		b.post("/settings/security", values...).to("/settings/security")
		p := must(w.kr.Policy(ctx, w.super))(t)
		if !p.RequireExpiry || p.LongestLife != 90 || !p.WriteNetworks || len(p.RemindExpiry) != 2 || p.RemindExpiry[0] != 30 || p.Revision != 1 {
			t.Errorf("policy = %+v", p)
		}
		b.get("/settings/security").want(200, "2 keys are not as the policy asks.", "Last changed by Maya Okafor", "1 key without an end")
		b.post("/settings/security", "longestLife", "30", "revision", "0").want(409, "Maya Okafor changed this", "Look at their change before saving yours.", `value="30"`)

		// Unused keys are flagged by what activity says.
		w.called(used.Key, w.now(), 1, 200)
		w.later(44 * 24 * time.Hour)
		w.called(used.Key, w.now(), 1, 200)
		w.later(2 * 24 * time.Hour)
		w.login().get("/settings/security").want(200, "It was never used in 46 days.").not("It was not used for")

		viewer := w.login(w.member("vi@example.com", "Vi", postern.RoleViewer))
		viewer.get("/settings/security").want(200, "Longest life of a key", "90 days", "Manage the account permission").not("See what this would flag")
		viewer.post("/settings/security", values...).want(403, "You cannot change the account")
		b.get("/settings/sso").want(404)
	})
}

func TestSavingThePolicyAsksForAFreshSignIn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		w.later(20 * time.Minute)
		if p := b.post("/settings/security", "longestLife", "90", "revision", "0"); p.status == 303 && p.header.Get("Location") == "/settings/security" {
			t.Error("saved without a fresh sign-in")
		}
		if p := must(w.kr.Policy(context.Background(), w.super))(t); p.Revision != 0 {
			t.Errorf("policy = %+v", p)
		}
	})
}

func TestNotifications(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		b := w.login()
		b.get("/notifications").want(200, "Nothing yet").not("unread-n")
		vi := w.member("vi@example.com", "Vi", postern.RoleViewer)
		insert := func(m postern.MemberID, n int, from string) {
			for i := range n {
				must(w.db.Write(ctx, func(tx *store.Tx) error {
					_, err := tx.InsertNotification(ctx, &store.Notification{ID: postern.NewID("ntf"), AccountID: w.account, MemberID: m, Kind: notify.KeyExpires,
						Subject: from + " stops working in 7 days", Words: "It ends <soon>.", Link: "/keys", Dedupe: from + strings.Repeat("x", i), MadeAt: w.now().Add(time.Duration(i) * time.Second)})
					return err
				}))(t)
			}
		}
		insert(w.super.MemberID, 60, "erp")
		insert(vi.MemberID, 1, "theirs")
		first := b.get("/notifications").want(200, "erp stops working in 7 days", "It ends &lt;soon&gt;.", "Notifications, 60 unread", "Older").not("theirs")
		if n := strings.Count(first.body, "Unread: "); n != 50 {
			t.Errorf("%d rows, want 50", n)
		}
		i := strings.Index(first.body, "/notifications?after=")
		next := first.body[i : i+strings.IndexByte(first.body[i:], '"')]
		if n := strings.Count(b.get(next).want(200, "Newest").body, "Unread: "); n != 10 {
			t.Errorf("%d rows on the second page, want 10", n)
		}
		list := must(w.db.Notifications(ctx, w.super.MemberID, false, store.Cursor{}, 1))(t)
		b.post("/notifications/read", "id", list[0].ID, "next", "/notifications?show=unread").to("/notifications?show=unread")
		b.get("/keys").want(200, "Notifications, 59 unread")
		other := w.login(vi)
		other.post("/notifications/read", "id", must(w.db.Notifications(ctx, w.super.MemberID, true, store.Cursor{}, 1))(t)[0].ID)
		b.get("/keys").want(200, "Notifications, 59 unread")
		b.post("/notifications/read", "next", "https://evil.example/").to("/")
		b.get("/notifications?show=unread").want(200, "Nothing unread")
		other.get("/notifications").want(200, "theirs stops working in 7 days").not("erp stops")

		b.get("/me/notifications").want(200, "Send me a mail when", `value="key_expires" id="mail-key_expires" checked`, "maya@example.com")
		b.post("/me/notifications", "mail", "joined").to("/me/notifications")
		b.get("/me/notifications").want(200, `id="mail-joined" checked`, `id="mail-key_expires">`)
		if prefs := must(w.signin.Preferences(ctx, w.super.MemberID))(t); prefs[notify.Preference(notify.KeyExpires)] != "off" || prefs[notify.Preference(notify.Joined)] != "on" {
			t.Errorf("preferences = %v", prefs)
		}
	})
}
