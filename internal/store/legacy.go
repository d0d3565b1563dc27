package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
)

// retiringRow is postern.Retiring as it is kept.
type retiringRow struct {
	Deprecated int64  `json:"deprecated,omitempty"`
	Sunset     int64  `json:"sunset,omitempty"`
	Find       string `json:"find,omitempty"`
	Hash       string `json:"hash,omitempty"`
	// Brownouts are the start and the end of each window.
	Brownouts [][2]int64 `json:"brownouts,omitempty"`
}

func retiringJSON(r *postern.Retiring) string {
	if r == nil {
		return ""
	}
	return asJSON(retiringRow{micros(r.DeprecatedAt), micros(r.SunsetAt), r.Find, r.Hash, windowRows(r.Brownouts)})
}

func retiringOf(s string) *postern.Retiring {
	var r retiringRow
	if s == "" || fromJSON(s, &r) != nil {
		return nil
	}
	return &postern.Retiring{DeprecatedAt: fromMicros(r.Deprecated), SunsetAt: fromMicros(r.Sunset), Find: r.Find, Hash: r.Hash, Brownouts: windowsOf(r.Brownouts)}
}

// LegacyRecord is an imported credential with the row that decisions see.
type LegacyRecord struct {
	Legacy postern.LegacyCredential
	Row    postern.CredentialRow
	// Mark is what it was imported as, where that is a slow hash: a keyed hash of it, and nil else.
	Mark []byte
	// Finger is a keyed hash of its fingerprint; empty where that isn't known yet.
	Finger string
}

const legacyColumns = credentialColumns + `, l.name, l.note, l.shown, l.strength, l.slow, l.import_id, l.mark, l.finger,
	l.ended_why, l.in_address_at, l.made_by, l.created_at, l.updated_at`

// What is shown isn't sealed, the credential is: a row that was moved to another account finds none.
const legacyFrom = " from legacy_credentials l join credentials c on c.key_id = l.key_id and c.account_id = l.account_id "

func scanLegacy(s scanner) (LegacyRecord, error) {
	var c credentialScan
	var r LegacyRecord
	var inAddress, created, updated int64
	l := &r.Legacy
	err := s.Scan(append(c.targets(), &l.Name, &l.Note, &l.Shown, &l.Strength, &l.Slow, &l.Import, &r.Mark, &r.Finger,
		&l.EndedWhy, &inAddress, &l.MadeBy, &created, &updated)...)
	if err != nil {
		return r, err
	}
	r.Row = c.finish()
	l.InAddressAt, l.CreatedAt, l.UpdatedAt = fromMicros(inAddress), fromMicros(created), fromMicros(updated)
	r.Spread()
	return r, nil
}

// Spread copies into what is shown what the row says.
func (r *LegacyRecord) Spread() {
	l, c := &r.Legacy, &r.Row
	l.ID, l.AccountID, l.Kind, l.Scopes, l.AllScopes, l.Networks, l.Rate = c.Key, c.AccountID, c.Kind, c.Scopes, c.AllScopes, c.Networks, c.Rate
	l.ExpiresAt, l.PausedAt, l.RevokedAt, l.Revision = c.ExpiresAt, c.PausedAt, c.RevokedAt, c.Revision
	if c.Retiring != nil {
		l.DeprecatedAt, l.SunsetAt, l.Brownouts = c.Retiring.DeprecatedAt, c.Retiring.SunsetAt, c.Retiring.Brownouts
	}
}

// Legacy reads an imported credential of an account.
func (q *queries) Legacy(ctx context.Context, a postern.AccountID, id postern.KeyID) (LegacyRecord, error) {
	return one(q.db.QueryRowContext(ctx, "select "+legacyColumns+legacyFrom+"where l.key_id = $1 and l.account_id = $2", id, a), scanLegacy, "legacy credential")
}

