package node

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/workbench"
)

// legacy takes note of what is learnt of imported credentials while they are used.
// Nothing of it is on a call's way: what finds no place is learnt at the next call.
type legacy struct {
	proved    chan keyring.LegacyUse
	inAddress chan postern.KeyID
}

func newLegacy() legacy {
	return legacy{proved: make(chan keyring.LegacyUse, 256), inAddress: make(chan postern.KeyID, 1024)}
}

// onProved is told of a secret that was proved by its slow hash. The secret itself goes no further.
func (l *legacy) onProved(key postern.KeyID, secret postern.Secret) {
	select {
	case l.proved <- workbench.Prove(key, secret):
	default:
	}
}

// onInAddress is told of a credential that came in an address.
func (l *legacy) onInAddress(key postern.KeyID) {
	select {
	case l.inAddress <- key:
	default:
	}
}

// noteAddresses is how often it is written which credentials came in addresses; notedKeys how many are held.
const (
	noteAddresses = 5 * time.Second
	notedKeys     = 10_000
)

// learnLegacy writes what was learnt, until ctx ends.
func (n *Node) learnLegacy(ctx context.Context) error {
	tick := time.NewTicker(noteAddresses)
	defer tick.Stop()
	noted := map[postern.KeyID]time.Time{} // the day that was written, or the zero time
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-n.legacy.proved:
			if err := n.Keyring.UpgradeLegacy(ctx, u); err != nil && ctx.Err() == nil {
				n.Config.Log.Warn("a legacy credential keeps its slow hash", "key_id", u.Key, "err", err)
			}
		case key := <-n.legacy.inAddress:
			if _, there := noted[key]; !there && len(noted) < notedKeys {
				noted[key] = time.Time{}
			}
		case <-tick.C:
			n.noteInAddress(ctx, noted)
		}
	}
}

// noteInAddress writes the day for credentials that came in an address and aren't noted for it yet.
func (n *Node) noteInAddress(ctx context.Context, noted map[postern.KeyID]time.Time) {
	day := n.Config.Now().UTC().Truncate(24 * time.Hour)
	var keys []postern.KeyID
	for key, at := range noted {
		switch {
		case at.IsZero():
			keys = append(keys, key)
		case at.Before(day):
			delete(noted, key) // it is told of again when it comes again
		}
	}
	if len(keys) == 0 {
		return
	}
	if err := n.DB.NoteInAddress(ctx, day, keys); err != nil {
		if ctx.Err() == nil {
			n.Config.Log.Warn("it could not be noted which legacy credentials came in addresses", "err", err)
		}
		return
	}
	for _, key := range keys {
		noted[key] = day
	}
}
