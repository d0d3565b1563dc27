package api

import "time"

// Call is what one call did, whether it was allowed or refused.
type Call struct {
	Seq           int64     `json:"seq,omitempty" doc:"Its number: of two calls of an account, the one that was written later has the greater."`
	At            time.Time `json:"at"`
	KeyID         string    `json:"keyId,omitempty"`
	Kind          string    `json:"kind,omitempty" doc:"The kind of credential."`
	Generation    int64     `json:"generation,omitempty" doc:"Which of the key's secrets was used."`
	MemberID      string    `json:"memberId,omitempty" doc:"Whose personal access key it was."`
	Upstream      string    `json:"upstream,omitempty"`
	Operation     string    `json:"operation,omitempty"`
	Method        string    `json:"method,omitempty"`
	Path          string    `json:"path,omitempty" doc:"Without the query."`
	Status        int       `json:"status,omitempty"`
	Allowed       bool      `json:"allowed"`
	Reason        string    `json:"reason"`
	WouldRefuse   string    `json:"wouldRefuse,omitempty" doc:"Why a narrowing that was being tried on the key would have refused this allowed call."`
	MissingScopes []string  `json:"missingScopes,omitempty" nullable:"false"`
	UsedScopes    []string  `json:"usedScopes,omitempty" nullable:"false" doc:"The scopes that let an allowed call through: of several ways that its operation admits, the first that the credential could take."`
	Door          string    `json:"door" doc:"Where it came in: gateway, verify, authorize, api."`
	DurationMs    float64   `json:"durationMs"`
	BytesIn       int64     `json:"bytesIn,omitempty"`
	BytesOut      int64     `json:"bytesOut,omitempty"`
	IP            string    `json:"ip,omitempty"`
	UserAgent     string    `json:"userAgent,omitempty"`
	RequestID     string    `json:"requestId,omitempty"`
}

// Calls is a page of activity: newest first, or, where it is followed, oldest first.
type Calls struct {
	Items      []Call `json:"items" nullable:"false"`
	NextCursor string `json:"nextCursor,omitempty" doc:"Give this as cursor to go on. Left out on the last page; always there where activity is followed."`
}

// AuditEntry is one change, or one attempt at a change that was refused.
type AuditEntry struct {
	Seq    int64          `json:"seq" doc:"Its place in the log."`
	At     time.Time      `json:"at"`
	Actor  AuditActor     `json:"actor"`
	Action string         `json:"action" example:"service_key.create"`
	Object string         `json:"object,omitempty" doc:"The id of what was acted on."`
	Name   string         `json:"name,omitempty" doc:"What people called it at that time."`
	Result string         `json:"result" enum:"ok,refused"`
	Reason string         `json:"reason,omitempty"`
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
}

// AuditActor is who acted.
type AuditActor struct {
	MemberID  string `json:"memberId,omitempty"`
	KeyID     string `json:"keyId,omitempty" doc:"The credential that was presented."`
	System    string `json:"system,omitempty" doc:"The part of Postern that acted."`
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}
