package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// TOTP is a member's authenticator app: its sealed secret, and the step of the
// last code that was used, so that none is used twice.
type TOTP struct {
	Secret    []byte // sealed by whoever keeps it
	Pepper    uint8
	LastStep  int64
	CreatedAt time.Time
}

// TOTP reads a member's authenticator app; the zero TOTP where they have none.
func (q *queries) TOTP(ctx context.Context, m postern.MemberID) (t TOTP, err error) {
	var pepper, at int64
	err = q.db.QueryRowContext(ctx, "select secret, pepper, last_step, created_at from totps where member_id = $1", m).
		Scan(&t.Secret, &pepper, &t.LastStep, &at)
	if err == sql.ErrNoRows {
		return TOTP{}, nil
	}
	if err != nil {
		return t, fmt.Errorf("store: read TOTP: %w", err)
	}
	t.Pepper, t.CreatedAt = uint8(pepper), fromMicros(at)
	return t, nil
}

// PutTOTP writes a member's authenticator app; the one before it is gone.
func (tx *Tx) PutTOTP(ctx context.Context, m postern.MemberID, t TOTP) error {
	return tx.exec(ctx, "put TOTP", `insert into totps (member_id, secret, pepper, last_step, created_at) values ($1, $2, $3, $4, $5)
		on conflict (member_id) do update set secret = excluded.secret, pepper = excluded.pepper, last_step = excluded.last_step, created_at = excluded.created_at`,
		m, t.Secret, int64(t.Pepper), t.LastStep, micros(t.CreatedAt))
}

// UseTOTP notes the step of a code; CodeNotFound if that or a later one was used before.
func (tx *Tx) UseTOTP(ctx context.Context, m postern.MemberID, step int64) error {
	return tx.execOne(ctx, "code", "update totps set last_step = $2 where member_id = $1 and last_step < $2", m, step)
}

// DeleteTOTP removes a member's authenticator app.
func (tx *Tx) DeleteTOTP(ctx context.Context, m postern.MemberID) error {
	return tx.execOne(ctx, "authenticator app", "delete from totps where member_id = $1", m)
}

// Passkey is a member's passkey. Body is the whole credential as its library encodes it.
type Passkey struct {
	ID        string // base64url of the credential's ID
	MemberID  postern.MemberID
	Name      string
	Body      string
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
}

const passkeyColumns = "id, member_id, name, body, created_at, used_at"

func scanPasskey(s scanner) (p Passkey, err error) {
	var created, used int64
	err = s.Scan(&p.ID, &p.MemberID, &p.Name, &p.Body, &created, &used)
	p.CreatedAt, p.UsedAt = fromMicros(created), fromMicros(used)
	return p, err
}

// Passkeys reads a member's passkeys, oldest first.
func (q *queries) Passkeys(ctx context.Context, m postern.MemberID) ([]Passkey, error) {
	rows, err := q.db.QueryContext(ctx, "select "+passkeyColumns+" from passkeys where member_id = $1 order by created_at, id", m)
	return collect(rows, err, scanPasskey)
}

// Passkey reads a passkey by the ID of its credential.
func (q *queries) Passkey(ctx context.Context, id string) (Passkey, error) {
	return one(q.db.QueryRowContext(ctx, "select "+passkeyColumns+" from passkeys where id = $1", id), scanPasskey, "passkey")
}

// InsertPasskey writes a new passkey.
func (tx *Tx) InsertPasskey(ctx context.Context, p *Passkey) error {
	_, err := tx.db.ExecContext(ctx, "insert into passkeys ("+passkeyColumns+") values ($1, $2, $3, $4, $5, $6)",
		p.ID, p.MemberID, p.Name, p.Body, micros(p.CreatedAt), micros(p.UsedAt))
	if IsUnique(err) {
		return postern.Errorf(postern.CodeConflict, "This passkey is registered already.")
	}
	if err != nil {
		return fmt.Errorf("store: insert passkey: %w", err)
	}
	return nil
}

// UsePasskey writes what a use changed of a passkey: its counter and flags.
func (tx *Tx) UsePasskey(ctx context.Context, id, body string, at time.Time) error {
	return tx.execOne(ctx, "passkey", "update passkeys set body = $2, used_at = $3 where id = $1", id, body, micros(at))
}

// RenamePasskey gives a member's passkey another name.
func (tx *Tx) RenamePasskey(ctx context.Context, m postern.MemberID, id, name string) error {
	return tx.execOne(ctx, "passkey", "update passkeys set name = $3 where id = $1 and member_id = $2", id, m, name)
}

