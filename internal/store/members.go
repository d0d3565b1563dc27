package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// A member's role comes with them: built-in roles are code, the others rows.
var memberColumns = membersTable.list("m.") + `, coalesce(r.id, ''), coalesce(r.account_id, ''), coalesce(r.name, ''), coalesce(r.words, ''),
	coalesce(r.permissions, ''), coalesce(r.grants, ''), coalesce(r.created_at, 0), coalesce(r.revision, 0), r.mac, coalesce(r.mac_pepper, 0)`

const memberFrom = " from members m left join roles r on r.id = m.role_id and r.account_id = m.account_id "

func memberValues(m *postern.Member) []any {
	return []any{m.ID, m.AccountID, m.Email, m.Name, m.Role.ID, grantsOrNull(m.Scopes), micros(m.CreatedAt), micros(m.RemovedAt), m.Revision}
}

func (q *queries) scanMember(s scanner) (m postern.Member, err error) {
	var created, removed int64
	var scopes sql.NullString
	var role roleScan
	var own mark
	targets := append([]any{&m.ID, &m.AccountID, &m.Email, &m.Name, &m.Role.ID, &scopes, &created, &removed, &m.Revision}, own.targets()...)
	if err = s.Scan(append(targets, role.targets()...)...); err != nil {
		return m, err
	}
	m.CreatedAt, m.RemovedAt = fromMicros(created), fromMicros(removed)
	var text any
	if scopes.Valid {
		text = scopes.String
	}
	m.Altered = q.seals.broken(membersTable, []any{m.ID, m.AccountID, m.Email, m.Name, m.Role.ID, text, created, removed, m.Revision}, own)
	if builtin, ok := postern.BuiltinRole(m.Role.ID); ok {
		m.Role = builtin
	} else if role.row.ID != "" {
		if m.Role, err = role.finish(q); err != nil {
			return m, err
		}
		m.Altered = m.Altered || m.Role.Altered
	} else if removed == 0 {
		// A role that somebody has can't be deleted.
		m.Altered = true
	}
	if m.Altered {
		// Whoever forgets to ask finds nothing either.
		m.Role.Permissions, m.Role.Grants, m.Scopes = nil, nil, postern.Grants{}
		return m, nil
	}
	if scopes.Valid {
		m.Scopes = postern.Grants{}
		return m, fromJSON(scopes.String, &m.Scopes)
	}
	return m, nil
}

// Member reads a member by id, those who were removed too.
func (q *queries) Member(ctx context.Context, id postern.MemberID) (postern.Member, error) {
	return one(q.db.QueryRowContext(ctx, "select "+memberColumns+memberFrom+"where m.id = $1", id), q.scanMember, "member")
}

// MemberOf reads a member of an account by id.
func (q *queries) MemberOf(ctx context.Context, a postern.AccountID, id postern.MemberID) (postern.Member, error) {
	return one(q.db.QueryRowContext(ctx, "select "+memberColumns+memberFrom+"where m.id = $1 and m.account_id = $2", id, a), q.scanMember, "member")
}

// Members reads the members of an account, or of all where a is empty, by the
// time they joined; those who were removed too where removed is true.
func (q *queries) Members(ctx context.Context, a postern.AccountID, removed bool) ([]postern.Member, error) {
	rows, err := q.db.QueryContext(ctx, "select "+memberColumns+memberFrom+`
		where ($1 = '' or m.account_id = $1) and ($2 = 1 or m.removed_at = 0) order by m.created_at, m.id`, a, bit(removed))
	return collect(rows, err, q.scanMember)
}

// RoleMembers reads the members who have a role of an account.
func (q *queries) RoleMembers(ctx context.Context, a postern.AccountID, r postern.RoleID) ([]postern.Member, error) {
	rows, err := q.db.QueryContext(ctx, "select "+memberColumns+memberFrom+`
		where m.role_id = $1 and m.account_id = $2 and m.removed_at = 0 order by m.created_at, m.id`, r, a)
	return collect(rows, err, q.scanMember)
}

