package api

import "time"

// AccountAdvice is what could be better about an account's service keys.
type AccountAdvice struct {
	Score    float64 `json:"score" doc:"100 where there is no advice. Each point of a key counts one hundredth of that key's share."`
	Keys     int     `json:"keys" doc:"The live keys that were looked at, each with the same share in the score."`
	Lost     int     `json:"lost" doc:"The points that all keys lack together: score = 100 - lost / keys."`
	AllKeys  int     `json:"allKeys" doc:"The live keys of the account."`
	Complete bool    `json:"complete" doc:"Whether all keys were looked at in the time of one answer; if not, ask again."`
	Waiting  int     `json:"waiting" doc:"Keys with under 14 days of history, of which nothing is said that calls must show."`
	// Unrecorded is of the whole server.
	Unrecorded uint64 `json:"unrecorded,omitempty" doc:"Calls that this server could not record in the last 90 days."`
	Items      []Todo `json:"items" nullable:"false" doc:"What to do, most points first; what was put aside comes last."`
}

// Todo is advice on one key of an account.
type Todo struct {
	KeyID    string  `json:"keyId"`
	KeyName  string  `json:"keyName"`
	KeyScore int     `json:"keyScore"`
	Worth    float64 `json:"worth" doc:"What following it adds to the account's score."`
	Advice
}

// Advice is one thing that could be better about a key, what it is known by, and its fix.
type Advice struct {
	Kind        string    `json:"kind" enum:"idle_key,unused_scopes,write_never_used,narrower_scope,no_expiry,no_ip_list,old_secret,maker_rights,no_current_holder"`
	Points      int       `json:"points" doc:"What following it adds to the key's score."`
	Title       string    `json:"title"`
	Evidence    string    `json:"evidence"`
	FixWords    string    `json:"fixWords"`
	Fix         Fix       `json:"fix"`
	DismissedAt time.Time `json:"dismissedAt,omitzero" doc:"Since when it is put aside."`
	DismissedBy string    `json:"dismissedBy,omitempty"`
}

