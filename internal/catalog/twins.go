package catalog

import (
	"slices"
	"strings"
)

// Form tells an operation apart from another of the same method and template,
// such as GET /contacts/{id} and GET /contacts/{number}, by what a parameter is
// declared to be. Vendors have such twins, and route them by looking at the
// value. As nobody can know how an upstream does that, twins are accepted only
// where they ask for the same: then the form decides what a call is recorded as
// and never whether it is allowed. All other twins are refused.
type Form struct {
	Segment int    // which segment of the path to look at, counted from 1; 0 for an operation without twins
	Kind    string // what the value looks like: "uuid", "integer", or "" for anything else
}

// The forms that values are looked at for.
const (
	formUUID    = "uuid"
	formInteger = "integer"
)

// formOf is the form of a parameter by its schema.
func formOf(schema val) string {
	switch {
	case schema.child("format").text() == "uuid":
		return formUUID
	case schema.child("type").text() == "integer":
		return formInteger
	}
	return ""
}

func hasForm(s, kind string) bool {
	switch kind {
	case formUUID:
		if len(s) != 36 {
			return false
		}
		for i := 0; i < len(s); i++ {
			if i == 8 || i == 13 || i == 18 || i == 23 {
				if s[i] != '-' {
					return false
				}
			} else if hexValue(s[i]) > 15 {
				return false
			}
		}
		return true
	case formInteger:
		s = strings.TrimPrefix(s, "-")
		for i := 0; i < len(s); i++ {
			if s[i] < '0' || s[i] > '9' {
				return false
			}
		}
		return s != ""
	}
	return true
}

// segmentOf is the nth segment of a path, counted from 1.
func segmentOf(path string, n int) string {
	for ; n > 0 && path != ""; n-- {
		path = path[1:]
		i := strings.IndexByte(path, '/')
		if i < 0 {
			i = len(path)
		}
		if n == 1 {
			return path[:i]
		}
		path = path[i:]
	}
	return ""
}

// tellApart reports whether operations of the same method and template may stand
// beside each other: they ask for the same, and one segment has another form in each.
func tellApart(ops []*Operation) bool {
	for i, op := range ops {
		if op.Form.Segment == 0 || op.Form.Segment != ops[0].Form.Segment || !sameNeed(op, ops[0]) {
			return false
		}
		if slices.ContainsFunc(ops[:i], func(o *Operation) bool { return o.Form == op.Form }) {
			return false
		}
	}
	return true
}

func sameNeed(a, b *Operation) bool {
	return a.state() == b.state() && covers(a.Ways, b.Ways) && covers(b.Ways, a.Ways)
}

// setForms looks for the segment that tells twins apart, the last one first.
func setForms(twins []*draft) bool {
	ops := make([]*Operation, len(twins))
	for i, t := range twins {
		ops[i] = &t.Operation
	}
	for seg := len(twins[0].forms); seg > 0; seg-- {
		for _, t := range twins {
			t.Form = Form{Segment: seg, Kind: t.forms[seg-1]}
		}
		if tellApart(ops) {
			return true
		}
	}
	for _, t := range twins {
		t.Form = Form{}
	}
	return false
}

// with puts an operation into a chain of twins, the one of any form last.
func (op *Op) with(twin *Op) *Op {
	if twin.form.Kind != "" {
		twin.next = op
		return twin
	}
	last := op
	for last.next != nil {
		last = last.next
	}
	last.next = twin
	return op
}

// choose finds the one of a chain of twins that a path looks like.
func (op *Op) choose(path string) *Op {
	for op.next != nil && !hasForm(segmentOf(path, op.form.Segment), op.form.Kind) {
		op = op.next
	}
	return op
}

// findTwins finds operations of the same method and template, and what tells
// them apart. Where nothing does, they are conflicts.
func (r *reader) findTwins() {
	same := make(map[string][]*draft, len(r.drafts))
	for i := range r.drafts {
		d := &r.drafts[i]
		key := routeKey(d.Method, d.Path)
		same[key] = append(same[key], d)
	}
	for i := range r.drafts {
		d := &r.drafts[i]
		twins := same[routeKey(d.Method, d.Path)]
		if len(twins) == 1 || twins[0] != d {
			continue
		}
		told := setForms(twins)
		for _, t := range twins[1:] {
			f := Finding{File: t.File, Line: t.Line, Operation: t.Name}
			if told {
				f.Text = t.label() + " has the same template as " + d.label() + " at " + place(d.File, d.Line) + ". Both ask for the same, and the form of a parameter tells them apart in records."
				note(&r.report.Warnings, f)
			} else {
				f.Text = t.label() + " can't be told apart from " + d.label() + " at " + place(d.File, d.Line) + "; omit one of them in the overlay."
				note(&r.report.Conflicts, f)
			}
		}
	}
}
