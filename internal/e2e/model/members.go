package model

import (
	"slices"
	"strings"
)

// NewMember is who shall be invited. Scopes that are not nil are held instead of
// the role's.
type NewMember struct {
	Email  string
	Name   string
	Role   *Role
	Scopes []string
}

// MemberEdit is what shall change of a member; a pointer to nil scopes goes back
// to the role's.
type MemberEdit struct {
	Name     *string
	Role     *Role
	Scopes   *[]string
	Revision int64
}

// Join puts a member into an account: how the first ones come there.
func (a *Account) Join(email, name string, role *Role) *Member {
	m := &Member{Account: a, Email: email, Name: name, Role: role, Revision: 1, heldAtFirst: role.Grants}
	a.Members = append(a.Members, m)
	return m
}

// Invite adds a member. Nobody hands out a permission or a scope that they lack.
func (w *World) Invite(by Actor, in NewMember) (*Member, Refusal) {
	r := w.may(by, "postern.members.write")
	r.addIf(!strings.Contains(in.Email, "@") || !validName(in.Name), Invalid)
	r.addIf(slices.ContainsFunc(in.Scopes, func(p string) bool { return !validPattern(p) }), Invalid)
	r.addIf(slices.ContainsFunc(by.Account.Members, func(m *Member) bool { return !m.Removed && m.Email == in.Email }), Conflict)
	if !usable(by, in.Role) {
		r.add(Invalid)
		r.add(NotFound)
		return nil, r
	}
	grants := in.Role.Grants
	if in.Scopes != nil {
		grants = in.Scopes
	}
	r.addIf(!slices.Contains(r.Codes, Forbidden) && !w.mayAppoint(by, in.Role.Permissions, grants), Insufficient)
	if !r.None() {
		return nil, r
	}
	m := by.Account.Join(in.Email, in.Name, in.Role)
	m.Scopes, m.Narrowed, m.heldAtFirst = in.Scopes, in.Scopes != nil, grants
	return m, r
}

// EditMember changes a member: the keys that they made with scopes that they hold
// no longer are flagged.
func (w *World) EditMember(by Actor, m *Member, in MemberEdit) Refusal {
	r := w.may(by, "postern.members.write")
	if m == nil || m.Removed || m.Account != by.Account {
		r.add(NotFound)
		return r
	}
	r.addIf(in.Revision != 0 && in.Revision != m.Revision, Precondition)
	r.addIf(in.Name != nil && !validName(*in.Name), Invalid)
	if in.Role != nil && !usable(by, in.Role) {
		r.add(Invalid)
		r.add(NotFound)
		return r
	}
	to := *m
	set(&to.Name, in.Name)
	if in.Role != nil {
		to.Role = in.Role
	}
	if in.Scopes != nil {
		to.Scopes, to.Narrowed = *in.Scopes, *in.Scopes != nil
		r.addIf(slices.ContainsFunc(*in.Scopes, func(p string) bool { return !validPattern(p) }), Invalid)
	}
	if sameMember(m, &to) {
		return r
	}
	r.addIf(!superAdmin(&to) && w.lastSuperAdmin(m), Conflict)
	if !slices.Contains(r.Codes, Forbidden) {
		r.addIf(!w.mayAppoint(by, handedPermissions(m, &to), handedScopes(m, &to)), Insufficient)
		r.addIf(!w.outranks(by, m), Insufficient)
	}
	if !r.None() {
		return r
	}
	to.Revision++
	w.flag(m, func(scope string) bool { return w.covers(to.holds(), scope, w.sensitive(scope)) })
	*m = to
	return r
}

// handedPermissions are those that come with a role that is given.
func handedPermissions(from, to *Member) []string {
	if from.Role == to.Role {
		return nil
	}
	return to.Role.Permissions
}

// handedScopes are the patterns that somebody gets, if they get others than they have.
func handedScopes(from, to *Member) []string {
	if from.Role == to.Role && slices.Equal(sorted(from.holds()), sorted(to.holds())) {
		return nil
	}
	return to.holds()
}

// outranks reports whether somebody may change a member: they hold all
// of these rights, or it is themselves.
func (w *World) outranks(by Actor, m *Member) bool {
	return by.Member == m || w.mayAppoint(by, m.Role.Permissions, m.holds())
}

