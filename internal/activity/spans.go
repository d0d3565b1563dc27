package activity

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// spanBlocks is how many blocks a span has. A test makes it small.
var spanBlocks = 128

var (
	spansTable    = table{name: "activity_spans", columns: "account_id, last_seq, first_seq, first_at, last_at, places"}
	spanBitsTable = table{name: "activity_span_bits", columns: "account_id, chunk, last_seq, bits"}
)

// makeSpans makes the spans that can be made now, of blocks that need no more
// merging: those up to a number, and those that are nearly full anyway.
func (l *Log) makeSpans(ctx context.Context, merged int64) error {
	type pile struct {
		account postern.AccountID
		after   int64
	}
	piles, err := collect(ctx, l, func(rows *sql.Rows, p *pile) error { return rows.Scan(&p.account, &p.after) }, `
		select b.account_id, coalesce(max(s.n), 0) from activity_blocks b
		left join (select account_id, max(last_seq) as n from activity_spans group by account_id) s on s.account_id = b.account_id
		where b.seq > coalesce(s.n, 0) group by b.account_id having count(*) >= $1`, spanBlocks)
	if err != nil {
		return fmt.Errorf("activity: look for blocks without a span: %w", err)
	}
	for _, p := range piles {
		for after := p.after; ctx.Err() == nil; {
			next, err := l.makeSpan(ctx, p.account, after, merged)
			if err != nil {
				return fmt.Errorf("activity: make a span of %s: %w", p.account, err)
			}
			if next == 0 {
				break
			}
			after = next
			pause(ctx)
		}
	}
	return nil
}

// makeSpan makes the next span of an account and returns its last number, or 0
// where there is none yet.
func (l *Log) makeSpan(ctx context.Context, account postern.AccountID, after, merged int64) (int64, error) {
	heads, err := collect(ctx, l, func(rows *sql.Rows, b *blockRow) error { return rows.Scan(&b.firstSeq, &b.seq, &b.calls) },
		`select first_seq, seq, calls from activity_blocks where account_id = $1 and seq > $2 order by seq limit $3`, string(account), after, spanBlocks)
	if err != nil || len(heads) < spanBlocks {
		return 0, err
	}
	first, last, calls := &heads[0], &heads[spanBlocks-1], int64(0)
	for i := range heads {
		calls += heads[i].calls
	}
	if last.seq > merged && calls < int64(spanBlocks*blockCalls)*3/4 {
		return 0, nil
	}
	s := newSpan(account)
	for i := 0; i < spanBlocks; i += lookBlocks.most {
		rows, err := collect(ctx, l, scanBlock, `select `+blockColumns+` from activity_blocks b
			where account_id = $1 and seq >= $2 and seq <= $3 order by seq`, string(account), heads[i].seq, heads[min(i+lookBlocks.most, spanBlocks)-1].seq)
		if err != nil {
			return 0, err
		}
		for i := range rows {
			s.add(l, &rows[i])
		}
	}
	if s.blocks != spanBlocks {
		return 0, nil // merged meanwhile
	}
	return last.seq, l.insertSpan(ctx, s, first.firstSeq, last.seq)
}

// span is a span that is being made.
type span struct {
	account         postern.AccountID
	blocks          int
	width           int // bytes of a row
	bits            []byte
	places          []byte
	firstAt, lastAt postern.Micros
}

func newSpan(account postern.AccountID) *span {
	w := (spanBlocks + 7) / 8
	return &span{account: account, width: w, bits: make([]byte, signatureBits*w)}
}

