package postern

import "strings"

// Hidden stands where a secret was.
const Hidden = "…"

// HideSecrets replaces the random part of whatever has the form of a secret, of
// any brand, mistyped or cut short as it may be, and keeps the key ID. Texts that
// others send are kept only after this: people put secrets in the strangest places.
func HideSecrets(s string) string {
	// _<type>_<key ID>_ is what every secret has; what is before it is the brand.
	at := 0
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '_' || i == 0 || !isBrandByte(s[i-1]) {
			continue
		}
		n := secretHead(s[i+1:])
		if n == 0 {
			continue
		}
		start := i + 1 + n
		end := start
		for end < len(s) && isBase62(s[end:end+1]) {
			end++
		}
		if end == start {
			continue
		}
		out.WriteString(s[at:start])
		out.WriteString(Hidden)
		// What looks like a key ID may be the brand of a secret that begins in what was hidden.
		at, i = end, start-2
	}
	if at == 0 {
		return s
	}
	out.WriteString(s[at:])
	return out.String()
}

func isBrandByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// secretHead is the length of "<type>_<key ID>_" at the start of s, or 0.
func secretHead(s string) int {
	t := 0
	for t < len(s) && t < 5 && s[t] >= 'a' && s[t] <= 'z' {
		t++
	}
	end := t + 1 + KeyIDLen
	if t == 0 || end >= len(s) || s[t] != '_' || s[end] != '_' || !isBase62(s[t+1:end]) {
		return 0
	}
	return end + 1
}
