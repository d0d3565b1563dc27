package catalog

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"postern.dev/postern"
)

// level is what operations inherit: from the document, and from their path item.
type level struct {
	base       string // base path, without a slash at the end
	parameters []parameter
}

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

// paths reads all operations.
func (r *reader) paths(root fields) error {
	v := root.get("paths")
	if !v.is() || v.text() == "" && !v.isMap() && !v.isList() {
		if !strings.HasPrefix(root.get("openapi").text(), "3.1") {
			note(&r.report.Warnings, r.doc.finding(v, "The document has no paths."))
		}
		return nil
	}
	items, err := r.doc.fields(v)
	if err != nil {
		return err
	}
	top := level{}
	if top.base, err = r.base(root.get("servers"), ""); err != nil {
		return err
	}
	for _, item := range items {
		if strings.HasPrefix(item.key, "x-") {
			continue
		}
		if err := r.pathItem(item.key, item.val, top); err != nil {
			return err
		}
	}
	return nil
}

// pathItem reads a path item, and before it the one that its "$ref" names.
func (r *reader) pathItem(path string, v val, in level) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if !strings.HasPrefix(path, "/") {
		note(&r.report.Problems, r.doc.finding(v, "The path %q does not begin with a slash, so it is left out.", clip(path)))
		return nil
	}
	item, err := r.doc.fieldsOf(v)
	if err != nil {
		return err
	}
	if !v.isMap() {
		note(&r.report.Problems, r.doc.finding(v, "The path %s has %s instead of operations, so it is left out.", clip(path), v.what()))
		return nil
	}
	if item.get("$ref").is() {
		if item, err = r.referred(path, v, item); err != nil {
			return err
		}
	}
	if in.base, err = r.base(item.get("servers"), in.base); err != nil {
		return err
	}
	if in.parameters, err = r.pathParameters(item.get("parameters"), in.parameters); err != nil {
		return err
	}
	for _, f := range item {
		if slices.Contains(methods[:], strings.ToUpper(f.key)) && f.key == strings.ToLower(f.key) {
			if err := r.operation(strings.ToUpper(f.key), path, f.val, in); err != nil {
				return err
			}
		}
	}
	return nil
}

// referred is a path item with what its reference leads to. What stands beside
// the reference comes first: the standard leaves open which one counts, and says
// so in neither version alike.
func (r *reader) referred(path string, v val, item fields) (fields, error) {
	to, why := r.doc.deref(v)
	if why != "" {
		note(&r.report.Problems, r.doc.finding(v, "The path %s %s, so its operations are left out.", clip(path), why))
		return item, nil
	}
	more, err := r.doc.fieldsOf(to)
	if err != nil {
		return nil, err
	}
	if !to.isMap() {
		note(&r.report.Problems, r.doc.finding(v, "The path %s refers to %s instead of operations, so they are left out.", clip(path), to.what()))
	}
	for _, f := range more {
		if !item.get(f.key).is() {
			item = append(item, f)
		} else if f.key != "$ref" {
			note(&r.report.Warnings, r.doc.finding(v, "The path %s has %q beside a reference that has it too; the one beside it counts.", clip(path), f.key))
		}
	}
	return item, nil
}

func (r *reader) operation(method, path string, v val, in level) error {
	if !v.isMap() {
		note(&r.report.Problems, r.doc.finding(v, "%s %s is %s and no operation, so it is left out.", method, clip(path), v.what()))
		return nil
	}
	f, err := r.doc.fields(v)
	if err != nil {
		return err
	}
	if in.base, err = r.base(f.get("servers"), in.base); err != nil {
		return err
	}
	op := Operation{File: r.doc.name, Line: v.line(), Operation: postern.Operation{
		Upstream: r.opts.Upstream, Method: method, Path: in.base + path,
		Name: operationName(f.get("operationId")), Summary: plainText(f.get("summary").text(), maxSummary),
	}}
	if _, err := parseTemplate(op.Path); err != nil {
		note(&r.report.Problems, r.doc.finding(v, "%s The operation is left out.", err))
		return nil
	}
	if len(r.drafts) == maxOperations {
		return at(r.doc.name, v.line(), postern.CodeTooLarge, "The upstream has more than %d operations.", maxOperations)
	}
	if in.parameters, err = r.pathParameters(f.get("parameters"), in.parameters); err != nil {
		return err
	}
	r.checkParameters(&op, path, v, in.parameters)
	where := f.get("security")
	if !where.is() {
		where = r.docSecurity
	}
	admits, err := r.security(&op, where)
	if err != nil {
		return err
	}
	r.drafts = append(r.drafts, draft{Operation: op, admits: admits, forms: forms(op.Path, in.parameters)})
	return nil
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

// operationName is an operationId, or "" where it is none that can be used: one
// like "GET /path" could pass for another operation.
func operationName(v val) string {
	name := v.text()
	if len(name) > maxName || name != plainText(name, maxName) || strings.Contains(name, " /") {
		return ""
	}
	return name
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

// base is the base path that a list of servers names, or the inherited one where
// there is no such list. Several servers are several homes of the same API, so
// the first one counts; that another has a different path is worth a warning.
func (r *reader) base(v val, inherited string) (string, error) {
	switch {
	case r.basePath != "":
		return strings.TrimSuffix(r.basePath, "/"), nil
	case !v.is():
		return inherited, nil
	case !v.isList():
		note(&r.report.Problems, r.doc.finding(v, "The servers are %s and not a list, so they are passed over.", v.what()))
		return inherited, nil
	}
	list, err := r.doc.items(v)
	if err != nil {
		return "", err
	}
	base, found := "", false
	for _, s := range list {
		path, why, err := r.serverPath(s)
		switch {
		case err != nil:
			return "", err
		case why != "":
			note(&r.report.Problems, r.doc.finding(s, "The server %s, so it is passed over.", why))
		case !found:
			base, found = path, true
		case path != base:
			note(&r.report.Warnings, r.doc.finding(s, "The server's base path is %q, and that of the first is %q, which counts.", clip(path), clip(base)))
		}
	}
	return base, nil
}

func (r *reader) serverPath(v val) (path, why string, err error) {
	f, err := r.doc.fieldsOf(v)
	if err != nil {
		return "", "", err
	}
	text, ok := f.get("url").str()
	if !ok {
		return "", "has no URL", nil
	}
	vars, err := r.doc.fieldsOf(f.get("variables"))
	if err != nil {
		return "", "", err
	}
	if text, why = expand(text, vars); why != "" {
		return "", why, nil
	}
	u, uerr := url.Parse(text)
	if uerr != nil {
		return "", fmt.Sprintf("has %q for a URL", clip(text)), nil
	}
	path = strings.TrimRight(u.EscapedPath(), "/")
	if path != "" && path[0] != '/' {
		path = "/" + path // relative to where the document is
	}
	if path == "" {
		return "", "", nil
	}
	if _, terr := parseTemplate(path); terr != nil {
		return "", fmt.Sprintf("has the base path %q, which can't be matched", clip(path)), nil
	}
	return path, "", nil
}

// expand puts the defaults of server variables in their places.
func expand(text string, vars fields) (out, why string) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok || b.Len() > maxTemplate {
			return b.String(), ""
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok {
			return "", "has a brace that is not matched"
		}
		value := vars.get(name).child("default")
		if !value.is() {
			return "", fmt.Sprintf("has a variable %q without a default", clip(name))
		}
		b.WriteString(value.text())
		text = after
	}
}
