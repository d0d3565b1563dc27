package postern

import (
	"crypto/subtle"
	"net/netip"
	"slices"
)

// Reason says why a decision is as it is. The zero Reason is none, and denies.
type Reason uint8

// The reasons.
const (
	ReasonNone              Reason = iota
	ReasonAllowed                  // a valid credential, and all that the operation needs
	ReasonPublic                   // the operation needs no credential
	ReasonNoCredential             // none was presented
	ReasonMalformed                // what was presented is no secret of ours, or is mistyped
	ReasonWrongKind                // a credential of a kind that this operation does not admit
	ReasonUnknownKey               // no such key, or the wrong secret for it
	ReasonRetired                  // a secret that was rotated away
	ReasonRevoked                  // the credential was revoked or deleted
	ReasonExpired                  // past its expiry
	ReasonNotYetValid              // before its start
	ReasonPaused                   // paused by an admin
	ReasonAccountSuspended         // the account is suspended
	ReasonAddressNotAllowed        // called from outside the key's IP list
	ReasonRateLimited              // the key's burst limit
	ReasonDailyLimit               // the account's daily limit
	ReasonUnknownOperation         // the catalog has no such path
	ReasonMethodNotAllowed         // the catalog has the path, and not with this method
	ReasonUncovered                // the operation names no scope: denied by default
	ReasonInsufficientScope        // a scope is missing
	ReasonBadRequest               // a request that can't be judged: path tricks, repeated headers
	ReasonUnavailable              // can't tell now: no lease
	ReasonBrownout                 // refused for a short while, on purpose: it is being taken out of service
	ReasonLimitsAway               // can't tell now: limits are counted in Redis, which is away, and the operator wants calls refused then
	reasonEnd
)

var reasonNames = [reasonEnd]string{"", "allowed", "public", "no_credential", "malformed", "wrong_kind", "unknown_key",
	"secret_retired", "revoked", "expired", "not_yet_valid", "paused", "account_suspended", "address_not_allowed",
	"rate_limited", "daily_limit", "unknown_operation", "method_not_allowed", "uncovered", "insufficient_scope",
	"bad_request", "unavailable", "brownout", "limits_away"}

// String is the reason's name in the API.
func (r Reason) String() string {
	if r < reasonEnd {
		return reasonNames[r]
	}
	return ""
}

// Reasons lists every reason but none.
func Reasons() []Reason {
	out := make([]Reason, 0, reasonEnd)
	for r := ReasonAllowed; r < reasonEnd; r++ {
		out = append(out, r)
	}
	return out
}

// ParseReason finds a reason by its name in the API.
func ParseReason(s string) (Reason, bool) {
	i := slices.Index(reasonNames[:], s)
	return Reason(max(i, 0)), i > 0
}

// Status is the HTTP status that says r: 401 is not a valid credential, 403 a
// valid one that is not permitted, 503 can't tell. They are never swapped.
func (r Reason) Status() int {
	switch r {
	case ReasonAllowed, ReasonPublic:
		return 200
	case ReasonBadRequest:
		return 400
	case ReasonNoCredential, ReasonMalformed, ReasonUnknownKey, ReasonRetired, ReasonRevoked, ReasonExpired, ReasonNotYetValid:
		return 401
	case ReasonUnknownOperation:
		return 404
	case ReasonMethodNotAllowed:
		return 405
	case ReasonRateLimited, ReasonDailyLimit:
		return 429
	case ReasonUnavailable, ReasonLimitsAway:
		return 503
	}
	return 403
}

// Flags are the facts of a credential that are yes or no.
type Flags uint8

// The flags.
const (
	FlagPaused        Flags = 1 << iota // reversible
	FlagRevoked                         // final
	FlagDeleted                         // final
	FlagTampered                        // the row's MAC is wrong: it denies and raises an alarm
	FlagAllScopes                       // a legacy API key, which holds every scope
	FlagPreviousEnded                   // the previous secret was ended by someone, whatever the clock says
	FlagWatched                         // a narrowing is being tried on it
	FlagBrownouts                       // it is refused in some windows
)

// Micros is a time in microseconds since 1970 UTC, which both databases keep whole.
type Micros int64

