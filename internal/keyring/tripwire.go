package keyring

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// actTrip is the action of a tripwire in the audit log: this and its kind.
const actTrip = "tripwire."

// Trip notes that a tripwire of a key was touched, and pauses the key where the
// account's policy asks for that. Of all nodes that see the same, one notes it, once
// in postern.TripAgain; told reports whether it was this one.
func (kr *Keyring) Trip(ctx context.Context, t postern.Trip) (told bool, err error) {
	by := postern.Actor{AccountID: t.AccountID, System: "tripwire"}
	action := actTrip + string(t.Kind)
	_, err = kr.change(ctx, by, action, string(t.Key), func(c *change) error {
		told = false
		p, err := c.Policy(ctx, t.AccountID)
		if err != nil {
			return err
		}
		do := p.Tripwires.Action(t.Kind)
		rec, ok, err := c.AnyKey(ctx, t.Key)
		if err != nil || !ok || rec.Key.AccountID != t.AccountID || do == postern.TripOff {
			return err
		}
		if told, err = c.MarkTrip(ctx, t.Key, t.Kind, c.now, postern.TripAgain); err != nil || !told {
			return err
		}
		t.ID, t.Name, t.At = postern.NewID("trp"), rec.Key.Name, c.now
		live := !rec.Key.Ended() && rec.Row.PausedAt.IsZero() && rec.Row.Sealed(kr.cfg.Pepper)
		t.Paused = do == postern.TripPause && live
		if err := c.InsertTrip(ctx, &t); err != nil {
			return err
		}
		seen := func(e *postern.AuditEntry) {
			e.Reason = t.Words
			if e.After == nil {
				e.After = map[string]any{}
			}
			e.After["seen"] = map[string]any{"generation": t.Generation, "ip": t.IP, "userAgent": t.UserAgent}
		}
		if !t.Paused {
			return c.audit(action, string(t.Key), rec.Key.Name, seen)
		}
		facts := keyFacts(&rec.Key)
		rec.Row.PausedAt = c.now
		return c.save(&rec, facts, action, &Made{}, seen)
	})
	return told && err == nil, err
}

// Trips gives up to n of the account's tripwires that were touched, newest first,
// from after a cursor: those of one key where one is named.
func (kr *Keyring) Trips(ctx context.Context, by postern.Actor, key postern.KeyID, after store.Cursor, n int) ([]postern.Trip, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	return kr.db.Trips(ctx, by.AccountID, key, after, n)
}
