package activity

import (
	"context"
	"database/sql"
	"fmt"

	"postern.dev/postern"
)

// A server with little to do writes blocks of a call or two. merger puts those
// that follow each other into one, up to blockCalls. Numbers and times of calls
// stay, so every cursor stays what it was.

const (
	// mergePage is how many blocks are looked at in one go.
	mergePage = 2000
	// lateCalls is how long after its end an hour still gets calls.
	lateCalls = 10 * 60 * 1_000_000
)

// merger remembers how far blocks need no more merging.
type merger struct{ seq int64 }

// run is of blocks that may become one: of one account and hour, each following the one before.
type mergeRun struct {
	account postern.AccountID
	seqs    []int64
	from    int64 // the first number
	hour    postern.Micros
	calls   int64
}

// run merges what can be merged now.
func (m *merger) run(ctx context.Context, l *Log) error {
	open := map[postern.AccountID]*mergeRun{}
	for seq := m.seq; ; {
		blocks, err := collect(ctx, l, func(rows *sql.Rows, b *block) error {
			return rows.Scan(&b.account, &b.firstSeq, &b.seq, &b.firstAt, &b.calls)
		}, `select account_id, first_seq, seq, first_at, calls from activity_blocks where seq > $1 order by seq limit $2`, seq, mergePage)
		if err != nil {
			return err
		}
		for i := range blocks {
			b := &blocks[i]
			r := open[b.account]
			if r != nil && (b.firstAt/hour*hour != r.hour || r.calls+b.calls > int64(blockCalls)) {
				if err := l.merge(ctx, r); err != nil {
					return err
				}
				r = nil
				delete(open, b.account)
			}
			switch {
			case r != nil:
				r.seqs, r.calls = append(r.seqs, b.seq), r.calls+b.calls
			case b.calls <= int64(blockCalls)*3/4: // for a few more it isn't worth while
				open[b.account] = &mergeRun{b.account, []int64{b.seq}, b.firstSeq, b.firstAt - b.firstAt%hour, b.calls}
			}
			seq = b.seq
		}
		if len(blocks) < mergePage {
			m.seq = seq
			break
		}
	}
	now := postern.ToMicros(l.cfg.Now())
	for _, r := range open {
		if r.hour+hour+lateCalls > now {
			m.seq = min(m.seq, r.from-1) // it may still grow
		} else if err := l.merge(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// merge makes one block of several, unless they changed meanwhile or can't be read.
func (l *Log) merge(ctx context.Context, r *mergeRun) error {
	if len(r.seqs) < 2 {
		return nil
	}
	defer pause(ctx)
	err := l.pool.Write(ctx, func(tx *sql.Tx) error {
		if err := l.lockHead(ctx, tx); err != nil {
			return err
		}
		if kept, err := inSpan(ctx, tx, r.account, r.seqs[0]); err != nil || kept {
			return err
		}
		rows, err := scanAll(ctx, tx, scanBlock, `select `+blockColumns+` from activity_blocks b
			where account_id = $1 and seq >= $2 and seq <= $3 and last_at >= $4 and last_at < $5 order by seq`,
			[]any{string(r.account), r.seqs[0], r.seqs[len(r.seqs)-1], int64(r.hour), int64(r.hour + hour)})
		if err != nil || len(rows) != len(r.seqs) || rows[0].firstSeq != r.from {
			return err
		}
		blocks, err := repack(rows)
		if err != nil {
			l.cfg.Logger.Error("activity: blocks of calls can't be read and are not merged", "account", string(r.account), "first", r.from, "err", err)
			return nil
		}
		if err := l.deleteBlocks(ctx, tx, rows); err != nil {
			return err
		}
		return l.insertBlocks(ctx, tx, nil, blocks, 0)
	})
	if err != nil {
		return fmt.Errorf("activity: merge blocks of %s: %w", r.account, err)
	}
	return nil
}

// repack packs the calls of some blocks of an account anew.
func repack(rows []blockRow) ([]block, error) {
	var p packer
	shapes := map[shape]*facts{}
	for i := range rows {
		u, err := unpack(&rows[i].block)
		if err == nil {
			err = u.each(func(c *call) {
				f := &u.shapes[c.shape]
				if first, ok := shapes[f.shape]; ok {
					f = first
				} else {
					shapes[f.shape] = f
				}
				p.add(c.seq, &record{at: c.at, facts: f, duration: c.duration, bytesIn: c.in, bytesOut: c.out, path: c.path, request: c.id()})
			})
		}
		if err != nil {
			return nil, err
		}
	}
	p.finish()
	return p.out, nil
}
