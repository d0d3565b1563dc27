package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// memberRoutes are the members of the account: who they are, what they may do,
// how they come in, what they made.
func (c *Console) memberRoutes() []route {
	read, write := []postern.Permission{postern.PermMembersRead}, []postern.Permission{postern.PermMembersWrite}
	return []route{
		{Pattern: "GET /settings/members", Serve: c.listMembers, Need: read},
		{Pattern: "GET /settings/members/new", Serve: c.showInvite, Need: write},
		{Pattern: "POST /settings/members", Serve: c.inviteMember, Need: write, Fresh: true, Repeats: true},
		{Pattern: "GET /settings/members/{id}", Serve: c.showMember, Need: read},
		{Pattern: "POST /settings/members/{id}", Serve: c.editMember, Need: write, Fresh: true},
		{Pattern: "POST /settings/members/{id}/invite", Serve: c.reinviteMember, Need: write, Fresh: true, Repeats: true},
		{Pattern: "POST /settings/members/{id}/withdraw", Serve: c.withdrawInvitation, Need: write, Fresh: true},
		{Pattern: "GET /settings/members/{id}/remove", Serve: c.askRemoveMember, Need: write},
		{Pattern: "POST /settings/members/{id}/remove", Serve: c.removeMember, Need: write, Fresh: true},
	}
}

// peopleTabs lead between members and roles.
func peopleTabs(current string) tabs {
	t := tabs{Label: "Members and roles"}
	for _, one := range []tab{{Name: "Members", Link: "/settings/members"}, {Name: "Roles", Link: "/settings/roles"}} {
		one.Current = one.Link == current
		t.Items = append(t.Items, one)
	}
	return t
}

var peopleTrail = []crumb{{Name: "Settings"}, {"Members and roles", "/settings/members"}}

// memberRow is a member on the list.
type memberRow struct {
	M           postern.Member
	Name        string
	Holds       string
	Own         bool // scopes of their own, instead of the role's
	Here        bool // the reader
	Last        time.Time
	Factor      pill
	Ways        store.MemberWays
	Pending     bool // never came in
	Invited     bool // there is an invitation that works
	Until       time.Time
	MayBeMine   bool   // the reader holds all that they do
	MayBeLacked string // what the reader lacks of it
}

type membersView struct {
	Common
	Tabs     tabs
	Q        string
	Rows     []memberRow
	Total    int
	NoSecond int // members who came in and have no second factor
	Pager    pager
}

const membersAPage = 100

// memberRowOf fills in what a row says.
func memberRowOf(v *visit, b *scopeBook, m *postern.Member, w store.MemberWays, last time.Time) memberRow {
	r := memberRow{M: *m, Name: nameOf(m), Holds: b.holdsWords(m.Holds()), Own: m.Scopes != nil, Here: m.ID == v.by.MemberID, Last: last, Ways: w}
	r.Pending = !w.Joined && last.IsZero()
	r.Invited, r.Until = v.now.Before(w.InvitedUntil), w.InvitedUntil
	r.Factor = factorOf(w)
	role := m.Role
	role.Grants = m.Holds()
	r.MayBeLacked = b.lacks(v.member(), &role)
	r.MayBeMine = r.MayBeLacked == ""
	return r
}

// factorOf says how sure a member's sign-in is.
func factorOf(w store.MemberWays) pill {
	var with []string
	if w.TOTP {
		with = append(with, "Authenticator app")
	}
	if w.Passkeys > 0 {
		with = append(with, count(w.Passkeys, "passkey", "passkeys"))
	}
	switch {
	case len(with) > 0:
		return pill{"ok", few(with, 2)}
	case w.Identities > 0 && !w.Password:
		return pill{"ok", "Single sign-on"}
	case w.Password:
		return pill{"warn", "None"}
	case w.Joined:
		return pill{"", "No password or passkey"}
	}
	return pill{"", "Not joined yet"}
}

