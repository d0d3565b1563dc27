package keyring

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// KeyEdit is what shall change of a service key. Nil members stay as they are; a
// zero time means none.
type KeyEdit struct {
	Name        *string
	Description *string
	TeamID      *postern.TeamID
	Scopes      *[]postern.Scope
	Networks    *[]netip.Prefix
	NotBefore   *time.Time
	ExpiresAt   *time.Time
	Rate        *postern.Rate
	Paused      *bool
	// Reviewed takes the flag for review away.
	Reviewed bool
	// IfRevision, where not 0, is the revision that the editor saw; the edit fails if it is another by now.
	IfRevision int64
}

// EditKey changes a service key. Whatever widens what the key can do, or for how
// long, or from where, needs a member who holds its scopes: the added ones where
// only scopes are added, all of them otherwise.
func (kr *Keyring) EditKey(ctx context.Context, by postern.Actor, id postern.KeyID, in KeyEdit) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, "service_key.update", string(id), func(c *change) error {
		m, err := c.member(c.editPermission(in))
		if err != nil {
			return err
		}
		rec, err := c.liveKey(id, in.IfRevision)
		if err != nil {
			return err
		}
		before := rec.Key
		facts, row := keyFacts(&before), rec.Row
		known, err := kr.known(ctx, c)
		if err != nil {
			return err
		}
		if err := c.apply(rec, in, known); err != nil {
			return err
		}
		made.WatchEnded = outgrow(&row, &rec.Row)
		made.Key = rec.Key
		need := c.widened(&before, &rec.Row)
		if err := contain(m, need, known, "widen what this key can do"); err != nil {
			return err
		}
		if in.Scopes != nil || in.Networks != nil || in.ExpiresAt != nil {
			if err := c.obey(rec, &before, known); err != nil {
				return err
			}
		}
		return c.save(rec, facts, "service_key.update", &made)
	})
	return made, err
}

// editPermission: whoever may only stop keys may pause one, and nothing else.
func (c *change) editPermission(in KeyEdit) postern.Permission {
	only := in
	only.Paused, only.IfRevision = nil, 0
	if in.Paused != nil && *in.Paused && only == (KeyEdit{}) {
		return postern.PermKeysRevoke
	}
	return postern.PermKeysWrite
}

// liveKey reads a service key that has not ended, at the revision that the caller saw.
func (c *change) liveKey(id postern.KeyID, revision int64) (*store.KeyRecord, error) {
	rec, err := c.Key(c.ctx, c.by.AccountID, id)
	if err != nil {
		return nil, err
	}
	if revision != 0 && revision != rec.Row.Revision {
		return nil, postern.Errorf(postern.CodePrecondition, "The key was changed by someone else in the meantime. Read it again, look at their change, and repeat yours.")
	}
	if rec.Key.Ended() {
		return nil, postern.Errorf(postern.CodeConflict, "The key %q has ended, which is final. Make a new key.", rec.Key.Name)
	}
	if !rec.Row.Sealed(c.kr.cfg.Pepper) {
		return nil, postern.Errorf(postern.CodeConflict, "The key's record was altered outside of Postern and gives no access. Revoke it and make a new key.")
	}
	return &rec, nil
}

func (c *change) apply(rec *store.KeyRecord, in KeyEdit, known *scopeSet) (err error) {
	row, k := &rec.Row, &rec.Key
	was := *row
	if in.Name != nil {
		if k.Name, err = text("name", *in.Name, postern.MaxNameLen, true); err != nil {
			return err
		}
	}
	if in.Description != nil {
		if k.Description, err = text("description", *in.Description, postern.MaxDescriptionLen, false); err != nil {
			return err
		}
	}
	if in.TeamID != nil {
		if k.TeamID = *in.TeamID; k.TeamID != "" {
			if _, err := c.Team(c.ctx, c.by.AccountID, k.TeamID); err != nil {
				return err
			}
		}
	}
	if in.Scopes != nil {
		if row.Scopes, err = checkScopes(*in.Scopes, row.Scopes, known); err != nil {
			return err
		}
	}
	if in.Networks != nil {
		if row.Networks, err = checkNetworks(*in.Networks); err != nil {
			return err
		}
	}
	if in.NotBefore != nil {
		row.NotBefore = whole(*in.NotBefore)
	}
	if in.ExpiresAt != nil {
		row.ExpiresAt = whole(*in.ExpiresAt)
		// A secret never outlives its key.
		if !row.ExpiresAt.IsZero() && row.PreviousUntil.After(row.ExpiresAt) {
			row.PreviousUntil = row.ExpiresAt
		}
	}
	// A life that is over may be said again, so that the rest can be edited.
	if !row.NotBefore.Equal(was.NotBefore) || !row.ExpiresAt.Equal(was.ExpiresAt) {
		if err := c.checkLife(row.NotBefore, row.ExpiresAt); err != nil {
			return err
		}
	}
	if in.Rate != nil {
		if err := checkRate(*in.Rate); err != nil {
			return err
		}
		row.Rate = *in.Rate
	}
	if in.Paused != nil {
		switch {
		case !*in.Paused:
			row.PausedAt = time.Time{}
		case row.PausedAt.IsZero():
			row.PausedAt = c.now
		}
	}
	if in.Reviewed {
		k.FlaggedAt, k.FlaggedWhy = time.Time{}, ""
	}
	return nil
}

