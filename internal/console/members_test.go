package console

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

var joinLink = regexp.MustCompile(`/join/(pst_inv_[0-9A-Za-z_]+)`)

// invited sends the form of an invitation and gives the link that the page shows.
func (b *browser) invited(pairs ...string) string {
	b.w.t.Helper()
	p := b.post("/settings/members", pairs...).want(200, "Invitation made. Copy the link now.", "It works once")
	m := joinLink.FindStringSubmatch(p.body)
	if m == nil {
		b.w.t.Fatalf("no link: %.800s", text(p.body))
	}
	if cc := p.header.Get("Cache-Control"); cc != "no-store" {
		b.w.t.Errorf("a page with an invitation has Cache-Control %q", cc)
	}
	return m[1]
}

// never checks that markup which people typed is not in a page as such.
func (p *page) never(texts ...string) *page {
	p.t.Helper()
	for _, s := range texts {
		if strings.Contains(p.body, s) {
			p.t.Errorf("the page has %q unescaped", s)
		}
	}
	return p
}

// memberID finds a member by their address.
func (w *world) memberID(email string) postern.MemberID {
	w.t.Helper()
	for _, m := range must(w.db.Members(context.Background(), w.account, false))(w.t) {
		if m.Email == email {
			return m.ID
		}
	}
	w.t.Fatalf("no member %s", email)
	return ""
}

// An invitation is shown once, works once, and can be made anew and withdrawn.
func TestInvite(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/settings/members").want(200, "Maya Okafor", "Super admin", "Every scope, sensitive ones too", "This is you")
		b.get("/settings/members/new").want(200, "You can only give what you hold.", "Read deals", "What the role grants")
		b.post("/settings/members", "email", "kim", "name", "Kim", "role", "viewer").want(422, "This is no e-mail address.", `value="kim"`, "<title>Error: ")
		b.post("/settings/members", "email", "", "role", "").want(422, "Give the e-mail address of the person.", "Choose a role.")
		once := b.token()
		secret := b.invited("email", "kim@example.com", "name", "Kim <b>", "role", "developer", "holds", "own", "scope", "deals.read", "patterns", "contacts.*", "_form", once)
		b.post("/settings/members", "email", "kim@example.com", "name", "Kim", "role", "developer", "_form", once).to("/settings/members")
		b.get("/settings/members").want(200, "its link was shown once", "Kim <b>", "Invited", "Everything under contacts and Read deals", "Chosen for them").not("pst_inv_").never("Kim <b>")
		w.stranger().get("/join/"+secret).want(200, "Larkspur Outdoor")

		id := string(w.memberID("kim@example.com"))
		again := joinLink.FindStringSubmatch(b.post("/settings/members/"+id+"/invite").want(200, "Copy the link now").body)[1]
		w.stranger().get("/join/" + secret).want(404)
		w.stranger().get("/join/" + again).want(200)
		b.get("/settings/members/"+id).want(200, "Their link works until", "Withdraw the invitation")
		b.post("/settings/members/" + id + "/withdraw").to("/settings/members")
		w.stranger().get("/join/" + again).want(404)
		b.get("/settings/members/" + id).want(404)
		b.get("/settings/members").not("kim@example.com")
		for _, s := range []string{secret, again} {
			if strings.Contains(w.log.String(), s) {
				t.Error("an invitation is in the log")
			}
		}
	})
}