func (c *Console) listMembers(v *visit) error {
	ctx := v.r.Context()
	members, err := c.kr.Members(ctx, v.by)
	if err != nil {
		return err
	}
	ways, err := c.cfg.DB.MemberWays(ctx, v.by.AccountID, "")
	if err != nil {
		return err
	}
	last, err := c.cfg.DB.LastSignins(ctx, v.by.AccountID)
	if err != nil {
		return err
	}
	b, err := c.scopeBook(ctx)
	if err != nil {
		return err
	}
	view := &membersView{Common: v.common("Members", "/settings/members", crumb{Name: "Settings"}, crumb{Name: "Members and roles"}), Tabs: peopleTabs("/settings/members"),
		Q: v.query("q"), Total: len(members)}
	if len(view.Q) > 200 {
		view.Q = strings.ToValidUTF8(view.Q[:200], "")
	}
	q := strings.ToLower(view.Q)
	var rows []memberRow
	for i := range members {
		m := &members[i]
		if w := ways[m.ID]; w.Joined && factorOf(w).Kind == "warn" {
			view.NoSecond++
		}
		if q != "" && !strings.Contains(strings.ToLower(m.Name+" "+m.Email+" "+m.Role.Name), q) {
			continue
		}
		rows = append(rows, memberRowOf(v, b, m, ways[m.ID], last[m.ID]))
	}
	from, _ := strconv.Atoi(v.query("from"))
	from = min(max(0, from), max(0, len(rows)-1)) / membersAPage * membersAPage
	to := min(len(rows), from+membersAPage)
	view.Rows = rows[from:to]
	view.Pager.Words = count(len(rows), "member", "members")
	if len(rows) > membersAPage {
		view.Pager.Words = num(from+1) + " to " + num(to) + " of " + view.Pager.Words
	}
	if from > 0 {
		view.Pager.Prev = link("/settings/members", "q", view.Q, "from", strconv.Itoa(from-membersAPage))
	}
	if to < len(rows) {
		view.Pager.Next = link("/settings/members", "q", view.Q, "from", strconv.Itoa(to))
	}
	return v.render("members", view)
}

// roleChoice is a role that someone can be given.
type roleChoice struct {
	ID, Name, Words, Holds string
	Chosen                 bool
	Lacks                  string // what the reader lacks of it: they can't hand it out
}

// rights is the choice of a role and of scopes, for who is invited or changed.
type rights struct {
	F      *form
	Roles  []roleChoice
	Grants grantsPart
	Own    bool // scopes of their own
	Member bool // of someone who is there already
}

func (c *Console) rightsOf(v *visit, f *form) (*rights, error) {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return nil, err
	}
	roles, err := c.kr.Roles(v.r.Context(), v.by)
	if err != nil {
		return nil, err
	}
	r := &rights{F: f, Own: f.Has("holds", "own")}
	for i := range roles {
		one := roleChoice{ID: string(roles[i].ID), Name: roles[i].Name, Words: roles[i].Words, Holds: b.holdsWords(roles[i].Grants), Chosen: f.Get("role") == string(roles[i].ID)}
		if !one.Chosen {
			one.Lacks = b.lacks(v.member(), &roles[i])
		}
		r.Roles = append(r.Roles, one)
	}
	r.Grants, err = c.grantsPart(v, f)
	return r, err
}

// scopesOf are a member's own scopes as a form has them; nil: what the role grants.
func (f *form) scopesOf() postern.Grants {
	if f.Has("holds", "own") {
		return f.grants()
	}
	return nil
}

type inviteView struct {
	Common
	F      *form
	Rights *rights
}

func (c *Console) invitePage(v *visit, f *form) (*inviteView, error) {
	r, err := c.rightsOf(v, f)
	if err != nil {
		return nil, err
	}
	p := &inviteView{Common: v.common("Invite someone", "/settings/members", peopleTrail...), F: f, Rights: r}
	p.Scripts = []string{"members.js"}
	p.Error = !f.OK()
	return p, nil
}

func (c *Console) showInvite(v *visit) error {
	p, err := c.invitePage(v, newForm("role", string(postern.RoleViewer), "holds", "role"))
	if err != nil {
		return err
	}
	return v.render("members-invite", p)
}

func (c *Console) inviteMember(v *visit) error {
	if v.again {
		return v.warn("/settings/members", "This invitation was made, and its link was shown once. If it was not kept, open the member and make a new link.")
	}
	f := v.sent()
	in := keyring.NewMember{Email: f.Get("email"), Name: f.Get("name"), RoleID: postern.RoleID(f.Get("role")), Scopes: f.scopesOf()}
	if in.Name == "" {
		in.Name, _, _ = strings.Cut(in.Email, "@")
	}
	if in.Email == "" {
		f.Wrong("email", "Give the e-mail address of the person.")
	}
	if in.RoleID == "" {
		f.Wrong("role", "Choose a role.")
	}
	if f.OK() {
		inv, err := c.kr.InviteMember(v.r.Context(), v.by, in)
		if err == nil {
			return c.showInvitation(v, &inv, v.account().Name, "/settings/members")
		}
		if err := f.take(err); err != nil {
			return err
		}
	}
	p, err := c.invitePage(v, f)
	if err != nil {
		return err
	}
	return v.show(http.StatusUnprocessableEntity, "members-invite", p)
}

