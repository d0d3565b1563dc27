package signin

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// answerAfter is when a refusal is answered: later than it takes to find out, so
// that the time tells nothing of whether there is such a member.
const answerAfter = 400 * time.Millisecond

// ErrWrong is the one answer to every wrong password, and to every address that is no member's.
var ErrWrong = postern.Errorf(postern.CodeUnauthenticated, "The address or the password is wrong.")

// Try is someone's try to sign in with a password.
type Try struct {
	Email    string
	Password string
	Account  int64  // the account's number, where the address is a member of several; 0: any
	Device   string // the mark that an earlier sign-in left
	From     postern.Actor
}

// Answer is a step of signing in: either Signed, or a Flow that waits for one of the
// Choices, or else for one of the Factors.
type Answer struct {
	Signed  *Signed
	Flow    string
	Choices []Choice
	Factors Factors
	Name    string // of who is about to come in
}

// Password signs in with a password, as far as it goes.
func (s *Service) Password(ctx context.Context, try Try) (out Answer, err error) {
	start := time.Now()
	defer func() {
		if err != nil {
			s.pad(ctx, start)
		}
	}()
	try.Email = strings.ToLower(strings.TrimSpace(try.Email))
	if len(try.Email) > 254 || utf8.RuneCountInString(try.Password) > maxPassword || !utf8.ValidString(try.Email) || strings.ContainsRune(try.Email, 0) {
		return out, ErrWrong
	}
	all, err := s.candidates(ctx, try)
	if err != nil {
		return out, err
	}
	if len(all) == 0 {
		if err := s.strangers.attempt(try.Email, s.now()); err != nil {
			return out, err
		}
		if err := s.hashOn(ctx, try, 0); err != nil {
			return out, err
		}
		return out, ErrWrong
	}
	if err := s.hold(ctx, all, try); err != nil {
		return out, err
	}
	right, err := s.right(ctx, all)
	if err != nil {
		return out, err
	}
	switch len(right) {
	case 0:
		return out, s.none(ctx, all, try.From)
	case 1:
		out, err = s.passwordRight(ctx, right[0].member, right[0].device, try.From, nil)
		if err == nil && out.Flow != "" {
			err = s.uncount(ctx, right[0].member.ID, right[0].device)
		}
		return out, err
	}
	return s.askWhich(ctx, right)
}

// passwordRight goes on with a member whose password was right: to the second
// factor, or in. Also is part of the transaction that begins the session.
func (s *Service) passwordRight(ctx context.Context, m *postern.Member, device string, from postern.Actor, also func(tx *store.Tx) error) (out Answer, err error) {
	if out.Factors, err = s.Factors(ctx, m.ID); err != nil {
		return out, err
	}
	out.Name = m.Name
	if out.Factors.Second() {
		f := s.newFlow()
		f.MemberID = m.ID
		out.Flow, err = s.sealFlow("second", f)
		return out, err
	}
	out.Signed, err = s.comeIn(ctx, m, "password", device, from, also)
	return out, err
}

// comeIn begins a session and forgets the failures before it, in one transaction with also.
func (s *Service) comeIn(ctx context.Context, m *postern.Member, method, device string, from postern.Actor, also func(tx *store.Tx) error) (*Signed, error) {
	var out Signed
	err := s.change(ctx, func(tx *store.Tx) (err error) {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		for _, d := range []string{device, besideDevice} {
			if err := tx.DeleteGuard(ctx, m.ID, d, false); err != nil {
				return err
			}
		}
		out, err = s.begin(ctx, tx, m, method, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// pad waits until a refusal may be answered.
func (s *Service) pad(ctx context.Context, start time.Time) {
	t := time.NewTimer(time.Until(start.Add(s.answerAfter)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Service) rehash(ctx context.Context, m postern.MemberID, old, password string) error {
	hash, err := s.hasher.Hash(ctx, normal(password))
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error { return tx.RehashPassword(ctx, m, old, hash) })
}

// newPassword checks and hashes a password that someone chose.
func (s *Service) newPassword(ctx context.Context, password string, withFactor bool, about ...string) (store.Password, error) {
	if err := CheckPassword(password, withFactor, about...); err != nil {
		return store.Password{}, err
	}
	hash, err := s.hasher.Hash(ctx, normal(password))
	return store.Password{Hash: hash, Length: int64(utf8.RuneCountInString(normal(password))), ChangedAt: s.now()}, err
}

// SetPassword gives a member a new password and ends their other sessions. The
// session itself gets a new text.
func (s *Service) SetPassword(ctx context.Context, x *Session, password string, from postern.Actor) (out Signed, err error) {
	f, err := s.Factors(ctx, x.MemberID)
	if err != nil {
		return out, err
	}
	p, err := s.newPassword(ctx, password, f.Second(), x.Member.Name, localPart(x.Member.Email), x.Account.Name)
	if err != nil {
		return out, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		if err := tx.PutPassword(ctx, x.MemberID, p); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "password.set", from)
		return err
	})
	return out, err
}

// RemovePassword takes a member's password away, where they have a passkey or single sign-on instead.
func (s *Service) RemovePassword(ctx context.Context, x *Session, from postern.Actor) (out Signed, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		f, err := s.waysLeft(ctx, tx, x)
		if err != nil {
			return err
		}
		if len(f.Passkeys) == 0 && len(f.Identities) == 0 {
			return postern.Errorf(postern.CodeConflict, "Your password is your only way in. Add a passkey first.")
		}
		if err := tx.DeletePassword(ctx, x.MemberID); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "password.remove", from)
		return err
	})
	return out, err
}

func localPart(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}
