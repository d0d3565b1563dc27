package keyring

import (
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// InvitationKept is how long an invitation can be accepted.
const InvitationKept = 7 * 24 * time.Hour

// NewMember is who shall be invited.
type NewMember struct {
	Email  string
	Name   string
	RoleID postern.RoleID
	// Scopes, where not nil, are what they hold instead of what the role grants.
	Scopes postern.Grants
}

// Invited is a member, and the single-use secret with which they come in.
type Invited struct {
	Member     postern.Member
	Invitation postern.Secret
	ExpiresAt  time.Time
}

// InviteMember adds a member to the account. Nobody hands out a permission or a scope that they lack.
func (kr *Keyring) InviteMember(ctx context.Context, by postern.Actor, in NewMember) (out Invited, err error) {
	_, err = kr.change(ctx, by, "member.invite", "", func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		out, err = c.invite(m, by.AccountID, in)
		return err
	})
	return out, err
}

// invite adds a member to an account on behalf of m.
func (c *change) invite(m *postern.Member, a postern.AccountID, in NewMember) (out Invited, err error) {
	email, err := checkEmail(in.Email)
	if err != nil {
		return out, err
	}
	name, err := text("name", in.Name, postern.MaxNameLen, true)
	if err != nil {
		return out, err
	}
	if err := checkGrants(in.Scopes); err != nil {
		return out, err
	}
	role, err := c.role(a, in.RoleID)
	if err != nil {
		return out, err
	}
	if err := outranks(m, role, in.Scopes, "invite this member"); err != nil {
		return out, err
	}
	mem := postern.Member{ID: postern.MemberID(postern.NewID("mem")), AccountID: a, Email: email, Name: name, Role: role, Scopes: in.Scopes, CreatedAt: c.now}
	if err := c.InsertMember(c.ctx, &mem); err != nil {
		return out, err
	}
	if err := c.feed(postern.ChangeMember, a, string(mem.ID)); err != nil {
		return out, err
	}
	if err := c.audit("member.invite", string(mem.ID), mem.Email, diff(nil, memberFacts(&mem))); err != nil {
		return out, err
	}
	return c.invitation(mem)
}

// invitation makes a new invitation for a member; the ones before it are void.
func (c *change) invitation(m postern.Member) (Invited, error) {
	if err := c.VoidSingleUse(c.ctx, purposeInvite, m.ID, c.now); err != nil {
		return Invited{}, err
	}
	secret, until, err := c.singleUse(postern.SecretInvite, purposeInvite, m.AccountID, m.ID, InvitationKept)
	return Invited{Member: m, Invitation: secret, ExpiresAt: until}, err
}

// ReinviteMember makes a new invitation for a member: when theirs was lost or ran
// out, or when they lost every way to come in.
func (kr *Keyring) ReinviteMember(ctx context.Context, by postern.Actor, id postern.MemberID) (out Invited, err error) {
	_, err = kr.change(ctx, by, "member.reinvite", string(id), func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		who, err := c.liveMember(by.AccountID, id)
		if err != nil {
			return err
		}
		// Who gets the invitation gets in as that member, with all that they may do.
		if err := outranks(m, who.Role, who.Scopes, "invite this member anew"); err != nil {
			return err
		}
		if out, err = c.invitation(*who); err != nil {
			return err
		}
		return c.audit("member.reinvite", string(id), who.Email)
	})
	return out, err
}

// outranks checks that m holds all that a role with these scopes, nil for the
// role's own, holds: else m may neither give it nor take it away.
func outranks(m *postern.Member, r postern.Role, scopes postern.Grants, doing string) error {
	if postern.MayAppoint(m, r, scopes) {
		return nil
	}
	held := r.Grants
	if scopes != nil {
		held = scopes
	}
	var missing []postern.Scope
	for _, p := range r.Permissions {
		if !m.Can(p) {
			missing = append(missing, p)
		}
	}
	for _, g := range held {
		if !m.Holds().CoversGrants(postern.Grants{g}) {
			missing = append(missing, postern.Scope(g))
		}
	}
	missing = postern.SortScopes(missing)
	e := postern.Errorf(postern.CodeInsufficientScope, "You can't %s: the role %s with these scopes holds more than you do: %s.", doing, r.Name, joinScopes(missing))
	e.Scopes = missing
	return e
}

