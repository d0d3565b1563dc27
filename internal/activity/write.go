package activity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// lot is what one transaction writes: calls in blocks that are numbered from 1,
// all that is made from them, and what was lost.
type lot struct {
	calls  int64 // of accounts, which get numbers
	blocks []block
	sums   *sums
	losses map[lossKey]uint64
}

// lot puts bodies together. Blocks that can't be read are left out, as a reader
// of them would.
func (l *Log) lot(bodies []*body) *lot {
	t := &lot{losses: map[lossKey]uint64{}}
	sum := newSums()
	for _, b := range bodies {
		for r, n := range b.losses {
			t.losses[lossKey{b.at - b.at%hour, r}] += n
		}
		for i := range b.blocks {
			k := b.blocks[i]
			base := t.calls
			row := blockRow{block: k}
			l.open(&row, func(u *unpacked) error {
				for i := range u.shapes {
					u.shapes[i].complete()
				}
				return u.each(func(c *call) { sum.add(base+c.seq, c.at, &u.shapes[c.shape], c.duration, c.in, c.out) })
			})
			if k.account != "" {
				k.firstSeq, k.seq = base+k.firstSeq, base+k.seq
				t.blocks = append(t.blocks, k)
			}
		}
		t.calls += b.numbered()
	}
	if len(bodies) > 1 && t.calls < int64(len(t.blocks)*blockCalls)*3/4 {
		t.join()
	}
	t.sums = l.total(sum)
	return t
}

// join packs the calls of an account and an hour into fewer blocks.
func (t *lot) join() {
	var of []postern.AccountID
	groups := map[postern.AccountID][]blockRow{}
	for _, k := range t.blocks {
		if groups[k.account] == nil {
			of = append(of, k.account)
		}
		groups[k.account] = append(groups[k.account], blockRow{block: k})
	}
	var out []block
	for _, account := range of {
		rows := groups[account]
		if len(rows) > 1 {
			if packed, err := repack(rows); err == nil {
				out = append(out, packed...)
				continue
			}
		}
		for i := range rows {
			out = append(out, rows[i].block)
		}
	}
	t.blocks = out
}

// errWritten is of frames of which some are in the database already.
var errWritten = errors.New("activity: written before")

// write writes frames of one writer, and all that is made from them, in one
// transaction. Frames that are in the database already, because a commit
// succeeded and its answer was lost, or the process was killed before it could
// let go of them, are not written again.
func (l *Log) write(ctx context.Context, frames []*frame, bodies []*body) error {
	for {
		t := l.lot(bodies)
		err := l.writeLot(ctx, frames, t)
		if err == nil {
			l.tellSeen(t.sums)
			return nil
		}
		if !errors.Is(err, errWritten) {
			return err
		}
		have, err := l.written(ctx, frames[0].writer)
		if err != nil {
			return err
		}
		for len(frames) > 0 && frames[0].batch <= have {
			frames, bodies = frames[1:], bodies[1:]
		}
		if len(frames) == 0 {
			return nil
		}
	}
}

// written is the number of a writer's latest frame that is in the database.
func (l *Log) written(ctx context.Context, writer string) (int64, error) {
	have, err := collect(ctx, l, func(rows *sql.Rows, n *int64) error { return rows.Scan(n) },
		`select batch from activity_writers where writer = $1`, writer)
	if err != nil || len(have) == 0 {
		return 0, err
	}
	return have[0], nil
}

func (l *Log) writeLot(ctx context.Context, frames []*frame, t *lot) error {
	return l.inTransaction(ctx, t.blocks, func(tx *sql.Tx, copy store.Copier) error {
		// First, since its lock puts the batches of all nodes in one order: a number is never
		// seen before a smaller one, and no two batches can wait for each other's totals.
		var head int64
		err := tx.QueryRowContext(ctx, `update activity_head set seq = seq + $1 where id = 1 returning seq`, t.calls).Scan(&head)
		if err != nil {
			return fmt.Errorf("number the calls: %w", err)
		}
		if err := l.claim(ctx, tx, frames); err != nil {
			return err
		}
		return l.insertLot(ctx, tx, copy, t, head-t.calls)
	})
}

// inTransaction runs fn in a transaction of whoever loads blocks.
func (l *Log) inTransaction(ctx context.Context, blocks []block, fn func(tx *sql.Tx, copy store.Copier) error) error {
	err := l.makeDays(ctx, blocks)
	if err == nil {
		err = l.pool.Load(ctx, fn)
	}
	if noDay(err) { // another node removed a day that this one knew of
		l.days.forget()
		if err = l.makeDays(ctx, blocks); err == nil {
			err = l.pool.Load(ctx, fn)
		}
	}
	if err != nil && !errors.Is(err, errWritten) {
		return fmt.Errorf("activity: %w", err)
	}
	return err
}

