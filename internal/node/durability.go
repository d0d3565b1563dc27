package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern.dev/postern/internal/store"
)

// durabilityEvery is how often the database is asked what it does for a commit:
// the one who keeps it may change that at any time.
const durabilityEvery = 10 * time.Second

// checkDurability refuses a PostgreSQL database that may forget acknowledged
// changes, unless the operator accepted that.
func (n *Node) checkDurability(ctx context.Context) error {
	d, err := n.DB.CheckDurability(ctx, n.Config.Standby)
	if err != nil {
		return err
	}
	if d.Level == store.DurabilityDegraded && n.Config.Standby == store.StandbyRequired {
		return fmt.Errorf("an acknowledged change could be lost:\n  %s\n"+
			"Mend that, or accept it with --standby none (POSTERN_STANDBY=none) for a single server, or say --standby managed for a service that keeps each commit on several machines itself",
			strings.Join(d.Reasons, "\n  "))
	}
	n.tellDurability(store.Durability{Level: store.DurabilityFull}, d)
	return nil
}

// watchDurability asks again and again, so that health and metrics tell of the day it changes.
func (n *Node) watchDurability(ctx context.Context) error {
	tick := time.NewTicker(durabilityEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		was := n.DB.Durability()
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		d, err := n.DB.CheckDurability(ask, n.Config.Standby)
		cancel()
		if err != nil {
			continue // the database is away, which health tells in its own words; what was known stands
		}
		n.tellDurability(was, d)
	}
}

func (n *Node) tellDurability(was, is store.Durability) {
	switch {
	case was.Level == is.Level && slices.Equal(was.Reasons, is.Reasons):
	case is.Level == store.DurabilityDegraded:
		n.Config.Log.Warn("durability is degraded", "reasons", strings.Join(is.Reasons, " "))
	default:
		n.Config.Log.Info("durability", "level", string(is.Level))
	}
}
