package node

import (
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/tripwire"
)

// watchers watch what credentials do, behind the doors: neither is on a call's way.
type watchers struct {
	rotations *rotation.Job
	tripwires *tripwire.Watcher
}

// openWatchers makes them; the rooms are open.
func (n *Node) openWatchers() {
	cfg := n.Config
	n.watchers.rotations = rotation.NewJob(rotation.Config{DB: n.DB, Activity: n.Activity, Keyring: n.Keyring, Told: n.Notifier.Poke, Now: cfg.Now, Log: cfg.Log})
	n.watchers.tripwires = tripwire.New(tripwire.Config{DB: n.DB, Activity: n.Activity, Keyring: n.Keyring, Told: n.Notifier.Poke, Now: cfg.Now, Log: cfg.Log})
	n.doors.workers["rotations"] = n.watchers.rotations.Run
	n.doors.workers["tripwires"] = n.watchers.tripwires.Run
}

// seen is told of each batch of activity. Nothing runs before Run, and so nothing
// is written before the watchers are there.
func (n *Node) seen(list []activity.Seen) {
	if n.watchers.tripwires != nil {
		n.watchers.tripwires.Seen(list)
	}
}
