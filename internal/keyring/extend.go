package keyring

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// MaxExtension is the most time that a rotation can be given after it began.
const MaxExtension = 7 * 24 * time.Hour

const actExtend = "service_key.rotation.extend"

// ExtendRotation lets the previous secret work on for longer: once in a rotation,
// by at most MaxExtension, and never past the key's own end. It lengthens a life,
// so the member must hold the key's scopes.
func (kr *Keyring) ExtendRotation(ctx context.Context, by postern.Actor, id postern.KeyID, more time.Duration, revision int64) (made Made, err error) {
	made.Seq, err = kr.change(ctx, by, actExtend, string(id), func(c *change) error {
		m, err := c.member(postern.PermKeysWrite)
		if err != nil {
			return err
		}
		if more < time.Minute || more > MaxExtension {
			return postern.Invalidf("more", "A rotation can be given 1 minute to %d days more.", int(MaxExtension.Hours()/24))
		}
		rec, err := c.liveKey(id, revision)
		if err != nil {
			return err
		}
		if !rec.Key.Rotating(c.now) {
			return postern.Errorf(postern.CodeConflict, "The key %q is not being rotated: it has one secret.", rec.Key.Name)
		}
		known, err := kr.known(ctx, c)
		if err != nil {
			return err
		}
		if err := contain(m, rec.Row.Scopes, known, "let this key's old secret work for longer"); err != nil {
			return err
		}
		if err := c.obeyed(&rec.Key, known, "finish the rotation, which ends the old secret at once"); err != nil {
			return err
		}
		plan, err := c.Rotation(ctx, by.AccountID, id)
		if err != nil {
			return err
		}
		if holds(plan, &rec.Key) {
			made.Key = rec.Key
			return c.extendHold(rec, plan, more)
		}
		if done, err := extended(ctx, c, &rec.Key); err != nil {
			return err
		} else if done {
			return postern.Errorf(postern.CodeConflict, "The old secret of %q was kept longer once already. Finish the rotation, or cancel it.", rec.Key.Name)
		}
		facts := keyFacts(&rec.Key)
		end := whole(rec.Row.PreviousUntil.Add(more))
		if x := rec.Row.ExpiresAt; !x.IsZero() && end.After(x) {
			end = x
		}
		if !end.After(rec.Row.PreviousUntil) {
			return postern.Errorf(postern.CodeConflict, "The old secret of %q works until the key itself ends. Give the key a later expiry first.", rec.Key.Name)
		}
		rec.Row.PreviousUntil = end
		if plan != nil {
			plan.Deadline, plan.Latest = end, end
			if err := c.PutRotation(ctx, plan); err != nil {
				return err
			}
		}
		return c.save(rec, facts, actExtend, &made)
	})
	return made, err
}

type auditReader interface {
	AuditPage(context.Context, postern.AccountID, store.AuditFilter, int64, int) ([]postern.AuditEntry, error)
}

// extended reports whether the rotation that a key is in was extended: the audit
// log, which forgets nothing, says so.
func extended(ctx context.Context, q auditReader, k *postern.ServiceKey) (bool, error) {
	list, err := q.AuditPage(ctx, k.AccountID, store.AuditFilter{Action: actExtend, Object: string(k.ID), Result: "ok", Since: k.Current.MadeAt}, 0, 1)
	return len(list) > 0, err
}

// RotationExtended reports whether the rotation that a key is in was extended
// already, which can be done once.
func (kr *Keyring) RotationExtended(ctx context.Context, by postern.Actor, id postern.KeyID) (bool, error) {
	k, err := kr.Key(ctx, by, id)
	if err != nil || !k.Rotating(kr.now()) {
		return false, err
	}
	return extended(ctx, kr.db, &k)
}
