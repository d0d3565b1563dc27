package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

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

// ConfirmFeed writes that a node has applied the feed up to a number. A number that
// the feed hasn't reached is of another feed, and isn't written.
func (d *DB) ConfirmFeed(ctx context.Context, node string, seq int64) error {
	if d.Engine == Postgres {
		// It need not survive a crash of the database: what is forgotten makes others
		// wait, and no more. So it costs no write to the disk.
		return d.small(ctx, func(q *queries) error {
			return q.exec(ctx, "confirm the feed", `with fast as (select set_config('synchronous_commit', 'off', true))
				update leases set confirmed = $2 from fast where node = $1 and confirmed < $2 and $2 <= (select n from heads where name = 'feed')`, node, seq)
		})
	}
	return d.small(ctx, func(q *queries) error {
		return q.exec(ctx, "confirm the feed", "update leases set confirmed = $2 where node = $1 and confirmed < $2 and $2 <= (select n from heads where name = 'feed')", node, seq)
	})
}

// FeedSeqOf is the number of the latest change of one thing, 0 if it never changed.
// What it tells of is kept: on PostgreSQL a change may be seen that no standby has
// yet, since whoever made it waited no longer, and a failover would undo it.
func (d *DB) FeedSeqOf(ctx context.Context, kind postern.ChangeKind, id string) (int64, error) {
	if d.Engine == Postgres {
		return d.keeper.seqOf(ctx, d, changed{kind, id})
	}
	return d.feedSeqOf(ctx, changed{kind, id})
}

// UnknownChange is a kind of change in the feed that this version doesn't know; empty where there is none.
func (q *queries) UnknownChange(ctx context.Context) (kind postern.ChangeKind, err error) {
	err = q.db.QueryRowContext(ctx, "select kind from feed where kind not in ($1, $2, $3, $4, $5) limit 1", string(postern.ChangeCredential),
		string(postern.ChangeAccount), string(postern.ChangeMember), string(postern.ChangeRole), string(postern.ChangeCatalog)).Scan(&kind)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("store: look for changes of other kinds: %w", err)
	}
	return kind, nil
}
