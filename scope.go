package postern

import (
	"slices"
	"strings"
)

// Scope is a permission to call some operations of an upstream, by its exact name: "crm.objects.deals.read".
type Scope string

// Valid reports whether a scope has the form of RFC 6749 section 3.3 (printable
// ASCII without space, quote and backslash) and at most 200 characters.
func (s Scope) Valid() bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Access says whether a scope only reads or also changes.
type Access string

// The accesses.
const (
	AccessRead  Access = "read"
	AccessWrite Access = "write"
)

// ScopeInfo is what the scope catalog knows about a scope.
type ScopeInfo struct {
	Name      Scope
	Upstream  UpstreamID
	Group     string // what it is shown under: "Deals"
	Access    Access
	Sensitive bool   // only whoever holds it by its exact name may grant it
	Implicit  bool   // every valid credential of an admitted kind has it; it is never granted
	Words     string // what it lets someone do, in plain words: "Read deals"
	// Opens are the operations that the scope opens alone or together with others, by their names.
	Opens []string
}

// SortScopes sorts and removes doubles, in place.
func SortScopes(s []Scope) []Scope {
	slices.Sort(s)
	return slices.Compact(s)
}

// Grants are the scopes that someone holds and so may grant: exact names,
// prefixes that end in ".*" ("crm.objects.*"), "*" for every scope that isn't
// sensitive, and "**" for every scope.
type Grants []string

// GrantAll is the pattern for every scope, sensitive ones too.
const GrantAll = "**"

// ValidGrant reports whether a pattern has one of the forms of Grants.
func ValidGrant(p string) bool {
	if p == "*" || p == GrantAll {
		return true
	}
	base, isPrefix := strings.CutSuffix(p, ".*")
	return Scope(base).Valid() && !strings.Contains(base, "*") && (isPrefix || base == p)
}

// Covers reports whether the holder of g may grant a scope. A sensitive scope is
// covered only by its exact name or by "**". No pattern covers what isn't a
// valid scope name.
func (g Grants) Covers(s Scope, sensitive bool) bool {
	if !s.Valid() {
		return false
	}
	for _, p := range g {
		switch {
		case p == GrantAll || p == string(s):
			return true
		case sensitive:
		case p == "*":
			return true
		case strings.HasSuffix(p, ".*") && strings.HasPrefix(string(s), p[:len(p)-1]):
			return true
		}
	}
	return false
}

// CoversGrants reports whether everything that other covers is covered by g too,
// so that whoever holds g may hand out other. It may say no where only the
// catalog could tell that every single scope is covered.
func (g Grants) CoversGrants(other Grants) bool {
	for _, p := range other {
		if !g.coversPattern(p) {
			return false
		}
	}
	return true
}

func (g Grants) coversPattern(p string) bool {
	for _, q := range g {
		switch {
		case q == GrantAll || q == p:
			return true
		case p == GrantAll || p == "*":
		case q == "*":
			// "*" holds no sensitive scope, and an exact name may be one.
			if strings.HasSuffix(p, ".*") {
				return true
			}
		case strings.HasSuffix(q, ".*") && strings.HasSuffix(p, ".*") && strings.HasPrefix(p, q[:len(q)-1]):
			return true
		}
	}
	return false
}
