// Package model is an independent reference model of Postern's rules: members,
// roles, keys, scopes, rotation and time. It is written from the documents and
// shares no code with what it judges: nothing of this module is imported here.
// It is slow, plain and complete in memory, so that a reader can hold it against
// the documents sentence by sentence.
//
// Its tests let random operations run through the model and through the real
// keyring and verifier, on both engines, and compare every answer.
//
// Where the documents leave open which of several faults of one request is told,
// the model gives all of them (Refusal.Codes, Answer.Reasons) and the real answer
// must be one of these. Whether a request succeeds is never left open.
package model

import (
	"slices"
	"time"
)

// The codes with which changes are refused, as the API spells them.
const (
	Invalid      = "invalid_request"
	Forbidden    = "forbidden"
	Insufficient = "insufficient_scope"
	NotFound     = "not_found"
	Conflict     = "conflict"
	Precondition = "precondition_failed"
)

// World is all that there is, and what time it is.
type World struct {
	Now      time.Time
	Accounts []*Account
	Catalog  Catalog // of the one upstream
	Own      Catalog // of Postern's own API

	remembered []*remembered
	// Bug is the rule that this model has wrong, for the runs that must fail.
	Bug Bug
}

// Account is a tenant. Nothing of one is found from another.
type Account struct {
	Operator  bool
	Suspended bool
	Zone      *time.Location // its days begin at midnight there
	Daily     int64          // the most calls a day; 0 is no limit
	Members   []*Member
	Roles     []*Role // the account's own
	Keys      []*Key
	Personal  []*Personal

	day  string // the latest day on which there were calls
	used int64  // calls on it
}

// Member is a person in an account.
type Member struct {
	Account  *Account
	Email    string
	Name     string
	Role     *Role
	Scopes   []string // what they hold instead of what the role grants, if Narrowed
	Narrowed bool
	Removed  bool
	Revision int64

	heldAtFirst []string // what they held when they came
}

// Actor is who asks: a member in an account, by means of a personal access key or
// of a session. No member is a credential that is nobody's.
type Actor struct {
	Account *Account
	Member  *Member
	With    *Personal
}

// Refusal says why a request is refused: one of the codes. No code means that it
// is not. Missing are the scopes that Insufficient must name.
type Refusal struct {
	Codes   []string
	Missing []string
}

// None reports whether nothing speaks against the request.
func (r *Refusal) None() bool { return len(r.Codes) == 0 }

func (r *Refusal) add(code string) {
	if !slices.Contains(r.Codes, code) {
		r.Codes = append(r.Codes, code)
	}
}

func (r *Refusal) addIf(wrong bool, code string) {
	if wrong {
		r.add(code)
	}
}

// addMissing refuses a request because scopes are not held.
func (r *Refusal) addMissing(scopes []string) {
	if len(scopes) > 0 {
		r.add(Insufficient)
		r.Missing = scopes
	}
}

// alone is a refusal for one reason.
func alone(code string) Refusal { return Refusal{Codes: []string{code}} }

// may checks that someone may do something at all: a member of the account that
// they act in, who was not removed, whose account is not suspended, and whose
// role has the permission; by means of a personal access key that works, and has
// it too. Empty asks only for being a member.
func (w *World) may(by Actor, permission string) (r Refusal) {
	m, with := by.Member, by.With
	switch {
	case m == nil, m.Account != by.Account, m.Removed, by.Account.Suspended:
		r.add(Forbidden)
	case with != nil && (with.Member != m || with.Ended || !with.ExpiresAt.IsZero() && !w.Now.Before(with.ExpiresAt)):
		r.add(Forbidden)
	case permission != "" && !w.has(by, permission):
		r.add(Forbidden)
	}
	return r
}

// has reports whether an actor has a permission.
func (w *World) has(by Actor, permission string) bool {
	if by.With != nil && w.Bug != BugKeyIsMember {
		return slices.Contains(w.does(by.With), permission)
	}
	return slices.Contains(by.Member.Role.Permissions, permission)
}

// holds are the patterns of the scopes that a member holds and so may grant.
func (m *Member) holds() []string {
	if m.Narrowed {
		return m.Scopes
	}
	return m.Role.Grants
}

// lacks gives the scopes of want that a member does not hold, sorted.
func (w *World) lacks(m *Member, want []string) (missing []string) {
	holds := m.holds()
	if w.Bug == BugContainedByThePast {
		holds = m.heldAtFirst
	}
	for _, s := range want {
		if !w.covers(holds, s, w.sensitive(s)) {
			missing = append(missing, s)
		}
	}
	return sorted(missing)
}

// sorted is a set in order.
func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
