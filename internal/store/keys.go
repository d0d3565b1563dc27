package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern.dev/postern"
)

// KeyRecord is a service key with the credential that decisions see.
type KeyRecord struct {
	Key postern.ServiceKey
	Row postern.CredentialRow
}

const keyColumns = credentialColumns + `, k.name, k.description, k.team_id, k.revoked_why, k.current_made_at, k.current_made_by,
	k.previous_made_at, k.previous_made_by, k.flagged_at, k.flagged_why, k.made_by, k.created_at, k.updated_at`

// What is shown of a key isn't sealed, its credential is: a row that was moved to another account finds none.
const keyFrom = " from service_keys k join credentials c on c.key_id = k.key_id and c.account_id = k.account_id "

func scanKey(s scanner) (KeyRecord, error) {
	var c credentialScan
	var r KeyRecord
	k := &r.Key
	var curAt, prevAt, flagged, created, updated int64
	err := s.Scan(append(c.targets(), &k.Name, &k.Description, &k.TeamID, &k.RevokedWhy, &curAt, &k.Current.MadeBy,
		&prevAt, &k.Previous.MadeBy, &flagged, &k.FlaggedWhy, &k.MadeBy, &created, &updated)...)
	if err != nil {
		return r, err
	}
	r.Row = c.finish()
	k.Current.MadeAt, k.Previous.MadeAt, k.FlaggedAt = fromMicros(curAt), fromMicros(prevAt), fromMicros(flagged)
	k.CreatedAt, k.UpdatedAt = fromMicros(created), fromMicros(updated)
	r.spread()
	return r, nil
}

// spread copies into the key what its credential says.
func (r *KeyRecord) spread() {
	k, c := &r.Key, &r.Row
	k.ID, k.AccountID, k.Scopes, k.Networks, k.Rate, k.Revision = c.Key, c.AccountID, c.Scopes, c.Networks, c.Rate, c.Revision
	k.NotBefore, k.ExpiresAt, k.PausedAt, k.RevokedAt, k.DeletedAt = c.NotBefore, c.ExpiresAt, c.PausedAt, c.RevokedAt, c.DeletedAt
	k.Current.Generation, k.Current.LastFour = c.Current.Generation, c.Current.LastFour
	k.Watch, k.Undo, k.Canary = c.Watch, c.Undo, c.Canary
	k.Previous.Generation, k.Previous.LastFour, k.Previous.EndsAt = c.Previous.Generation, c.Previous.LastFour, c.PreviousUntil
}

// Key reads a service key of an account. One that was deleted is not there.
func (q *queries) Key(ctx context.Context, a postern.AccountID, id postern.KeyID) (KeyRecord, error) {
	return one(q.db.QueryRowContext(ctx, "select "+keyColumns+keyFrom+"where k.key_id = $1 and k.account_id = $2 and k.deleted_at = 0", id, a),
		scanKey, "service key")
}

// KeyNamed reads the live service key of an account with a name.
func (q *queries) KeyNamed(ctx context.Context, a postern.AccountID, name string) (KeyRecord, error) {
	return one(q.db.QueryRowContext(ctx, "select "+keyColumns+keyFrom+"where k.account_id = $1 and k.name = $2 and k.ended_at = 0", a, name),
		scanKey, "service key")
}

// CountKeys is how many service keys of an account are not deleted.
func (q *queries) CountKeys(ctx context.Context, a postern.AccountID) (n int64, err error) {
	err = q.db.QueryRowContext(ctx, "select count(*) from service_keys where account_id = $1 and deleted_at = 0", a).Scan(&n)
	return n, err
}

// Cursor is a place in a list that is ordered by time and id, newest first. The zero Cursor is the start.
type Cursor struct {
	At int64
	ID string
}

// KeyFilter narrows a list of service keys. Zero members narrow nothing.
type KeyFilter struct {
	Name    string // a part of the name, whatever its case
	Scope   postern.Scope
	State   postern.State
	MadeBy  postern.MemberID
	Flagged bool
	IDs     []postern.KeyID // only these, at most 500
	NotIDs  []postern.KeyID
}

