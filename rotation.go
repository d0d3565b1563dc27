package postern

import "time"

// RotationEnd says how a rotation ends.
type RotationEnd string

// The ways in which a rotation ends.
const (
	// EndAtDeadline: the old secret stops at the deadline, whoever still uses it.
	EndAtDeadline RotationEnd = "at_deadline"
	// EndWhenIdle: it stops before that, once it was silent for a set time.
	EndWhenIdle RotationEnd = "when_idle"
	// EndHold: where it is still used at the deadline, an admin is asked, and it works
	// on until the latest end that was set for it.
	EndHold RotationEnd = "hold"
)

// Limits of how long a secret must have been silent before a rotation ends by itself.
const (
	MinIdle     = time.Hour
	DefaultIdle = 24 * time.Hour
)

// RotationPlan is how a pending rotation ends, where that is not simply at its
// deadline. What decisions go by is PreviousUntil of the key's credential alone:
// the deadline, or with EndHold the latest end. A plan can only end a rotation
// before that; where nobody carries it out, that time stands.
type RotationPlan struct {
	Key        KeyID
	AccountID  AccountID
	Generation int64 // of the old secret
	Ends       RotationEnd
	BeganAt    time.Time
	Deadline   time.Time
	Latest     time.Time     // when the old secret stops whatever happens
	Idle       time.Duration // how long it must be silent to count as unused
	AskedAt    time.Time     // when an admin was asked; zero before that
	Altered    bool          // changed by other means than Postern: it ends nothing
}

// RotationStep is what is to be done about a pending rotation.
type RotationStep uint8

// The steps.
const (
	RotationWaits RotationStep = iota
	RotationOver               // end the old secret: nobody uses it
	RotationAsks               // ask an admin: it is still used, and its deadline has come
)

// RotationUse is how the two secrets of a key were used, as far as that is known.
type RotationUse struct {
	Old   time.Time // when the old secret was last used; zero for never
	Fresh time.Time // when the new one first was; zero for never
	Known time.Time // up to when all calls are known; what came later may have used either
}

// Step says what is to be done at a time about the rotation of a key.
func (p *RotationPlan) Step(k *ServiceKey, use RotationUse, now time.Time) RotationStep {
	if p.Altered || p.Generation != k.Previous.Generation || !k.Rotating(now) || k.Ended() {
		return RotationWaits
	}
	since := p.BeganAt
	if use.Old.After(since) {
		since = use.Old
	}
	known := use.Known
	if now.Before(known) {
		known = now
	}
	silent := known.Sub(since) >= p.Idle
	switch p.Ends {
	case EndWhenIdle:
		// Before anything uses the new secret, silence says that nothing ran, not that all have moved.
		if silent && !use.Fresh.IsZero() {
			return RotationOver
		}
	case EndHold:
		switch {
		case now.Before(p.Deadline):
		case silent:
			return RotationOver
		case p.AskedAt.IsZero():
			return RotationAsks
		}
	}
	return RotationWaits
}

// Undecided reports whether a rotation waits for an admin's word at a time.
func (p *RotationPlan) Undecided(now time.Time) bool {
	return p.Ends == EndHold && !p.Altered && !p.AskedAt.IsZero() && !now.Before(p.Deadline) && now.Before(p.Latest)
}
