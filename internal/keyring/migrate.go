package keyring

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// The actions of a migration in the audit log.
const (
	actMigrateKey      = "migration.key"
	actMigrateBrownout = "migration.brownouts"
	actMigrateStop     = "migration.brownouts.stop"
	actMigrateArchive  = "migration.archive"
	actMigrateUndo     = "migration.undo"
	actMigratePause    = "migration.pause"
	actMigrateEnd      = "migration.end"
	actLegacyScope     = "legacy_scope.update"
)

// UndoArchive is for how long an old credential that was switched off can be brought back.
const UndoArchive = 3 * 24 * time.Hour

// Migration reads an item by its ID or by that of its credential. Of an imported
// credential about which nothing was decided yet it gives a new one, that isn't kept.
func (kr *Keyring) Migration(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return store.MigrationItem{}, err
	}
	return migrationOf(ctx, kr.db, by.AccountID, id)
}

type migrationReader interface {
	Migration(context.Context, postern.AccountID, string) (store.MigrationItem, error)
	Legacy(context.Context, postern.AccountID, postern.KeyID) (store.LegacyRecord, error)
}

func migrationOf(ctx context.Context, q migrationReader, a postern.AccountID, id string) (store.MigrationItem, error) {
	i, err := q.Migration(ctx, a, id)
	if err == nil || !errors.Is(err, postern.CodeNotFound) || strings.HasPrefix(id, "mig_") {
		return i, err
	}
	rec, err := q.Legacy(ctx, a, postern.KeyID(id))
	if err != nil {
		return i, err
	}
	return store.MigrationItem{AccountID: a, Key: rec.Legacy.ID, Name: rec.Legacy.Name, CreatedAt: rec.Legacy.CreatedAt}, nil
}

// MigrationItems are the items of the account about which something was decided.
func (kr *Keyring) MigrationItems(ctx context.Context, by postern.Actor) (out []store.MigrationItem, err error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	for after := ""; ; {
		const page = 1000
		list, err := kr.db.MigrationItems(ctx, by.AccountID, false, after, page)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
		if len(list) < page {
			return out, nil
		}
		after = list[len(list)-1].ID
	}
}

// EditMigration changes what is decided about an old credential: fn is given the
// item as it is now.
func (kr *Keyring) EditMigration(ctx context.Context, by postern.Actor, id, action string, fn func(i *store.MigrationItem) error) (out store.MigrationItem, err error) {
	_, err = kr.change(ctx, by, action, id, func(c *change) error {
		if _, err := c.member(postern.PermKeysWrite); err != nil {
			return err
		}
		i, err := c.migration(id)
		if err != nil {
			return err
		}
		was := itemFacts(i)
		if err := fn(i); err != nil {
			return err
		}
		out = *i
		return c.saveMigration(i, was, action, &out)
	})
	return out, err
}

// MigrationSeen is what an inventory saw of one credential.
type MigrationSeen struct {
	Key         postern.KeyID // of what was imported; empty where that isn't there
	Fingerprint string
	Name        string
	Seen        string // JSON
}

// MaxMigrationBatch is the most items that are added in one transaction.
const MaxMigrationBatch = 50

const actMigrationUpload = "migration.upload"

