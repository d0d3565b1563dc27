package backup

import (
	"errors"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/journal"
	"postern.dev/postern/internal/store"
)

func (r *replayer) account(id postern.AccountID, l *journal.Account) error {
	a, err := r.Account(r.ctx, id)
	if err != nil {
		return err
	}
	p, err := r.Policy(r.ctx, id)
	if err != nil {
		return err
	}
	if p.Revision != l.Policy {
		r.done.Policies = append(r.done.Policies, id)
	}
	if l.Suspended == 0 || !a.SuspendedAt.IsZero() || a.Altered {
		r.done.Unchanged++
		return nil
	}
	a.SuspendedAt = micros(l.Suspended)
	if err := r.UpdateAccount(r.ctx, &a); err != nil {
		return err
	}
	r.done.Accounts++
	return r.note(id, "backup.replay.suspend", string(id), nil)
}

func (r *replayer) role(id postern.RoleID, l *journal.Role) error {
	if _, builtin := postern.BuiltinRole(id); builtin {
		return nil
	}
	role, err := r.Role(r.ctx, l.Account, id)
	if err != nil {
		return err
	}
	perms := slices.DeleteFunc(slices.Clone(role.Permissions), func(p postern.Permission) bool { return !slices.Contains(l.Permissions, p) })
	grants := both(role.Grants, l.Grants)
	if role.Altered || len(perms) == len(role.Permissions) && l.Grants.CoversGrants(role.Grants) {
		r.done.Unchanged++
		return nil
	}
	role.Permissions, role.Grants = perms, grants
	if err := r.UpdateRole(r.ctx, &role); err != nil {
		return err
	}
	r.done.Roles++
	return r.note(l.Account, "backup.replay.role", string(id), map[string]any{"permissions": perms, "grants": grants})
}

func (r *replayer) member(id postern.MemberID, l *journal.Member) error {
	m, err := r.Member(r.ctx, id)
	if err != nil {
		return err
	}
	was := m
	switch {
	case !m.RemovedAt.IsZero():
		r.done.Unchanged++
		return nil
	case l.Removed > 0 || m.Altered:
		m.RemovedAt = micros(first(l.Removed, int64(postern.ToMicros(r.now))))
	default:
		if err := r.demote(&m, l); err != nil {
			return err
		}
	}
	if m.RemovedAt.IsZero() && m.Role.ID == was.Role.ID && slices.Equal(m.Scopes, was.Scopes) && (m.Scopes == nil) == (was.Scopes == nil) {
		r.done.Unchanged++
		return nil
	}
	if err := r.UpdateMember(r.ctx, &m); err != nil {
		return err
	}
	r.done.Members++
	return r.note(m.AccountID, "backup.replay.member", string(id), map[string]any{"role": m.Role.ID, "removed": !m.RemovedAt.IsZero()})
}

// demote leaves a member what the role that they had last and the one before have in common.
func (r *replayer) demote(m *postern.Member, l *journal.Member) error {
	held := m.Holds()
	if l.Role != m.Role.ID {
		now, err := r.lastRole(m.AccountID, l)
		if err != nil {
			return err
		}
		if m.Role, err = r.common(m.AccountID, &m.Role, &now); err != nil {
			return err
		}
	}
	switch {
	case l.Own && !l.Scopes.CoversGrants(held):
		m.Scopes = both(held, l.Scopes)
	case !l.Own && m.Scopes != nil:
		// They went back to what their role grants, which may be less than they had of their own.
		m.Scopes = both(m.Scopes, m.Role.Grants)
	}
	return nil
}

// lastRole is the role that a member had last, as it was last, also where it is newer than the backup.
func (r *replayer) lastRole(a postern.AccountID, l *journal.Member) (postern.Role, error) {
	now, err := r.Role(r.ctx, a, l.Role)
	if !errors.Is(err, postern.CodeNotFound) {
		return now, err
	}
	now = postern.Role{ID: l.Role, Permissions: l.Permissions, Grants: l.Grants}
	if last := r.roles[l.Role]; last != nil {
		now.Permissions, now.Grants = last.Permissions, last.Grants
	}
	return now, nil
}

