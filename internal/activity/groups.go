package activity

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"postern.dev/postern"
)

// groupSpans is how many spans a group has: as many as leave a row of its bits
// short enough for both engines to hold it in a page. A test makes it small.
var groupSpans = 56

// groupStep is about how many bytes of a group one transaction puts together, or takes away.
const groupStep = 512 << 10

const (
	groupBeingMade = 0
	groupInUse     = 1 // its spans' own bits may still be there
	groupDone      = 2
	groupGoing     = 3
)

var (
	groupsTable    = table{name: "activity_groups", columns: "account_id, last_seq, first_at, last_at, state, spans"}
	groupBitsTable = table{name: "activity_group_bits", columns: "account_id, bit, last_seq, blocks", conflict: "on conflict (account_id, bit, last_seq) do nothing"}
)

// group is a row of activity_groups, with its spans in their order.
type group struct {
	account         postern.AccountID
	lastSeq         int64
	firstAt, lastAt postern.Micros
	state           int
	packed          []byte
	spans           []spanRow
}

// spanRow is a span without its bits.
type spanRow struct {
	lastSeq         int64
	firstAt, lastAt postern.Micros
	blocks          []byte // which of its blocks may hold what is looked for, as bits
}

const groupColumns = `account_id, last_seq, first_at, last_at, state, spans`

func scanGroup(rows *sql.Rows, g *group) error {
	if err := rows.Scan(&g.account, &g.lastSeq, &g.firstAt, &g.lastAt, &g.state, &g.packed); err != nil {
		return err
	}
	r := reader{b: g.packed}
	for len(r.b) > 0 && !r.bad {
		s := spanRow{lastSeq: r.positive(), firstAt: postern.Micros(r.positive())}
		s.lastAt = s.firstAt + postern.Micros(r.positive())
		g.spans = append(g.spans, s)
	}
	if r.bad || len(g.spans) == 0 {
		return fmt.Errorf("%w: a group of spans", errBroken)
	}
	return nil
}

// makeGroups goes on with groups that are being made, and begins those that can be.
func (l *Log) makeGroups(ctx context.Context) error {
	for ctx.Err() == nil {
		open, err := collect(ctx, l, scanGroup, `select `+groupColumns+` from activity_groups where state < $1`, groupDone)
		if err != nil {
			return fmt.Errorf("activity: look for groups of spans: %w", err)
		}
		for i := range open {
			if err := l.makeGroup(ctx, &open[i]); err != nil {
				return fmt.Errorf("activity: make a group of %s: %w", open[i].account, err)
			}
		}
		begun, err := l.beginGroups(ctx)
		if err != nil || begun == 0 {
			return err
		}
	}
	return ctx.Err()
}

// beginGroups begins a group of each account that has spans enough.
func (l *Log) beginGroups(ctx context.Context) (begun int, err error) {
	accounts, err := collect(ctx, l, func(rows *sql.Rows, a *postern.AccountID) error { return rows.Scan(a) }, `
		select s.account_id from activity_spans s
		left join (select account_id, max(last_seq) as n from activity_groups group by account_id) g on g.account_id = s.account_id
		where s.last_seq > coalesce(g.n, 0) group by s.account_id having count(*) >= $1`, groupSpans)
	if err != nil {
		return 0, fmt.Errorf("activity: look for spans without a group: %w", err)
	}
	for _, account := range accounts {
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			if err := l.lockHead(ctx, tx); err != nil { // so that two nodes don't begin with different ones
				return err
			}
			spans, err := scanAll(ctx, tx, func(rows *sql.Rows, s *spanRow) error { return rows.Scan(&s.lastSeq, &s.firstAt, &s.lastAt) },
				`select last_seq, first_at, last_at from activity_spans where account_id = $1
					and last_seq > (select coalesce(max(last_seq), 0) from activity_groups where account_id = $1) order by last_seq limit $2`, []any{string(account), groupSpans})
			if err != nil || len(spans) < groupSpans {
				return err
			}
			g := group{firstAt: spans[0].firstAt, lastAt: spans[0].lastAt}
			for _, s := range spans {
				g.firstAt, g.lastAt = min(g.firstAt, s.firstAt), max(g.lastAt, s.lastAt)
				g.packed = binary.AppendUvarint(g.packed, uint64(s.lastSeq))
				g.packed = binary.AppendUvarint(g.packed, uint64(s.firstAt))
				g.packed = binary.AppendUvarint(g.packed, uint64(s.lastAt-s.firstAt))
			}
			return groupsTable.insert(ctx, tx, l.pool.Engine, []any{string(account), spans[len(spans)-1].lastSeq, int64(g.firstAt), int64(g.lastAt), groupBeingMade, g.packed})
		})
		if err != nil {
			return begun, fmt.Errorf("activity: begin a group of %s: %w", account, err)
		}
		begun++
	}
	return begun, nil
}