// AddMigrations makes items of what an inventory saw, or puts that into the items that
// are there: all of them in one transaction, or none.
func (kr *Keyring) AddMigrations(ctx context.Context, by postern.Actor, list []MigrationSeen) error {
	if len(list) == 0 || len(list) > MaxMigrationBatch {
		return postern.Invalidf("items", "Give from 1 to %d items.", MaxMigrationBatch)
	}
	_, err := kr.changeAlone(ctx, by, actMigrationUpload, list[0].Fingerprint, func(c *change) error {
		if _, err := c.member(postern.PermKeysWrite); err != nil {
			return err
		}
		for n := range list {
			if err := c.addMigration(&list[n]); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (c *change) addMigration(in *MigrationSeen) error {
	i, ok, err := c.MigrationByFingerprint(c.ctx, c.by.AccountID, in.Fingerprint)
	if err == nil && !ok && in.Key != "" {
		var m *store.MigrationItem
		if m, err = c.migration(string(in.Key)); err == nil {
			i = *m
		}
	} else if !ok {
		i = store.MigrationItem{AccountID: c.by.AccountID, CreatedAt: c.now, Name: in.Name}
	}
	if err != nil {
		return err
	}
	was := itemFacts(&i)
	i.Fingerprint, i.Seen, i.SeenAt = in.Fingerprint, in.Seen, c.now
	if i.Key == "" && in.Key != "" {
		// Where both are there, what was decided about the credential counts.
		if _, taken, err := c.MigrationOf(c.ctx, in.Key); err != nil || taken {
			return err
		}
		i.Key = in.Key
	}
	var out store.MigrationItem
	return c.saveMigration(&i, was, actMigrationUpload, &out)
}

func (c *change) migration(id string) (*store.MigrationItem, error) {
	i, err := migrationOf(c.ctx, c, c.by.AccountID, id)
	if err != nil {
		return nil, err
	}
	if !i.EndedAt.IsZero() {
		return nil, postern.Errorf(postern.CodeConflict, "%q is switched off for good. There is nothing left to move.", i.Name)
	}
	return &i, nil
}

func (c *change) saveMigration(i *store.MigrationItem, was map[string]any, action string, out *store.MigrationItem, with ...func(*postern.AuditEntry)) error {
	if i.ID == "" {
		i.ID = postern.NewID("mig")
	}
	if err := c.PutMigration(c.ctx, i); err != nil {
		return err
	}
	*out = *i
	return c.audit(action, i.ID, i.Name, append([]func(*postern.AuditEntry){changedFacts(was, itemFacts(i))}, with...)...)
}

// itemFacts is what the audit log keeps of an item.
func itemFacts(i *store.MigrationItem) map[string]any {
	m := map[string]any{"credential": string(i.Key)}
	for name, v := range map[string]string{"path": i.Path, "why": i.PathWhy, "owner": string(i.Owner), "newKey": string(i.NewKey), "movedTo": i.MovedTo, "stoppedWhy": i.StoppedWhy, "note": i.SignedNote} {
		if v != "" {
			m[name] = v
		}
	}
	if !i.ScopesAt.IsZero() {
		m["scopes"] = append([]postern.Scope{}, i.Scopes...)
	}
	for name, t := range map[string]time.Time{"signedAt": i.SignedAt, "archivedAt": i.ArchivedAt, "undoUntil": i.UndoUntil, "pausedBefore": i.PausedBefore, "endedAt": i.EndedAt} {
		if !t.IsZero() {
			m[name] = t
		}
	}
	if len(i.Forgotten) > 0 {
		m["forgotten"] = i.Forgotten
	}
	return m
}

// MakeMigrationKey makes the service key that takes the place of an old credential.
// It is contained as every key is: whoever makes it must hold its scopes.
func (kr *Keyring) MakeMigrationKey(ctx context.Context, by postern.Actor, id string, in NewKey) (made Made, out store.MigrationItem, err error) {
	made.Seq, err = kr.change(ctx, by, actMigrateKey, id, func(c *change) error {
		i, err := migrationOf(ctx, c, by.AccountID, id)
		if err != nil {
			return err
		}
		if i.NewKey != "" && in.Idempotency == "" {
			return postern.Errorf(postern.CodeConflict, "%q has its new key already.", i.Name)
		}
		if made, err = c.createKey(in); err != nil {
			return err
		}
		if i.NewKey == made.Key.ID {
			out = i
			return nil // the same request again
		}
		if i.NewKey != "" {
			return postern.Errorf(postern.CodeConflict, "%q has its new key already.", i.Name)
		}
		was := itemFacts(&i)
		i.NewKey, i.KeyMadeAt = made.Key.ID, c.now
		return c.saveMigration(&i, was, actMigrateKey, &out)
	})
	return made, out, err
}

// retire makes one change of an old credential and of what is decided about it.
func (kr *Keyring) retire(ctx context.Context, by postern.Actor, id, action string, fn func(c *change, m *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error,
	with ...func(*postern.AuditEntry)) (out store.MigrationItem, seq int64, err error) {
	seq, err = kr.change(ctx, by, action, id, func(c *change) error {
		m, err := c.member(postern.PermKeysRevoke)
		if err != nil {
			return err
		}
		i, err := c.migration(id)
		if err != nil {
			return err
		}
		if i.Key == "" {
			return postern.Errorf(postern.CodeConflict, "%q is known from an inventory alone. Import it first, so that its calls go through Postern: postern legacy import", i.Name)
		}
		rec, err := c.liveLegacy(i.Key, 0)
		if err != nil {
			return err
		}
		facts, was := itemFacts(i), rec.Legacy
		if err := fn(c, m, i, rec); err != nil {
			return err
		}
		var made LegacyMade
		if err := c.saveLegacy(rec, &was, action+".credential", &made); err != nil {
			return err
		}
		return c.saveMigration(i, facts, action, &out, with...)
	})
	return out, seq, err
}

// ArchiveMigration switches an old credential off so that it can be brought back: it
// is paused. Whether the time has come is for the caller to know.
func (kr *Keyring) ArchiveMigration(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, int64, error) {
	return kr.retire(ctx, by, id, actMigrateArchive, func(c *change, _ *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error {
		if !i.ArchivedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "%q is switched off already.", i.Name)
		}
		i.ArchivedAt, i.ArchivedBy, i.UndoUntil, i.PausedBefore = c.now, c.by.MemberID, c.now.Add(UndoArchive), rec.Row.PausedAt
		if rec.Row.PausedAt.IsZero() {
			rec.Row.PausedAt = c.now
		}
		setBrownouts(rec, nil)
		return nil
	})
}

// pauseArchived notes that somebody pauses a credential that a migration switched
// off, which is paused as it is, or resumes it: an undo then leaves it as they want it.
func (c *change) pauseArchived(id postern.KeyID, paused bool) error {
	i, ok, err := c.MigrationOf(c.ctx, id)
	if err != nil || !ok || i.ArchivedAt.IsZero() || !i.EndedAt.IsZero() || i.PausedBefore.IsZero() != paused {
		return err
	}
	was := itemFacts(&i)
	if i.PausedBefore = (time.Time{}); paused {
		i.PausedBefore = c.now
	}
	var out store.MigrationItem
	return c.saveMigration(&i, was, actMigratePause, &out)
}

// UndoMigration brings back an old credential that was switched off, within
// UndoArchive, as it was: one that was paused before stays paused. Whoever switched it
// off gives nothing by that; anyone else must hold what it may do.
func (kr *Keyring) UndoMigration(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, int64, error) {
	return kr.retire(ctx, by, id, actMigrateUndo, func(c *change, m *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error {
		if i.ArchivedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "%q is not switched off.", i.Name)
		}
		if !c.now.Before(i.UndoUntil) {
			return postern.Errorf(postern.CodeConflict, "It could be brought back until %s. That time is over.", i.UndoUntil.UTC().Format("2 January 2006 at 15:04 MST"))
		}
		if i.ArchivedBy == "" || i.ArchivedBy != c.by.MemberID {
			known, err := c.kr.known(c.ctx, c)
			if err != nil {
				return err
			}
			if err := containLegacy(m, rec.Row.AllScopes, rec.Row.Scopes, known, "bring it back"); err != nil {
				return err
			}
		}
		i.ArchivedAt, i.ArchivedBy, i.UndoUntil, i.SignedAt, i.SignedBy, i.SignedNote = time.Time{}, "", time.Time{}, time.Time{}, "", ""
		rec.Row.PausedAt, i.PausedBefore = i.PausedBefore, time.Time{}
		return nil
	})
}

// EndMigration ends an old credential that was switched off, for good. Before the
// time of its undo is over, only a member can.
func (kr *Keyring) EndMigration(ctx context.Context, by postern.Actor, id string) (store.MigrationItem, int64, error) {
	return kr.retire(ctx, by, id, actMigrateEnd, func(c *change, _ *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error {
		if i.ArchivedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "Switch %q off first: it is paused for 3 days, and can be brought back.", i.Name)
		}
		if c.now.Before(i.UndoUntil) {
			return postern.Errorf(postern.CodeConflict, "%q can still be brought back until %s. It ends after that.", i.Name, i.UndoUntil.UTC().Format("2 January 2006 at 15:04 MST"))
		}
		if rec.Row.PausedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "%q works again: somebody resumed it. Switch it off once more.", i.Name)
		}
		i.EndedAt = c.now
		rec.Row.RevokedAt, rec.Legacy.EndedWhy = c.now, "Moved: its replacement has taken over."
		if i.NewKey == "" {
			rec.Legacy.EndedWhy = "Not replaced: nobody used it."
		}
		setBrownouts(rec, nil)
		rec.Row.Retiring.Find, rec.Row.Retiring.Hash = "", ""
		return nil
	})
}

