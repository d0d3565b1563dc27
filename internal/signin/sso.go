package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// SSOWish is what someone goes to a provider for: to come in, unless Invite or
// Session says more.
type SSOWish struct {
	Provider string
	Back     string   // where to go afterwards
	Invite   string   // an invitation to accept with it
	Session  *Session // who ties the provider to themselves, or proves again who they are
	Confirm  bool
}

// BeginSSO gives the address of the provider to go to, and the flow that comes back with the answer.
func (s *Service) BeginSSO(ctx context.Context, wish SSOWish) (address, flow string, err error) {
	p := s.providers[wish.Provider]
	if p == nil {
		return "", "", postern.Errorf(postern.CodeNotFound, "There is no such way to sign in.")
	}
	if wish.Session != nil && !p.brings(&wish.Session.Account) {
		return "", "", p.errElsewhere()
	}
	_, conf, err := p.open(ctx)
	if err != nil {
		return "", "", err
	}
	f := s.newFlow()
	f.Provider, f.State, f.Nonce, f.Verifier, f.Invite, f.Back = p.ID, newText(), newText(), oauth2.GenerateVerifier(), wish.Invite, wish.Back
	opts := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if wish.Session != nil {
		f.Session, f.MemberID = wish.Session.ID, wish.Session.MemberID
	}
	if wish.Confirm {
		f.Confirm = true
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	flow, err = s.sealFlow("sso", f)
	return conf.AuthCodeURL(f.State, opts...), flow, err
}

// SSODone is where a sign-in at a provider led.
type SSODone struct {
	Signed *Signed
	Back   string
	Tied   bool // the provider was tied to a member who is in
}

// SSOAnswer is what a provider sent back with a browser.
type SSOAnswer struct {
	State  string
	Code   string
	Issuer string // who answers; empty where the provider doesn't say
}

// FinishSSO completes what BeginSSO began. x is the session of the browser, if it has one.
func (s *Service) FinishSSO(ctx context.Context, x *Session, flow string, answer SSOAnswer, from postern.Actor) (out SSODone, err error) {
	f, err := s.openFlow("sso", flow)
	if err != nil || subtle.ConstantTimeCompare([]byte(answer.State), []byte(f.State)) != 1 {
		return out, errFlow
	}
	p := s.providers[f.Provider]
	if p == nil || answer.Code == "" {
		return out, errFlow
	}
	if f.Session != "" {
		// Who began it in a session ends it in the same, or not at all.
		if x == nil || x.ID != f.Session || x.MemberID != f.MemberID {
			return out, errFlow
		}
		if !p.brings(&x.Account) {
			return out, p.errElsewhere()
		}
	}
	c, err := p.exchange(ctx, f, answer)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "a single sign-on failed", "provider", p.ID, "err", err, "cause", errors.Unwrap(err))
		return out, err
	}
	out.Back = f.Back
	method := "sso:" + p.ID
	switch {
	case f.Session != "":
		out.Signed, out.Tied, err = s.tieOrConfirm(ctx, x, f, c, method, from)
	case f.Invite != "":
		out.Signed, err = s.join(ctx, f.Invite, from, method, func(ctx context.Context, tx *store.Tx, m *postern.Member) error {
			if err := s.spend(ctx, tx, f); err != nil {
				return err
			}
			a, err := tx.Account(ctx, m.AccountID)
			if err != nil {
				return err
			}
			if !p.brings(&a) {
				return p.errElsewhere()
			}
			return tx.PutIdentity(ctx, s.identity(c, m))
		})
	default:
		out.Signed, err = s.comeBySSO(ctx, p, f, c, method, from)
	}
	return out, err
}

// comeBySSO signs in whom a provider names.
func (s *Service) comeBySSO(ctx context.Context, p *provider, f Flow, c claims, method string, from postern.Actor) (*Signed, error) {
	m, err := s.whoIs(ctx, p, c)
	if err != nil {
		return nil, err
	}
	return s.comeIn(ctx, m, method, "", from, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		return tx.UseIdentity(ctx, &store.Identity{AccountID: m.AccountID, Issuer: c.Issuer, Subject: c.Subject}, s.now())
	})
}

func (s *Service) identity(c claims, m *postern.Member) *store.Identity {
	return &store.Identity{Issuer: c.Issuer, Subject: c.Subject, AccountID: m.AccountID, MemberID: m.ID, CreatedAt: s.now(), UsedAt: s.now()}
}

