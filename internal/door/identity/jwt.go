package identity

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern.dev/postern"
)

// Claims are what a JWT says. Its subject is a credential, never a person.
type Claims struct {
	Issuer        string             `json:"iss"`
	Subject       postern.KeyID      `json:"sub"`
	Audience      postern.UpstreamID `json:"aud"`
	Expires       int64              `json:"exp"`
	NotBefore     int64              `json:"nbf"`
	IssuedAt      int64              `json:"iat"`
	ID            string             `json:"jti"`
	Account       postern.AccountID  `json:"account"`
	AccountNumber int64              `json:"account_number"`
	Scope         string             `json:"scope"` // with blanks between (RFC 8693 section 4.2)
	Kind          string             `json:"kind"`
	Operation     string             `json:"op"`
}

// keys makes the signer, of the latest pepper version, and the set of public
// keys, of all: while a pepper is being replaced, nodes sign with either.
func (i *Issuer) keys(p *postern.Pepper) error {
	versions := p.Versions()
	slices.Sort(versions)
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, v := range versions {
		private, ok := seedOf(p, v)
		if !ok {
			return fmt.Errorf("identity: pepper version %d is not there", v)
		}
		public := jose.JSONWebKey{Key: private.Public().(ed25519.PublicKey), Algorithm: string(jose.EdDSA), Use: "sig"}
		thumb, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return fmt.Errorf("identity: name a key: %w", err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
		set.Keys = append(set.Keys, public)
		if v != p.Latest() {
			continue
		}
		key := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}}
		i.signer, err = jose.NewSigner(key, (&jose.SignerOptions{}).WithType(TokenType))
		if err != nil {
			return fmt.Errorf("identity: make a signer: %w", err)
		}
	}
	var err error
	if i.jwks, err = json.Marshal(set); err != nil {
		return fmt.Errorf("identity: write the public keys: %w", err)
	}
	return nil
}

func (i *Issuer) sign(d *postern.Decision, scopes string, now time.Time) (string, error) {
	c := Claims{
		Issuer: i.issuer, Subject: d.KeyID(), IssuedAt: now.Unix(), NotBefore: now.Unix() - 5,
		Expires: now.Add(i.life).Unix(), ID: postern.RandomText(22), Account: d.Account,
		AccountNumber: d.AccountNo, Scope: scopes, Kind: d.Kind.String(),
	}
	if d.Operation != nil {
		c.Audience, c.Operation = d.Operation.Upstream, d.Operation.Name
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("identity: write claims: %w", err)
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("identity: sign: %w", err)
	}
	return signed.CompactSerialize()
}

// JWKS serves the public keys (RFC 7517), for /.well-known/jwks.json.
func (i *Issuer) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(i.jwks)))
		if r.Method == http.MethodGet {
			w.Write(i.jwks)
		}
	})
}
