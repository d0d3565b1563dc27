package httpapi

import (
	"unicode/utf16"
	"unicode/utf8"

	"postern.dev/postern"
)

// verifyInput is api.VerifyRequest as it was read.
type verifyInput struct {
	secret, method, path, host, upstream, remoteIP, userAgent string

	scopes []postern.Scope
}

// bad is what is wrong with a question, in a sentence for whoever asks.
func bad(text string) error { return postern.Errorf(postern.CodeInvalid, "%s", text) }

var (
	errNotObject = bad("The question is not one JSON object.")
	errText      = bad("The question holds a text that is not JSON: a bad escape, a control character, or bytes that aren't UTF-8.")
	errTrailing  = bad("Something follows the question.")
)

// decode reads a question strictly: one object, of members that are known, each
// at most once, spelled as they are. null is as if the member weren't there.
func (in *verifyInput) decode(b []byte) error {
	p := parser{b: b}
	p.blanks()
	if !p.take('{') {
		return errNotObject
	}
	var seen uint16
	for p.blanks(); !p.take('}'); p.blanks() {
		if seen != 0 {
			if !p.take(',') {
				return errNotObject
			}
			p.blanks()
		}
		name, err := p.text()
		if err != nil {
			return err
		}
		bit, to := in.member(name)
		switch {
		case bit == 0:
			return bad("The question has a member that is not known here. Known are secret, method, path, host, upstream, scopes, remoteIp and userAgent.")
		case seen&bit != 0:
			return bad("The question has a member twice.")
		}
		seen |= bit
		if p.blanks(); !p.take(':') {
			return errNotObject
		}
		p.blanks()
		if p.null() {
			continue
		}
		if to == nil {
			if in.scopes, err = p.scopes(); err != nil {
				return err
			}
			continue
		}
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return bad("A member of the question is not the text that it should be.")
		}
		text, err := p.text()
		if err != nil {
			return err
		}
		*to = intern(text)
	}
	if p.blanks(); p.i != len(p.b) {
		return errTrailing
	}
	return nil
}

// member finds where a member goes: nowhere, and bit 0, if there is none.
func (in *verifyInput) member(name []byte) (bit uint16, to *string) {
	switch string(name) {
	case "secret":
		return 1, &in.secret
	case "method":
		return 2, &in.method
	case "path":
		return 4, &in.path
	case "host":
		return 8, &in.host
	case "upstream":
		return 16, &in.upstream
	case "remoteIp":
		return 32, &in.remoteIP
	case "userAgent":
		return 64, &in.userAgent
	case "scopes":
		return 128, nil
	}
	return 0, nil
}

// intern gives the text of bytes, without a copy where it is a common one.
func intern(b []byte) string {
	switch string(b) {
	case "":
		return ""
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	case "HEAD":
		return "HEAD"
	}
	return string(b)
}

// parser reads JSON from its first byte to its last.
type parser struct {
	b       []byte
	i       int
	scratch []byte
}

func (p *parser) blanks() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) take(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *parser) null() bool {
	if len(p.b)-p.i >= 4 && string(p.b[p.i:p.i+4]) == "null" {
		p.i += 4
		return true
	}
	return false
}

// text reads a string. What it gives is good until the next call.
func (p *parser) text() ([]byte, error) {
	if !p.take('"') {
		return nil, errNotObject
	}
	start, wide := p.i, false
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			t := p.b[start:p.i]
			p.i++
			if wide && !utf8.Valid(t) {
				return nil, errText
			}
			return t, nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return nil, errText
		case c >= utf8.RuneSelf:
			wide = true
		}
		p.i++
	}
	return nil, errNotObject
}

// escaped reads the rest of a string that has escapes.
func (p *parser) escaped(start int) ([]byte, error) {
	out := append(p.scratch[:0], p.b[start:p.i]...)
	for p.i < len(p.b) {
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			p.scratch = out
			if !utf8.Valid(out) {
				return nil, errText
			}
			return out, nil
		case c < ' ':
			return nil, errText
		case c != '\\':
			out = append(out, c)
			continue
		}
		r, ok := p.escape()
		if !ok {
			return nil, errText
		}
		out = utf8.AppendRune(out, r)
	}
	return nil, errNotObject
}

// escape reads what follows a backslash. Half of a surrogate pair is no character.
func (p *parser) escape() (rune, bool) {
	if p.i >= len(p.b) {
		return 0, false
	}
	c := p.b[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
	default:
		return 0, false
	}
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !p.take('\\') || !p.take('u') {
		return 0, false
	}
	low, ok := p.hex4()
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, false
	}
	return r, ok
}

func (p *parser) hex4() (r rune, ok bool) {
	if len(p.b)-p.i < 4 {
		return 0, false
	}
	for range 4 {
		c := p.b[p.i]
		p.i++
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// scopes reads a list of strings.
func (p *parser) scopes() ([]postern.Scope, error) {
	if !p.take('[') {
		return nil, bad("scopes: This is not a list of texts.")
	}
	list := []postern.Scope{}
	for p.blanks(); !p.take(']'); p.blanks() {
		if len(list) > 0 {
			if !p.take(',') {
				return nil, errNotObject
			}
			p.blanks()
		}
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return nil, bad("scopes: This is not a list of texts.")
		}
		t, err := p.text()
		if err != nil {
			return nil, err
		}
		if len(list) == postern.MaxScopesPerKey {
			return nil, bad("scopes: There are more than 500.")
		}
		list = append(list, postern.Scope(t))
	}
	return list, nil
}