// tieOrConfirm is for a member who is in: a subject that is theirs confirms them,
// one that nobody has is tied to them.
func (s *Service) tieOrConfirm(ctx context.Context, x *Session, f Flow, c claims, method string, from postern.Actor) (*Signed, bool, error) {
	var out Signed
	tied := false
	err := s.change(ctx, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		had, err := tx.Identity(ctx, x.AccountID, c.Issuer, c.Subject)
		switch {
		case err == nil && had.Altered:
			return postern.Errorf(postern.CodeConflict, "This sign-in was altered outside of Postern. Remove it, then add it again.")
		case err == nil && had.MemberID != x.MemberID:
			return postern.Errorf(postern.CodeConflict, "This sign-in belongs to another member of the account.")
		case err == nil && !f.Confirm:
			// The provider wasn't asked for a fresh proof, so this confirms nothing.
			return postern.Errorf(postern.CodeConflict, "This sign-in is yours already.")
		case errors.Is(err, postern.CodeNotFound) && f.Confirm:
			return postern.Errorf(postern.CodeForbidden, "This sign-in isn't one of yours. Confirm with another way.")
		case errors.Is(err, postern.CodeNotFound):
			// Tying needs a fresh proof of another kind, or a stolen session could add a way in of its own.
			if !s.IsFresh(x) {
				return postern.Errorf(postern.CodeForbidden, "Confirm that it's you first, then add this sign-in.")
			}
			if err := tx.PutIdentity(ctx, s.identity(c, &x.Member)); err != nil {
				return err
			}
			tied = true
			out, err = s.turned(ctx, tx, x, "identity.add", from, after(map[string]any{"issuer": c.Issuer, "subject": c.Subject}))
			return err
		case err != nil:
			return err
		}
		out, err = s.renew(ctx, tx, x, method, from)
		return err
	})
	return &out, tied, err
}

// RemoveIdentity unties a provider from a member.
func (s *Service) RemoveIdentity(ctx context.Context, x *Session, issuer, subject string, from postern.Actor) (out Signed, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		f, err := s.waysLeft(ctx, tx, x)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(f.Identities, func(i store.Identity) bool { return i.Issuer == issuer && i.Subject == subject })
		if !f.Password && len(f.Passkeys) == 0 && len(others) == 0 {
			return postern.Errorf(postern.CodeConflict, "This is your only way in. Add a passkey or a password first.")
		}
		if err := tx.DeleteIdentity(ctx, x.MemberID, issuer, subject); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "identity.remove", from, before(map[string]any{"issuer": issuer, "subject": subject}))
		return err
	})
	return out, err
}

// whoIs finds the member whom a provider names, makes one where that is wished,
// and gives them the role that the provider says.
func (s *Service) whoIs(ctx context.Context, p *provider, c claims) (*postern.Member, error) {
	account, err := s.accountOf(ctx, p)
	if err != nil {
		return nil, err
	}
	role, has := p.role(c)
	if p.RoleClaim != "" && !has {
		return nil, postern.Errorf(postern.CodeForbidden, "%s knows you, and gives you no role here. Ask an admin of the account.", p.Name)
	}
	by := postern.Actor{AccountID: account, System: "sso"}
	id, err := s.db.Identity(ctx, account, c.Issuer, c.Subject)
	if errors.Is(err, postern.CodeNotFound) {
		return s.provision(ctx, p, c, by, role, has)
	}
	if err != nil {
		return nil, err
	}
	if id.Altered {
		return nil, postern.Errorf(postern.CodeForbidden, "Your sign-in was altered outside of Postern and is not accepted. Ask an admin for an invitation.")
	}
	m, _, err := s.live(ctx, id.MemberID)
	if err != nil {
		return nil, postern.Errorf(postern.CodeForbidden, "You are no longer a member of this account.")
	}
	if has && m.Role.ID != role {
		edited, err := s.cfg.Keyring.EditMember(ctx, by, m.ID, keyring.MemberEdit{RoleID: &role})
		if err != nil {
			// Coming in with a role that the provider took away would be worse than not coming in.
			return nil, err
		}
		m = edited
	}
	return &m, nil
}

func (s *Service) provision(ctx context.Context, p *provider, c claims, by postern.Actor, role postern.RoleID, has bool) (*postern.Member, error) {
	if !p.Provision || !has {
		return nil, postern.Errorf(postern.CodeForbidden, "%s knows you, but you are no member here yet. Ask an admin for an invitation, and accept it with %s.", p.Name, p.Name)
	}
	if c.Email == "" || !c.Verified {
		return nil, postern.Errorf(postern.CodeForbidden, "%s did not say an address that it has checked, and a member needs one.", p.Name)
	}
	inv, err := s.cfg.Keyring.InviteMember(ctx, by, keyring.NewMember{Email: c.Email, Name: strings.TrimSpace(c.Name), RoleID: role})
	if errors.Is(err, postern.CodeConflict) {
		return nil, postern.Errorf(postern.CodeConflict, "A member with your address is here already. Sign in as you did before, and add %s under Your profile.", p.Name)
	}
	if err != nil {
		return nil, err
	}
	return &inv.Member, s.change(ctx, func(tx *store.Tx) error {
		if err := tx.VoidSingleUse(ctx, "invite", inv.Member.ID, s.now()); err != nil {
			return err
		}
		return tx.PutIdentity(ctx, s.identity(c, &inv.Member))
	})
}

// accountOf is whose members a provider brings.
func (s *Service) accountOf(ctx context.Context, p *provider) (postern.AccountID, error) {
	if p.Account != "" {
		return p.Account, nil
	}
	all, err := s.db.Accounts(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if a.Operator && !a.Altered {
			return a.ID, nil
		}
	}
	return "", postern.Errorf(postern.CodeUnavailable, "This server is not set up yet.")
}
