package store

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fence keeps a pool off a primary that was replaced and doesn't know it, such as
// one whose Patroni hangs: its connections live on, and it answers questions from
// what it had then. A lease written on the new one and a feed read on the old one
// would break the promise of revocation, so whoever has met the new one uses the
// old one no more.
//
// PostgreSQL counts its promotions in the timeline, which each server tells.
type fence struct {
	mu     sync.Mutex
	system string // which database it is, by the number that it got when it was made
	newest int64
}

// timelineOf is the name under which a connection keeps the timeline of its server.
const timelineOf = "postern.timeline"

// guard puts the fence around all connections of a pool.
func (f *fence) guard(pc *pgxpool.Config) {
	pc.ConnConfig.ValidateConnect = f.admit
	pc.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) { return f.current(c.PgConn()), nil }
}

// admit looks at a new connection: its server takes writes, and isn't one that was replaced.
func (f *fence) admit(ctx context.Context, c *pgconn.PgConn) error {
	// Never decide from a replica: it may show commits in another order than the primary.
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, c); err != nil {
		return err
	}
	system, timeline, ok := timelineAt(ctx, c)
	if !ok {
		return nil // a service that doesn't tell; it looks after this itself
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.system != system {
		f.system, f.newest = system, 0 // another database altogether, of which the feed tells
	}
	if timeline < f.newest {
		return fmt.Errorf("this server is on timeline %d and another one was promoted to %d: it was replaced", timeline, f.newest)
	}
	f.newest = timeline
	c.CustomData()[timelineOf] = timeline
	return nil
}

// current reports whether a connection's server is the newest that was met.
func (f *fence) current(c *pgconn.PgConn) bool {
	timeline, known := c.CustomData()[timelineOf].(int64)
	f.mu.Lock()
	defer f.mu.Unlock()
	return !known || timeline >= f.newest
}

// timelineAt asks a server which database it is and how often one was promoted for it.
func timelineAt(ctx context.Context, c *pgconn.PgConn) (system string, timeline int64, ok bool) {
	res, err := c.Exec(ctx, "select system_identifier, pg_walfile_name(pg_current_wal_lsn()) from pg_control_system()").ReadAll()
	if err != nil || len(res) != 1 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) != 2 || len(res[0].Rows[0][1]) < 8 {
		return "", 0, false
	}
	// The first eight digits of a log file's name are the timeline.
	timeline, err = strconv.ParseInt(string(res[0].Rows[0][1][:8]), 16, 64)
	return string(res[0].Rows[0][0]), timeline, err == nil
}
