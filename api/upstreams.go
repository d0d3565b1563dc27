package api

import "time"

// Upstream is an API behind Postern, and how it is reached.
type Upstream struct {
	ID string `json:"id"`
	UpstreamSettings
	CatalogVersion int64     `json:"catalogVersion,omitempty" doc:"The version of its scope catalog that is in force; left out where none is loaded."`
	CreatedAt      time.Time `json:"createdAt"`
	Revision       int64     `json:"revision"`
}

// UpstreamSettings are what an operator says of an upstream. Changing it says all of it anew.
type UpstreamSettings struct {
	Name                  string `json:"name,omitempty" maxLength:"400" doc:"Left out: its id."`
	URL                   string `json:"url" maxLength:"2000" doc:"Where calls go: http or https, or builtin:crm. Only members of the operator's account see it."`
	Host                  string `json:"host,omitempty" maxLength:"253" doc:"The host that calls come to; left out: any."`
	Prefix                string `json:"prefix,omitempty" maxLength:"1000" doc:"The path that calls start with, in whole segments; left out: any."`
	StripPrefix           bool   `json:"stripPrefix,omitempty" doc:"The upstream's own paths begin after the prefix."`
	Errors                string `json:"errors,omitempty" enum:"problem,hubspot" doc:"How refused callers are answered; left out: problem."`
	Timeout               string `json:"timeout,omitempty" maxLength:"32" example:"30s" doc:"For the answer's head to come; left out: 30s."`
	CollapseLeadingSlash  bool   `json:"collapseLeadingSlash,omitempty" doc:"//crm is taken for /crm."`
	AllowSemicolon        bool   `json:"allowSemicolon,omitempty" doc:"; may stand in a path."`
	Preflight             bool   `json:"preflight,omitempty" doc:"CORS preflight requests go through without a credential."`
	KeepCredential        bool   `json:"keepCredential,omitempty" doc:"The caller's credential goes on to the upstream."`
	Trailers              bool   `json:"trailers,omitempty" doc:"Trailers pass, both ways."`
	Upgrades              bool   `json:"upgrades,omitempty" doc:"Connections may be upgraded, to WebSocket and the like."`
	InsecureSkipTLSVerify bool   `json:"insecureSkipTlsVerify,omitempty" doc:"For upstreams in a lab only."`
}

// CatalogLoad puts OpenAPI documents in force as an upstream's catalog.
type CatalogLoad struct {
	Documents []Document `json:"documents" minItems:"1" maxItems:"500" nullable:"false"`
	Overlay   *Document  `json:"overlay,omitempty" doc:"The operator's own file, which stands above the documents."`
	ScopeRule string     `json:"scopeRule,omitempty" enum:"any,all" doc:"any takes the scopes inside one security requirement as alternatives."`
	BasePath  string     `json:"basePath,omitempty" maxLength:"1000" doc:"Stands for the paths of all servers that the documents name."`
	DryRun    bool       `json:"dryRun,omitempty" doc:"Tells what loading would do, and changes nothing."`
}

// Document is a file: an OpenAPI 3.0 or 3.1 document in YAML or JSON, or an overlay.
type Document struct {
	Name string `json:"name" minLength:"1" maxLength:"200" doc:"For messages."`
	Text string `json:"text" minLength:"1"`
}

// CatalogLoaded is what loading a catalog did, or would do.
type CatalogLoaded struct {
	Version int64         `json:"version,omitempty" doc:"The new version; left out for a dry run and where nothing changed."`
	DryRun  bool          `json:"dryRun,omitempty"`
	Report  CatalogReport `json:"report"`
	Diff    CatalogDiff   `json:"diff"`
	Keys    []KeyTouched  `json:"keys" nullable:"false" doc:"The live service keys that gain or lose operations."`
}

// CatalogReport is what was found while reading documents.
type CatalogReport struct {
	Operations    int       `json:"operations"`
	Public        int       `json:"public"`
	Scopes        int       `json:"scopes"`
	Safe          bool      `json:"safe" doc:"Whether there is nothing that access depends on and that could not be understood."`
	Uncovered     []Finding `json:"uncovered" nullable:"false" doc:"Operations that name no scope: denied."`
	Unsatisfiable []Finding `json:"unsatisfiable" nullable:"false" doc:"Operations that no kind of credential can use."`
	Conflicts     []Finding `json:"conflicts" nullable:"false" doc:"Templates that can't be told apart."`
	Problems      []Finding `json:"problems" nullable:"false" doc:"What could not be understood and so stays closed."`
	Undeclared    []Finding `json:"undeclared" nullable:"false" doc:"Scopes that are used and declared nowhere."`
	Unused        []Finding `json:"unused" nullable:"false" doc:"Scopes that are declared and open nothing."`
	Warnings      []Finding `json:"warnings" nullable:"false"`
}

