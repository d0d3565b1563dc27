package keyring

import (
	"context"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// Narrowing is less that a key shall do. Nil members stay as they are.
type Narrowing struct {
	Scopes    *[]postern.Scope
	Networks  *[]netip.Prefix
	ExpiresAt *time.Time
	Pause     bool
	Reviewed  bool // takes the flag for review away
	// Watch only tries the scopes and the networks: what they would refuse is
	// allowed, and recorded as such.
	Watch bool
	// IfRevision, where not 0, is the revision that the caller saw.
	IfRevision int64
	Why        string // for the audit log
}

const (
	actNarrow  = "service_key.narrow"
	actWatch   = "service_key.watch"
	actEnforce = "service_key.enforce"
	actUnwatch = "service_key.unwatch"
	actUndo    = "service_key.undo"
)

// NarrowKey takes something away from a key, or tries that first. It can be taken
// back for postern.UndoFor. What it gives in the place of something wider needs a
// member who holds it, also where it is only tried.
func (kr *Keyring) NarrowKey(ctx context.Context, by postern.Actor, id postern.KeyID, in Narrowing) (Made, error) {
	action := actNarrow
	if in.Watch {
		action = actWatch
	}
	return kr.narrow(ctx, by, id, in.IfRevision, action, because(in.Why), func(c *change, rec *store.KeyRecord, known *scopeSet) error {
		if in.Watch {
			return c.watch(rec, in, known)
		}
		edit := KeyEdit{Scopes: in.Scopes, Networks: in.Networks, ExpiresAt: in.ExpiresAt, Reviewed: in.Reviewed}
		if in.Pause {
			edit.Paused = &in.Pause
		}
		was := rec.Key
		if err := c.apply(rec, edit, known); err != nil {
			return err
		}
		if lengthens(&was, &rec.Row) {
			return postern.Invalidf("expiresAt", "This would let the key work for longer, which is no narrowing. Edit the key instead.")
		}
		return nil
	})
}

// lengthens reports whether a key would work for longer.
func lengthens(was *postern.ServiceKey, is *postern.CredentialRow) bool {
	return !was.ExpiresAt.IsZero() && (is.ExpiresAt.IsZero() || is.ExpiresAt.After(was.ExpiresAt))
}

// watch notes what shall be tried.
func (c *change) watch(rec *store.KeyRecord, in Narrowing, known *scopeSet) error {
	if in.Scopes == nil && in.Networks == nil || in.ExpiresAt != nil || in.Pause || in.Reviewed {
		return postern.Invalidf("watch", "Scopes and an IP list can be tried, alone or together, and nothing else.")
	}
	w := &postern.Watch{Since: c.now, By: c.by.MemberID}
	if in.Scopes != nil {
		scopes, err := checkScopes(*in.Scopes, rec.Row.Scopes, known)
		if err != nil {
			return err
		}
		w.Scopes = &scopes
	}
	if in.Networks != nil {
		nets, err := checkNetworks(*in.Networks)
		if err != nil {
			return err
		}
		w.Networks = &nets
	}
	rec.Row.Watch = w
	return nil
}

// tried are the scopes and the networks that a key would have if what is tried on it counted.
func tried(row *postern.CredentialRow) (scopes []postern.Scope, networks []netip.Prefix) {
	scopes, networks = row.Scopes, row.Networks
	if row.Watch.Scopes != nil {
		scopes = *row.Watch.Scopes
	}
	if row.Watch.Networks != nil {
		networks = *row.Watch.Networks
	}
	return scopes, networks
}

// EnforceKey makes what was tried on a key count.
func (kr *Keyring) EnforceKey(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (Made, error) {
	return kr.narrow(ctx, by, id, revision, actEnforce, nil, func(c *change, rec *store.KeyRecord, known *scopeSet) (err error) {
		w := rec.Row.Watch
		if w == nil {
			return postern.Errorf(postern.CodeConflict, "Nothing is being tried on the key %q.", rec.Key.Name)
		}
		edit := KeyEdit{Scopes: w.Scopes, Networks: w.Networks}
		rec.Row.Watch = nil
		return c.apply(rec, edit, known)
	})
}

// UnwatchKey ends what is being tried on a key; nothing else changes.
func (kr *Keyring) UnwatchKey(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (Made, error) {
	return kr.narrow(ctx, by, id, revision, actUnwatch, nil, func(c *change, rec *store.KeyRecord, _ *scopeSet) error {
		if rec.Row.Watch == nil {
			return postern.Errorf(postern.CodeConflict, "Nothing is being tried on the key %q.", rec.Key.Name)
		}
		rec.Row.Watch = nil
		return nil
	})
}

// narrow makes one change that can be taken back.
func (kr *Keyring) narrow(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64, action string, why func(*postern.AuditEntry),
	fn func(c *change, rec *store.KeyRecord, known *scopeSet) error) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, action, string(id), func(c *change) error {
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		rec, err := c.liveKey(id, revision)
		if err != nil {
			return err
		}
		known, err := kr.known(ctx, c)
		if err != nil {
			return err
		}
		was, row := rec.Key, rec.Row
		facts := keyFacts(&was)
		if err := fn(c, rec, known); err != nil {
			return err
		}
		made.WatchEnded = outgrow(&row, &rec.Row)
		given := rec.Row
		if w := given.Watch; w != nil && w != row.Watch {
			// Whoever enforces it may hold more, and takes it for less than there was.
			given.Scopes, given.Networks = tried(&given)
		}
		if err := contain(m, c.widened(&was, &given), known, "widen what this key can do"); err != nil {
			return err
		}
		if !sameRow(&row, &rec.Row) {
			if err := c.obey(rec, &was, known); err != nil {
				return err
			}
		}
		rec.Row.Undo = &postern.Undo{Until: c.now.Add(postern.UndoFor), By: c.by.MemberID, Revision: row.Revision + 1, Scopes: row.Scopes,
			Networks: row.Networks, ExpiresAt: row.ExpiresAt, PausedAt: row.PausedAt, FlaggedAt: was.FlaggedAt, FlaggedWhy: was.FlaggedWhy, Watch: row.Watch}
		if why == nil {
			return c.save(rec, facts, action, &made)
		}
		return c.save(rec, facts, action, &made, why)
	})
	return made, err
}

// UndoKey takes back the latest narrowing of a key, exactly, within
// postern.UndoFor and as long as nothing else changed it. Whoever made the
// narrowing gives nothing by that which they had not just taken; anyone else
// must hold what they give back.
func (kr *Keyring) UndoKey(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, actUndo, string(id), func(c *change) error {
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		rec, err := c.liveKey(id, revision)
		if err != nil {
			return err
		}
		u := rec.Row.Undo
		if !u.Open(rec.Row.Revision, c.now) {
			return postern.Errorf(postern.CodeConflict, "There is nothing to undo on the key %q: more than %d minutes have passed, or it was changed since. Edit the key instead.",
				rec.Key.Name, int(postern.UndoFor.Minutes()))
		}
		known, err := kr.known(ctx, c)
		if err != nil {
			return err
		}
		was := rec.Key
		facts := keyFacts(&was)
		row := &rec.Row
		row.Scopes, row.Networks, row.ExpiresAt, row.PausedAt, row.Watch, row.Undo = u.Scopes, u.Networks, u.ExpiresAt, u.PausedAt, u.Watch, nil
		rec.Key.FlaggedAt, rec.Key.FlaggedWhy = u.FlaggedAt, u.FlaggedWhy
		if c.by.System == "" && (u.By == "" || c.by.MemberID != u.By) {
			if err := contain(m, c.widened(&was, row), known, "give back what was taken from this key"); err != nil {
				return err
			}
		}
		p, err := c.policy()
		if err != nil {
			return err
		}
		if p.ChangedAt.After(u.Until.Add(-postern.UndoFor)) {
			// What was in order then may no longer be.
			if err := c.obey(rec, &was, known); err != nil {
				return err
			}
		}
		return c.save(rec, facts, actUndo, &made)
	})
	return made, err
}

