package postern

import "crypto/rand"

// Identifiers have types of their own, so that swapping two does not compile.
type (
	// AccountID names an account: "acc_" and 16 base62 characters.
	AccountID string
	// MemberID names a member: "mem_" and 16 base62 characters.
	MemberID string
	// RoleID names a role: the name of a built-in one, or "rol_" and 16 base62 characters.
	RoleID string
	// TeamID names a team: "tea_" and 16 base62 characters.
	TeamID string
	// UpstreamID names an API behind Postern, as its operator calls it: "crm".
	UpstreamID string
	// KeyID is the public part of a secret: 16 base62 characters that find the
	// credential's record. Safe to log, and what a person quotes.
	KeyID string
)

// KeyIDLen is the number of characters in a KeyID.
const KeyIDLen = 16

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKeyID makes a random key ID (95 bits).
func NewKeyID() KeyID { return KeyID(RandomText(KeyIDLen)) }

// NewKeyIDs makes n key IDs, which differ in their last four characters and are in
// order: many new rows lie side by side in an index then. The rest is random (71 bits).
func NewKeyIDs(n int) []KeyID {
	start, out := RandomText(KeyIDLen-4), make([]KeyID, n)
	for i := range out {
		out[i] = KeyID(append([]byte(start), base62[i/(62*62*62)%62], base62[i/(62*62)%62], base62[i/62%62], base62[i%62]))
	}
	return out
}

// NewID makes a random identifier with a prefix: NewID("acc") = "acc_…".
func NewID(prefix string) string { return prefix + "_" + RandomText(16) }

// RandomText is n random base62 characters from crypto/rand, each of the 62 as
// likely as the others (5.95 bits a character).
func RandomText(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			// 248 = 4 × 62: a byte beyond it would favour the first characters.
			if b < 248 && len(out) < n {
				out = append(out, base62[b%62])
			}
		}
	}
	return string(out)
}

// Valid reports whether id has the form of a key ID.
func (id KeyID) Valid() bool { return len(id) == KeyIDLen && isBase62(string(id)) }

func isBase62(s string) bool {
	for i := 0; i < len(s); i++ {
		if !base62Byte[s[i]] {
			return false
		}
	}
	return true
}

var base62Byte = func() (t [256]bool) {
	for i := 0; i < len(base62); i++ {
		t[base62[i]] = true
	}
	return t
}()
