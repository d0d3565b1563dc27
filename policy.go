package postern

import (
	"fmt"
	"slices"
	"time"
)

// Limits of a policy's numbers, in days.
const (
	MaxPolicyLife  = 3650
	MaxPolicyDays  = 3650
	MaxPolicyNotes = 10 // reminders before an expiry
)

// Policy is what an account asks of its service keys. What it limits is checked
// when a key is made or widened; what it reminds of is only told. A zero number is off.
type Policy struct {
	AccountID AccountID
	// RequireExpiry asks every key for an end.
	RequireExpiry bool
	// LongestLife is how many days ahead an end can be at most. Where it is set every
	// key needs an end, asked for or not: a key without one outlives any limit.
	LongestLife int
	// WriteNetworks asks for an IP list where a key can change something.
	WriteNetworks bool
	// RemindExpiry are the days before a key's end at which its people are told, longest first.
	RemindExpiry []int
	// RemindAge is how many days old a secret may be before its people are told.
	RemindAge int
	// IdleAfter is after how many days without a call a key counts as unused.
	IdleAfter int
	// Tripwires is what is watched for, and what happens then.
	Tripwires Tripwires
	// Leaks is what happens when a secret was found in the open.
	Leaks LeakPolicy

	ChangedAt time.Time // zero where nobody ever set one
	ChangedBy MemberID
	Revision  int64
	// Altered is true where the record was changed by other means than Postern.
	Altered bool
}

// DefaultPolicy is what holds until someone sets another one: it reminds, and limits nothing.
func DefaultPolicy(a AccountID) Policy {
	return Policy{AccountID: a, RemindExpiry: []int{30, 7, 1}, RemindAge: 180, IdleAfter: 45, Tripwires: DefaultTripwires(), Leaks: DefaultLeakPolicy()}
}

// Valid reports what is wrong with a policy's numbers, naming the field.
func (p *Policy) Valid() error {
	switch {
	case p.LongestLife < 0 || p.LongestLife > MaxPolicyLife:
		return Invalidf("longestLife", "The longest life is 1 to %d days, or 0 for no limit.", MaxPolicyLife)
	case p.RemindAge < 0 || p.RemindAge > MaxPolicyDays:
		return Invalidf("remindAge", "This is 1 to %d days, or 0 for no reminder.", MaxPolicyDays)
	case p.IdleAfter < 0 || p.IdleAfter > MaxPolicyDays:
		return Invalidf("idleAfter", "This is 1 to %d days, or 0 for never.", MaxPolicyDays)
	case len(p.RemindExpiry) > MaxPolicyNotes:
		return Invalidf("remindExpiry", "There can be at most %d reminders.", MaxPolicyNotes)
	}
	for _, d := range p.RemindExpiry {
		if d < 1 || d > 365 {
			return Invalidf("remindExpiry", "A reminder is 1 to 365 days before the end, not %d.", d)
		}
	}
	if !slices.IsSortedFunc(p.RemindExpiry, func(a, b int) int { return b - a }) || len(slices.Compact(slices.Clone(p.RemindExpiry))) != len(p.RemindExpiry) {
		return Invalidf("remindExpiry", "Write each reminder once, the longest first.")
	}
	if p.Leaks != (LeakPolicy{}) {
		if err := p.Leaks.Valid(); err != nil {
			return err
		}
	}
	if p.Tripwires == (Tripwires{}) {
		return nil // they stay as they are
	}
	return p.Tripwires.Valid()
}

// AlteredPolicy is what an account's policy counts as where its record was altered
// by other means than Postern: the strictest that it can have been. Whoever writes
// into records would otherwise turn an account's defences off by writing rubbish.
//
// A secret that is out is ended: it was presented whole, so nothing is lost that
// should live on. A canary that is used is paused, since nobody needs it. The other
// tripwires tell and stop nothing: a forgotten tool or a new office touches them as
// well as a thief, and nobody chose that they may stop a key.
func AlteredPolicy(a AccountID, revision int64) Policy {
	p := Policy{AccountID: a, Revision: revision, Altered: true, Tripwires: DefaultTripwires(), Leaks: LeakPolicy{Do: LeakRevoke, FindersEnd: true}}
	p.Tripwires.Canary = TripPause
	return p
}

