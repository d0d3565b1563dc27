package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"postern.dev/postern"
)

// Provider is an OpenID Connect provider that members may sign in with.
type Provider struct {
	ID           string // in addresses: lower-case letters, digits, "-"
	Name         string // on the button: "Okta"
	Issuer       string
	ClientID     string
	ClientSecret string
	Scopes       []string // openid, email and profile unless set
	// Account is whose members come in this way; empty: the account that operates the server.
	Account postern.AccountID
	// RoleClaim names the claim that holds groups or roles, and Roles says in order
	// which of its values gives which role. Without it roles are kept in Postern.
	RoleClaim string
	Roles     []RoleMap
	// Provision makes a member of who comes for the first time and has a role. Otherwise
	// people are invited, and tie the provider to themselves.
	Provision bool
	// Client reaches the provider; nil: a plain one with a timeout.
	Client *http.Client
}

// RoleMap gives a role to those whose claim has a value.
type RoleMap struct {
	Value string
	Role  postern.RoleID
}

// provider is a Provider whose documents are read at its first use, so that the
// server starts while the provider is away.
type provider struct {
	Provider
	mu       sync.Mutex
	ready    *oidc.Provider
	redirect string
	now      func() time.Time
}

func (s *Service) addProviders(all []Provider) error {
	s.providers = map[string]*provider{}
	for _, p := range all {
		u, err := url.Parse(p.Issuer)
		switch {
		case p.ID == "" || strings.Trim(p.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return fmt.Errorf("signin: provider %q: the id must be lower-case letters, digits and -", p.ID)
		case s.providers[p.ID] != nil:
			return fmt.Errorf("signin: provider %q is there twice", p.ID)
		case err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Hostname()):
			return fmt.Errorf("signin: provider %q: the issuer must be an https URL", p.ID)
		case p.ClientID == "":
			return fmt.Errorf("signin: provider %q: the client id is missing", p.ID)
		case s.cfg.PublicURL == "":
			return fmt.Errorf("signin: single sign-on needs the server's public URL")
		}
		if p.Name == "" {
			p.Name = p.ID
		}
		if len(p.Scopes) == 0 {
			p.Scopes = []string{oidc.ScopeOpenID, "email", "profile"}
		}
		if p.Client == nil {
			p.Client = &http.Client{Timeout: 10 * time.Second}
		}
		s.providers[p.ID] = &provider{Provider: p, redirect: s.cfg.PublicURL + "/signin/sso/callback", now: s.cfg.Now}
		s.order = append(s.order, p.ID)
	}
	return nil
}

// brings reports whether the members who come this way are an account's.
func (p *provider) brings(a *postern.Account) bool {
	if p.Account != "" {
		return p.Account == a.ID
	}
	return a.Operator && !a.Altered
}

// errElsewhere refuses a provider to a member of an account that it doesn't bring members of.
func (p *provider) errElsewhere() error {
	return postern.Errorf(postern.CodeForbidden, "%s signs members of another account in. Use another way.", p.Name)
}

// open reads the provider's documents, once.
func (p *provider) open(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready == nil {
		// The provider keeps the context for later key fetches: it must outlive this request.
		ready, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.Client), p.Issuer)
		if err != nil {
			return nil, nil, &postern.Error{Code: postern.CodeUnavailable, Message: p.Name + " can't be reached at this moment. Try again, or sign in another way.", Err: err}
		}
		p.ready = ready
	}
	return p.ready, &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: p.ready.Endpoint(),
		RedirectURL: p.redirect, Scopes: p.Scopes}, nil
}

// claims is what is read of an ID token.
type claims struct {
	Issuer   string
	Subject  string
	Email    string
	Verified bool
	Name     string
	values   []string // of the role claim
}

// exchange redeems a code and checks the ID token that comes for it.
func (p *provider) exchange(ctx context.Context, f Flow, answer SSOAnswer) (c claims, err error) {
	ready, conf, err := p.open(ctx)
	if err != nil {
		return c, err
	}
	refused := func(err error) error {
		return &postern.Error{Code: postern.CodeUnauthenticated, Message: p.Name + " did not confirm who you are. Try again.", Err: err}
	}
	// A provider that names itself must be the one that was asked (RFC 9207): with
	// several of them, one could have passed on the code of another.
	var says struct {
		Issuer bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := ready.Claims(&says); err != nil {
		return c, refused(err)
	}
	if answer.Issuer != p.Issuer && (answer.Issuer != "" || says.Issuer) {
		return c, refused(fmt.Errorf("another issuer answered"))
	}
	ctx = oidc.ClientContext(ctx, p.Client)
	token, err := conf.Exchange(ctx, answer.Code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return c, refused(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return c, refused(fmt.Errorf("no id_token"))
	}
	id, err := ready.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return c, refused(err)
	}
	if id.Nonce != f.Nonce {
		return c, refused(fmt.Errorf("the nonce is another"))
	}
	all := map[string]any{}
	if err := id.Claims(&all); err != nil {
		return c, refused(err)
	}
	// A provider that was asked for a fresh proof says when it had it (OpenID Connect
	// Core section 3.1.2.1): one from before doesn't count, whatever it answers.
	if proved, _ := all["auth_time"].(float64); f.Confirm && time.Unix(int64(proved), 0).Before(time.UnixMicro(f.At).Add(-time.Minute)) {
		return c, refused(fmt.Errorf("its proof is older than the question"))
	}
	c = claims{Issuer: id.Issuer, Subject: id.Subject, values: texts(all[p.RoleClaim])}
	c.Email, _ = all["email"].(string)
	c.Verified, _ = all["email_verified"].(bool)
	c.Name, _ = all["name"].(string)
	if c.Name == "" {
		c.Name = localPart(c.Email)
	}
	return c, nil
}

// texts reads a claim that is a text or a list of them.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// role is the first role that the claims give.
func (p *provider) role(c claims) (postern.RoleID, bool) {
	for _, m := range p.Roles {
		if slices.Contains(c.values, m.Value) {
			return m.Role, true
		}
	}
	return "", false
}
