package api

import "time"

// The states of a service key.
const (
	StateActive    = "active"
	StateRotating  = "rotating"
	StateScheduled = "scheduled"
	StatePaused    = "paused"
	StateExpired   = "expired"
	StateEnded     = "ended"
)

// ServiceKey is an account's credential for one integration.
type ServiceKey struct {
	ID          string     `json:"id" doc:"The key ID: the public part of its secrets."`
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	TeamID      string     `json:"teamId,omitempty" doc:"The team that looks after the key."`
	State       string     `json:"state" enum:"active,rotating,scheduled,paused,expired,ended" doc:"What the key can do now."`
	Scopes      []string   `json:"scopes" nullable:"false" doc:"What it may do; empty means nothing that needs a scope."`
	Networks    []string   `json:"networks" nullable:"false" doc:"Where it may be used from; empty means anywhere."`
	NotBefore   time.Time  `json:"notBefore,omitzero" doc:"It works from then on."`
	ExpiresAt   time.Time  `json:"expiresAt,omitzero" doc:"It works until then; left out where it never expires."`
	PausedAt    time.Time  `json:"pausedAt,omitzero" doc:"Since when it is paused."`
	RateLimit   *RateLimit `json:"rateLimit,omitempty" doc:"Left out where the server's default holds."`
	Secrets     []Secret   `json:"secrets" nullable:"false" doc:"The secrets that work or did, the newest first. None can be shown again."`
	LastUsed    *LastUse   `json:"lastUsed,omitempty" doc:"The latest allowed call; left out where there was none."`
	Canary      bool       `json:"canary,omitempty" doc:"Nobody should ever use it: every call with it is told of."`
	Flagged     *Flagged   `json:"flagged,omitempty" doc:"Why someone should look at the key."`
	Watch       *Watch     `json:"watch,omitempty" doc:"A narrowing that is being tried on it."`
	UndoUntil   time.Time  `json:"undoUntil,omitzero" doc:"Until when its latest narrowing can be taken back."`
	Revoked     *Revoked   `json:"revoked,omitempty" doc:"Since when the key has ended, and why."`
	MadeBy      string     `json:"madeBy,omitempty" doc:"The member who made it."`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
	Revision    int64      `json:"revision" doc:"Counts its changes. Its ETag is this number in quotes."`
}

// RateLimit is a limit: so many calls in so many seconds.
type RateLimit struct {
	Calls   int64 `json:"calls" minimum:"1" maximum:"1000000"`
	Seconds int64 `json:"seconds" minimum:"1" maximum:"3600"`
}

// Secret is what may be known of a secret after it was shown.
type Secret struct {
	Generation int64     `json:"generation" doc:"1 for the first secret of a key, counting up."`
	LastFour   string    `json:"lastFour" doc:"Its last four characters."`
	Current    bool      `json:"current" doc:"Whether it is the newest."`
	Works      bool      `json:"works" doc:"Whether a call with it would be recognized now."`
	MadeAt     time.Time `json:"madeAt,omitzero"`
	MadeBy     string    `json:"madeBy,omitempty"`
	EndsAt     time.Time `json:"endsAt,omitzero" doc:"When it stops or stopped working, if not with its key."`
	LastUsed   *LastUse  `json:"lastUsed,omitempty"`
	Calls      int64     `json:"calls,omitempty" doc:"Allowed calls with it, where one key is asked for."`
}

// LastUse is the latest call that was allowed.
type LastUse struct {
	At         time.Time `json:"at"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"userAgent,omitempty"`
	Operation  string    `json:"operation,omitempty"`
	Generation int64     `json:"generation,omitempty" doc:"Which of the key's secrets was used."`
}

// Flagged says why someone should look at a key.
type Flagged struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// Revoked says since when a key has ended.
type Revoked struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// NewServiceKey asks for a service key.
type NewServiceKey struct {
	Name        string     `json:"name" minLength:"1" maxLength:"400" doc:"Up to 100 characters; no other live key of the account has it."`
	Description string     `json:"description,omitempty" maxLength:"4000"`
	TeamID      string     `json:"teamId,omitempty" maxLength:"40"`
	Scopes      []string   `json:"scopes,omitempty" maxItems:"500" nullable:"false" doc:"You must hold each of them."`
	Networks    []string   `json:"networks,omitempty" maxItems:"100" nullable:"false" doc:"Addresses and networks: 203.0.113.7, 2001:db8::/32."`
	NotBefore   time.Time  `json:"notBefore,omitzero"`
	ExpiresAt   time.Time  `json:"expiresAt,omitzero"`
	RateLimit   *RateLimit `json:"rateLimit,omitempty"`
	Canary      bool       `json:"canary,omitempty" doc:"A key that nobody should ever use, to be left where a thief would look: every call with it is told of."`
}

