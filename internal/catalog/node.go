package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"postern.dev/postern"
)

// A document is a file that has been parsed into nodes, JSON and YAML alike.
type document struct {
	name   string
	root   *yaml.Node
	visits int // entries that may still be looked at
	refs   map[string]val
	index  map[*yaml.Node]map[string]int // of the larger mappings that references go through
}

// A val is a place in a document. The zero val is a place that isn't there.
type val struct {
	node *yaml.Node // never an alias
	up   *val
	key  string // in up
	at   int    // the line of the key; 0 where there is none
}

// A field is an entry of a mapping.
type field struct {
	key string
	val
}

type fields []field

func (d *document) top() val { return val{node: d.root} }

// is reports whether the place is there.
func (v val) is() bool { return v.node != nil }

func (v val) line() int {
	switch {
	case v.at > 0:
		return v.at
	case v.node == nil:
		return 0
	}
	return v.node.Line
}

// text is a scalar's text; empty for what isn't there, is null, or isn't a scalar.
func (v val) text() string {
	if v.node == nil || v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" {
		return ""
	}
	return v.node.Value
}

// str is a string's text, and whether the place is one.
func (v val) str() (string, bool) {
	return v.text(), v.node != nil && v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!str"
}

// boolean is a truth value, and whether the place is one.
func (v val) boolean() (value, ok bool) {
	if v.node == nil || v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!bool" {
		return false, false
	}
	value, err := strconv.ParseBool(strings.ToLower(v.node.Value))
	return value, err == nil
}

func (v val) isMap() bool  { return v.node != nil && v.node.Kind == yaml.MappingNode }
func (v val) isList() bool { return v.node != nil && v.node.Kind == yaml.SequenceNode }

// what names the type of a place in a message.
func (v val) what() string {
	switch {
	case v.node == nil:
		return "nothing"
	case v.isMap():
		return "an object"
	case v.isList():
		return "a list"
	case v.node.Tag == "!!null":
		return "null"
	}
	return fmt.Sprintf("%q", clip(v.node.Value))
}

// pointer is the JSON pointer of the place (RFC 6901).
func (v val) pointer() string {
	var keys []string
	for p := &v; p.up != nil; p = p.up {
		keys = append(keys, pointerEscape.Replace(p.key))
	}
	var b strings.Builder
	for i := len(keys) - 1; i >= 0; i-- {
		b.WriteString("/" + clip(keys[i]))
	}
	return b.String()
}

// errorf is an error about a place.
func (d *document) errorf(v val, format string, args ...any) error {
	if p := v.pointer(); p != "" {
		format += " (at " + strings.ReplaceAll(p, "%", "%%") + ")"
	}
	return at(d.name, v.line(), postern.CodeInvalid, format, args...)
}

// finding is a finding about a place.
func (d *document) finding(v val, format string, args ...any) Finding {
	return Finding{File: d.name, Line: v.line(), Pointer: v.pointer(), Text: fmt.Sprintf(format, args...)}
}

// at is an error about a line of a file.
func at(file string, line int, code postern.Code, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if file != "" {
		text = place(file, line) + ": " + text
	}
	return postern.Errorf(code, "%s", text)
}

// plainText is a document's text as it goes into a catalog: one line, at most n bytes.
func plainText(s string, n int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || moves(r) }), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
