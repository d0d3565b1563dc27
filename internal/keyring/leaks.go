package keyring

import (
	"context"
	"errors"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Leak is a secret that was found, by somebody who presented the whole of it.
type Leak struct {
	Account    postern.AccountID
	Key        postern.KeyID
	Generation int64
	Source     string // one of postern's LeakFrom constants
	URL        string // where it was found, as it is to be kept
	// End asks for the end of the secret, whatever the account's policy does by itself.
	End bool
}

// LeakDone is what came of a report.
type LeakDone struct {
	Live bool // the secret worked, or could have again, before this
	New  bool // this is the first report of it from there
	Did  postern.LeakAction
	// Kept says that an end was asked for, and that the account doesn't let finders end its secrets.
	Kept bool
	Seq  int64 // the feed number of the change; 0 where nothing changed
}

// actLeak is the action of a found secret in the audit log.
const (
	actLeak         = "service_key.leak"
	actPersonalLeak = "personal_key.leak"
	actLegacyLeak   = "legacy_credential.leak"
)

// TakeLeak notes that a secret was found, does what the account's policy asks for,
// and ends the secret where the finder asks for that and may. A report that was
// made before changes nothing. Whoever calls it has seen the whole secret.
func (kr *Keyring) TakeLeak(ctx context.Context, from postern.Actor, in Leak) (done LeakDone, err error) {
	by := postern.Actor{AccountID: in.Account, System: "leaks", IP: from.IP, UserAgent: from.UserAgent, RequestID: from.RequestID}
	done.Seq, err = kr.change(ctx, by, actLeak, string(in.Key), func(c *change) error {
		done = LeakDone{}
		row, err := c.Credential(ctx, in.Key)
		if errors.Is(err, postern.CodeNotFound) || err == nil && row.AccountID != in.Account {
			return nil
		}
		if err != nil {
			return err
		}
		which, live := secretOf(&row, in.Generation, c.now)
		if done.Live = live; !live {
			return nil
		}
		p, err := c.Policy(ctx, in.Account)
		if err != nil {
			return err
		}
		done.Did = p.Leaks.Do
		switch {
		case in.End && p.Leaks.FindersEnd:
			done.Did = postern.LeakRevoke
		case in.End:
			done.Kept = true
		}
		if done.Did == postern.LeakPause && row.Kind != postern.KindServiceKey && !row.Kind.Legacy() {
			done.Did = postern.LeakRevoke // it can't be paused
		}
		if done.Did == postern.LeakPause && !row.Sealed(kr.cfg.Pepper) {
			done.Did = postern.LeakNotify // sealed anew, a record that was altered would count
		}
		report := postern.LeakReport{ID: postern.NewID("lek"), AccountID: in.Account, Key: in.Key, Generation: in.Generation,
			LastFour: which.LastFour, Source: in.Source, URL: in.URL, Did: done.Did, At: c.now}
		if done.New, err = c.InsertLeak(ctx, &report); err != nil {
			return err
		}
		if !done.New && (!in.End || done.Kept) {
			return nil
		}
		return c.leaked(&row, &report)
	})
	return done, err
}

// secretOf is which secret of a credential has a generation, and whether it works or
// could again: what has expired can be given a later end, unless it is a personal key.
func secretOf(row *postern.CredentialRow, generation int64, now time.Time) (*postern.SecretHash, bool) {
	alive := row.RevokedAt.IsZero() && row.DeletedAt.IsZero()
	expired := !row.ExpiresAt.IsZero() && !now.Before(row.ExpiresAt)
	switch generation {
	case row.Current.Generation:
		return &row.Current, alive && (!expired || row.Kind != postern.KindPersonal)
	case row.Previous.Generation:
		return &row.Previous, alive && !expired && !row.PreviousEnded && now.Before(row.PreviousUntil)
	}
	return nil, false
}

// leaked does to a credential what a report says, and audits it.
func (c *change) leaked(row *postern.CredentialRow, r *postern.LeakReport) error {
	note := func(e *postern.AuditEntry) {
		if e.After == nil {
			e.After = map[string]any{}
		}
		e.After["leak"] = map[string]any{"source": r.Source, "url": r.URL, "generation": r.Generation, "lastFour": r.LastFour, "did": r.Did}
	}
	switch {
	case row.Kind.Legacy():
		return c.leakedLegacy(row, r, note)
	case row.Kind != postern.KindServiceKey:
		return c.leakedOther(row, r, note)
	}
	rec, err := c.Key(c.ctx, row.AccountID, row.Key)
	if err != nil {
		return err
	}
	facts := keyFacts(&rec.Key)
	end := r.Did == postern.LeakRevoke
	switch {
	case r.Did == postern.LeakNotify:
		return c.audit(actLeak, string(row.Key), rec.Key.Name, note)
	case r.Generation == rec.Row.Previous.Generation && rec.Row.Sealed(c.kr.cfg.Pepper):
		// Only the old secret is out: the new one goes on working. A record that was
		// altered is ended as a whole, below: nothing that lives on may be sealed anew.
		rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.now, true
	case end:
		rec.Row.RevokedAt, rec.Key.RevokedWhy = c.now, "One of its secrets was found."
	case !rec.Row.PausedAt.IsZero():
		return c.audit(actLeak, string(row.Key), rec.Key.Name, note)
	default:
		rec.Row.PausedAt = c.now
	}
	return c.save(&rec, facts, actLeak, &Made{}, note)
}

// leakedLegacy is leaked for an imported credential.
func (c *change) leakedLegacy(row *postern.CredentialRow, r *postern.LeakReport, note func(*postern.AuditEntry)) error {
	rec, err := c.Legacy(c.ctx, row.AccountID, row.Key)
	if err != nil {
		return err
	}
	was := rec.Legacy
	switch {
	case r.Did == postern.LeakRevoke:
		c.endLegacy(&rec, "Its secret was found.")
	case r.Did == postern.LeakPause && rec.Row.PausedAt.IsZero():
		rec.Row.PausedAt = c.now
	default:
		return c.audit(actLegacyLeak, string(row.Key), rec.Legacy.Name, note)
	}
	return c.saveLegacy(&rec, &was, actLegacyLeak, &LegacyMade{}, note)
}

// leakedOther is leaked for what can't be paused: it is ended or not.
func (c *change) leakedOther(row *postern.CredentialRow, r *postern.LeakReport, note func(*postern.AuditEntry)) error {
	var name string
	if row.Kind == postern.KindPersonal {
		k, err := c.PersonalKey(c.ctx, row.AccountID, row.Key)
		if err != nil {
			return err
		}
		name = k.Name
	}
	whose := func(e *postern.AuditEntry) {
		if note(e); row.MemberID != "" {
			e.After["member"] = row.MemberID
		}
	}
	if r.Did != postern.LeakRevoke {
		return c.audit(actPersonalLeak, string(row.Key), name, whose)
	}
	row.RevokedAt = c.now
	row.Revision++
	row.Seal(c.kr.cfg.Pepper)
	if err := c.UpdateCredential(c.ctx, row); err != nil {
		return err
	}
	if err := c.feed(postern.ChangeCredential, row.AccountID, string(row.Key)); err != nil {
		return err
	}
	return c.audit(actPersonalLeak, string(row.Key), name, whose)
}

// Leaks gives up to n reports of secrets of the account that were found, newest
// first, from after a cursor: those of one key where one is named.
func (kr *Keyring) Leaks(ctx context.Context, by postern.Actor, key postern.KeyID, after store.Cursor, n int) ([]postern.LeakReport, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	return kr.db.Leaks(ctx, by.AccountID, key, kr.now(), after, n)
}

// LiveLeaks are the newest reports of those of some keys whose found secret still works, or could again.
func (kr *Keyring) LiveLeaks(ctx context.Context, by postern.Actor, keys []postern.KeyID) (map[postern.KeyID]postern.LeakReport, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	return kr.db.LiveLeaks(ctx, by.AccountID, keys, kr.now())
}
