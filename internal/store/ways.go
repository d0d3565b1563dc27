package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"postern.dev/postern"
)

// WaysIn are a member's ways in, by what tells one from another and gives nothing.
type WaysIn struct {
	Password   time.Time // when it was set
	TOTP       time.Time
	Passkeys   []string
	Identities []IdentityMark
	Codes      string // a digest of the recovery codes that are left; empty where there are none
}

// IdentityMark is an identity at a provider, and the digest that it is known by.
type IdentityMark struct {
	Digest, Issuer, Subject string
}

// WaysIn reads a member's ways in.
func (q *queries) WaysIn(ctx context.Context, m postern.MemberID) (w WaysIn, err error) {
	var set, made int64
	err = q.db.QueryRowContext(ctx, `select coalesce((select changed_at from passwords where member_id = $1), 0),
		coalesce((select created_at from totps where member_id = $1), 0)`, m).Scan(&set, &made)
	if err != nil {
		return w, fmt.Errorf("store: read ways in: %w", err)
	}
	w.Password, w.TOTP = fromMicros(set), fromMicros(made)
	rows, err := q.db.QueryContext(ctx, "select id from passkeys where member_id = $1 order by id", m)
	if w.Passkeys, err = collect(rows, err, func(s scanner) (id string, err error) { return id, s.Scan(&id) }); err != nil {
		return w, err
	}
	rows, err = q.db.QueryContext(ctx, "select issuer, subject from identities where member_id = $1 order by issuer, subject", m)
	w.Identities, err = collect(rows, err, func(s scanner) (i IdentityMark, err error) {
		err = s.Scan(&i.Issuer, &i.Subject)
		sum := sha256.Sum256([]byte(fmt.Sprintf("%d %s%s", len(i.Issuer), i.Issuer, i.Subject)))
		i.Digest = hex.EncodeToString(sum[:12])
		return i, err
	})
	if err != nil {
		return w, err
	}
	rows, err = q.db.QueryContext(ctx, "select hash from recovery_codes where member_id = $1 and used_at = 0 order by hash", m)
	codes, err := collect(rows, err, func(s scanner) (h []byte, err error) { return h, s.Scan(&h) })
	if err != nil || len(codes) == 0 {
		return w, err
	}
	all := sha256.New()
	for _, h := range codes {
		all.Write(h)
	}
	w.Codes = hex.EncodeToString(all.Sum(nil)[:12])
	return w, nil
}

// DropRecoveryCodes removes all of a member's recovery codes.
func (tx *Tx) DropRecoveryCodes(ctx context.Context, m postern.MemberID) error {
	return tx.exec(ctx, "delete recovery codes", "delete from recovery_codes where member_id = $1", m)
}
