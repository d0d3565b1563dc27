package tripwire

import (
	"net/netip"
	"time"
)

// Pending is how many keys wait to be looked at.
func (w *Watcher) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// AtHome has a key remember networks at a time, and tells how many it remembers then.
func AtHome(known map[netip.Prefix]time.Time, home []netip.Prefix, now time.Time) int {
	f := keyFacts{nets: known}
	f.atHome(home, now)
	return len(f.nets)
}
