package postern

import (
	"net/netip"
	"time"
)

// Limits of a service key's fields (security.md section 9).
const (
	MaxNameLen        = 100
	MaxDescriptionLen = 1000
	MaxScopesPerKey   = 500
	MaxKeysPerAccount = 100_000
	MaxNetworks       = 100

	// DefaultGrace is how long the previous secret works after "rotate later"; MaxGrace the longest.
	DefaultGrace = 7 * 24 * time.Hour
	MaxGrace     = 30 * 24 * time.Hour
)

// ServiceKey is an account-level credential for one integration. It outlives its
// maker's stay. It holds facts only; State says what follows from them.
type ServiceKey struct {
	ID          KeyID
	AccountID   AccountID
	Name        string
	Description string
	TeamID      TeamID
	Scopes      []Scope        // sorted; empty means none
	Networks    []netip.Prefix // where it may be used from; empty means anywhere
	NotBefore   time.Time      // zero: at once
	ExpiresAt   time.Time      // zero: never
	PausedAt    time.Time      // zero while it isn't
	RevokedAt   time.Time
	RevokedWhy  string
	DeletedAt   time.Time
	Rate        Rate // zero: the server's default
	Canary      bool // nobody should use it: every call with it is told of
	Current     SecretInfo
	Previous    SecretInfo // zero where there is none
	// FlaggedAt is since when the key waits for a review, and FlaggedWhy the reason.
	FlaggedAt  time.Time
	FlaggedWhy string
	MadeBy     MemberID
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Revision   int64
	Watch      *Watch  // a narrowing that is being tried; nil: none
	Undo       *Undo   // what it was before its latest narrowing; nil where there was none
	LastUsed   LastUse // zero if never
}

// SecretInfo is what may be known of a secret after it was shown.
type SecretInfo struct {
	Generation int64  // 1 for the first secret of a key, counting up
	LastFour   string // its last four characters
	MadeAt     time.Time
	MadeBy     MemberID
	// EndsAt is when it stops working; zero: with its key.
	EndsAt time.Time
}

// LastUse is the latest call that a credential was allowed.
type LastUse struct {
	At         time.Time
	IP         string
	UserAgent  string
	Operation  string
	Generation int64 // which secret was used
}

// Rate is a limit: so many calls in so long. The zero Rate is none.
type Rate struct {
	Calls int64
	Per   time.Duration
}

// State is what a key can do at a time.
type State string

// The states of a key, computed from facts and the time, never stored.
const (
	StateActive    State = "active"
	StateRotating  State = "rotating"  // active, with two secrets that work
	StateScheduled State = "scheduled" // not before a time that is still to come
	StatePaused    State = "paused"
	StateExpired   State = "expired"
	StateEnded     State = "ended" // revoked or deleted, for good
)

// State is the state of the key at a time. Where several hold, the more final one is told.
func (k *ServiceKey) State(now time.Time) State {
	switch {
	case !k.RevokedAt.IsZero() || !k.DeletedAt.IsZero():
		return StateEnded
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	case !k.PausedAt.IsZero():
		return StatePaused
	case now.Before(k.NotBefore):
		return StateScheduled
	case k.Rotating(now):
		return StateRotating
	}
	return StateActive
}

// Rotating reports whether the previous secret still works beside the current one.
func (k *ServiceKey) Rotating(now time.Time) bool {
	return k.Previous.Generation != 0 && now.Before(k.Previous.EndsAt)
}

// Ended reports whether the key is revoked or deleted, which is final.
func (k *ServiceKey) Ended() bool { return !k.RevokedAt.IsZero() || !k.DeletedAt.IsZero() }
