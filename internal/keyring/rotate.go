package keyring

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Rotation is how a service key shall be rotated.
type Rotation struct {
	// Grace is how long the previous secret works on: 0 ends it now; at most postern.MaxGrace.
	Grace time.Duration
	// Replace starts again where a rotation is pending: the pending successor is
	// voided, and the secret before it stays the previous one.
	Replace bool
	// Ends says how it ends; empty is at the deadline that Grace sets.
	Ends postern.RotationEnd
	// Idle is how long the old secret must be silent to count as unused, where Ends asks; 0 is postern.DefaultIdle.
	Idle time.Duration
	// Hold is how long the old secret works at most where Ends is EndHold; 0 is postern.MaxGrace.
	Hold time.Duration
	// Idempotency is the caller's Idempotency-Key; empty for none.
	Idempotency string
	IfRevision  int64
}

// recoverNow is how long a lost answer to "rotate now" can be recovered: the
// old secret is dead then, and soon someone may rely on the new one.
const recoverNow = 15 * time.Minute

// RotateKey gives a service key a new secret. The member must hold the key's
// scopes: they are shown a secret that has them. Asked again with the same
// Idempotency-Key by the same actor, it takes the first answer for lost: the
// successor that it held is voided and a new one shown.
func (kr *Keyring) RotateKey(ctx context.Context, by postern.Actor, id postern.KeyID, in Rotation) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, "service_key.rotate", string(id), func(c *change) error {
		made = Made{}
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		if in.Grace < 0 || in.Grace > postern.MaxGrace {
			return postern.Invalidf("grace", "The grace period is from 0s to %dh.", int(postern.MaxGrace.Hours()))
		}
		if err := in.checkEnd(); err != nil {
			return err
		}
		done, again, err := c.idempotent(in.Idempotency, "service_key.rotate "+string(id), []any{in.Grace, in.Replace, in.Ends, in.Idle, in.Hold})
		if err != nil {
			return err
		}
		revision := in.IfRevision
		if again != nil {
			revision = 0 // the caller saw the key before the lost answer
		}
		rec, err := c.liveKey(id, revision)
		if err != nil {
			return err
		}
		known, err := kr.known(ctx, c)
		if err != nil {
			return err
		}
		if err := contain(m, rec.Row.Scopes, known, "rotate this key, which would show you its new secret"); err != nil {
			return err
		}
		if !rec.Row.ExpiresAt.IsZero() && !c.now.Before(rec.Row.ExpiresAt) {
			return postern.Errorf(postern.CodeConflict, "The key %q has expired. Give it a later expiry first.", rec.Key.Name)
		}
		// What was exposed can always be replaced at once.
		if in.Grace > 0 && again == nil {
			if err := c.obeyed(&rec.Key, known, "rotate it now, which ends the old secret at once"); err != nil {
				return err
			}
		}
		facts := keyFacts(&rec.Key)
		pending := rec.Key.Rotating(c.now)
		note, gen := "", nextGeneration(rec)
		switch {
		case again != nil:
			if err := recoverable(rec, again, in, pending, c.now); err != nil {
				return err
			}
			note = "The answer was lost: the successor that it held was voided."
		case pending && !in.Replace:
			return postern.Errorf(postern.CodeConflict, "The key %q is being rotated already: both secrets work until %s. Finish or cancel that, or replace it.",
				rec.Key.Name, rec.Row.PreviousUntil.UTC().Format(time.RFC3339))
		case pending:
			note = "A pending rotation was replaced: its successor was voided."
			rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.graceEnd(rec, in.longest()), in.Grace == 0
		default:
			rec.Row.Previous, rec.Key.Previous = rec.Row.Current, rec.Key.Current
			rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.graceEnd(rec, in.longest()), in.Grace == 0
		}
		plan := func(*postern.AuditEntry) {}
		if again == nil {
			if plan, err = c.plan(rec, in); err != nil {
				return err
			}
		}
		made.Secret = c.newSecret(rec, gen)
		if err := done(string(id), rec.Row.Current.Generation); err != nil {
			return err
		}
		return c.save(rec, facts, "service_key.rotate", &made, because(note), plan)
	})
	if err != nil {
		made.Secret = postern.Secret{}
	}
	return made, err
}

func (c *change) graceEnd(rec *store.KeyRecord, grace time.Duration) time.Time {
	end := whole(c.now.Add(grace))
	if x := rec.Row.ExpiresAt; !x.IsZero() && end.After(x) {
		end = x
	}
	return end
}

// recoverable reports why a lost answer can't be made good any more, or nil.
func recoverable(rec *store.KeyRecord, first *store.Idempotent, in Rotation, pending bool, now time.Time) error {
	still := rec.Row.Current.Generation == first.Generation
	if in.Grace == 0 {
		still = still && now.Before(first.CreatedAt.Add(recoverNow))
	} else {
		still = still && pending
	}
	if !still {
		return postern.Errorf(postern.CodeConflict, "That rotation was done, its secret was shown, and things have moved on since. Rotate again with a new Idempotency-Key.")
	}
	return nil
}

