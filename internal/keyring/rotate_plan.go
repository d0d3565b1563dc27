package keyring

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// The actions of rotations that somebody or something decides on.
const (
	actFinish = "service_key.rotation.finish"
	actAsk    = "service_key.rotation.ask"
)

// checkEnd checks how a rotation shall end, and fills in what is left out.
func (in *Rotation) checkEnd() error {
	switch in.Ends {
	case "", postern.EndAtDeadline:
		in.Ends = postern.EndAtDeadline
		if in.Idle != 0 || in.Hold != 0 {
			return postern.Invalidf("ends", "A rotation that ends at its deadline waits for nothing. Choose when_idle or hold, or leave idle and hold out.")
		}
		return nil
	case postern.EndWhenIdle, postern.EndHold:
	default:
		return postern.Invalidf("ends", "A rotation ends at_deadline, when_idle or hold.")
	}
	if in.Idle == 0 {
		in.Idle = postern.DefaultIdle
	}
	switch {
	case in.Grace == 0:
		return postern.Invalidf("grace", "Without a grace period the old secret ends now: there is nothing to wait for.")
	case in.Idle < postern.MinIdle || in.Idle > postern.MaxGrace:
		return postern.Invalidf("idle", "The old secret counts as unused after 1h to %dh without a call.", int(postern.MaxGrace.Hours()))
	case in.Ends == postern.EndWhenIdle && in.Idle >= in.Grace:
		return postern.Invalidf("idle", "The old secret would reach its deadline before it was silent for so long. Choose a shorter time, or a longer grace period.")
	case in.Ends == postern.EndWhenIdle && in.Hold != 0:
		return postern.Invalidf("hold", "Only a rotation that ends with hold goes on past its deadline.")
	}
	if in.Ends == postern.EndHold {
		if in.Hold == 0 {
			in.Hold = postern.MaxGrace
		}
		if in.Hold < in.Grace || in.Hold > postern.MaxGrace {
			return postern.Invalidf("hold", "The old secret can be held from the end of its grace period to %dh after the start.", int(postern.MaxGrace.Hours()))
		}
	}
	return nil
}

// longest is how long the old secret works if nothing ends it before.
func (in *Rotation) longest() time.Duration {
	if in.Ends == postern.EndHold {
		return in.Hold
	}
	return in.Grace
}

// plan writes how a rotation that begins now ends, and gives what the audit log says of that.
func (c *change) plan(rec *store.KeyRecord, in Rotation) (func(*postern.AuditEntry), error) {
	if in.Ends == postern.EndAtDeadline {
		return func(*postern.AuditEntry) {}, c.DropRotation(c.ctx, rec.Row.Key)
	}
	p := &postern.RotationPlan{Key: rec.Row.Key, AccountID: rec.Row.AccountID, Generation: rec.Row.Previous.Generation, Ends: in.Ends, BeganAt: c.now,
		Deadline: c.graceEnd(rec, in.Grace), Latest: rec.Row.PreviousUntil, Idle: in.Idle}
	return func(e *postern.AuditEntry) { e.After["rotation"] = planFacts(p) }, c.PutRotation(c.ctx, p)
}

func planFacts(p *postern.RotationPlan) map[string]any {
	return map[string]any{"ends": p.Ends, "deadline": p.Deadline, "latest": p.Latest, "idle": p.Idle.String()}
}

// holds reports whether a plan is of the rotation that a key is in, and holds the old secret.
func holds(p *postern.RotationPlan, k *postern.ServiceKey) bool {
	return p != nil && !p.Altered && p.Generation == k.Previous.Generation && p.Ends == postern.EndHold
}

