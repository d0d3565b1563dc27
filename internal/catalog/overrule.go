package catalog

import (
	"slices"
	"strings"

	"postern.dev/postern"
)

// applyOverlay puts the overlay over what the documents said.
func (r *reader) applyOverlay() error {
	o := r.overlay
	if o.name == "" && o.sha256 == "" {
		return nil
	}
	r.cat.Documents = append(r.cat.Documents, Document{Name: o.name, SHA256: o.sha256, Overlay: true})
	for _, s := range o.schemes {
		if !r.usedSchemes[s.name] {
			return at(o.name, s.line, postern.CodeInvalid, "No document has the security scheme %q.", clip(s.name))
		}
	}
	byName := make(map[string][]*draft)
	for i := range r.drafts {
		d := &r.drafts[i]
		for _, key := range []string{d.Name, d.Method + " " + d.Path, routeKey(d.Method, d.Path)} {
			if list := byName[key]; key != "" && (len(list) == 0 || list[len(list)-1] != d) {
				byName[key] = append(list, d)
			}
		}
	}
	for _, e := range o.operations {
		found := byName[e.name]
		if method, path, ok := strings.Cut(e.name, " "); ok && len(found) == 0 {
			found = byName[routeKey(method, path)]
		}
		switch len(found) {
		case 0:
			return at(o.name, e.line, postern.CodeInvalid, "No document has the operation %q. Operations are named by their operationId, or by method and path with the base path: \"GET /crm/v3/owners\".", clip(e.name))
		case 1:
			if err := r.overrule(found[0], e); err != nil {
				return err
			}
		default:
			return at(o.name, e.line, postern.CodeInvalid, "Several operations are called %q; name the one you mean in another way, by operationId or by method and path.", clip(e.name))
		}
	}
	for _, s := range o.scopes {
		f := r.scopes[s.name]
		if f == nil {
			return at(o.name, s.line, postern.CodeInvalid, "Nothing declares or uses the scope %q.", clip(string(s.name)))
		}
		if !f.declared {
			f.declared, f.declaredAt = true, Finding{File: o.name, Line: s.line}
		}
	}
	return nil
}

// routeKey is the same for two operations that can't be told apart.
func routeKey(method, path string) string {
	t, err := parseTemplate(path)
	if err != nil {
		return method + " " + path
	}
	return method + " " + t.shape()
}

func (r *reader) overrule(op *draft, e overlayOperation) error {
	op.Ways, op.Public, op.Denied, op.Uncovered, op.omit = nil, e.public, e.deny, false, e.omit
	kinds := e.kinds
	if kinds == 0 {
		kinds = op.admits
	}
	for _, way := range e.ways {
		op.Ways = addWay(op.Ways, Way{Scopes: slices.Clone(way), Kinds: kinds})
		for _, s := range way {
			if r.scopes[s] == nil && len(r.scopes) >= maxScopes {
				return at(r.overlay.name, e.line, postern.CodeTooLarge, "The upstream has more than %d scopes.", maxScopes)
			}
			where := Finding{File: r.overlay.name, Line: e.line, Operation: e.name}
			if err := r.use(s, where, true); err != nil {
				return err
			}
		}
	}
	return nil
}
