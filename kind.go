package postern

// Kind is what sort of credential is presented. All kinds go through one verification.
type Kind uint8

// The kinds. Zero is none.
const (
	KindServiceKey       Kind = iota + 1 // an account's, scoped, for one integration
	KindAppToken                         // an app's static token, in one account
	KindOAuthAccess                      // an OAuth 2.0 access token
	KindPersonal                         // a member's own, for the CLI and the management API
	KindDeveloper                        // for app administration only
	KindLegacyPrivateApp                 // imported, to be migrated
	KindLegacyAPIKey                     // imported, holds every scope, to be migrated
	kindEnd
)

var kindNames = [kindEnd]string{"", "service_key", "app_token", "oauth_access_token", "personal_access_key",
	"developer_key", "legacy_private_app", "legacy_api_key"}

// String is the kind's name in the API.
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return ""
}

// Words is the kind's name in a sentence.
func (k Kind) Words() string {
	return [kindEnd]string{"credential", "service key", "app token", "OAuth access token", "personal access key",
		"developer key", "legacy private app token", "legacy API key"}[k%kindEnd]
}

// ParseKind finds a kind by its name in the API.
func ParseKind(s string) (Kind, bool) {
	for k := KindServiceKey; k < kindEnd; k++ {
		if kindNames[k] == s {
			return k, true
		}
	}
	return 0, false
}

// Kinds is a set of kinds.
type Kinds uint16

// AllKinds holds every kind; DataKinds those that read and write an API's data,
// which is what an OpenAPI security scheme admits unless it says otherwise.
const (
	AllKinds  Kinds = 1<<kindEnd - 2
	DataKinds Kinds = 1<<KindServiceKey | 1<<KindAppToken | 1<<KindOAuthAccess | 1<<KindLegacyPrivateApp | 1<<KindLegacyAPIKey
)

// KindsOf makes a set.
func KindsOf(kinds ...Kind) (s Kinds) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether the set holds k.
func (s Kinds) Has(k Kind) bool { return k > 0 && k < kindEnd && s&(1<<k) != 0 }

// List is the set's kinds in their order.
func (s Kinds) List() (out []Kind) {
	for k := KindServiceKey; k < kindEnd; k++ {
		if s.Has(k) {
			out = append(out, k)
		}
	}
	return out
}
