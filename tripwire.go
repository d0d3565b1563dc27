package postern

import "time"

// TripKind is a kind of tripwire: something that calls with a key do, and that its people should know.
type TripKind string

// The tripwires.
const (
	TripRetired TripKind = "retired_secret" // a whole true secret was presented that has been ended
	TripFar     TripKind = "far_networks"   // one secret from two networks at once, one of them new
	TripCanary  TripKind = "canary"         // a key that nobody should use was used
	TripRefused TripKind = "refusals"       // many calls refused in a short time
)

// TripKinds are all of them, in the order in which they are shown.
func TripKinds() []TripKind { return []TripKind{TripRetired, TripFar, TripCanary, TripRefused} }

// TripAction is what a tripwire does.
type TripAction string

// The actions.
const (
	TripOff    TripAction = "off"
	TripNotify TripAction = "notify"
	TripPause  TripAction = "pause" // and notify
)

// TripAgain is for how long a tripwire of a key that was touched is not told of again.
const TripAgain = time.Hour

// Tripwires is what an account wants of its tripwires.
type Tripwires struct {
	Retired, Far, Canary, Refused TripAction
	// FarMinutes is how close together calls from two networks are "at once".
	FarMinutes int
	// FarFleet is how many networks a key may be at home in before it counts as a fleet, of which nothing is told.
	FarFleet int
	// FarLearnHours is for how long after its first call a key's networks are only learned.
	FarLearnHours int
	// RefusedCalls in RefusedMinutes, and RefusedPercent of the calls in that time, are a burst.
	RefusedCalls, RefusedMinutes, RefusedPercent int
}

// DefaultTripwires are those of an account that set none: all of them only tell.
func DefaultTripwires() Tripwires {
	return Tripwires{Retired: TripNotify, Far: TripNotify, Canary: TripNotify, Refused: TripNotify,
		FarMinutes: 10, FarFleet: 5, FarLearnHours: 24, RefusedCalls: 50, RefusedMinutes: 5, RefusedPercent: 50}
}

// Action is what a tripwire of a kind does.
func (t *Tripwires) Action(kind TripKind) TripAction {
	if a := t.action(kind); a != nil {
		return *a
	}
	return TripOff
}

func (t *Tripwires) action(kind TripKind) *TripAction {
	switch kind {
	case TripRetired:
		return &t.Retired
	case TripFar:
		return &t.Far
	case TripCanary:
		return &t.Canary
	case TripRefused:
		return &t.Refused
	}
	return nil
}

// Facts is what the audit log keeps of them.
func (t Tripwires) Facts() map[string]any {
	return map[string]any{string(TripRetired): t.Retired, string(TripFar): t.Far, string(TripCanary): t.Canary, string(TripRefused): t.Refused,
		"farMinutes": t.FarMinutes, "farFleet": t.FarFleet, "farLearnHours": t.FarLearnHours, "refusedCalls": t.RefusedCalls, "refusedMinutes": t.RefusedMinutes, "refusedPercent": t.RefusedPercent}
}

// Valid reports what is wrong with the numbers, naming the field.
func (t Tripwires) Valid() error {
	for _, kind := range TripKinds() {
		switch t.Action(kind) {
		case TripOff, TripNotify, TripPause:
		default:
			return Invalidf("tripwires", "A tripwire is off, or does notify or pause.")
		}
	}
	for _, f := range []struct {
		field     string
		n, lo, hi int
	}{
		{"farMinutes", t.FarMinutes, 1, 60}, {"farFleet", t.FarFleet, 2, 100}, {"farLearnHours", t.FarLearnHours, 0, 720},
		{"refusedCalls", t.RefusedCalls, 1, 250}, {"refusedMinutes", t.RefusedMinutes, 1, 60}, {"refusedPercent", t.RefusedPercent, 1, 100},
	} {
		if f.n < f.lo || f.n > f.hi {
			return Invalidf(f.field, "This is %d to %d.", f.lo, f.hi)
		}
	}
	return nil
}

// Trip is a tripwire that was touched.
type Trip struct {
	ID         string
	AccountID  AccountID
	Key        KeyID
	Name       string // of the key, at that time
	Kind       TripKind
	At         time.Time
	Generation int64
	IP         string
	UserAgent  string
	Words      string // what was seen
	Paused     bool   // the key was paused for it
}
