package api

import "time"

// How a rotation ends.
const (
	EndsAtDeadline = "at_deadline"
	EndsWhenIdle   = "when_idle"
	EndsHold       = "hold"
)

// Rotation is how the change of a key's secret stands.
type Rotation struct {
	Rotating bool             `json:"rotating" doc:"Whether both secrets work now. The rest tells of the latest change where they don't."`
	Ends     string           `json:"ends" enum:"at_deadline,when_idle,hold" doc:"at_deadline: the old secret stops at the deadline. when_idle: before that, once it was silent. hold: where it is still used at the deadline, your word is awaited."`
	BeganAt  time.Time        `json:"beganAt,omitzero"`
	Deadline time.Time        `json:"deadline,omitzero"`
	EndsAt   time.Time        `json:"endsAt,omitzero" doc:"When the old secret stops whatever happens, or stopped: the deadline, or with hold the latest end."`
	Idle     string           `json:"idle,omitempty" example:"24h0m0s" doc:"For how long the old secret must be silent to count as unused."`
	Asks     bool             `json:"asks" doc:"The deadline has come and the old secret is still used: extend the rotation or finish it."`
	New      RotationSecret   `json:"new"`
	Old      RotationSecret   `json:"old"`
	Still    int              `json:"still" doc:"How many callers still use the old secret."`
	Moved    int              `json:"moved" doc:"How many callers use the new one."`
	Callers  []RotationCaller `json:"callers" nullable:"false" doc:"Who called in the last 30 days, those that still use the old secret first."`
}

// RotationSecret is one of the two secrets of a rotation.
type RotationSecret struct {
	Generation int64     `json:"generation"`
	LastFour   string    `json:"lastFour"`
	Calls      int64     `json:"calls" doc:"Since the hour of the change."`
	UsedAt     time.Time `json:"usedAt,omitzero" doc:"When it was last used; refused calls are no use."`
}

// RotationCaller is an address and a program, and which secret they use.
type RotationCaller struct {
	IP        string    `json:"ip,omitempty" doc:"Left out, as the user agent is, for those beyond the 256 that are told apart in an hour."`
	UserAgent string    `json:"userAgent,omitempty"`
	State     string    `json:"state" enum:"old,both,moved,quiet" doc:"old and both still use the old secret; moved uses the new one; quiet has not called since the change."`
	OldCalls  int64     `json:"oldCalls" doc:"In the last 30 days."`
	NewCalls  int64     `json:"newCalls"`
	Refused   int64     `json:"refused" doc:"Of these calls."`
	OldLastAt time.Time `json:"oldLastAt,omitzero" doc:"The latest call with the old secret."`
	NewLastAt time.Time `json:"newLastAt,omitzero"`
}

// Extend puts off the end of a rotation.
type Extend struct {
	More string `json:"more,omitempty" maxLength:"32" example:"24h" doc:"How much longer, from 1m to 168h; 24h unless said. Once in a rotation; where it is held, as often as needed, up to its latest end."`
}

// Trip is a tripwire of a key that was touched.
type Trip struct {
	ID         string    `json:"id"`
	KeyID      string    `json:"keyId"`
	KeyName    string    `json:"keyName"`
	Kind       string    `json:"kind" enum:"retired_secret,far_networks,canary,refusals"`
	At         time.Time `json:"at"`
	Generation int64     `json:"generation,omitempty" doc:"Of the secret that was used."`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"userAgent,omitempty"`
	Words      string    `json:"words" doc:"What was seen."`
	Paused     bool      `json:"paused,omitempty" doc:"The key was paused for it."`
}
