package catalog

import (
	"maps"
	"slices"
	"strings"
)

// maxOverlapSteps bounds the search for overlaps; a catalog of 20,000 ordinary
// templates takes a tenth of it.
const maxOverlapSteps = 2_000_000

// overlaps looks for pairs of templates of which neither is more particular
// than the other, though one path fits both: /{area}/status and /deals/{id}. The
// first segment that differs decides here. An upstream may decide otherwise and
// run the other operation, so whoever loads the catalog should know of it where
// the two don't ask for the same. Two mixed segments of different text are not
// compared with one another: they seldom fit the same word.
type overlaps struct {
	root  trieNode
	ops   map[*trieNode][]*Operation
	steps int
	found func(winner, loser []*Operation, path string)

	segs   []segment // of the template that is compared with the others
	winner []*Operation
}

func (r *reader) findOverlaps() {
	o := &overlaps{ops: make(map[*trieNode][]*Operation), found: r.noteOverlap}
	byNode := make(map[*trieNode][]segment)
	var order []*trieNode
	for i := range r.cat.Operations {
		op := &r.cat.Operations[i]
		t, err := parseTemplate(op.Path)
		if err != nil {
			continue // operation() has left these out
		}
		n := o.root.insert(t.segs)
		if o.ops[n] == nil {
			order = append(order, n)
		}
		byNode[n], o.ops[n] = t.segs, append(o.ops[n], op)
	}
	for _, n := range order {
		o.segs, o.winner = byNode[n], o.ops[n]
		o.walk(&o.root, 0, false, false, "")
	}
	if o.steps > maxOverlapSteps {
		note(&r.report.Warnings, Finding{File: r.cat.Documents[0].Name, Text: "There are too many templates that overlap to list all of them."})
	}
}

// walk goes to every template that a path may fit together with the winner's.
// wins says that the winner's was more particular at the first difference, and
// loses that it was less so later on.
func (o *overlaps) walk(n *trieNode, i int, wins, loses bool, path string) {
	if o.steps++; o.steps > maxOverlapSteps {
		return
	}
	if i == len(o.segs) {
		if ops := o.ops[n]; wins && loses && len(ops) > 0 {
			o.found(o.winner, ops, path)
		}
		return
	}
	s := o.segs[i]
	path += "/" + s.example()
	switch s.class {
	case classFixed:
		if to := n.fixed[s.parts[0]]; to != nil {
			o.walk(to, i+1, wins, loses, path)
		}
	case classMixed:
		for _, text := range slices.Sorted(maps.Keys(n.fixed)) {
			if wins && s.matches(text) {
				o.walk(n.fixed[text], i+1, wins, true, replaceLast(path, text))
			}
		}
	case classParam:
		for _, text := range slices.Sorted(maps.Keys(n.fixed)) {
			if wins {
				o.walk(n.fixed[text], i+1, wins, true, replaceLast(path, text))
			}
		}
	}
	for _, e := range n.mixed {
		switch {
		case s.class == classMixed && compareMixed(s, e.segment) == 0:
			o.walk(e.to, i+1, wins, loses, path)
		case s.class == classFixed && e.matches(s.parts[0]):
			o.walk(e.to, i+1, true, loses, path)
		case s.class == classParam && wins:
			o.walk(e.to, i+1, wins, true, replaceLast(path, e.example()))
		}
	}
	if n.param != nil {
		o.walk(n.param, i+1, wins || s.class != classParam, loses, path)
	}
}

// example is a text that a segment matches.
func (s *segment) example() string { return strings.Join(s.parts, "x") }

func replaceLast(path, seg string) string { return path[:strings.LastIndexByte(path, '/')+1] + seg }

// noteOverlap warns of an overlap for the methods in which it makes a difference.
func (r *reader) noteOverlap(winner, loser []*Operation, path string) {
	for _, l := range loser {
		w := slices.IndexFunc(winner, func(op *Operation) bool { return op.Method == l.Method })
		if w >= 0 && sameNeed(winner[w], l) {
			continue
		}
		f := Finding{File: l.File, Line: l.Line, Operation: l.Name, Text: "A path such as " + clip(path) + " fits both " + l.Method + " " + l.Path + " and " + winner[0].Path + " at " +
			place(winner[0].File, winner[0].Line) + ". The latter counts"}
		if w < 0 {
			f.Text += ", which has no " + l.Method + "."
		} else {
			f.Text += ", and it does not ask for the same."
		}
		note(&r.report.Warnings, f)
	}
}
