package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// Written is how far the calls that a node let in are in the log of activity: all
// that began before Until. Spool names where the others wait, across the node's starts.
type Written struct {
	Spool, Node string
	Until       time.Time
	At          time.Time // when the node said so
}

// Owner is the node whose mark a spool's name has.
type Owner struct {
	Node  string    // empty: nobody else's
	Until time.Time // of its lease, zero where that is over
}

// PutWritten notes how far a node is, and forgets those that said nothing since a
// time. A mark of another process is replaced where it is one of before, which used
// the same directory, and its lease is over; else nothing is noted, and the owner told.
func (d *DB) PutWritten(ctx context.Context, w Written, before []string, since time.Time) (o Owner, err error) {
	err = d.Pool.Write(ctx, func(t *sql.Tx) error {
		q := queries{t, d.Engine, d.seals}
		if err := q.exec(ctx, "forget old marks", "delete from written_marks where at < $1", micros(since)); err != nil {
			return err
		}
		if o, err = q.ownerOf(ctx, w.Spool); err != nil {
			return err
		}
		if o.Node == w.Node || slices.Contains(before, o.Node) && o.Until.IsZero() {
			o = Owner{}
		}
		if o.Node != "" {
			return nil
		}
		return q.exec(ctx, "put a mark", `insert into written_marks (spool, node, until, at) values ($1, $2, $3, $4)
			on conflict (spool) do update set node = excluded.node, until = excluded.until, at = excluded.at`, w.Spool, w.Node, micros(w.Until), micros(w.At))
	})
	return o, err
}

func (q *queries) ownerOf(ctx context.Context, spool string) (o Owner, err error) {
	now, err := q.now(ctx)
	if err != nil {
		return o, err
	}
	var until int64
	err = q.db.QueryRowContext(ctx, `select m.node, coalesce(l.until, 0) from written_marks m left join leases l on l.node = m.node and l.until > $2
		where m.spool = $1`, spool, micros(now)).Scan(&o.Node, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return o, nil
	}
	o.Until = fromMicros(until)
	return o, err
}

// DropWritten forgets a node that left with nothing to write.
func (d *DB) DropWritten(ctx context.Context, spool, node string) error {
	return d.Pool.Write(ctx, func(t *sql.Tx) error {
		return (&queries{t, d.Engine, d.seals}).exec(ctx, "drop a mark", "delete from written_marks where spool = $1 and node = $2", spool, node)
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
