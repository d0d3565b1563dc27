package keyring

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// SetupKept is how long a set-up link can be used.
const SetupKept = time.Hour

const (
	purposeSetup  = "setup"
	purposeInvite = "invite"
)

// SetupInput is the first account of a server and its super admin.
type SetupInput struct {
	AccountName string
	TimeZone    string // IANA name; empty is UTC
	Email       string
	Name        string
	// With, where not nil, gives the super admin a way in, in the same transaction,
	// instead of a personal access key.
	With With
}

// With is what else a change does for a member, in its own transaction.
type With func(ctx context.Context, tx *store.Tx, m *postern.Member) error

// SetupDone is what set-up made.
type SetupDone struct {
	Account postern.Account
	Member  postern.Member
	Secret  postern.Secret // the super admin's personal access key, shown once; zero where they got another way in
}

// NeedsSetup reports whether the server has no account yet.
func (kr *Keyring) NeedsSetup(ctx context.Context) (bool, error) {
	all, err := kr.db.Accounts(ctx)
	return len(all) == 0, err
}

// Setup makes the first account, which operates the server, and its super admin.
func (kr *Keyring) Setup(ctx context.Context, in SetupInput) (out SetupDone, err error) {
	by := postern.Actor{System: "setup"}
	_, err = kr.change(ctx, by, "setup", "", func(c *change) error {
		out, err = c.setup(in)
		return err
	})
	return out, err
}

func (c *change) setup(in SetupInput) (out SetupDone, err error) {
	all, err := c.Accounts(c.ctx)
	if err != nil {
		return out, err
	}
	if len(all) > 0 {
		return out, postern.Errorf(postern.CodeConflict, "This server is set up already. Ask its super admin for an invitation.")
	}
	if out.Account, err = c.account(NewAccount{Name: in.AccountName, TimeZone: in.TimeZone}, true); err != nil {
		return out, err
	}
	c.by.AccountID = out.Account.ID
	if out.Member, err = c.superAdmin(out.Account.ID, in.Email, in.Name); err != nil {
		return out, err
	}
	out.Secret, err = c.wayIn(&out.Member, "set-up", in.With)
	return out, err
}

// wayIn gives a member a personal access key, or what with gives them.
func (c *change) wayIn(m *postern.Member, name string, with With) (postern.Secret, error) {
	if with != nil {
		return postern.Secret{}, with(c.ctx, c.Tx, m)
	}
	made, err := c.personalKey(m, NewPersonalKey{Name: name})
	return made.Secret, err
}

func (c *change) superAdmin(a postern.AccountID, email, name string) (m postern.Member, err error) {
	if email, err = checkEmail(email); err != nil {
		return m, err
	}
	if name, err = text("name", name, postern.MaxNameLen, true); err != nil {
		return m, err
	}
	role, _ := postern.BuiltinRole(postern.RoleSuperAdmin)
	m = postern.Member{ID: postern.MemberID(postern.NewID("mem")), AccountID: a, Email: email, Name: name, Role: role, CreatedAt: c.now}
	if err := c.InsertMember(c.ctx, &m); err != nil {
		return m, err
	}
	if err := c.feed(postern.ChangeMember, a, string(m.ID)); err != nil {
		return m, err
	}
	return m, c.audit("member.create", string(m.ID), m.Email, diff(nil, memberFacts(&m)))
}

// SetupLink makes the secret of a single-use set-up link; the one before it is void.
func (kr *Keyring) SetupLink(ctx context.Context) (secret postern.Secret, until time.Time, err error) {
	_, err = kr.change(ctx, postern.Actor{System: "setup"}, "setup.link", "", func(c *change) error {
		if err := c.VoidSingleUse(c.ctx, purposeSetup, "", c.now); err != nil {
			return err
		}
		secret, until, err = c.singleUse(postern.SecretSetup, purposeSetup, "", "", SetupKept)
		return err
	})
	return secret, until, err
}

// UseSetupLink sets the server up with the secret of a set-up link.
func (kr *Keyring) UseSetupLink(ctx context.Context, link string, from postern.Actor, in SetupInput) (out SetupDone, err error) {
	by := postern.Actor{System: "setup", IP: from.IP, UserAgent: from.UserAgent, RequestID: from.RequestID}
	_, err = kr.change(ctx, by, "setup", "", func(c *change) error {
		if _, err := c.useUp(link, postern.SecretSetup, purposeSetup); err != nil {
			return err
		}
		out, err = c.setup(in)
		return err
	})
	return out, err
}

