package console

import (
	"net/http"
	"slices"
	"strconv"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// roleRoutes are the roles: what each may do, and the account's own ones.
func (c *Console) roleRoutes() []route {
	read, write := []postern.Permission{postern.PermMembersRead}, []postern.Permission{postern.PermMembersWrite}
	return []route{
		{Pattern: "GET /settings/roles", Serve: c.listRoles, Need: read},
		{Pattern: "GET /settings/roles/new", Serve: c.showNewRole, Need: write},
		{Pattern: "POST /settings/roles", Serve: c.createRole, Need: write, Fresh: true},
		{Pattern: "GET /settings/roles/{id}", Serve: c.showRole, Need: write},
		{Pattern: "POST /settings/roles/{id}", Serve: c.editRole, Need: write, Fresh: true},
		{Pattern: "GET /settings/roles/{id}/delete", Serve: c.askDeleteRole, Need: write},
		{Pattern: "POST /settings/roles/{id}/delete", Serve: c.deleteRole, Need: write, Fresh: true},
	}
}

// permissionSays is what a permission lets a person do, in a sentence.
var permissionSays = map[postern.Permission]string{
	postern.PermKeysRead:      "Look at service keys, their scopes and their use.",
	postern.PermKeysWrite:     "Create, change, rotate and resume service keys, with scopes that they hold.",
	postern.PermKeysRevoke:    "Pause, revoke and delete service keys.",
	postern.PermMembersRead:   "Look at members and roles.",
	postern.PermMembersWrite:  "Invite, change and remove members and roles, giving no more than they hold.",
	postern.PermCatalogRead:   "Look at connected APIs and their scopes.",
	postern.PermCatalogWrite:  "Connect APIs and load their documents, in the account that runs the server.",
	postern.PermActivityRead:  "Look at the calls that were made, and at who made them.",
	postern.PermAuditRead:     "Look at who changed what.",
	postern.PermAccountRead:   "Look at the account and its security policy.",
	postern.PermAccountWrite:  "Change the account's name, time zone and security policy.",
	postern.PermAccountsWrite: "Make and suspend other accounts, in the account that runs the server.",
	postern.PermVerify:        "Ask this server whether a credential of the account is good.",
	postern.PermAppsRead:      "Look at apps.",
	postern.PermAppsWrite:     "Make and change apps.",
}

type rolesView struct {
	Common
	Tabs  tabs
	Roles []roleRow
	Perms []permLine
}

type roleRow struct {
	postern.Role
	Holds   string
	Members int
	Own     bool // the account added it
	May     bool // the reader may change it
	Why     string
}

// permLine is a permission, and which roles have it.
type permLine struct {
	Name, Words, Says string
	Has               []bool
	Ticked, Locked    bool
}

func (c *Console) listRoles(v *visit) error {
	ctx := v.r.Context()
	roles, err := c.kr.Roles(ctx, v.by)
	if err != nil {
		return err
	}
	members, err := c.kr.Members(ctx, v.by)
	if err != nil {
		return err
	}
	b, err := c.scopeBook(ctx)
	if err != nil {
		return err
	}
	view := &rolesView{Common: v.common("Roles", "/settings/members", peopleTrail...), Tabs: peopleTabs("/settings/roles")}
	have := map[postern.RoleID]int{}
	for i := range members {
		have[members[i].Role.ID]++
	}
	for i := range roles {
		r := roleRow{Role: roles[i], Holds: b.holdsWords(roles[i].Grants), Members: have[roles[i].ID], Own: roles[i].AccountID != ""}
		if r.Own && v.can(postern.PermMembersWrite) {
			if lacks := b.lacks(v.member(), &roles[i]); lacks != "" {
				r.Why = "It has more than you do: " + lacks + "."
			} else {
				r.May = true
			}
		}
		view.Roles = append(view.Roles, r)
	}
	for _, p := range postern.Permissions() {
		line := permLine{Name: string(p), Words: permissionWords[p][0], Says: permissionSays[p]}
		for i := range roles {
			line.Has = append(line.Has, slices.Contains(roles[i].Permissions, p))
		}
		view.Perms = append(view.Perms, line)
	}
	return v.render("roles", view)
}

// roleView is the form of one role.
type roleView struct {
	Common
	F        *form
	ID       string // empty: a new one
	Name     string // as it is now
	Revision int64
	Conflict bool
	Members  int
	Perms    []permLine
	Grants   grantsPart
}

func (c *Console) rolePage(v *visit, f *form, id postern.RoleID) (*roleView, error) {
	p := &roleView{F: f, ID: string(id)}
	if id == "" {
		p.Common = v.common("Add a role", "/settings/members", append(slices.Clone(peopleTrail), crumb{"Roles", "/settings/roles"})...)
		if f == nil {
			p.F = newForm("permission", string(postern.PermKeysRead), "permission", string(postern.PermCatalogRead), "permission", string(postern.PermActivityRead))
		}
	} else {
		r, members, err := c.ownRole(v, id)
		if err != nil {
			return nil, err
		}
		p.Common = v.common(r.Name, "/settings/members", append(slices.Clone(peopleTrail), crumb{"Roles", "/settings/roles"})...)
		p.Name, p.Revision, p.Members = r.Name, r.Revision, members
		if f == nil {
			p.F = newForm("name", r.Name, "words", r.Words)
			for _, perm := range r.Permissions {
				p.F.Values.Add("permission", string(perm))
			}
			if err := c.setGrants(v.r.Context(), p.F, r.Grants); err != nil {
				return nil, err
			}
		}
	}
	p.Error = !p.F.OK()
	for _, perm := range postern.Permissions() {
		line := permLine{Name: string(perm), Words: permissionWords[perm][0], Says: permissionSays[perm], Ticked: p.F.Has("permission", string(perm))}
		line.Locked = !line.Ticked && !v.can(perm)
		p.Perms = append(p.Perms, line)
	}
	var err error
	p.Grants, err = c.grantsPart(v, p.F)
	return p, err
}

// ownRole reads a role that the account added, and how many have it.
func (c *Console) ownRole(v *visit, id postern.RoleID) (r postern.Role, members int, err error) {
	roles, err := c.kr.Roles(v.r.Context(), v.by)
	if err != nil {
		return r, 0, err
	}
	i := slices.IndexFunc(roles, func(r postern.Role) bool { return r.ID == id })
	if i < 0 {
		return r, 0, errNoPage
	}
	if roles[i].AccountID == "" {
		return r, 0, postern.Errorf(postern.CodeConflict, "Built-in roles can’t be changed. Add a role of your own.")
	}
	have, err := c.cfg.DB.RoleMembers(v.r.Context(), v.by.AccountID, id)
	return roles[i], len(have), err
}

func (c *Console) showNewRole(v *visit) error {
	p, err := c.rolePage(v, nil, "")
	if err != nil {
		return err
	}
	return v.render("roles-one", p)
}

func (c *Console) showRole(v *visit) error {
	p, err := c.rolePage(v, nil, postern.RoleID(v.path("id")))
	if err != nil {
		return err
	}
	return v.render("roles-one", p)
}

// roleInput is the role that a form describes.
func roleInput(f *form) keyring.RoleInput {
	in := keyring.RoleInput{Name: f.Get("name"), Words: f.Get("words"), Grants: f.grants()}
	for _, p := range f.Values["permission"] {
		in.Permissions = append(in.Permissions, postern.Permission(p))
	}
	in.IfRevision, _ = strconv.ParseInt(f.Get("revision"), 10, 64)
	if in.Name == "" {
		f.Wrong("name", "Give the role a name.")
	}
	return in
}

func (c *Console) createRole(v *visit) error { return c.saveRole(v, "") }

func (c *Console) editRole(v *visit) error { return c.saveRole(v, postern.RoleID(v.path("id"))) }

func (c *Console) saveRole(v *visit, id postern.RoleID) error {
	f := v.sent()
	in := roleInput(f)
	conflict := false
	if f.OK() {
		var r postern.Role
		var err error
		if id == "" {
			r, err = c.kr.CreateRole(v.r.Context(), v.by, in)
		} else {
			r, err = c.kr.EditRole(v.r.Context(), v.by, id, in)
		}
		switch {
		case err == nil && id == "":
			return v.done("/settings/roles", "The role "+r.Name+" is there. Give it to people on their pages.")
		case err == nil:
			return v.done("/settings/roles", "The role "+r.Name+" is saved. It holds at once for all who have it.")
		}
		conflict = postern.CodeOf(err) == postern.CodePrecondition
		if e := roleField(f, err); e != nil {
			return e
		}
	}
	p, err := c.rolePage(v, f, id)
	if err != nil {
		return err
	}
	if p.Conflict = conflict; conflict {
		p.Revision = in.IfRevision
	}
	return v.show(http.StatusUnprocessableEntity, "roles-one", p)
}

// roleField is form.take, with the keyring's names of fields turned into those of the form.
func roleField(f *form, err error) error {
	if err := f.take(err); err != nil {
		return err
	}
	for i := range f.Errors {
		if f.Errors[i].Field == "description" {
			f.Errors[i].Field = "words"
		}
	}
	return nil
}

func (c *Console) askDeleteRole(v *visit) error {
	r, members, err := c.ownRole(v, postern.RoleID(v.path("id")))
	if err != nil {
		return err
	}
	return v.render("roles-delete", &roleView{Common: v.common("Delete "+r.Name, "/settings/members", append(slices.Clone(peopleTrail), crumb{"Roles", "/settings/roles"})...),
		ID: string(r.ID), Name: r.Name, Members: members})
}

func (c *Console) deleteRole(v *visit) error {
	r, _, err := c.ownRole(v, postern.RoleID(v.path("id")))
	if err != nil {
		return err
	}
	if err := c.kr.DeleteRole(v.r.Context(), v.by, r.ID); err != nil {
		return err
	}
	return v.done("/settings/roles", "The role "+r.Name+" is deleted.")
}
