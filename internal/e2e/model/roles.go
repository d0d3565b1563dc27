package model

import "slices"

// Role is a set of permissions, and of the scopes that its members hold.
type Role struct {
	Account     *Account // nil: built in
	ID          string   // of a built-in role
	Name        string
	Words       string
	Permissions []string
	Grants      []string
	Gone        bool
	Revision    int64
}

// RoleInput is what a role shall be.
type RoleInput struct {
	Name        string
	Words       string
	Permissions []string
	Grants      []string
	Revision    int64
}

var reading = []string{"postern.keys.read", "postern.catalog.read", "postern.activity.read", "postern.account.read"}

// BuiltIn are the roles of every account. They can't be changed.
var BuiltIn = []*Role{
	{ID: "super_admin", Permissions: Permissions, Grants: []string{"**"}},
	{ID: "security_admin", Permissions: slices.Concat(reading, []string{"postern.keys.revoke", "postern.members.read",
		"postern.members.write", "postern.audit.read", "postern.verify"})},
	{ID: "key_manager", Permissions: slices.Concat(reading, []string{"postern.keys.write", "postern.keys.revoke",
		"postern.members.read"}), Grants: []string{"*"}},
	{ID: "developer", Permissions: slices.Concat(reading, []string{"postern.keys.write", "postern.keys.revoke",
		"postern.apps.read", "postern.apps.write", "postern.verify"}), Grants: []string{"*"}},
	{ID: "viewer", Permissions: reading},
}

// Permissions are all permissions.
var Permissions = []string{
	"postern.keys.read", "postern.keys.write", "postern.keys.revoke", "postern.members.read", "postern.members.write",
	"postern.catalog.read", "postern.catalog.write", "postern.activity.read", "postern.audit.read", "postern.account.read",
	"postern.account.write", "postern.accounts.write", "postern.verify", "postern.apps.read", "postern.apps.write",
}

// mayAppoint reports whether someone may hand out permissions and scopes: nobody
// hands out what they lack.
func (w *World) mayAppoint(by Actor, permissions, grants []string) bool {
	for _, p := range permissions {
		if !w.has(by, p) {
			return false
		}
	}
	return w.coversAll(by.Member.holds(), grants)
}

// CreateRole adds a role to an account.
func (w *World) CreateRole(by Actor, in RoleInput) (*Role, Refusal) {
	r := w.may(by, "postern.members.write")
	w.checkRole(by, nil, in, &r)
	if !r.None() {
		return nil, r
	}
	role := &Role{Account: by.Account, Name: in.Name, Words: in.Words, Permissions: in.Permissions, Grants: in.Grants, Revision: 1}
	by.Account.Roles = append(by.Account.Roles, role)
	return role, r
}

// EditRole changes a role for all who have it: what they could and can no longer
// grant flags their keys.
func (w *World) EditRole(by Actor, role *Role, in RoleInput) Refusal {
	r := w.may(by, "postern.members.write")
	if !ownRole(by, role) {
		r.add(NotFound)
		return r
	}
	r.addIf(in.Revision != 0 && in.Revision != role.Revision, Precondition)
	w.checkRole(by, role, in, &r)
	// Nor takes away what they lack.
	r.addIf(!slices.Contains(r.Codes, Forbidden) && !w.mayAppoint(by, role.Permissions, role.Grants), Insufficient)
	if !r.None() {
		return r
	}
	was := *role
	next := was
	next.Name, next.Words, next.Permissions, next.Grants = in.Name, in.Words, in.Permissions, in.Grants
	if sameRole(&was, &next) {
		return r
	}
	next.Revision++
	for _, m := range by.Account.Members {
		if m.Role == role && !m.Removed && !m.Narrowed {
			w.flag(m, func(scope string) bool { return w.covers(next.Grants, scope, w.sensitive(scope)) })
		}
	}
	*role = next
	return r
}

// DeleteRole removes a role that nobody has.
func (w *World) DeleteRole(by Actor, role *Role) Refusal {
	r := w.may(by, "postern.members.write")
	if !ownRole(by, role) {
		r.add(NotFound)
		return r
	}
	r.addIf(slices.ContainsFunc(by.Account.Members, func(m *Member) bool { return m.Role == role && !m.Removed }), Conflict)
	if r.None() {
		role.Gone = true
	}
	return r
}

func (w *World) checkRole(by Actor, role *Role, in RoleInput, r *Refusal) {
	r.addIf(!validName(in.Name), Invalid)
	r.addIf(slices.ContainsFunc(in.Permissions, func(p string) bool { return !slices.Contains(Permissions, p) }), Invalid)
	r.addIf(slices.ContainsFunc(in.Grants, func(p string) bool { return !validPattern(p) }), Invalid)
	r.addIf(slices.ContainsFunc(by.Account.Roles, func(o *Role) bool { return o != role && !o.Gone && o.Name == in.Name }), Conflict)
	r.addIf(!slices.Contains(r.Codes, Forbidden) && !w.mayAppoint(by, in.Permissions, in.Grants), Insufficient)
}

func ownRole(by Actor, role *Role) bool {
	return role != nil && !role.Gone && role.Account == by.Account
}

// usable reports whether a role can be given in an account: a built-in one, or its own.
func usable(by Actor, role *Role) bool {
	return role != nil && (role.Account == nil || ownRole(by, role))
}

func sameRole(a, b *Role) bool {
	return a.Name == b.Name && a.Words == b.Words && slices.Equal(sorted(a.Permissions), sorted(b.Permissions)) &&
		slices.Equal(sorted(a.Grants), sorted(b.Grants))
}
