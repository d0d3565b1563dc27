package postern

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Pepper is the server's own secret, kept outside the database and its backups.
// What is stored of a credential's secret is an HMAC under it, so that a copied
// database confirms nothing and whoever can write rows can't plant a key.
// Several versions may be live; the highest makes new hashes.
type Pepper struct {
	versions map[uint8]pepperKeys
	latest   uint8
}

type pepperKeys struct {
	secret, row, record, legacy [32]byte
	raw                         []byte
}

// minPepper is the fewest bytes of a pepper.
const minPepper = 32

// NewPepper makes a random pepper, as the text of a pepper file.
func NewPepper() string {
	b := make([]byte, minPepper)
	rand.Read(b)
	return "1:" + base64.StdEncoding.EncodeToString(b) + "\n"
}

// ParsePepper reads a pepper file: a line a version, "<1 to 255>:<base64 of 32
// bytes or more>". Errors name the line and never its content.
func ParsePepper(text string) (*Pepper, error) {
	p := &Pepper{versions: map[uint8]pepperKeys{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		ver, b64, ok := strings.Cut(line, ":")
		v, err := strconv.ParseUint(ver, 10, 8)
		if !ok || err != nil || v == 0 {
			return nil, fmt.Errorf("pepper line %d: want <version 1 to 255>:<base64>", n)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b64))
		if err != nil || len(raw) < minPepper {
			return nil, fmt.Errorf("pepper line %d: want base64 of %d bytes or more", n, minPepper)
		}
		if _, dup := p.versions[uint8(v)]; dup {
			return nil, fmt.Errorf("pepper line %d: version %d is there twice", n, v)
		}
		p.versions[uint8(v)] = pepperKeys{
			secret: derive(raw, "postern secret hash v1"),
			row:    derive(raw, "postern row mac v1"),
			record: derive(raw, "postern record mac v1"),
			legacy: derive(raw, "postern legacy digest v1"),
			raw:    raw,
		}
		p.latest = max(p.latest, uint8(v))
	}
	if p.latest == 0 {
		return nil, fmt.Errorf("the pepper is empty")
	}
	return p, nil
}

func derive(pepper []byte, label string) (out [32]byte) {
	k, err := hkdf.Key(sha256.New, pepper, nil, label, 32)
	if err != nil {
		panic(err) // only for a length that SHA-256 can't give
	}
	copy(out[:], k)
	return out
}

// Derive gives a key of a version for one purpose, which the label names: the same
// on every node, and telling nothing of the keys for other purposes (HKDF, RFC 5869).
func (p *Pepper) Derive(version uint8, label string) (key [32]byte, ok bool) {
	k, ok := p.versions[version]
	if !ok {
		return key, false
	}
	return derive(k.raw, "postern derived: "+label), true
}

// Latest is the version that makes new hashes.
func (p *Pepper) Latest() uint8 { return p.latest }

// Versions are the versions that are live, in no order.
func (p *Pepper) Versions() (out []uint8) {
	for v := range p.versions {
		out = append(out, v)
	}
	return out
}

// Has reports whether a version is live.
func (p *Pepper) Has(v uint8) bool { _, ok := p.versions[v]; return ok }

// SecretKey is the HMAC key for secrets of a version; the index keeps it prepared.
func (p *Pepper) SecretKey(v uint8) (key [32]byte, ok bool) {
	k, ok := p.versions[v]
	return k.secret, ok
}

// Hash is what is stored of a secret: HMAC-SHA-256 under the latest version.
func (p *Pepper) Hash(s Secret) (hash [32]byte, version uint8) {
	k := p.versions[p.latest].secret
	m := hmac.New(sha256.New, k[:])
	m.Write([]byte(s.Reveal()))
	m.Sum(hash[:0])
	return hash, p.latest
}

// LegacyDigest finds an imported credential that has no key ID: HMAC(pepper, SHA-256(text)).
func (p *Pepper) LegacyDigest(version uint8, sha [32]byte) (digest [32]byte, ok bool) {
	k, ok := p.versions[version]
	m := hmac.New(sha256.New, k.legacy[:])
	m.Write(sha[:])
	m.Sum(digest[:0])
	return digest, ok
}

// RowMAC authenticates the facts of a credential's row under a version, so that
// rows edited in the database gain nothing.
func (p *Pepper) RowMAC(version uint8, row []byte) (mac [32]byte, ok bool) {
	k, ok := p.versions[version]
	m := hmac.New(sha256.New, k.row[:])
	m.Write(row)
	m.Sum(mac[:0])
	return mac, ok
}

// RecordMAC authenticates a record that gives someone a power and is no credential:
// a member, a role, a way in. It has a key of its own.
func (p *Pepper) RecordMAC(version uint8, record []byte) (mac [32]byte, ok bool) {
	k, ok := p.versions[version]
	m := hmac.New(sha256.New, k.record[:])
	m.Write(record)
	m.Sum(mac[:0])
	return mac, ok
}

// Fingerprint tells two peppers apart without telling anything of them, so that
// a server can refuse to start over data that was made under another.
func (p *Pepper) Fingerprint(version uint8) string {
	k, ok := p.versions[version]
	if !ok {
		return ""
	}
	m := hmac.New(sha256.New, k.row[:])
	m.Write([]byte("postern pepper fingerprint v1"))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:12])
}

// HashUnder is Hash under one version, for comparing; ok is false for a version that isn't live.
func (p *Pepper) HashUnder(version uint8, s Secret) (hash [32]byte, ok bool) {
	k, ok := p.versions[version]
	m := hmac.New(sha256.New, k.secret[:])
	m.Write([]byte(s.Reveal()))
	m.Sum(hash[:0])
	return hash, ok
}