// role reads a role that someone shall have. What an altered one holds isn't
// known, so it can't be compared with what the giver holds.
func (c *change) role(a postern.AccountID, id postern.RoleID) (postern.Role, error) {
	r, err := c.Role(c.ctx, a, id)
	if errors.Is(err, postern.CodeNotFound) {
		return r, noRole(id)
	}
	if err == nil && r.Altered {
		err = postern.Errorf(postern.CodeConflict, "The role %q was altered outside of Postern and gives nothing. Make another one.", r.Name)
	}
	return r, err
}

func noRole(id postern.RoleID) error {
	return postern.Invalidf("role", "There is no role %q. See the roles with: postern members roles list", string(id))
}

// mayHand refuses a change of a member that hands out what m lacks. What the
// member has already is not handed out.
func mayHand(m, was, is *postern.Member) error {
	role, scopes := is.Role, is.Holds()
	if was.Role.ID == is.Role.ID {
		role.Permissions = nil
		if sameGrants(was.Holds(), is.Holds()) {
			scopes = nil
		}
	}
	if scopes == nil {
		scopes = postern.Grants{}
	}
	return outranks(m, role, scopes, "change this member")
}

func checkGrants(g postern.Grants) error {
	if len(g) > postern.MaxScopesPerKey {
		return postern.Invalidf("scopes", "At most %d scopes can be named.", postern.MaxScopesPerKey)
	}
	for _, p := range g {
		if name := string(p); postern.HideSecrets(name) != name {
			return postern.Invalidf("scopes", "There is a secret among the scopes. Leave it out, and rotate the key that it belongs to.")
		}
		if !postern.ValidGrant(p) {
			return postern.Invalidf("scopes", "%q is no scope; write an exact name, or a prefix such as crm.objects.*", p)
		}
	}
	return nil
}

func sameGrants(a, b postern.Grants) bool {
	x, y := slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}

func sameMember(a, b *postern.Member) bool { return a.Name == b.Name && sameRights(a, b) }

func sameRights(a, b *postern.Member) bool {
	return a.Role.ID == b.Role.ID && (a.Scopes == nil) == (b.Scopes == nil) && sameGrants(a.Scopes, b.Scopes)
}

// liveMember reads a member for a change of them, or for giving them something.
func (c *change) liveMember(a postern.AccountID, id postern.MemberID) (*postern.Member, error) {
	m, err := c.anyMember(a, id)
	if err == nil && m.Altered {
		return nil, postern.Errorf(postern.CodeConflict, "The member's record or their role was altered outside of Postern and gives nothing. Remove them and invite them again.")
	}
	return m, err
}

// anyMember is liveMember for removing them: that must always be possible.
func (c *change) anyMember(a postern.AccountID, id postern.MemberID) (*postern.Member, error) {
	m, err := c.MemberOf(c.ctx, a, id)
	if err != nil {
		return nil, err
	}
	if !m.RemovedAt.IsZero() {
		return nil, postern.Errorf(postern.CodeNotFound, "There is no such member.")
	}
	return &m, nil
}

// MemberEdit is what shall change of a member. Nil members stay as they are.
type MemberEdit struct {
	Name   *string
	RoleID *postern.RoleID
	// Scopes: a pointer to nil goes back to what the role grants.
	Scopes     *postern.Grants
	IfRevision int64
}

