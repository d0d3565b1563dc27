package activity

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

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
		for after, n := p.after, 0; ctx.Err() == nil; n++ {
			// Many bits that lie apart are slow to add to.
			if n > 0 && n%(2*groupSpans) == 0 {
				if err := l.makeGroups(ctx); err != nil {
					return err
				}
			}
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

// spanWidth is how many bytes of a row are a span's.
func spanWidth() int { return (spanBlocks + 7) / 8 }

func newSpan(account postern.AccountID) *span {
	w := spanWidth()
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
	var rows []int
	l.open(b, func(u *unpacked) error {
		return u.terms(func(t term) {
			rows = t.rows(rows[:0])
			for _, row := range rows {
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
		if err := tx.QueryRowContext(ctx, `select (select count(*) from activity_blocks where account_id = $1 and seq >= $2 and seq <= $3 and first_seq >= $2),
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

// placesOf reads where the blocks of a span are.
func placesOf(places []byte, add func(n int, b blockRow)) {
	r := reader{b: places}
	for n := 0; len(r.b) > 0 && !r.bad; n++ {
		b := blockRow{block: block{seq: r.positive(), firstAt: postern.Micros(r.positive())}}
		b.lastAt = b.firstAt + postern.Micros(r.positive())
		b.reach = Cursor{b.lastAt, b.seq}
		add(n, b)
	}
}

// inSpan reports whether a number is in a span, so that its block stays as it is.
func inSpan(ctx context.Context, tx *sql.Tx, account postern.AccountID, seq int64) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `select count(*) from activity_spans where account_id = $1 and last_seq >= $2`, string(account), seq).Scan(&n)
	return n > 0, err
}