// Credential is what deciding knows of one credential. It is of fixed size and
// holds no pointer, so that ten million of them cost the garbage collector
// nothing. Numbers that stand for text (account, scopes, networks, subject) are
// given out by the index that holds it.
type Credential struct {
	Key            [KeyIDLen]byte
	Current        [32]byte // HMAC of the current secret
	Previous       [32]byte // HMAC of the secret before, while PreviousUntil is to come; kept afterwards to name it
	NotBefore      Micros   // 0: at once; of one that was ended, when that was
	ExpiresAt      Micros   // 0: never
	PreviousUntil  Micros   // 0: there is no previous secret
	Account        uint32
	Scopes         uint32
	Networks       uint32 // 0: anywhere
	Subject        uint32 // the member of a personal access key; 0: none
	Generation     uint32 // of the current secret; the previous one's is in PreviousGen
	PreviousGen    uint32
	RateCalls      uint32 // 0: the default
	RatePer        uint32 // seconds
	Revision       uint32 // of its row, so that an older reading of it never replaces a newer one
	Kind           Kind
	Flags          Flags
	CurrentPepper  uint8 // the pepper version that Current was made under
	PreviousPepper uint8 // and Previous
}

// Which says which secret of a credential was presented.
type Which uint8

// The secrets that a credential may have.
const (
	WhichNone Which = iota
	WhichCurrent
	WhichPrevious
)

// Presented is the HMAC of what a caller presented, under the pepper versions of
// the credential's two secrets.
type Presented struct{ AsCurrent, AsPrevious [32]byte }

// Recognize decides whether what was presented is a credential that works at a
// time: the first half of Decide. It gives ReasonAllowed or why not, and which
// secret it was. Comparing comes before anything else: who lacks the secret must
// not learn, from the answer or its timing, whether the key exists.
func Recognize(c *Credential, p *Presented, accountSuspended bool, now Micros) (Reason, Which) {
	cur := subtle.ConstantTimeCompare(c.Current[:], p.AsCurrent[:])
	prev := subtle.ConstantTimeCompare(c.Previous[:], p.AsPrevious[:])
	if c.PreviousUntil == 0 {
		prev = 0
	}
	which := WhichCurrent
	switch {
	case c.Flags&FlagTampered != 0 || cur|prev == 0:
		return ReasonUnknownKey, WhichNone
	case cur == 0:
		which = WhichPrevious
	}
	switch {
	case c.Flags&(FlagRevoked|FlagDeleted) != 0:
		return ReasonRevoked, which
	case which == WhichPrevious && (c.Flags&FlagPreviousEnded != 0 || now >= c.PreviousUntil):
		return ReasonRetired, which
	case c.ExpiresAt != 0 && now >= c.ExpiresAt:
		return ReasonExpired, which
	case now < c.NotBefore:
		return ReasonNotYetValid, which
	case accountSuspended:
		return ReasonAccountSuspended, which
	case c.Flags&FlagPaused != 0:
		return ReasonPaused, which
	}
	return ReasonAllowed, which
}

// ScopeID stands for a scope in an index; ids are given out once and never again.
type ScopeID uint16

// AllOf is one way to be permitted: a credential of one of the kinds that holds all of the scopes.
type AllOf struct {
	Scopes []ScopeID // sorted; implicit scopes are left out
	Kinds  Kinds
	Names  string // of the scopes, sorted, with blanks between, for the record; deciding never looks at them
}

// Need is what an operation asks of a credential.
type Need struct {
	Public bool    // no credential needed
	Any    []AllOf // one of these; none at all means uncovered, which is denied
}

// Permit decides whether a recognized credential may do what is needed: the
// second half of Decide. held is sorted. Where the answer is no for want of
// scopes, missing is those of the way that lacks fewest, appended to miss.
func Permit(kind Kind, all bool, held []ScopeID, need *Need, miss []ScopeID) (Reason, []ScopeID) {
	if need.Public {
		return ReasonPublic, nil
	}
	if len(need.Any) == 0 {
		return ReasonUncovered, nil
	}
	best, lacks := -1, int(^uint(0)>>1)
	for i := range need.Any {
		way := &need.Any[i]
		if !way.Kinds.Has(kind) {
			continue
		}
		n := 0
		if !all {
			for _, s := range way.Scopes {
				if !holds(held, s) {
					n++
				}
			}
		}
		if n == 0 {
			return ReasonAllowed, nil
		}
		if n < lacks {
			best, lacks = i, n
		}
	}
	if best < 0 {
		return ReasonWrongKind, nil
	}
	for _, s := range need.Any[best].Scopes {
		if !holds(held, s) {
			miss = append(miss, s)
		}
	}
	return ReasonInsufficientScope, miss
}