// common is a role that may do what two may both: one of them, or a new one.
func (r *replayer) common(a postern.AccountID, then, now *postern.Role) (postern.Role, error) {
	switch {
	case lesser(then, now):
		return *then, nil
	case lesser(now, then):
		if _, err := r.Role(r.ctx, a, now.ID); !errors.Is(err, postern.CodeNotFound) {
			return *now, err
		}
	}
	pair := [2]postern.RoleID{then.ID, now.ID}
	if role, ok := r.shared[pair]; ok {
		return role, nil
	}
	id := postern.NewID("rol")
	role := postern.Role{ID: postern.RoleID(id), AccountID: a, Name: "Restored " + id[len(id)-6:],
		Words:       "What is left to members whose role was changed after the backup. Give them another.",
		Permissions: slices.DeleteFunc(slices.Clone(then.Permissions), func(p postern.Permission) bool { return !slices.Contains(now.Permissions, p) }),
		Grants:      both(then.Grants, now.Grants)}
	if err := errors.Join(r.InsertRole(r.ctx, &role, r.now), r.note(role.AccountID, "backup.replay.role", id, map[string]any{"permissions": role.Permissions, "grants": role.Grants})); err != nil {
		return role, err
	}
	r.shared[pair] = role
	return role, nil
}

// lesser reports whether a role may do nothing that another may not.
func lesser(a, b *postern.Role) bool {
	for _, p := range a.Permissions {
		if !slices.Contains(b.Permissions, p) {
			return false
		}
	}
	return b.Grants.CoversGrants(a.Grants)
}

// ways takes away what let a member in and was replaced or removed after the backup.
func (r *replayer) ways(id postern.MemberID, l *journal.Ways) error {
	m, err := r.Member(r.ctx, id)
	if err != nil {
		return err
	}
	have, err := r.WaysIn(r.ctx, id)
	if err != nil {
		return err
	}
	taken, err := r.dropWays(id, m.AccountID, &have, l)
	if err != nil || len(taken) == 0 {
		return err
	}
	r.done.WaysIn++
	return r.note(m.AccountID, "backup.replay.ways", string(id), map[string]any{"removed": taken})
}

func (r *replayer) dropWays(id postern.MemberID, account postern.AccountID, have *store.WaysIn, l *journal.Ways) (taken []string, err error) {
	var errs []error
	drop := func(what string, err error) {
		taken = append(taken, what)
		errs = append(errs, err)
	}
	totp := int64(postern.ToMicros(have.TOTP))
	if totp != 0 && totp != l.TOTP {
		drop("authenticator app", r.DeleteTOTP(r.ctx, id))
	}
	// A password that was chosen beside a second factor isn't left alone.
	if set := int64(postern.ToMicros(have.Password)); set != 0 && (set != l.Password || totp != 0 && totp != l.TOTP) {
		drop("password", r.DeletePassword(r.ctx, id))
	}
	for _, p := range have.Passkeys {
		if !slices.Contains(l.Passkeys, p) {
			drop("passkey", r.DeletePasskey(r.ctx, id, p))
		}
	}
	for _, i := range have.Identities {
		if !slices.Contains(l.Identities, i.Digest) {
			drop("identity", r.DeleteIdentity(r.ctx, id, i.Issuer, i.Subject))
		}
	}
	if have.Codes != "" && have.Codes != l.Codes {
		drop("recovery codes", r.DropRecoveryCodes(r.ctx, id))
	}
	return taken, errors.Join(errs...)
}

func (r *replayer) catalog(id postern.UpstreamID, l *journal.Catalog) error {
	u, err := r.Upstream(r.ctx, id)
	if err != nil {
		return err
	}
	if l.Gone {
		r.done.Upstreams = append(r.done.Upstreams, id)
		return errors.Join(r.DeleteUpstream(r.ctx, id), r.note("", "backup.replay.upstream", string(id), nil))
	}
	if u.CatalogVersion != l.Version {
		r.done.Catalogs = append(r.done.Catalogs, id)
	}
	if l.Settings != "" && journal.SettingsOf(&u) != l.Settings {
		r.done.Upstreams = append(r.done.Upstreams, id)
	}
	return nil
}
