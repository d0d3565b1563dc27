package identity

import (
	"sync"
	"time"

	"postern.dev/postern"
)

// subject is whom and what an entry is about.
type subject struct {
	key       [postern.KeyIDLen]byte
	gen, set  uint32
	which     postern.Which
	account   postern.AccountID
	upstream  postern.UpstreamID
	operation string
}

// entry is what is said of a subject. Its slices have one element and no room
// for another, so that nobody can change what others are sent.
type entry struct {
	account, number, key, scopes, jwt []string

	until time.Time
}

// cache keeps entries for half the life of their JWT, so that a signature is
// made once for many calls. All entries of a credential are in one shard.
type cache struct{ shards [16]cacheShard }

type cacheShard struct {
	mu      sync.RWMutex
	version uint64 // counts what was dropped
	entries map[subject]*entry
}

// maxEntries bounds a shard; beyond it a few entries, whichever, make room.
const maxEntries = 4096

func (c *cache) init() {
	for i := range c.shards {
		c.shards[i].entries = map[subject]*entry{}
	}
}

func (c *cache) shard(key *[postern.KeyIDLen]byte) *cacheShard {
	return &c.shards[(key[postern.KeyIDLen-1]^key[postern.KeyIDLen-2]<<1)%16]
}

// find gives an entry, or the version that put is to be told.
func (c *cache) find(k *subject, now time.Time) (*entry, uint64) {
	s := c.shard(&k.key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[*k]; e != nil && now.Before(e.until) {
		return e, s.version
	}
	return nil, s.version
}

// put keeps an entry, unless something was dropped since the version was read:
// the entry may be of before the change.
func (c *cache) put(k *subject, e *entry, version uint64) {
	s := c.shard(&k.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != version {
		return
	}
	if len(s.entries) >= maxEntries {
		n := 0
		for other := range s.entries {
			delete(s.entries, other)
			if n++; n == maxEntries/16 {
				break
			}
		}
	}
	s.entries[*k] = e
}

// Applied tells of changes that came into force; none at all means that anything
// may have changed. What was said of a credential before is not said any more.
func (i *Issuer) Applied(changes []postern.Change) {
	if len(changes) == 0 {
		i.cache.drop(nil)
		return
	}
	for n := range changes {
		if changes[n].Kind != postern.ChangeCredential || len(changes[n].ID) != postern.KeyIDLen {
			// An account's, a role's or a catalog's change is about many credentials.
			i.cache.drop(nil)
			return
		}
	}
	for n := range changes {
		key := [postern.KeyIDLen]byte([]byte(changes[n].ID))
		i.cache.drop(&key)
	}
}

// drop drops the entries of a key, or of all.
func (c *cache) drop(key *[postern.KeyIDLen]byte) {
	for i := range c.shards {
		s := &c.shards[i]
		if key != nil && s != c.shard(key) {
			continue
		}
		s.mu.Lock()
		s.version++
		if key == nil {
			clear(s.entries)
		} else {
			for k := range s.entries {
				if k.key == *key {
					delete(s.entries, k)
				}
			}
		}
		s.mu.Unlock()
	}
}
