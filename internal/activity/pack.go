package activity

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"

	"postern.dev/postern"
)

// A block is stored as a version, a checksum, and sections, each with its length
// in front: the texts (each once, as what it adds to the one before), the shapes
// of its calls, and then column by column what each call has of its own. Most
// questions are answered by the shapes alone, for a whole block at once.
const (
	blockVersion = 1
	blockHead    = 1 + 4 // version and checksum
	// maxBlockCalls and maxBlockText are what a sound block never exceeds.
	maxBlockCalls = 1 << 13
	maxBlockText  = 16 << 20
)

// blockCalls is how many calls a block holds at most. A test makes it small.
var blockCalls = 512

// The sections of a block, in their order.
const (
	secTexts = iota
	secShapes
	secSeqs
	secTimes
	secCalls // which shape
	secPaths // which text
	secDurations
	secIn
	secOut
	secRequests
	sections
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// block is a packed block: a row of activity_blocks, but for what numbers start from.
type block struct {
	account         postern.AccountID
	firstSeq, seq   int64
	firstAt, lastAt postern.Micros
	calls           int64
	data            []byte
	keys            []blockKey
}

// blockKey is of when the first and the last call of a key in a block are.
type blockKey struct {
	key         postern.KeyID
	first, last postern.Micros
}

// packs counts the blocks that were begun, so that facts can tell which they are in.
var packs atomic.Uint64

// packer makes blocks of calls.
type packer struct {
	made   uint64 // the number of the block that is being made, among all that any packer made
	now    block  // the one that is being made; calls is 0 where there is none
	lastAt postern.Micros
	texts  map[string]uint64
	text   string // the latest of them
	path   string // of the latest call, and which text it is
	pathID uint64
	shapes uint64
	keys   map[postern.KeyID]int // where in now.keys
	key    int                   // of the latest call
	sec    [sections][]byte
	out    []block
}

// pack packs the calls of records: those of accounts are numbered from 1 in their
// order, those of strangers, whose account has no name, by themselves.
func (p *packer) pack(records []record) []block {
	type place struct{ record, number int32 }
	var groups [][]place // by account
	of := map[postern.AccountID]int{}
	number, stranger, group, account := int32(0), int32(0), -1, postern.AccountID("")
	for i := range records {
		f := records[i].facts
		if group < 0 || f.account != account {
			var ok bool
			account = f.account
			if group, ok = of[account]; !ok {
				group = len(groups)
				of[account] = group
				groups = append(groups, make([]place, 0, min(len(records)-i, 64)))
			}
		}
		n := &number
		if f.stranger() {
			n = &stranger
		}
		*n++
		groups[group] = append(groups[group], place{int32(i), *n})
	}
	p.out = nil
	for _, places := range groups {
		for _, at := range places {
			p.add(int64(at.number), &records[at.record])
		}
		p.finish()
	}
	return p.out
}

// add adds a call of the account whose others are being packed.
func (p *packer) add(seq int64, r *record) {
	b := &p.now
	if b.calls > 0 && (b.calls >= int64(blockCalls) || r.at/hour != b.firstAt/hour) {
		p.finish()
	}
	if b.calls == 0 {
		p.begin(seq, r)
	}
	p.sec[secSeqs] = binary.AppendUvarint(p.sec[secSeqs], uint64(seq-b.seq))
	p.sec[secTimes] = binary.AppendVarint(p.sec[secTimes], int64(r.at-p.lastAt))
	b.seq, p.lastAt = seq, r.at
	b.firstAt, b.lastAt = min(b.firstAt, r.at), max(b.lastAt, r.at)
	b.calls++
	p.sec[secCalls] = binary.AppendUvarint(p.sec[secCalls], p.shape(r.facts))
	if r.path != p.path {
		p.path, p.pathID = r.path, p.textOf(r.path)
	}
	p.sec[secPaths] = binary.AppendUvarint(p.sec[secPaths], p.pathID)
	p.sec[secDurations] = binary.AppendUvarint(p.sec[secDurations], uint64(r.duration))
	p.sec[secIn] = binary.AppendUvarint(p.sec[secIn], uint64(r.bytesIn))
	p.sec[secOut] = binary.AppendUvarint(p.sec[secOut], uint64(r.bytesOut))
	p.sec[secRequests] = appendRequest(p.sec[secRequests], r.request)
	p.keyAt(r)
}

// begin begins a block with a call. The first number is counted from, and so is
// the start of the hour, which no call of the block is before.
func (p *packer) begin(seq int64, r *record) {
	p.made = packs.Add(1)
	p.now = block{account: r.facts.account, firstSeq: seq, seq: seq, firstAt: r.at, lastAt: r.at, keys: p.now.keys[:0:0]}
	p.lastAt = r.at - r.at%hour
	if p.texts == nil {
		p.texts, p.keys = map[string]uint64{}, map[postern.KeyID]int{}
	}
	clear(p.texts)
	clear(p.keys)
	p.shapes, p.text, p.key = 0, "", -1
	for i := range p.sec {
		p.sec[i] = p.sec[i][:0]
	}
	p.path, p.pathID = r.path, p.textOf(r.path)
}

// keyAt notes when a key called.
func (p *packer) keyAt(r *record) {
	id := r.facts.key
	if id == "" {
		return
	}
	keys := p.now.keys
	if p.key < 0 || keys[p.key].key != id {
		i, ok := p.keys[id]
		if !ok {
			i = len(keys)
			p.keys[id] = i
			keys = append(keys, blockKey{id, r.at, r.at})
			p.now.keys = keys
		}
		p.key = i
	}
	k := &keys[p.key]
	k.first, k.last = min(k.first, r.at), max(k.last, r.at)
}

// textOf gives the number of a text in the block, which it adds where it isn't there.
func (p *packer) textOf(s string) uint64 {
	n, ok := p.texts[s]
	if ok {
		return n
	}
	n = uint64(len(p.texts))
	p.texts[s] = n
	same := 0
	for same < len(s) && same < len(p.text) && s[same] == p.text[same] {
		same++
	}
	b := binary.AppendUvarint(p.sec[secTexts], uint64(same))
	b = binary.AppendUvarint(b, uint64(len(s)-same))
	p.sec[secTexts] = append(b, s[same:]...)
	p.text = s
	return n
}

// shape gives the number of a shape in the block, which it adds where it isn't there.
func (p *packer) shape(f *facts) uint64 {
	if f.block == p.made {
		return f.index
	}
	f.block, f.index = p.made, p.shapes
	p.shapes++
	b := p.sec[secShapes]
	for _, s := range [...]string{string(f.key), f.kind.String(), string(f.member), string(f.upstream), f.operation, f.method,
		f.reason.String(), f.would.String(), f.missing, f.used, f.door, f.ip, f.agent} {
		b = binary.AppendUvarint(b, p.textOf(s))
	}
	b = binary.AppendUvarint(b, uint64(f.generation))
	b = binary.AppendUvarint(b, uint64(f.status)<<1|uint64(bit(f.allowed)))
	p.sec[secShapes] = b
	return f.index
}

// finish ends the block that is being made, if there is one.
func (p *packer) finish() {
	b := p.now
	if b.calls == 0 {
		return
	}
	n := blockHead + 3*binary.MaxVarintLen32 + sections*binary.MaxVarintLen32
	for _, s := range p.sec {
		n += len(s)
	}
	data := append(make([]byte, 0, n), blockVersion, 0, 0, 0, 0)
	data = binary.AppendUvarint(data, uint64(b.calls))
	data = binary.AppendUvarint(data, uint64(len(p.texts)))
	data = binary.AppendUvarint(data, p.shapes)
	for _, s := range p.sec {
		data = binary.AppendUvarint(data, uint64(len(s)))
	}
	for _, s := range p.sec {
		data = append(data, s...)
	}
	binary.LittleEndian.PutUint32(data[1:], crc32.Checksum(data[blockHead:], castagnoli))
	b.data = data
	p.out = append(p.out, b)
	p.now = block{}
}

// A request ID is its length, doubled, and its text; or 1 and 16 bytes, where it is a UUID as most are.

const uuidLen = 36

func appendRequest(b []byte, s string) []byte {
	if id, ok := parseUUID(s); ok {
		return append(append(b, 1), id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

func parseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != uuidLen || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	n := 0
	for i := 0; i < uuidLen; i += 2 {
		if s[i] == '-' {
			i++
		}
		hi, lo := unhex[s[i]], unhex[s[i+1]]
		if hi|lo > 15 {
			return id, false
		}
		id[n] = hi<<4 | lo
		n++
	}
	return id, true
}

func uuidText(id []byte) string {
	const digits = "0123456789abcdef"
	var t [uuidLen]byte
	at := 0
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			t[at] = '-'
			at++
		}
		t[at], t[at+1] = digits[c>>4], digits[c&15]
		at += 2
	}
	return string(t[:])
}

// unhex is the value of a lower-case hexadecimal digit, and 255 of any other byte.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['a'+i] = byte(10 + i)
	}
	return t
}()
