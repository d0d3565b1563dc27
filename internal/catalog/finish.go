package catalog

import (
	"slices"
)

// finish does what needs all documents.
func (r *reader) finish() error {
	if err := r.applyOverlay(); err != nil {
		return err
	}
	r.drafts = slices.DeleteFunc(r.drafts, func(d draft) bool { return d.omit })
	r.nameOperations()
	slices.SortStableFunc(r.drafts, func(a, b draft) int { return compareOperations(a.Operation, b.Operation) })
	r.findTwins()
	for i := range r.drafts {
		r.cat.Operations = append(r.cat.Operations, r.drafts[i].Operation)
	}
	if err := r.collectScopes(); err != nil {
		return err
	}
	r.judge()
	r.findOverlaps()
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.report.sort()
	return nil
}

// judge reports on the operations as they came out.
func (r *reader) judge() {
	r.report.Operations = len(r.cat.Operations)
	for i := range r.cat.Operations {
		op := &r.cat.Operations[i]
		f := Finding{File: op.File, Line: op.Line, Operation: op.Name}
		switch {
		case op.Public:
			r.report.Public++
		case op.Uncovered:
			f.Text = "The operation " + op.label() + " names no scope, so every call to it is denied."
			note(&r.report.Uncovered, f)
		case !op.Denied && !op.Satisfiable():
			f.Text = "No kind of credential can use the operation " + op.label() + ", so every call to it is denied."
			note(&r.report.Unsatisfiable, f)
		}
	}
}

// label names an operation in a sentence: method and path, and its own name if it has one.
func (op *Operation) label() string {
	route := op.Method + " " + op.Path
	if op.Name == route || op.Name == "" {
		return route
	}
	return route + " (" + op.Name + ")"
}

// nameOperations gives every operation a name of its own: what it is called in
// the document, or its method and path where that is missing or taken.
func (r *reader) nameOperations() {
	count := make(map[string]int, len(r.drafts))
	for i := range r.drafts {
		count[r.drafts[i].Name]++
	}
	for i := range r.drafts {
		op := &r.drafts[i]
		if op.Name != "" && count[op.Name] > 1 {
			note(&r.report.Warnings, Finding{File: op.File, Line: op.Line, Operation: op.Method + " " + op.Path,
				Text: "Several operations have the operationId \"" + clip(op.Name) + "\"; this one is called " + op.Method + " " + op.Path + " instead."})
			op.Name = ""
		}
		if op.Name == "" {
			op.Name = op.Method + " " + op.Path
		}
	}
}
