package api

import "time"

// Migration is the whole move of an account off its old credentials.
type Migration struct {
	Items    []MigrationItem `json:"items" nullable:"false" doc:"Those with full access or a key in the address come first."`
	All      int             `json:"all"`
	Off      int             `json:"off" doc:"How many are switched off."`
	Full     int             `json:"full" doc:"Of those that are left, how many may do everything."`
	StopsAt  time.Time       `json:"stopsAt,omitzero" doc:"When the first of those that are left is to stop."`
	FinishAt time.Time       `json:"finishAt,omitzero" doc:"When it ends at the pace so far."`
	Calendar []BrownoutDate  `json:"calendar" nullable:"false" doc:"The brownouts that are scheduled, the earliest first."`
	Partial  int             `json:"partial,omitempty" doc:"Items there was no time to look at in full; read one to see more."`
	More     bool            `json:"more,omitempty" doc:"There are more old credentials than are shown."`
}

// MigrationItem is an old credential on its way out.
type MigrationItem struct {
	ID           string            `json:"id" doc:"Of the item; of its credential where nothing was decided yet."`
	CredentialID string            `json:"credentialId,omitempty" doc:"The imported credential; left out where it is only known from an inventory."`
	Name         string            `json:"name"`
	Stage        string            `json:"stage" enum:"found,path_chosen,scopes_mapped,both_running,switched_off"`
	Next         string            `json:"next" doc:"What to do next."`
	FullAccess   bool              `json:"fullAccess,omitempty"`
	InAddress    bool              `json:"inAddress,omitempty" doc:"Its secret was sent in an address."`
	Weak         bool              `json:"weak,omitempty" doc:"Its secret could be guessed."`
	OwnerID      string            `json:"ownerId,omitempty" doc:"The member who looks after the move."`
	Path         string            `json:"path,omitempty" enum:"service_key,app,retire" doc:"As an admin decided it."`
	Proposal     string            `json:"proposal" enum:"service_key,app,retire,unclear"`
	Reasons      []string          `json:"reasons" nullable:"false" doc:"Of the proposal."`
	Notes        []PathNote        `json:"notes" nullable:"false"`
	CallsWeek    int64             `json:"callsWeek" doc:"Calls in 7 days with the old credential."`
	NewCallsWeek int64             `json:"newCallsWeek" doc:"Calls in 7 days with the new key."`
	FirstSeen    time.Time         `json:"firstSeen,omitzero"`
	LastSeen     time.Time         `json:"lastSeen,omitzero"`
	Schedule     string            `json:"schedule,omitempty" doc:"When its calls come."`
	Needs        []string          `json:"needs" nullable:"false" doc:"The smallest set of scopes that permits all that it did."`
	Scopes       []string          `json:"scopes,omitempty" doc:"As they were decided for the new key."`
	NewKeyID     string            `json:"newKeyId,omitempty"`
	MovedTo      string            `json:"movedTo,omitempty" doc:"Where it moved, in words."`
	Checks       []MigrationCheck  `json:"checks" nullable:"false"`
	Gate         MigrationGate     `json:"gate"`
	Callers      []MigrationCaller `json:"callers" nullable:"false" doc:"Those that still use the old credential come first."`
	Operations   []OperationUse    `json:"operations" nullable:"false"`
	Brownouts    []BrownoutDate    `json:"brownouts" nullable:"false"`
	Forgotten    []string          `json:"forgotten,omitempty" doc:"Callers that brownouts met."`
	StoppedAt    time.Time         `json:"stoppedAt,omitzero" doc:"When its brownouts were stopped."`
	StoppedWhy   string            `json:"stoppedWhy,omitempty"`
	SignedAt     time.Time         `json:"signedAt,omitzero"`
	ArchivedAt   time.Time         `json:"archivedAt,omitzero" doc:"Since when it is paused."`
	UndoUntil    time.Time         `json:"undoUntil,omitzero"`
	EndedAt      time.Time         `json:"endedAt,omitzero"`
	Mapping      *ScopeMapping     `json:"mapping,omitempty" doc:"Where one item is asked for."`
	Partial      bool              `json:"partial,omitempty" doc:"There was no time to look at its calls."`
}

// MigrationCheck is one of the six points of an item's checklist.
type MigrationCheck struct {
	State string `json:"state" enum:"done,now,todo"`
	Name  string `json:"name"`
	Words string `json:"words"`
}

// MigrationGate says whether an old credential may be switched off.
type MigrationGate struct {
	Open       bool                 `json:"open"`
	Days       int                  `json:"days" doc:"For how many days it must be quiet."`
	Quiet      int                  `json:"quiet" doc:"For how many it was."`
	Conditions []MigrationCondition `json:"conditions" nullable:"false"`
}

// MigrationCondition is one thing that a gate waits for.
type MigrationCondition struct {
	ID    string `json:"id" enum:"imported,path,replacement,quiet,callers,sign_off"`
	Met   bool   `json:"met"`
	Words string `json:"words"`
}

