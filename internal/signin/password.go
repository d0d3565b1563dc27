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

// Answer is a step of signing in: either Signed, or a Flow that waits for one of the Factors.
type Answer struct {
	Signed  *Signed
	Flow    string
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
	email := strings.ToLower(strings.TrimSpace(try.Email))
	if len(email) > 254 || utf8.RuneCountInString(try.Password) > maxPassword || !utf8.ValidString(email) || strings.ContainsRune(email, 0) {
		return out, ErrWrong
	}
	found, err := s.db.MembersByEmail(ctx, email)
	if err != nil {
		return out, err
	}
	var waits error
	tried := false
	for i := range found {
		m := &found[i]
		if m.Altered {
			continue
		}
		if a, err := s.db.Account(ctx, m.AccountID); err != nil || try.Account != 0 && a.Number != try.Account {
			continue
		}
		tried = true
		out, err := s.passwordOf(ctx, m, try)
		if err == nil {
			return out, nil
		}
		if postern.CodeOf(err) != postern.CodeUnauthenticated {
			waits = err
		}
	}
	if tried {
		if waits != nil {
			return out, waits
		}
		return out, ErrWrong
	}
	if err := s.strangers.attempt(email, s.now()); err != nil {
		return out, err
	}
	if _, _, err := s.hasher.Matches(ctx, "", normal(try.Password)); err != nil {
		return out, err
	}
	return out, ErrWrong
}

func (s *Service) passwordOf(ctx context.Context, m *postern.Member, try Try) (out Answer, err error) {
	device, err := s.attempt(ctx, m.ID, try.Device)
	if err != nil {
		return out, err
	}
	p, err := s.db.Password(ctx, m.ID)
	if err != nil {
		return out, err
	}
	ok, weak, err := s.hasher.Matches(ctx, p.Hash, normal(try.Password))
	if err != nil {
		return out, err
	}
	if !ok {
		if err := s.failed(ctx, m, "password", "wrong password", try.From); err != nil {
			return out, err
		}
		return out, ErrWrong
	}
	if weak {
		if err := s.rehash(ctx, m.ID, p.Hash, try.Password); err != nil {
			s.cfg.Log.WarnContext(ctx, "could not make a password's hash stronger", "err", err)
		}
	}
	if out.Factors, err = s.Factors(ctx, m.ID); err != nil {
		return out, err
	}
	out.Name = m.Name
	if out.Factors.Second() {
		if err := s.uncount(ctx, m.ID, device); err != nil {
			return out, err
		}
		f := s.newFlow()
		f.MemberID = m.ID
		out.Flow, err = s.sealFlow("second", f)
		return out, err
	}
	signed, err := s.comeIn(ctx, m, "password", device, try.From, nil)
	out.Signed = signed
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
		if err := tx.DeleteGuard(ctx, m.ID, device, false); err != nil {
			return err
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
		n, err := tx.EndSessions(ctx, x.MemberID, x.ID)
		if err != nil {
			return err
		}
		if err := s.audit(ctx, tx, from, "password.set", &x.Member, after(map[string]any{"sessionsEnded": n})); err != nil {
			return err
		}
		out, err = s.renew(ctx, tx, x, "password", from)
		return err
	})
	return out, err
}

// RemovePassword takes a member's password away, where they have a passkey or single sign-on instead.
func (s *Service) RemovePassword(ctx context.Context, x *Session, from postern.Actor) error {
	return s.change(ctx, func(tx *store.Tx) error {
		f, err := readFactors(ctx, tx, x.MemberID)
		if err != nil {
			return err
		}
		if len(f.Passkeys) == 0 && len(f.Identities) == 0 {
			return postern.Errorf(postern.CodeConflict, "Your password is your only way in. Add a passkey first.")
		}
		if err := tx.DeletePassword(ctx, x.MemberID); err != nil {
			return err
		}
		return s.audit(ctx, tx, from, "password.remove", &x.Member)
	})
}

func localPart(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}
