package model_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// maxMembers keeps the accounts small, so that everything meets everything.
const maxMembers = 9

func (w *world) invite(r *rand.Rand) error {
	by := w.someone(r)
	live := slices.DeleteFunc(slices.Clone(by.Account.Members), func(m *model.Member) bool { return m.Removed })
	if len(live) >= maxMembers {
		return w.removeMember(r)
	}
	w.emails++
	in := model.NewMember{Email: fmt.Sprintf("m%d@example.org", w.emails), Name: "Someone", Role: w.aRole(r, by.Account)}
	if chance(r, 0.4) {
		in.Scopes = somePatterns(r)
	}
	switch x := r.Float64(); {
	case x < 0.03:
		in.Email = pick(r, live).Email
	case x < 0.05:
		in.Email = "nobody"
	}
	what := fmt.Sprintf("%s invites %s as %s with %q", w.name(by), in.Email, roleName(in.Role), in.Scopes)
	w.note("%s", what)
	m, refusal := w.m.Invite(by, in)
	out, err := w.kr.InviteMember(w.t.Context(), w.actor(by), keyring.NewMember{
		Email: in.Email, Name: in.Name, RoleID: w.roleID(in.Role), Scopes: in.Scopes,
	})
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	w.members[m] = out.Member.ID
	return w.likeMember(m, &out.Member)
}

func (w *world) editMember(r *rand.Rand) error {
	by := w.someone(r)
	m := w.aMember(r, by.Account)
	var in model.MemberEdit
	real := keyring.MemberEdit{}
	if chance(r, 0.2) {
		in.Name = ref(pick(r, []string{"Someone", "Someone else"}))
	}
	if chance(r, 0.5) {
		in.Role = w.aRole(r, by.Account)
		if in.Role != nil {
			real.RoleID = ref(w.roles[in.Role])
		}
	}
	if chance(r, 0.5) {
		in.Scopes = ref(somePatterns(r))
		if chance(r, 0.3) {
			*in.Scopes = nil
		}
		real.Scopes = ref(postern.Grants(*in.Scopes))
	}
	if m != nil {
		in.Revision = aRevision(r, m.Revision)
	}
	real.Name, real.IfRevision = in.Name, in.Revision
	what := fmt.Sprintf("%s edits the member %s: name %s, role %s, scopes %s, revision %d", w.name(by), memberName(m),
		show(in.Name), roleName(in.Role), show(in.Scopes), in.Revision)
	w.note("%s", what)
	refusal := w.m.EditMember(by, m, in)
	got, err := w.kr.EditMember(w.t.Context(), w.actor(by), w.memberID(m), real)
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	return w.likeMember(m, &got)
}

func (w *world) removeMember(r *rand.Rand) error {
	by := w.someone(r)
	m := w.aMember(r, by.Account)
	what := fmt.Sprintf("%s removes %s", w.name(by), memberName(m))
	w.note("%s", what)
	refusal := w.m.RemoveMember(by, m)
	return w.agree(what, refusal, w.kr.RemoveMember(w.t.Context(), w.actor(by), w.memberID(m)))
}

// changeRole makes a role, or changes or deletes one.
func (w *world) changeRole(r *rand.Rand) error {
	by := w.someone(r)
	role := w.aRole(r, by.Account)
	if role != nil && role.Account != nil && chance(r, 0.2) {
		what := fmt.Sprintf("%s deletes the role %s", w.name(by), roleName(role))
		w.note("%s", what)
		refusal := w.m.DeleteRole(by, role)
		return w.agree(what, refusal, w.kr.DeleteRole(w.t.Context(), w.actor(by), w.roleID(role)))
	}
	in := model.RoleInput{Name: fmt.Sprintf("Role %d", r.IntN(12)), Permissions: some(r, model.Permissions, 0.6), Grants: somePatterns(r)}
	if chance(r, 0.02) {
		in.Permissions = append(in.Permissions, "postern.everything")
	}
	real := keyring.RoleInput{Name: in.Name, Permissions: scopes(in.Permissions), Grants: in.Grants}
	if chance(r, 0.35) || role == nil || role.Account == nil {
		what := fmt.Sprintf("%s creates the role %+v", w.name(by), in)
		w.note("%s", what)
		made, refusal := w.m.CreateRole(by, in)
		got, err := w.kr.CreateRole(w.t.Context(), w.actor(by), real)
		if made != nil {
			w.roles[made] = got.ID
		}
		return w.agree(what, refusal, err)
	}
	in.Revision = aRevision(r, role.Revision)
	real.IfRevision = in.Revision
	what := fmt.Sprintf("%s edits the role %s: %+v", w.name(by), roleName(role), in)
	w.note("%s", what)
	refusal := w.m.EditRole(by, role, in)
	_, err := w.kr.EditRole(w.t.Context(), w.actor(by), w.roleID(role), real)
	return w.agree(what, refusal, err)
}

