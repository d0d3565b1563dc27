package postern

import "time"

// Actor is who acts: a member, a credential, or the system itself. What changes
// something can't be called without one.
type Actor struct {
	AccountID AccountID
	MemberID  MemberID // empty for a credential that is nobody's, and for the system
	KeyID     KeyID    // the credential that was presented, if one was
	System    string   // what part of the system acts: "setup", "demo"; empty for people and credentials
	IP        string
	UserAgent string
	RequestID string
}

// Entry starts an audit entry of what the actor does.
func (a Actor) Entry(at time.Time, action, object string) AuditEntry {
	return AuditEntry{At: at, AccountID: a.AccountID, Actor: a, Action: action, Object: object, Result: "ok"}
}

// AuditEntry is one change, or one attempt at a change that was refused: when,
// who, what, to what. Append-only.
type AuditEntry struct {
	Seq       int64 // its place in the log, from 1, without gaps
	At        time.Time
	AccountID AccountID
	Actor     Actor
	Action    string // "service_key.create"
	Object    string // the id of what was acted on
	Name      string // what people call it, at that time
	Result    string // "ok" or "refused"
	Reason    string // why it was refused, or the reason that the actor gave
	Before    map[string]any
	After     map[string]any
}

// ChangeKind says what a change is about.
type ChangeKind string

// The kinds of changes that decisions depend on.
const (
	ChangeCredential ChangeKind = "credential" // ID is a KeyID
	ChangeAccount    ChangeKind = "account"    // ID is an AccountID
	ChangeMember     ChangeKind = "member"     // ID is a MemberID: what its personal access keys may do
	ChangeRole       ChangeKind = "role"       // ID is a RoleID: what its members may do
	ChangeCatalog    ChangeKind = "catalog"    // ID is an UpstreamID: its catalog or how it is reached
)

// Change is one entry of the feed: the numbered, gapless, commit-ordered list of
// every change that decisions depend on.
type Change struct {
	Seq       int64
	At        time.Time
	Kind      ChangeKind
	AccountID AccountID
	ID        string
}

// Activity is what one call did, whether it was allowed or refused.
type Activity struct {
	Seq        int64
	At         time.Time
	AccountID  AccountID
	KeyID      KeyID // empty where none could be read
	Kind       Kind
	Generation int64 // of the secret; 0 where it was not recognized
	MemberID   MemberID
	Upstream   UpstreamID
	Operation  string
	Method     string
	Path       string // without the query
	Status     int
	Allowed    bool
	Reason     Reason
	Would      Reason  // why a narrowing that was being tried would have refused an allowed call; none where it wouldn't
	Missing    []Scope // what it lacked, or would have lacked
	Used       []Scope // what let it through; none where it was refused, or needed none
	Door       string  // "gateway", "verify", "authorize", "api"
	Duration   time.Duration
	BytesIn    int64
	BytesOut   int64
	IP         string
	UserAgent  string
	RequestID  string
}
