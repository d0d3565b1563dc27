package activity

import (
	"encoding/binary"
	"fmt"
	"math"

	"postern.dev/postern"
)

// A frame is what was taken out of the buffers at one time, packed: the unit that
// the spool holds. Its calls are numbered from 1 within it, those of strangers
// apart, since only calls of accounts get numbers.

// frame is a frame that waits for the database.
type frame struct {
	writer string
	batch  int64 // its number among its writer's, from 1 without gaps
	calls  int64 // also of strangers
	oldest postern.Micros
	size   int
	body   *body    // nil where it has to be read from the spool
	seg    *segment // where it is spooled; nil where it is not
	off    int64
}

// body is what a frame holds.
type body struct {
	at     postern.Micros // when it was made
	losses map[postern.Reason]uint64
	blocks []block // calls of strangers are of the account without a name
}

// numbered is how many calls of accounts a body has.
func (b *body) numbered() (n int64) {
	for i := range b.blocks {
		if b.blocks[i].account != "" {
			n += b.blocks[i].calls
		}
	}
	return n
}

// appendBody appends the bytes of a frame.
func appendBody(out []byte, batch int64, b *body) []byte {
	text := func(s string) {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	num := func(n int64) { out = binary.AppendUvarint(out, uint64(n)) }
	num(batch)
	num(int64(b.at))
	num(int64(len(b.losses)))
	for r, n := range b.losses {
		text(r.String())
		num(int64(n))
	}
	num(int64(len(b.blocks)))
	for i := range b.blocks {
		k := &b.blocks[i]
		text(string(k.account))
		for _, n := range [...]int64{k.firstSeq, k.seq, int64(k.firstAt), int64(k.lastAt), k.calls, int64(len(k.keys))} {
			num(n)
		}
		for _, key := range k.keys {
			text(string(key.key))
			num(int64(key.first - k.firstAt))
			num(int64(key.last - k.firstAt))
		}
		num(int64(len(k.data)))
		out = append(out, k.data...)
	}
	return out
}

// parseBody reads what appendBody wrote. Whatever the bytes are, it returns. The
// blocks' data are parts of them.
func parseBody(data []byte) (batch int64, b *body, err error) {
	r := reader{b: data}
	text := func() string { return string(r.bytes(r.uvarint())) }
	b = &body{}
	batch, b.at = r.positive(), postern.Micros(r.positive())
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		reason, _ := postern.ParseReason(text())
		if b.losses == nil {
			b.losses = map[postern.Reason]uint64{}
		}
		b.losses[reason] += uint64(r.positive())
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		k := block{account: postern.AccountID(text()), firstSeq: r.positive(), seq: r.positive(),
			firstAt: postern.Micros(r.positive()), lastAt: postern.Micros(r.positive()), calls: r.positive()}
		for m := r.uvarint(); m > 0 && !r.bad; m-- {
			k.keys = append(k.keys, blockKey{postern.KeyID(text()), k.firstAt + postern.Micros(r.positive()), k.firstAt + postern.Micros(r.positive())})
		}
		k.data = r.bytes(r.uvarint())
		b.blocks = append(b.blocks, k)
	}
	if r.bad || len(r.b) > 0 || batch <= 0 {
		return 0, nil, fmt.Errorf("%w: a frame's fields are wrong", errBroken)
	}
	return batch, b, nil
}

// calls and oldest of a body.
func (b *body) extent() (calls int64, oldest postern.Micros) {
	oldest = math.MaxInt64
	for i := range b.blocks {
		calls += b.blocks[i].calls
		oldest = min(oldest, b.blocks[i].firstAt)
	}
	if calls == 0 {
		oldest = b.at
	}
	return calls, oldest
}
