package signin

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Second describes a sign-in that waits for a second factor.
func (s *Service) Second(ctx context.Context, flow string) (out Answer, err error) {
	f, err := s.openFlow("second", flow)
	if err != nil || f.MemberID == "" {
		return out, errFlow
	}
	m, _, err := s.live(ctx, f.MemberID)
	if err != nil {
		return out, errFlow
	}
	out.Name, out.Flow = m.Name, flow
	out.Factors, err = s.Factors(ctx, f.MemberID)
	return out, err
}

// Code completes a sign-in with a code of the authenticator app or a recovery
// code: six digits are the one, all else the other.
func (s *Service) Code(ctx context.Context, flow, code, mark string, from postern.Actor) (out *Signed, err error) {
	start := time.Now()
	defer func() {
		if err != nil {
			s.pad(ctx, start)
		}
	}()
	f, err := s.openFlow("second", flow)
	if err != nil || f.MemberID == "" {
		return nil, errFlow
	}
	m, _, err := s.live(ctx, f.MemberID)
	if err != nil {
		return nil, errFlow
	}
	device, err := s.attempt(ctx, m.ID, mark)
	if err != nil {
		return nil, err
	}
	method, use := s.codeKind(code)
	out, err = s.comeIn(ctx, &m, "password+"+method, device, from, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		if err := s.unchanged(ctx, tx, m.ID, f); err != nil {
			return err
		}
		return use(ctx, tx, m.ID, code)
	})
	if postern.CodeOf(err) == postern.CodeInvalid {
		if err := s.failed(ctx, &m, "password+"+method, "wrong code", from); err != nil {
			return nil, err
		}
	}
	return out, err
}

type useCode func(context.Context, *store.Tx, postern.MemberID, string) error

func (s *Service) codeKind(code string) (method string, use useCode) {
	if len(plainCode(code)) > 6 {
		return "recovery", s.useCode
	}
	return "totp", s.useTOTP
}

// Proof is how a member who is in proves again who they are.
type Proof struct {
	Password string
	Code     string
	Device   string
}

// Confirm takes a proof from a member who is in. Who has a password gives it; who
// has none but an authenticator app gives a code. The session gets a new text.
func (s *Service) Confirm(ctx context.Context, x *Session, p Proof, from postern.Actor) (out Signed, err error) {
	device, err := s.attempt(ctx, x.MemberID, p.Device)
	if err != nil {
		return out, err
	}
	method, check := "password", func(tx *store.Tx) error { return nil }
	if p.Password == "" {
		kind, use := s.codeKind(p.Code)
		method, check = kind, func(tx *store.Tx) error { return use(ctx, tx, x.MemberID, p.Code) }
	} else if err := s.confirmPassword(ctx, x, p.Password, from); err != nil {
		return out, err
	}
	err = s.change(ctx, func(tx *store.Tx) (err error) {
		if err := check(tx); err != nil {
			return err
		}
		if err := tx.DeleteGuard(ctx, x.MemberID, device, false); err != nil {
			return err
		}
		out, err = s.renew(ctx, tx, x, method, from)
		return err
	})
	if postern.CodeOf(err) == postern.CodeInvalid {
		if err := s.failed(ctx, &x.Member, method, "wrong code when confirming", from); err != nil {
			return out, err
		}
	}
	return out, err
}

func (s *Service) confirmPassword(ctx context.Context, x *Session, password string, from postern.Actor) error {
	stored, err := s.db.Password(ctx, x.MemberID)
	if err != nil {
		return err
	}
	ok, _, err := s.hasher.Matches(ctx, stored.Hash, normal(password))
	if err != nil || ok {
		return err
	}
	if err := s.failed(ctx, &x.Member, "password", "wrong password when confirming", from); err != nil {
		return err
	}
	return postern.Invalidf("password", "This password is wrong.")
}
