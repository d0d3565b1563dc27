package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// A member's role comes with them: built-in roles are code, the others rows.
const memberColumns = `m.id, m.account_id, m.email, m.name, m.role_id, m.scopes, m.created_at, m.removed_at, m.revision,
	coalesce(r.account_id, ''), coalesce(r.name, ''), coalesce(r.words, ''), coalesce(r.permissions, ''), coalesce(r.grants, ''), coalesce(r.revision, 0)`

const memberFrom = " from members m left join roles r on r.id = m.role_id and r.account_id = m.account_id "

func scanMember(s scanner) (m postern.Member, err error) {
	var created, removed int64
	var scopes sql.NullString
	var perms, grants string
	r := &m.Role
	err = s.Scan(&m.ID, &m.AccountID, &m.Email, &m.Name, &r.ID, &scopes, &created, &removed, &m.Revision,
		&r.AccountID, &r.Name, &r.Words, &perms, &grants, &r.Revision)
	if err != nil {
		return m, err
	}
	m.CreatedAt, m.RemovedAt = fromMicros(created), fromMicros(removed)
	if scopes.Valid {
		m.Scopes = postern.Grants{}
		if err := fromJSON(scopes.String, &m.Scopes); err != nil {
			return m, err
		}
	}
	if builtin, ok := postern.BuiltinRole(r.ID); ok {
		m.Role = builtin
		return m, nil
	}
	if err := fromJSON(perms, &r.Permissions); err != nil {
		return m, err
	}
	return m, fromJSON(grants, &r.Grants)
}

// Member reads a member by id, those who were removed too.
func (q *queries) Member(ctx context.Context, id postern.MemberID) (postern.Member, error) {
	return one(q.db.QueryRowContext(ctx, "select "+memberColumns+memberFrom+"where m.id = $1", id), scanMember, "member")
}

// MemberOf reads a member of an account by id.
func (q *queries) MemberOf(ctx context.Context, a postern.AccountID, id postern.MemberID) (postern.Member, error) {
	return one(q.db.QueryRowContext(ctx, "select "+memberColumns+memberFrom+"where m.id = $1 and m.account_id = $2", id, a), scanMember, "member")
}

// Members reads the members of an account, or of all where a is empty, by the
// time they joined; those who were removed too where removed is true.
func (q *queries) Members(ctx context.Context, a postern.AccountID, removed bool) ([]postern.Member, error) {
	rows, err := q.db.QueryContext(ctx, "select "+memberColumns+memberFrom+`
		where ($1 = '' or m.account_id = $1) and ($2 = 1 or m.removed_at = 0) order by m.created_at, m.id`, a, bit(removed))
	return collect(rows, err, scanMember)
}

// RoleMembers reads the members who have a role of an account.
func (q *queries) RoleMembers(ctx context.Context, a postern.AccountID, r postern.RoleID) ([]postern.Member, error) {
	rows, err := q.db.QueryContext(ctx, "select "+memberColumns+memberFrom+`
		where m.role_id = $1 and m.account_id = $2 and m.removed_at = 0 order by m.created_at, m.id`, r, a)
	return collect(rows, err, scanMember)
}

// InsertMember writes a new member. Two live members of an account can't have one e-mail address.
func (tx *Tx) InsertMember(ctx context.Context, m *postern.Member) error {
	m.Revision = 1
	_, err := tx.db.ExecContext(ctx, `insert into members (id, account_id, email, name, role_id, scopes, created_at, removed_at, revision)
		values ($1, $2, $3, $4, $5, $6, $7, 0, $8)`,
		m.ID, m.AccountID, m.Email, m.Name, m.Role.ID, grantsOrNull(m.Scopes), micros(m.CreatedAt), m.Revision)
	if IsUnique(err) {
		return postern.Errorf(postern.CodeConflict, "The account already has a member with the address %q.", m.Email)
	}
	if err != nil {
		return fmt.Errorf("store: insert member: %w", err)
	}
	return nil
}

// UpdateMember writes what may change of a member.
func (tx *Tx) UpdateMember(ctx context.Context, m *postern.Member) error {
	m.Revision++
	return tx.execOne(ctx, "member", "update members set name = $2, role_id = $3, scopes = $4, removed_at = $5, revision = $6 where id = $1",
		m.ID, m.Name, m.Role.ID, grantsOrNull(m.Scopes), micros(m.RemovedAt), m.Revision)
}

func grantsOrNull(g postern.Grants) any {
	if g == nil {
		return nil
	}
	return asJSON(g)
}

func scanRole(s scanner) (r postern.Role, err error) {
	var perms, grants string
	if err = s.Scan(&r.ID, &r.AccountID, &r.Name, &r.Words, &perms, &grants, &r.Revision); err != nil {
		return r, err
	}
	if err := fromJSON(perms, &r.Permissions); err != nil {
		return r, err
	}
	return r, fromJSON(grants, &r.Grants)
}

const roleColumns = "id, account_id, name, words, permissions, grants, revision"

// Role reads a role of an account, or a built-in one.
func (q *queries) Role(ctx context.Context, a postern.AccountID, id postern.RoleID) (postern.Role, error) {
	if r, ok := postern.BuiltinRole(id); ok {
		return r, nil
	}
	return one(q.db.QueryRowContext(ctx, "select "+roleColumns+" from roles where id = $1 and account_id = $2", id, a), scanRole, "role")
}

// Roles reads the roles that an account added, by name.
func (q *queries) Roles(ctx context.Context, a postern.AccountID) ([]postern.Role, error) {
	rows, err := q.db.QueryContext(ctx, "select "+roleColumns+" from roles where account_id = $1 order by name, id", a)
	return collect(rows, err, scanRole)
}

// InsertRole writes a role that an account adds.
func (tx *Tx) InsertRole(ctx context.Context, r *postern.Role, at time.Time) error {
	r.Revision = 1
	_, err := tx.db.ExecContext(ctx, `insert into roles (id, account_id, name, words, permissions, grants, created_at, revision)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, r.ID, r.AccountID, r.Name, r.Words, scopesJSON(r.Permissions), asJSON(r.Grants), micros(at), r.Revision)
	if IsUnique(err) {
		return roleNameTaken(r.Name)
	}
	if err != nil {
		return fmt.Errorf("store: insert role: %w", err)
	}
	return nil
}

// UpdateRole writes what may change of a role.
func (tx *Tx) UpdateRole(ctx context.Context, r *postern.Role) error {
	r.Revision++
	err := tx.execOne(ctx, "role", "update roles set name = $3, words = $4, permissions = $5, grants = $6, revision = $7 where id = $1 and account_id = $2",
		r.ID, r.AccountID, r.Name, r.Words, scopesJSON(r.Permissions), asJSON(r.Grants), r.Revision)
	if IsUnique(err) {
		return roleNameTaken(r.Name)
	}
	return err
}

func roleNameTaken(name string) error {
	return postern.Errorf(postern.CodeConflict, "The account already has a role named %q.", name)
}

// DeleteRole removes a role that nobody has.
func (tx *Tx) DeleteRole(ctx context.Context, a postern.AccountID, id postern.RoleID) error {
	return tx.execOne(ctx, "role", "delete from roles where id = $1 and account_id = $2", id, a)
}
