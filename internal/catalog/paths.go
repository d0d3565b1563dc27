package catalog

import (
	"slices"
	"strings"

	"postern.dev/postern"
)

// level is what operations inherit: from the document, and from their path item.
type level struct {
	base       string // base path, without a slash at the end
	parameters []parameter
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

// operationName is an operationId, or "" where it is none that can be used: one
// like "GET /path" could pass for another operation.
func operationName(v val) string {
	name := v.text()
	if len(name) > maxName || name != plainText(name, maxName) || strings.Contains(name, " /") {
		return ""
	}
	return name
}