// LegacyByFinger reads the imported credentials of an account that have one of some fingers.
func (q *queries) LegacyByFinger(ctx context.Context, a postern.AccountID, fingers []string) ([]LegacyRecord, error) {
	args := []any{a}
	list := inList(fingers, func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	})
	rows, err := q.db.QueryContext(ctx, "select "+legacyColumns+legacyFrom+"where l.account_id = $1 and l.finger <> '' and l.finger in "+list+" order by l.key_id", args...)
	return collect(rows, err, scanLegacy)
}

// LegacyFilter narrows a list of imported credentials. Zero members narrow nothing.
type LegacyFilter struct {
	Name   string // a part of the name, the note or what is shown, whatever its case
	State  postern.LegacyState
	Kind   postern.Kind
	Import string
	Weak   bool
	// Before, where set, asks for those that come before a cursor, nearest to it: the page before a page.
	Before Cursor
}

// LegacyPage returns up to n of an account's imported credentials, newest first, from after the cursor.
func (q *queries) LegacyPage(ctx context.Context, a postern.AccountID, f LegacyFilter, now time.Time, after Cursor, n int) ([]LegacyRecord, error) {
	args := []any{a}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	where := []string{"l.account_id = $1"}
	if after.ID != "" {
		where = append(where, "(l.created_at, l.key_id) < ("+arg(after.At)+", "+arg(after.ID)+")")
	}
	order := "l.created_at desc, l.key_id desc"
	if f.Before.ID != "" {
		where = append(where, "(l.created_at, l.key_id) > ("+arg(f.Before.At)+", "+arg(f.Before.ID)+")")
		order = "l.created_at, l.key_id"
	}
	if f.Name != "" {
		p := arg("%" + escapeLike(strings.ToLower(f.Name)) + "%")
		where = append(where, "(lower(l.name) like "+p+` escape '\' or lower(l.note) like `+p+` escape '\' or lower(l.shown) like `+p+` escape '\')`)
	}
	if f.Kind != 0 {
		where = append(where, "c.kind = "+arg(f.Kind.String()))
	}
	if f.Import != "" {
		where = append(where, "l.import_id = "+arg(f.Import))
	}
	if f.Weak {
		where = append(where, "l.strength = 'weak'")
	}
	if f.State != "" {
		// What postern.LegacyCredential.State says in Go; a test holds them together.
		over := "(c.revoked_at <> 0 or c.expires_at <> 0 and c.expires_at <= " + arg(micros(now)) + ")"
		switch f.State {
		case postern.LegacyEnded:
			where = append(where, over)
		case postern.LegacyPaused:
			where = append(where, "not "+over, "c.paused_at <> 0")
		case postern.LegacySunset:
			where = append(where, "not "+over, "c.paused_at = 0", "l.sunset_at <> 0")
		case postern.LegacyActive:
			where = append(where, "not "+over, "c.paused_at = 0", "l.sunset_at = 0")
		default:
			return nil, nil
		}
	}
	rows, err := q.db.QueryContext(ctx, "select "+legacyColumns+legacyFrom+"where "+strings.Join(where, " and ")+
		" order by "+order+" limit "+arg(n), args...)
	out, err := collect(rows, err, scanLegacy)
	if f.Before.ID != "" {
		slices.Reverse(out)
	}
	return out, err
}

// LegacyCounts are how many imported credentials an account has, and of those
// that haven't been ended the next sunset; zero where none is set.
func (q *queries) LegacyCounts(ctx context.Context, a postern.AccountID) (all, live int64, next time.Time, err error) {
	var sunset int64
	err = q.db.QueryRowContext(ctx, `select count(*), coalesce(sum(case when ended_at = 0 then 1 else 0 end), 0),
		coalesce(min(case when ended_at = 0 and sunset_at <> 0 then sunset_at end), 0) from legacy_credentials where account_id = $1`, a).Scan(&all, &live, &sunset)
	if err != nil {
		return 0, 0, next, fmt.Errorf("store: count legacy credentials: %w", err)
	}
	return all, live, fromMicros(sunset), nil
}

