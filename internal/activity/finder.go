package activity

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

const (
	// listed is how many things one statement asks for: always as many, so that a
	// database sees the same statements again and again.
	listed = 10
	// openFirst is how many groups and spans are asked for their bits in one go, at
	// first: the newest, since most pages are filled by them.
	openFirst = 16
)

// finder finds the blocks that may hold calls which have all of some terms, by
// the place that they reach to, newest first. It opens groups and spans only as far
// as they may reach further than what it has.
type finder struct {
	l      *Log
	tx     *sql.Tx
	test   *test
	after  Cursor
	since  postern.Micros
	bits   []int     // of the terms
	closed []stretch // not asked yet, the oldest first
	spans  []spanRow // that have blocks which may pass, the oldest first
	blocks []blockRow
	many   int
}

// stretch is a group, or a span that is in no group.
type stretch struct {
	lastSeq         int64
	firstAt, lastAt postern.Micros
	group           []spanRow // nil for a span
	blocks          []byte
}

// finder begins to look for blocks. It is nil where there is no span.
func (l *Log) finder(ctx context.Context, tx *sql.Tx, test *test, terms []term, after Cursor) (*finder, error) {
	f := &finder{l: l, tx: tx, test: test, after: after, since: postern.Micros(micros(test.Since)), many: openFirst}
	for _, t := range terms {
		f.bits = t.rows(f.bits)
	}
	account := string(test.Account)
	groups, err := scanAll(ctx, tx, scanGroup, `select `+groupColumns+` from activity_groups where account_id = $1 and state in ($2, $3)`, []any{account, groupInUse, groupDone})
	if err != nil {
		return nil, err
	}
	spans, err := scanAll(ctx, tx, func(rows *sql.Rows, s *stretch) error { return rows.Scan(&s.lastSeq, &s.firstAt, &s.lastAt) },
		`select last_seq, first_at, last_at from activity_spans where account_id = $1
			and last_seq > (select coalesce(max(last_seq), 0) from activity_groups where account_id = $1 and state > $2) order by last_seq`, []any{account, groupBeingMade})
	if err != nil || len(groups)+len(spans) == 0 {
		return nil, err
	}
	spanned := int64(0)
	for i := range groups {
		g := &groups[i]
		f.add(stretch{lastSeq: g.lastSeq, firstAt: g.firstAt, lastAt: g.lastAt, group: g.spans})
		spanned = max(spanned, g.lastSeq)
	}
	for _, s := range spans {
		f.add(s)
		spanned = max(spanned, s.lastSeq)
	}
	slices.SortFunc(f.closed, func(a, b stretch) int { return cmp.Compare(a.lastAt, b.lastAt) })
	f.blocks, err = f.unspanned(ctx, spanned)
	return f, err
}

func (f *finder) add(s stretch) {
	if s.lastAt >= f.since && s.firstAt <= f.after.At {
		f.closed = append(f.closed, s)
	}
}

// unspanned lists the blocks that are in no span yet.
func (f *finder) unspanned(ctx context.Context, spanned int64) ([]blockRow, error) {
	out, err := scanAll(ctx, f.tx, func(rows *sql.Rows, b *blockRow) error { return rows.Scan(&b.seq, &b.firstAt, &b.lastAt) },
		`select seq, first_at, last_at from activity_blocks where account_id = $1 and seq > $2 order by seq`, []any{string(f.test.Account), spanned})
	for i := range out {
		out[i].reach = Cursor{out[i].lastAt, out[i].seq}
	}
	out = slices.DeleteFunc(out, func(b blockRow) bool { return b.lastAt < f.since || b.firstAt > f.after.At })
	slices.SortFunc(out, byReach)
	return out, err
}

// byReach puts those first that reach least far: the end of a list is taken first.
func byReach(a, b blockRow) int {
	return cmp.Or(cmp.Compare(a.reach.At, b.reach.At), cmp.Compare(a.reach.Seq, b.reach.Seq))
}

// next reads up to n of the blocks that may pass. Fewer means that there are no more.
func (f *finder) next(ctx context.Context, n int) (out []blockRow, err error) {
	for len(out) < n {
		places, err := f.places(ctx, n-len(out))
		if err != nil || len(places) == 0 {
			return out, err
		}
		// What is gone meanwhile isn't found.
		seqs := make([]int64, len(places))
		from, to := places[0].lastAt, places[0].lastAt
		for i, p := range places {
			seqs[i], from, to = p.seq, min(from, p.lastAt), max(to, p.lastAt)
		}
		found, err := f.l.blocksAt(ctx, f.tx, f.test.Account, seqs, from, to)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found, func(a, b blockRow) int { return byReach(b, a) })
		out = append(out, found...)
	}
	return out, nil
}