// Fix is the exact change that puts something right. What is left out stays as it is.
type Fix struct {
	Kind      string    `json:"kind" enum:"narrow,pause,rotate,review,people" doc:"narrow, pause and review can be applied; narrow and pause can be undone. rotate gives a new secret, and people asks for a member with a role."`
	Scopes    *[]string `json:"scopes,omitempty" doc:"All scopes that the key then has."`
	Remove    []string  `json:"remove,omitempty"`
	Add       []string  `json:"add,omitempty"`
	Networks  *[]string `json:"networks,omitempty" doc:"All networks that it may then be used from."`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// KeyAdvice is what could be better about one key.
type KeyAdvice struct {
	KeyID    string     `json:"keyId"`
	KeyName  string     `json:"keyName"`
	Score    int        `json:"score"`
	Since    time.Time  `json:"since" doc:"Calls from here on were looked at."`
	Days     int        `json:"days" doc:"How many days of history that is."`
	Wait     bool       `json:"wait" doc:"There are under 14 days of history: nothing is said that calls must show."`
	Calls    int64      `json:"calls" doc:"Allowed calls in that time."`
	Unknown  int64      `json:"unknown,omitempty" doc:"Of them, calls that no scope of today explains."`
	Exact    bool       `json:"exact" doc:"Whether the scopes in use are proven to be the least that explain all calls."`
	Scopes   []ScopeUse `json:"scopes" nullable:"false"`
	Items    []Advice   `json:"items" nullable:"false"`
	Watch    *Watch     `json:"watch,omitempty" doc:"What is being tried on the key."`
	Undo     time.Time  `json:"undoUntil,omitzero" doc:"Until when the key's latest narrowing can be taken back."`
	Revision int64      `json:"revision"`
}

// ScopeUse is when a scope of a key was needed.
type ScopeUse struct {
	Scope    string    `json:"scope"`
	State    string    `json:"state" enum:"in_use,idle,unused,too_new,unknown,replace,not_counted"`
	Granted  time.Time `json:"granted" doc:"Since when the key has it."`
	First    time.Time `json:"firstNeeded,omitzero" doc:"In the time that was looked at, by the hour."`
	Last     time.Time `json:"lastNeeded,omitzero"`
	Calls    int64     `json:"calls"`
	IdleDays int       `json:"idleDays,omitempty"`
	Monthly  bool      `json:"monthly,omitempty" doc:"It is needed about once a month."`
	Instead  []string  `json:"instead,omitempty" doc:"Narrower scopes that would do."`
}

// Watch is a narrowing that is tried on a key: what it would refuse is allowed.
type Watch struct {
	Scopes   *[]string `json:"scopes,omitempty"`
	Networks *[]string `json:"networks,omitempty"`
	Since    time.Time `json:"since"`
	By       string    `json:"by,omitempty"`
}

// Narrow takes something away from a key, or tries that first. What is left out stays as it is.
type Narrow struct {
	Scopes    *[]string `json:"scopes,omitempty" maxItems:"500" doc:"All scopes that it shall have. You must hold those that are added."`
	Networks  *[]string `json:"networks,omitempty" maxItems:"100" doc:"All networks that it shall have; an empty list means anywhere."`
	ExpiresAt time.Time `json:"expiresAt,omitzero" doc:"An earlier end."`
	Pause     bool      `json:"pause,omitempty"`
	Watch     bool      `json:"watch,omitempty" doc:"Only tries the scopes and networks: what they would refuse is allowed, and recorded as such."`
}

// Dismiss puts advice aside, or takes it up again.
type Dismiss struct {
	TakeUp bool `json:"takeUp,omitempty" doc:"true takes it up again."`
}

// WhatIf asks what a change of a key would have done to the calls that were made.
type WhatIf struct {
	Scopes    *[]string           `json:"scopes,omitempty" maxItems:"500"`
	Networks  *[]string           `json:"networks,omitempty" maxItems:"100"`
	ExpiresAt Optional[time.Time] `json:"expiresAt,omitzero" nullable:"true" doc:"Calls are judged as if they came again, as long after their time as the days asked for. null: never."`
	ReplaySpan
}

// CatalogWhatIf asks what a new catalog would do to the calls that the account's keys made.
type CatalogWhatIf struct {
	CatalogLoad
	ReplaySpan
}

// ReplaySpan says which calls are judged.
type ReplaySpan struct {
	Days  int       `json:"days,omitempty" minimum:"1" maximum:"90" doc:"How far back to look: 7 unless said. Single calls are kept for 30 days unless the server is set otherwise."`
	Until time.Time `json:"until,omitzero" doc:"Calls before then; now unless said."`
	After int64     `json:"after,omitempty" minimum:"0" doc:"The next of an answer that wasn't complete."`
	Wait  string    `json:"wait,omitempty" maxLength:"20" example:"5s" doc:"How long one answer may take: 1s unless said, at most 30s."`
}

// Replay is what calls that were made would meet.
type Replay struct {
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Looked   int64     `json:"looked" doc:"Calls that were looked at in this answer."`
	Refused  int64     `json:"refused" doc:"Of them, refused when they were made."`
	Already  int64     `json:"already" doc:"Allowed then, and refused already as the key is now."`
	Fails    int64     `json:"fails" doc:"Allowed as the key is now, and refused by what is proposed."`
	Unjudged int64     `json:"unjudged,omitempty" doc:"Calls of which the record says too little to tell."`
	Items    []Failing `json:"items" nullable:"false" doc:"The calls that would fail, by operation and caller, most first."`
	Others   int64     `json:"others,omitempty" doc:"Calls that would fail of more operations and callers than are told apart."`
	Complete bool      `json:"complete" doc:"Whether all calls were looked at; if not, ask again with next as after, and add up."`
	Next     int64     `json:"next,omitempty"`
	Reached  time.Time `json:"reached,omitzero" doc:"The time of the latest call that was looked at."`
}

// Failing is calls of one operation by one caller that would fail for one reason.
type Failing struct {
	KeyID         string    `json:"keyId"`
	Upstream      string    `json:"upstream,omitempty"`
	Operation     string    `json:"operation,omitempty"`
	Method        string    `json:"method,omitempty"`
	Reason        string    `json:"reason"`
	MissingScopes []string  `json:"missingScopes,omitempty"`
	IP            string    `json:"ip,omitempty"`
	UserAgent     string    `json:"userAgent,omitempty"`
	Calls         int64     `json:"calls"`
	First         time.Time `json:"first"`
	Last          time.Time `json:"last"`
}