// Latest is the latest end that a key may be given now: the end of the last day
// of the longest life, so that whole days can be chosen in any time zone. Whole
// years count by the calendar. It is zero where the policy has no limit.
func (p *Policy) Latest(now time.Time) time.Time {
	switch {
	case p.LongestLife == 0:
		return time.Time{}
	case p.LongestLife%365 == 0:
		return now.AddDate(p.LongestLife/365, 0, 1)
	}
	return now.AddDate(0, 0, p.LongestLife+1)
}

// PolicyRule is something that a policy asks.
type PolicyRule string

// The rules of a policy.
const (
	RuleExpiry   PolicyRule = "expiry"   // no end
	RuleLife     PolicyRule = "life"     // an end too far ahead
	RuleNetworks PolicyRule = "networks" // changes something, from anywhere
	RuleAge      PolicyRule = "age"      // an old secret; a reminder
	RuleIdle     PolicyRule = "idle"     // no calls; a reminder
)

// Breach is one thing in which a key isn't as its policy asks.
type Breach struct {
	Rule  PolicyRule
	Field string // of the key: expiresAt, networks; empty for reminders
	Words string // "It has no end."
	Days  int    // how old or how idle, for reminders
}

// NeedsEnd reports whether a key must have an end.
func (p *Policy) NeedsEnd() bool { return p.RequireExpiry || p.LongestLife > 0 }

// Limits are the breaches for which a new key is refused. writes tells whether
// one of the key's scopes can change something.
func (p *Policy) Limits(k *ServiceKey, writes bool, now time.Time) (out []Breach) {
	latest := p.Latest(now)
	switch {
	case k.ExpiresAt.IsZero() && p.NeedsEnd():
		words := "It has no end."
		if p.LongestLife > 0 {
			words = fmt.Sprintf("It has no end; at most %d days ahead are allowed.", p.LongestLife)
		}
		out = append(out, Breach{Rule: RuleExpiry, Field: "expiresAt", Words: words})
	case !latest.IsZero() && k.ExpiresAt.After(latest):
		out = append(out, Breach{Rule: RuleLife, Field: "expiresAt", Words: fmt.Sprintf("Its end is more than %d days ahead.", p.LongestLife)})
	}
	if p.WriteNetworks && writes && len(k.Networks) == 0 {
		out = append(out, Breach{Rule: RuleNetworks, Field: "networks", Words: "It can change records, and can be used from any address."})
	}
	return out
}

// Breaches is everything in which a key isn't as the policy asks. used is when it
// was last used, zero for never. A key that has ended or expired breaks nothing.
func (p *Policy) Breaches(k *ServiceKey, writes bool, used, now time.Time) []Breach {
	switch k.State(now) {
	case StateEnded, StateExpired:
		return nil
	}
	out := p.Limits(k, writes, now)
	if n := days(k.Current.MadeAt, now); p.RemindAge > 0 && n >= p.RemindAge {
		out = append(out, Breach{Rule: RuleAge, Words: fmt.Sprintf("Its secret is %d days old.", n), Days: n})
	}
	if n, ever := p.Idle(k, used, now); n > 0 {
		words := fmt.Sprintf("It was not used for %d days.", n)
		if !ever {
			words = fmt.Sprintf("It was never used in %d days.", n)
		}
		out = append(out, Breach{Rule: RuleIdle, Words: words, Days: n})
	}
	return out
}

// Idle is for how many days a key was not used, where that is as long as the
// policy asks about, and whether it ever was. Keys that can't be used are not idle.
func (p *Policy) Idle(k *ServiceKey, used, now time.Time) (n int, ever bool) {
	if s := k.State(now); p.IdleAfter == 0 || s != StateActive && s != StateRotating {
		return 0, false
	}
	since, ever := used, !used.IsZero()
	for _, t := range []time.Time{k.CreatedAt, k.NotBefore} {
		if t.After(since) {
			since = t
		}
	}
	if n = days(since, now); n < p.IdleAfter {
		return 0, ever
	}
	return n, ever
}

func days(from, to time.Time) int { return int(to.Sub(from) / (24 * time.Hour)) }
