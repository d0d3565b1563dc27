package rotation

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"
)

// A secret is silent only as far as all calls are known. Each node holds calls that
// the database lacks: for a fortieth of a second, or for hours on its disk where the
// database was away. So each says, twice a minute, up to when all that it let in is
// written, and silence counts up to the earliest of these times. A node that lives
// and said nothing, or that was killed and didn't come back, keeps old secrets alive:
// what its spool holds is unknown. They end at their deadlines then, as planned.

const (
	markEvery = 30 * time.Second
	// underWay is for how long a call may be under way: it is recorded when it ends, as of when it began.
	underWay = time.Minute
	// MarkKept is for how long a node counts that was killed and didn't come back.
	MarkKept = 7 * 24 * time.Hour
)

// Reach is up to when all calls that this process let in are in the database.
func Reach(log *activity.Log, now time.Time) time.Time {
	return now.Add(-log.Stats().Lag - underWay)
}

// MarkConfig is what a Marker needs.
type MarkConfig struct {
	DB       *store.DB
	Activity *activity.Log
	Node     string // as its lease names it
	Data     string // its data directory, which holds the spool
	Now      func() time.Time
	Log      *slog.Logger
}

// Marker says of one node up to when its calls are written.
type Marker struct {
	cfg   MarkConfig
	mu    sync.Mutex
	spool spoolFile
	lived store.Owner // who has the name that this directory's spool had, where that may be another
}

// NewMarker makes a Marker.
func NewMarker(cfg MarkConfig) *Marker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Marker{cfg: cfg}
}

// Run says it twice a minute until ctx ends.
func (m *Marker) Run(ctx context.Context) error {
	t := time.NewTicker(markEvery)
	defer t.Stop()
	for {
		if err := m.Mark(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Log.WarnContext(ctx, "other nodes don't know up to when calls are written, so no old secret ends early", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Mark says it now.
func (m *Marker) Mark(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark(ctx)
}

func (m *Marker) mark(ctx context.Context) error {
	if err := m.open(); err != nil {
		return err
	}
	now := m.cfg.Now()
	w := store.Written{Spool: m.spool.name, Node: m.cfg.Node, Until: Reach(m.cfg.Activity, now), At: now}
	o, err := m.cfg.DB.PutWritten(ctx, w, m.spool.nodes, now.Add(-MarkKept))
	if err != nil || o.Node == "" {
		return err
	}
	was := m.lived
	m.lived = o
	if m.spool.used(o.Node) && (was.Node != o.Node || !o.Until.After(was.Until)) {
		// The process of before may just have crashed, with its lease still running. Who lives renews it.
		// However often this one starts anew until then, the file goes on naming whose mark it waits for.
		if err := m.keep(m.cfg.Node, o.Node); err != nil {
			return err
		}
		return fmt.Errorf("rotation: the lease of %s, which was here before, still runs", o.Node)
	}
	m.cfg.Log.WarnContext(ctx, "the data directory is a copy of one that another node uses: from now on their calls are told apart; give each node a directory of its own, made empty",
		"data", m.cfg.Data, "node", o.Node)
	if err := m.rename(); err != nil {
		return err
	}
	w.Spool = m.spool.name
	_, err = m.cfg.DB.PutWritten(ctx, w, nil, now.Add(-MarkKept))
	return err
}

// Leave takes the node out, where it leaves nothing behind that isn't written.
func (m *Marker) Leave(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.mark(ctx)
	if m.cfg.Activity.Stats().Buffered > 0 || m.spool.name == "" {
		return err
	}
	return m.cfg.DB.DropWritten(ctx, m.spool.name, m.cfg.Node)
}

// cluster is up to when calls are known, of all nodes.
type cluster struct {
	own    time.Time
	marks  []store.Written
	leases []store.Lease
	node   string
	now    time.Time
}

func (j *Job) cluster(ctx context.Context, now time.Time) (c cluster, err error) {
	c = cluster{own: Reach(j.cfg.Activity, now), node: j.cfg.Node, now: now}
	if c.node == "" {
		return c, nil
	}
	if c.leases, _, err = j.cfg.DB.Leases(ctx); err != nil {
		return c, err
	}
	c.marks, err = j.cfg.DB.WrittenMarks(ctx)
	return c, err
}

// known is up to when all calls are known that can be of a rotation which began at a
// time: zero where a node that may have let some in didn't say.
func (c *cluster) known(began time.Time) time.Time {
	until, said := c.own, map[string]bool{c.node: true}
	for _, m := range c.marks {
		if m.Node == c.node || c.now.Sub(m.At) > MarkKept {
			continue
		}
		if said[m.Node] = true; m.Until.Before(until) {
			until = m.Until
		}
	}
	for _, l := range c.leases {
		if !said[l.Node] && !l.Until.Before(began) {
			return time.Time{}
		}
	}
	return until
}