// Way gives the first of need's ways by which a credential is permitted: the one
// that Permit lets it through by, and nil where it doesn't.
func Way(kind Kind, all bool, held []ScopeID, need *Need) *AllOf {
	for i := range need.Any {
		way := &need.Any[i]
		if way.Kinds.Has(kind) && (all || !slices.ContainsFunc(way.Scopes, func(s ScopeID) bool { return !holds(held, s) })) {
			return way
		}
	}
	return nil
}

func holds(held []ScopeID, s ScopeID) bool {
	lo, hi := 0, len(held)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if held[m] < s {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo < len(held) && held[lo] == s
}

// InNetworks reports whether an address is in one of the networks; no networks
// means anywhere. An IPv4 address in IPv6 clothes counts as IPv4, and an address
// that isn't known is in none.
func InNetworks(networks []netip.Prefix, ip netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	ip = ip.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// Facts are everything that Decide takes besides the credential.
type Facts struct {
	Presented        Presented
	AccountSuspended bool
	Brownouts        []Span
	Networks         []netip.Prefix
	Held             []ScopeID
	RemoteIP         netip.Addr
	Need             *Need
	Now              Micros
}

// Decide is the whole rule in one piece, for a caller without a rate limit: it
// recognizes the credential, checks where the call comes from, and whether it
// may do what is needed. The hot path takes the same steps with the rate limit
// between them.
func Decide(c *Credential, f *Facts) (reason Reason, which Which, missing []ScopeID) {
	if f.Need.Public {
		return ReasonPublic, WhichNone, nil
	}
	reason, which = Recognize(c, &f.Presented, f.AccountSuspended, f.Now)
	if reason != ReasonAllowed {
		return reason, which, nil
	}
	if _, within := Brownout(f.Brownouts, f.Now); within {
		return ReasonBrownout, which, nil
	}
	if !InNetworks(f.Networks, f.RemoteIP) {
		return ReasonAddressNotAllowed, which, nil
	}
	reason, missing = Permit(c.Kind, c.Flags&FlagAllScopes != 0, f.Held, f.Need, nil)
	return reason, which, missing
}

// Operation is an entry of an upstream's OpenAPI document.
type Operation struct {
	Upstream UpstreamID
	Name     string // operationId, or "GET /path" where there is none
	Method   string
	Path     string // the template, base path included
	Summary  string
}

// Decision is the answer to: may this secret do this? A denial is a Decision
// with a Reason; an error means that it could not be decided, and then every
// door denies.
type Decision struct {
	Allowed   bool
	Reason    Reason
	Would     Reason // why a narrowing that is being tried would refuse an allowed call; none where it wouldn't
	Kind      Kind
	Which     Which
	Gen       uint32 // generation of the secret that was presented
	Key       [KeyIDLen]byte
	Known     bool // the whole true secret of Key was presented
	Account   AccountID
	AccountNo int64
	Member    MemberID // whose personal access key it was
	Operation *Operation
	Limit     LimitState
	At        Micros // when it was decided, by the store's time
	// RetryAt is when a limited call may come again; 0 where none is named.
	RetryAt Micros
	// Since is when the credential ended, where that may be told.
	Since Micros
	// The numbers of the scopes that it holds, and of those that are or would be missing; the index turns them into names.
	ScopeSet uint32
	Missing  [8]ScopeID
	NMissing uint8
	// Used names the scopes that let an allowed call through, sorted, with blanks
	// between: of several ways the first that the credential could take.
	Used string
}

// KeyID is the key ID that was presented, or "" where none could be read.
func (d *Decision) KeyID() KeyID {
	if d.Key[0] == 0 {
		return ""
	}
	return KeyID(d.Key[:])
}

// LimitState is what the limits say after a call, for headers.
type LimitState struct {
	BurstLimit, BurstLeft, BurstSecs  uint32
	BurstReset                        uint32 // seconds until the burst is whole again
	DailyLimit, DailyLeft, DailyReset int64  // 0 limit: none
}
