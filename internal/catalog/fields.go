package catalog

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"postern.dev/postern"
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
