package postern

import (
	"net/netip"
	"time"
)

// CredentialRow is everything about one credential that deciding depends on, as
// the store keeps it. Its MAC, under a key from the pepper, covers all of it.
type CredentialRow struct {
	Key       KeyID
	AccountID AccountID
	Kind      Kind
	MemberID  MemberID // of a personal access key; empty for the others
	// Scopes are exact names; for a personal access key they are patterns, and what it may do is
	// what its member may do and a pattern covers.
	Scopes    []Scope
	AllScopes bool // a legacy API key
	Networks  []netip.Prefix
	Current   SecretHash
	Previous  SecretHash // zero where there is none
	// PreviousUntil is when the previous secret stops; past once the rotation is finished.
	PreviousUntil time.Time
	// PreviousEnded says that the previous secret was ended by someone: it is over whatever a node's clock says.
	PreviousEnded bool
	NotBefore     time.Time
	ExpiresAt     time.Time
	PausedAt      time.Time
	RevokedAt     time.Time
	DeletedAt     time.Time
	Rate          Rate
	Canary        bool      // nobody should use it: every call with it is told of
	Watch         *Watch    // what is tried and refuses nothing yet; nil: nothing
	Undo          *Undo     // what it was before its latest narrowing; nil where there was none
	Retiring      *Retiring // of an imported credential; nil for the others
	Revision      int64     // counts changes of the row, from 1
	MAC           [32]byte
	MACPepper     uint8
}

// SecretHash is what is stored of a secret.
type SecretHash struct {
	Hash       [32]byte // HMAC-SHA-256 under the pepper
	Pepper     uint8    // the pepper's version; 0 where there is no secret
	Generation int64
	LastFour   string
}

// Seal sets the row's MAC under the latest pepper. Whoever changes a row seals it anew.
func (r *CredentialRow) Seal(p *Pepper) {
	r.MACPepper = p.Latest()
	r.MAC, _ = p.RowMAC(r.MACPepper, r.canonical())
}

// Sealed reports whether the row is as it was sealed. A row that is not gives no access.
func (r *CredentialRow) Sealed(p *Pepper) bool {
	want, ok := p.RowMAC(r.MACPepper, r.canonical())
	if !ok {
		return false
	}
	diff := byte(0)
	for i := range want {
		diff |= want[i] ^ r.MAC[i]
	}
	return diff == 0
}

// canonical is the input of the MAC: each field with its length before it, in a
// fixed order, so that no two rows have the same bytes.
func (r *CredentialRow) canonical() []byte {
	b := make(sealer, 0, 512)
	str, num, at, yes := b.str, b.num, b.at, b.yes
	secret := func(h *SecretHash) {
		b = append(b, h.Hash[:]...)
		num(int64(h.Pepper))
		num(h.Generation)
		str(h.LastFour)
	}
	str("postern credential row v1")
	str(string(r.Key))
	str(string(r.AccountID))
	num(int64(r.Kind))
	str(string(r.MemberID))
	b.scopes(r.Scopes)
	yes(r.AllScopes)
	b.networks(r.Networks)
	secret(&r.Current)
	secret(&r.Previous)
	at(r.PreviousUntil)
	yes(r.PreviousEnded)
	at(r.NotBefore)
	at(r.ExpiresAt)
	at(r.PausedAt)
	at(r.RevokedAt)
	at(r.DeletedAt)
	num(r.Rate.Calls)
	num(int64(r.Rate.Per))
	num(r.Revision)
	// Named, and nothing where there is none: so no other row has the same bytes.
	b.watch(r.Watch)
	b.undo(r.Undo)
	b.retiring(r.Retiring)
	if r.Canary {
		str("canary")
	}
	return b
}

// ToMicros is a time in microseconds, 0 for the zero time.
func ToMicros(t time.Time) Micros {
	if t.IsZero() {
		return 0
	}
	return Micros(t.UnixMicro())
}

// Time is the time that m stands for, in UTC; the zero time for 0.
func (m Micros) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(m)).UTC()
}

// Event is one call as a door tells of it, before it becomes an Activity. It is
// passed by pointer on the hot path and copied by whoever keeps it.
type Event struct {
	At        Micros
	Decision  Decision
	Door      string // one of the constants below
	Method    string
	Path      string // canonical, without the query
	UserAgent string
	RequestID string
	Missing   string // names of the scopes that were missing, with blanks between
	IP        netip.Addr
	Status    int
	Duration  time.Duration
	BytesIn   int64
	BytesOut  int64
}

// The doors, as activity names them.
const (
	DoorGateway   = "gateway"
	DoorVerify    = "verify"
	DoorAuthorize = "authorize"
	DoorAPI       = "api"
	DoorExtAuthz  = "ext_authz"
	DoorGuard     = "guard"
)
