package verify

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"postern.dev/postern"
)

// digests find an imported credential, whose text has no key ID, by its digest:
// HMAC(pepper, SHA-256(text)), which is what its row has for a hash. Neither side
// of the map holds a pointer, so the collector passes it over.
type digests struct {
	mu   sync.RWMutex
	keys map[[32]byte][postern.KeyIDLen]byte
	n    atomic.Int64
}

func imported(c *postern.Credential) bool {
	return (c.Kind == postern.KindLegacyPrivateApp || c.Kind == postern.KindLegacyAPIKey) && c.Flags&postern.FlagTampered == 0
}

// replace takes out what an old record was found by and puts in what the new one is.
func (d *digests) replace(old, c *postern.Credential) {
	was, is := imported(old), imported(c)
	if !was && !is {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[[32]byte][postern.KeyIDLen]byte{}
	}
	if was {
		d.remove(old.Current, old.Key)
		d.remove(old.Previous, old.Key)
	}
	if is {
		d.keys[c.Current] = c.Key
		if c.PreviousUntil != 0 {
			d.keys[c.Previous] = c.Key
		}
	}
	d.n.Store(int64(len(d.keys)))
}

func (d *digests) remove(digest [32]byte, key [postern.KeyIDLen]byte) {
	if d.keys[digest] == key {
		delete(d.keys, digest)
	}
}

// maxImported is the longest text of an imported credential.
const maxImported = 1024

// find gives the key of an imported credential's text, and its digest.
func (d *digests) find(p *postern.Pepper, versions []uint8, text string) (key [postern.KeyIDLen]byte, digest [32]byte, ok bool) {
	if d.n.Load() == 0 || len(text) > maxImported {
		return key, digest, false
	}
	sum := sha256.Sum256([]byte(text))
	for _, version := range versions {
		digest, _ = p.LegacyDigest(version, sum)
		d.mu.RLock()
		key, ok = d.keys[digest]
		d.mu.RUnlock()
		if ok {
			return key, digest, true
		}
	}
	return key, digest, false
}

func (d *digests) bytes() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	// A group of eight entries and its control word, three quarters full.
	return int64(len(d.keys)) * (32 + postern.KeyIDLen + 1) * 4 / 3
}