// outgrow ends what is being tried on a key where its scopes, its networks or its end
// became others: what was recorded is against those that it had, and enforcing it
// would bring some of them back.
func outgrow(was, is *postern.CredentialRow) bool {
	if is.Watch == nil || is.Watch != was.Watch ||
		slices.Equal(was.Scopes, is.Scopes) && slices.Equal(was.Networks, is.Networks) && was.ExpiresAt.Equal(is.ExpiresAt) {
		return false
	}
	is.Watch = nil
	return true
}

// widened gives the scopes that a member must hold for a change from one state of a key to another.
func (c *change) widened(was *postern.ServiceKey, is *postern.CredentialRow) []postern.Scope {
	lengthened := !was.ExpiresAt.IsZero() && (is.ExpiresAt.IsZero() || is.ExpiresAt.After(was.ExpiresAt))
	earlier := is.NotBefore.Before(was.NotBefore) && was.NotBefore.After(c.now)
	resumed := !was.PausedAt.IsZero() && is.PausedAt.IsZero()
	if lengthened || earlier || resumed || networksWiden(was.Networks, is.Networks) || c.rateWidens(was.Rate, is.Rate) {
		return is.Scopes
	}
	var added []postern.Scope
	for _, s := range is.Scopes {
		if !slices.Contains(was.Scopes, s) {
			added = append(added, s)
		}
	}
	return added
}

// networksWiden reports whether to lets in an address that from does not.
func networksWiden(from, to []netip.Prefix) bool {
	if len(from) == 0 {
		return false
	}
	if len(to) == 0 {
		return true
	}
	for _, t := range to {
		if !slices.ContainsFunc(from, func(f netip.Prefix) bool { return f.Bits() <= t.Bits() && f.Contains(t.Addr()) }) {
			return true
		}
	}
	return false
}

// rateWidens reports whether to lets more calls through than from.
func (c *change) rateWidens(from, to postern.Rate) bool {
	if from.Calls == 0 {
		from = c.kr.cfg.DefaultRate
	}
	if to.Calls == 0 {
		to = c.kr.cfg.DefaultRate
	}
	switch {
	case from == to || from.Calls == 0:
		return false
	case to.Calls == 0:
		return true
	}
	return to.Calls > from.Calls || float64(to.Calls)/to.Per.Seconds() > float64(from.Calls)/from.Per.Seconds()
}

// save seals and writes a changed key, tells of it and audits it; where nothing changed it does nothing.
func (c *change) save(rec *store.KeyRecord, before map[string]any, action string, made *Made, with ...func(*postern.AuditEntry)) error {
	old, err := c.Key(c.ctx, c.by.AccountID, rec.Row.Key)
	if err != nil {
		return err
	}
	flagOnly := sameRow(&old.Row, &rec.Row) && old.Key.Name == rec.Key.Name && old.Key.Description == rec.Key.Description && old.Key.TeamID == rec.Key.TeamID
	if flagOnly && old.Key.FlaggedAt.Equal(rec.Key.FlaggedAt) {
		made.Key = old.Key
		return nil
	}
	rec.Row.Revision++
	rec.Key.UpdatedAt = c.now
	rec.Row.Seal(c.kr.cfg.Pepper)
	if err := c.UpdateKey(c.ctx, rec); err != nil {
		return err
	}
	if err := c.feed(postern.ChangeCredential, c.by.AccountID, string(rec.Row.Key)); err != nil {
		return err
	}
	made.Key = rec.Key
	after := keyFacts(&rec.Key)
	return c.audit(action, string(rec.Row.Key), rec.Key.Name, append([]func(*postern.AuditEntry){changedFacts(before, after)}, with...)...)
}
