package postern

import (
	"net/netip"
	"time"
)

// LegacyCredential is an old credential that was made elsewhere and imported, so
// that it keeps working until something takes its place. New ones can't be made.
type LegacyCredential struct {
	ID        KeyID // given at the import: the secret itself has none
	AccountID AccountID
	Kind      Kind // KindLegacyPrivateApp or KindLegacyAPIKey
	Name      string
	Note      string // who owns it, and what it is for
	// Shown is what people tell it by: a prefix and the last four characters, where those say little enough.
	Shown    string
	Strength Strength
	// Slow names the slow hash that is all that is known of the secret; empty from its first use on.
	Slow   string
	Import string // which import it came with

	Scopes    []Scope
	AllScopes bool // a legacy API key: it may do all that the account may
	Networks  []netip.Prefix
	Rate      Rate

	DeprecatedAt time.Time // since when callers are told to move
	SunsetAt     time.Time // when it is to stop, as callers are told; that alone ends nothing
	ExpiresAt    time.Time // when it stops
	PausedAt     time.Time
	Brownouts    []Window // in which it is refused
	RevokedAt    time.Time
	EndedWhy     string
	InAddressAt  time.Time // the day on which it last came in an address; zero: never

	MadeBy    MemberID
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// Legacy reports whether a kind is that of an imported credential.
func (k Kind) Legacy() bool { return k == KindLegacyPrivateApp || k == KindLegacyAPIKey }

// LegacyState is where an imported credential is on its way out.
type LegacyState string

// The states. They are computed from facts, and never stored.
const (
	LegacyActive LegacyState = "active"
	LegacySunset LegacyState = "sunset" // works, and callers are told until when
	LegacyPaused LegacyState = "paused"
	LegacyEnded  LegacyState = "ended"
)

// State is where the credential is at a time.
func (l *LegacyCredential) State(now time.Time) LegacyState {
	switch {
	case !l.RevokedAt.IsZero(), !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt):
		return LegacyEnded
	case !l.PausedAt.IsZero():
		return LegacyPaused
	case !l.SunsetAt.IsZero():
		return LegacySunset
	}
	return LegacyActive
}

// Strength says whether a secret could be guessed.
type Strength string

// The strengths. What came as a hash is unknown until it is first presented, at
// the latest for a slow hash.
const (
	StrengthGood    Strength = "good"
	StrengthWeak    Strength = "weak" // fewer than 112 bits: it must expire, and is limited
	StrengthUnknown Strength = "unknown"
)

// MaxLegacyPerAccount is the most imported credentials of an account.
const MaxLegacyPerAccount = 2_000_000

// WeakRate is the most that a weak secret may call; WeakFor how long one may
// live that shows itself as weak only when it is first presented.
var WeakRate = Rate{Calls: 100, Per: 10 * time.Second}

// WeakFor: see WeakRate.
const WeakFor = 90 * 24 * time.Hour

// Retiring is what the row of an imported credential has besides, sealed with it.
type Retiring struct {
	DeprecatedAt time.Time
	SunsetAt     time.Time
	// Find and Hash are of a secret that is known by a slow hash only. Find says
	// how to tell from a text that it may be this one: "prefix:", "suffix:" or
	// "sha256:" with the first or last characters of the text, or the first
	// hexadecimal digits of its SHA-256. Both are empty once it was presented.
	Find string
	Hash string
	// Brownouts are when it is refused for a short while, on purpose.
	Brownouts []Window
}

// retiring adds what only imported credentials have; another row adds nothing.
func (b *sealer) retiring(r *Retiring) {
	if r == nil {
		return
	}
	b.str("retiring")
	b.at(r.DeprecatedAt)
	b.at(r.SunsetAt)
	b.str(r.Find)
	b.str(r.Hash)
	b.windows(r.Brownouts)
}
