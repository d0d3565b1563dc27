package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// person is a member as a passkey knows them.
type person struct {
	member postern.Member
	creds  []webauthn.Credential
}

func (p *person) WebAuthnID() []byte                         { return []byte(p.member.ID) }
func (p *person) WebAuthnName() string                       { return p.member.Email }
func (p *person) WebAuthnDisplayName() string                { return p.member.Name }
func (p *person) WebAuthnCredentials() []webauthn.Credential { return p.creds }

func (s *Service) person(ctx context.Context, m postern.Member) (*person, error) {
	keys, err := s.db.Passkeys(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	p := &person{member: m}
	for _, k := range keys {
		if k.Altered {
			continue
		}
		var c webauthn.Credential
		if err := json.Unmarshal([]byte(k.Body), &c); err != nil {
			return nil, fmt.Errorf("signin: passkey %s can't be read: %w", k.ID, err)
		}
		p.creds = append(p.creds, c)
	}
	return p, nil
}

// PasskeysAt reports whether passkeys work for who reaches the console under a
// host. A passkey belongs to a name, never to an address; on one's own machine
// that name is localhost.
func (s *Service) PasskeysAt(host string) bool {
	_, err := s.relying(host)
	return err == nil
}

// relying is this server as passkeys know it, for a request's Host.
func (s *Service) relying(host string) (*webauthn.WebAuthn, error) {
	origin, name := s.public.Scheme+"://"+s.public.Host, s.public.Hostname()
	if loopback(name) {
		h := (&url.URL{Host: host}).Hostname()
		if h != "localhost" {
			return nil, postern.Errorf(postern.CodeConflict, "Passkeys belong to a name, not an address. Open this page as localhost instead.")
		}
		origin, name = s.public.Scheme+"://"+host, "localhost"
	}
	if name == "" || net.ParseIP(name) != nil {
		return nil, postern.Errorf(postern.CodeConflict, "Passkeys need a server with a name; this one is reached by an address.")
	}
	return webauthn.New(&webauthn.Config{RPID: name, RPDisplayName: s.cfg.Name, RPOrigins: []string{origin},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Enforce: true, Timeout: 5 * time.Minute, TimeoutUVD: 5 * time.Minute},
			Registration: webauthn.TimeoutConfig{Enforce: true, Timeout: 5 * time.Minute, TimeoutUVD: 5 * time.Minute},
		}})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// Challenge is what a browser is asked to have an authenticator answer.
type Challenge struct {
	Options json.RawMessage // for navigator.credentials
	Flow    string
}

func (s *Service) challenge(purpose string, f Flow, options any, data *webauthn.SessionData) (out Challenge, err error) {
	if f.Ceremony, err = json.Marshal(data); err != nil {
		return out, err
	}
	if out.Options, err = json.Marshal(options); err != nil {
		return out, err
	}
	out.Flow, err = s.sealFlow(purpose, f)
	return out, err
}

func (s *Service) ceremony(purpose, flow string) (f Flow, data webauthn.SessionData, err error) {
	if f, err = s.openFlow(purpose, flow); err != nil {
		return f, data, err
	}
	if json.Unmarshal(f.Ceremony, &data) != nil {
		return f, data, errFlow
	}
	return f, data, nil
}

// errPasskey is the one answer to every passkey that doesn't fit; the log has the cause.
func (s *Service) errPasskey(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*postern.Error](err); ok {
		return e
	}
	why := err.Error()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		why += ": " + e.DevInfo
	}
	s.cfg.Log.InfoContext(ctx, "a passkey was refused", "why", why)
	return &postern.Error{Code: postern.CodeUnauthenticated, Message: "This passkey was not accepted. Try again, or sign in another way.", Err: err}
}

// BeginPasskey starts a sign-in by passkey alone. It doesn't ask who comes: the
// passkey says so, after its owner showed a finger, a face or a PIN.
func (s *Service) BeginPasskey(host string) (out Challenge, err error) {
	w, err := s.relying(host)
	if err != nil {
		return out, err
	}
	options, data, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return out, err
	}
	return s.challenge("passkey", s.newFlow(), options, data)
}