// makeGroup puts the bits of a group's spans together, in small steps. Whatever
// is done twice, by two nodes or after a crash, comes to the same.
func (l *Log) makeGroup(ctx context.Context, g *group) error {
	const chunks = signatureBits / chunkRows
	step := max(1, groupStep/(chunkRows*len(g.spans)*spanWidth()))
	if g.state == groupBeingMade {
		for chunk := 0; chunk < chunks; chunk += step {
			if err := l.groupBits(ctx, g, chunk, min(chunk+step, chunks)); err != nil {
				return err
			}
			pause(ctx)
		}
		if err := l.groupState(ctx, g, groupBeingMade, groupInUse); err != nil {
			return err
		}
	}
	// Nobody who asks from now on looks at the spans' own bits.
	for chunk := 0; chunk < chunks; chunk += step {
		err := l.pool.Write(ctx, func(tx *sql.Tx) error {
			for c := chunk; c < min(chunk+step, chunks); c++ {
				if _, err := tx.ExecContext(ctx, `delete from activity_span_bits where account_id = $1 and chunk = $2 and last_seq >= $3 and last_seq <= $4`,
					string(g.account), c, g.spans[0].lastSeq, g.lastSeq); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		pause(ctx)
	}
	return l.groupState(ctx, g, groupInUse, groupDone)
}

// groupBits puts some chunks of a group together, unless another node has done it all.
func (l *Log) groupBits(ctx context.Context, g *group, from, to int) error {
	return l.pool.Write(ctx, func(tx *sql.Tx) error {
		var state int
		if err := tx.QueryRowContext(ctx, `select coalesce(max(state), $3) from activity_groups where account_id = $1 and last_seq = $2`,
			string(g.account), g.lastSeq, groupGoing).Scan(&state); err != nil || state != groupBeingMade {
			return err
		}
		var args []any
		for c := from; c < to; c++ {
			rows, err := l.groupChunk(ctx, tx, g, c)
			if err != nil {
				return err
			}
			for i, blocks := range rows {
				if blocks != nil {
					args = append(args, string(g.account), c*chunkRows+i, g.lastSeq, blocks)
				}
			}
		}
		return groupBitsTable.insert(ctx, tx, l.pool.Engine, args)
	})
}

// groupChunk puts one chunk of a group together: a row for each bit, or nil where no block has it.
func (l *Log) groupChunk(ctx context.Context, tx *sql.Tx, g *group, chunk int) (out [chunkRows][]byte, err error) {
	type piece struct {
		lastSeq int64
		bits    []byte
	}
	query, args := `select last_seq, bits from activity_span_bits where account_id = $1 and chunk = $2 and last_seq >= $3 and last_seq <= $4 order by last_seq`,
		[]any{string(g.account), chunk, g.spans[0].lastSeq, g.lastSeq}
	if l.trace != nil {
		l.trace(query, args)
	}
	pieces, err := scanAll(ctx, tx, func(rows *sql.Rows, p *piece) error { return rows.Scan(&p.lastSeq, &p.bits) }, query, args)
	if err != nil {
		return out, err
	}
	w := spanWidth()
	none := make([]byte, w)
	for n := range g.spans {
		if len(pieces) == 0 {
			break
		}
		p := pieces[0]
		if p.lastSeq != g.spans[n].lastSeq {
			continue
		}
		pieces = pieces[1:]
		for i := range min(chunkRows, len(p.bits)/w) {
			if bits := p.bits[i*w : (i+1)*w]; !bytes.Equal(bits, none) {
				if out[i] == nil {
					out[i] = make([]byte, len(g.spans)*w)
				}
				copy(out[i][n*w:], bits)
			}
		}
	}
	return out, nil
}

func (l *Log) groupState(ctx context.Context, g *group, from, to int) error {
	return l.pool.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update activity_groups set state = $1 where account_id = $2 and last_seq = $3 and state = $4`, to, string(g.account), g.lastSeq, from)
		return err
	})
}
