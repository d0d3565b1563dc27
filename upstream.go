package postern

import "time"

// Upstream is an API behind Postern, and how it is reached.
type Upstream struct {
	ID   UpstreamID
	Name string
	// URL is where calls go: http or https, with a path if its own paths begin
	// under one; "builtin:crm" for the API that is compiled in.
	URL string
	// Host and Prefix are what calls come to: a host, empty for any, and the path
	// that they start with in whole segments, empty for all.
	Host, Prefix string
	Options      UpstreamOptions
	// CatalogVersion is the version of its scope catalog that is in force; 0 where none is loaded.
	CatalogVersion int64
	CreatedAt      time.Time
	Revision       int64
	// Altered is true where the record was changed by other means than Postern. Such
	// an upstream has no URL and no catalog in force.
	Altered bool
}

// The dialects in which a refused caller is answered.
const (
	ErrorsProblem = "problem" // RFC 9457 and RFC 6750
	ErrorsHubSpot = "hubspot" // the shape that HubSpot's clients understand
)

// UpstreamOptions are what an operator may set for an upstream. The zero value is the default.
type UpstreamOptions struct {
	StripPrefix           bool          // the upstream's own paths begin after Prefix
	Errors                string        // the dialect of refusals; empty is ErrorsProblem
	Timeout               time.Duration // for the answer's head to come; 0 is 30 s
	CollapseLeadingSlash  bool          // "//crm" is taken for "/crm", as clients write that join a base and a path
	AllowSemicolon        bool          // ";" may stand in a path
	Preflight             bool          // CORS preflight requests go through without a credential
	KeepCredential        bool          // the caller's credential goes on to the upstream
	Trailers              bool          // trailers pass, both ways
	Upgrades              bool          // connections may be upgraded, to WebSocket and the like
	InsecureSkipTLSVerify bool          // for upstreams in a lab only
}