// EditMember changes a member. Their personal access keys follow at once; keys
// that they made go on working, and those with scopes that they no longer hold
// are flagged for review.
func (kr *Keyring) EditMember(ctx context.Context, by postern.Actor, id postern.MemberID, in MemberEdit) (out postern.Member, err error) {
	_, err = kr.change(ctx, by, "member.update", string(id), func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		who, err := c.liveMember(by.AccountID, id)
		if err != nil {
			return err
		}
		if in.IfRevision != 0 && in.IfRevision != who.Revision {
			return postern.Errorf(postern.CodePrecondition, "The member was changed by someone else in the meantime. Read them again, and repeat your change.")
		}
		was := *who
		if in.Name != nil {
			if who.Name, err = text("name", *in.Name, postern.MaxNameLen, true); err != nil {
				return err
			}
		}
		if in.Scopes != nil {
			if err := checkGrants(*in.Scopes); err != nil {
				return err
			}
			who.Scopes = *in.Scopes
		}
		if in.RoleID != nil {
			if who.Role, err = c.role(by.AccountID, *in.RoleID); err != nil {
				return err
			}
		}
		if out = was; sameMember(&was, who) {
			return nil
		}
		// Taking rights from someone who holds more than you, or giving them another's name, is a change that you may not make either.
		if m.ID != who.ID {
			if err := outranks(m, was.Role, was.Scopes, "change this member"); err != nil {
				return err
			}
		}
		if err := mayHand(m, &was, who); err != nil {
			return err
		}
		if superAdmin(&was) && !superAdmin(who) {
			if err := c.otherSuperAdmin(by.AccountID, id); err != nil {
				return err
			}
		}
		if err := c.UpdateMember(c.ctx, who); err != nil {
			return err
		}
		out = *who
		if err := c.flagMadeBy(&was, who); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeMember, by.AccountID, string(id)); err != nil {
			return err
		}
		return c.audit("member.update", string(id), who.Email, changedFacts(memberFacts(&was), memberFacts(who)))
	})
	return out, err
}

// RemoveMember ends a membership: their personal access keys stop at once, and
// the service keys that they made go on working, flagged for review.
func (kr *Keyring) RemoveMember(ctx context.Context, by postern.Actor, id postern.MemberID) error {
	_, err := kr.change(ctx, by, "member.remove", string(id), func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		who, err := c.anyMember(by.AccountID, id)
		if err != nil {
			return err
		}
		if m.ID != who.ID {
			if err := outranks(m, who.Role, who.Scopes, "remove this member"); err != nil {
				return err
			}
		}
		was := *who
		if superAdmin(who) {
			if err := c.otherSuperAdmin(by.AccountID, id); err != nil {
				return err
			}
		}
		who.RemovedAt = c.now
		if err := c.UpdateMember(c.ctx, who); err != nil {
			return err
		}
		if err := c.VoidSingleUse(c.ctx, purposeInvite, id, c.now); err != nil {
			return err
		}
		if err := c.endPersonalKeys(id); err != nil {
			return err
		}
		if err := c.flagMadeBy(&was, who); err != nil {
			return err
		}
		if err := c.feed(postern.ChangeMember, by.AccountID, string(id)); err != nil {
			return err
		}
		return c.audit("member.remove", string(id), who.Email, diff(memberFacts(&was), nil))
	})
	return err
}

// superAdmin reports whether a member holds all that a super admin does. One
// whose scopes are cut is none in effect.
func superAdmin(m *postern.Member) bool {
	return m.Role.ID == postern.RoleSuperAdmin && m.Scopes == nil && !m.Altered
}

// otherSuperAdmin refuses what would leave an account without a super admin who
// can come in. One who was invited and hasn't accepted, or who has lost every way
// in, can't.
func (c *change) otherSuperAdmin(a postern.AccountID, but postern.MemberID) error {
	all, err := c.RoleMembers(c.ctx, a, postern.RoleSuperAdmin)
	if err != nil {
		return err
	}
	other, err := anotherSuperAdmin(c.ctx, c, all, but, c.now)
	if err != nil || other {
		return err
	}
	return postern.Errorf(postern.CodeConflict, "This is the account's last super admin who can sign in. Make someone else a super admin first; an invitation counts once it is accepted.")
}

// waysReader reads how members can come in: a transaction or the database itself.
type waysReader interface {
	MemberWays(ctx context.Context, a postern.AccountID, only postern.MemberID) (map[postern.MemberID]store.MemberWays, error)
	PersonalKeys(ctx context.Context, a postern.AccountID, m postern.MemberID) ([]store.PersonalKey, error)
}

// anotherSuperAdmin reports whether one of some members is a super admin who can come in, but for one of them.
func anotherSuperAdmin(ctx context.Context, q waysReader, all []postern.Member, but postern.MemberID, now time.Time) (bool, error) {
	for i := range all {
		m := &all[i]
		if m.ID == but || !superAdmin(m) {
			continue
		}
		if in, err := canComeIn(ctx, q, m, now); err != nil || in {
			return in, err
		}
	}
	return false, nil
}