func sameMember(a, b *Member) bool { return a.Name == b.Name && sameRights(a, b) }

func sameRights(a, b *Member) bool {
	return a.Role == b.Role && a.Narrowed == b.Narrowed && slices.Equal(sorted(a.Scopes), sorted(b.Scopes))
}

// RemoveMember ends a membership: the member's personal keys stop at once; the
// service keys that they made go on working, flagged.
func (w *World) RemoveMember(by Actor, m *Member) Refusal {
	r := w.may(by, "postern.members.write")
	if m == nil || m.Removed || m.Account != by.Account {
		r.add(NotFound)
		return r
	}
	r.addIf(w.lastSuperAdmin(m), Conflict)
	r.addIf(!slices.Contains(r.Codes, Forbidden) && !w.outranks(by, m), Insufficient)
	if !r.None() {
		return r
	}
	for _, k := range m.Account.Keys {
		if k.MadeBy == m {
			w.mark(k)
		}
	}
	for _, p := range m.Account.Personal {
		if p.Member == m {
			p.Ended = true
		}
	}
	m.Removed = true
	return r
}

// lastSuperAdmin reports whether an account would be without one who can come in
// if not for m. Who was invited and has no key yet can't come in; nor can one
// whose keys have all ended.
func (w *World) lastSuperAdmin(m *Member) bool {
	others := slices.ContainsFunc(m.Account.Members, func(o *Member) bool {
		return o != m && superAdmin(o) && (w.canComeIn(o) || w.Bug == BugInvitedCounts)
	})
	return superAdmin(m) && !others && w.Bug != BugLastAdminGoes
}

// canComeIn reports whether a member has a personal access key that works: here
// the only way in.
func (w *World) canComeIn(m *Member) bool {
	return slices.ContainsFunc(m.Account.Personal, func(p *Personal) bool {
		return p.Member == m && !p.Ended && (p.ExpiresAt.IsZero() || w.Now.Before(p.ExpiresAt))
	})
}

// superAdmin: one whose scopes are cut is none in effect.
func superAdmin(m *Member) bool { return !m.Removed && m.Role.ID == "super_admin" && !m.Narrowed }

// flag marks the live keys that a member made with a scope that they hold, and
// after a change will not.
func (w *World) flag(m *Member, holdsThen func(scope string) bool) {
	for _, k := range m.Account.Keys {
		lost := func(s string) bool { return len(w.lacks(m, []string{s})) == 0 && !holdsThen(s) }
		if k.MadeBy == m && slices.ContainsFunc(k.Scopes, lost) {
			w.mark(k)
		}
	}
}

func (w *World) mark(k *Key) {
	if !k.ended() && k.FlaggedAt.IsZero() && w.Bug != BugNeverFlagged {
		k.FlaggedAt = w.Now
	}
}

// Suspend suspends an account or ends that. Only the operator's members can.
func (w *World) Suspend(by Actor, a *Account, suspended bool) Refusal {
	r := w.may(by, "postern.accounts.write")
	r.addIf(!by.Account.Operator, Forbidden)
	r.addIf(by.Account != a && !r.None(), NotFound) // another account isn't there for who may not change it
	if r.None() {
		a.Suspended = suspended
	}
	return r
}

// LimitDays sets the most calls a day of an account. Only the operator's members can.
func (w *World) LimitDays(by Actor, a *Account, most int64) Refusal {
	r := w.may(by, "postern.accounts.write")
	r.addIf(!by.Account.Operator, Forbidden)
	r.addIf(by.Account != a && !r.None(), NotFound) // another account isn't there for who may not change it
	r.addIf(most < 0, Invalid)
	if r.None() {
		a.Daily = most
	}
	return r
}

// LoadCatalog puts a version of the upstream's catalog in force. Only the
// operator's members can.
func (w *World) LoadCatalog(by Actor, c Catalog) Refusal {
	r := w.may(by, "postern.catalog.write")
	r.addIf(!by.Account.Operator, Forbidden)
	if r.None() {
		w.Catalog = c
	}
	return r
}