func (l *Log) insertLot(ctx context.Context, tx *sql.Tx, copy store.Copier, t *lot, seq int64) error {
	if err := l.insertBlocks(ctx, tx, copy, t.blocks, seq); err != nil {
		return err
	}
	if err := l.insertSums(ctx, tx, t.sums); err != nil {
		return err
	}
	return l.insertLosses(ctx, tx, t.losses)
}

// claim notes the number of the last of some frames. Where even the first was
// noted before, it says so.
func (l *Log) claim(ctx context.Context, tx *sql.Tx, frames []*frame) error {
	first, last := frames[0], frames[len(frames)-1]
	res, err := tx.ExecContext(ctx, `
		insert into activity_writers (writer, batch, at) values ($1, $2, $3)
		on conflict (writer) do update set batch = excluded.batch, at = excluded.at
		where activity_writers.batch < $4`, first.writer, last.batch, int64(postern.ToMicros(l.cfg.Now())), first.batch)
	if err != nil {
		return fmt.Errorf("claim the batch: %w", err)
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = errWritten
	}
	return err
}

// writeSound writes a frame of which the database refuses something: it halves
// the records until those that are at fault are found, and counts them as lost.
func (l *Log) writeSound(ctx context.Context, fr *frame, b *body) error {
	records, err := b.records()
	if err != nil {
		return err
	}
	var lost []postern.Reason
	var kept []*sums
	err = l.inTransaction(ctx, b.blocks, func(tx *sql.Tx, copy store.Copier) error {
		lost, kept = nil, nil
		if err := l.lockHead(ctx, tx); err != nil {
			return err
		}
		if err := l.claim(ctx, tx, []*frame{fr}); err != nil {
			return err
		}
		losses := map[lossKey]uint64{}
		for r, n := range b.losses {
			losses[lossKey{b.at - b.at%hour, r}] = n
		}
		if err := l.insertLosses(ctx, tx, losses); err != nil {
			return err
		}
		return l.writeHalves(ctx, tx, copy, records, &lost, &kept)
	})
	if errors.Is(err, errWritten) {
		return nil
	}
	if err == nil {
		for _, r := range lost {
			l.lost.add(r)
		}
		for _, s := range kept {
			l.tellSeen(s)
		}
	}
	return err
}

func (l *Log) writeHalves(ctx context.Context, tx *sql.Tx, copy store.Copier, records []record, lost *[]postern.Reason, kept *[]*sums) error {
	if _, err := tx.ExecContext(ctx, `savepoint half`); err != nil {
		return err
	}
	s, err := l.writeRecords(ctx, tx, copy, records)
	if err == nil {
		*kept = append(*kept, s)
		_, err = tx.ExecContext(ctx, `release savepoint half`)
		return err
	}
	if !permanent(err) {
		return err
	}
	if _, err := tx.ExecContext(ctx, `rollback to savepoint half`); err != nil {
		return err
	}
	if n := len(records); n > 1 {
		if err := l.writeHalves(ctx, tx, copy, records[:n/2], lost, kept); err != nil {
			return err
		}
		return l.writeHalves(ctx, tx, copy, records[n/2:], lost, kept)
	}
	reason := records[0].facts.reason
	l.cfg.Logger.Error("activity: the database refuses a record", "err", err, "reason", reason.String())
	*lost = append(*lost, reason)
	return nil
}

func (l *Log) writeRecords(ctx context.Context, tx *sql.Tx, copy store.Copier, records []record) (*sums, error) {
	t := l.lot([]*body{{blocks: new(packer).pack(records)}})
	var head int64
	if err := tx.QueryRowContext(ctx, `update activity_head set seq = seq + $1 where id = 1 returning seq`, t.calls).Scan(&head); err != nil {
		return nil, fmt.Errorf("number the calls: %w", err)
	}
	return t.sums, l.insertLot(ctx, tx, copy, t, head-t.calls)
}

// records are the calls of a body, one by one.
func (b *body) records() (out []record, err error) {
	for i := range b.blocks {
		u, err := unpack(&b.blocks[i])
		if err == nil {
			err = u.each(func(c *call) {
				out = append(out, record{at: c.at, facts: &u.shapes[c.shape], duration: c.duration, bytesIn: c.in, bytesOut: c.out, path: c.path, request: c.id()})
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
