// Package identity says who is calling, to upstreams: in headers, and in a
// short-lived signed JWT for those that don't want to trust the network between.
//
// It promises that what it says holds no secret and no person's name, that a JWT
// is good at one upstream, for one operation, and for a minute, and that every
// node signs with the same keys: they follow from the pepper.
package identity

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// The headers. An upstream gets each of them with every call, empty where there
// is nothing to say; none that a caller sends reaches it.
const (
	HeaderAccount       = "Postern-Account"
	HeaderAccountNumber = "Postern-Account-Number"
	HeaderKey           = "Postern-Key"
	HeaderScopes        = "Postern-Scopes"
	HeaderJWT           = "Postern-Jwt"
)

// Headers lists the headers.
func Headers() []string {
	return []string{HeaderAccount, HeaderAccountNumber, HeaderKey, HeaderScopes, HeaderJWT}
}

// TokenType is the "typ" of the JWTs (RFC 8725 section 3.11), so that none is
// taken for a token of another sort.
const TokenType = "postern-identity+jwt"

// MaxLife is the longest that a JWT may be good for.
const MaxLife = time.Minute

// Config is what an Issuer needs. Verifier and Pepper have no default.
type Config struct {
	Verifier *verify.Verifier
	Pepper   *postern.Pepper
	// Issuer is the "iss" of the JWTs: the server's public URL; "postern" unless set.
	Issuer string
	Life   time.Duration // of a JWT; MaxLife unless set
	Now    func() time.Time
}

// Issuer says who is calling. Its methods may be called at the same time.
type Issuer struct {
	v      *verify.Verifier
	issuer string
	life   time.Duration
	now    func() time.Time
	signer jose.Signer
	jwks   []byte
	cache  cache
	none   []string
}

// New makes an Issuer.
func New(c Config) (*Issuer, error) {
	if c.Verifier == nil || c.Pepper == nil {
		return nil, errors.New("identity: a verifier and a pepper are needed")
	}
	if c.Life < 0 || c.Life > MaxLife {
		return nil, errors.New("identity: a JWT can't be good for longer than a minute")
	}
	i := &Issuer{v: c.Verifier, issuer: c.Issuer, life: c.Life, now: c.Now, none: slices.Clip([]string{""})}
	if i.issuer == "" {
		i.issuer = "postern"
	}
	if i.life == 0 {
		i.life = MaxLife
	}
	if i.now == nil {
		i.now = time.Now
	}
	i.cache.init()
	if err := i.keys(c.Pepper); err != nil {
		return nil, err
	}
	return i, nil
}

// SetNone sets the headers for a call of nobody: all of them, all empty.
func (i *Issuer) SetNone(h http.Header) {
	for _, name := range [...]string{HeaderAccount, HeaderAccountNumber, HeaderKey, HeaderScopes, HeaderJWT} {
		h[name] = i.none
	}
}

// Set sets the headers for a call that was decided. Only a credential that is
// allowed something is anyone's: a public operation is called by nobody,
// whatever was presented.
func (i *Issuer) Set(h http.Header, d *postern.Decision) error {
	if !d.Allowed || d.Reason != postern.ReasonAllowed || !d.Known {
		i.SetNone(h)
		return nil
	}
	e, err := i.entry(d)
	if err != nil {
		i.SetNone(h)
		return err
	}
	h[HeaderAccount] = e.account
	h[HeaderAccountNumber] = e.number
	h[HeaderKey] = e.key
	h[HeaderScopes] = e.scopes
	h[HeaderJWT] = e.jwt
	return nil
}

// entry finds or makes what is said of a decision.
func (i *Issuer) entry(d *postern.Decision) (*entry, error) {
	k := subject{key: d.Key, gen: d.Gen, set: d.ScopeSet, which: d.Which, account: d.Account}
	if d.Operation != nil {
		k.upstream, k.operation = d.Operation.Upstream, d.Operation.Name
	}
	now := i.now()
	e, version := i.cache.find(&k, now)
	if e != nil {
		return e, nil
	}
	// The version was read before the scopes are: what changes from here on is seen
	// when the entry is put into the cache, and then it isn't.
	e, err := i.make(d, now)
	if err != nil {
		return nil, err
	}
	i.cache.put(&k, e, version)
	return e, nil
}

func (i *Issuer) make(d *postern.Decision, now time.Time) (*entry, error) {
	one := func(s string) []string { return slices.Clip([]string{s}) }
	scopes := joinScopes(i.v.ScopesAt(d))
	number := ""
	if d.AccountNo != 0 {
		number = strconv.FormatInt(d.AccountNo, 10)
	}
	jwt, err := i.sign(d, scopes, now)
	if err != nil {
		return nil, err
	}
	return &entry{account: one(string(d.Account)), number: one(number), key: one(string(d.KeyID())),
		scopes: one(scopes), jwt: one(jwt), until: now.Add(i.life / 2)}, nil
}

func joinScopes(list []postern.Scope) string {
	var b []byte
	for n, s := range list {
		if n > 0 {
			b = append(b, ' ')
		}
		b = append(b, s...)
	}
	return string(b)
}

// seedOf derives the signing key of a pepper version.
func seedOf(p *postern.Pepper, version uint8) (ed25519.PrivateKey, bool) {
	seed, ok := p.Derive(version, "identity jwt")
	if !ok {
		return nil, false
	}
	return ed25519.NewKeyFromSeed(seed[:]), true
}