func (s *span) add(l *Log, b *blockRow) {
	n := s.blocks
	s.blocks++
	if n == 0 {
		s.firstAt, s.lastAt = b.firstAt, b.lastAt
	}
	s.firstAt, s.lastAt = min(s.firstAt, b.firstAt), max(s.lastAt, b.lastAt)
	s.places = binary.AppendUvarint(s.places, uint64(b.seq))
	s.places = binary.AppendUvarint(s.places, uint64(b.firstAt))
	s.places = binary.AppendUvarint(s.places, uint64(b.lastAt-b.firstAt))
	if n >= spanBlocks {
		return
	}
	// Of a broken block some terms may be missing, and nobody could read its calls.
	l.open(b, func(u *unpacked) error {
		return u.terms(func(t term) {
			for _, row := range t.rows() {
				s.bits[row*s.width+n/8] |= 1 << (n % 8)
			}
		})
	})
}

// insertSpan stores a span, unless its blocks changed meanwhile or another node was first.
func (l *Log) insertSpan(ctx context.Context, s *span, firstSeq, lastSeq int64) error {
	return l.pool.Write(ctx, func(tx *sql.Tx) error {
		if err := l.lockHead(ctx, tx); err != nil {
			return err
		}
		var blocks, spans int
		if err := tx.QueryRowContext(ctx, `select (select count(*) from activity_blocks where account_id = $1 and first_seq >= $2 and seq <= $3),
			(select count(*) from activity_spans where account_id = $1 and last_seq >= $2)`, string(s.account), firstSeq, lastSeq).Scan(&blocks, &spans); err != nil {
			return err
		}
		if blocks != spanBlocks || spans > 0 {
			return nil
		}
		if err := spansTable.insert(ctx, tx, l.pool.Engine, []any{string(s.account), lastSeq, firstSeq, int64(s.firstAt), int64(s.lastAt), s.places}); err != nil {
			return err
		}
		var args []any
		none := make([]byte, chunkRows*s.width)
		for i := range signatureBits / chunkRows {
			if chunk := s.bits[i*chunkRows*s.width : (i+1)*chunkRows*s.width]; !bytes.Equal(chunk, none) {
				args = append(args, string(s.account), i, lastSeq, chunk)
			}
		}
		return spanBitsTable.insert(ctx, tx, l.pool.Engine, args)
	})
}

// inSpan reports whether a number is in a span, so that its block stays as it is.
func inSpan(ctx context.Context, tx *sql.Tx, account postern.AccountID, seq int64) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `select count(*) from activity_spans where account_id = $1 and last_seq >= $2`, string(account), seq).Scan(&n)
	return n > 0, err
}

// places lists the blocks that may hold calls which pass, by the place that they
// reach to, newest first: those of spans that have all terms, and all that are in
// no span. ok is false where there is no span.
func (l *Log) places(ctx context.Context, tx *sql.Tx, test *test, terms []term, after, reach Cursor) (out []blockRow, ok bool, err error) {
	spans, err := scanAll(ctx, tx, func(rows *sql.Rows, s *spanRow) error { return rows.Scan(&s.lastSeq, &s.places) },
		`select last_seq, places from activity_spans where account_id = $1 and last_at >= $2 and first_at <= $3`,
		[]any{string(test.Account), micros(test.Since), int64(after.At)})
	if err != nil || len(spans) == 0 {
		return nil, false, err
	}
	bits, err := l.spanBits(ctx, tx, test.Account, terms, spans)
	if err != nil {
		return nil, false, err
	}
	since := postern.Micros(micros(test.Since))
	add := func(b blockRow) {
		b.reach = Cursor{b.lastAt, b.seq}
		if b.lastAt >= since && b.firstAt <= after.At && b.reach.before(reach) {
			out = append(out, b)
		}
	}
	for _, s := range spans {
		r := reader{b: s.places}
		for n := 0; len(r.b) > 0 && !r.bad; n++ {
			b := blockRow{block: block{seq: r.positive(), firstAt: postern.Micros(r.positive())}}
			b.lastAt = b.firstAt + postern.Micros(r.positive())
			if some := bits[s.lastSeq]; n/8 < len(some) && some[n/8]>>(n%8)&1 == 1 {
				add(b)
			}
		}
	}
	rest, err := scanAll(ctx, tx, func(rows *sql.Rows, b *blockRow) error { return rows.Scan(&b.seq, &b.firstAt, &b.lastAt) },
		`select seq, first_at, last_at from activity_blocks where account_id = $1 and last_at >= $2 and first_at <= $3
			and seq > (select max(last_seq) from activity_spans where account_id = $1)`, []any{string(test.Account), micros(test.Since), int64(after.At)})
	if err != nil {
		return nil, false, err
	}
	for _, b := range rest {
		add(b)
	}
	slices.SortFunc(out, func(a, b blockRow) int {
		return cmp.Or(cmp.Compare(b.reach.At, a.reach.At), cmp.Compare(b.reach.Seq, a.reach.Seq))
	})
	return out, true, nil
}