// InsertMember writes a new member. Two live members of an account can't have one e-mail address.
func (tx *Tx) InsertMember(ctx context.Context, m *postern.Member) error {
	m.Revision = 1
	_, err := tx.db.ExecContext(ctx, membersTable.insert(), tx.seals.seal(membersTable, memberValues(m))...)
	if IsUnique(err) {
		return postern.Errorf(postern.CodeConflict, "The account already has a member with the address %q.", m.Email)
	}
	if err != nil {
		return fmt.Errorf("store: insert member: %w", err)
	}
	return nil
}

// UpdateMember writes a member who was read in the same transaction. One whose
// record was altered can only be removed.
func (tx *Tx) UpdateMember(ctx context.Context, m *postern.Member) error {
	if m.Altered && m.RemovedAt.IsZero() {
		return errAltered("member", "Remove them and invite them again.")
	}
	m.Revision++
	return tx.execOne(ctx, "member", membersTable.update(), tx.seals.seal(membersTable, memberValues(m))...)
}

func grantsOrNull(g postern.Grants) any {
	if g == nil {
		return nil
	}
	return asJSON(g)
}

// roleScan holds what a role is scanned into.
type roleScan struct {
	row           postern.Role
	perms, grants string
	created       int64
	mark          mark
}

func (r *roleScan) targets() []any {
	return append([]any{&r.row.ID, &r.row.AccountID, &r.row.Name, &r.row.Words, &r.perms, &r.grants, &r.created, &r.row.Revision}, r.mark.targets()...)
}

// finish makes the role of what was scanned; an altered one holds nothing.
func (r *roleScan) finish(q *queries) (postern.Role, error) {
	x := r.row
	if q.seals.broken(rolesTable, []any{x.ID, x.AccountID, x.Name, x.Words, r.perms, r.grants, r.created, x.Revision}, r.mark) {
		x.Altered = true
		return x, nil
	}
	if err := fromJSON(r.perms, &x.Permissions); err != nil {
		return x, err
	}
	return x, fromJSON(r.grants, &x.Grants)
}

func (q *queries) scanRole(s scanner) (postern.Role, error) {
	var r roleScan
	if err := s.Scan(r.targets()...); err != nil {
		return r.row, err
	}
	return r.finish(q)
}

func (tx *Tx) sealRole(r *postern.Role, created int64) []any {
	return tx.seals.seal(rolesTable, []any{r.ID, r.AccountID, r.Name, r.Words, scopesJSON(r.Permissions), asJSON(r.Grants), created, r.Revision})
}

// Role reads a role of an account, or a built-in one.
func (q *queries) Role(ctx context.Context, a postern.AccountID, id postern.RoleID) (postern.Role, error) {
	if r, ok := postern.BuiltinRole(id); ok {
		return r, nil
	}
	return one(q.db.QueryRowContext(ctx, "select "+rolesTable.list("")+" from roles where id = $1 and account_id = $2", id, a), q.scanRole, "role")
}

// Roles reads the roles that an account added, by name.
func (q *queries) Roles(ctx context.Context, a postern.AccountID) ([]postern.Role, error) {
	rows, err := q.db.QueryContext(ctx, "select "+rolesTable.list("")+" from roles where account_id = $1 order by name, id", a)
	return collect(rows, err, q.scanRole)
}

// InsertRole writes a role that an account adds.
func (tx *Tx) InsertRole(ctx context.Context, r *postern.Role, at time.Time) error {
	r.Revision = 1
	_, err := tx.db.ExecContext(ctx, rolesTable.insert(), tx.sealRole(r, micros(at))...)
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
	var old roleScan
	if err := tx.db.QueryRowContext(ctx, "select "+rolesTable.list("")+" from roles where id = $1 and account_id = $2", r.ID, r.AccountID).
		Scan(old.targets()...); err != nil {
		return fmt.Errorf("store: read role %s: %w", r.ID, err)
	}
	if was, err := old.finish(&tx.queries); err != nil {
		return err
	} else if was.Altered {
		return errAltered("role", "Make another one, and give it to its members' new invitations.")
	}
	r.Revision++
	err := tx.execOne(ctx, "role", rolesTable.update(), tx.sealRole(r, old.created)...)
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