// Grounds are what advice rests on besides a key and its calls.
type Grounds struct {
	Catalogs []*catalog.Catalog
	// Edition names the catalogs in force; it is another once one changed.
	Edition string
	Policy  postern.Policy
	members []postern.Member
	known   *scopeSet
}

// Unheld gives those of some scopes that no member of the account could grant.
func (g *Grounds) Unheld(scopes []postern.Scope) []postern.Scope {
	left := scopes
	for i := range g.members {
		if left = postern.MayGrant(&g.members[i], left, g.known.sensitive); len(left) == 0 {
			return nil
		}
	}
	return left
}

// Grounds reads what advice on the account's keys rests on.
func (kr *Keyring) Grounds(ctx context.Context, by postern.Actor) (*Grounds, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	known, err := kr.known(ctx, kr.db)
	if err != nil {
		return nil, err
	}
	g := &Grounds{Catalogs: known.catalogs, Edition: known.edition, known: known}
	if g.members, err = kr.db.Members(ctx, by.AccountID, false); err != nil {
		return nil, err
	}
	g.Policy, err = kr.db.Policy(ctx, by.AccountID)
	return g, err
}

// MayLoadCatalogs checks that someone may load catalogs, which only members of the operator's account can.
func (kr *Keyring) MayLoadCatalogs(ctx context.Context, by postern.Actor) error {
	if err := kr.reader(ctx, by, postern.PermCatalogWrite); err != nil {
		return err
	}
	a, err := kr.db.Account(ctx, by.AccountID)
	if err == nil && !a.Operator {
		err = postern.Errorf(postern.CodeForbidden, "Only members of the account that operates this server can do this.")
	}
	return err
}

// EachKey goes through the live keys of the actor's account, newest first.
func (kr *Keyring) EachKey(ctx context.Context, by postern.Actor, yield func(*postern.ServiceKey) error) error {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return err
	}
	return kr.db.EachKey(ctx, by.AccountID, kr.now(), func(rec *store.KeyRecord) error { return yield(&rec.Key) })
}