// LegacyOwner is whose an imported credential is.
type LegacyOwner struct {
	Key     postern.KeyID
	Account postern.AccountID
}

// LegacyByMarks finds out which of some secrets were imported before: by the slow
// hash that they were imported as, or by what they are found by now.
func (q *queries) LegacyByMarks(ctx context.Context, marks [][32]byte) (map[[32]byte]LegacyOwner, error) {
	out := map[[32]byte]LegacyOwner{}
	for part := range slices.Chunk(marks, 500) {
		args := make([]any, 2*len(part))
		for i := range part {
			args[i], args[len(part)+i] = part[i][:], part[i][:]
		}
		rows, err := q.db.QueryContext(ctx, "select mark, key_id, account_id from legacy_credentials where mark in "+q.manyMarks(len(part), 1)+
			" union all select current_hash, key_id, account_id from credentials where kind in ('legacy_private_app', 'legacy_api_key') and current_hash in "+
			q.manyMarks(len(part), len(part)+1), args...)
		_, err = collect(rows, err, func(s scanner) (struct{}, error) {
			var mark []byte
			var o LegacyOwner
			err := s.Scan(&mark, &o.Key, &o.Account)
			if len(mark) == 32 {
				out[[32]byte(mark)] = o
			}
			return struct{}{}, err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

const insertLegacy = `insert into legacy_credentials (key_id, account_id, name, note, shown, strength, slow, import_id, mark, finger,
	sunset_at, ended_at, ended_why, in_address_at, made_by, created_at, updated_at)`

// InsertLegacy writes imported credentials. Their rows must be sealed.
func (tx *Tx) InsertLegacy(ctx context.Context, recs []*LegacyRecord) error {
	rows, shown := make([][]any, len(recs)), make([][]any, len(recs))
	for i, r := range recs {
		rows[i] = credentialValues(&r.Row)
		r.Spread()
		l := &r.Legacy
		shown[i] = []any{l.ID, l.AccountID, l.Name, l.Note, l.Shown, string(l.Strength), l.Slow, l.Import, r.Mark, r.Finger,
			micros(l.SunsetAt), micros(l.RevokedAt), l.EndedWhy, micros(l.InAddressAt), l.MadeBy, micros(l.CreatedAt), micros(l.UpdatedAt)}
	}
	if err := tx.insertRows(ctx, "insert credentials", insertCredential, rows); err != nil {
		return err
	}
	return tx.insertRows(ctx, "insert legacy credentials", insertLegacy, shown)
}

// UpdateLegacy writes all that may change of an imported credential, whose row must be sealed.
func (tx *Tx) UpdateLegacy(ctx context.Context, r *LegacyRecord) error {
	if err := tx.UpdateCredential(ctx, &r.Row); err != nil {
		return err
	}
	r.Spread()
	l := &r.Legacy
	return tx.execOne(ctx, "legacy credential", `update legacy_credentials set name = $2, note = $3, shown = $4, strength = $5, slow = $6, finger = $7,
		sunset_at = $8, ended_at = $9, ended_why = $10, updated_at = $11 where key_id = $1`,
		l.ID, l.Name, l.Note, l.Shown, string(l.Strength), l.Slow, r.Finger, micros(l.SunsetAt), micros(l.RevokedAt), l.EndedWhy, micros(l.UpdatedAt))
}

// NoteInAddress notes that imported credentials came in an address. Nothing is decided by that.
func (d *DB) NoteInAddress(ctx context.Context, at time.Time, keys []postern.KeyID) error {
	_, err := d.Write(ctx, func(tx *Tx) error {
		for _, id := range keys {
			if err := tx.exec(ctx, "note a legacy credential", "update legacy_credentials set in_address_at = $2 where key_id = $1 and in_address_at < $2", id, micros(at)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// AppendFeeds gives changes the next numbers of the feed, in their order.
func (tx *Tx) AppendFeeds(ctx context.Context, changes []postern.Change) error {
	if len(changes) == 0 {
		return nil
	}
	// All but the last, which AppendFeed takes together with the notification.
	last := len(changes) - 1
	var seq int64
	if err := tx.db.QueryRowContext(ctx, "update heads set n = n + $1 where name = 'feed' returning n", int64(last)).Scan(&seq); err != nil {
		return fmt.Errorf("store: take feed numbers: %w", err)
	}
	rows := make([][]any, last)
	for i, c := range changes[:last] {
		rows[i] = []any{seq - int64(last-1-i), micros(c.At), string(c.Kind), string(c.AccountID), c.ID}
	}
	if err := tx.insertRows(ctx, "append to the feed", "insert into feed (seq, at, kind, account_id, ref)", rows); err != nil {
		return err
	}
	_, err := tx.AppendFeed(ctx, changes[last])
	return err
}

// insertRows runs an insert statement for many rows: head is all of it before "values".
func (q *queries) insertRows(ctx context.Context, what, head string, rows [][]any) error {
	most := 100 // a part at a time: each is a journey to the server
	if q.engine == SQLite {
		most = 1 // which reads a long statement slower than it runs a short one again
	}
	if len(rows) == 1 {
		return q.exec(ctx, what, head+" values "+placeholders(1, len(rows[0])), rows[0]...)
	}
	var insert *sql.Stmt
	width := 0
	for part := range slices.Chunk(rows, most) {
		if len(part) != width {
			width = len(part)
			var err error
			if insert, err = q.db.PrepareContext(ctx, head+" values "+placeholders(width, len(part[0]))); err != nil {
				return fmt.Errorf("store: %s: %w", what, err)
			}
			defer insert.Close()
		}
		if _, err := insert.ExecContext(ctx, slices.Concat(part...)...); err != nil {
			return fmt.Errorf("store: %s: %w", what, err)
		}
	}
	return nil
}

// manyMarks are the placeholders of a long list, whose first has a number. SQLite
// looks up each numbered one among all before it, so it gets them without.
func (q *queries) manyMarks(n, first int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString([2]string{"(", ", "}[min(i, 1)])
		if q.engine == SQLite {
			b.WriteByte('?')
		} else {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(first + i))
		}
	}
	return b.String() + ")"
}

// placeholders are those of so many rows of so many values.
func placeholders(rows, values int) string {
	var b strings.Builder
	for n := range rows * values {
		switch {
		case n == 0:
			b.WriteString("($")
		case n%values == 0:
			b.WriteString("), ($")
		default:
			b.WriteString(", $")
		}
		b.WriteString(strconv.Itoa(n + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// LegacySunset is how many imported credentials of an account that still work have a sunset on a day.
type LegacySunset struct {
	Account postern.AccountID
	At      time.Time // the first of that day's
	N       int64
	Name    string // of one of them
}

// LegacySunsets are the sunsets up to a time of imported credentials that still work, by account and day.
func (q *queries) LegacySunsets(ctx context.Context, now, before time.Time) ([]LegacySunset, error) {
	const day = int64(24 * time.Hour / time.Microsecond)
	rows, err := q.db.QueryContext(ctx, `select l.account_id, min(l.sunset_at), count(*), min(l.name) from legacy_credentials l join credentials c on c.key_id = l.key_id
		where l.sunset_at <> 0 and l.sunset_at <= $1 and l.ended_at = 0 and c.revoked_at = 0 and c.deleted_at = 0 and c.paused_at = 0 and (c.expires_at = 0 or c.expires_at > $2)
		group by l.account_id, l.sunset_at / $3 order by l.account_id, min(l.sunset_at)`, micros(before), micros(now), day)
	return collect(rows, err, func(s scanner) (l LegacySunset, err error) {
		var at int64
		err = s.Scan(&l.Account, &at, &l.N, &l.Name)
		l.At = fromMicros(at)
		return l, err
	})
}
