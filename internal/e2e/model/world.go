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
	Members   []*Member
	Roles     []*Role // the account's own
	Keys      []*Key
	Personal  []*Personal
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
}

// Actor is who asks: a member in an account. No member is a credential that is nobody's.
type Actor struct {
	Account *Account
	Member  *Member
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
// role has the permission. Empty asks only for being a member.
func (w *World) may(by Actor, permission string) (r Refusal) {
	m := by.Member
	switch {
	case m == nil, m.Account != by.Account, m.Removed, by.Account.Suspended:
		r.add(Forbidden)
	case permission != "" && !slices.Contains(m.Role.Permissions, permission):
		r.add(Forbidden)
	}
	return r
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
	for _, s := range want {
		if !w.covers(m.holds(), s, w.sensitive(s)) {
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
