package activity

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"postern.dev/postern"
)

// How much of a text Record keeps. It is longer than what is stored by a whole
// secret, so that cutting can't leave half of one, which nobody would recognize.
const (
	rawMethod  = 16
	rawPath    = maxPath + postern.MaxSecretLen
	rawAgent   = maxAgent + postern.MaxSecretLen
	rawRequest = maxRequest + postern.MaxSecretLen
	rawMissing = 1024
	rawUsed    = 1024
	// textPerCall is how much text a call has on average, or less, in a buffer that is sized by calls.
	textPerCall = 320
)

// slot is a call in the buffer. Its texts are copied: they may be parts of a
// request's head, which would otherwise be kept whole, query and all.
type slot struct {
	at                                    postern.Micros
	duration                              time.Duration
	bytesIn, bytesOut                     int64
	account                               postern.AccountID
	member                                postern.MemberID
	operation                             *postern.Operation
	door                                  string
	ip                                    netip.Addr
	key                                   [postern.KeyIDLen]byte
	text                                  uint32 // where its texts start, one after the other
	method, path, agent, request, missing uint16 // how long they are
	used                                  uint16
	status                                uint16
	generation                            uint32
	kind                                  postern.Kind
	reason, would                         postern.Reason
	allowed, known                        bool
}

// buffer holds calls up to its capacities, which never grow.
type buffer struct {
	slots []slot
	text  []byte
}

func newBuffer(calls int) *buffer {
	return &buffer{slots: make([]slot, 0, calls), text: make([]byte, 0, max(calls*textPerCall, 4096))}
}

// empty makes a buffer ready for use again, and lets go of what its slots point to.
func (b *buffer) empty() {
	clear(b.slots)
	b.slots, b.text = b.slots[:0], b.text[:0]
}

// put copies a call, or reports that there is no room.
func (b *buffer) put(e *postern.Event) bool {
	n, at := len(b.slots), len(b.text)
	method, path, agent := cut(e.Method, rawMethod), cut(e.Path, rawPath), cut(e.UserAgent, rawAgent)
	request, missing, used := cut(e.RequestID, rawRequest), cut(e.Missing, rawMissing), cut(e.Decision.Used, rawUsed)
	if n == cap(b.slots) || cap(b.text)-at < len(method)+len(path)+len(agent)+len(request)+len(missing)+len(used) {
		return false
	}
	b.slots = b.slots[:n+1]
	s := &b.slots[n]
	d := &e.Decision
	s.at, s.duration, s.bytesIn, s.bytesOut = e.At, e.Duration, e.BytesIn, e.BytesOut
	s.account, s.member, s.operation, s.door, s.ip = d.Account, d.Member, d.Operation, e.Door, e.IP
	s.key, s.generation, s.kind, s.reason, s.would, s.allowed, s.known = d.Key, d.Gen, d.Kind, d.Reason, d.Would, d.Allowed, d.Known
	s.text, s.status = uint32(at), uint16(e.Status)
	s.method, s.path, s.agent = uint16(len(method)), uint16(len(path)), uint16(len(agent))
	s.request, s.missing, s.used = uint16(len(request)), uint16(len(missing)), uint16(len(used))
	t := append(b.text, method...)
	t = append(t, path...)
	t = append(t, agent...)
	t = append(t, request...)
	t = append(t, missing...)
	b.text = append(t, used...)
	return true
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// shard is one of several buffers, so that cores don't wait for each other. The
// lock is held for as long as a copy takes, and by the drain for an exchange of two pointers.
type shard struct {
	mu       sync.Mutex
	buf      *buffer // being filled
	recorded uint64
	spare    *buffer // empty; the drain's
	_        [128 - 40]byte
}

func (s *shard) open(calls int) { s.buf, s.spare = newBuffer(calls), newBuffer(calls) }

// swap takes out what was recorded and leaves an empty buffer. The taken one
// must come back by giveBack before the next swap.
func (s *shard) swap() *buffer {
	s.mu.Lock()
	full := s.buf
	s.buf = s.spare
	s.mu.Unlock()
	return full
}

func (s *shard) giveBack(b *buffer) {
	b.empty()
	s.spare = b
}

func (s *shard) look() (recorded uint64, waiting int, first postern.Micros) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.buf.slots) > 0 {
		first = s.buf.slots[0].at
	}
	return s.recorded, len(s.buf.slots), first
}

// Record takes note of a call. It copies the event, never waits for anything
// but another copy, and doesn't allocate. Where there is no room the call is
// lost, and counted by its reason.
func (l *Log) Record(e *postern.Event) {
	first := rand.Uint32()
	busy := false
	for i := range uint32(len(l.shards)) {
		s := &l.shards[(first+i)&l.mask]
		if !s.mu.TryLock() {
			busy = true
			continue
		}
		if l.put(s, e) {
			return
		}
	}
	if busy {
		s := &l.shards[first&l.mask]
		s.mu.Lock()
		if l.put(s, e) {
			return
		}
	}
	l.lost.add(e.Decision.Reason)
}

// put records in a shard whose lock is held, and unlocks it.
func (l *Log) put(s *shard, e *postern.Event) bool {
	ok := s.buf.put(e)
	n := len(s.buf.slots)
	half := n == cap(s.buf.slots)/2
	if ok {
		s.recorded++
	}
	s.mu.Unlock()
	if half || !ok {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return ok
}