// DeletePasskey removes a member's passkey.
func (tx *Tx) DeletePasskey(ctx context.Context, m postern.MemberID, id string) error {
	return tx.execOne(ctx, "passkey", "delete from passkeys where id = $1 and member_id = $2", id, m)
}

// PutRecoveryCodes replaces all of a member's recovery codes.
func (tx *Tx) PutRecoveryCodes(ctx context.Context, m postern.MemberID, codes []postern.SecretHash, at time.Time) error {
	if err := tx.exec(ctx, "delete recovery codes", "delete from recovery_codes where member_id = $1", m); err != nil {
		return err
	}
	for _, c := range codes {
		err := tx.exec(ctx, "insert recovery code", "insert into recovery_codes (member_id, hash, pepper, created_at, used_at) values ($1, $2, $3, $4, 0)",
			m, c.Hash[:], int64(c.Pepper), micros(at))
		if err != nil {
			return err
		}
	}
	return nil
}

// UseRecoveryCode uses a code up; CodeNotFound if the member has no such code left.
func (tx *Tx) UseRecoveryCode(ctx context.Context, m postern.MemberID, hash [32]byte, at time.Time) error {
	return tx.execOne(ctx, "recovery code", "update recovery_codes set used_at = $3 where member_id = $1 and hash = $2 and used_at = 0", m, hash[:], micros(at))
}

// RecoveryCodes tells how many recovery codes a member has left, and when they were made.
func (q *queries) RecoveryCodes(ctx context.Context, m postern.MemberID) (left int64, madeAt time.Time, err error) {
	var at int64
	err = q.db.QueryRowContext(ctx, `select coalesce(sum(case when used_at = 0 then 1 else 0 end), 0), coalesce(max(created_at), 0)
		from recovery_codes where member_id = $1`, m).Scan(&left, &at)
	if err != nil {
		return 0, madeAt, fmt.Errorf("store: read recovery codes: %w", err)
	}
	return left, fromMicros(at), nil
}

// Identity is a member as an OpenID provider knows them: by issuer and subject, never by address.
type Identity struct {
	Issuer    string
	Subject   string
	AccountID postern.AccountID
	MemberID  postern.MemberID
	CreatedAt time.Time
	UsedAt    time.Time
}

const identityColumns = "issuer, subject, account_id, member_id, created_at, used_at"

func scanIdentity(s scanner) (i Identity, err error) {
	var created, used int64
	err = s.Scan(&i.Issuer, &i.Subject, &i.AccountID, &i.MemberID, &created, &used)
	i.CreatedAt, i.UsedAt = fromMicros(created), fromMicros(used)
	return i, err
}

// Identity reads whom an issuer's subject is in an account.
func (q *queries) Identity(ctx context.Context, a postern.AccountID, issuer, subject string) (Identity, error) {
	return one(q.db.QueryRowContext(ctx, "select "+identityColumns+" from identities where account_id = $1 and issuer = $2 and subject = $3",
		a, issuer, subject), scanIdentity, "identity")
}

// Identities reads a member's identities, oldest first.
func (q *queries) Identities(ctx context.Context, m postern.MemberID) ([]Identity, error) {
	rows, err := q.db.QueryContext(ctx, "select "+identityColumns+" from identities where member_id = $1 order by created_at, issuer, subject", m)
	return collect(rows, err, scanIdentity)
}

// PutIdentity ties an issuer's subject to a member.
func (tx *Tx) PutIdentity(ctx context.Context, i *Identity) error {
	_, err := tx.db.ExecContext(ctx, "insert into identities ("+identityColumns+") values ($1, $2, $3, $4, $5, $6)",
		i.Issuer, i.Subject, i.AccountID, i.MemberID, micros(i.CreatedAt), micros(i.UsedAt))
	if IsUnique(err) {
		return postern.Errorf(postern.CodeConflict, "This sign-in belongs to another member of the account.")
	}
	if err != nil {
		return fmt.Errorf("store: insert identity: %w", err)
	}
	return nil
}

// UseIdentity notes when an identity was used.
func (tx *Tx) UseIdentity(ctx context.Context, i *Identity, at time.Time) error {
	return tx.execOne(ctx, "identity", "update identities set used_at = $4 where account_id = $1 and issuer = $2 and subject = $3",
		i.AccountID, i.Issuer, i.Subject, micros(at))
}

// DeleteIdentity unties an issuer's subject from a member.
func (tx *Tx) DeleteIdentity(ctx context.Context, m postern.MemberID, issuer, subject string) error {
	return tx.execOne(ctx, "identity", "delete from identities where member_id = $1 and issuer = $2 and subject = $3", m, issuer, subject)
}
