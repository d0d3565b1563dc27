package catalog

import (
	"slices"
	"strings"
)

// A parameter is a path parameter as it is declared.
type parameter struct{ name, form string }

func declares(list []parameter, name string) (form string, ok bool) {
	for i := len(list) - 1; i >= 0; i-- { // an operation's come after those of its path
		if list[i].name == name {
			return list[i].form, true
		}
	}
	return "", false
}

// pathParameters adds the names of the path parameters of a list to those inherited.
func (r *reader) pathParameters(v val, inherited []parameter) ([]parameter, error) {
	if !v.isList() {
		return inherited, nil
	}
	list, err := r.doc.items(v)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(inherited)
	for _, p := range list {
		to, why := r.doc.deref(p)
		if why != "" {
			note(&r.report.Warnings, r.doc.finding(p, "A parameter %s.", why))
			continue
		}
		if to.isMap() && to.child("in").text() == "path" {
			schema, _ := r.doc.deref(to.child("schema"))
			out = append(out, parameter{to.child("name").text(), formOf(schema)})
		}
	}
	return out, nil
}

// checkParameters warns of parameters that no one declared. Matching needs
// templates only, but a slip there is often a slip in the template.
func (r *reader) checkParameters(op *Operation, path string, v val, declared []parameter) {
	for rest := path; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return
		}
		name, after, _ := strings.Cut(after, "}")
		rest = after
		if _, ok := declares(declared, name); !ok {
			f := r.doc.finding(v, "The parameter %q of %s %s is not declared.", clip(name), op.Method, clip(op.Path))
			f.Operation = op.label()
			note(&r.report.Warnings, f)
		}
		if strings.HasSuffix(name, "+") || strings.HasSuffix(name, "*") {
			note(&r.report.Warnings, r.doc.finding(v, "The parameter %q of %s matches one segment, and not the rest of the path.", clip(name), clip(op.Path)))
		}
	}
}

// forms are what the segments of a path look like that are a parameter each.
func forms(path string, declared []parameter) []string {
	var out []string
	for seg := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		form := ""
		if name, ok := strings.CutPrefix(seg, "{"); ok && strings.HasSuffix(name, "}") {
			form, _ = declares(declared, name[:len(name)-1])
		}
		out = append(out, form)
	}
	return out
}
