package api

import "time"

// Member is a person in an account.
type Member struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	RoleID    string    `json:"roleId"`
	RoleName  string    `json:"roleName"`
	Scopes    []string  `json:"scopes" nullable:"false" doc:"The scopes that they hold and so may grant: exact names, prefixes such as crm.objects.*, * for all that aren't sensitive, ** for all."`
	OwnScopes bool      `json:"ownScopes,omitempty" doc:"Whether the scopes are their own and not the role's."`
	CreatedAt time.Time `json:"createdAt"`
	Revision  int64     `json:"revision" doc:"Counts changes. The ETag is this number in quotes."`
}

// NewMember invites someone.
type NewMember struct {
	Email  string    `json:"email" minLength:"3" maxLength:"254"`
	Name   string    `json:"name" minLength:"1" maxLength:"400"`
	RoleID string    `json:"roleId" minLength:"1" maxLength:"40" doc:"A built-in role (super_admin, security_admin, key_manager, developer, viewer) or one of the account's own."`
	Scopes *[]string `json:"scopes,omitempty" maxItems:"500" nullable:"false" doc:"What they hold instead of what the role grants."`
}

// EditMember changes a member. What is left out stays as it is.
type EditMember struct {
	Name   *string            `json:"name,omitempty" minLength:"1" maxLength:"400"`
	RoleID *string            `json:"roleId,omitempty" minLength:"1" maxLength:"40"`
	Scopes Optional[[]string] `json:"scopes,omitzero" nullable:"true" maxItems:"500" doc:"null goes back to what the role grants."`
}

// Invited is a member and the single-use secret with which they come in.
type Invited struct {
	Member     Member    `json:"member"`
	Invitation string    `json:"invitation" doc:"The invitation's secret, shown this once."`
	Link       string    `json:"link" doc:"The page where it is accepted."`
	ExpiresAt  time.Time `json:"expiresAt"`
}

// Me is who asks.
type Me struct {
	Member      Member      `json:"member"`
	Account     Account     `json:"account"`
	Permissions []string    `json:"permissions" nullable:"false" doc:"What they may do in Postern with this key."`
	Key         PersonalKey `json:"key" doc:"The personal access key that was presented."`
}

// Role is a named set of permissions and of the scopes that its members hold.
type Role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Builtin     bool     `json:"builtin,omitempty" doc:"Every account has it, and nobody can change it."`
	Permissions []string `json:"permissions" nullable:"false"`
	Scopes      []string `json:"scopes" nullable:"false"`
	Revision    int64    `json:"revision,omitempty" doc:"Counts changes. The ETag is this number in quotes."`
}

// NewRole is what a role shall be. Changing one says all of it anew.
type NewRole struct {
	Name        string   `json:"name" minLength:"1" maxLength:"400"`
	Description string   `json:"description,omitempty" maxLength:"4000"`
	Permissions []string `json:"permissions" maxItems:"100" nullable:"false" doc:"Names of Postern's own scopes, such as postern.keys.read. You must have each of them."`
	Scopes      []string `json:"scopes,omitempty" maxItems:"500" nullable:"false" doc:"What its members hold: exact names, or prefixes such as crm.objects.*"`
}

// EditRole changes a role. What is left out stays as it is.
type EditRole struct {
	Name        *string   `json:"name,omitempty" minLength:"1" maxLength:"400"`
	Description *string   `json:"description,omitempty" maxLength:"4000"`
	Permissions *[]string `json:"permissions,omitempty" maxItems:"100" nullable:"false"`
	Scopes      *[]string `json:"scopes,omitempty" maxItems:"500" nullable:"false"`
}

// PersonalKey is a member's own credential, for the CLI and this API.
type PersonalKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes" nullable:"false" doc:"What it may do of what its member may; postern.* is all of it."`
	LastFour  string    `json:"lastFour" doc:"The last four characters of its secret."`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	LastUsed  *LastUse  `json:"lastUsed,omitempty"`
	Presented bool      `json:"presented,omitempty" doc:"Whether this request was made with it."`
}

// NewPersonalKey asks for a personal access key.
type NewPersonalKey struct {
	Name      string    `json:"name" minLength:"1" maxLength:"400"`
	Scopes    []string  `json:"scopes,omitempty" maxItems:"100" nullable:"false" doc:"Narrows what it may do; left out: all that you may, but no more than the key that makes it."`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// MadePersonalKey is a new personal access key and its secret.
type MadePersonalKey struct {
	PersonalKey
	Secret string `json:"secret" doc:"Shown this once."`
}
