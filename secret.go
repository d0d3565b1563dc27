package postern

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"unsafe"
)

// SecretType is the second part of a secret: what it is for. A secret of one
// type is refused where another is due.
type SecretType string

// The types of secrets.
const (
	SecretServiceKey  SecretType = "sk"   // a service key's
	SecretPersonal    SecretType = "pak"  // a member's personal access key
	SecretAppToken    SecretType = "at"   // an app's static token
	SecretOAuthAccess SecretType = "oat"  // an OAuth 2.0 access token
	SecretRefresh     SecretType = "ort"  // an OAuth 2.0 refresh token
	SecretCode        SecretType = "oac"  // an OAuth 2.0 authorization code
	SecretClient      SecretType = "ocs"  // an OAuth 2.0 client secret
	SecretDeveloper   SecretType = "dk"   // a developer key
	SecretSession     SecretType = "ses"  // a console session
	SecretSetup       SecretType = "boot" // a single-use set-up link
	SecretInvite      SecretType = "inv"  // a single-use invitation
)

const (
	// secretRandomLen base62 characters hold 256.03 random bits.
	secretRandomLen = 43
	// secretCheckLen base62 characters hold a CRC32.
	secretCheckLen = 6
	// DefaultBrand is the first part of a secret unless the operator sets another.
	DefaultBrand = "pst"
	// MaxSecretLen is the most characters that a secret of ours can have.
	MaxSecretLen = 16 + 1 + 4 + 1 + KeyIDLen + 1 + secretRandomLen + secretCheckLen
)

// Secret is the text that a client presents:
//
//	<brand>_<type>_<key ID>_<43 random characters><6 check characters>
//
// base62 between the underscores; the check is the CRC32 (IEEE) of all before
// it, so that scanners and typing errors are caught without asking anyone. A
// Secret prints as its prefix and key ID everywhere; Reveal is the one way to
// the text.
type Secret struct {
	// Behind a pointer, since %+v reads unexported fields without asking String.
	t *secretText
}

type secretText struct{ text string }

// NewSecret makes a secret of a brand, a type and a key ID with 256 random bits.
func NewSecret(brand string, typ SecretType, id KeyID) Secret {
	head := brand + "_" + string(typ) + "_" + string(id) + "_" + RandomText(secretRandomLen)
	return Secret{&secretText{head + checksum(head)}}
}

// SecretOf wraps a text that was read from outside, so that it can't be printed
// by mistake. It checks nothing; ParseSecret does.
func SecretOf(text string) Secret { return Secret{&secretText{text}} }

// Reveal is the whole text. Whoever calls it answers for where the text goes.
func (s Secret) Reveal() string {
	if s.t == nil {
		return ""
	}
	return s.t.text
}

// Zero reports whether there is no secret here.
func (s Secret) Zero() bool { return s.t == nil }

// LastFour are the last four characters, by which people tell two secrets of one key apart.
func (s Secret) LastFour() string {
	t := s.Reveal()
	if len(t) < 4 {
		return ""
	}
	return t[len(t)-4:]
}

// String is what may be shown: the prefix and the key ID, never the random part.
func (s Secret) String() string {
	if s.t == nil {
		return ""
	}
	t := s.t.text
	if i := strings.LastIndexByte(t, '_'); i > 0 && len(t)-i == 1+secretRandomLen+secretCheckLen {
		return t[:i+1] + "…"
	}
	return "secret"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// Format is String for every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalJSON is String as JSON. Answers that show a secret once call Reveal.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ErrNotSecret says that a text is not a well-formed secret of this brand.
var ErrNotSecret = errors.New("not a secret of this brand")

// ErrChecksum says that a text looks like a secret but its check characters are wrong: a typing error.
var ErrChecksum = errors.New("the secret's check characters are wrong")

// Parsed is what a well-formed secret says about itself. It holds nothing secret.
type Parsed struct {
	Type SecretType
	Kind Kind // 0 where the type is never a bearer
	Key  [KeyIDLen]byte
}

// KeyID is the key ID as text.
func (p Parsed) KeyID() KeyID { return KeyID(p.Key[:]) }

// ParseSecret checks prefix, length, alphabet and checksum of a text, without a
// look-up and without allocating. The checksum is for typing errors and cheap
// refusal, never for trust.
func ParseSecret(brand, text string) (Parsed, error) {
	var p Parsed
	if len(text) > MaxSecretLen || len(text) < len(brand)+4 || text[:len(brand)] != brand || text[len(brand)] != '_' {
		return p, ErrNotSecret
	}
	rest := text[len(brand)+1:]
	under := strings.IndexByte(rest, '_')
	if under < 1 || under > 4 {
		return p, ErrNotSecret
	}
	typ, rest := rest[:under], rest[under+1:]
	if len(rest) != KeyIDLen+1+secretRandomLen+secretCheckLen || rest[KeyIDLen] != '_' {
		return p, ErrNotSecret
	}
	if !isBase62(rest[:KeyIDLen]) || !isBase62(rest[KeyIDLen+1:]) {
		return p, ErrNotSecret
	}
	p.Type, p.Kind = internType(typ)
	if p.Type == "" {
		return Parsed{}, ErrNotSecret
	}
	var want [secretCheckLen]byte
	putChecksum(&want, crcString(text[:len(text)-secretCheckLen]))
	if text[len(text)-secretCheckLen:] != string(want[:]) {
		return Parsed{}, ErrChecksum
	}
	copy(p.Key[:], rest[:KeyIDLen])
	return p, nil
}

// internType gives the constant for a type's text, so that a Parsed does not
// keep the whole secret alive.
func internType(s string) (SecretType, Kind) {
	switch SecretType(s) {
	case SecretServiceKey:
		return SecretServiceKey, KindServiceKey
	case SecretPersonal:
		return SecretPersonal, KindPersonal
	case SecretAppToken:
		return SecretAppToken, KindAppToken
	case SecretOAuthAccess:
		return SecretOAuthAccess, KindOAuthAccess
	case SecretDeveloper:
		return SecretDeveloper, KindDeveloper
	case SecretRefresh:
		return SecretRefresh, 0
	case SecretCode:
		return SecretCode, 0
	case SecretClient:
		return SecretClient, 0
	case SecretSession:
		return SecretSession, 0
	case SecretSetup:
		return SecretSetup, 0
	case SecretInvite:
		return SecretInvite, 0
	}
	return "", 0
}

// ValidBrand reports whether a brand can start a secret: 2 to 16 lower-case
// letters and digits, a letter first.
func ValidBrand(s string) bool {
	if len(s) < 2 || len(s) > 16 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if (s[i] < 'a' || s[i] > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func checksum(head string) string {
	var b [secretCheckLen]byte
	putChecksum(&b, crcString(head))
	return string(b[:])
}

// crcString is the checksum of s, read in place: crc32 uses the processor's own
// instruction and takes bytes, which a string becomes here without a copy.
func crcString(s string) uint32 {
	return crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func putChecksum(b *[secretCheckLen]byte, c uint32) {
	for i := secretCheckLen - 1; i >= 0; i-- {
		b[i] = base62[c%62]
		c /= 62
	}
}