// KeysPage returns up to n of an account's keys, newest first, from after the cursor.
func (q *queries) KeysPage(ctx context.Context, a postern.AccountID, f KeyFilter, now time.Time, after Cursor, n int) ([]KeyRecord, error) {
	where := []string{"k.account_id = $1", "k.deleted_at = 0"}
	args := []any{a}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if after.ID != "" {
		where = append(where, "(k.created_at, k.key_id) < ("+arg(after.At)+", "+arg(after.ID)+")")
	}
	if f.Name != "" {
		where = append(where, "lower(k.name) like "+arg("%"+escapeLike(strings.ToLower(f.Name))+"%")+` escape '\'`)
	}
	if f.Scope != "" {
		// A scope can't hold a quote or a backslash, so its JSON text is exact.
		where = append(where, "c.scopes like "+arg("%"+escapeLike(`"`+string(f.Scope)+`"`)+"%")+` escape '\'`)
	}
	if f.MadeBy != "" {
		where = append(where, "k.made_by = "+arg(f.MadeBy))
	}
	if f.Flagged {
		where = append(where, "k.flagged_at > 0")
	}
	if f.IDs != nil {
		where = append(where, "k.key_id in "+inList(f.IDs, arg))
	}
	if len(f.NotIDs) > 0 {
		where = append(where, "k.key_id not in "+inList(f.NotIDs, arg))
	}
	if f.State != "" {
		cond, ok := stateCondition(f.State, func() string { return arg(micros(now)) })
		if !ok {
			return nil, postern.Invalidf("state", "There is no state %q; the states are active, rotating, scheduled, paused, expired and ended.", f.State)
		}
		where = append(where, cond)
	}
	rows, err := q.db.QueryContext(ctx, "select "+keyColumns+keyFrom+"where "+strings.Join(where, " and ")+
		" order by k.created_at desc, k.key_id desc limit "+arg(n), args...)
	return collect(rows, err, scanKey)
}

// stateCondition says in SQL what postern.ServiceKey.State says in Go; a test holds them together.
func stateCondition(s postern.State, now func() string) (string, bool) {
	const live = "c.revoked_at = 0 and c.deleted_at = 0"
	unexpired := func() string { return live + " and (c.expires_at = 0 or c.expires_at > " + now() + ")" }
	started := func() string { return unexpired() + " and c.paused_at = 0 and c.not_before <= " + now() }
	rotating := func() string { return "(c.previous_generation <> 0 and c.previous_until > " + now() + ")" }
	switch s {
	case postern.StateEnded:
		return "(c.revoked_at <> 0 or c.deleted_at <> 0)", true
	case postern.StateExpired:
		return live + " and c.expires_at <> 0 and c.expires_at <= " + now(), true
	case postern.StatePaused:
		return unexpired() + " and c.paused_at <> 0", true
	case postern.StateScheduled:
		return unexpired() + " and c.paused_at = 0 and c.not_before > " + now(), true
	case postern.StateRotating:
		return started() + " and " + rotating(), true
	case postern.StateActive:
		return started() + " and not " + rotating(), true
	}
	return "", false
}

func inList[T ~string](ids []T, arg func(any) string) string {
	if len(ids) == 0 {
		return "('')"
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = arg(string(id))
	}
	return "(" + strings.Join(out, ", ") + ")"
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
}

// KeysMadeBy are the live service keys that a member made.
func (q *queries) KeysMadeBy(ctx context.Context, a postern.AccountID, m postern.MemberID) ([]KeyRecord, error) {
	rows, err := q.db.QueryContext(ctx, "select "+keyColumns+keyFrom+"where k.account_id = $1 and k.made_by = $2 and k.ended_at = 0 order by k.key_id", a, m)
	return collect(rows, err, scanKey)
}

