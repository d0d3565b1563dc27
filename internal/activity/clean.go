package activity

import (
	"slices"
	"strings"
	"unicode/utf8"

	"postern.dev/postern"
)

// How long the texts of a call may be in the database, in bytes.
const (
	maxPath      = 512
	maxAgent     = 256
	maxRequest   = 128
	maxOperation = 200
	maxName      = 64 // of an upstream or a door
)

// hidden stands where a secret was.
const hidden = "…"

// cleanPath is a path as it may be stored: without a query, without secrets,
// without characters that could fool whoever looks at it.
func cleanPath(brand, path string, op *postern.Operation) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if op != nil {
		path = hideParameters(brand, path, op.Path)
	}
	return clean(brand, path, maxPath)
}

// clean is a text as it may be stored, of at most n bytes.
func clean(brand, s string, n int) string {
	s = printable(hideSecrets(brand, s))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// hideParameters replaces the segments of a path that the template says are
// secrets, such as {token}: they may be of any form.
func hideParameters(brand, path, template string) string {
	if !strings.Contains(template, "{") {
		return path
	}
	names := strings.Split(template, "/")
	if !slices.ContainsFunc(names, secretParameter) {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if i >= len(names) || segment == "" || !secretParameter(names[i]) {
			continue
		}
		// A secret of ours may keep its key ID; of anything else nothing is kept.
		if masked := hideSecrets(brand, segment); strings.HasPrefix(segment, brand+"_") && strings.HasSuffix(masked, hidden) {
			segments[i] = masked
		} else {
			segments[i] = hidden
		}
	}
	return strings.Join(segments, "/")
}

func secretParameter(segment string) bool {
	if len(segment) < 3 || !strings.Contains(segment, "{") {
		return false
	}
	s := strings.ToLower(segment)
	return strings.Contains(s, "token") || strings.Contains(s, "secret") || strings.Contains(s, "apikey") ||
		strings.Contains(s, "api_key") || strings.Contains(s, "password")
}

// hideSecrets replaces the random part of whatever has the form of a secret of
// ours, mistyped or cut short as it may be, and keeps the key ID.
func hideSecrets(brand, s string) string {
	head := brand + "_"
	if !strings.Contains(s, head) {
		return s
	}
	var out strings.Builder
	for {
		i := strings.Index(s, head)
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		i += len(head)
		out.WriteString(s[:i])
		s = s[i:]
		n := secretHead(s)
		if n == 0 {
			continue
		}
		out.WriteString(s[:n])
		s = s[n:]
		if n = base62Run(s); n > 0 {
			out.WriteString(hidden)
			s = s[n:]
		}
	}
}

// secretHead is the length of "<type>_<key ID>_" at the start of s, or 0.
func secretHead(s string) int {
	t := 0
	for t < len(s) && t < 5 && s[t] >= 'a' && s[t] <= 'z' {
		t++
	}
	if t == 0 || t == len(s) || s[t] != '_' {
		return 0
	}
	end := t + 1 + postern.KeyIDLen
	if end >= len(s) || s[end] != '_' || !postern.KeyID(s[t+1:end]).Valid() {
		return 0
	}
	return end + 1
}

func base62Run(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return i
		}
	}
	return len(s)
}

// printable replaces control characters, invalid UTF-8, and marks that turn the
// direction of text around.
func printable(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff,
			r == 0x200e, r == 0x200f, r == utf8.RuneError:
			return utf8.RuneError
		}
		return r
	}, s)
}
