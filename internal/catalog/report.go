package catalog

import (
	"fmt"
	"slices"

	"postern.dev/postern"
)

// Report is what was found while reading, for `postern catalog check`. A catalog
// with findings is still a safe one: what could not be understood is denied.
type Report struct {
	Operations int // all of them, public, uncovered and denied ones included
	Public     int
	Scopes     int
	Documents  []DocumentReport

	Uncovered     []Finding // operations that name no scope: denied
	Unsatisfiable []Finding // operations that name scopes, and that no kind of credential can use
	Conflicts     []Finding // templates that can't be told apart: Compile refuses the catalog
	Problems      []Finding // what couldn't be understood though access depends on it, and so stays closed
	Undeclared    []Finding // scopes that are used, and declared nowhere
	Unused        []Finding // scopes that are declared, and open nothing
	Warnings      []Finding // everything else worth a look
}

// DocumentReport counts what came from one document.
type DocumentReport struct {
	Name       string
	Title      string
	Version    string // of the API
	OpenAPI    string // the version of OpenAPI that it is written in
	Operations int
}

// Finding is something about a place in a document.
type Finding struct {
	File      string
	Line      int
	Pointer   string        // JSON pointer, where the place has one
	Operation string        // the name of the operation that it is about, if it is about one
	Scope     postern.Scope // the scope that it is about, if it is about one
	Text      string
}

// String is the finding in one line: "crm.yaml:12: …".
func (f Finding) String() string { return place(f.File, f.Line) + ": " + f.Text }

func place(file string, line int) string {
	if line <= 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// Unsafe reports whether `postern catalog check` must fail: there are templates
// that can't be told apart, or places that access depends on and that couldn't
// be understood (a security scheme that nobody declared, a requirement of the
// wrong type). Uncovered and unsatisfiable operations are denied, which is safe
// and may be meant, so they don't count here but in Clean.
func (r *Report) Unsafe() bool { return len(r.Conflicts)+len(r.Problems) > 0 }

// Clean is the strict measure: nothing is unsafe, every operation can be used by
// some credential, and every scope that is used is declared.
func (r *Report) Clean() bool {
	return !r.Unsafe() && len(r.Uncovered)+len(r.Unsatisfiable)+len(r.Undeclared) == 0
}

// maxFindings bounds each list of a report, so that a hostile document can't
// make it long. One more entry says that there are others.
const maxFindings = 10_000

func note(list *[]Finding, f Finding) {
	switch n := len(*list); {
	case n < maxFindings:
		*list = append(*list, f)
	case n == maxFindings:
		*list = append(*list, Finding{File: f.File, Text: "And more of the same kind, which are left out."})
	}
}

func (r *Report) sort() {
	for _, list := range []*[]Finding{&r.Uncovered, &r.Unsatisfiable, &r.Conflicts, &r.Problems, &r.Undeclared, &r.Unused, &r.Warnings} {
		slices.SortStableFunc(*list, func(a, b Finding) int {
			if a.File != b.File {
				return 0 // files stay in the order they were given in
			}
			return a.Line - b.Line
		})
	}
}