// invitedView shows an invitation, this once.
type invitedView struct {
	Common
	Name, Email, Role string
	Link, Mail        string
	Until             time.Time
	Back              string
}

func (c *Console) showInvitation(v *visit, inv *keyring.Invited, account, back string) error {
	v.showsSecret()
	m := &inv.Member
	p := &invitedView{Common: v.common("Invitation for "+nameOf(m), "/settings/members", peopleTrail...), Name: nameOf(m), Email: m.Email, Role: m.Role.Name,
		Link: v.server() + "/join/" + inv.Invitation.Reveal(), Until: inv.ExpiresAt, Back: back}
	p.Mail = "Subject: Join " + account + " on Postern\n\nHello " + nameOf(m) + ",\n\n" + nameOf(v.member()) + " invites you to " + account + " on Postern, as " + m.Role.Name +
		".\nOpen this link and choose a password or a passkey:\n\n" + p.Link + "\n\nIt works once, until " + inv.ExpiresAt.In(v.zone).Format("2 January 2006, 15:04 MST") +
		". Keep it to yourself: whoever opens it first comes in as you."
	return v.render("members-invited", p)
}

// server is where people reach the console.
func (v *visit) server() string {
	if v.c.cfg.PublicURL != "" {
		return v.c.cfg.PublicURL
	}
	if v.c.secure(v.r) {
		return "https://" + v.r.Host
	}
	return "http://" + v.r.Host
}

// memberView is the page of one member.
type memberView struct {
	Common
	memberRow
	F        *form
	Rights   *rights
	Revision int64
	Conflict bool
	May      bool   // the reader may change them
	Why      string // why not
	HoldsAll []string
	Keys     []madeKey
	More     int
	LastOne  bool // the account's last super admin
}

// madeKey is a service key that a member made.
type madeKey struct {
	ID       postern.KeyID
	Name     string
	Made     time.Time
	Flagged  string // why it waits for a review
	LastFour string
}

const madeShown = 50

func (c *Console) memberPage(v *visit, f *form) (*memberView, error) {
	ctx := v.r.Context()
	m, err := c.kr.Member(ctx, v.by, postern.MemberID(v.path("id")))
	if err != nil {
		return nil, err
	}
	ways, err := c.cfg.DB.MemberWays(ctx, v.by.AccountID, m.ID)
	if err != nil {
		return nil, err
	}
	last, err := c.cfg.DB.LastSignins(ctx, v.by.AccountID)
	if err != nil {
		return nil, err
	}
	b, err := c.scopeBook(ctx)
	if err != nil {
		return nil, err
	}
	p := &memberView{Common: v.common(nameOf(&m), "/settings/members", peopleTrail...), F: f, Revision: m.Revision, HoldsAll: b.grantWords(m.Holds()),
		memberRow: memberRowOf(v, b, &m, ways[m.ID], last[m.ID])}
	if p.F == nil {
		p.F = newForm("name", m.Name, "role", string(m.Role.ID), "holds", "role")
		if m.Scopes != nil {
			p.F.Values.Set("holds", "own")
		}
		if err := c.setGrants(ctx, p.F, m.Scopes); err != nil {
			return nil, err
		}
	}
	p.Error, p.Scripts = !p.F.OK(), []string{"members.js"}
	switch {
	case !v.can(postern.PermMembersWrite):
		p.Why = "Your role is " + v.member().Role.Name + ". Changing members needs the permission Manage members."
	case m.Altered:
		p.Why = "The record of this member was changed by other means than Postern, so they can do nothing. Remove them and invite them again."
	case !p.MayBeMine && !p.Here:
		p.Why = "They hold more than you do: " + p.MayBeLacked + ". Ask someone who holds it."
	default:
		p.May = true
		if p.Rights, err = c.rightsOf(v, p.F); err != nil {
			return nil, err
		}
		p.Rights.Member = true
	}
	if p.LastOne, err = c.kr.LastSuperAdmin(ctx, v.by, m.ID); err != nil {
		return nil, err
	}
	if v.can(postern.PermKeysRead) {
		keys, err := c.cfg.DB.KeysMadeBy(ctx, v.by.AccountID, m.ID)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(keys, func(a, b store.KeyRecord) int {
			return cmp.Or(b.Key.CreatedAt.Compare(a.Key.CreatedAt), cmp.Compare(a.Row.Key, b.Row.Key))
		})
		for i := range keys {
			if i == madeShown {
				p.More = len(keys) - i
				break
			}
			k := &keys[i]
			p.Keys = append(p.Keys, madeKey{ID: k.Row.Key, Name: k.Key.Name, Made: k.Key.CreatedAt, LastFour: k.Row.Current.LastFour})
			if !k.Key.FlaggedAt.IsZero() {
				p.Keys[i].Flagged = cmp.Or(k.Key.FlaggedWhy, "It waits for a review.")
			}
		}
	}
	return p, nil
}