// extendHold puts off the deadline of a rotation that holds: as often as wanted,
// since the latest end was allowed when it began and stays as it is.
func (c *change) extendHold(rec *store.KeyRecord, p *postern.RotationPlan, more time.Duration) error {
	was := planFacts(p)
	from := p.Deadline
	if c.now.After(from) {
		from = c.now
	}
	to := whole(from.Add(more))
	if latest := rec.Row.PreviousUntil; to.After(latest) {
		to = latest
	}
	if !to.After(from) {
		return postern.Errorf(postern.CodeConflict, "The old secret of %q works until the latest end that was set for it. Finish the rotation, or cancel it.", rec.Key.Name)
	}
	p.Deadline, p.AskedAt = to, time.Time{}
	if err := c.PutRotation(c.ctx, p); err != nil {
		return err
	}
	return c.audit(actExtend, string(p.Key), rec.Key.Name, diff(map[string]any{"rotation": was}, map[string]any{"rotation": planFacts(p)}))
}

// Rotation reads how the rotation that a key is in ends; nil where that is at its deadline, or it is in none.
func (kr *Keyring) Rotation(ctx context.Context, by postern.Actor, id postern.KeyID) (*postern.RotationPlan, error) {
	k, err := kr.Key(ctx, by, id)
	if err != nil || !k.Rotating(kr.now()) {
		return nil, err
	}
	p, err := kr.db.Rotation(ctx, by.AccountID, id)
	if err != nil || p == nil || p.Altered || p.Generation != k.Previous.Generation {
		return nil, err
	}
	return p, nil
}

// Undecided are the rotations of the account that wait for an admin's word.
func (kr *Keyring) Undecided(ctx context.Context, by postern.Actor) (map[postern.KeyID]postern.RotationPlan, error) {
	if err := kr.reader(ctx, by, postern.PermKeysRead); err != nil {
		return nil, err
	}
	all, err := kr.db.Rotations(ctx, by.AccountID)
	out := map[postern.KeyID]postern.RotationPlan{}
	for _, p := range all {
		if p.Undecided(kr.now()) {
			out[p.Key] = p
		}
	}
	return out, err
}

// SettleRotation does what is due about a pending rotation: it ends the old secret
// where nobody uses it any more, or asks the key's people where somebody does.
func (kr *Keyring) SettleRotation(ctx context.Context, a postern.AccountID, id postern.KeyID, use postern.RotationUse) (step postern.RotationStep, err error) {
	by := postern.Actor{AccountID: a, System: "rotation"}
	_, err = kr.change(ctx, by, actFinish, string(id), func(c *change) error {
		step = postern.RotationWaits
		p, err := c.Rotation(ctx, a, id)
		if err != nil || p == nil {
			return err
		}
		rec, ok, err := c.AnyKey(ctx, id)
		if err != nil {
			return err
		}
		k := &rec.Key
		if !ok || k.AccountID != a || k.Ended() || p.Generation != k.Previous.Generation || !k.Rotating(c.now) {
			return c.DropRotation(ctx, id) // it is over
		}
		if p.Altered || !rec.Row.Sealed(kr.cfg.Pepper) {
			return nil
		}
		switch step = p.Step(k, use, c.now); step {
		case postern.RotationOver:
			facts := keyFacts(k)
			rec.Row.PreviousUntil, rec.Row.PreviousEnded = c.now, true
			if err := c.DropRotation(ctx, id); err != nil {
				return err
			}
			return c.save(&rec, facts, actFinish, &Made{}, because(fmt.Sprintf("The old secret was not used for %s.", spanWords(p.Idle))))
		case postern.RotationAsks:
			was := planFacts(p)
			p.AskedAt = c.now
			if err := c.PutRotation(ctx, p); err != nil {
				return err
			}
			return c.audit(actAsk, string(id), k.Name, diff(nil, map[string]any{"rotation": was, "lastUsedAt": use.Old}))
		}
		return nil
	})
	return step, err
}

// spanWords is a time as a sentence has it.
func spanWords(d time.Duration) string {
	n, one := int64(d/time.Hour), "hour"
	if n >= 48 && n%24 == 0 {
		n, one = n/24, "day"
	}
	if n != 1 {
		one += "s"
	}
	return fmt.Sprintf("%d %s", n, one)
}
