package keyring

import (
	"context"
	"slices"

	"postern.dev/postern"
)

// Roles lists the roles that a member can have: the built-in ones and the account's own.
func (kr *Keyring) Roles(ctx context.Context, by postern.Actor) ([]postern.Role, error) {
	if err := kr.reader(ctx, by, postern.PermMembersRead); err != nil {
		return nil, err
	}
	own, err := kr.db.Roles(ctx, by.AccountID)
	return append(postern.BuiltinRoles(), own...), err
}

// RoleInput is what a role that an account adds shall be.
type RoleInput struct {
	Name        string
	Words       string
	Permissions []postern.Permission
	Grants      postern.Grants
	IfRevision  int64 // when editing
}

func (c *change) roleOf(m *postern.Member, id postern.RoleID, in RoleInput) (postern.Role, error) {
	r := postern.Role{ID: id, AccountID: c.by.AccountID, Grants: in.Grants}
	var err error
	if r.Name, err = text("name", in.Name, postern.MaxNameLen, true); err != nil {
		return r, err
	}
	if r.Words, err = text("description", in.Words, postern.MaxDescriptionLen, false); err != nil {
		return r, err
	}
	r.Permissions = postern.SortScopes(slices.Clone(in.Permissions))
	for _, p := range r.Permissions {
		if !slices.Contains(postern.Permissions(), p) {
			return r, postern.Invalidf("permissions", "There is no permission %q.", string(p))
		}
	}
	if err := checkGrants(r.Grants); err != nil {
		return r, err
	}
	if r.Grants == nil {
		r.Grants = postern.Grants{}
	}
	return r, outranks(m, r, nil, "make that role")
}

func sameRole(a, b *postern.Role) bool {
	return a.Name == b.Name && a.Words == b.Words && slices.Equal(a.Permissions, b.Permissions) && sameGrants(a.Grants, b.Grants)
}

func roleFacts(r *postern.Role) map[string]any {
	return map[string]any{"name": r.Name, "permissions": r.Permissions, "scopes": r.Grants}
}

// CreateRole adds a role to the account.
func (kr *Keyring) CreateRole(ctx context.Context, by postern.Actor, in RoleInput) (r postern.Role, err error) {
	_, err = kr.change(ctx, by, "role.create", "", func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		if r, err = c.roleOf(m, postern.RoleID(postern.NewID("rol")), in); err != nil {
			return err
		}
		if err := c.InsertRole(c.ctx, &r, c.now); err != nil {
			return err
		}
		return c.audit("role.create", string(r.ID), r.Name, diff(nil, roleFacts(&r)))
	})
	return r, err
}

// EditRole changes a role that the account added, for all who have it.
func (kr *Keyring) EditRole(ctx context.Context, by postern.Actor, id postern.RoleID, in RoleInput) (r postern.Role, err error) {
	_, err = kr.change(ctx, by, "role.update", string(id), func(c *change) error {
		m, err := c.member(postern.PermMembersWrite)
		if err != nil {
			return err
		}
		if _, builtin := postern.BuiltinRole(id); builtin {
			return postern.Errorf(postern.CodeConflict, "Built-in roles can't be changed. Add a role of your own.")
		}
		old, err := c.Role(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if in.IfRevision != 0 && in.IfRevision != old.Revision {
			return postern.Errorf(postern.CodePrecondition, "The role was changed by someone else in the meantime. Read it again, and repeat your change.")
		}
		if old.Altered {
			return postern.Errorf(postern.CodeConflict, "The role %q was altered outside of Postern and gives nothing. Make another one.", old.Name)
		}
		if err := outranks(m, old, nil, "change this role"); err != nil {
			return err
		}
		if r, err = c.roleOf(m, id, in); err != nil {
			return err
		}
		r.Revision = old.Revision
		if sameRole(&old, &r) {
			r = old
			return nil
		}
		have, err := c.RoleMembers(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if err := c.UpdateRole(c.ctx, &r); err != nil {
			return err
		}
		for _, was := range have {
			is := was
			is.Role = r
			if err := c.flagMadeBy(&was, &is); err != nil {
				return err
			}
		}
		if err := c.feed(postern.ChangeRole, by.AccountID, string(id)); err != nil {
			return err
		}
		return c.audit("role.update", string(id), r.Name, changedFacts(roleFacts(&old), roleFacts(&r)))
	})
	return r, err
}

// DeleteRole removes a role that the account added and nobody has.
func (kr *Keyring) DeleteRole(ctx context.Context, by postern.Actor, id postern.RoleID) error {
	_, err := kr.change(ctx, by, "role.delete", string(id), func(c *change) error {
		if _, err := c.member(postern.PermMembersWrite); err != nil {
			return err
		}
		if _, builtin := postern.BuiltinRole(id); builtin {
			return postern.Errorf(postern.CodeConflict, "Built-in roles can't be deleted.")
		}
		r, err := c.Role(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		have, err := c.RoleMembers(c.ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if len(have) > 0 {
			return postern.Errorf(postern.CodeConflict, "%d members have the role %q. Give them another one first.", len(have), r.Name)
		}
		if err := c.Tx.DeleteRole(c.ctx, by.AccountID, id); err != nil {
			return err
		}
		return c.audit("role.delete", string(id), r.Name, diff(roleFacts(&r), nil))
	})
	return err
}