// FinishPasskey completes a sign-in by passkey alone.
func (s *Service) FinishPasskey(ctx context.Context, host, flow string, response []byte, from postern.Actor) (*Signed, error) {
	f, data, err := s.ceremony("passkey", flow)
	if err != nil {
		return nil, err
	}
	w, err := s.relying(host)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	var who *person
	_, cred, err := w.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		m, _, err := s.live(ctx, postern.MemberID(handle))
		if err != nil {
			return nil, err
		}
		who, err = s.person(ctx, m)
		return who, err
	}, data, parsed)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	return s.comeIn(ctx, &who.member, "passkey", "", from, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		return s.usePasskey(ctx, tx, cred)
	})
}

func (s *Service) usePasskey(ctx context.Context, tx *store.Tx, c *webauthn.Credential) error {
	if c.Authenticator.CloneWarning {
		return s.errPasskey(ctx, errors.New("its counter went back: it may have been copied"))
	}
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return tx.UsePasskey(ctx, credentialID(c), string(body), s.now())
}

func credentialID(c *webauthn.Credential) string { return base64.RawURLEncoding.EncodeToString(c.ID) }

// BeginSecondPasskey asks for one of the member's passkeys, after their password.
func (s *Service) BeginSecondPasskey(ctx context.Context, host, second string) (out Challenge, err error) {
	f, err := s.openFlow("second", second)
	if err != nil {
		return out, err
	}
	m, _, err := s.live(ctx, f.MemberID)
	if err != nil {
		return out, errFlow
	}
	// The password said who comes; a touch shows that they hold the passkey.
	return s.beginKnown(ctx, host, "second passkey", f, m, protocol.VerificationPreferred)
}

func (s *Service) beginKnown(ctx context.Context, host, purpose string, f Flow, m postern.Member, verify protocol.UserVerificationRequirement) (out Challenge, err error) {
	w, err := s.relying(host)
	if err != nil {
		return out, err
	}
	who, err := s.person(ctx, m)
	if err != nil {
		return out, err
	}
	if len(who.creds) == 0 {
		return out, postern.Errorf(postern.CodeConflict, "You have no passkey here.")
	}
	options, data, err := w.BeginLogin(who, webauthn.WithUserVerification(verify))
	if err != nil {
		return out, err
	}
	return s.challenge(purpose, f, options, data)
}

func (s *Service) finishKnown(ctx context.Context, host string, m postern.Member, data webauthn.SessionData, response []byte) (*webauthn.Credential, error) {
	w, err := s.relying(host)
	if err != nil {
		return nil, err
	}
	who, err := s.person(ctx, m)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	cred, err := w.ValidateLogin(who, data, parsed)
	if err != nil {
		return nil, s.errPasskey(ctx, err)
	}
	return cred, nil
}

// FinishSecondPasskey completes a sign-in whose password was right.
func (s *Service) FinishSecondPasskey(ctx context.Context, host, flow string, response []byte, from postern.Actor) (*Signed, error) {
	f, data, err := s.ceremony("second passkey", flow)
	if err != nil {
		return nil, err
	}
	m, _, err := s.live(ctx, f.MemberID)
	if err != nil {
		return nil, errFlow
	}
	cred, err := s.finishKnown(ctx, host, m, data, response)
	if err != nil {
		return nil, err
	}
	return s.comeIn(ctx, &m, "password+passkey", "", from, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		if err := s.unchanged(ctx, tx, m.ID, f); err != nil {
			return err
		}
		return s.usePasskey(ctx, tx, cred)
	})
}

// BeginConfirmPasskey asks a member who is in for one of their passkeys.
func (s *Service) BeginConfirmPasskey(ctx context.Context, host string, x *Session) (Challenge, error) {
	f := s.newFlow()
	f.Session, f.MemberID = x.ID, x.MemberID
	// It stands alone here, and a touch could be anyone's who passes an open laptop.
	return s.beginKnown(ctx, host, "confirm passkey", f, x.Member, protocol.VerificationRequired)
}

// FinishConfirmPasskey is Confirm with a passkey.
func (s *Service) FinishConfirmPasskey(ctx context.Context, host string, x *Session, flow string, response []byte, from postern.Actor) (out Signed, err error) {
	f, data, err := s.ceremony("confirm passkey", flow)
	if err != nil || f.Session != x.ID {
		return out, errFlow
	}
	cred, err := s.finishKnown(ctx, host, x.Member, data, response)
	if err != nil {
		return out, err
	}
	err = s.change(ctx, func(tx *store.Tx) error {
		if err := s.spend(ctx, tx, f); err != nil {
			return err
		}
		if err := s.usePasskey(ctx, tx, cred); err != nil {
			return err
		}
		out, err = s.renew(ctx, tx, x, "passkey", from)
		return err
	})
	return out, err
}
