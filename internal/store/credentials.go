package store

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
)

const credentialColumns = `c.key_id, c.account_id, c.kind, c.member_id, c.scopes, c.all_scopes, c.networks,
	c.current_hash, c.current_pepper, c.current_generation, c.current_last_four,
	c.previous_hash, c.previous_pepper, c.previous_generation, c.previous_last_four, c.previous_until,
	c.not_before, c.expires_at, c.paused_at, c.revoked_at, c.deleted_at, c.rate_calls, c.rate_per, c.revision, c.mac, c.mac_pepper, c.previous_ended, c.watch, c.undo, c.retiring, c.canary`

// credentialScan holds what a row is scanned into before it is a CredentialRow.
type credentialScan struct {
	row                                           postern.CredentialRow
	kind, scopes, networks, watch, undo, retiring string
	all, until, notBefore, expires, paused        int64
	revoked, deleted, ratePer, ended, canary      int64
	current, previous, mac                        []byte
	currentPepper, previousPepper, macPepper      int64
}

func (c *credentialScan) targets() []any {
	r := &c.row
	return []any{&r.Key, &r.AccountID, &c.kind, &r.MemberID, &c.scopes, &c.all, &c.networks,
		&c.current, &c.currentPepper, &r.Current.Generation, &r.Current.LastFour,
		&c.previous, &c.previousPepper, &r.Previous.Generation, &r.Previous.LastFour, &c.until,
		&c.notBefore, &c.expires, &c.paused, &c.revoked, &c.deleted, &r.Rate.Calls, &c.ratePer, &r.Revision, &c.mac, &c.macPepper, &c.ended, &c.watch, &c.undo, &c.retiring, &c.canary}
}

// finish makes the row of what was scanned. What doesn't decode is left out, so
// that the row's MAC no longer fits: an altered row denies, it stops nothing.
func (c *credentialScan) finish() postern.CredentialRow {
	r := &c.row
	r.Kind, _ = postern.ParseKind(c.kind)
	fromJSON(c.scopes, &r.Scopes)
	r.Networks = networksOf(c.networks)
	r.Watch, r.Undo, r.Retiring = watchOf(c.watch), undoOf(c.undo), retiringOf(c.retiring)
	copy(r.Current.Hash[:], c.current)
	copy(r.Previous.Hash[:], c.previous)
	copy(r.MAC[:], c.mac)
	r.Current.Pepper, r.Previous.Pepper, r.MACPepper = uint8(c.currentPepper), uint8(c.previousPepper), uint8(c.macPepper)
	r.AllScopes, r.PreviousEnded, r.Canary = c.all == 1, c.ended == 1, c.canary == 1
	r.PreviousUntil, r.NotBefore, r.ExpiresAt = fromMicros(c.until), fromMicros(c.notBefore), fromMicros(c.expires)
	r.PausedAt, r.RevokedAt, r.DeletedAt = fromMicros(c.paused), fromMicros(c.revoked), fromMicros(c.deleted)
	r.Rate.Per = time.Duration(c.ratePer) * time.Microsecond
	return *r
}

func scanCredential(s scanner) (postern.CredentialRow, error) {
	var c credentialScan
	if err := s.Scan(c.targets()...); err != nil {
		return c.row, err
	}
	return c.finish(), nil
}

// Credential reads one credential.
func (q *queries) Credential(ctx context.Context, id postern.KeyID) (postern.CredentialRow, error) {
	return one(q.db.QueryRowContext(ctx, "select "+credentialColumns+" from credentials c where c.key_id = $1", id), scanCredential, "credential")
}

// CredentialsOf reads the credentials of some keys, of which there may be 500; those that aren't there are left out.
func (q *queries) CredentialsOf(ctx context.Context, keys []postern.KeyID) ([]postern.CredentialRow, error) {
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	rows, err := q.db.QueryContext(ctx, "select "+credentialColumns+" from credentials c where c.key_id in "+q.manyMarks(len(args), 1), args...)
	return collect(rows, err, scanCredential)
}

// credentialsAtOnce is how many credentials a statement reads. A statement has 15
// seconds on PostgreSQL, in which all that there are might not be taken.
const credentialsAtOnce = 10_000

// EachCredential gives every credential that isn't deleted to yield, once. It
// reads them in parts: what changes meanwhile is given as it was or as it is.
func (q *queries) EachCredential(ctx context.Context, yield func(*postern.CredentialRow) error) error {
	return q.eachCredential(ctx, credentialsAtOnce, yield)
}

