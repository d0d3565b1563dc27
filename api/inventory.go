package api

import "time"

// InventoryItem is one old credential: what it did, who did it with it, and what
// could take its place.
type InventoryItem struct {
	Fingerprint string    `json:"fingerprint,omitempty" doc:"Tells the credential apart; the secret can't be found from it. Left out where a log only names the credential."`
	Name        string    `json:"name,omitempty" doc:"What the log or the import calls it."`
	Kind        string    `json:"kind,omitempty" doc:"The kind of credential, as far as its form says."`
	Shown       string    `json:"shown,omitempty" doc:"What people tell it by, such as its last four characters."`
	Weak        bool      `json:"weak,omitempty" doc:"The secret could be guessed."`
	Calls       int64     `json:"calls"`
	Refused     int64     `json:"refused" doc:"Answered 401 or 403."`
	Limited     int64     `json:"limited" doc:"Answered 429."`
	Failed      int64     `json:"failed" doc:"Answered 500 or more."`
	InAddress   int64     `json:"inAddress" doc:"With the secret in the address."`
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	Days        int       `json:"days" doc:"On which it was used."`
	Schedule    Schedule  `json:"schedule"`

	Operations      []OperationUse `json:"operations" maxItems:"1000" nullable:"false"`
	OtherOperations int64          `json:"otherOperations,omitempty" doc:"Calls of operations beyond those that are told apart."`
	Callers         []CallerUse    `json:"callers" maxItems:"200" nullable:"false"`
	OtherCallers    int64          `json:"otherCallers,omitempty" doc:"Calls of callers beyond those that are told apart."`

	Scopes  []string   `json:"scopes" maxItems:"500" nullable:"false" doc:"The smallest set of scopes that permits all that it did."`
	Path    string     `json:"path" enum:"service_key,app,retire,unclear" doc:"What should take its place."`
	Reasons []string   `json:"reasons" maxItems:"50" nullable:"false"`
	Notes   []PathNote `json:"notes" maxItems:"50" nullable:"false"`
}

// Schedule is when calls come.
type Schedule struct {
	Kind         string `json:"kind" enum:"once,monthly,weekly,daily,interval,office_hours,always,irregular"`
	At           string `json:"at,omitempty" doc:"Time of day in UTC."`
	EveryMinutes int    `json:"everyMinutes,omitempty"`
	Words        string `json:"words"`
}

// OperationUse is what a credential did of one operation.
type OperationUse struct {
	Upstream  string     `json:"upstream,omitempty"`
	Operation string     `json:"operation,omitempty" doc:"Left out where no API description has it."`
	Method    string     `json:"method"`
	Path      string     `json:"path" doc:"The template, with names for what differs."`
	Calls     int64      `json:"calls"`
	Succeeded int64      `json:"succeeded"`
	FirstSeen time.Time  `json:"firstSeen"`
	LastSeen  time.Time  `json:"lastSeen"`
	Writes    bool       `json:"writes"`
	AnyOf     [][]string `json:"anyOf,omitempty" maxItems:"500" doc:"Each is a set of scopes that permits it to a service key."`
}

// CallerUse is where calls came from.
type CallerUse struct {
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
	Calls     int64     `json:"calls"`
	Refused   int64     `json:"refused"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
}

// PathNote is something worth knowing of a credential, whatever takes its place.
type PathNote struct {
	Code string `json:"code" enum:"in_address,weak,shared,two_places,refused"`
	Text string `json:"text"`
}
