package model

import (
	"net/netip"
	"slices"
)

// The reasons of decisions, as the API spells them.
const (
	Allowed           = "allowed"
	Public            = "public"
	NoCredential      = "no_credential"
	Malformed         = "malformed"
	WrongKind         = "wrong_kind"
	UnknownKey        = "unknown_key"
	Retired           = "secret_retired"
	Revoked           = "revoked"
	Expired           = "expired"
	NotYetValid       = "not_yet_valid"
	Paused            = "paused"
	AccountSuspended  = "account_suspended"
	AddressNotAllowed = "address_not_allowed"
	RateLimited       = "rate_limited"
	DailyLimit        = "daily_limit"
	UnknownOperation  = "unknown_operation"
	MethodNotAllowed  = "method_not_allowed"
	Uncovered         = "uncovered"
	InsufficientScope = "insufficient_scope"
)

// Call is what somebody presents, and what for.
type Call struct {
	Secret *Secret
	// Without a Secret: why what is presented instead is none, such as NoCredential.
	Instead string

	Own          bool   // to Postern's own API
	Method, Path string // or Scopes, or neither
	Scopes       []string
	IP           netip.Addr
}

// Answer is what a decision may be. Of several reasons that hold, any may be told.
type Answer struct {
	Allowed   bool
	Reasons   []string
	Which     string     // "current" or "previous", where the secret works or did
	Operation *Operation // where it comes to that
	Missing   [][]string // the ways that lack the fewest scopes: one of these is told
}

// Decide says what the answer to a call must be: recognize the secret, look where
// the call comes from, find what it asks for, and see whether that is held.
func (w *World) Decide(c Call) (a Answer) {
	op, known := w.operation(c)
	if op != nil && op.Public {
		a.Allowed, a.Reasons, a.Operation = true, []string{Public, Allowed}, op
		return a
	}
	if c.Secret == nil {
		a.Reasons = []string{c.Instead}
		return a
	}
	if a.Which, a.Reasons = w.recognize(c.Secret); len(a.Reasons) > 0 {
		return a
	}
	if !w.comesFrom(c) {
		a.Reasons = []string{AddressNotAllowed}
		return a
	}
	if limit := w.limited(c.Secret); limit != "" {
		a.Reasons = []string{limit}
		return a
	}
	a.Operation = op
	switch {
	case c.Path == "":
		w.permit(&a, c.Secret, scopesAsked(c))
	case !known:
		a.Reasons = []string{UnknownOperation}
	case op == nil:
		a.Reasons = []string{MethodNotAllowed}
	case len(op.Ways) == 0:
		a.Reasons = []string{Uncovered}
	default:
		w.permit(&a, c.Secret, op.Ways)
	}
	return a
}

// comesFrom reports whether a key may be used from where a call comes from.
func (w *World) comesFrom(c Call) bool {
	k := c.Secret.Key
	if k == nil || len(k.Networks) == 0 || w.Bug == BugNetworksIgnored {
		return true
	}
	networks := k.Networks
	if w.Bug == BugNetworkOneBitWider {
		networks = slices.Clone(networks)
		for i, n := range networks {
			networks[i] = netip.PrefixFrom(n.Addr(), max(n.Bits()-1, 0)).Masked()
		}
	}
	return within(networks, c.IP)
}

func (w *World) operation(c Call) (*Operation, bool) {
	switch {
	case c.Path == "":
		return nil, false
	case c.Own:
		return w.Own.find(c.Method, c.Path)
	}
	return w.Catalog.find(c.Method, c.Path)
}

func scopesAsked(c Call) []Way {
	return []Way{{Scopes: c.Scopes, Kinds: []string{ServiceKey, PersonalKey}}}
}

// recognize tells which secret it is, and why it doesn't work, if it doesn't.
func (w *World) recognize(s *Secret) (which string, reasons []string) {
	add := func(wrong bool, reason string) {
		if wrong {
			reasons = append(reasons, reason)
		}
	}
	if p := s.Personal; p != nil {
		add(p.Ended, Revoked)
		add(over(w, p.ExpiresAt.IsZero(), p.ExpiresAt.Compare(w.Now)), Expired)
		add(p.Member.Account.Suspended, AccountSuspended)
		return "current", reasons
	}
	k := s.Key
	switch {
	case s == k.Current:
		which = "current"
	case s == k.Previous:
		which = "previous"
		add(w.Now.After(k.PreviousUntil) || w.Now.Equal(k.PreviousUntil) && w.Bug != BugGraceLingers, Retired)
		if w.Bug == BugGraceForever {
			reasons = nil
		}
	default: // voided: it may be remembered as such
		add(true, UnknownKey)
		add(true, Retired)
	}
	add(k.Deleted, UnknownKey) // its record may be gone
	add(k.ended() && w.Bug != BugRevokedLives, Revoked)
	add(over(w, k.ExpiresAt.IsZero(), k.ExpiresAt.Compare(w.Now)), Expired)
	add(w.Now.Before(k.NotBefore), NotYetValid)
	add(!k.PausedAt.IsZero() && w.Bug != BugPausedWorks, Paused)
	add(k.Account.Suspended && w.Bug != BugSuspendedActs, AccountSuspended)
	return which, reasons
}

// over reports whether an end has come; at the end itself it has.
func over(w *World, never bool, end int) bool {
	return !never && (end < 0 || end == 0 && w.Bug != BugExpiryLingers)
}

// permit decides whether what a secret holds is all that one of the ways asks.
func (w *World) permit(a *Answer, s *Secret, ways []Way) {
	kind, held := PersonalKey, []string(nil)
	if s.Key != nil {
		kind, held = ServiceKey, s.Key.Scopes
	} else {
		held = w.does(s.Personal)
	}
	admitted := false
	for i, way := range ways {
		if !slices.Contains(way.Kinds, kind) || i > 0 && w.Bug == BugFirstWayOnly {
			continue
		}
		admitted = true
		var missing []string
		for _, scope := range way.Scopes {
			if !slices.Contains(held, scope) && !slices.Contains(w.Catalog.Implicit, scope) {
				missing = append(missing, scope)
			}
		}
		if len(missing) == 0 || w.Bug == BugAnyScopeOpens && len(missing) < len(way.Scopes) {
			a.Allowed, a.Reasons, a.Missing = true, []string{Allowed}, nil
			return
		}
		a.Missing = append(a.Missing, sorted(missing))
	}
	if !admitted {
		a.Reasons = []string{WrongKind}
		return
	}
	a.Reasons = []string{InsufficientScope}
	fewest := slices.MinFunc(a.Missing, func(x, y []string) int { return len(x) - len(y) })
	a.Missing = slices.DeleteFunc(a.Missing, func(m []string) bool { return len(m) > len(fewest) })
}
