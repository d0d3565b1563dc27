package activity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// errBroken is of a block that isn't what was written.
var errBroken = errors.New("the block is broken")

// unpacked is a block that is being read: its shapes, and its calls once they are asked for.
type unpacked struct {
	row    *block
	texts  []string // parts of one
	shapes []facts
	clones []*postern.Activity // what is shown of a shape, once it was
	sec    [sections]reader
}

// call is one call of an unpacked block; its texts are still parts of the block's.
type call struct {
	at       postern.Micros
	seq      int64
	shape    uint64
	duration int64
	in, out  int64
	path     string
	request  []byte // the request ID: 16 bytes where uuid
	uuid     bool
}

// reader reads numbers and bytes, and notes when there are none.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// positive reads a number that fits into an int64.
func (r *reader) positive() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.bad = true
		return 0
	}
	return int64(v)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// unpackings counts how often a block was unpacked.
var unpackings atomic.Int64

// BlocksRead is how many blocks of calls this process has read so far: what a
// question costs, whatever else the machine does.
func BlocksRead() int64 { return unpackings.Load() }

// unpack reads the texts and shapes of a block. Whatever the bytes are, it
// returns, and what it takes is in proportion to them.
func unpack(row *block) (*unpacked, error) {
	unpackings.Add(1)
	data := row.data
	if len(data) < blockHead {
		return nil, fmt.Errorf("%w: it is too short", errBroken)
	}
	if data[0] != blockVersion {
		return nil, fmt.Errorf("%w: its version is %d", errBroken, data[0])
	}
	if crc32.Checksum(data[blockHead:], castagnoli) != binary.LittleEndian.Uint32(data[1:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errBroken)
	}
	r := reader{b: data[blockHead:]}
	calls, texts, shapes := r.uvarint(), r.uvarint(), r.uvarint()
	if r.bad || calls == 0 || calls > maxBlockCalls || int64(calls) != row.calls || texts > uint64(len(r.b)) || shapes > calls {
		return nil, fmt.Errorf("%w: its head is wrong", errBroken)
	}
	var size [sections]uint64
	for i := range size {
		size[i] = r.uvarint()
	}
	u := &unpacked{row: row}
	for i, n := range size {
		u.sec[i] = reader{b: r.bytes(n)}
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: its sections are wrong", errBroken)
	}
	if !u.readTexts(int(texts)) || !u.readShapes(int(shapes)) {
		return nil, fmt.Errorf("%w: its texts are wrong", errBroken)
	}
	return u, nil
}

func (u *unpacked) readTexts(n int) bool {
	r := &u.sec[secTexts]
	all := make([]byte, 0, min(maxBlockText, 2*len(r.b)))
	ends := make([]int, n)
	before := 0 // where the text before starts
	for i := range ends {
		same, more := r.uvarint(), r.uvarint()
		start := len(all)
		if same > uint64(start-before) || uint64(start)+same+more > maxBlockText {
			return false
		}
		tail := r.bytes(more)
		if r.bad {
			return false
		}
		all = append(append(all, all[before:before+int(same)]...), tail...)
		before, ends[i] = start, len(all)
	}
	whole := string(all)
	u.texts = make([]string, n)
	start := 0
	for i, end := range ends {
		u.texts[i], start = whole[start:end], end
	}
	return len(r.b) == 0
}

func (u *unpacked) text(n uint64, ok *bool) string {
	if n >= uint64(len(u.texts)) {
		*ok = false
		return ""
	}
	return u.texts[n]
}

func (u *unpacked) readShapes(n int) bool {
	r := &u.sec[secShapes]
	u.shapes = make([]facts, n)
	ok := true
	next := func() string { return u.text(r.uvarint(), &ok) }
	for i := range u.shapes {
		f := &u.shapes[i]
		f.account = u.row.account
		f.key = postern.KeyID(next())
		f.kind, _ = postern.ParseKind(next())
		f.member, f.upstream = postern.MemberID(next()), postern.UpstreamID(next())
		f.operation, f.method = next(), next()
		f.reason, _ = postern.ParseReason(next())
		f.would, _ = postern.ParseReason(next())
		f.missing, f.used, f.door, f.ip, f.agent = next(), next(), next(), next(), next()
		f.generation = r.positive()
		status := r.uvarint()
		f.status, f.allowed = int(status>>1&math.MaxUint16), status&1 == 1
		if !ok || r.bad || status>>1 > math.MaxUint16 {
			return false
		}
	}
	return len(r.b) == 0
}

// each calls fn with every call of the block, in the order of their numbers. It
// is called once.
func (u *unpacked) each(fn func(c *call)) error {
	sec := &u.sec
	ok := true
	c := call{seq: u.row.firstSeq, at: u.row.firstAt - u.row.firstAt%hour}
	start := c.at
	for i := range u.row.calls {
		step := sec[secSeqs].uvarint()
		if (step == 0) != (i == 0) || step > uint64(u.row.seq-c.seq) {
			return fmt.Errorf("%w: its numbers are wrong", errBroken)
		}
		c.seq += int64(step)
		c.at += postern.Micros(sec[secTimes].varint())
		if c.at < start || c.at-start >= hour || c.at < u.row.firstAt || c.at > u.row.lastAt {
			return fmt.Errorf("%w: its times are wrong", errBroken)
		}
		c.shape = sec[secCalls].uvarint()
		c.path = u.text(sec[secPaths].uvarint(), &ok)
		c.duration = sec[secDurations].positive()
		c.in, c.out = sec[secIn].positive(), sec[secOut].positive()
		n := sec[secRequests].uvarint()
		if c.uuid = n == 1; c.uuid {
			n = 32
		}
		c.request = sec[secRequests].bytes(n >> 1)
		if n&1 == 1 || !ok || c.shape >= uint64(len(u.shapes)) || c.duration > math.MaxInt64/int64(time.Microsecond) {
			return fmt.Errorf("%w: its calls are wrong", errBroken)
		}
		fn(&c)
	}
	for i := secSeqs; i < sections; i++ {
		if sec[i].bad || len(sec[i].b) > 0 {
			return fmt.Errorf("%w: its columns are wrong", errBroken)
		}
	}
	if c.seq != u.row.seq {
		return fmt.Errorf("%w: its numbers are wrong", errBroken)
	}
	return nil
}

// show is a call as it is answered, of texts of its own: the block can go.
func (u *unpacked) show(c *call) *postern.Activity {
	if u.clones == nil {
		u.clones = make([]*postern.Activity, len(u.shapes))
	}
	if u.clones[c.shape] == nil {
		of := u.shapes[c.shape].clone()
		a := of.activity()
		u.clones[c.shape] = &a
	}
	a := *u.clones[c.shape]
	a.Missing, a.Used = append([]postern.Scope(nil), a.Missing...), append([]postern.Scope(nil), a.Used...)
	a.Seq, a.At, a.Duration = c.seq, c.at.Time(), time.Duration(c.duration)*time.Microsecond
	a.BytesIn, a.BytesOut, a.Path, a.RequestID = c.in, c.out, strings.Clone(c.path), c.id()
	return &a
}

// id is the request ID.
func (c *call) id() string {
	if c.uuid {
		return uuidText(c.request)
	}
	return string(c.request)
}

// keys are those that the block's calls are of, some perhaps twice.
func (u *unpacked) keys() []postern.KeyID {
	var out []postern.KeyID
	for i := range u.shapes {
		if k := u.shapes[i].key; k != "" {
			out = append(out, k)
		}
	}
	return out
}
