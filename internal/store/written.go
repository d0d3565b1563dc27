package store

import (
	"context"
	"database/sql"
	"time"
)

// Written is how far the calls that a node let in are in the log of activity: all
// that began before Until. Spool names where the others wait, across the node's starts.
type Written struct {
	Spool, Node string
	Until       time.Time
	At          time.Time // when the node said so
}

// PutWritten notes how far a node is, and forgets those that said nothing since a time.
func (d *DB) PutWritten(ctx context.Context, w Written, since time.Time) error {
	return d.Pool.Write(ctx, func(t *sql.Tx) error {
		q := queries{t, d.Engine, d.seals}
		if err := q.exec(ctx, "forget old marks", "delete from written_marks where at < $1", micros(since)); err != nil {
			return err
		}
		return q.exec(ctx, "put a mark", `insert into written_marks (spool, node, until, at) values ($1, $2, $3, $4)
			on conflict (spool) do update set node = excluded.node, until = excluded.until, at = excluded.at`, w.Spool, w.Node, micros(w.Until), micros(w.At))
	})
}

// DropWritten forgets a node that left with nothing to write.
func (d *DB) DropWritten(ctx context.Context, spool string) error {
	return d.Pool.Write(ctx, func(t *sql.Tx) error {
		return (&queries{t, d.Engine, d.seals}).exec(ctx, "drop a mark", "delete from written_marks where spool = $1", spool)
	})
}

// WrittenMarks are how far all nodes are.
func (q *queries) WrittenMarks(ctx context.Context) ([]Written, error) {
	rows, err := q.db.QueryContext(ctx, "select spool, node, until, at from written_marks order by spool")
	return collect(rows, err, func(s scanner) (w Written, err error) {
		var until, at int64
		err = s.Scan(&w.Spool, &w.Node, &until, &at)
		w.Until, w.At = fromMicros(until), fromMicros(at)
		return w, err
	})
}
