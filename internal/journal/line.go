package journal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"

	"postern.dev/postern"
)

// Line is one line of a journal.
type Line struct {
	Pepper uint8  `json:"p"` // the version that the line is authenticated under
	What   What   `json:"what"`
	At     int64  `json:"at,omitempty"` // by the node's clock, in microseconds
	Origin string `json:"origin,omitempty"`
	Epoch  int64  `json:"epoch,omitempty"`
	// Feed and Audit: of a start, after which changes the journal holds all; of a
	// mark, up to which.
	Feed  int64  `json:"feed,omitempty"`
	Audit int64  `json:"audit,omitempty"`
	ID    string `json:"id,omitempty"`
	// Last is the change with the number Feed, by which a feed is known again that
	// went back and gave its numbers to other changes.
	Last *Change `json:"last,omitempty"`
	// Of a start after the feed went back: how far it and the audit log were before.
	LostFeed  int64 `json:"lostFeed,omitempty"`
	LostAudit int64 `json:"lostAudit,omitempty"`
	LostAt    int64 `json:"lostAt,omitempty"` // when that was seen

	Credential *Credential `json:"credential,omitempty"`
	Account    *Account    `json:"account,omitempty"`
	Member     *Member     `json:"member,omitempty"`
	Role       *Role       `json:"role,omitempty"`
	Catalog    *Catalog    `json:"catalog,omitempty"`
	Ways       *Ways       `json:"ways,omitempty"`
}

// What says what a line is about.
type What string

// What lines are about.
const (
	Start          What = "start" // the journal of a life of the database begins
	Mark           What = "mark"  // how far it is
	CredentialLine What = "credential"
	AccountLine    What = "account"
	MemberLine     What = "member"
	RoleLine       What = "role"
	CatalogLine    What = "catalog"
	WaysLine       What = "ways"
)

// Change names one change of the feed.
type Change struct {
	At      int64              `json:"at"`
	Kind    postern.ChangeKind `json:"kind"`
	Account postern.AccountID  `json:"account,omitempty"`
	ID      string             `json:"id,omitempty"`
}

func changeOf(c *postern.Change) *Change {
	return &Change{int64(postern.ToMicros(c.At)), c.Kind, c.AccountID, c.ID}
}

// Credential is how far a credential goes. Times are in microseconds, 0 for none.
type Credential struct {
	Account   postern.AccountID `json:"account"`
	Gone      bool              `json:"gone,omitempty"` // its record isn't there, or was altered: it gives nothing
	Revoked   int64             `json:"revoked,omitempty"`
	Deleted   int64             `json:"deleted,omitempty"`
	Paused    int64             `json:"paused,omitempty"`
	NotBefore int64             `json:"notBefore,omitempty"`
	Expires   int64             `json:"expires,omitempty"`
	AllScopes bool              `json:"allScopes,omitempty"`
	Scopes    []postern.Scope   `json:"scopes,omitempty"`
	Networks  []netip.Prefix    `json:"networks,omitempty"`
	Calls     int64             `json:"calls,omitempty"` // its own limit of calls
	Per       int64             `json:"per,omitempty"`
	// Current and Previous are the generations of its secrets; Previous stops at Until, or was Ended.
	Current  int64            `json:"current"`
	Previous int64            `json:"previous,omitempty"`
	Until    int64            `json:"until,omitempty"`
	Ended    bool             `json:"ended,omitempty"`
	Sunset   int64            `json:"sunset,omitempty"` // of an imported one
	Windows  []postern.Window `json:"windows,omitempty"`
}

// Account is whether an account may do anything, and how often its security policy had been changed.
type Account struct {
	Suspended int64 `json:"suspended,omitempty"`
	Policy    int64 `json:"policy,omitempty"`
}

// Member is how far a member goes.
type Member struct {
	Removed int64          `json:"removed,omitempty"`
	Role    postern.RoleID `json:"role,omitempty"`
	Own     bool           `json:"own,omitempty"` // Scopes hold instead of the role's
	Scopes  postern.Grants `json:"scopes,omitempty"`
	// Permissions and Grants are the role's, which may be newer than a backup.
	Permissions []postern.Permission `json:"permissions,omitempty"`
	Grants      postern.Grants       `json:"grants,omitempty"`
}

// Role is how far a role goes.
type Role struct {
	Account     postern.AccountID    `json:"account"`
	Gone        bool                 `json:"gone,omitempty"`
	Permissions []postern.Permission `json:"permissions,omitempty"`
	Grants      postern.Grants       `json:"grants,omitempty"`
}

// Catalog is which catalog of an upstream was in force, and a digest of its settings.
type Catalog struct {
	Gone     bool   `json:"gone,omitempty"`
	Version  int64  `json:"version,omitempty"`
	Settings string `json:"settings,omitempty"`
}

// SettingsOf is the digest of what says where an upstream's calls go.
func SettingsOf(u *postern.Upstream) string {
	h := sha256.Sum256([]byte(asText([]any{u.URL, u.Host, u.Prefix, u.Options})))
	return base64.RawStdEncoding.EncodeToString(h[:16])
}

// Ways are a member's ways in: those that are not named here any more were ended.
type Ways struct {
	Password   int64    `json:"password,omitempty"` // when it was set
	TOTP       int64    `json:"totp,omitempty"`
	Passkeys   []string `json:"passkeys,omitempty"`
	Identities []string `json:"identities,omitempty"` // digests of issuer and subject
	Codes      string   `json:"codes,omitempty"`      // a digest of the recovery codes that are left
}

// keyLabel names the key that authenticates journals.
const keyLabel = "revocation journal v1"

// chain authenticates line after line.
type chain struct {
	pepper *postern.Pepper
	last   [16]byte
}

// next is the MAC of the next line; ok is false for a version that the pepper lacks.
func (c *chain) next(version uint8, text []byte) (mac [16]byte, ok bool) {
	key, ok := c.pepper.Derive(version, keyLabel)
	m := hmac.New(sha256.New, key[:])
	m.Write(c.last[:])
	m.Write(text)
	copy(mac[:], m.Sum(nil))
	return mac, ok
}

const macLen = 22 // base64 of 16 bytes

func encodeMAC(m [16]byte) string { return base64.RawStdEncoding.EncodeToString(m[:]) }
