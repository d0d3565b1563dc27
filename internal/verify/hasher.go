package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"slices"
	"sync"

	"postern.dev/postern"
)

// hashers make the HMAC of a presented secret without allocating: the keyed
// state of each pepper version is prepared once and used again.
type hashers struct {
	pepper   *postern.Pepper
	versions []uint8
	latest   uint8
	use      [256]uint8 // the version to hash under where a record names one
	pool     sync.Pool  // of *hasher
}

type hasher struct {
	macs [256]hash.Hash // by pepper version
	text [postern.MaxSecretLen]byte
	sum  [sha256.Size]byte
}

func newHashers(p *postern.Pepper) *hashers {
	h := &hashers{pepper: p, versions: p.Versions(), latest: p.Latest()}
	slices.Sort(h.versions)
	// Whatever a record says, one HMAC is made: under the latest version where its
	// own is not live any more.
	for v := range h.use {
		if h.use[v] = h.latest; p.Has(uint8(v)) {
			h.use[v] = uint8(v)
		}
	}
	h.pool.New = func() any {
		out := new(hasher)
		for _, v := range h.versions {
			key, _ := p.SecretKey(v)
			out.macs[v] = hmac.New(sha256.New, key[:])
		}
		return out
	}
	return h
}

// several reports whether more than one pepper version is live.
func (h *hashers) several() bool { return len(h.versions) > 1 }

// present hashes a text as both of c's secrets were. The second HMAC, which only
// a key between two pepper versions needs, is made for every failure while there
// are several, so that time does not tell such a key from an unknown one.
func (h *hashers) present(c *postern.Credential, text string, p *postern.Presented) {
	s := h.pool.Get().(*hasher)
	n := copy(s.text[:], text)
	s.hash(h.use[c.CurrentPepper], n, &p.AsCurrent)
	p.AsPrevious = p.AsCurrent
	if h.several() && subtle.ConstantTimeCompare(p.AsCurrent[:], c.Current[:]) == 0 {
		s.hash(h.use[c.PreviousPepper], n, &p.AsPrevious)
	}
	clear(s.text[:n])
	h.pool.Put(s)
}

func (s *hasher) hash(version uint8, n int, out *[32]byte) {
	m := s.macs[version]
	m.Reset()
	m.Write(s.text[:n])
	m.Sum(s.sum[:0])
	*out = s.sum
}