// EditServiceKey changes a service key. What is left out stays as it is.
type EditServiceKey struct {
	Name        *string             `json:"name,omitempty" minLength:"1" maxLength:"400"`
	Description *string             `json:"description,omitempty" maxLength:"4000"`
	TeamID      Optional[string]    `json:"teamId,omitzero" nullable:"true" maxLength:"40" doc:"null takes it from its team."`
	Scopes      *[]string           `json:"scopes,omitempty" maxItems:"500" nullable:"false" doc:"All scopes that it shall have. You must hold those that are added."`
	Networks    *[]string           `json:"networks,omitempty" maxItems:"100" nullable:"false" doc:"All networks that it shall have; an empty list means anywhere."`
	NotBefore   Optional[time.Time] `json:"notBefore,omitzero" nullable:"true" doc:"null: at once."`
	ExpiresAt   Optional[time.Time] `json:"expiresAt,omitzero" nullable:"true" doc:"null: never."`
	RateLimit   Optional[RateLimit] `json:"rateLimit,omitzero" doc:"null: the server's default."`
	Paused      *bool               `json:"paused,omitempty" doc:"true pauses it, false lets it work again."`
	Reviewed    bool                `json:"reviewed,omitempty" doc:"true takes the flag for review away."`
}

// Rotate asks for a new secret of a service key.
type Rotate struct {
	Grace   string `json:"grace,omitempty" maxLength:"32" example:"168h" doc:"How long the secret before works on: 0s ends it now, 720h is the longest. Left out: 168h, seven days."`
	Replace bool   `json:"replace,omitempty" doc:"Starts again where a rotation is pending: its new secret is void."`
	Ends    string `json:"ends,omitempty" enum:"at_deadline,when_idle,hold" doc:"How it ends; left out: at_deadline. when_idle ends it early, once the old secret was silent and the new one is used. hold awaits your word where the old one is still used at the deadline."`
	Idle    string `json:"idle,omitempty" maxLength:"32" example:"24h" doc:"With when_idle and hold: for how long the old secret must be silent to count as unused, 1h to 720h; 24h unless said."`
	Hold    string `json:"hold,omitempty" maxLength:"32" example:"720h" doc:"With hold: how long after the start the old secret stops whatever happens; 720h unless said, which is the most."`
}

// Revoke ends a service key for good.
type Revoke struct {
	Reason string `json:"reason,omitempty" maxLength:"4000"`
}

// ChangedKey is a service key after a change.
type ChangedKey struct {
	ServiceKey
	Secret      string   `json:"secret,omitempty" doc:"The new secret, shown this once."`
	SecretShown bool     `json:"secretShown,omitempty" doc:"Says that this request was made before and its secret was shown then."`
	Receipt     *Receipt `json:"receipt,omitempty" doc:"Where the change is in force, where it takes something away."`
	WatchEnded  bool     `json:"watchEnded,omitempty" doc:"Says that the narrowing which was being tried on the key ended with this change: it was compared with the scopes, IP list and end that the key had."`
}

// EffectiveEverywhere is the Effective of a change that every node decides by.
const EffectiveEverywhere = "everywhere"

// Receipt says where a change is in force: everywhere, or by when at the latest.
type Receipt struct {
	Effective   string    `json:"effective,omitempty" enum:"everywhere" doc:"There when every node decides by the change."`
	EffectiveBy time.Time `json:"effectiveBy,omitzero" doc:"When the last of the awaited nodes must have stopped deciding by what it knew."`
	Awaiting    []Awaited `json:"awaiting,omitempty" nullable:"false" doc:"The nodes that have not confirmed yet."`
	Confirmed   []string  `json:"confirmed,omitempty" nullable:"false" doc:"The nodes that have."`
	TookMs      int64     `json:"tookMs,omitempty" doc:"Milliseconds from the commit to the confirmation of the last node, where the change is in force everywhere."`
}

// Awaited is a node that has not confirmed a change, and when it must stop deciding.
type Awaited struct {
	Node  string    `json:"node"`
	Until time.Time `json:"until"`
}
