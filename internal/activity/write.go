package activity

import (
	"context"
	"database/sql"
	"fmt"

	"postern.dev/postern"
)

// write writes records and all that is made from them in one transaction. A
// batch that is in the database already, because its commit succeeded and the
// answer was lost, is not written again.
func (l *Log) write(ctx context.Context, records []record) error {
	news := l.lost.news()
	sums := l.sum(records)
	blocks, err := l.packer.pack(records)
	if err != nil {
		return fmt.Errorf("activity: %w", err)
	}
	err = l.pool.Write(ctx, func(tx *sql.Tx) error {
		// First, since its lock puts the batches of all nodes in one order: a number is never
		// seen before a smaller one, and no two batches can wait for each other's totals.
		var head int64
		err := tx.QueryRowContext(ctx, `update activity_head set seq = seq + $1 where id = 1 returning seq`, sums.calls).Scan(&head)
		if err != nil {
			return fmt.Errorf("number the calls: %w", err)
		}
		fresh, err := l.claim(ctx, tx)
		if err != nil || !fresh {
			return err
		}
		if err := l.insertBlocks(ctx, tx, blocks, head-sums.calls); err != nil {
			return err
		}
		if err := l.insertSums(ctx, tx, sums); err != nil {
			return err
		}
		return l.insertLosses(ctx, tx, news)
	})
	if err != nil {
		return fmt.Errorf("activity: %w", err)
	}
	l.batch++
	l.lost.keep(news)
	for i := range records {
		if records[i].facts.stranger() {
			l.strangers.add(records[i].activity())
		}
	}
	l.grown.tell()
	l.tellSeen(sums)
	return nil
}

// claim notes the number of this batch, and reports false where it was noted before.
func (l *Log) claim(ctx context.Context, tx *sql.Tx) (bool, error) {
	res, err := tx.ExecContext(ctx, `
		insert into activity_writers (writer, batch, at) values ($1, $2, $3)
		on conflict (writer) do update set batch = excluded.batch, at = excluded.at
		where activity_writers.batch < excluded.batch`, l.writer, l.batch, int64(postern.ToMicros(l.cfg.Now())))
	if err != nil {
		return false, fmt.Errorf("claim the batch: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