func (c *Console) showMember(v *visit) error {
	p, err := c.memberPage(v, nil)
	if err != nil {
		return err
	}
	return v.render("members-one", p)
}

func memberLink(id string) string { return "/settings/members/" + id }

func (c *Console) editMember(v *visit) error {
	f := v.sent()
	id := postern.MemberID(v.path("id"))
	in := keyring.MemberEdit{}
	name, role, scopes := f.Get("name"), postern.RoleID(f.Get("role")), f.scopesOf()
	if name == "" {
		f.Wrong("name", "Give the person a name.")
	}
	in.Name, in.RoleID, in.Scopes = &name, &role, &scopes
	in.IfRevision, _ = strconv.ParseInt(f.Get("revision"), 10, 64)
	conflict := false
	if f.OK() {
		was, err := c.kr.Member(v.r.Context(), v.by, id)
		if err != nil {
			return err
		}
		m, err := c.kr.EditMember(v.r.Context(), v.by, id, in)
		if err == nil {
			if m.Revision == was.Revision {
				return v.done(memberLink(string(id)), "Nothing was different, so nothing was changed.")
			}
			return v.done(memberLink(string(id)), nameOf(&m)+" is changed. It holds from now on, and for their personal keys too.")
		}
		conflict = postern.CodeOf(err) == postern.CodePrecondition
		if err := f.take(err); err != nil {
			return err
		}
	}
	p, err := c.memberPage(v, f)
	if err != nil {
		return err
	}
	p.Conflict = conflict
	if conflict {
		p.Revision = in.IfRevision
	}
	return v.show(http.StatusUnprocessableEntity, "members-one", p)
}

func (c *Console) reinviteMember(v *visit) error {
	if v.again {
		return v.warn(memberLink(v.path("id")), "The new link was made, and shown once. If it was not kept, make another.")
	}
	inv, err := c.kr.ReinviteMember(v.r.Context(), v.by, postern.MemberID(v.path("id")))
	if err != nil {
		return err
	}
	return c.showInvitation(v, &inv, v.account().Name, memberLink(v.path("id")))
}

func (c *Console) withdrawInvitation(v *visit) error {
	removed, err := c.kr.WithdrawInvitation(v.r.Context(), v.by, postern.MemberID(v.path("id")))
	if err != nil {
		return err
	}
	if removed {
		return v.done("/settings/members", "The invitation is withdrawn. Its link leads nowhere now.")
	}
	return v.done(memberLink(v.path("id")), "The invitation is withdrawn. Its link leads nowhere now; the person stays a member.")
}

func (c *Console) askRemoveMember(v *visit) error {
	p, err := c.memberPage(v, nil)
	if err != nil {
		return err
	}
	p.Title = "Remove " + p.Name
	p.Trail = append(slices.Clone(peopleTrail), crumb{p.Name, memberLink(string(p.M.ID))})
	return v.render("members-remove", p)
}

func (c *Console) removeMember(v *visit) error {
	p, err := c.memberPage(v, nil)
	if err != nil {
		return err
	}
	if err := c.kr.RemoveMember(v.r.Context(), v.by, p.M.ID); err != nil {
		return err
	}
	if p.Here {
		v.signedOut()
		return v.redirect("/signin")
	}
	text := p.Name + " is no longer a member."
	if n := p.Ways.Keys; n > 0 {
		text += " " + count(n, "key that they made goes on working and waits for a review.", "keys that they made go on working and wait for a review.")
	}
	return v.done("/settings/members", text)
}
