package workbench

import (
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
)

// Translated is an old name of scopes that an import translated.
type Translated struct {
	Name   string
	Scopes []postern.Scope
	Lines  int // with that name
}

// translator puts the scopes of catalogs in the place of the old names that a file has.
type translator struct {
	table Table
	all   []postern.Scope // of the catalogs, sorted
	memo  map[string]translation
	said  map[string]*Translated
}

// translation is what a line's scopes are, and which of them were old names.
type translation struct {
	scopes []postern.Scope
	names  []string
	err    error
}

func newTranslator(t Table, cats []*catalog.Catalog) *translator {
	tr := &translator{table: t, memo: map[string]translation{}, said: map[string]*Translated{}}
	for s := range grantable(cats) {
		tr.all = append(tr.all, s)
	}
	tr.all = postern.SortScopes(tr.all)
	return tr
}

// grantable are the scopes of catalogs that a credential can hold.
func grantable(cats []*catalog.Catalog) map[postern.Scope]bool {
	all := map[postern.Scope]bool{}
	for _, c := range cats {
		for i := range c.Scopes {
			if s := &c.Scopes[i]; !s.Implicit && !strings.HasPrefix(string(s.Name), postern.OwnScopes) {
				all[s.Name] = true
			}
		}
	}
	return all
}

// maxMemo bounds how many lists of scopes are remembered: most lines have one of a few.
const maxMemo = 10_000

// item translates the scopes of one that shall be imported. Names that the table
// doesn't have stay, and are for the keyring to judge.
func (tr *translator) item(it *keyring.LegacyItem) error {
	if len(it.Scopes) == 0 {
		return nil
	}
	var b strings.Builder
	for _, s := range it.Scopes {
		b.WriteString(string(s) + " ")
	}
	out, ok := tr.memo[b.String()]
	if !ok {
		out = tr.translate(it.Scopes)
		if len(tr.memo) < maxMemo {
			tr.memo[b.String()] = out
		}
	}
	if out.err != nil {
		return out.err
	}
	for _, n := range out.names {
		tr.said[n].Lines++
	}
	it.Scopes = slices.Clone(out.scopes)
	return nil
}

func (tr *translator) translate(in []postern.Scope) (out translation) {
	for _, name := range in {
		row, ok := tr.table[string(name)]
		if !ok {
			out.scopes = append(out.scopes, name)
			continue
		}
		if slices.Contains(row.Scopes, "*") {
			out.err = bad("The old scope %q stands for everything. Import the credential as an api_key, which holds every scope, or name its scopes.", string(name))
			return out
		}
		got := tr.match(row.Scopes)
		if len(got) == 0 {
			out.err = bad("The old scope %q stands for %s, which no catalog has. Change what it stands for: postern migrate scope-names %s --scope NAME", string(name), strings.Join(row.Scopes, ", "), string(name))
			return out
		}
		out.scopes = append(out.scopes, got...)
		if slices.Equal(got, []postern.Scope{name}) {
			continue // it stands for itself
		}
		out.names = append(out.names, string(name))
		if tr.said[string(name)] == nil {
			tr.said[string(name)] = &Translated{Name: string(name), Scopes: got}
		}
	}
	out.scopes = postern.SortScopes(out.scopes)
	return out
}

func (tr *translator) match(patterns []string) (out []postern.Scope) {
	for _, s := range tr.all {
		if slices.ContainsFunc(patterns, func(p string) bool { return matches(p, string(s)) }) {
			out = append(out, s)
		}
	}
	return out
}

// list is what was translated, in the order of the names.
func (tr *translator) list() []Translated {
	out := make([]Translated, 0, len(tr.said))
	for _, t := range tr.said {
		if t.Lines > 0 {
			out = append(out, *t)
		}
	}
	slices.SortFunc(out, func(a, b Translated) int { return strings.Compare(a.Name, b.Name) })
	return out
}
