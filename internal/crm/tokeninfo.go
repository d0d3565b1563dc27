package crm

import (
	"crypto/sha256"
	"encoding/binary"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"postern.dev/postern"
)

// The calls by which tools learn what a secret is good for. They take the secret
// as input, so nothing of their input is ever logged or repeated in an error.

// appID is a stable positive number for a key: clients want an integer.
func appID(key postern.KeyID) int64 {
	sum := sha256.Sum256([]byte(key))
	return int64(max(1, binary.BigEndian.Uint32(sum[:4])>>1))
}

func (s *Service) introspect(c *call, secret string) (Identity, bool) {
	if s.cfg.Introspect == nil || secret == "" {
		return Identity{}, false
	}
	return s.cfg.Introspect(c.ctx(), secret)
}

// scopeNames are an identity's scopes with the implicit one.
func (id Identity) scopeNames() []string {
	out := make([]string, 0, len(id.Scopes)+1)
	for _, s := range id.Scopes {
		out = append(out, string(s))
	}
	if !slices.Contains(out, scopeOAuth) {
		out = append(out, scopeOAuth)
	}
	return out
}

// accessTokenInfo answers for the key in the body.
func accessTokenInfo(c *call) (int, any, error) {
	var in struct {
		Key string `json:"tokenKey"`
	}
	if err := c.body(&in); err != nil {
		// What is wrong with the body may quote it.
		return 0, nil, invalid("The body must be JSON with a tokenKey.")
	}
	id, ok := c.s.introspect(c, in.Key)
	if !ok {
		return 0, nil, c.s.unauthenticated()
	}
	return http.StatusOK, struct {
		UserID int64    `json:"userId"`
		HubID  int64    `json:"hubId"`
		AppID  int64    `json:"appId"`
		Scopes []string `json:"scopes"`
	}{id.UserID, id.Number, appID(id.Key), id.scopeNames()}, nil
}

// tokenReply is what is known of a token.
type tokenReply struct {
	Active    *bool    `json:"active,omitempty"`
	TokenUse  string   `json:"token_use,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Token     string   `json:"token"`
	User      string   `json:"user,omitempty"`
	HubDomain string   `json:"hub_domain"`
	HubID     int64    `json:"hub_id"`
	AppID     int64    `json:"app_id"`
	UserID    int64    `json:"user_id"`
	TokenType string   `json:"token_type"`
	ExpiresIn int64    `json:"expires_in"`
	Scopes    []string `json:"scopes"`
	Private   bool     `json:"is_private_distribution"`
}

// noExpiry is what is told of a token that doesn't expire: clients want a number.
const noExpiry = 1<<31 - 1

func (c *call) token(secret string, id Identity) tokenReply {
	r := tokenReply{Token: secret, User: id.UserEmail, HubID: id.Number, AppID: appID(id.Key), UserID: id.UserID, TokenType: "access",
		ExpiresIn: noExpiry, Scopes: id.scopeNames(), Private: true}
	if u, err := url.Parse(c.s.uiBase); err == nil {
		r.HubDomain = u.Host
	}
	if !id.ExpiresAt.IsZero() {
		r.ExpiresIn = max(0, int64(id.ExpiresAt.Sub(c.s.now()).Seconds()))
	}
	return r
}

// readAccessToken answers for the token in the path.
func readAccessToken(c *call) (int, any, error) {
	id, ok := c.s.introspect(c, c.params["token"])
	if !ok {
		return 0, nil, newFault(http.StatusNotFound, catNotFound, "This access token is not known.")
	}
	return http.StatusOK, c.token(c.params["token"], id), nil
}

// introspectToken answers for the token in a form.
func introspectToken(c *call) (int, any, error) {
	if mt, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return 0, nil, newFault(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
	}
	raw, err := readBody(c.r)
	if err != nil {
		return 0, nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return 0, nil, invalid("The body must be a form with a token.")
	}
	secret := form.Get("token")
	id, ok := c.s.introspect(c, secret)
	if !ok {
		return 0, nil, c.s.unauthenticated()
	}
	active := true
	r := c.token(secret, id)
	r.Active, r.TokenUse, r.ClientID = &active, "access_token", string(id.Key)
	return http.StatusOK, r, nil
}
