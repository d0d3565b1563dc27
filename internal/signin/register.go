package signin

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	maxPasskeys    = 20
	maxPasskeyName = 64
)

// BeginRegister asks a member's authenticator for a new passkey.
func (s *Service) BeginRegister(ctx context.Context, host string, x *Session) (out Challenge, err error) {
	f := s.newFlow()
	f.Session, f.MemberID = x.ID, x.MemberID
	return s.beginRegister(ctx, host, "register", f, x.Member)
}

func (s *Service) beginRegister(ctx context.Context, host, purpose string, f Flow, m postern.Member) (out Challenge, err error) {
	w, err := s.relying(host)
	if err != nil {
		return out, err
	}
	who, err := s.person(ctx, m)
	if err != nil {
		return out, err
	}
	if len(who.creds) >= maxPasskeys {
		return out, postern.Errorf(postern.CodeConflict, "You have %d passkeys. Remove one that you no longer use first.", len(who.creds))
	}
	options, data, err := w.BeginRegistration(who,
		webauthn.WithExclusions(webauthn.Credentials(who.creds).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired}))
	if err != nil {
		return out, err
	}
	return s.challenge(purpose, f, options, data)
}

func (s *Service) newPasskey(ctx context.Context, host string, m postern.Member, data webauthn.SessionData, response []byte, name string) (*store.Passkey, error) {
	w, err := s.relying(host)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	cred, err := w.CreateCredential(&person{member: m}, data, parsed)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	body, err := json.Marshal(cred)
	if err != nil {
		return nil, err
	}
	if name, err = passkeyName(name); err != nil {
		return nil, err
	}
	return &store.Passkey{ID: credentialID(cred), MemberID: m.ID, Name: name, Body: string(body), CreatedAt: s.now()}, nil
}

func passkeyName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if name == "" {
		name = "Passkey"
	}
	if utf8.RuneCountInString(name) > maxPasskeyName || !utf8.ValidString(name) {
		return "", postern.Invalidf("name", "Use at most %d characters.", maxPasskeyName)
	}
	return name, nil
}

// FinishRegister adds a passkey. The first second factor comes with recovery
// codes, which are shown this once.
func (s *Service) FinishRegister(ctx context.Context, host string, x *Session, flow string, response []byte, name string, from postern.Actor) (out Signed, codes []string, err error) {
	f, data, err := s.ceremony("register", flow)
	if err != nil || f.Session != x.ID {
		return out, nil, errFlow
	}
	key, err := s.newPasskey(ctx, host, x.Member, data, response, name)
	if err != nil {
		return out, nil, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		if codes, err = s.firstCodes(ctx, tx, x); err != nil {
			return err
		}
		if err := tx.InsertPasskey(ctx, key); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "passkey.add", from, after(map[string]any{"passkey": key.Name}))
		return err
	})
	return out, codes, err
}

// RenamePasskey gives a passkey another name.
func (s *Service) RenamePasskey(ctx context.Context, x *Session, id, name string, from postern.Actor) error {
	name, err := passkeyName(name)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		if err := tx.RenamePasskey(ctx, x.MemberID, id, name); err != nil {
			return err
		}
		return s.audit(ctx, tx, from, "passkey.rename", &x.Member, after(map[string]any{"passkey": name}))
	})
}

// RemovePasskey takes a passkey away.
func (s *Service) RemovePasskey(ctx context.Context, x *Session, id string, from postern.Actor) (out Signed, err error) {
	err = s.change(ctx, func(tx *store.Tx) error {
		k, err := tx.Passkey(ctx, id)
		if err != nil {
			return err
		}
		if k.MemberID != x.MemberID {
			return postern.Errorf(postern.CodeNotFound, "There is no such passkey.")
		}
		f, err := s.waysLeft(ctx, tx, x)
		if err != nil {
			return err
		}
		lost := 1
		if k.Altered {
			lost = 0 // it let nobody in anyway
		}
		if err := f.mayLose(0, lost); err != nil {
			return err
		}
		if err := tx.DeletePasskey(ctx, x.MemberID, id); err != nil {
			return err
		}
		out, err = s.turned(ctx, tx, x, "passkey.remove", from, before(map[string]any{"passkey": k.Name}))
		return err
	})
	return out, err
}

// BeginJoinPasskey asks whoever holds an invitation for a passkey instead of a password.
func (s *Service) BeginJoinPasskey(ctx context.Context, host, link string) (out Challenge, err error) {
	m, _, err := s.cfg.Keyring.Invitation(ctx, link)
	if err != nil {
		return out, err
	}
	f := s.newFlow()
	f.MemberID = m.ID
	return s.beginRegister(ctx, host, "join", f, m)
}

// JoinWithPasskey accepts an invitation with a passkey and signs its member in.
func (s *Service) JoinWithPasskey(ctx context.Context, host, link, flow string, response []byte, from postern.Actor) (*Signed, error) {
	m, _, err := s.cfg.Keyring.Invitation(ctx, link)
	if err != nil {
		return nil, err
	}
	f, data, err := s.ceremony("join", flow)
	if err != nil || f.MemberID != m.ID {
		return nil, errFlow
	}
	key, err := s.newPasskey(ctx, host, m, data, response, "")
	if err != nil {
		return nil, err
	}
	return s.join(ctx, link, from, "passkey", func(ctx context.Context, tx *store.Tx, _ *postern.Member) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		return tx.InsertPasskey(ctx, key)
	})
}