// places takes the next blocks that may pass, newest first.
func (f *finder) places(ctx context.Context, n int) (out []blockRow, err error) {
	for len(out) < n {
		top := postern.Micros(math.MinInt64)
		if k := len(f.blocks); k > 0 {
			top = f.blocks[k-1].reach.At
		}
		span := postern.Micros(math.MinInt64)
		if k := len(f.spans); k > 0 {
			span = f.spans[k-1].lastAt
		}
		switch {
		case len(f.closed) > 0 && f.closed[len(f.closed)-1].lastAt >= max(top, span):
			err = f.openStretches(ctx)
		case len(f.spans) > 0 && span >= top:
			err = f.openSpans(ctx)
		case len(f.blocks) > 0:
			out = append(out, f.blocks[len(f.blocks)-1])
			f.blocks = f.blocks[:len(f.blocks)-1]
		default:
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// openStretches asks the next groups and spans which of their blocks have all terms.
func (f *finder) openStretches(ctx context.Context) error {
	n := min(f.many, len(f.closed))
	f.many *= 2
	open := f.closed[len(f.closed)-n:]
	f.closed = f.closed[:len(f.closed)-n]
	var groups, spans []*stretch
	w := spanWidth()
	for i := range open {
		s := &open[i]
		if s.group != nil {
			groups = append(groups, s)
		} else {
			spans = append(spans, s)
		}
	}
	if err := f.narrow(ctx, groups, 1, `select last_seq, bit, blocks from activity_group_bits where account_id = $1 and last_seq >= $2 and last_seq <= $3 and bit in `); err != nil {
		return err
	}
	if err := f.narrow(ctx, spans, chunkRows, `select last_seq, chunk, bits from activity_span_bits where account_id = $1 and last_seq >= $2 and last_seq <= $3 and chunk in `); err != nil {
		return err
	}
	for _, s := range open {
		if s.group == nil {
			s.group = []spanRow{{lastSeq: s.lastSeq, firstAt: s.firstAt, lastAt: s.lastAt}}
		}
		for i, span := range s.group {
			span.blocks = s.blocks[min(i*w, len(s.blocks)):min((i+1)*w, len(s.blocks))]
			if some(span.blocks) && span.lastAt >= f.since && span.firstAt <= f.after.At {
				f.spans = append(f.spans, span)
			}
		}
	}
	slices.SortFunc(f.spans, func(a, b spanRow) int { return cmp.Compare(a.lastAt, b.lastAt) })
	return nil
}

func some(bits []byte) bool {
	return slices.ContainsFunc(bits, func(b byte) bool { return b != 0 })
}

// narrow finds out which blocks of some stretches have all bits that are looked
// for. perRow is how many bits lie together in a row of the table.
func (f *finder) narrow(ctx context.Context, stretches []*stretch, perRow int, query string) error {
	of := make(map[int64]*stretch, len(stretches))
	from, to := int64(math.MaxInt64), int64(0)
	for _, s := range stretches {
		of[s.lastSeq] = s
		from, to = min(from, s.lastSeq), max(to, s.lastSeq)
	}
	var keys []int
	for _, b := range f.bits {
		keys = append(keys, b/perRow)
	}
	slices.Sort(keys)
	for part := range slices.Chunk(slices.Compact(keys), listed) {
		if len(of) == 0 {
			break
		}
		seen := make(map[int64]int, len(of))
		if err := f.rows(ctx, query, part, from, to, func(seq int64, key int, bits []byte) {
			if s := of[seq]; s != nil {
				seen[seq]++
				s.and(f.bits, key, perRow, bits)
			}
		}); err != nil {
			return err
		}
		for seq, s := range of {
			if seen[seq] < len(part) {
				s.blocks = nil // a row that isn't stored has no bit
			}
			if !some(s.blocks) {
				delete(of, seq)
			}
		}
	}
	return nil
}

// and leaves those blocks of a stretch which a row of the table says have the bits.
func (s *stretch) and(bits []int, key, perRow int, row []byte) {
	w := len(row) / perRow
	for _, b := range bits {
		if b/perRow != key {
			continue
		}
		have := row[b%perRow*w : (b%perRow+1)*w]
		if s.blocks == nil {
			s.blocks = slices.Clone(have)
			continue
		}
		for i := range min(len(s.blocks), len(have)) {
			s.blocks[i] &= have[i]
		}
	}
}

// rows reads the rows of bits with some keys. They are many, so none is kept.
func (f *finder) rows(ctx context.Context, query string, keys []int, from, to int64, fn func(seq int64, key int, bits []byte)) error {
	args := []any{string(f.test.Account), from, to}
	for _, k := range keys {
		args = append(args, k)
	}
	list, args := inList(args, len(keys))
	rows, err := f.tx.QueryContext(ctx, query+list, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var bits sql.RawBytes
	for rows.Next() {
		var seq int64
		var key int
		if err := rows.Scan(&seq, &key, &bits); err != nil {
			return err
		}
		fn(seq, key, bits)
	}
	return rows.Err()
}

// inList is a list of the last n arguments, filled up to as many as such a list
// always has: with the last of them.
func inList(args []any, n int) (string, []any) {
	var in strings.Builder
	first := len(args) - n
	for size := (n + listed - 1) / listed * listed; len(args)-first < size; {
		args = append(args, args[len(args)-1])
	}
	for i := range args[first:] {
		in.WriteString([]string{", $", "($"}[bit(i == 0)])
		in.WriteString(strconv.Itoa(first + i + 1))
	}
	in.WriteByte(')')
	return in.String(), args
}

// openSpans reads where the blocks of the next spans are that may pass.
func (f *finder) openSpans(ctx context.Context) error {
	n := min(listed, len(f.spans))
	open := f.spans[len(f.spans)-n:]
	f.spans = f.spans[:len(f.spans)-n]
	of := map[int64][]byte{}
	args := []any{string(f.test.Account)}
	for _, s := range open {
		of[s.lastSeq] = s.blocks
		args = append(args, s.lastSeq)
	}
	list, args := inList(args, n)
	type row struct {
		lastSeq int64
		places  []byte
	}
	rows, err := scanAll(ctx, f.tx, func(rows *sql.Rows, r *row) error { return rows.Scan(&r.lastSeq, &r.places) },
		`select last_seq, places from activity_spans where account_id = $1 and last_seq in `+list, args)
	if err != nil {
		return err
	}
	for _, r := range rows {
		bits := of[r.lastSeq]
		placesOf(r.places, func(n int, b blockRow) {
			if n/8 < len(bits) && bits[n/8]>>(n%8)&1 == 1 && b.lastAt >= f.since && b.firstAt <= f.after.At {
				f.blocks = append(f.blocks, b)
			}
		})
	}
	slices.SortFunc(f.blocks, byReach)
	return nil
}
