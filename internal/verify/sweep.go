package verify

import "postern.dev/postern"

// beginSweep starts to note which records are put from now on; endSweep then
// takes out the others. Between the two stands the reading of all rows.
func (x *index) beginSweep() {
	x.sweeping.Lock()
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		s.seen = make([]uint64, (s.used+63)/64, s.used/64+2)
		s.mu.Unlock()
	}
}

// endSweep takes out the records that were not put since beginSweep, if drop
// says so: all rows were read. Those that are known to be ended stay.
func (x *index) endSweep(drop bool) {
	defer x.sweeping.Unlock()
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		seen := s.seen
		s.seen = nil
		var unseen [][postern.KeyIDLen]byte
		for _, v := range s.slots {
			if v == 0 || !drop {
				continue
			}
			place := v&placeMask - 1
			if r := s.at(place); !marked(seen, place) && r.Flags&ended == 0 {
				unseen = append(unseen, r.Key)
			}
		}
		s.mu.Unlock()
		for k := range unseen {
			x.drop(&unseen[k], func(*postern.Credential) bool { return true })
		}
	}
}

// drop takes out a record if the condition still holds for it.
func (x *index) drop(key *[postern.KeyIDLen]byte, cond func(*postern.Credential) bool) {
	h := x.seed.of(key)
	s := &x.shards[h>>56]
	s.mu.Lock()
	slot, r := s.find(h, key)
	if r == nil || !cond(&r.Credential) {
		s.mu.Unlock()
		return
	}
	x.removeLocked(s, slot, r)
}

// dropExpired takes OAuth access tokens out of one shard that expired before a
// time. They live for minutes and are made by the thousand; other kinds stay, so
// that their holders are told that they expired.
func (x *index) dropExpired(shard uint8, before postern.Micros) {
	s := &x.shards[shard]
	old := func(c *postern.Credential) bool {
		return c.Kind == postern.KindOAuthAccess && c.ExpiresAt != 0 && c.ExpiresAt < before
	}
	var keys [][postern.KeyIDLen]byte
	s.mu.RLock()
	for _, v := range s.slots {
		if v == 0 {
			continue
		}
		if r := s.at(v&placeMask - 1); old(&r.Credential) {
			keys = append(keys, r.Key)
		}
	}
	s.mu.RUnlock()
	for i := range keys {
		x.drop(&keys[i], old)
	}
}