// createPersonal makes a personal access key, with a session or with another such key.
func (w *world) createPersonal(r *rand.Rand) error {
	by := w.someone(r)
	if mine(by.Account, by.Member) >= 30 {
		return w.revokePersonal(r)
	}
	in := model.NewPersonal{Name: aName(r), ExpiresAt: w.anEnd(r)}
	if chance(r, 0.6) && by.Member != nil {
		in.Scopes = some(r, by.Member.Role.Permissions, 0.4)
		if chance(r, 0.1) {
			in.Scopes = append(in.Scopes, pick(r, model.Permissions))
		}
	}
	what := fmt.Sprintf("%s creates a personal key %+v", w.name(by), in)
	w.note("%s", what)
	p, refusal := w.m.CreatePersonal(by, in)
	made, err := w.kr.CreatePersonalKey(w.t.Context(), w.actor(by), keyring.NewPersonalKey{Name: in.Name, Scopes: scopes(in.Scopes), ExpiresAt: in.ExpiresAt})
	if disagreement := w.agree(what, refusal, err); disagreement != nil || err != nil {
		return disagreement
	}
	w.personal[p], w.secrets[p.Secret] = made.Key.Key, made.Secret
	return w.likePersonal(p, &made.Key)
}

func (w *world) likePersonal(p *model.Personal, got *store.PersonalKey) error {
	var d difference
	differ(&d, "name", got.Name, p.Name, equal)
	differ(&d, "member", got.MemberID, w.members[p.Member], equal)
	if len(p.Scopes) > 0 {
		differ(&d, "scopes", names(got.Scopes), p.Scopes, sameSet)
	}
	if !got.ExpiresAt.Equal(p.ExpiresAt) {
		differ(&d, "expiry", got.ExpiresAt.String(), p.ExpiresAt.String(), equal)
	}
	return d.err("personal key " + p.Name)
}

func mine(a *model.Account, m *model.Member) (n int) {
	for _, p := range a.Personal {
		if p.Member == m && !p.Ended {
			n++
		}
	}
	return n
}

func (w *world) revokePersonal(r *rand.Rand) error {
	by := w.someone(r)
	a := by.Account
	if chance(r, 0.05) {
		a = w.otherThan(a)
	}
	p := pick(r, a.Personal[max(0, len(a.Personal)-40):])
	what := fmt.Sprintf("%s revokes the personal key %s of %s", w.name(by), p.Name, p.Member.Email)
	w.note("%s", what)
	refusal := w.m.RevokePersonal(by, p)
	return w.agree(what, refusal, w.kr.RevokePersonalKey(w.t.Context(), w.actor(by), w.personal[p]))
}

// suspend suspends the account that doesn't operate the server, or ends that.
func (w *world) suspend(r *rand.Rand) error {
	by, a := w.someone(r), w.m.Accounts[1]
	suspended := !a.Suspended
	what := fmt.Sprintf("%s sets the suspension of beta to %t", w.name(by), suspended)
	w.note("%s", what)
	refusal := w.m.Suspend(by, a, suspended)
	_, err := w.kr.EditAccount(w.t.Context(), w.actor(by), w.accounts[a], keyring.AccountEdit{Suspended: &suspended})
	return w.agree(what, refusal, err)
}

// limitDays sets how often beta may call in a day.
func (w *world) limitDays(r *rand.Rand) error {
	by, a := w.someone(r), w.m.Accounts[1]
	most := pick(r, []int64{0, 0, 5, 20, 40, -1})
	what := fmt.Sprintf("%s sets the daily limit of beta to %d", w.name(by), most)
	w.note("%s", what)
	refusal := w.m.LimitDays(by, a, most)
	_, err := w.kr.EditAccount(w.t.Context(), w.actor(by), w.accounts[a], keyring.AccountEdit{DailyLimit: &most})
	return w.agree(what, refusal, err)
}

func (w *world) loadCatalog(r *rand.Rand) error {
	return w.load(w.someone(r), randomCatalog(r))
}

func (w *world) load(by model.Actor, c model.Catalog) error {
	what := fmt.Sprintf("%s loads the catalog %s", w.name(by), document(c))
	w.note("%s", what)
	refusal := w.m.LoadCatalog(by, c)
	_, err := w.kr.LoadCatalog(w.t.Context(), w.actor(by), "api", parse(w.t, c), false)
	return w.agree(what, refusal, err)
}
