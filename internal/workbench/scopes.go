package workbench

import (
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// Everything stands for every scope: what a legacy API key holds.
const Everything = "hapikey"

// builtinScopes are what old broad names stand for, until the operator says otherwise.
// Names that an API still has stand for themselves.
var builtinScopes = map[string][]string{
	Everything:              {"*"},
	"contacts":              {"crm.objects.contacts.*", "crm.objects.companies.*", "crm.objects.deals.*", "crm.objects.owners.read", "crm.schemas.contacts.*", "crm.schemas.companies.*", "crm.schemas.deals.*", "crm.lists.*", "crm.import"},
	"tickets":               {"tickets"},
	"e-commerce":            {"crm.objects.line_items.*", "crm.objects.products.*", "crm.schemas.line_items.*"},
	"content":               {"content", "cms.*"},
	"sales-email-read":      {"sales-email-read"},
	"business-intelligence": {"business-intelligence"},
	"automation":            {"automation"},
}

// ScopeName is an old name, and what it stands for.
type ScopeName struct {
	Name    string
	Scopes  []string // names and patterns
	Builtin bool     // nobody changed it
}

// Table translates the scopes of old apps.
type Table map[string]ScopeName

// NewTable is what is built in, with what the operator changed of it.
func NewTable(changed []store.LegacyScope) Table {
	t := Table{}
	for name, scopes := range builtinScopes {
		t[name] = ScopeName{name, scopes, true}
	}
	for _, c := range changed {
		t[c.Name] = ScopeName{c.Name, c.Scopes, false}
	}
	return t
}

// List is the table in the order of its names.
func (t Table) List() []ScopeName {
	out := make([]ScopeName, 0, len(t))
	for _, n := range t {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b ScopeName) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Held gives the scopes of catalogs that an old credential holds, sorted. Names that
// neither the table nor a catalog has come back as unknown.
func (t Table) Held(l *postern.LegacyCredential, cats []*catalog.Catalog) (held []postern.Scope, unknown []string) {
	all := grantable(cats)
	names := make([]string, 0, len(l.Scopes)+1)
	for _, s := range l.Scopes {
		names = append(names, string(s))
	}
	if l.AllScopes {
		names = append(names, Everything)
	}
	got := map[postern.Scope]bool{}
	for _, name := range names {
		row, ok := t[name]
		if !ok {
			row.Scopes = []string{name}
		}
		hit := false
		for s := range all {
			if slices.ContainsFunc(row.Scopes, func(p string) bool { return matches(p, string(s)) }) {
				got[s], hit = true, true
			}
		}
		if !hit && !ok {
			unknown = append(unknown, name)
		}
	}
	for s := range got {
		held = append(held, s)
	}
	return postern.SortScopes(held), unknown
}

func matches(pattern, scope string) bool {
	head, star := strings.CutSuffix(pattern, "*")
	if star && (head == "" || strings.HasSuffix(head, ".")) {
		return strings.HasPrefix(scope, head)
	}
	return pattern == scope
}

// Mapping is what an old credential holds beside what its calls need.
type Mapping struct {
	Held    []postern.Scope
	Needed  []postern.Scope
	Trimmed []postern.Scope // held, and not needed
	Lacking []postern.Scope // needed, and not held: by calls that were made another way
	Unknown []string        // old names that nothing translates
}

// MapScopes compares what an old credential holds with what its calls need.
func (t Table) MapScopes(l *postern.LegacyCredential, needed []postern.Scope, cats []*catalog.Catalog) Mapping {
	m := Mapping{Needed: needed}
	if l == nil {
		return m
	}
	m.Held, m.Unknown = t.Held(l, cats)
	for _, s := range m.Held {
		if !slices.Contains(needed, s) {
			m.Trimmed = append(m.Trimmed, s)
		}
	}
	for _, s := range needed {
		if !slices.Contains(m.Held, s) {
			m.Lacking = append(m.Lacking, s)
		}
	}
	return m
}

func catalogHas(name postern.Scope) func(*catalog.Catalog) bool {
	return func(c *catalog.Catalog) bool {
		return slices.ContainsFunc(c.Scopes, func(s postern.ScopeInfo) bool { return s.Name == name })
	}
}
