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

var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

func (f fields) get(key string) val {
	for i := range f {
		if f[i].key == key {
			return f[i].val
		}
	}
	return val{}
}

// fieldsOf is fields for what may be missing or of another type: then there are none.
func (d *document) fieldsOf(v val) (fields, error) {
	if !v.isMap() {
		return nil, nil
	}
	return d.fields(v)
}

// fields are the entries of a mapping, those of YAML merge keys included. A key
// that stands twice is refused: readers differ on which one counts.
func (d *document) fields(v val) (fields, error) {
	if !v.isMap() {
		return nil, d.errorf(v, "An object is needed here, and this is %s.", v.what())
	}
	out := make(fields, 0, len(v.node.Content)/2)
	seen := make(map[string]int, len(v.node.Content)/2)
	return d.merge(out, v, v.node, seen, 0)
}

func (d *document) merge(out fields, at val, m *yaml.Node, seen map[string]int, depth int) (fields, error) {
	var merges []*yaml.Node
	own := make(map[string]bool, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		if err := d.visit(at); err != nil {
			return nil, err
		}
		k, n := resolve(m.Content[i]), resolve(m.Content[i+1])
		switch {
		case k == nil || n == nil || k.Kind != yaml.ScalarNode:
			continue // a key that isn't text is no key of OpenAPI's
		case k.Tag == "!!merge":
			merges = append(merges, n)
			continue
		case own[k.Value]:
			return nil, d.errorf(val{node: m.Content[i], up: &at, key: k.Value}, "%q is given twice, first at line %d.", clip(k.Value), seen[k.Value])
		}
		own[k.Value] = true
		if _, ok := seen[k.Value]; ok {
			continue // what is merged in never overrules
		}
		seen[k.Value] = m.Content[i].Line
		out = append(out, field{k.Value, val{node: n, up: &at, key: k.Value, at: m.Content[i].Line}})
	}
	for _, n := range merges {
		if depth >= maxMergeDepth {
			return nil, d.errorf(at, "Merge keys (\"<<\") lead into one another more than %d deep.", maxMergeDepth)
		}
		from := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			from = n.Content
		}
		for _, n := range from {
			if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
				return nil, d.errorf(at, "A merge key (\"<<\") takes an object or a list of them.")
			}
			var err error
			if out, err = d.merge(out, at, n, seen, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// items are the entries of a list.
func (d *document) items(v val) ([]val, error) {
	out := make([]val, 0, len(v.node.Content))
	for i, n := range v.node.Content {
		if err := d.visit(v); err != nil {
			return nil, err
		}
		if n = resolve(n); n != nil {
			out = append(out, val{node: n, up: &v, key: strconv.Itoa(i)})
		}
	}
	return out, nil
}

// visit counts an entry that is looked at. Aliases and references make a small
// document stand for a huge one; what bounds the work is what is looked at.
func (d *document) visit(v val) error {
	if d.visits--; d.visits < 0 {
		return at(d.name, v.line(), postern.CodeTooLarge, "Aliases and references repeat so much that reading stopped after %d entries.", maxVisits)
	}
	return nil
}

// resolve follows an alias. The parser makes none that leads to another alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// child finds the entry of a mapping or list that a JSON pointer's step names.
func (v val) child(step string) val {
	switch {
	case v.isMap():
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if k := resolve(v.node.Content[i]); k != nil && k.Kind == yaml.ScalarNode && k.Value == step {
				return val{node: resolve(v.node.Content[i+1]), up: &v, key: step, at: v.node.Content[i].Line}
			}
		}
	case v.isList():
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(v.node.Content) {
			return val{node: resolve(v.node.Content[i]), up: &v, key: step}
		}
	}
	return val{}
}

// deref follows "$ref" from a place, inside this document only. why says in
// words what is wrong with the reference; empty if nothing is.
func (d *document) deref(v val) (to val, why string) {
	for range maxRefs {
		ref, ok := v.child("$ref").str()
		if !ok {
			return v, ""
		}
		if v, why = d.lookup(ref); why != "" {
			return val{}, why
		}
	}
	return val{}, "is part of a loop of references, or of too long a chain of them"
}

func (d *document) lookup(ref string) (val, string) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return val{}, fmt.Sprintf("points to %q, outside of this document, which is not fetched", clip(ref))
	}
	if v, ok := d.refs[ref]; ok {
		return v, ""
	}
	v := d.top()
	path, ok = unescape(path)
	if !ok || path != "" && path[0] != '/' || strings.Count(path, "/") > maxDepth {
		return val{}, fmt.Sprintf("points to %q, which is no JSON pointer", clip(ref))
	}
	if path != "" {
		for step := range strings.SplitSeq(path[1:], "/") {
			if v = d.step(v, pointerUnescape.Replace(step)); !v.is() {
				return val{}, fmt.Sprintf("points to %q, which isn't there", clip(ref))
			}
		}
	}
	d.refs[ref] = v
	return v, ""
}

// step is child for references: thousands of them may go through one mapping.
func (d *document) step(v val, step string) val {
	if !v.isMap() || len(v.node.Content) < 64 {
		return v.child(step)
	}
	keys := d.index[v.node]
	if keys == nil {
		keys = make(map[string]int, len(v.node.Content)/2)
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			k := resolve(v.node.Content[i])
			if k == nil || k.Kind != yaml.ScalarNode {
				continue
			}
			if _, ok := keys[k.Value]; !ok {
				keys[k.Value] = i
			}
		}
		d.index[v.node] = keys
	}
	i, ok := keys[step]
	if !ok {
		return val{}
	}
	return val{node: resolve(v.node.Content[i+1]), up: &v, key: step, at: v.node.Content[i].Line}
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
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