// KeysOf gives every live service key of all accounts, for telling what a new catalog touches.
func (q *queries) KeysOf(ctx context.Context, yield func(postern.AccountID, postern.KeyID, string, []postern.Scope) error) error {
	rows, err := q.db.QueryContext(ctx, `select k.account_id, k.key_id, k.name, c.scopes from service_keys k
		join credentials c on c.key_id = k.key_id where k.ended_at = 0 order by k.account_id, k.key_id`)
	if err != nil {
		return fmt.Errorf("store: read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a postern.AccountID
		var id postern.KeyID
		var name, scopes string
		if err := rows.Scan(&a, &id, &name, &scopes); err != nil {
			return fmt.Errorf("store: scan a key: %w", err)
		}
		var list []postern.Scope
		if err := fromJSON(scopes, &list); err != nil {
			return fmt.Errorf("store: scopes of key %s: %w", id, err)
		}
		if err := yield(a, id, name, list); err != nil {
			return err
		}
	}
	return rows.Err()
}

// InsertKey writes a new service key and its credential, which must be sealed.
func (tx *Tx) InsertKey(ctx context.Context, r *KeyRecord) error {
	if err := tx.InsertCredential(ctx, &r.Row); err != nil {
		return err
	}
	return nameTaken(tx.insertRows(ctx, "insert service key", insertKey, [][]any{keyValues(r)}), r.Key.Name)
}

// InsertKeys writes many new service keys and their credentials, which must be sealed.
func (tx *Tx) InsertKeys(ctx context.Context, list []*KeyRecord) error {
	rows, shown := make([][]any, len(list)), make([][]any, len(list))
	for i, r := range list {
		rows[i], shown[i] = credentialValues(&r.Row), keyValues(r)
	}
	if err := tx.insertRows(ctx, "insert credentials", insertCredential, rows); err != nil {
		return err
	}
	return tx.insertRows(ctx, "insert service keys", insertKey, shown)
}

const insertKey = `insert into service_keys (key_id, account_id, name, description, team_id, ended_at, deleted_at, revoked_why,
		current_made_at, current_made_by, previous_made_at, previous_made_by, flagged_at, flagged_why, made_by, created_at, updated_at)`

func keyValues(r *KeyRecord) []any {
	r.spread()
	k := &r.Key
	return []any{k.ID, k.AccountID, k.Name, k.Description, k.TeamID, int64(0), int64(0), "", micros(k.Current.MadeAt), k.Current.MadeBy,
		micros(k.Previous.MadeAt), k.Previous.MadeBy, micros(k.FlaggedAt), k.FlaggedWhy, k.MadeBy, micros(k.CreatedAt), micros(k.UpdatedAt)}
}

// UpdateKey writes all that may change of a service key and its credential, which must be sealed.
func (tx *Tx) UpdateKey(ctx context.Context, r *KeyRecord) error {
	if err := tx.UpdateCredential(ctx, &r.Row); err != nil {
		return err
	}
	r.spread()
	k := &r.Key
	ended := micros(k.RevokedAt)
	if ended == 0 {
		ended = micros(k.DeletedAt)
	}
	_, err := tx.db.ExecContext(ctx, `update service_keys set name = $2, description = $3, team_id = $4, ended_at = $5, deleted_at = $6, revoked_why = $7,
		current_made_at = $8, current_made_by = $9, previous_made_at = $10, previous_made_by = $11,
		flagged_at = $12, flagged_why = $13, updated_at = $14 where key_id = $1`,
		k.ID, k.Name, k.Description, k.TeamID, ended, micros(k.DeletedAt), k.RevokedWhy, micros(k.Current.MadeAt), k.Current.MadeBy,
		micros(k.Previous.MadeAt), k.Previous.MadeBy, micros(k.FlaggedAt), k.FlaggedWhy, micros(k.UpdatedAt))
	return nameTaken(err, k.Name)
}

func nameTaken(err error, name string) error {
	if IsUnique(err) {
		e := postern.Errorf(postern.CodeConflict, "The account already has a service key named %q.", name)
		e.Field = "name"
		return e
	}
	if err != nil {
		return fmt.Errorf("store: write service key: %w", err)
	}
	return nil
}

// Teams reads an account's teams by name.
func (q *queries) Team(ctx context.Context, a postern.AccountID, id postern.TeamID) (name string, err error) {
	return one(q.db.QueryRowContext(ctx, "select name from teams where id = $1 and account_id = $2", id, a),
		func(s scanner) (n string, err error) { return n, s.Scan(&n) }, "team")
}

// FlagKey marks a service key for review, or takes the mark away where why is empty.
func (tx *Tx) FlagKey(ctx context.Context, id postern.KeyID, at time.Time, why string) error {
	if why == "" {
		at = time.Time{}
	}
	return tx.execOne(ctx, "service key", "update service_keys set flagged_at = $2, flagged_why = $3 where key_id = $1", id, micros(at), why)
}
