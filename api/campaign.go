package api

import "time"

// CampaignChoice says which keys a campaign is about.
type CampaignChoice struct {
	KeyIDs    []string `json:"keyIds,omitempty" maxItems:"500" doc:"These keys. With others of these, only those of them that match as well."`
	MadeBy    string   `json:"madeBy,omitempty" maxLength:"64" doc:"Keys that this member made: a member's id."`
	Name      string   `json:"name,omitempty" maxLength:"400" doc:"Keys whose name has this in it."`
	Scope     string   `json:"scope,omitempty" maxLength:"200" doc:"Keys that hold this scope."`
	OlderThan string   `json:"olderThan,omitempty" maxLength:"32" example:"2160h" doc:"Keys that have had their secret for so long."`
	All       bool     `json:"all,omitempty" doc:"Every key: needed where nothing else is said."`
}

// CampaignCandidate is a key that a choice matches.
type CampaignCandidate struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	SecretMadeAt  time.Time `json:"secretMadeAt"`
	LookedAfterBy []Person  `json:"lookedAfterBy" nullable:"false" doc:"Who is asked to rotate it: whoever made it, or those who may where that person can't any more."`
	Why           string    `json:"why,omitempty" doc:"Why it can't be rotated: it is left out."`
	Note          string    `json:"note,omitempty" doc:"What to do before it is rotated."`
}

// CampaignCandidates are the keys that a choice matches.
type CampaignCandidates struct {
	Chosen int                 `json:"chosen" doc:"Those that can be rotated."`
	Items  []CampaignCandidate `json:"items" nullable:"false"`
}

// Person is a member, where people are named.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NewCampaign is a campaign to be started.
type NewCampaign struct {
	Name     string         `json:"name" minLength:"1" maxLength:"100"`
	Words    string         `json:"words,omitempty" maxLength:"1000" doc:"What those who look after the keys are told besides."`
	Deadline time.Time      `json:"deadline" doc:"From an hour to a year from now."`
	Choose   CampaignChoice `json:"choose"`
}

// Campaign is a rotation of many keys by a date.
type Campaign struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Words     string         `json:"words,omitempty"`
	ChosenBy  string         `json:"chosenBy" doc:"How its keys were chosen."`
	MadeBy    Person         `json:"madeBy"`
	Deadline  time.Time      `json:"deadline"`
	CreatedAt time.Time      `json:"createdAt"`
	ClosedAt  time.Time      `json:"closedAt,omitzero" doc:"By hand, or by itself once all is done: nobody is reminded any more."`
	All       int            `json:"all"`
	Left      int            `json:"left" doc:"Keys whose secret is still to be replaced, or whose old one works still."`
	Lost      int            `json:"lost,omitempty" doc:"Keys of it that are not on record any more: somebody removed them by other means than Postern. They count as left."`
	Counts    CampaignCounts `json:"counts"`
	Keys      []CampaignKey  `json:"keys,omitempty" doc:"Those that are left first. Not in lists."`
}

// CampaignCounts are how many keys have come how far.
type CampaignCounts struct {
	Waiting  int `json:"waiting"`
	Rotating int `json:"rotating"`
	Done     int `json:"done"`
	Overdue  int `json:"overdue"`
	Ended    int `json:"ended"`
}

// CampaignKey is how a key of a campaign stands.
type CampaignKey struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	State         string    `json:"state" enum:"waiting,rotating,done,overdue,ended" doc:"waiting: it has the secret that is to be replaced. rotating: it has a new one, and the old one works still. done: the old one has ended. overdue: the old one works, and the deadline is over. ended: the key itself has."`
	LookedAfterBy []Person  `json:"lookedAfterBy" nullable:"false"`
	RotatedAt     time.Time `json:"rotatedAt,omitzero"`
	RotatedBy     *Person   `json:"rotatedBy,omitempty"`
	OldEndsAt     time.Time `json:"oldEndsAt,omitzero" doc:"When the old secret ends, or ended."`
	Still         int       `json:"still" doc:"How many callers still use the old secret."`
	Callers       []string  `json:"callers,omitempty" doc:"The first of them."`
}
