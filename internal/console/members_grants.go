package console

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"postern.dev/postern"
)

// grantsPart is the choice of the scopes that a person or a role holds: boxes for
// single scopes, and lines for patterns.
type grantsPart struct {
	Chosen   []grantBox
	Groups   []grantGroup // of those that are not chosen, by API
	Patterns string       // one a line
	Error    string
}

type grantGroup struct {
	Name  string
	Boxes []grantBox
}

// grantBox is one scope.
type grantBox struct {
	Name, Words       string
	Sensitive, Ticked bool
	Locked            bool // the reader can't hand it out
}

// grantsPart makes the choice, with what the form has.
func (c *Console) grantsPart(v *visit, f *form) (p grantsPart, err error) {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return p, err
	}
	holds := v.member().Holds()
	at := map[string]int{}
	for _, r := range b.rows {
		for _, s := range r.scopes() {
			if strings.HasPrefix(string(s.Name), postern.OwnScopes) {
				continue // these come with the permissions
			}
			name := b.ups[r.Up].Name
			i, ok := at[name]
			if !ok {
				i = len(p.Groups)
				at[name] = i
				p.Groups = append(p.Groups, grantGroup{Name: name})
			}
			box := grantBox{Name: string(s.Name), Words: cmp.Or(s.Words, string(s.Name)), Sensitive: s.Sensitive, Ticked: f.Has("scope", string(s.Name))}
			box.Locked = !box.Ticked && !holds.Covers(s.Name, s.Sensitive)
			if box.Ticked {
				p.Chosen = append(p.Chosen, box)
			} else {
				p.Groups[i].Boxes = append(p.Groups[i].Boxes, box)
			}
		}
	}
	p.Patterns, p.Error = f.Values.Get("patterns"), f.ErrorOf("scopes")
	return p, nil
}

// setGrants puts scopes into a form: those that the catalogs know as boxes, the rest as patterns.
func (c *Console) setGrants(ctx context.Context, f *form, g postern.Grants) error {
	b, err := c.scopeBook(ctx)
	if err != nil {
		return err
	}
	var rest []string
	for _, p := range g {
		if b.byScope[postern.Scope(p)] != nil && !strings.HasPrefix(p, postern.OwnScopes) {
			f.Values.Add("scope", p)
		} else {
			rest = append(rest, p)
		}
	}
	f.Values.Set("patterns", strings.Join(rest, "\n"))
	return nil
}

// grants are the scopes that a form has chosen; never nil.
func (f *form) grants() postern.Grants {
	g := postern.Grants{}
	for _, s := range f.Values["scope"] {
		g = append(g, strings.TrimSpace(s))
	}
	g = append(g, strings.FieldsFunc(f.Get("patterns"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })...)
	slices.Sort(g)
	return slices.Compact(g)
}

// grantWords says what someone holds.
func (b *scopeBook) grantWords(g postern.Grants) []string {
	if slices.Contains(g, postern.GrantAll) {
		return []string{"Every scope, sensitive ones too"}
	}
	out := []string{}
	if slices.Contains(g, "*") {
		out = append(out, "Every scope that is not marked sensitive")
	}
	for _, p := range g {
		base, isPrefix := strings.CutSuffix(p, ".*")
		info := b.scopes[postern.Scope(p)]
		switch {
		case p == "*":
		case isPrefix:
			out = append(out, "Everything under "+base)
		case info != nil && info.Words != "":
			out = append(out, info.Words)
		default:
			out = append(out, p)
		}
	}
	return out
}

// few cuts a list of words short.
func few(words []string, n int) string {
	sep := ", "
	if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, ", ") }) {
		sep = "; " // what has commas inside
	}
	switch {
	case len(words) > n+1:
		return strings.Join(words[:n], sep) + " and " + num(len(words)-n) + " more"
	case sep == "; ":
		return strings.Join(words, sep)
	}
	return list(words)
}

// holdsWords says in short what someone holds.
func (b *scopeBook) holdsWords(g postern.Grants) string {
	if len(g) == 0 {
		return "No scopes"
	}
	return few(b.grantWords(g), 3)
}

// lacks says what a role has that a member lacks and so can't hand out; empty where nothing.
func (b *scopeBook) lacks(m *postern.Member, r *postern.Role) string {
	var missing []string
	for _, p := range r.Permissions {
		if !m.Can(p) {
			missing = append(missing, cmp.Or(permissionWords[p][0], string(p)))
		}
	}
	for _, g := range r.Grants {
		if !m.Holds().CoversGrants(postern.Grants{g}) {
			missing = append(missing, b.grantWords(postern.Grants{g})...)
		}
	}
	return few(missing, 4)
}
