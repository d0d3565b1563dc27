package catalog

import (
	"cmp"
	"strings"
	"unicode"

	"postern.dev/postern"
)

// A template is a path with parameters: "/deals/{id}/notes".
type template struct {
	segs  []segment
	slash bool // it ends in a slash
}

// A segment is what stands between two slashes of a template. The text around
// its parameters is parts: one part where there is no parameter, else one more
// than there are parameters, empty ones included: "{a}:{b}" has "", ":", "".
type segment struct {
	class class
	parts []string // percent-decoded once, as the paths are that it is compared with
}

type class uint8

// The classes, in the order in which they win.
const (
	classFixed class = iota // no parameter
	classMixed              // parameters and text, or several parameters
	classParam              // one parameter and nothing else
)

// maxTemplate bounds a template in bytes and in segments: a longer path can't be asked for.
const (
	maxTemplate         = maxPath
	maxTemplateSegments = 128
)

func parseTemplate(path string) (template, error) {
	bad := func(why string) (template, error) {
		return template{}, postern.Errorf(postern.CodeInvalid, "The path %q %s, so no request can match it.", clip(path), why)
	}
	switch {
	case path == "" || path[0] != '/':
		return bad("does not begin with a slash")
	case len(path) > maxTemplate || strings.Count(path, "/") > maxTemplateSegments:
		return bad("is too long")
	case path == "/":
		return template{slash: true}, nil
	}
	var t template
	rest := path[1:]
	if strings.HasSuffix(rest, "/") {
		t.slash, rest = true, rest[:len(rest)-1]
	}
	for text := range strings.SplitSeq(rest, "/") {
		s, why := parseSegment(text)
		if why != "" {
			return bad(why)
		}
		t.segs = append(t.segs, s)
	}
	return t, nil
}

func parseSegment(text string) (s segment, why string) {
	if text == "" {
		return s, "has an empty segment"
	}
	rest := text
	for {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return s, "has a brace that is not matched"
		}
		part, ok := unescape(before)
		if !ok {
			return s, "has a bad percent escape"
		}
		if i := strings.IndexFunc(part, neverInPath); i >= 0 || strings.ContainsAny(before, "?#") {
			return s, "has a character that paths can't have"
		}
		s.parts = append(s.parts, part)
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if !found || strings.Contains(name, "{") {
			return s, "has a brace that is not matched"
		}
		rest = after
	}
	switch {
	case len(s.parts) == 1:
		if s.parts[0] == "." || s.parts[0] == ".." {
			return s, "has a dot segment"
		}
	case len(s.parts) == 2 && s.parts[0] == "" && s.parts[1] == "":
		s.class = classParam
	default:
		s.class = classMixed
	}
	return s, ""
}

// neverInPath reports what no canonical path has inside a segment.
func neverInPath(r rune) bool {
	return r < ' ' || r == '/' || r == '\\' || r >= 0x7f && r < 0xa0 || r == '\uFFFD'
}

// matches reports whether a mixed segment matches: its parts in their order, and
// at least one byte for every parameter. Taking each part where it first occurs
// leaves the most room for those after it, so there is no need to go back.
func (s *segment) matches(seg string) bool {
	first, last := s.parts[0], s.parts[len(s.parts)-1]
	if !strings.HasPrefix(seg, first) {
		return false
	}
	seg = seg[len(first):]
	for _, part := range s.parts[1 : len(s.parts)-1] {
		if seg == "" {
			return false
		}
		i := strings.Index(seg[1:], part)
		if i < 0 {
			return false
		}
		seg = seg[1+i+len(part):]
	}
	return len(seg) > len(last) && strings.HasSuffix(seg, last)
}

// compareMixed puts the more particular of two mixed segments first: the one
// with more text, then the one with more of it in front. It is zero only for
// segments that can't be told apart.
func compareMixed(a, b segment) int {
	n := func(s segment) (total int) {
		for _, p := range s.parts {
			total += len(p)
		}
		return total
	}
	return cmp.Or(
		cmp.Compare(n(b), n(a)),
		cmp.Compare(len(b.parts[0]), len(a.parts[0])),
		cmp.Compare(shapeOf(a), shapeOf(b)),
	)
}

// shape is the template without its parameters' names: two templates that can't
// be told apart have the same.
func (t template) shape() string {
	var b strings.Builder
	for _, s := range t.segs {
		b.WriteByte('/')
		b.WriteString(shapeOf(s))
	}
	if t.slash {
		b.WriteByte('/')
	}
	return b.String()
}

// braces keeps a fixed brace ("%7B") apart from a parameter's.
var braces = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

func shapeOf(s segment) string {
	parts := make([]string, len(s.parts))
	for i, p := range s.parts {
		parts[i] = braces.Replace(p)
	}
	return strings.Join(parts, "{}")
}

// clip makes text of a document fit for a message: short, and without what could
// move a terminal's cursor or turn its text around.
func clip(s string) string {
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:117], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if moves(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func moves(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
