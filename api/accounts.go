package api

import "time"

// Account is the tenant that owns everything else.
type Account struct {
	ID          string    `json:"id"`
	Number      int64     `json:"number" doc:"Its public number."`
	Name        string    `json:"name"`
	TimeZone    string    `json:"timeZone" example:"Europe/London" doc:"The daily limit starts anew at its midnight."`
	Operator    bool      `json:"operator,omitempty" doc:"Whether its members run this server."`
	SuspendedAt time.Time `json:"suspendedAt,omitzero" doc:"Since when its credentials are refused."`
	DailyLimit  int64     `json:"dailyLimit,omitempty" doc:"The most calls a day of all its credentials together; left out: no limit."`
	CreatedAt   time.Time `json:"createdAt"`
	Revision    int64     `json:"revision"`
}

// EditAccount changes an account. What is left out stays as it is.
type EditAccount struct {
	Name       *string `json:"name,omitempty" minLength:"1" maxLength:"400"`
	TimeZone   *string `json:"timeZone,omitempty" maxLength:"64"`
	DailyLimit *int64  `json:"dailyLimit,omitempty" minimum:"0" doc:"0 is none. Only the operator can set it."`
	Suspended  *bool   `json:"suspended,omitempty" doc:"Only the operator can set it."`
}

// NewAccount asks for an account; its first super admin is invited.
type NewAccount struct {
	Name       string `json:"name" minLength:"1" maxLength:"400"`
	TimeZone   string `json:"timeZone,omitempty" maxLength:"64" doc:"Left out: UTC."`
	DailyLimit int64  `json:"dailyLimit,omitempty" minimum:"0"`
	AdminEmail string `json:"adminEmail" minLength:"3" maxLength:"254"`
	AdminName  string `json:"adminName" minLength:"1" maxLength:"400"`
}

// MadeAccount is a new account and the invitation of its first super admin.
type MadeAccount struct {
	Account Account `json:"account"`
	Invited Invited `json:"invited"`
}

// Setup makes the first account of a server and its super admin.
type Setup struct {
	Link     string `json:"link" minLength:"1" maxLength:"200" doc:"The secret of the set-up link that the server printed."`
	Account  string `json:"account" minLength:"1" maxLength:"400" doc:"The account's name."`
	TimeZone string `json:"timeZone,omitempty" maxLength:"64" doc:"Left out: UTC."`
	Email    string `json:"email" minLength:"3" maxLength:"254"`
	Name     string `json:"name" minLength:"1" maxLength:"400" doc:"Your name."`
}

// AcceptInvitation uses an invitation up.
type AcceptInvitation struct {
	Invitation string `json:"invitation" minLength:"1" maxLength:"200" doc:"The invitation's secret."`
}

// Joined is who came in, with their first personal access key.
type Joined struct {
	Account Account `json:"account"`
	Member  Member  `json:"member"`
	Secret  string  `json:"secret" doc:"A personal access key, shown this once."`
}
