package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
)

// Protocol is the version of what nodes that share a database expect of each
// other: the feed, the leases and what rows mean. Two versions in a row work
// together; a node that finds another further away doesn't start.
const Protocol = 1

// NodeInfo is what a node says of itself when it renews its lease.
type NodeInfo struct {
	Node     string // new at each start
	Name     string // given by an operator, and kept; may be empty
	Version  string
	Protocol int64
	Address  string        // at which people and other programs reach it
	Offset   time.Duration // by how much the database's clock is ahead of the node's
	Limits   string        // how it holds the limits of keys: a limit.Mode, or empty where it is alone
	LimitsAt time.Time     // since when, where that can change
}

// Lease is a node's right to decide without asking the database.
type Lease struct {
	NodeInfo
	Started   time.Time
	Until     time.Time // by the store's clock
	Confirmed int64     // the feed number that the node says it has applied
	Leads     bool      // it does what is done once in a cluster
}

// RenewLease writes that a node may decide until ttl from now, by the store's
// clock, and gives that clock's time. It never makes a lease end earlier.
//
// An SQLite file that can't be written, because the disk is full or a sync failed,
// gets no row and is renewed all the same: only the one process that holds its
// directory decides by it, so nobody waits for that row. Changes are refused then,
// and deciding goes on as long as the feed can be read.
func (d *DB) RenewLease(ctx context.Context, node string, ttl time.Duration) (now time.Time, err error) {
	return d.RenewLeaseOf(ctx, NodeInfo{Node: node, Protocol: Protocol}, ttl)
}

// RenewLeaseOf is RenewLease for a node that says more of itself.
func (d *DB) RenewLeaseOf(ctx context.Context, n NodeInfo, ttl time.Duration) (now time.Time, err error) {
	err = d.renewing(ctx, n.Node, func(q *queries) error {
		if now, err = q.now(ctx); err != nil {
			return err
		}
		// Nodes have new names at each start; the leases of those long gone matter to nobody.
		if err := q.exec(ctx, "forget old leases", "delete from leases where until < $1", micros(now.Add(-leaseKept))); err != nil {
			return err
		}
		return q.exec(ctx, "renew the lease", `
			insert into leases (node, started_at, until, confirmed, name, version, protocol, address, clock_offset, limits, limits_since)
			values ($1, $2, $3, 0, $4, $5, $6, $7, $8, $9, $10)
			on conflict (node) do update set until = case when excluded.until > leases.until then excluded.until else leases.until end,
			clock_offset = excluded.clock_offset, limits = excluded.limits, limits_since = excluded.limits_since`,
			n.Node, micros(now), micros(now.Add(ttl)), n.Name, n.Version, n.Protocol, n.Address, n.Offset.Microseconds(), n.Limits, micros(n.LimitsAt))
	})
	if d.Engine == SQLite && (errors.Is(err, postern.CodeStorageFull) || errors.Is(err, postern.CodeUnavailable)) {
		return d.now(ctx)
	}
	return now, err
}

// leaseKept is how long a lease that is over is still listed.
const leaseKept = time.Hour

// DropLease ends a node's lease when it leaves in order, and its lead.
func (d *DB) DropLease(ctx context.Context, node string) error {
	return d.small(ctx, func(q *queries) error {
		if err := q.exec(ctx, "give up the lead", "delete from leaders where node = $1", node); err != nil {
			return err
		}
		return q.exec(ctx, "drop the lease", "delete from leases where node = $1", node)
	})
}

// Leases are all leases, those that ran out too, with the store's time.
func (q *queries) Leases(ctx context.Context) ([]Lease, time.Time, error) {
	now, err := q.now(ctx)
	if err != nil {
		return nil, now, err
	}
	rows, err := q.db.QueryContext(ctx, `select l.node, l.name, l.version, l.protocol, l.address, l.clock_offset, l.started_at, l.until, l.confirmed, l.limits, l.limits_since,
		coalesce(w.until, 0) from leases l left join leaders w on w.work = 'periodic' and w.node = l.node order by l.node`)
	out, err := collect(rows, err, func(s scanner) (l Lease, err error) {
		var offset, started, until, since, leads int64
		err = s.Scan(&l.Node, &l.Name, &l.Version, &l.Protocol, &l.Address, &offset, &started, &until, &l.Confirmed, &l.Limits, &since, &leads)
		l.Offset, l.Started, l.Until = time.Duration(offset)*time.Microsecond, fromMicros(started), fromMicros(until)
		l.LimitsAt, l.Leads = fromMicros(since), leads > micros(now)
		return l, err
	})
	return out, now, err
}

// Lead takes or keeps the lead of what is done once in a cluster for ttl from now,
// by the store's clock, and says whether it got it.
//
// It is a row with an end and not a lock of a session: the same on both engines
// and behind a pooler of connections, and a node that is cut off knows by its own
// clock that it leads no more, while a server may hold the lock of a connection
// that died for as long as TCP takes to notice.
func (d *DB) Lead(ctx context.Context, node string, ttl time.Duration) (leads bool, err error) {
	err = d.small(ctx, func(q *queries) error {
		leads = false // of a run that was rolled back
		now, err := q.now(ctx)
		if err != nil {
			return err
		}
		var who string
		err = q.db.QueryRowContext(ctx, `insert into leaders (work, node, until) values ('periodic', $1, $2)
			on conflict (work) do update set node = excluded.node, until = excluded.until
			where leaders.node = excluded.node or leaders.until < $3 returning node`, node, micros(now.Add(ttl)), micros(now)).Scan(&who)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		leads = who == node
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store: take the lead: %w", err)
	}
	return leads, nil
}

// Due reports whether work that some node did last at a time, and that has a pause
// after it, is due now. A time ahead of now is of a node whose clock was wrong: it
// holds nothing up.
func Due(last, now time.Time, pause time.Duration) bool {
	return !now.Before(last.Add(pause)) || now.Before(last)
}
