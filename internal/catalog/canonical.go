package catalog

import (
	"strings"
	"unicode/utf8"

	"postern.dev/postern"
)

// maxPath is how long a path may be, in bytes as received.
const maxPath = 8 << 10

// PathOptions are what an upstream opts into. The zero value is the strictest.
type PathOptions struct {
	// AllowSemicolon admits a plain ";": the upstream takes path parameters to be
	// part of the path. An escaped one ("%3B") stays refused, since after decoding
	// the two could not be told apart.
	AllowSemicolon bool
	// CollapseLeadingSlashes reads "//crm/v3" as "/crm/v3": some clients put a base
	// ending in a slash before a path beginning with one.
	CollapseLeadingSlashes bool
}

// Canonical takes the path of a request, escaped as received and without its
// query, and gives the one path that it is matched and forwarded by: decoded
// once. What two programs might read differently is refused: an escaped slash,
// a backslash, control characters, bad escapes, bytes that aren't UTF-8, dot
// segments, empty segments, ";", and escapes inside escapes that would come to
// any of these when decoded again. It allocates nothing for a path without escapes.
func Canonical(rawPath string, opts PathOptions) (string, error) {
	if len(rawPath) > maxPath {
		return "", postern.Errorf(postern.CodeTooLarge, "The path is longer than %d bytes.", maxPath)
	}
	path := rawPath
	if opts.CollapseLeadingSlashes && strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	if path == "" || path[0] != '/' {
		return "", badPath("does not begin with a slash")
	}
	plain, ascii := true, true
	for i := 0; i < len(path); i++ {
		switch c := path[i]; byteClass[c] {
		case byteRefused:
			return "", badPath("has a character that paths can't have")
		case byteSemicolon:
			if !opts.AllowSemicolon {
				return "", badPath(`has a ";"`)
			}
		case bytePercent:
			plain = false
		case byteHigh:
			ascii = false
		}
	}
	if !plain {
		var why string
		if path, why = decodePath(path); why != "" {
			return "", badPath(why)
		}
	}
	if why := judge(path, !plain || !ascii); why != "" {
		return "", badPath(why)
	}
	if !plain && strings.IndexByte(path, '%') >= 0 && hidesMore(path, opts) {
		return "", badPath("is escaped twice")
	}
	return path, nil
}

func badPath(why string) error {
	return postern.Errorf(postern.CodeInvalid, "The path of the request %s.", why)
}

const (
	bytePlain = iota
	byteRefused
	byteSemicolon
	bytePercent
	byteHigh
)

var byteClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ' || c == 0x7f || c == '\\' || c == '?' || c == '#':
			t[c] = byteRefused
		case c == ';':
			t[c] = byteSemicolon
		case c == '%':
			t[c] = bytePercent
		case c >= utf8.RuneSelf:
			t[c] = byteHigh
		}
	}
	return t
}()

// judge looks at a decoded path: its text where wide is set, its segments always.
func judge(path string, wide bool) (why string) {
	if wide {
		for i := 0; i < len(path); {
			r, n := utf8.DecodeRuneInString(path[i:])
			if r == utf8.RuneError && n == 1 {
				return "is not UTF-8"
			}
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return "has a control character"
			}
			i += n
		}
	}
	for start := 1; start < len(path); {
		end := strings.IndexByte(path[start:], '/')
		if end < 0 {
			end = len(path) - start
		}
		// Servers that know path parameters cut them off before they look for dots.
		name, _, params := strings.Cut(path[start:start+end], ";")
		switch {
		case name == "." || name == "..":
			return "has a dot segment"
		case end == 0, name == "" && params:
			return "has an empty segment"
		}
		start += end + 1
	}
	return ""
}

// decodePath decodes once, and refuses what may not come out of an escape.
func decodePath(path string) (out, why string) {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		c, ok := unhex(path[i:])
		switch {
		case !ok:
			return "", "has a bad percent escape"
		case c == '/':
			return "", "has an escaped slash"
		case c == '\\':
			return "", "has an escaped backslash"
		case c == ';':
			return "", `has an escaped ";"`
		case c < ' ' || c == 0x7f:
			return "", "has a control character"
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), ""
}

// hidesMore reports whether decoding again, as a careless server behind a
// careless proxy would, brings out what is refused after the first time. Names
// with a percent sign of their own ("50% off", "100%25") pass.
func hidesMore(path string, opts PathOptions) bool {
	for range 3 {
		next, why := decodeLoosely(path)
		switch {
		case why:
			return true
		case next == path:
			return false
		case judge(next, false) != "":
			return true
		}
		path = next
	}
	return true
}

// decodeLoosely decodes what is an escape and leaves what isn't; bad says that
// something came out that must not.
func decodeLoosely(path string) (out string, bad bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if d, ok := unhex(path[i:]); ok {
				if d == '/' || d == '\\' || d == ';' || d < ' ' || d == 0x7f {
					return "", true
				}
				c = d
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String(), false
}

// unescape decodes the percent escapes of a template's text.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			d, ok := unhex(s[i:])
			if !ok {
				return "", false
			}
			c = d
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// unhex reads the escape that s begins with.
func unhex(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, lo := hexValue(s[1]), hexValue(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// Escape is the form in which a canonical path is forwarded: a server that
// decodes it once sees exactly that path. Everything is escaped but what RFC
// 3986 lets stand in a segment, and "+" too, since some servers take a plain one
// for a space. It allocates nothing where nothing has to be escaped.
func Escape(canonical string) string {
	n := 0
	for i := 0; i < len(canonical); i++ {
		if !standsInPath[canonical[i]] {
			n++
		}
	}
	if n == 0 {
		return canonical
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(canonical)+2*n)
	for i := 0; i < len(canonical); i++ {
		if c := canonical[i]; standsInPath[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

var standsInPath = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c < utf8.RuneSelf && strings.IndexByte("/-._~!$&'()*,;=:@", byte(c)) >= 0
	}
	return t
}()
