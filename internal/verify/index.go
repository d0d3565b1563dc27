package verify

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"

	"postern.dev/postern"
)

// index holds every live credential, found by key ID, or by its digest where it
// is an imported one that has no key ID in its text.
type index struct {
	seed     hashSeed
	shards   [256]shard
	sets     *lists[postern.ScopeID]
	networks *lists[network]
	digests  digests
	sweeping sync.Mutex

	keys     atomic.Int64
	tampered atomic.Int64 // records that are flagged so now
	stale    atomic.Int64 // rows that were older than what is known
}

// hashSeed makes the table's hashes unguessable, so that nobody can make keys that collide.
type hashSeed struct{ seed maphash.Seed }

func (s hashSeed) of(key *[postern.KeyIDLen]byte) uint64 { return maphash.Bytes(s.seed, key[:]) }

func newIndex() *index {
	return &index{seed: hashSeed{maphash.MakeSeed()}, sets: newLists[postern.ScopeID](), networks: newLists[network]()}
}

// found is what the index tells of a credential. held and networks never change;
// burst stays usable although the record may be taken out meanwhile.
type found struct {
	cred     postern.Credential
	held     []postern.ScopeID
	networks []network
	burst    *atomic.Int64
	watch    *watch // nil unless a narrowing is tried
	// brownouts are when it is refused; nil for never.
	brownouts []postern.Span
	latest    postern.Micros // that the time may be; set by who asks
}

// find copies out what is known of a key.
func (x *index) find(key *[postern.KeyIDLen]byte, f *found) bool {
	h := x.seed.of(key)
	s := &x.shards[h>>56]
	s.mu.RLock()
	_, r := s.find(h, key)
	if r == nil {
		s.mu.RUnlock()
		return false
	}
	f.cred = r.Credential
	// Under the lock, which keeps the two numbers from being released.
	f.held = x.sets.at(r.Scopes)
	f.networks = x.networks.at(r.Networks)
	f.burst = &r.burst
	f.watch = nil
	if r.Flags&postern.FlagWatched != 0 {
		f.watch = s.watches[*key]
	}
	f.brownouts = nil
	if r.Flags&postern.FlagBrownouts != 0 {
		f.brownouts = s.brownouts[*key]
	}
	s.mu.RUnlock()
	return true
}

// revision is that of a key's record; 0 where there is none.
func (x *index) revision(key *[postern.KeyIDLen]byte) uint32 {
	h := x.seed.of(key)
	s := &x.shards[h>>56]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, r := s.find(h, key); r != nil {
		return r.Revision
	}
	return 0
}

// put adds or replaces a credential, which comes with the lists that it refers
// to. It keeps two things whatever c says: an end, since revocations only add
// up, and a later revision, unless anew says that the store starts anew.
func (x *index) put(c *postern.Credential, held []postern.ScopeID, networks []network, w *watch, brownouts []postern.Span, anew bool) error {
	set, err := x.sets.intern(held)
	if err != nil {
		return err
	}
	nets, err := x.networks.intern(networks)
	if err != nil {
		x.sets.release(set)
		return err
	}
	h := x.seed.of(&c.Key)
	s := &x.shards[h>>56]
	s.mu.Lock()
	slot, r := s.find(h, &c.Key)
	if r == nil {
		r = s.add(h, &c.Key, x.seed)
		x.keys.Add(1)
	} else {
		s.mark(s.slots[slot]&placeMask - 1)
	}
	old := r.Credential
	if !anew && c.Revision < old.Revision && c.Flags&postern.FlagTampered == 0 {
		keepEnd(&r.Credential, c)
		s.mu.Unlock()
		x.stale.Add(1)
		x.sets.release(set)
		x.networks.release(nets)
		return nil
	}
	r.Credential = *c
	r.Scopes, r.Networks = set, nets
	keepEnd(&r.Credential, &old)
	if c.Flags&postern.FlagTampered != 0 {
		// What a tampered row says of its revision is worth nothing.
		r.Revision = old.Revision
	}
	s.watch(&r.Credential, w)
	s.brownout(&r.Credential, brownouts)
	x.countTampered(old.Flags, r.Flags)
	x.digests.replace(&old, &r.Credential)
	s.mu.Unlock()
	x.sets.release(old.Scopes)
	x.networks.release(old.Networks)
	return nil
}

const ended = postern.FlagRevoked | postern.FlagDeleted

// keepEnd carries the end of a credential over from another reading of it.
func keepEnd(c, from *postern.Credential) {
	if from.Flags&ended != 0 && c.Flags&ended == 0 {
		c.NotBefore = from.NotBefore
	}
	c.Flags |= from.Flags & ended
}

// gone tells that the store has no row of a key any more. One that time has ended
// anyway is taken out; another is kept as deleted, so that a store that forgets
// its deletion can't bring it back.
func (x *index) gone(key *[postern.KeyIDLen]byte, now postern.Micros) {
	h := x.seed.of(key)
	s := &x.shards[h>>56]
	s.mu.Lock()
	slot, r := s.find(h, key)
	if r == nil {
		s.mu.Unlock()
		return
	}
	if r.ExpiresAt != 0 && r.ExpiresAt <= now {
		x.removeLocked(s, slot, r)
		return
	}
	if r.Flags&ended == 0 {
		r.NotBefore = now
	}
	r.Flags |= postern.FlagDeleted
	s.mu.Unlock()
}

// removeLocked takes out a record and unlocks its shard.
func (x *index) removeLocked(s *shard, slot uint32, r *record) {
	old := r.Credential
	delete(s.watches, old.Key)
	delete(s.brownouts, old.Key)
	x.countTampered(old.Flags, 0)
	x.digests.replace(&old, &postern.Credential{})
	s.remove(slot, x.seed)
	s.mu.Unlock()
	x.keys.Add(-1)
	x.sets.release(old.Scopes)
	x.networks.release(old.Networks)
}

func (x *index) countTampered(before, after postern.Flags) {
	x.tampered.Add(int64(after&postern.FlagTampered/postern.FlagTampered) - int64(before&postern.FlagTampered/postern.FlagTampered))
}

// bytes is the memory that the index takes.
func (x *index) bytes() int64 {
	n := int64(unsafe.Sizeof(*x)) + x.sets.bytes() + x.networks.bytes() + x.digests.bytes()
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		n += s.bytes()
		s.mu.RUnlock()
	}
	return n
}
