package signin

import (
	"context"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Factors are the ways in that a member has.
type Factors struct {
	Password   bool
	Long       bool      // the password is long enough to stand alone
	ChangedAt  time.Time // of the password
	TOTP       bool
	TOTPSince  time.Time
	Passkeys   []store.Passkey
	Identities []store.Identity
	Codes      int64 // recovery codes that are left
	CodesSince time.Time
}

// Second reports whether a password needs a second factor beside it.
func (f Factors) Second() bool { return f.TOTP || len(f.Passkeys) > 0 }

// Factors reads the ways in that a member has.
func (s *Service) Factors(ctx context.Context, m postern.MemberID) (Factors, error) {
	return readFactors(ctx, s.db, m)
}

type factorReader interface {
	Password(context.Context, postern.MemberID) (store.Password, error)
	TOTP(context.Context, postern.MemberID) (store.TOTP, error)
	Passkeys(context.Context, postern.MemberID) ([]store.Passkey, error)
	Identities(context.Context, postern.MemberID) ([]store.Identity, error)
	RecoveryCodes(context.Context, postern.MemberID) (int64, time.Time, error)
}

func readFactors(ctx context.Context, q factorReader, m postern.MemberID) (f Factors, err error) {
	p, err := q.Password(ctx, m)
	if err != nil {
		return f, err
	}
	f.Password, f.Long, f.ChangedAt = p.Hash != "", p.Length >= MinAlone, p.ChangedAt
	t, err := q.TOTP(ctx, m)
	if err != nil {
		return f, err
	}
	f.TOTP, f.TOTPSince = len(t.Secret) > 0 || t.Altered, t.CreatedAt
	if f.Passkeys, err = q.Passkeys(ctx, m); err != nil {
		return f, err
	}
	if f.Identities, err = q.Identities(ctx, m); err != nil {
		return f, err
	}
	f.Codes, f.CodesSince, err = q.RecoveryCodes(ctx, m)
	return f, err
}

// waysLeft is Factors with those identities alone that a provider of the server
// still brings to the account: the others let nobody in.
func (s *Service) waysLeft(ctx context.Context, tx *store.Tx, x *Session) (Factors, error) {
	f, err := readFactors(ctx, tx, x.MemberID)
	providers := s.ProvidersFor(&x.Account)
	f.Identities = slices.DeleteFunc(f.Identities, func(i store.Identity) bool {
		return i.Altered || !slices.ContainsFunc(providers, func(p Provider) bool { return p.Issuer == i.Issuer })
	})
	f.Passkeys = slices.DeleteFunc(f.Passkeys, func(k store.Passkey) bool { return k.Altered })
	return f, err
}

// mayLose checks that a member who gives up a second factor still has a way in that is strong enough.
func (f Factors) mayLose(totp, passkey int) error {
	passkeys, hasTOTP := len(f.Passkeys)-passkey, f.TOTP && totp == 0
	if passkeys > 0 || !f.Password && len(f.Identities) > 0 {
		return nil
	}
	switch {
	case !f.Password:
		return postern.Errorf(postern.CodeConflict, "This is your only way in. Add another passkey or set a password first.")
	case !hasTOTP && !f.Long:
		return postern.Errorf(postern.CodeConflict, "Without a second factor a password needs %d characters. Set a longer one first.", MinAlone)
	}
	return nil
}