func (q *queries) eachCredential(ctx context.Context, atOnce int, yield func(*postern.CredentialRow) error) error {
	for after, n := postern.KeyID(""), atOnce; n == atOnce; {
		rows, err := q.db.QueryContext(ctx, "select "+credentialColumns+" from credentials c where c.deleted_at = 0 and c.key_id > $1 order by c.key_id limit $2", after, atOnce)
		list, err := collect(rows, err, scanCredential)
		if err != nil {
			return fmt.Errorf("store: read credentials: %w", err)
		}
		for i := range list {
			if err := yield(&list[i]); err != nil {
				return err
			}
		}
		if n = len(list); n > 0 {
			after = list[n-1].Key
		}
	}
	return nil
}

func credentialValues(r *postern.CredentialRow) []any {
	return []any{r.Key, r.AccountID, r.Kind.String(), r.MemberID, scopesJSON(r.Scopes), bit(r.AllScopes), networksJSON(r.Networks),
		r.Current.Hash[:], int64(r.Current.Pepper), r.Current.Generation, r.Current.LastFour,
		r.Previous.Hash[:], int64(r.Previous.Pepper), r.Previous.Generation, r.Previous.LastFour, micros(r.PreviousUntil),
		micros(r.NotBefore), micros(r.ExpiresAt), micros(r.PausedAt), micros(r.RevokedAt), micros(r.DeletedAt),
		r.Rate.Calls, r.Rate.Per.Microseconds(), r.Revision, r.MAC[:], int64(r.MACPepper), bit(r.PreviousEnded), watchJSON(r.Watch), undoJSON(r.Undo), retiringJSON(r.Retiring), bit(r.Canary)}
}

// InsertCredential writes a new credential. The row must be sealed.
func (tx *Tx) InsertCredential(ctx context.Context, r *postern.CredentialRow) error {
	return tx.insertRows(ctx, "insert credential", insertCredential, [][]any{credentialValues(r)})
}

const insertCredential = `insert into credentials (key_id, account_id, kind, member_id, scopes, all_scopes, networks,
		current_hash, current_pepper, current_generation, current_last_four,
		previous_hash, previous_pepper, previous_generation, previous_last_four, previous_until,
		not_before, expires_at, paused_at, revoked_at, deleted_at, rate_calls, rate_per, revision, mac, mac_pepper, previous_ended, watch, undo, retiring, canary)`

// UpdateCredential writes all of a credential. The row must be sealed, at a revision one higher.
func (tx *Tx) UpdateCredential(ctx context.Context, r *postern.CredentialRow) error {
	return tx.execOne(ctx, "credential", `update credentials set account_id = $2, kind = $3, member_id = $4, scopes = $5, all_scopes = $6, networks = $7,
		current_hash = $8, current_pepper = $9, current_generation = $10, current_last_four = $11,
		previous_hash = $12, previous_pepper = $13, previous_generation = $14, previous_last_four = $15, previous_until = $16,
		not_before = $17, expires_at = $18, paused_at = $19, revoked_at = $20, deleted_at = $21, rate_calls = $22, rate_per = $23,
		revision = $24, mac = $25, mac_pepper = $26, previous_ended = $27, watch = $28, undo = $29, retiring = $30, canary = $31 where key_id = $1`, credentialValues(r)...)
}

// MemberKeys are the personal access keys of a member that aren't ended.
func (q *queries) MemberKeys(ctx context.Context, m postern.MemberID) ([]postern.KeyID, error) {
	rows, err := q.db.QueryContext(ctx, `select key_id from credentials
		where member_id = $1 and member_id <> '' and revoked_at = 0 and deleted_at = 0 order by key_id`, m)
	return collect(rows, err, func(s scanner) (id postern.KeyID, err error) { return id, s.Scan(&id) })
}

// PersonalKey is what is shown of a member's personal access key.
type PersonalKey struct {
	postern.CredentialRow
	Name      string
	CreatedAt time.Time
}

func scanPersonalKey(s scanner) (k PersonalKey, err error) {
	var c credentialScan
	var created int64
	err = s.Scan(append(c.targets(), &k.Name, &created)...)
	k.CredentialRow, k.CreatedAt = c.finish(), fromMicros(created)
	return k, err
}

const personalFrom = credentialColumns + ", p.name, p.created_at from personal_keys p join credentials c on c.key_id = p.key_id and c.account_id = p.account_id and c.member_id = p.member_id "

// PersonalKeys are the personal access keys of a member, newest first, without those that ended.
func (q *queries) PersonalKeys(ctx context.Context, a postern.AccountID, m postern.MemberID) ([]PersonalKey, error) {
	rows, err := q.db.QueryContext(ctx, "select "+personalFrom+`where p.account_id = $1 and p.member_id = $2
		and c.revoked_at = 0 and c.deleted_at = 0 order by p.created_at desc, p.key_id desc`, a, m)
	return collect(rows, err, scanPersonalKey)
}

