package verify

import (
	"time"

	"postern.dev/postern"
)

// DayStart is when the day began that a time is in, by the clock of an account:
// midnight in its time zone, or UTC where the account isn't known. Whoever keeps
// counts for AddUsage keeps them by this.
func (v *Verifier) DayStart(id postern.AccountID, at postern.Micros) postern.Micros {
	zone := time.UTC
	if a := v.accounts.find(id); a != nil {
		if f := a.facts.Load(); f != nil {
			zone = f.zone
		}
	}
	return DayStart(zone, at)
}

// DayStart is when the day began that a time is in, in a time zone; nil is UTC.
func DayStart(zone *time.Location, at postern.Micros) postern.Micros {
	if zone == nil {
		zone = time.UTC
	}
	return dayOf(at, zone).start
}
