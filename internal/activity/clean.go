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

// cleanPath is a path as it may be stored: without a query, without secrets,
// without characters that could fool whoever looks at it.
func cleanPath(brand, path string, op *postern.Operation) string {
	for _, c := range []byte("?#") {
		if i := strings.IndexByte(path, c); i >= 0 {
			path = path[:i]
		}
	}
	if op != nil {
		path = hideParameters(brand, path, op.Path)
	}
	return clean(brand, path, maxPath)
}

// clean is a text as it may be stored, of at most n bytes.
func clean(brand, s string, n int) string {
	s = printable(postern.HideSecrets(s))
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
	if !hidesParameters(template) {
		return path
	}
	names := strings.Split(template, "/")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if i >= len(names) || segment == "" || !secretParameter(names[i]) {
			continue
		}
		// A secret of ours may keep its key ID; of anything else nothing is kept.
		if masked := postern.HideSecrets(segment); strings.HasPrefix(segment, brand+"_") && strings.HasSuffix(masked, postern.Hidden) {
			segments[i] = masked
		} else {
			segments[i] = postern.Hidden
		}
	}
	return strings.Join(segments, "/")
}

// hidesParameters reports whether a template has segments that are secrets.
func hidesParameters(template string) bool {
	return strings.Contains(template, "{") && slices.ContainsFunc(strings.Split(template, "/"), secretParameter)
}

func secretParameter(segment string) bool {
	if len(segment) < 3 || !strings.Contains(segment, "{") {
		return false
	}
	s := strings.ToLower(segment)
	return strings.Contains(s, "token") || strings.Contains(s, "secret") || strings.Contains(s, "apikey") ||
		strings.Contains(s, "api_key") || strings.Contains(s, "password")
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