// MigrationCaller is who calls, and with which of the two credentials.
type MigrationCaller struct {
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"userAgent,omitempty"`
	State     string    `json:"state" enum:"old,both,unsure,moved,quiet" doc:"With which of the two it calls: unsure where it fell silent as another program at its address began with the new one, or where two of one name can't be told apart."`
	OldCalls  int64     `json:"oldCalls"`
	NewCalls  int64     `json:"newCalls"`
	Refused   int64     `json:"refused" doc:"Of those with the old credential."`
	OldLastAt time.Time `json:"oldLastAt,omitzero"`
	NewLastAt time.Time `json:"newLastAt,omitzero"`
}

// ScopeMapping is what an old credential holds beside what its calls need.
type ScopeMapping struct {
	Held    []string `json:"held" nullable:"false"`
	Needed  []string `json:"needed" nullable:"false"`
	Trimmed []string `json:"trimmed" nullable:"false" doc:"Held, and not needed."`
	Lacking []string `json:"lacking" nullable:"false" doc:"Needed, and not held."`
	Unknown []string `json:"unknown" nullable:"false" doc:"Old names that nothing translates."`
}

// BrownoutDate is a scheduled short refusal.
type BrownoutDate struct {
	ItemID string    `json:"itemId"`
	Name   string    `json:"name"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	State  string    `json:"state" enum:"over,on,planned"`
}

// ChoosePath decides what takes the place of an old credential.
type ChoosePath struct {
	Path string `json:"path" enum:"service_key,app,retire"`
	Why  string `json:"why,omitempty" maxLength:"1000"`
}

// ChooseScopes decides the scopes of the new key.
type ChooseScopes struct {
	Scopes []string `json:"scopes,omitempty" doc:"Left out: those that the calls need."`
}

// ChooseOwner says who looks after the move.
type ChooseOwner struct {
	MemberID string `json:"memberId" doc:"Empty: nobody."`
}

// MovedTo says where an old credential moved.
type MovedTo struct {
	KeyID string `json:"keyId,omitempty" maxLength:"64" doc:"A service key that is there already and takes over. Empty: none; one that was named before is taken back."`
	Note  string `json:"note,omitempty" maxLength:"1000" doc:"In words: an app, another system."`
}

// MigrationKey is the new key to be made.
type MigrationKey struct {
	Name      string    `json:"name,omitempty" maxLength:"64" doc:"Left out: made of the old one's."`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	Networks  []string  `json:"networks,omitempty"`
}

// MadeMigrationKey is the new key, with its secret shown this once.
type MadeMigrationKey struct {
	Key  ChangedKey    `json:"key"`
	Item MigrationItem `json:"item"`
}

// Brownouts are short refusals to be scheduled.
type Brownouts struct {
	From       time.Time  `json:"from,omitzero" doc:"The first of a ramp: one a day, of 1, 5 and 15 minutes, 1 hour, then 4 hours."`
	Days       int        `json:"days,omitempty" minimum:"1" maximum:"30" doc:"How many days the ramp has: 5 unless said."`
	Windows    []Brownout `json:"windows,omitempty" maxItems:"64" doc:"In the place of a ramp."`
	MaxCalls   int64      `json:"maxCalls,omitempty" minimum:"1" maximum:"2000" doc:"So many refused calls in a brownout end all of them: 100 unless said."`
	MaxCallers int64      `json:"maxCallers,omitempty" minimum:"1" maximum:"50" doc:"So many refused callers do: 3 unless said."`
}

// Brownout is one short refusal.
type Brownout struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// MigrationNote is a remark of whoever decides.
type MigrationNote struct {
	Note string `json:"note,omitempty" maxLength:"1000"`
}

// MigrationChanged is an item after a change that calls are decided by.
type MigrationChanged struct {
	MigrationItem
	Receipt *Receipt `json:"receipt,omitempty"`
}

// UploadInventory is what "postern migrate inventory --json" printed.
type UploadInventory struct {
	Items []InventoryItem `json:"items" maxItems:"20000"`
}

// UploadedInventory says what came of it.
type UploadedInventory struct {
	Items   int `json:"items"`
	Matched int `json:"matched" doc:"How many of them are imported credentials."`
}

// LegacyScopeName is an old name of scopes, and what it stands for.
type LegacyScopeName struct {
	Name    string   `json:"name"`
	Scopes  []string `json:"scopes" nullable:"false" doc:"Names, and patterns such as crm.objects.*"`
	Builtin bool     `json:"builtin,omitempty" doc:"As Postern comes with it."`
}

// LegacyScopeNames are all of them.
type LegacyScopeNames struct {
	Items []LegacyScopeName `json:"items" nullable:"false"`
}

// SetLegacyScope says what an old name stands for.
type SetLegacyScope struct {
	Scopes []string `json:"scopes" nullable:"false" maxItems:"500"`
}