// Nobody hands out what they lack, and the page says so before and after.
func TestMembersContainment(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		admin := w.member("sec@example.com", "Sec Admin", postern.RoleSecurityAdmin)
		dev := w.member("dev@example.com", "Dev Eloper", postern.RoleDeveloper)
		viewer := w.member("vi@example.com", "Vi Ewer", postern.RoleViewer)
		b := w.login(admin)
		page := b.get("/settings/members/new").want(200, "Has more than you do: Manage keys", "You don’t hold this, so you can’t pass it on.")
		if !regexp.MustCompile(`value="super_admin" ?disabled|value="super_admin"[^>]* disabled`).MatchString(page.body) {
			t.Error("a security admin can choose the role of a super admin")
		}
		b.post("/settings/members", "email", "a@example.com", "name", "A", "role", "super_admin").want(422, "holds more than you do")
		b.post("/settings/members", "email", "a@example.com", "name", "A", "role", "viewer", "holds", "own", "scope", "deals.read").want(422, "holds more than you do", "deals.read")
		b.get("/settings/members/"+string(dev.MemberID)).want(200, "They hold more than you do").not("Save")
		b.post("/settings/members/"+string(dev.MemberID), "name", "Dev", "role", "viewer", "holds", "role").want(422, "holds more than you do")
		b.post("/settings/members/" + string(dev.MemberID) + "/remove").want(403)
		b.post("/settings/members/" + string(dev.MemberID) + "/invite").want(403)

		v := w.login(viewer)
		v.get("/settings/members").want(403, "You cannot see members and roles")
		v.post("/settings/members", "email", "a@example.com", "role", "viewer").want(403, "Manage members")

		// What changes holds at once, and flags the keys that go beyond it.
		made := must(w.kr.CreateKey(ctx, dev, keyring.NewKey{Name: "stock", Scopes: []postern.Scope{"deals.read", "contacts.read"}}))(t)
		s := w.login()
		id := string(dev.MemberID)
		rev := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(s.get("/settings/members/"+id).want(200, "Keys they made", "stock", "Nothing to review").body)[1]
		s.post("/settings/members/"+id, "revision", rev, "name", "Dev Eloper", "role", "developer", "holds", "own", "scope", "deals.read").to("/settings/members/" + id)
		s.get("/settings/members/"+id).want(200, "Read deals", "Chosen for them", "Review it", "no longer holds contacts.read")
		s.post("/settings/members/"+id, "revision", rev, "name", "Other", "role", "viewer", "holds", "role").want(422, "Someone changed this meanwhile.", `value="Other"`)
		s.get("/settings/members").want(200, "1 to review")
		if k := must(w.kr.Key(ctx, w.super, made.Key.ID))(t); k.FlaggedAt.IsZero() {
			t.Error("the key isn't flagged")
		}
	})
}

// Removing says what goes on and what ends; the last super admin stays.
func TestRemoveMember(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		dev := w.member("dev@example.com", "Dev Eloper", postern.RoleDeveloper)
		must(w.kr.CreateKey(ctx, dev, keyring.NewKey{Name: "stock", Scopes: []postern.Scope{"deals.read"}}))(t)
		must(w.kr.CreatePersonalKey(ctx, dev, keyring.NewPersonalKey{Name: "laptop"}))(t)
		theirs := w.login(dev)
		b := w.login()
		me := "/settings/members/" + string(w.super.MemberID)
		b.get(me).want(200, "This is the account’s last super admin.").not("Remove…")
		b.get(me+"/remove").want(200, "can’t be removed").not("Remove them")
		// One who was invited and never came in can't take over.
		w.member("other@example.com", "Oth Er", postern.RoleSuperAdmin)
		b.get(me).want(200, "This is the account’s last super admin.").not("Remove…")
		b.post(me+"/remove").want(409, "last super admin")
		b.post(me, "name", "Maya", "role", "viewer", "holds", "role").want(422, "last super admin")

		path := "/settings/members/" + string(dev.MemberID)
		b.get(path+"/remove").want(200, "1 key that they made keeps working", "Their 1 personal key ends now.", "stock")
		w.later(time.Hour) // too long since they proved who they are
		b = w.login()
		b.post(path + "/remove").to("/settings/members")
		b.get("/settings/members").want(200, "Dev Eloper is no longer a member. 1 key that they made goes on working and waits for a review.")
		b.get(path).want(404)
		theirs.get("/keys").to("/signin?next=%2Fkeys")

		// Risky changes ask who it is once some time has passed.
		w.later(25 * time.Minute)
		b.post("/settings/members", "email", "a@example.com", "role", "viewer").want(403, "Confirm that it is you")
	})
}

// Members can be searched; what was typed is escaped.
func TestMembersSearch(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.member("dev@example.com", `<img src=x>"'Dev`, postern.RoleDeveloper)
		b := w.login()
		b.get("/settings/members?q=DEV@").want(200, "1 member", "dev@example.com").not("This is you").never("<img")
		b.get("/settings/members?q=%3Cscript%3E").want(200, "Nobody matches that.", "Clear the search").never("<script>")
		b.get("/settings/members?from=-4").want(200, "2 members")
		b.get("/settings/members?from=900").want(200, "2 members")
	})
}
