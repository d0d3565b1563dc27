package api

import "time"

// LegacyCredential is an old credential that was imported, so that it keeps
// working until something takes its place.
type LegacyCredential struct {
	ID           string     `json:"id" doc:"Given at the import. The secret itself has no public part."`
	Kind         string     `json:"kind" enum:"legacy_private_app,legacy_api_key"`
	Name         string     `json:"name"`
	Note         string     `json:"note,omitempty" doc:"Who owns it, and what it is for."`
	Shown        string     `json:"shown,omitempty" doc:"What people tell it by. Left out where it would say too much."`
	State        string     `json:"state" enum:"active,sunset,paused,ended" doc:"sunset: it works, and its callers are told until when."`
	Strength     string     `json:"strength" enum:"good,weak,unknown" doc:"weak: it can be guessed; it must expire and is limited. unknown: it was imported as a hash."`
	AllScopes    bool       `json:"allScopes" doc:"An API key may do everything in the account, now and later."`
	Scopes       []string   `json:"scopes" nullable:"false" doc:"What it may do. Empty with allScopes."`
	Networks     []string   `json:"networks" nullable:"false" doc:"Where it may be used from; empty means anywhere."`
	RateLimit    *RateLimit `json:"rateLimit,omitempty"`
	SlowHash     string     `json:"slowHash,omitempty" doc:"The slow hash that is all that is known of it until it is first used."`
	DeprecatedAt time.Time  `json:"deprecatedAt,omitzero" doc:"Since when its callers are told to move."`
	SunsetAt     time.Time  `json:"sunsetAt,omitzero" doc:"When it is to stop, as its callers are told. That alone ends nothing; expiresAt does."`
	ExpiresAt    time.Time  `json:"expiresAt,omitzero" doc:"It works until then."`
	PausedAt     time.Time  `json:"pausedAt,omitzero"`
	Ended        *Revoked   `json:"ended,omitempty" doc:"Since when it has ended, and why."`
	InAddressAt  time.Time  `json:"inAddressAt,omitzero" doc:"The day on which it last came in an address, where every log on the way keeps it."`
	ImportID     string     `json:"importId" doc:"The import that it came with, as the audit log has it."`
	LastUsed     *LastUse   `json:"lastUsed,omitempty" doc:"The latest allowed call; left out where there was none."`
	MadeBy       string     `json:"madeBy,omitempty" doc:"The member who imported it."`
	CreatedAt    time.Time  `json:"createdAt"`
	UpdatedAt    time.Time  `json:"updatedAt"`
	Revision     int64      `json:"revision"`
}

// ChangedLegacy is an imported credential after a change.
type ChangedLegacy struct {
	LegacyCredential
	Receipt *Receipt `json:"receipt,omitempty" doc:"Where the change is in force."`
}

// EditLegacy is what shall change of an imported credential. What is left out stays.
type EditLegacy struct {
	Name      Optional[string]    `json:"name,omitzero" maxLength:"400"`
	Note      Optional[string]    `json:"note,omitzero" maxLength:"4000"`
	SunsetAt  Optional[time.Time] `json:"sunsetAt,omitzero" doc:"null: none."`
	ExpiresAt Optional[time.Time] `json:"expiresAt,omitzero" doc:"null: never. A weak one must have an end."`
}

// LegacyImport is what became of an import.
type LegacyImport struct {
	ImportID   string             `json:"importId"`
	DryRun     bool               `json:"dryRun" doc:"Nothing was changed."`
	Records    int                `json:"records" doc:"Lines with a credential."`
	Imported   int                `json:"imported" doc:"In a dry run: would be."`
	Duplicates int                `json:"duplicates" doc:"They were imported before, or stand in the file twice."`
	Refused    int                `json:"refused"`
	Weak       int                `json:"weak" doc:"Of the imported ones, those that can be guessed."`
	APIKeys    int                `json:"apiKeys" doc:"Of the imported ones, API keys, which may do everything."`
	Translated []TranslatedScope  `json:"translated,omitempty" doc:"Old names of scopes, and what was put in their place."`
	Lines      []LegacyImportLine `json:"lines" nullable:"false" doc:"What was not imported, line by line; with report=all the others too. At most 10,000."`
	LeftOut    int                `json:"leftOut,omitempty" doc:"Lines that the list has no room for."`
}

// TranslatedScope is an old name of scopes that an import translated.
type TranslatedScope struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes" nullable:"false"`
	Lines  int      `json:"lines" doc:"Lines with that name."`
}

// LegacyImportLine is what became of one line.
type LegacyImportLine struct {
	Line   int    `json:"line"`
	Result string `json:"result" enum:"imported,duplicate,refused"`
	ID     string `json:"id,omitempty" doc:"The credential that is there now."`
	Reason string `json:"reason,omitempty"`
}
