package verify

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"postern.dev/postern"
)

// record is one credential and the state of its burst limit. It holds no
// pointer, so that the collector never looks inside.
type record struct {
	postern.Credential              // guarded by the shard's lock
	burst              atomic.Int64 // see burst.go
}

const (
	// 64 records of 152 bytes fill a size class of the allocator (9,728 bytes)
	// to the last byte.
	chunkLen = 64

	// A slot holds a place in the chunks, plus one, and eight bits of the hash,
	// so that other keys' records are rarely touched while probing.
	placeBits = 24
	placeMask = 1<<placeBits - 1
	tagMask   = ^uint32(placeMask)
)

type chunk [chunkLen]record

// shard is an open-addressing table over chunks of records. Chunks never move,
// so that a pointer to a record's burst state stays good without the lock.
type shard struct {
	mu     sync.RWMutex
	slots  []uint32 // a power of two of them; 0 is empty
	chunks []*chunk
	free   []uint32 // places of removed records
	used   uint32   // places given out, free ones included
	n      int
	// seen has a bit for each place that the present sweep has met; nil while there is none.
	seen []uint64
	// watches are the narrowings that are tried on records with FlagWatched.
	watches map[[postern.KeyIDLen]byte]*watch
	// brownouts are when records with FlagBrownouts are refused. With it the shard is a
	// multiple of a cache line, so that two shards' locks don't share one.
	brownouts map[[postern.KeyIDLen]byte][]postern.Span
}

func (s *shard) at(place uint32) *record { return &s.chunks[place/chunkLen][place%chunkLen] }

// find gives the slot and the record of a key. The caller holds the lock.
func (s *shard) find(h uint64, key *[postern.KeyIDLen]byte) (slot uint32, r *record) {
	if len(s.slots) == 0 {
		return 0, nil
	}
	mask := uint32(len(s.slots) - 1)
	tag := uint32(h>>32) << placeBits
	for i := uint32(h) & mask; ; i = (i + 1) & mask {
		v := s.slots[i]
		if v == 0 {
			return 0, nil
		}
		if v&tagMask == tag {
			if r := s.at(v&placeMask - 1); r.Key == *key {
				return i, r
			}
		}
	}
}

// add makes a record for a key that has none. The caller holds the lock for writing.
func (s *shard) add(h uint64, key *[postern.KeyIDLen]byte, seed hashSeed) *record {
	if (s.n+1)*4 > len(s.slots)*3 {
		s.grow(seed)
	}
	var place uint32
	if n := len(s.free); n > 0 {
		place, s.free = s.free[n-1], s.free[:n-1]
	} else {
		place = s.used
		s.used++
		if int(place/chunkLen) == len(s.chunks) {
			s.chunks = append(s.chunks, new(chunk))
		}
	}
	s.n++
	r := s.at(place)
	r.Credential = postern.Credential{Key: *key}
	r.burst.Store(0)
	s.occupy(h, place)
	s.mark(place)
	return r
}

func (s *shard) occupy(h uint64, place uint32) {
	mask := uint32(len(s.slots) - 1)
	i := uint32(h) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = uint32(h>>32)<<placeBits | (place + 1)
}

func (s *shard) grow(seed hashSeed) {
	old := s.slots
	s.slots = make([]uint32, max(16, 2*len(old)))
	for _, v := range old {
		if v != 0 {
			place := v&placeMask - 1
			s.occupy(seed.of(&s.at(place).Key), place)
		}
	}
}

// remove takes out the record at a slot. What comes after it in its run moves
// up, so that no tombstone slows later searches.
func (s *shard) remove(slot uint32, seed hashSeed) {
	place := s.slots[slot]&placeMask - 1
	s.at(place).Credential = postern.Credential{}
	s.free = append(s.free, place)
	s.n--
	mask := uint32(len(s.slots) - 1)
	hole := slot
	for i := (slot + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		home := uint32(seed.of(&s.at(s.slots[i]&placeMask-1).Key)) & mask
		// It may fill the hole unless its home lies behind the hole.
		if (i-home)&mask >= (i-hole)&mask {
			s.slots[hole] = s.slots[i]
			hole = i
		}
	}
	s.slots[hole] = 0
}

// mark notes that the present sweep has met a place.
func (s *shard) mark(place uint32) {
	if s.seen == nil {
		return
	}
	for int(place/64) >= len(s.seen) {
		s.seen = append(s.seen, 0)
	}
	s.seen[place/64] |= 1 << (place % 64)
}

func marked(seen []uint64, place uint32) bool {
	return int(place/64) < len(seen) && seen[place/64]&(1<<(place%64)) != 0
}

// bytes is the memory that the shard's tables take.
func (s *shard) bytes() int64 {
	return int64(len(s.chunks))*int64(unsafe.Sizeof(chunk{})+8) + int64(cap(s.slots)+cap(s.free))*4
}
