package catalog

import (
	"fmt"
	"slices"
	"strings"

	"postern.dev/postern"
)

// A scheme is what a security scheme means here.
type scheme struct {
	kinds postern.Kinds // that it admits
	oauth bool          // its scopes are to be declared in its flows
}

// readSchemes reads a document's security schemes and the scopes of their flows.
func (r *reader) readSchemes(root fields) error {
	r.schemes = make(map[string]*scheme)
	list, err := r.doc.fieldsOf(root.get("components").child("securitySchemes"))
	if err != nil {
		return err
	}
	for _, f := range list {
		v, why := r.doc.deref(f.val)
		if why != "" {
			note(&r.report.Problems, r.doc.finding(f.val, "The security scheme %q %s, so what needs it stays closed.", clip(f.key), why))
			continue
		}
		if !v.isMap() {
			note(&r.report.Problems, r.doc.finding(v, "The security scheme %q is %s, so what needs it stays closed.", clip(f.key), v.what()))
			continue
		}
		if err := r.readScheme(f.key, v); err != nil {
			return err
		}
	}
	for _, o := range r.overlay.schemes {
		if s := r.schemes[o.name]; s != nil {
			s.kinds = o.kinds
			r.usedSchemes[o.name] = true
		}
	}
	return nil
}

func (r *reader) readScheme(name string, v val) error {
	f, err := r.doc.fields(v)
	if err != nil {
		return err
	}
	s := &scheme{}
	r.schemes[name] = s
	typ := f.get("type").text()
	switch {
	case typ == "oauth2", typ == "openIdConnect",
		typ == "http" && strings.EqualFold(f.get("scheme").text(), "bearer"),
		typ == "apiKey" && f.get("in").text() == "header":
		s.kinds = postern.DataKinds
	case typ != "http" && typ != "apiKey" && typ != "mutualTLS":
		note(&r.report.Problems, r.doc.finding(v, "The security scheme %q has the unknown type %q, so what needs it stays closed.", clip(name), clip(typ)))
	}
	s.oauth = typ == "oauth2"
	if kinds := f.get("x-postern-kinds"); kinds.is() {
		if s.kinds, err = r.kinds(kinds); err != nil {
			return err
		}
	}
	flows, err := r.doc.fieldsOf(f.get("flows"))
	if err != nil {
		return err
	}
	for _, flow := range flows {
		scopes, err := r.doc.fieldsOf(flow.child("scopes"))
		if err != nil {
			return err
		}
		for _, sc := range scopes {
			if err := r.declare(sc); err != nil {
				return err
			}
		}
	}
	return r.scopeExtension(f.get("x-postern-scopes"))
}

// kinds reads a list of kinds of credential. What isn't understood admits none.
func (r *reader) kinds(v val) (postern.Kinds, error) {
	kinds, bad, err := readKinds(r.doc, v)
	for _, b := range bad {
		note(&r.report.Problems, r.doc.finding(b, "%s is no kind of credential, so it admits none.", b.what()))
	}
	return kinds, err
}

// readKinds reads a list of kinds; bad are the places that are none.
func readKinds(d *document, v val) (kinds postern.Kinds, bad []val, err error) {
	if !v.isList() {
		return 0, []val{v}, nil
	}
	list, err := d.items(v)
	for _, item := range list {
		if k, ok := postern.ParseKind(item.text()); ok {
			kinds |= postern.KindsOf(k)
		} else {
			bad = append(bad, item)
		}
	}
	return kinds, bad, err
}

// security reads what an operation asks for into op. It gives the kinds that any
// of its alternatives admits, for the overlay to build on.
func (r *reader) security(op *Operation, v val) (admits postern.Kinds, err error) {
	if !v.isList() {
		op.Uncovered = true
		if v.is() {
			note(&r.report.Problems, r.about(op, v, "The security of %s is %s and not a list, so the operation stays closed.", op.label(), v.what()))
		}
		return postern.DataKinds, nil
	}
	if n := len(v.node.Content); n > maxRequirements {
		op.Uncovered = true
		note(&r.report.Problems, r.about(op, v, "%s has %d security requirements, and at most %d are read, so the operation stays closed.", op.label(), n, maxRequirements))
		return postern.DataKinds, nil
	}
	list, err := r.doc.items(v)
	if err != nil {
		return 0, err
	}
	op.Public = len(list) == 0
	for _, item := range list {
		if !item.isMap() {
			note(&r.report.Problems, r.about(op, item, "A security requirement of %s is %s and not an object, so it permits nobody.", op.label(), item.what()))
			continue
		}
		f, err := r.doc.fields(item)
		if err != nil {
			return 0, err
		}
		if len(f) == 0 {
			if len(item.node.Content) == 0 {
				op.Public = true
			} else {
				note(&r.report.Problems, r.about(op, item, "A security requirement of %s can't be read, so it permits nobody.", op.label()))
			}
			continue
		}
		ways, kinds, err := r.requirement(op, f)
		if err != nil {
			return 0, err
		}
		admits |= kinds
		for _, w := range ways {
			if len(w.Scopes) > 0 {
				op.Ways = addWay(op.Ways, w)
			}
		}
		if len(op.Ways) > maxWays {
			note(&r.report.Problems, r.about(op, v, "%s has more than %d alternatives, so the operation stays closed.", op.label(), maxWays))
			op.Ways = nil
			break
		}
	}
	if op.Public {
		op.Ways = nil
		return admits | postern.DataKinds, nil
	}
	op.Uncovered = len(op.Ways) == 0
	if !op.Uncovered && len(op.Ways) < len(list) {
		r.warnScopeless(op, v, list)
	}
	return admits, nil
}