// CheckLink reports whether a set-up link or an invitation can still be used.
func (kr *Keyring) CheckLink(ctx context.Context, link string, typ postern.SecretType) error {
	purpose := purposeSetup
	if typ == postern.SecretInvite {
		purpose = purposeInvite
	}
	_, err := kr.findLink(ctx, kr.db, link, typ, purpose)
	return err
}

// AcceptInvitation uses an invitation up and gives its member a personal access key.
func (kr *Keyring) AcceptInvitation(ctx context.Context, link string, from postern.Actor) (out SetupDone, err error) {
	return kr.AcceptInvitationWith(ctx, link, from, nil)
}

// Invitation tells whom an invitation is for, as long as it can be used.
func (kr *Keyring) Invitation(ctx context.Context, link string) (m postern.Member, a postern.Account, err error) {
	u, err := kr.findLink(ctx, kr.db, link, postern.SecretInvite, purposeInvite)
	if err != nil {
		return m, a, err
	}
	if m, err = kr.db.MemberOf(ctx, u.AccountID, u.MemberID); err != nil || !m.RemovedAt.IsZero() || m.Altered {
		return m, a, errLink
	}
	a, err = kr.db.Account(ctx, m.AccountID)
	return m, a, err
}

// AcceptInvitationWith uses an invitation up and gives its member what with gives
// them; where it is nil, a personal access key.
func (kr *Keyring) AcceptInvitationWith(ctx context.Context, link string, from postern.Actor, with With) (out SetupDone, err error) {
	_, err = kr.change(ctx, postern.Actor{IP: from.IP, UserAgent: from.UserAgent, RequestID: from.RequestID}, "member.join", "", func(c *change) error {
		use, err := c.useUp(link, postern.SecretInvite, purposeInvite)
		if err != nil {
			return err
		}
		m, err := c.liveMember(use.AccountID, use.MemberID)
		if err != nil {
			return errLink
		}
		if out.Account, err = c.Account(c.ctx, m.AccountID); err != nil {
			return err
		}
		c.by.AccountID, c.by.MemberID = m.AccountID, m.ID
		if out.Secret, err = c.wayIn(m, "invitation", with); err != nil {
			return err
		}
		out.Member = *m
		return c.audit("member.join", string(m.ID), m.Email)
	})
	return out, err
}

// errLink is the one answer to every link that can't be used: whoever guesses learns nothing from it.
var errLink = postern.Errorf(postern.CodeUnauthenticated, "This link is not valid: it was used, has expired, or was replaced by a newer one. Ask for a new one.")

func (c *change) singleUse(typ postern.SecretType, purpose string, a postern.AccountID, m postern.MemberID, kept time.Duration) (postern.Secret, time.Time, error) {
	id := postern.NewKeyID()
	secret := postern.NewSecret(c.kr.cfg.Brand, typ, id)
	hash, pepper := c.kr.cfg.Pepper.Hash(secret)
	u := store.SingleUse{ID: id, Purpose: purpose, AccountID: a, MemberID: m, Hash: postern.SecretHash{Hash: hash, Pepper: pepper},
		CreatedAt: c.now, ExpiresAt: c.now.Add(kept)}
	return secret, u.ExpiresAt, c.InsertSingleUse(c.ctx, &u)
}

type linkReader interface {
	SingleUse(context.Context, postern.KeyID) (store.SingleUse, error)
}

func (kr *Keyring) findLink(ctx context.Context, q linkReader, link string, typ postern.SecretType, purpose string) (store.SingleUse, error) {
	p, err := postern.ParseSecret(kr.cfg.Brand, link)
	if err != nil || p.Type != typ {
		return store.SingleUse{}, errLink
	}
	u, err := q.SingleUse(ctx, p.KeyID())
	if err != nil && !errors.Is(err, postern.CodeNotFound) {
		return u, err
	}
	hash, ok := kr.cfg.Pepper.HashUnder(max(u.Hash.Pepper, 1), postern.SecretOf(link))
	same := subtle.ConstantTimeCompare(hash[:], u.Hash.Hash[:]) == 1
	if err != nil || !ok || !same || u.Purpose != purpose || u.Altered || !u.UsedAt.IsZero() || !kr.now().Before(u.ExpiresAt) {
		return u, errLink
	}
	return u, nil
}

func (c *change) useUp(link string, typ postern.SecretType, purpose string) (store.SingleUse, error) {
	u, err := c.kr.findLink(c.ctx, c, link, typ, purpose)
	if err != nil {
		return u, err
	}
	return u, c.UseUp(c.ctx, u.ID, c.now)
}