type spanRow struct {
	lastSeq int64
	places  []byte
}

// spanBits gives for each span the blocks that may have all terms, as bits.
func (l *Log) spanBits(ctx context.Context, tx *sql.Tx, account postern.AccountID, terms []term, spans []spanRow) (map[int64][]byte, error) {
	rows := map[int]bool{}
	chunks := map[int]bool{}
	for _, t := range terms {
		for _, r := range t.rows() {
			rows[r] = true
			chunks[r/chunkRows] = true
		}
	}
	from, to := spans[0].lastSeq, spans[0].lastSeq
	out := make(map[int64][]byte, len(spans))
	seen := make(map[int64]int, len(spans))
	width := (spanBlocks + 7) / 8
	for _, s := range spans {
		from, to = min(from, s.lastSeq), max(to, s.lastSeq)
		out[s.lastSeq] = bytes.Repeat([]byte{0xff}, width)
	}
	args := []any{string(account), from, to}
	var in strings.Builder
	for c := range chunks {
		if in.Len() > 0 {
			in.WriteString(", ")
		}
		args = append(args, c)
		in.WriteString("$" + strconv.Itoa(len(args)))
	}
	type piece struct {
		chunk   int
		lastSeq int64
		bits    []byte
	}
	// Row by row, since a filter of many terms has many chunks.
	found, err := tx.QueryContext(ctx, `select chunk, last_seq, bits from activity_span_bits
		where account_id = $1 and last_seq >= $2 and last_seq <= $3 and chunk in (`+in.String()+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var p piece
		if err := found.Scan(&p.chunk, &p.lastSeq, &p.bits); err != nil {
			return nil, err
		}
		all := out[p.lastSeq]
		if all == nil || len(p.bits) != chunkRows*width {
			continue
		}
		seen[p.lastSeq]++
		for i := range chunkRows {
			if rows[p.chunk*chunkRows+i] {
				for j, b := range p.bits[i*width : (i+1)*width] {
					all[j] &= b
				}
			}
		}
	}
	for seq := range out {
		if seen[seq] < len(chunks) {
			clear(out[seq]) // a chunk that isn't stored has no bit
		}
	}
	return out, found.Err()
}

// blocksAt reads blocks by their places.
func (l *Log) blocksAt(ctx context.Context, tx *sql.Tx, account postern.AccountID, places []blockRow) ([]blockRow, error) {
	from, to := places[0].lastAt, places[0].lastAt
	args := []any{string(account), int64(0), int64(0)}
	var in strings.Builder
	for i, p := range places {
		from, to = min(from, p.lastAt), max(to, p.lastAt)
		if i > 0 {
			in.WriteString(", ")
		}
		args = append(args, p.seq)
		in.WriteString("$" + strconv.Itoa(len(args)))
	}
	args[1], args[2] = int64(from), int64(to)
	return scanAll(ctx, tx, scanBlock, `select `+blockColumns+` from activity_blocks b
		where account_id = $1 and last_at >= $2 and last_at <= $3 and seq in (`+in.String()+`) order by last_at desc, seq desc`, args)
}
