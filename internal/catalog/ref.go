package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

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

var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)
