package verify

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// lists keeps short lists once each, however many records have the same one, and
// stands for a list by a number. Number 0 is the empty list. Elements lie in
// chunks without pointers; what was released is reclaimed by writing the living
// lists anew, never in place.
//
// A reader needs no lock of its own, but must hold that of a shard with a record
// that refers to the number: a number is released only after no record has it.
// The elements that it was given stay as they are for ever.
type lists[T comparable] struct {
	view atomic.Pointer[listView[T]]
	seed maphash.Seed

	mu    sync.Mutex
	meta  []listMeta // by number
	table []uint32   // numbers by content, open addressing, 0 is empty
	free  []uint32   // numbers to be given out again
	next  uint32     // the lowest number that was never given out
	n     int        // lists
	tail  int        // elements in the last chunk
	live  int        // elements of living lists
	dead  int        // elements of released ones
}

type listView[T any] struct {
	spans  []span
	chunks [][]T
}

type span struct{ off, n uint32 }

type listMeta struct{ refs, hash uint32 }

// listChunk is the most elements of one list, and the size of a chunk.
const listChunk = 4096

func newLists[T comparable]() *lists[T] {
	l := &lists[T]{seed: maphash.MakeSeed(), next: 1, tail: listChunk,
		meta: make([]listMeta, 16), table: make([]uint32, 16)}
	l.view.Store(&listView[T]{spans: make([]span, 16)})
	return l
}

// at gives the elements of a list.
func (l *lists[T]) at(id uint32) []T {
	if id == 0 {
		return nil
	}
	v := l.view.Load()
	s := v.spans[id]
	lo := s.off % listChunk
	return v.chunks[s.off/listChunk][lo : lo+s.n : lo+s.n]
}

// intern gives the number of a list and counts one reference to it.
func (l *lists[T]) intern(list []T) (uint32, error) {
	if len(list) == 0 {
		return 0, nil
	}
	if len(list) > listChunk {
		return 0, fmt.Errorf("verify: a list of %d elements; the most is %d", len(list), listChunk)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hash(list)
	mask := uint32(len(l.table) - 1)
	i := h & mask
	for ; l.table[i] != 0; i = (i + 1) & mask {
		if id := l.table[i]; l.meta[id].hash == h && slices.Equal(l.at(id), list) {
			l.meta[id].refs++
			return id, nil
		}
	}
	id := l.number()
	off := l.store(list)
	l.view.Load().spans[id] = span{off, uint32(len(list))}
	l.meta[id] = listMeta{refs: 1, hash: h}
	l.n++
	l.live += len(list)
	l.table[i] = id
	if l.n*4 > len(l.table)*3 {
		l.rehash()
	}
	return id, nil
}

// release gives back one reference.
func (l *lists[T]) release(id uint32) {
	if id == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.meta[id].refs--; l.meta[id].refs > 0 {
		return
	}
	l.forget(id)
	size := int(l.view.Load().spans[id].n)
	l.free = append(l.free, id)
	l.n--
	l.live -= size
	l.dead += size
	if l.dead > 4*listChunk && l.dead > l.live {
		l.compact()
	}
}

// number gives an unused number with room for its span.
func (l *lists[T]) number() uint32 {
	if n := len(l.free); n > 0 {
		id := l.free[n-1]
		l.free = l.free[:n-1]
		return id
	}
	if int(l.next) == len(l.meta) {
		l.meta = append(l.meta, make([]listMeta, len(l.meta))...)
		v := l.view.Load()
		spans := make([]span, len(l.meta))
		copy(spans, v.spans)
		l.view.Store(&listView[T]{spans, v.chunks})
	}
	l.next++
	return l.next - 1
}

// store writes elements to the end of the chunks.
func (l *lists[T]) store(list []T) (off uint32) {
	v := l.view.Load()
	if l.tail+len(list) > listChunk {
		if len(v.chunks) > 0 {
			l.dead += listChunk - l.tail
		}
		v = &listView[T]{v.spans, append(slices.Clip(v.chunks), make([]T, listChunk))}
		l.view.Store(v)
		l.tail = 0
	}
	last := len(v.chunks) - 1
	copy(v.chunks[last][l.tail:], list)
	off = uint32(last*listChunk + l.tail)
	l.tail += len(list)
	return off
}

// compact writes the living lists to new chunks. Readers of the old ones keep them.
func (l *lists[T]) compact() {
	old := l.view.Load()
	spans := slices.Clone(old.spans)
	var chunks [][]T
	tail, dead := listChunk, 0
	for id := uint32(1); id < l.next; id++ {
		if l.meta[id].refs == 0 {
			continue
		}
		list := l.at(id)
		if tail+len(list) > listChunk {
			if len(chunks) > 0 {
				dead += listChunk - tail
			}
			chunks = append(chunks, make([]T, listChunk))
			tail = 0
		}
		copy(chunks[len(chunks)-1][tail:], list)
		spans[id].off = uint32((len(chunks)-1)*listChunk + tail)
		tail += len(list)
	}
	l.tail, l.dead = tail, dead
	l.view.Store(&listView[T]{spans, chunks})
}

// forget takes a number out of the table of contents.
func (l *lists[T]) forget(id uint32) {
	mask := uint32(len(l.table) - 1)
	hole := l.meta[id].hash & mask
	for l.table[hole] != id {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; l.table[i] != 0; i = (i + 1) & mask {
		home := l.meta[l.table[i]].hash & mask
		if (i-home)&mask >= (i-hole)&mask {
			l.table[hole] = l.table[i]
			hole = i
		}
	}
	l.table[hole] = 0
}

func (l *lists[T]) rehash() {
	old := l.table
	l.table = make([]uint32, 2*len(old))
	mask := uint32(len(l.table) - 1)
	for _, id := range old {
		if id != 0 {
			i := l.meta[id].hash & mask
			for l.table[i] != 0 {
				i = (i + 1) & mask
			}
			l.table[i] = id
		}
	}
}

func (l *lists[T]) hash(list []T) uint32 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, e := range list {
		maphash.WriteComparable(&h, e)
	}
	return uint32(h.Sum64())
}

// bytes is the memory that the lists take.
func (l *lists[T]) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var e T
	v := l.view.Load()
	return int64(len(v.chunks))*listChunk*int64(unsafe.Sizeof(e)) + int64(len(v.spans))*8 +
		int64(len(l.meta))*8 + int64(len(l.table)+cap(l.free))*4
}
