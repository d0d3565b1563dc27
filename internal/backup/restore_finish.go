package backup

import (
	"errors"
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/store"
)

// finish checks what was loaded, plays the journal on it, and begins another life of the database.
func (r *restore) finish(at store.Place) (err error) {
	records := store.Records()
	db, err := store.OpenDB(r.ctx, at.Target(&records), r.o.Pepper, r.o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := r.checkAudit(db); err != nil {
		return err
	}
	if r.out.Seals, err = db.CheckSeals(r.ctx); err != nil {
		return err
	}
	m, now := &r.in.Manifest, r.o.Now()
	_, err = db.Write(r.ctx, func(tx *store.Tx) error {
		p := replayer{Tx: tx, ctx: r.ctx, pepper: r.o.Pepper, now: now}
		epoch, feed := max(m.Epoch+1, now.Unix()), m.Feed
		if r.history != nil {
			if err := p.play(r.history.After(m.Epoch, m.Feed, m.Audit)); err != nil {
				return err
			}
			epoch, feed = max(epoch, r.history.Epoch()+1), max(feed, r.history.Feed())
		}
		if err := p.endTokens(r.out); err != nil {
			return err
		}
		r.out.Replayed, r.out.Epoch = p.done, epoch
		if err := tx.EndPassing(r.ctx, now); err != nil {
			return err
		}
		if err := p.noteRestore(r.out); err != nil {
			return err
		}
		if err := tx.BeginLife(r.ctx, epoch, feed, now); err != nil {
			return err
		}
		return tx.Finish(r.ctx)
	})
	if err != nil {
		return err
	}
	if r.out.Feed, _, err = db.FeedHead(r.ctx); err != nil {
		return err
	}
	if r.out.Live, err = db.Live(r.ctx, now); err != nil {
		return err
	}
	return db.Sync(r.ctx)
}

// endTokens ends the OAuth access tokens.
func (r *replayer) endTokens(out *Restored) error {
	ids, err := r.LiveOfKind(r.ctx, postern.KindOAuthAccess)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row, err := r.Credential(r.ctx, id)
		if err != nil {
			return err
		}
		fit := row.Sealed(r.pepper)
		row.RevokedAt = r.now
		if err := r.save(&row, fit); err != nil {
			return err
		}
	}
	out.OAuth = len(ids)
	return nil
}

// noteRestore writes the entry of the restore itself.
func (r *replayer) noteRestore(out *Restored) error {
	by := postern.Actor{System: "restore"}
	e := by.Entry(r.now, "backup.restore", out.Manifest.Origin)
	e.After = map[string]any{"madeAt": out.Manifest.MadeAt, "feed": out.Manifest.Feed, "auditEntries": out.Manifest.Audit, "epoch": out.Epoch,
		"journalCovers": out.Journal.Covered, "journalUntil": out.Journal.Until.Format(time.RFC3339), "ended": r.done.Ended, "narrowed": r.done.Narrowed,
		"oauthEnded": out.OAuth}
	if !out.Journal.Covered {
		e.After["acceptedLost"] = out.Manifest.Live + out.Manifest.Members
	}
	return r.InsertAudit(r.ctx, e)
}

// checkAudit holds the restored log against itself, the backup's checkpoint and the pepper's keys.
func (r *restore) checkAudit(db *store.DB) error {
	m := &r.in.Manifest
	opts := auditlog.Options{}
	signers, err := auditor.SigningKeys(r.o.Pepper, m.Origin)
	if m.Origin != "" && err != nil {
		return err
	}
	for _, s := range signers {
		opts.Keys = append(opts.Keys, s.Key)
	}
	if m.Checkpoint != "" {
		opts.Kept = []string{m.Checkpoint}
	}
	report, err := db.VerifyAudit(r.ctx, opts)
	if err != nil {
		return err
	}
	found := &r.out.Audit
	found.Entries, found.Sound = report.Entries, report.Sound
	if report.Entries != m.Audit {
		found.Sound, found.Why = false, fmt.Sprintf("it has %d entries and the backup says %d", report.Entries, m.Audit)
	} else if !report.Sound {
		f := report.First()
		found.Why = fmt.Sprintf("entry %d: %s", f.Entry, f.Why)
	}
	if !found.Sound && !r.o.AcceptAudit {
		return postern.Errorf(postern.CodeConflict, "The audit log in the backup is not sound (%s). To restore it all the same, add --accept-broken-audit.", found.Why)
	}
	return nil
}
