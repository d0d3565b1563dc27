package crm

// need says what a caller must hold for a route. Where it depends on the type that
// the path names, the handler checks it for that type, and the document lists the
// scopes of all types as alternatives.
type need struct {
	public bool     // no credential at all
	search bool     // counts towards the limit of searches
	scopes []string // any of these
	of     subject  // whose scopes, where they are a type's
	write  bool
}

// subject is what a type's scopes are about.
type subject int

const (
	nothing subject = iota
	records         // the records of the type
	defined         // its properties and pipelines
	linked          // the records of two types
)

// scopeOAuth is the scope that every valid credential has.
const scopeOAuth = "oauth"

var (
	anyone       = need{public: true}
	anyKey       = need{scopes: nil}
	readRecords  = need{of: records}
	writeRecords = need{of: records, write: true}
	findRecords  = need{of: records, search: true}
	readDefs     = need{of: defined}
	writeDefs    = need{of: defined, write: true}
	readLinked   = need{of: linked}
	writeLinked  = need{of: linked, write: true}
	readSchemas  = need{scopes: []string{"crm.schemas.custom.read", "crm.objects.custom.read", "crm.schemas.custom.write"}}
	writeSchemas = need{scopes: []string{"crm.schemas.custom.write"}}
	readOwners   = need{scopes: []string{"crm.objects.owners.read"}}
)