// setBrownouts gives a record other windows; the row's own are never written into.
func setBrownouts(rec *store.LegacyRecord, list []postern.Window) {
	r := *rec.Row.Retiring
	r.Brownouts = list
	rec.Row.Retiring = &r
}

// MaxBudget is the most that a brownout may break. What it refuses is counted up to
// that: a budget beyond it would never end one.
var MaxBudget = store.MigrationBudget{Calls: 2000, Callers: 50}

// SetBrownouts schedules when an old credential is refused for a short while, in the
// place of what was scheduled before.
func (kr *Keyring) SetBrownouts(ctx context.Context, by postern.Actor, id string, list []postern.Window, budget store.MigrationBudget) (store.MigrationItem, int64, error) {
	return kr.retire(ctx, by, id, actMigrateBrownout, func(c *change, _ *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error {
		if err := checkBrownouts(list, c.now); err != nil {
			return err
		}
		if budget.Calls < 1 || budget.Calls > MaxBudget.Calls || budget.Callers < 1 || budget.Callers > MaxBudget.Callers {
			return postern.Invalidf("budget", "Say how many refused calls, from 1 to %d, and how many callers, from 1 to %d, end a brownout.", MaxBudget.Calls, MaxBudget.Callers)
		}
		if !i.ArchivedAt.IsZero() {
			return postern.Errorf(postern.CodeConflict, "%q is switched off already.", i.Name)
		}
		for k := range list {
			list[k] = postern.Window{From: whole(list[k].From), Until: whole(list[k].Until)}
		}
		i.Budget, i.BrownedFrom, i.StoppedAt, i.StoppedWhy, i.Forgotten = budget, c.now, time.Time{}, "", nil
		setBrownouts(rec, list)
		return nil
	})
}

func checkBrownouts(list []postern.Window, now time.Time) error {
	if len(list) == 0 || len(list) > postern.MaxBrownouts {
		return postern.Invalidf("windows", "Schedule 1 to %d brownouts.", postern.MaxBrownouts)
	}
	slices.SortFunc(list, func(a, b postern.Window) int { return a.From.Compare(b.From) })
	for k, w := range list {
		switch d := w.Until.Sub(w.From); {
		case d < time.Second || d > postern.MaxBrownout:
			return postern.Invalidf("windows", "A brownout lasts from 1 second to %d hours.", int(postern.MaxBrownout.Hours()))
		case !w.Until.After(now):
			return postern.Invalidf("windows", "The brownout of %s is over already.", w.From.UTC().Format("2 January 2006 at 15:04 MST"))
		case w.From.After(now.AddDate(1, 0, 0)):
			return postern.Invalidf("windows", "A brownout begins within a year.")
		case k > 0 && w.From.Before(list[k-1].Until):
			return postern.Invalidf("windows", "Two brownouts overlap: they begin at %s and %s.", list[k-1].From.UTC().Format(time.RFC3339), w.From.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// StopBrownouts ends the brownouts of an old credential at once: the one that is on,
// and those to come. It is in force everywhere as fast as a revocation is.
func (kr *Keyring) StopBrownouts(ctx context.Context, by postern.Actor, id, why string, forgotten []string) (store.MigrationItem, int64, error) {
	return kr.retire(ctx, by, id, actMigrateStop, func(c *change, _ *postern.Member, i *store.MigrationItem, rec *store.LegacyRecord) error {
		if len(rec.Row.Retiring.Brownouts) == 0 {
			return postern.Errorf(postern.CodeConflict, "No brownout of %q is scheduled.", i.Name)
		}
		i.StoppedAt, i.StoppedWhy = c.now, why
		for _, f := range forgotten {
			if !slices.Contains(i.Forgotten, f) && len(i.Forgotten) < 50 {
				i.Forgotten = append(i.Forgotten, f)
			}
		}
		setBrownouts(rec, nil)
		return nil
	}, because(why))
}

func windowFacts(list []postern.Window) (out []string) {
	for _, w := range list {
		out = append(out, w.From.UTC().Format(time.RFC3339)+"/"+w.Until.UTC().Format(time.RFC3339))
	}
	return out
}

// LegacyScopes are the old names that the operator translates.
func (kr *Keyring) LegacyScopes(ctx context.Context, by postern.Actor) ([]store.LegacyScope, error) {
	if err := kr.reader(ctx, by, postern.PermCatalogRead); err != nil {
		return nil, err
	}
	return kr.db.LegacyScopes(ctx)
}

// PutLegacyScope says what an old name stands for; nil scopes take that back.
func (kr *Keyring) PutLegacyScope(ctx context.Context, by postern.Actor, name string, scopes []string) error {
	_, err := kr.change(ctx, by, actLegacyScope, name, func(c *change) error {
		if _, err := c.operator(postern.PermCatalogWrite); err != nil {
			return err
		}
		if !postern.Scope(name).Valid() {
			return postern.Invalidf("name", "An old scope is a name such as contacts or sales-email-read.")
		}
		for _, s := range scopes {
			if s != "*" && !postern.Scope(strings.TrimSuffix(s, ".*")).Valid() {
				return postern.Invalidf("scopes", "%q is neither a scope, nor a pattern such as crm.objects.*.", s)
			}
		}
		if err := c.Tx.PutLegacyScope(ctx, &store.LegacyScope{Name: name, Scopes: scopes, ChangedAt: c.now}); err != nil {
			return err
		}
		after := map[string]any{"scopes": scopes}
		if scopes == nil {
			after = map[string]any{"reset": true}
		}
		return c.audit(actLegacyScope, name, name, diff(nil, after))
	})
	return err
}
