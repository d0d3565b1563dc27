package store

import (
	"context"
	"crypto/sha256"
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
	Altered   bool // changed by other means than Postern: no code of it is right, and one is asked for still
}

// TOTP reads a member's authenticator app; the zero TOTP where they have none.
func (q *queries) TOTP(ctx context.Context, m postern.MemberID) (t TOTP, err error) {
	var pepper, at int64
	var k mark
	err = q.db.QueryRowContext(ctx, "select secret, pepper, last_step, created_at, mac, mac_pepper from totps where member_id = $1", m).
		Scan(append([]any{&t.Secret, &pepper, &t.LastStep, &at}, k.targets()...)...)
	if err == sql.ErrNoRows {
		return TOTP{}, nil
	}
	if err != nil {
		return t, fmt.Errorf("store: read TOTP: %w", err)
	}
	t.Altered = q.seals.broken(totpsTable, []any{m, t.Secret, pepper, t.LastStep, at}, k)
	t.Pepper, t.CreatedAt = uint8(pepper), fromMicros(at)
	return t, nil
}

// PutTOTP writes a member's authenticator app; the one before it is gone.
func (tx *Tx) PutTOTP(ctx context.Context, m postern.MemberID, t TOTP) error {
	return tx.exec(ctx, "put TOTP", totpsTable.put(), tx.seals.seal(totpsTable, []any{m, t.Secret, int64(t.Pepper), t.LastStep, micros(t.CreatedAt)})...)
}

// UseTOTP notes the step of a code; CodeNotFound if that or a later one was used before.
func (tx *Tx) UseTOTP(ctx context.Context, m postern.MemberID, step int64) error {
	t, err := tx.TOTP(ctx, m)
	if err != nil {
		return err
	}
	if t.Altered || len(t.Secret) == 0 || t.LastStep >= step {
		return postern.Errorf(postern.CodeNotFound, "There is no such code.")
	}
	t.LastStep = step
	return tx.PutTOTP(ctx, m, t)
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
	Altered   bool      // changed by other means than Postern: it lets nobody in
}

func (p *Passkey) values() []any {
	return []any{p.ID, p.MemberID, p.Name, p.Body, micros(p.CreatedAt), micros(p.UsedAt)}
}

func (q *queries) scanPasskey(s scanner) (p Passkey, err error) {
	var created, used int64
	var m mark
	if err = s.Scan(append([]any{&p.ID, &p.MemberID, &p.Name, &p.Body, &created, &used}, m.targets()...)...); err != nil {
		return p, err
	}
	p.Altered = q.seals.broken(passkeysTable, []any{p.ID, p.MemberID, p.Name, p.Body, created, used}, m)
	p.CreatedAt, p.UsedAt = fromMicros(created), fromMicros(used)
	return p, nil
}

// updatePasskey changes a passkey; an altered one isn't there.
func (tx *Tx) updatePasskey(ctx context.Context, id string, change func(p *Passkey)) error {
	p, err := tx.Passkey(ctx, id)
	if err != nil {
		return err
	}
	if p.Altered {
		return postern.Errorf(postern.CodeNotFound, "There is no such passkey.")
	}
	change(&p)
	return tx.execOne(ctx, "passkey", passkeysTable.update(), tx.seals.seal(passkeysTable, p.values())...)
}

// Passkeys reads a member's passkeys, oldest first.
func (q *queries) Passkeys(ctx context.Context, m postern.MemberID) ([]Passkey, error) {
	rows, err := q.db.QueryContext(ctx, "select "+passkeysTable.list("")+" from passkeys where member_id = $1 order by created_at, id", m)
	return collect(rows, err, q.scanPasskey)
}

// Passkey reads a passkey by the ID of its credential.
func (q *queries) Passkey(ctx context.Context, id string) (Passkey, error) {
	return one(q.db.QueryRowContext(ctx, "select "+passkeysTable.list("")+" from passkeys where id = $1", id), q.scanPasskey, "passkey")
}