// Finding is something about a place in a document.
type Finding struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Pointer   string `json:"pointer,omitempty" doc:"A JSON pointer."`
	Operation string `json:"operation,omitempty"`
	Scope     string `json:"scope,omitempty"`
	Text      string `json:"text"`
}

// CatalogDiff is what changes when one catalog takes the place of another.
type CatalogDiff struct {
	Operations []OperationChange `json:"operations" nullable:"false"`
	Scopes     []ScopeChange     `json:"scopes" nullable:"false"`
}

// The kinds of a change of an operation or a scope.
const (
	ChangeNew     = "new"
	ChangeGone    = "gone"
	ChangeChanged = "changed"
)

// OperationChange is an operation that is new, gone or different.
type OperationChange struct {
	Change        string   `json:"change" enum:"new,gone,changed"`
	Name          string   `json:"name"`
	Method        string   `json:"method"`
	Path          string   `json:"path"`
	Opens         []string `json:"opens,omitempty" nullable:"false" doc:"Scopes that permit it now in a way that was not there before."`
	Closes        []string `json:"closes,omitempty" nullable:"false" doc:"Scopes of the ways that are gone."`
	BecomesPublic bool     `json:"becomesPublic,omitempty"`
}

// ScopeChange is a scope that is new, gone or described differently.
type ScopeChange struct {
	Change string `json:"change" enum:"new,gone,changed"`
	Name   string `json:"name"`
}

// KeyTouched is a live service key that gains or loses operations.
type KeyTouched struct {
	AccountID string   `json:"accountId"`
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Gains     []string `json:"gains,omitempty" nullable:"false"`
	Loses     []string `json:"loses,omitempty" nullable:"false"`
}

// Catalog is what an upstream's documents say: its operations, and the scopes that open them.
type Catalog struct {
	Upstream   string         `json:"upstream"`
	Version    int64          `json:"version"`
	Title      string         `json:"title,omitempty"`
	APIVersion string         `json:"apiVersion,omitempty"`
	Documents  []CatalogFile  `json:"documents" nullable:"false"`
	Operations []Operation    `json:"operations" nullable:"false"`
	Scopes     []CatalogScope `json:"scopes" nullable:"false"`
}

// CatalogFile is a file that a catalog was made from.
type CatalogFile struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`
	Overlay bool   `json:"overlay,omitempty"`
}

// Operation is an entry of an upstream's documents and what it asks of a credential.
type Operation struct {
	Name      string `json:"name"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Summary   string `json:"summary,omitempty"`
	Public    bool   `json:"public,omitempty" doc:"It needs no credential."`
	Uncovered bool   `json:"uncovered,omitempty" doc:"It names no scope, and is denied."`
	Denied    bool   `json:"denied,omitempty" doc:"The overlay closes it."`
	AnyOf     []Way  `json:"anyOf,omitempty" nullable:"false" doc:"Each of these permits."`
}

// Way is one way to be permitted: a credential of one of the kinds that holds all of the scopes.
type Way struct {
	AllOf []string `json:"allOf" nullable:"false"`
	Kinds []string `json:"kinds" nullable:"false"`
}

// CatalogScope is a scope as a catalog declares it.
type CatalogScope struct {
	Name      string `json:"name"`
	Group     string `json:"group,omitempty"`
	Access    string `json:"access" enum:"read,write"`
	Sensitive bool   `json:"sensitive,omitempty"`
	Implicit  bool   `json:"implicit,omitempty" doc:"Every credential of an admitted kind has it."`
	Words     string `json:"words,omitempty"`
}

// CatalogVersion is one version of an upstream's catalog.
type CatalogVersion struct {
	Version  int64     `json:"version"`
	Title    string    `json:"title,omitempty"`
	Digest   string    `json:"digest" doc:"SHA-256 of the catalog."`
	LoadedBy string    `json:"loadedBy,omitempty"`
	LoadedAt time.Time `json:"loadedAt"`
	InForce  bool      `json:"inForce,omitempty"`
}
