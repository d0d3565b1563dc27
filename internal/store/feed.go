package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"postern.dev/postern"
)

func migrationFS() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err)
	}
	return sub
}

// AppendFeed gives a change the next number of the feed. The number comes from
// one counter row that is updated in the change's own transaction, so numbers
// become visible in their order and without gaps. A sequence would not do: a
// smaller number may commit later, and be skipped for ever.
func (tx *Tx) AppendFeed(ctx context.Context, c postern.Change) (int64, error) {
	var seq int64
	err := tx.db.QueryRowContext(ctx, "update heads set n = n + 1 where name = 'feed' returning n").Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("store: take a feed number: %w", err)
	}
	err = tx.exec(ctx, "append to the feed", "insert into feed (seq, at, kind, account_id, ref) values ($1, $2, $3, $4, $5)",
		seq, micros(c.At), string(c.Kind), string(c.AccountID), c.ID)
	if err != nil {
		return 0, err
	}
	if tx.engine == Postgres {
		// A hint, sent with the commit; the feed is the truth.
		if err := tx.exec(ctx, "notify", "select pg_notify('postern_feed', '')"); err != nil {
			return 0, err
		}
	}
	tx.seq = seq
	return seq, nil
}

// Feed gives up to n changes after a number, in their order.
func (q *queries) Feed(ctx context.Context, after int64, n int) ([]postern.Change, error) {
	rows, err := q.db.QueryContext(ctx, "select seq, at, kind, account_id, ref from feed where seq > $1 order by seq limit $2", after, n)
	return collect(rows, err, func(s scanner) (c postern.Change, err error) {
		var at int64
		err = s.Scan(&c.Seq, &at, &c.Kind, &c.AccountID, &c.ID)
		c.At = fromMicros(at)
		return c, err
	})
}

// FeedHead is the last number of the feed, and its epoch: a number that is
// raised when a backup is restored, so that no node mistakes old for new.
func (q *queries) FeedHead(ctx context.Context) (seq, epoch int64, err error) {
	err = q.db.QueryRowContext(ctx, `select (select n from heads where name = 'feed'), (select n from heads where name = 'epoch')`).Scan(&seq, &epoch)
	if err != nil {
		return 0, 0, fmt.Errorf("store: read the feed's head: %w", err)
	}
	return seq, epoch, nil
}

// Hint is signalled after a change in this process; it says nothing of other processes.
func (d *DB) Hint() <-chan struct{} { return d.hint }

// now is the store's own clock, the one for times of record and leases.
func (q *queries) now(ctx context.Context) (time.Time, error) {
	query := "select cast(unixepoch('subsec') * 1000000 as integer)"
	if q.engine == Postgres {
		query = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)"
	}
	var n int64
	if err := q.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return time.Time{}, fmt.Errorf("store: read the clock: %w", err)
	}
	return fromMicros(n), nil
}

// Lease is a node's right to decide without asking the database.
type Lease struct {
	Node      string
	Started   time.Time
	Until     time.Time // by the store's clock
	Confirmed int64     // the feed number that the node says it has applied
}

// RenewLease writes that a node may decide until ttl from now, by the store's
// clock, and gives that clock's time. It never makes a lease end earlier.
//
// An SQLite file that can't be written, because the disk is full or a sync failed,
// gets no row and is renewed all the same: only the one process that holds its
// directory decides by it, so nobody waits for that row. Changes are refused then,
// and deciding goes on as long as the feed can be read.
func (d *DB) RenewLease(ctx context.Context, node string, ttl time.Duration) (now time.Time, err error) {
	err = d.Pool.Write(ctx, func(t *sql.Tx) error {
		q := queries{t, d.Engine, d.seals}
		if now, err = q.now(ctx); err != nil {
			return err
		}
		// Nodes have new names at each start; the leases of those long gone matter to nobody.
		if err := q.exec(ctx, "forget old leases", "delete from leases where until < $1", micros(now.Add(-time.Hour))); err != nil {
			return err
		}
		return q.exec(ctx, "renew the lease", `
			insert into leases (node, started_at, until, confirmed) values ($1, $2, $3, 0)
			on conflict (node) do update set until = case when excluded.until > leases.until then excluded.until else leases.until end`,
			node, micros(now), micros(now.Add(ttl)))
	})
	if d.Engine == SQLite && (errors.Is(err, postern.CodeStorageFull) || errors.Is(err, postern.CodeUnavailable)) {
		return d.now(ctx)
	}
	return now, err
}

// ConfirmFeed writes that a node has applied the feed up to a number.
func (d *DB) ConfirmFeed(ctx context.Context, node string, seq int64) error {
	return d.Pool.Write(ctx, func(t *sql.Tx) error {
		q := queries{t, d.Engine, d.seals}
		return q.exec(ctx, "confirm the feed", "update leases set confirmed = $2 where node = $1 and confirmed < $2", node, seq)
	})
}

// DropLease ends a node's lease when it leaves in order.
func (d *DB) DropLease(ctx context.Context, node string) error {
	return d.Pool.Write(ctx, func(t *sql.Tx) error {
		q := queries{t, d.Engine, d.seals}
		return q.exec(ctx, "drop the lease", "delete from leases where node = $1", node)
	})
}

// Leases are all leases, those that ran out too, with the store's time.
func (q *queries) Leases(ctx context.Context) ([]Lease, time.Time, error) {
	now, err := q.now(ctx)
	if err != nil {
		return nil, now, err
	}
	rows, err := q.db.QueryContext(ctx, "select node, started_at, until, confirmed from leases order by node")
	out, err := collect(rows, err, func(s scanner) (l Lease, err error) {
		var started, until int64
		err = s.Scan(&l.Node, &started, &until, &l.Confirmed)
		l.Started, l.Until = fromMicros(started), fromMicros(until)
		return l, err
	})
	return out, now, err
}

// FeedSeqOf is the number of the latest change of one thing, 0 if it never changed.
func (q *queries) FeedSeqOf(ctx context.Context, kind postern.ChangeKind, id string) (int64, error) {
	var n int64
	err := q.db.QueryRowContext(ctx, "select coalesce(max(seq), 0) from feed where ref = $1 and kind = $2", id, string(kind)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("store: find a change: %w", err)
	}
	return n, nil
}

// Wait blocks until a change after a number may exist, or ctx ends. It is a
// hint: changes of this process end it, and on PostgreSQL those of others too,
// by LISTEN on a connection of its own.
func (d *DB) Wait(ctx context.Context, after int64) error {
	if d.Engine == SQLite {
		select {
		case <-d.hint:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// Closing waits for every connection, so it ends this first.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	conn, err := d.w.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "listen postern_feed"); err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	// What came between the caller's last look and LISTEN sent no notification here.
	q := queries{conn, d.Engine, d.seals}
	if head, _, err := q.FeedHead(ctx); err != nil || head > after {
		return err
	}
	return conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().WaitForNotification(ctx)
		return err
	})
}
