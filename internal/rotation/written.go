package rotation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern.dev/postern"
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
	// spoolName is the file in a data directory that names its spool.
	spoolName = "spool-name"
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
type Marker struct{ cfg MarkConfig }

// NewMarker makes a Marker.
func NewMarker(cfg MarkConfig) *Marker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Marker{cfg}
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
	spool, err := m.spool()
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	return m.cfg.DB.PutWritten(ctx, store.Written{Spool: spool, Node: m.cfg.Node, Until: Reach(m.cfg.Activity, now), At: now}, now.Add(-MarkKept))
}

// Leave takes the node out, where it leaves nothing behind that isn't written.
func (m *Marker) Leave(ctx context.Context) error {
	if m.cfg.Activity.Stats().Buffered > 0 {
		return m.Mark(ctx)
	}
	spool, err := m.spool()
	if err != nil {
		return err
	}
	return m.cfg.DB.DropWritten(ctx, spool)
}

// spool is the name of the data directory's spool, which is made where there is none:
// a node has another name at each start, and the spool of the one before.
func (m *Marker) spool() (string, error) {
	path := filepath.Join(m.cfg.Data, spoolName)
	text, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(text)); err == nil && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("rotation: the name of the spool: %w", err)
	}
	name := strings.ToLower(postern.RandomText(16))
	if err := store.ReplaceFile(path, []byte(name+"\n")); err != nil {
		return "", fmt.Errorf("rotation: the name of the spool: %w", err)
	}
	return name, nil
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