// warnScopeless tells of alternatives without scopes beside those that have some.
func (r *reader) warnScopeless(op *Operation, v val, list []val) {
	scoped := func(item val) bool {
		for i := 1; item.isMap() && i < len(item.node.Content); i += 2 {
			if n := resolve(item.node.Content[i]); n != nil && len(n.Content) > 0 {
				return true
			}
		}
		return false
	}
	for _, item := range list {
		if item.isMap() && !scoped(item) {
			note(&r.report.Warnings, r.about(op, item, "An alternative of %s names no scope, so it permits nobody.", op.label()))
		}
	}
}

// requirement reads one alternative: all of its schemes are needed. What can't be
// satisfied keeps its scopes and admits no kind.
func (r *reader) requirement(op *Operation, f fields) (ways []Way, kinds postern.Kinds, err error) {
	kinds = postern.AllKinds
	ways = []Way{{}}
	for _, entry := range f {
		s, closed := r.schemes[entry.key], false
		if s == nil {
			if s = r.overlayScheme(entry.key); s == nil {
				note(&r.report.Problems, r.about(op, entry.val, "%s needs the security scheme %q, which is not declared, so that alternative permits nobody.", op.label(), clip(entry.key)))
				s = &scheme{}
			}
		}
		scopes, why, err := r.scopeNames(op, entry.val, s.oauth)
		if err != nil {
			return nil, 0, err
		}
		if why != "" {
			note(&r.report.Problems, r.about(op, entry.val, "A security requirement of %s %s, so it permits nobody.", op.label(), why))
			closed = true
		}
		if kinds &= s.kinds; closed {
			kinds = 0
		}
		ways = combine(ways, scopes, r.scopesAny)
	}
	if len(ways) > maxWays {
		ways = ways[:maxWays+1] // too many: security() closes the operation
	}
	for i := range ways {
		ways[i].Kinds = kinds
	}
	return ways, kinds, nil
}

// combine adds a scheme's scopes to each way: all of them, or one of them each.
func combine(ways []Way, scopes []postern.Scope, anyOf bool) []Way {
	if !anyOf || len(scopes) == 0 {
		for i := range ways {
			ways[i].Scopes = append(ways[i].Scopes, scopes...)
		}
		return ways
	}
	var out []Way
	for _, w := range ways {
		for _, s := range scopes {
			if len(out) > maxWays {
				return out
			}
			out = append(out, Way{Scopes: append(slices.Clone(w.Scopes), s)})
		}
	}
	return out
}

func (r *reader) scopeNames(op *Operation, v val, declared bool) (out []postern.Scope, why string, err error) {
	if !v.isList() {
		return nil, "has " + v.what() + " instead of a list of scopes", nil
	}
	list, err := r.doc.items(v)
	if err != nil {
		return nil, "", err
	}
	for _, item := range list {
		text, ok := item.str()
		if s := postern.Scope(text); !ok || !s.Valid() {
			why = fmt.Sprintf("names %s, which can't be a scope", item.what())
			continue
		}
		out = append(out, postern.Scope(text))
		if err := r.use(postern.Scope(text), r.about(op, item, ""), declared); err != nil {
			return nil, "", err
		}
	}
	return out, why, nil
}

func (r *reader) overlayScheme(name string) *scheme {
	for _, o := range r.overlay.schemes {
		if o.name == name {
			r.usedSchemes[name] = true
			return &scheme{kinds: o.kinds}
		}
	}
	return nil
}

// about is a finding about an operation.
func (r *reader) about(op *Operation, v val, format string, args ...any) Finding {
	f := r.doc.finding(v, format, args...)
	f.Operation = op.Name
	if f.Operation == "" {
		f.Operation = op.Method + " " + op.Path
	}
	return f
}