// LastSuperAdmin reports whether a member is the account's last super admin who can
// come in, so that nobody can remove them or take that from them.
func (kr *Keyring) LastSuperAdmin(ctx context.Context, by postern.Actor, id postern.MemberID) (bool, error) {
	if err := kr.reader(ctx, by, postern.PermMembersRead); err != nil {
		return false, err
	}
	all, err := kr.db.RoleMembers(ctx, by.AccountID, postern.RoleSuperAdmin)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(all, func(m postern.Member) bool { return m.ID == id && superAdmin(&m) }) {
		return false, nil
	}
	other, err := anotherSuperAdmin(ctx, kr.db, all, id, kr.now())
	return !other && err == nil, err
}

// canComeIn reports whether a member has a way in that works now.
func canComeIn(ctx context.Context, q waysReader, m *postern.Member, now time.Time) (bool, error) {
	ways, err := q.MemberWays(ctx, m.AccountID, m.ID)
	if err != nil {
		return false, err
	}
	if w := ways[m.ID]; w.Password || w.Passkeys > 0 || w.Identities > 0 {
		return true, nil
	}
	keys, err := q.PersonalKeys(ctx, m.AccountID, m.ID)
	live := func(k store.PersonalKey) bool { return k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt) }
	return slices.ContainsFunc(keys, live), err
}

// flagMadeBy flags the live keys that someone made with scopes that they held
// and hold no longer; all of them where they are no longer a member.
func (c *change) flagMadeBy(was, is *postern.Member) error {
	known, err := c.kr.known(c.ctx, c)
	if err != nil {
		return err
	}
	keys, err := c.KeysMadeBy(c.ctx, is.AccountID, is.ID)
	if err != nil {
		return err
	}
	removed := !is.RemovedAt.IsZero()
	for _, k := range keys {
		never := postern.MayGrant(was, k.Row.Scopes, known.sensitive)
		lost := slices.DeleteFunc(postern.MayGrant(is, k.Row.Scopes, known.sensitive), func(s postern.Scope) bool { return slices.Contains(never, s) })
		if len(lost) == 0 && !removed || !k.Key.FlaggedAt.IsZero() {
			continue
		}
		why := "Its maker, " + is.Name + ", no longer holds " + joinScopes(lost) + "."
		if removed {
			why = "Its maker, " + is.Name + ", is no longer a member."
		}
		if err := c.FlagKey(c.ctx, k.Row.Key, c.now, why); err != nil {
			return err
		}
		if err := c.audit("service_key.flag", string(k.Row.Key), k.Key.Name, because(why)); err != nil {
			return err
		}
	}
	return nil
}

// Members lists the members of the account.
func (kr *Keyring) Members(ctx context.Context, by postern.Actor) ([]postern.Member, error) {
	if err := kr.reader(ctx, by, postern.PermMembersRead); err != nil {
		return nil, err
	}
	return kr.db.Members(ctx, by.AccountID, false)
}

// Member reads a member; everybody may read themselves.
func (kr *Keyring) Member(ctx context.Context, by postern.Actor, id postern.MemberID) (postern.Member, error) {
	if id != by.MemberID {
		if err := kr.reader(ctx, by, postern.PermMembersRead); err != nil {
			return postern.Member{}, err
		}
	}
	m, err := kr.db.MemberOf(ctx, by.AccountID, id)
	if err == nil && !m.RemovedAt.IsZero() {
		return m, postern.Errorf(postern.CodeNotFound, "There is no such member.")
	}
	return m, err
}

func memberFacts(m *postern.Member) map[string]any {
	facts := map[string]any{"email": m.Email, "name": m.Name, "role": m.Role.ID}
	if m.Scopes != nil {
		facts["scopes"] = m.Scopes
	}
	return facts
}

func checkEmail(s string) (string, error) {
	if _, err := text("email", s, 254, true); err != nil {
		return "", err // before it is put in lower case, which would disguise a secret
	}
	s = strings.ToLower(strings.TrimSpace(s))
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || strings.ContainsAny(s, "<>\"\r\n") {
		return "", postern.Invalidf("email", "This is no e-mail address.")
	}
	return s, nil
}