// PersonalKey reads one personal access key of an account.
func (q *queries) PersonalKey(ctx context.Context, a postern.AccountID, id postern.KeyID) (PersonalKey, error) {
	return one(q.db.QueryRowContext(ctx, "select "+personalFrom+"where p.account_id = $1 and p.key_id = $2", a, id), scanPersonalKey, "personal access key")
}

// InsertPersonalKey writes what is shown of a new personal access key; its credential is there already.
func (tx *Tx) InsertPersonalKey(ctx context.Context, k *PersonalKey) error {
	return tx.exec(ctx, "insert personal access key", "insert into personal_keys (key_id, account_id, member_id, name, created_at) values ($1, $2, $3, $4, $5)",
		k.Key, k.AccountID, k.MemberID, k.Name, micros(k.CreatedAt))
}

// SingleUse is a secret that works once: a set-up link, an invitation.
type SingleUse struct {
	ID        postern.KeyID
	Purpose   string
	AccountID postern.AccountID
	MemberID  postern.MemberID
	Hash      postern.SecretHash
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
	Altered   bool // changed by other means than Postern: it gives nothing
}

func (q *queries) scanSingleUse(s scanner) (u SingleUse, err error) {
	var hash []byte
	var pepper, created, expires, used int64
	var m mark
	err = s.Scan(append([]any{&u.ID, &u.Purpose, &u.AccountID, &u.MemberID, &hash, &pepper, &created, &expires, &used}, m.targets()...)...)
	if err != nil {
		return u, err
	}
	copy(u.Hash.Hash[:], hash)
	u.Hash.Pepper = uint8(pepper)
	u.CreatedAt, u.ExpiresAt, u.UsedAt = fromMicros(created), fromMicros(expires), fromMicros(used)
	// The seal of one that was used is gone: it gives nothing whatever is written into it.
	u.Altered = used == 0 && q.seals.broken(singleUseTable, []any{u.ID, u.Purpose, u.AccountID, u.MemberID, hash, pepper, created, expires, used}, m)
	return u, nil
}

// SingleUse reads a single-use secret's record.
func (q *queries) SingleUse(ctx context.Context, id postern.KeyID) (SingleUse, error) {
	return one(q.db.QueryRowContext(ctx, "select "+singleUseTable.list("")+" from single_use where id = $1", id), q.scanSingleUse, "link")
}

// InsertSingleUse writes a single-use secret's record.
func (tx *Tx) InsertSingleUse(ctx context.Context, u *SingleUse) error {
	return tx.exec(ctx, "insert single-use secret", singleUseTable.insert(), tx.seals.seal(singleUseTable, []any{u.ID, u.Purpose, u.AccountID, u.MemberID,
		u.Hash.Hash[:], int64(u.Hash.Pepper), micros(u.CreatedAt), micros(u.ExpiresAt), int64(0)})...)
}

// UseUp marks a single-use secret as used; it fails where it was used before. Its
// seal is taken away, so that writing that it was not used doesn't bring it back.
func (tx *Tx) UseUp(ctx context.Context, id postern.KeyID, at time.Time) error {
	return tx.execOne(ctx, "link", "update single_use set used_at = $2, mac = $3 where id = $1 and used_at = 0", id, micros(at), []byte{})
}

// VoidSingleUse uses up all links of a purpose, for a member where one is named.
func (tx *Tx) VoidSingleUse(ctx context.Context, purpose string, m postern.MemberID, at time.Time) error {
	return tx.exec(ctx, "void links", "update single_use set used_at = $3, mac = $4 where purpose = $1 and member_id = $2 and used_at = 0",
		purpose, m, micros(at), []byte{})
}

// PepperVersions are the pepper versions that live records need: credentials,
// members and what they rest on, and ways in. Sessions and links are soon over.
func (q *queries) PepperVersions(ctx context.Context) ([]uint8, error) {
	rows, err := q.db.QueryContext(ctx, `select current_pepper as v from credentials where revoked_at = 0 and deleted_at = 0
		union select mac_pepper from credentials where revoked_at = 0 and deleted_at = 0
		union select mac_pepper from accounts union select mac_pepper from roles
		union select mac_pepper from members where removed_at = 0
		union select mac_pepper from passwords union select mac_pepper from totps union select pepper from totps
		union select mac_pepper from passkeys union select mac_pepper from identities order by v`)
	return collect(rows, err, func(s scanner) (v uint8, err error) { return v, s.Scan(&v) })
}
