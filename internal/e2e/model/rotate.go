package model

import (
	"fmt"
	"slices"
	"time"
)

const (
	// MaxGrace is how long a previous secret may work on at most.
	MaxGrace = 30 * 24 * time.Hour
	// Remembered is how long a request is known by its Idempotency-Key.
	Remembered = 24 * time.Hour
	// Recoverable is how long the lost answer to a rotation without grace can be recovered.
	Recoverable = 15 * time.Minute
)

// Rotation is how a key shall be rotated.
type Rotation struct {
	Grace       time.Duration // 0: the old secret is dead at once
	Replace     bool
	Idempotency string
	Revision    int64
}

// remembered is a request that was answered.
type remembered struct {
	account *Account
	actor   *Member
	name    string
	request string
	key     *Key
	made    *Secret
	at      time.Time
}

// Rotating reports whether a key has two secrets that work: before the deadline.
func (w *World) Rotating(k *Key) bool {
	return k.Previous != nil && w.Now.Before(k.PreviousUntil)
}

// Rotate gives a key a new secret, which is shown: the member must hold its
// scopes. While a rotation is pending another one is a conflict, unless it is
// told to replace it: the pending successor is voided then, and the secret
// before it stays the previous one.
func (w *World) Rotate(by Actor, k *Key, in Rotation) (*Secret, Refusal) {
	r := w.may(by, "postern.keys.write")
	r.addIf(in.Grace < 0 || in.Grace > MaxGrace, Invalid)
	request := fmt.Sprintf("rotate %p %s %t", k, in.Grace, in.Replace) // the same, whatever of the key was seen
	first := w.recall(by, in.Idempotency)
	r.addIf(first != nil && first.request != request, Conflict)
	if !w.sees(by, k) {
		r.add(NotFound)
		return nil, r
	}
	r.addIf(k.ended(), Conflict)
	r.addIf(!k.ExpiresAt.IsZero() && !w.Now.Before(k.ExpiresAt), Conflict) // no secret of it would work
	if !slices.Contains(r.Codes, Forbidden) && w.Bug != BugRotateFreely {
		r.addMissing(w.lacks(by.Member, k.Scopes))
	}
	if first != nil {
		r.addIf(!w.recoverable(first, in), Conflict)
	} else {
		r.addIf(in.Revision != 0 && in.Revision != k.Revision, Precondition)
		r.addIf(w.Rotating(k) && !in.Replace, Conflict)
	}
	if !r.None() {
		return nil, r
	}
	if first == nil {
		if !w.Rotating(k) {
			k.Previous = k.Current
		}
		k.PreviousUntil = w.graceEnd(k, in.Grace)
	}
	k.Current = k.newSecret()
	k.Revision++
	if first != nil {
		first.made = k.Current
	} else {
		w.remember(by, in.Idempotency, request, k)
	}
	return k.Current, r
}

// graceEnd is when the previous secret stops: never after the key itself.
func (w *World) graceEnd(k *Key, grace time.Duration) time.Time {
	end := w.Now.Add(grace)
	if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(end) {
		end = k.ExpiresAt
	}
	return end
}

// recoverable reports whether the answer to a rotation that was lost can be made
// good: the successor that it held is the current secret still, and the secret
// before it works still, or could not because none was to, and not long ago.
func (w *World) recoverable(first *remembered, in Rotation) bool {
	if first.key.Current != first.made {
		return false
	}
	if in.Grace == 0 {
		return w.Now.Before(first.at.Add(Recoverable))
	}
	return w.Rotating(first.key)
}

// Finish ends the previous secret now.
func (w *World) Finish(by Actor, k *Key, revision int64) Refusal {
	r := w.endRotation(by, k, revision)
	if r.None() {
		k.PreviousUntil = w.Now
		k.Revision++
	}
	return r
}

// Cancel voids the successor; the previous secret is the current one again. It
// had a deadline and has none then, so the member must hold the key's scopes.
func (w *World) Cancel(by Actor, k *Key, revision int64) Refusal {
	r := w.endRotation(by, k, revision)
	if w.sees(by, k) && !slices.Contains(r.Codes, Forbidden) && w.Bug != BugCancelFreely {
		r.addMissing(w.lacks(by.Member, k.Scopes))
	}
	if r.None() {
		if w.Bug != BugVoidedLives {
			k.Current = k.Previous
		}
		k.Previous, k.PreviousUntil = nil, time.Time{}
		k.Revision++
	}
	return r
}

func (w *World) endRotation(by Actor, k *Key, revision int64) Refusal {
	r := w.may(by, "postern.keys.write")
	if !w.sees(by, k) {
		r.add(NotFound)
		return r
	}
	r.addIf(k.ended() || !w.Rotating(k), Conflict)
	r.addIf(revision != 0 && revision != k.Revision, Precondition)
	return r
}

// recall finds a request that an actor made under an Idempotency-Key not long ago.
func (w *World) recall(by Actor, name string) *remembered {
	for _, m := range w.remembered {
		if name != "" && m.account == by.Account && m.actor == by.Member && m.name == name && w.Now.Before(m.at.Add(Remembered)) {
			return m
		}
	}
	return nil
}

func (w *World) remember(by Actor, name, request string, k *Key) {
	if name == "" {
		return
	}
	w.remembered = slices.DeleteFunc(w.remembered, func(m *remembered) bool {
		return m.account == by.Account && m.actor == by.Member && m.name == name
	})
	w.remembered = append(w.remembered, &remembered{by.Account, by.Member, name, request, k, k.Current, w.Now})
}
