package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// LinkKept is how long a sign-in link can be used.
const LinkKept = 15 * time.Minute

const purposeLink = "signin"

var errLink = postern.Errorf(postern.CodeUnauthenticated, "This link is not valid: it was used, has expired, or was replaced by a newer one. Ask for a new one.")

// Link makes the secret of a link that signs a member in once. Whoever asks for
// it must hold the server's own command line; no page gives one away.
func (s *Service) Link(ctx context.Context, by postern.Actor, id postern.MemberID) (secret postern.Secret, until time.Time, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		m, err := tx.Member(ctx, id)
		if err != nil {
			return err
		}
		if m.Altered {
			return errAltered
		}
		if err := tx.VoidSingleUse(ctx, purposeLink, m.ID, s.now()); err != nil {
			return err
		}
		key := postern.NewKeyID()
		secret = postern.NewSecret(s.cfg.Brand, postern.SecretInvite, key)
		hash, pepper := s.cfg.Pepper.Hash(secret)
		u := store.SingleUse{ID: key, Purpose: purposeLink, AccountID: m.AccountID, MemberID: m.ID,
			Hash: postern.SecretHash{Hash: hash, Pepper: pepper}, CreatedAt: s.now(), ExpiresAt: s.now().Add(LinkKept)}
		until = u.ExpiresAt
		if err := tx.InsertSingleUse(ctx, &u); err != nil {
			return err
		}
		e := by.Entry(s.now(), "signin.link", string(m.ID))
		e.AccountID, e.Actor.AccountID, e.Name = m.AccountID, m.AccountID, m.Email
		return tx.InsertAudit(ctx, e)
	})
	return secret, until, err
}

// LinkFor tells whom a link signs in, as long as it can be used.
func (s *Service) LinkFor(ctx context.Context, link string) (postern.Member, postern.Account, error) {
	_, m, a, err := s.findLink(ctx, s.db, link)
	return m, a, err
}

type linkReader interface {
	memberReader
	SingleUse(context.Context, postern.KeyID) (store.SingleUse, error)
}

func (s *Service) findLink(ctx context.Context, q linkReader, link string) (u store.SingleUse, m postern.Member, a postern.Account, err error) {
	p, err := postern.ParseSecret(s.cfg.Brand, link)
	if err != nil || p.Type != postern.SecretInvite {
		return u, m, a, errLink
	}
	if u, err = q.SingleUse(ctx, p.KeyID()); err != nil && !errors.Is(err, postern.CodeNotFound) {
		return u, m, a, err
	}
	hash, ok := s.cfg.Pepper.HashUnder(max(u.Hash.Pepper, 1), postern.SecretOf(link))
	same := subtle.ConstantTimeCompare(hash[:], u.Hash.Hash[:]) == 1
	if err != nil || !ok || !same || u.Purpose != purposeLink || u.Altered || !u.UsedAt.IsZero() || !s.now().Before(u.ExpiresAt) {
		return u, m, a, errLink
	}
	if m, a, err = live(ctx, q, u.MemberID); err != nil {
		return u, m, a, errLink
	}
	return u, m, a, nil
}

// UseLink signs in with a link, and uses it up.
func (s *Service) UseLink(ctx context.Context, link string, from postern.Actor) (*Signed, error) {
	_, m, _, err := s.findLink(ctx, s.db, link)
	if err != nil {
		return nil, err
	}
	return s.comeIn(ctx, &m, "link", "", from, func(tx *store.Tx) error {
		u, _, _, err := s.findLink(ctx, tx, link)
		if err != nil {
			return err
		}
		return tx.UseUp(ctx, u.ID, s.now())
	})
}

// Setup sets the server up with a set-up link, and signs its super admin in.
func (s *Service) Setup(ctx context.Context, link string, in keyring.SetupInput, password string, from postern.Actor) (*Signed, error) {
	if err := s.cfg.Keyring.CheckLink(ctx, link, postern.SecretSetup); err != nil {
		return nil, err
	}
	p, err := s.newPassword(ctx, password, false, in.Name, localPart(in.Email), in.AccountName)
	if err != nil {
		return nil, err
	}
	var out Signed
	in.With = func(ctx context.Context, tx *store.Tx, m *postern.Member) (err error) {
		if err := tx.PutPassword(ctx, m.ID, p); err != nil {
			return err
		}
		out, err = s.begin(ctx, tx, m, "setup", from)
		return err
	}
	if _, err := s.cfg.Keyring.UseSetupLink(ctx, link, from, in); err != nil {
		return nil, err
	}
	return &out, nil
}

// Join accepts an invitation with a password and signs its member in. Whatever
// ways in they had before are gone: an invitation is also how someone starts anew
// who lost them.
func (s *Service) Join(ctx context.Context, link, password string, from postern.Actor) (*Signed, error) {
	m, a, err := s.cfg.Keyring.Invitation(ctx, link)
	if err != nil {
		return nil, err
	}
	p, err := s.newPassword(ctx, password, false, m.Name, localPart(m.Email), a.Name)
	if err != nil {
		return nil, err
	}
	return s.join(ctx, link, from, "invitation", func(ctx context.Context, tx *store.Tx, m *postern.Member) error {
		return tx.PutPassword(ctx, m.ID, p)
	})
}

func (s *Service) join(ctx context.Context, link string, from postern.Actor, method string, give keyring.With) (*Signed, error) {
	var out Signed
	_, err := s.cfg.Keyring.AcceptInvitationWith(ctx, link, from, func(ctx context.Context, tx *store.Tx, m *postern.Member) (err error) {
		if err := s.startAnew(ctx, tx, m); err != nil {
			return err
		}
		if err := give(ctx, tx, m); err != nil {
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

// startAnew removes every way in that a member had.
func (s *Service) startAnew(ctx context.Context, tx *store.Tx, m *postern.Member) error {
	f, err := readFactors(ctx, tx, m.ID)
	if err != nil {
		return err
	}
	if f.TOTP {
		if err := tx.DeleteTOTP(ctx, m.ID); err != nil {
			return err
		}
	}
	for _, p := range f.Passkeys {
		if err := tx.DeletePasskey(ctx, m.ID, p.ID); err != nil {
			return err
		}
	}
	for _, i := range f.Identities {
		if err := tx.DeleteIdentity(ctx, m.ID, i.Issuer, i.Subject); err != nil {
			return err
		}
	}
	if err := tx.PutRecoveryCodes(ctx, m.ID, nil, s.now()); err != nil {
		return err
	}
	if err := tx.DeletePassword(ctx, m.ID); err != nil {
		return err
	}
	if err := tx.DeleteGuard(ctx, m.ID, "", true); err != nil {
		return err
	}
	_, err = tx.EndSessions(ctx, m.ID, "")
	return err
}