// InsertPasskey writes a new passkey.
func (tx *Tx) InsertPasskey(ctx context.Context, p *Passkey) error {
	_, err := tx.db.ExecContext(ctx, passkeysTable.insert(), tx.seals.seal(passkeysTable, p.values())...)
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
	return tx.updatePasskey(ctx, id, func(p *Passkey) { p.Body, p.UsedAt = body, at })
}

// RenamePasskey gives a member's passkey another name.
func (tx *Tx) RenamePasskey(ctx context.Context, m postern.MemberID, id, name string) error {
	p, err := tx.Passkey(ctx, id)
	if err != nil || p.MemberID != m {
		return postern.Errorf(postern.CodeNotFound, "There is no such passkey.")
	}
	return tx.updatePasskey(ctx, id, func(p *Passkey) { p.Name = name })
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
// What is left of it is the hash of its hash, so that it isn't made good by
// writing that it was not used.
func (tx *Tx) UseRecoveryCode(ctx context.Context, m postern.MemberID, hash [32]byte, at time.Time) error {
	spent := sha256.Sum256(hash[:])
	return tx.execOne(ctx, "recovery code", "update recovery_codes set used_at = $3, hash = $4 where member_id = $1 and hash = $2 and used_at = 0",
		m, hash[:], micros(at), spent[:])
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
	Altered   bool // changed by other means than Postern: it is nobody
}

func (i *Identity) values() []any {
	return []any{i.AccountID, i.Issuer, i.Subject, i.MemberID, micros(i.CreatedAt), micros(i.UsedAt)}
}

func (q *queries) scanIdentity(s scanner) (i Identity, err error) {
	var created, used int64
	var m mark
	if err = s.Scan(append([]any{&i.AccountID, &i.Issuer, &i.Subject, &i.MemberID, &created, &used}, m.targets()...)...); err != nil {
		return i, err
	}
	i.Altered = q.seals.broken(identitiesTable, []any{i.AccountID, i.Issuer, i.Subject, i.MemberID, created, used}, m)
	i.CreatedAt, i.UsedAt = fromMicros(created), fromMicros(used)
	return i, nil
}

// Identity reads whom an issuer's subject is in an account.
func (q *queries) Identity(ctx context.Context, a postern.AccountID, issuer, subject string) (Identity, error) {
	return one(q.db.QueryRowContext(ctx, "select "+identitiesTable.list("")+" from identities where account_id = $1 and issuer = $2 and subject = $3",
		a, issuer, subject), q.scanIdentity, "identity")
}

// Identities reads a member's identities, oldest first.
func (q *queries) Identities(ctx context.Context, m postern.MemberID) ([]Identity, error) {
	rows, err := q.db.QueryContext(ctx, "select "+identitiesTable.list("")+" from identities where member_id = $1 order by created_at, issuer, subject", m)
	return collect(rows, err, q.scanIdentity)
}

// PutIdentity ties an issuer's subject to a member.
func (tx *Tx) PutIdentity(ctx context.Context, i *Identity) error {
	_, err := tx.db.ExecContext(ctx, identitiesTable.insert(), tx.seals.seal(identitiesTable, i.values())...)
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
	had, err := tx.Identity(ctx, i.AccountID, i.Issuer, i.Subject)
	if err != nil {
		return err
	}
	if had.Altered {
		return postern.Errorf(postern.CodeNotFound, "There is no such identity.")
	}
	had.UsedAt = at
	return tx.execOne(ctx, "identity", identitiesTable.update(), tx.seals.seal(identitiesTable, had.values())...)
}

// DeleteIdentity unties an issuer's subject from a member.
func (tx *Tx) DeleteIdentity(ctx context.Context, m postern.MemberID, issuer, subject string) error {
	return tx.execOne(ctx, "identity", "delete from identities where member_id = $1 and issuer = $2 and subject = $3", m, issuer, subject)
}
