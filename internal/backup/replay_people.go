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
		now, err := r.Role(r.ctx, m.AccountID, l.Role)
		if err != nil && !errors.Is(err, postern.CodeNotFound) {
			return err
		}
		switch {
		case err == nil && lesser(&now, &m.Role):
			m.Role = now
		case err == nil && lesser(&m.Role, &now): // they were given more after the backup
		default:
			// Neither is a part of the other, or the role is newer than the backup.
			m.Role, _ = postern.BuiltinRole(postern.RoleViewer)
		}
	}
	if l.Own {
		if own := both(held, l.Scopes); !l.Scopes.CoversGrants(held) {
			m.Scopes = own
		}
	}
	return nil
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
	ups, err := r.Upstreams(r.ctx)
	if err != nil {
		return err
	}
	for _, u := range ups {
		if u.ID == id && (l.Gone || u.CatalogVersion != l.Version) {
			r.done.Catalogs = append(r.done.Catalogs, id)
		}
	}
	return nil
}