// FinishRotation ends the previous secret now.
func (kr *Keyring) FinishRotation(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (Made, error) {
	return kr.endRotation(ctx, by, id, revision, "service_key.rotation.finish", "", func(c *change, rec *store.KeyRecord) {
		rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.now, true
	})
}

// CancelRotation voids the successor; the previous secret becomes the current one
// again, and has no deadline any more. That lengthens its life, so the member must
// hold the key's scopes.
func (kr *Keyring) CancelRotation(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (Made, error) {
	return kr.endRotation(ctx, by, id, revision, "service_key.rotation.cancel", "cancel this rotation, which would give the old secret a life without a deadline", func(c *change, rec *store.KeyRecord) {
		// The voided one is kept as the previous, long over, so that its use can be named.
		rec.Row.Current, rec.Row.Previous = rec.Row.Previous, rec.Row.Current
		rec.Key.Current, rec.Key.Previous = rec.Key.Previous, rec.Key.Current
		rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.now, true
	})
}

// endRotation ends a rotation; gives says what more than that it does, for which
// the member must hold the key's scopes.
func (kr *Keyring) endRotation(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64, action, gives string, end func(*change, *store.KeyRecord)) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, action, string(id), func(c *change) error {
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		rec, err := c.liveKey(id, revision)
		if err != nil {
			return err
		}
		if gives != "" {
			known, err := kr.known(ctx, c)
			if err != nil {
				return err
			}
			if err := contain(m, rec.Row.Scopes, known, gives); err != nil {
				return err
			}
		}
		if !rec.Key.Rotating(c.now) {
			return postern.Errorf(postern.CodeConflict, "The key %q is not being rotated: it has one secret.", rec.Key.Name)
		}
		facts := keyFacts(&rec.Key)
		end(c, rec)
		if err := c.DropRotation(ctx, id); err != nil {
			return err
		}
		return c.save(rec, facts, action, &made)
	})
	return made, err
}

// RevokeKey ends a key for good. Revoking one that is revoked changes nothing
// and gives the first one's number, so that its receipt can be asked for again.
func (kr *Keyring) RevokeKey(ctx context.Context, by postern.Actor, id postern.KeyID, why string) (Made, error) {
	return kr.end(ctx, by, id, "service_key.revoke", why, 0, false)
}

// DeleteKey revokes what is still live and takes the key off the lists.
func (kr *Keyring) DeleteKey(ctx context.Context, by postern.Actor, id postern.KeyID, revision int64) (Made, error) {
	return kr.end(ctx, by, id, "service_key.delete", "", revision, true)
}

func (kr *Keyring) end(ctx context.Context, by postern.Actor, id postern.KeyID, action, why string, revision int64, remove bool) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, action, string(id), func(c *change) error {
		if _, err := c.member(postern.PermKeysRevoke); err != nil {
			return err
		}
		why, err := text("reason", why, postern.MaxDescriptionLen, false)
		if err != nil {
			return err
		}
		rec, err := c.Key(ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if revision != 0 && revision != rec.Row.Revision {
			return postern.Errorf(postern.CodePrecondition, "The key was changed by someone else in the meantime. Read it again, and repeat your request.")
		}
		facts := keyFacts(&rec.Key)
		if rec.Row.RevokedAt.IsZero() {
			rec.Row.RevokedAt, rec.Key.RevokedWhy = c.now, why
		}
		if remove {
			rec.Row.DeletedAt = c.now
		}
		return c.saveEnded(&rec, facts, action, why, &made)
	})
	if err == nil && made.Seq == 0 {
		made.Seq, err = kr.db.FeedSeqOf(ctx, postern.ChangeCredential, string(id))
	}
	return made, err
}

// saveEnded writes an ended key, altered rows too: ending must always be possible.
func (c *change) saveEnded(rec *store.KeyRecord, facts map[string]any, action, why string, made *Made) error {
	was := rec.Key
	if was.Ended() && rec.Row.DeletedAt.IsZero() {
		made.Key = was
		return nil
	}
	rec.Row.Revision++
	rec.Key.UpdatedAt = c.now
	rec.Row.Seal(c.kr.cfg.Pepper)
	if err := c.UpdateKey(c.ctx, rec); err != nil {
		return err
	}
	made.Key = rec.Key
	if err := c.feed(postern.ChangeCredential, c.by.AccountID, string(rec.Row.Key)); err != nil {
		return err
	}
	return c.audit(action, string(rec.Row.Key), rec.Key.Name, changedFacts(facts, keyFacts(&rec.Key)), because(why))
}

// RevocationSeq is the feed number of the change that ended a key, for its receipt.
func (kr *Keyring) RevocationSeq(ctx context.Context, by postern.Actor, id postern.KeyID) (int64, error) {
	k, err := kr.Key(ctx, by, id)
	if err != nil {
		return 0, err
	}
	if !k.Ended() {
		return 0, postern.Errorf(postern.CodeConflict, "The key %q has not been revoked.", k.Name)
	}
	return kr.db.FeedSeqOf(ctx, postern.ChangeCredential, string(id))
}

// ChangeSeq is the feed number of the latest change of a key, for its receipt.
func (kr *Keyring) ChangeSeq(ctx context.Context, by postern.Actor, id postern.KeyID) (int64, error) {
	if _, err := kr.Key(ctx, by, id); err != nil {
		return 0, err
	}
	return kr.db.FeedSeqOf(ctx, postern.ChangeCredential, string(id))
}
