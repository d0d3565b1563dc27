package node

import (
	"context"
	"time"

	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/tripwire"
	"postern.dev/postern/internal/workbench"
)

// watchers watch what credentials do, behind the doors: neither is on a call's way.
type watchers struct {
	rotations *rotation.Job
	written   *rotation.Marker // nil where no other node can be
	tripwires *tripwire.Watcher
	migration *workbench.Watcher
}

// openWatchers makes them; the rooms are open. What is seen is judged by the node
// that saw it; what comes with time is done by the one that leads.
func (n *Node) openWatchers() {
	cfg := n.Config
	node := ""
	if n.DB.Engine == store.Postgres {
		node = n.id
		n.watchers.written = rotation.NewMarker(rotation.MarkConfig{DB: n.DB, Activity: n.Activity, Node: node, Data: cfg.Data, Now: cfg.Now, Log: cfg.Log})
		n.doors.workers["written"] = n.watchers.written.Run
	}
	n.watchers.rotations = rotation.NewJob(rotation.Config{DB: n.DB, Activity: n.Activity, Keyring: n.Keyring, Node: node, Told: n.Notifier.Poke, Tell: n.tellCampaign, Now: cfg.Now, Log: cfg.Log})
	n.watchers.tripwires = tripwire.New(tripwire.Config{DB: n.DB, Activity: n.Activity, Keyring: n.Keyring, Told: n.Notifier.Poke, Now: cfg.Now, Log: cfg.Log})
	n.watchers.migration = workbench.NewWatcher(workbench.WatchConfig{DB: n.DB, Activity: n.Activity, Keyring: n.Keyring, Tell: n.tellMigration, Leads: n.leads, Now: cfg.Now, Log: cfg.Log})
	n.doors.workers["migration"] = n.watchers.migration.Run
	n.doors.workers["rotations"] = n.whileLeading(n.watchers.rotations.Run)
	n.doors.workers["tripwires"] = n.watchers.tripwires.Run
}

// markTime is how long that may take that takes a node out when it ends.
const markTime = 2 * time.Second

// leaveMark takes the node out of those whose calls are awaited, if all of its own are written.
func (n *Node) leaveMark() error {
	if n.watchers.written == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), markTime)
	defer cancel()
	return n.watchers.written.Leave(ctx)
}

// seen is told of each batch of activity. Nothing runs before Run, and so nothing
// is written before the watchers are there.
func (n *Node) seen(list []activity.Seen) {
	if n.watchers.tripwires != nil {
		n.watchers.tripwires.Seen(list)
		n.watchers.migration.Seen(list)
	}
}

func (n *Node) tellMigration(ctx context.Context, w workbench.News) error {
	kind := notify.Brownout
	if w.Waits {
		kind = notify.MigrationWaits
	}
	return n.Notifier.Migration(ctx, w.Account, w.Owner, kind, w.Dedupe, w.Subject, w.Words, w.Link)
}

func (n *Node) tellCampaign(ctx context.Context, w rotation.News) error {
	return n.Notifier.RotateMany(ctx, w.Account, w.To, w.Dedupe, w.Subject, w.Words, w.Link)
}
