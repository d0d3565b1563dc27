package console

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// bookCache holds what the catalogs in force say, by their versions: it is the
// same for everyone, and big.
type bookCache struct {
	mu   sync.Mutex
	book *scopeBook
}

// scopeBook is what the catalogs in force say of scopes and of what they open.
// Nothing of it changes any more.
type scopeBook struct {
	version string
	ups     []bookUpstream
	scopes  map[postern.Scope]*postern.ScopeInfo
	rows    []*bookRow // by upstream, then as people look for them
	byScope map[postern.Scope]*bookRow
	ops     []bookOp
	opened  map[postern.Scope][]int // the operations that a scope opens, alone or with others
}

// bookUpstream is an API, and where it is called.
type bookUpstream struct {
	ID      postern.UpstreamID
	Name    string
	Base    string // the address that its paths are appended to
	HubSpot bool   // it answers as HubSpot does, so that HubSpot's clients work with it
}

// bookOp is an operation as its callers reach it.
type bookOp struct {
	Method, Path, Summary, Name string
	Up                          int // of the book's upstreams
	Public                      bool
	Ways                        [][]postern.Scope // any one of these is enough; implicit scopes are left out
}

// bookRow is a resource that can be read or written: at most two scopes.
type bookRow struct {
	ID          string // unique on a page
	Up          int
	Name, About string
	Read, Write *postern.ScopeInfo
	Sensitive   bool
	Main        bool // it is named after its resource
	Eps         []int
	find        string // what a search looks in
}

// scopeBook gives the book of the catalogs that are in force.
func (c *Console) scopeBook(ctx context.Context) (*scopeBook, error) {
	ups, err := c.cfg.DB.Upstreams(ctx)
	if err != nil {
		return nil, err
	}
	var v strings.Builder
	for _, u := range ups {
		fmt.Fprintf(&v, "%s %d %d\n", u.ID, u.CatalogVersion, u.Revision)
	}
	c.book.mu.Lock()
	b := c.book.book
	c.book.mu.Unlock()
	if b != nil && b.version == v.String() {
		return b, nil
	}
	b = &scopeBook{version: v.String(), scopes: map[postern.Scope]*postern.ScopeInfo{}, byScope: map[postern.Scope]*bookRow{}, opened: map[postern.Scope][]int{}}
	for _, u := range ups {
		if u.CatalogVersion == 0 {
			continue
		}
		row, err := c.cfg.DB.Catalog(ctx, u.ID, u.CatalogVersion)
		if err != nil {
			return nil, err
		}
		cat, err := catalog.Unmarshal([]byte(row.Body))
		if err != nil {
			return nil, fmt.Errorf("console: the catalog of %s: %w", u.ID, err)
		}
		b.add(&u, cat, c.cfg.GatewayURL)
	}
	b.addOwn()
	b.finish()
	c.book.mu.Lock()
	c.book.book = b
	c.book.mu.Unlock()
	return b, nil
}

// addOwn adds the one scope of Postern's own that a key can have.
func (b *scopeBook) addOwn() {
	b.ups = append(b.ups, bookUpstream{ID: "postern", Name: "Postern"})
	b.scopes[postern.PermVerify] = &postern.ScopeInfo{Name: postern.PermVerify, Upstream: "postern", Group: "Checking credentials", Access: postern.AccessRead,
		Words: "Ask this server whether a credential is good, from an API of your own"}
}

// baseOf is the address that an upstream's paths are appended to.
func baseOf(u *postern.Upstream, gateway string) string {
	base := gateway
	if base == "" {
		base = "https://gateway.example"
	}
	if u.Host != "" {
		if at, err := url.Parse(base); err == nil {
			port := at.Port()
			at.Host = u.Host
			if port != "" && !strings.Contains(u.Host, ":") {
				at.Host += ":" + port
			}
			base = at.String()
		}
	}
	if u.Options.StripPrefix {
		base += strings.TrimRight(u.Prefix, "/")
	}
	return base
}

// add takes in an upstream's catalog.
func (b *scopeBook) add(u *postern.Upstream, cat *catalog.Catalog, gateway string) {
	name := cmp.Or(u.Name, cat.Title, string(u.ID))
	up := len(b.ups)
	b.ups = append(b.ups, bookUpstream{ID: u.ID, Name: name, Base: baseOf(u, gateway), HubSpot: u.Options.Errors == postern.ErrorsHubSpot})
	for i := range cat.Scopes {
		s := cat.Scopes[i]
		if old := b.scopes[s.Name]; old != nil {
			// One name in two catalogs is one scope, and the stricter marks hold.
			s.Sensitive = s.Sensitive || old.Sensitive
			s.Implicit = s.Implicit && old.Implicit
		}
		b.scopes[s.Name] = &s
	}
	for i := range cat.Operations {
		op := &cat.Operations[i]
		if op.Uncovered || op.Denied {
			continue
		}
		o := bookOp{Method: op.Method, Path: op.Path, Summary: op.Summary, Name: op.Name, Up: up, Public: op.Public}
		for _, w := range op.Ways {
			if !w.Kinds.Has(postern.KindServiceKey) {
				continue
			}
			way := []postern.Scope{}
			for _, s := range w.Scopes {
				if info, ok := cat.Scope(s); !ok || !info.Implicit {
					way = append(way, s)
				}
			}
			o.Ways = append(o.Ways, way)
		}
		if o.Public || len(o.Ways) > 0 {
			b.ops = append(b.ops, o)
		}
	}
}

// finish makes the rows.
func (b *scopeBook) finish() {
	for i := range b.ops {
		seen := map[postern.Scope]bool{}
		for _, way := range b.ops[i].Ways {
			for _, s := range way {
				if !seen[s] {
					seen[s] = true
					b.opened[s] = append(b.opened[s], i)
				}
			}
		}
	}
	byKey := map[string]*bookRow{}
	names := make([]postern.Scope, 0, len(b.scopes))
	for name := range b.scopes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s := b.scopes[name]
		if s.Implicit {
			continue
		}
		key := string(s.Upstream) + "\n" + s.Group + "\n" + scopeStem(name)
		r := byKey[key]
		if r == nil || s.Access == postern.AccessRead && r.Read != nil || s.Access != postern.AccessRead && r.Write != nil {
			r = &bookRow{Up: slices.IndexFunc(b.ups, func(u bookUpstream) bool { return u.ID == s.Upstream })}
			byKey[key] = r
			b.rows = append(b.rows, r)
		}
		if s.Access == postern.AccessRead {
			r.Read = s
		} else {
			r.Write = s
		}
		r.Sensitive = r.Sensitive || s.Sensitive
		b.byScope[name] = r
	}
	inGroup := map[string]int{}
	for _, r := range b.rows {
		inGroup[groupOf(r)]++
	}
	slices.SortStableFunc(b.rows, func(x, y *bookRow) int {
		return cmp.Or(cmp.Compare(x.Up, y.Up), cmp.Compare(strings.ToLower(x.first().Group), strings.ToLower(y.first().Group)), cmpBool(x.Sensitive, y.Sensitive),
			cmp.Compare(len(x.first().Name), len(y.first().Name)), cmp.Compare(x.first().Name, y.first().Name))
	})
	named := map[string]bool{}
	for i, r := range b.rows {
		r.ID = strconv.Itoa(i)
		b.nameRow(r, named)
		for _, s := range r.scopes() {
			r.Eps = append(r.Eps, b.opened[s.Name]...)
		}
		slices.Sort(r.Eps)
		r.Eps = slices.Compact(r.Eps)
		// What serves few resources stands before what serves any.
		slices.SortStableFunc(r.Eps, func(x, y int) int {
			return cmp.Or(cmp.Compare(len(b.ops[x].Ways), len(b.ops[y].Ways)), cmp.Compare(strings.Count(b.ops[x].Path, "{"), strings.Count(b.ops[y].Path, "{")))
		})
		find := []string{r.Name, r.About, r.first().Group}
		for _, s := range r.scopes() {
			find = append(find, string(s.Name), s.Words)
		}
		r.find = strings.ToLower(strings.Join(find, "\n"))
	}
}

// nameRow gives a row its name: that of its group for the first of a group, and
// what it is about for the others.
func (b *scopeBook) nameRow(r *bookRow, named map[string]bool) {
	g := groupOf(r)
	r.Name = cmp.Or(r.first().Group, string(r.first().Name))
	if named[g] || r.Sensitive {
		if about := afterVerb(r.first().Words); about != "" {
			r.Name = about
		} else {
			r.Name += ": " + string(r.first().Name)
		}
	}
	if !r.Sensitive && !named[g] {
		named[g], r.Main = true, true
	}
	var about []string
	for _, s := range r.scopes() {
		if s.Words != "" {
			about = append(about, strings.TrimSuffix(s.Words, ".")+".")
		}
	}
	r.About = strings.Join(about, " ")
}

func groupOf(r *bookRow) string { return strconv.Itoa(r.Up) + " " + r.first().Group }

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// scopeStem is a scope's name without the part that says read or write.
func scopeStem(s postern.Scope) string {
	parts := strings.FieldsFunc(string(s), func(r rune) bool { return r == '.' || r == ':' || r == '/' || r == '-' || r == '_' })
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "read" || p == "write" })
	return strings.Join(parts, ".")
}

// afterVerb is what is left of "Read sensitive values of deals" without its verb.
func afterVerb(words string) string {
	rest, ok := strings.CutPrefix(words, "Read and change ")
	for _, verb := range []string{"Read ", "Change ", "Write ", "Create, change and archive "} {
		if !ok {
			rest, ok = strings.CutPrefix(words, verb)
		}
	}
	rest = strings.TrimPrefix(rest, "the ")
	if !ok || rest == "" {
		return ""
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

func (r *bookRow) first() *postern.ScopeInfo { return cmp.Or(r.Read, r.Write) }

// scopes are the one or two of the row, reading first.
func (r *bookRow) scopes() (out []*postern.ScopeInfo) {
	if r.Read != nil {
		out = append(out, r.Read)
	}
	if r.Write != nil {
		out = append(out, r.Write)
	}
	return out
}

// opens reports whether scopes are enough for an operation.
func (o *bookOp) opens(held []postern.Scope) bool {
	return o.Public || slices.ContainsFunc(o.Ways, func(way []postern.Scope) bool {
		return !slices.ContainsFunc(way, func(s postern.Scope) bool { return !slices.Contains(held, s) })
	})
}

// also are the scopes that an operation needs beside those of a row: those of the
// way that lacks fewest.
func (o *bookOp) also(r *bookRow) (least []postern.Scope) {
	first := true
	for _, way := range o.Ways {
		var lack []postern.Scope
		has := false
		for _, s := range way {
			if r.Read != nil && s == r.Read.Name || r.Write != nil && s == r.Write.Name {
				has = true
			} else {
				lack = append(lack, s)
			}
		}
		if has && (first || len(lack) < len(least)) {
			least, first = lack, false
		}
	}
	return least
}

// openedBy are the operations that scopes open.
func (b *scopeBook) openedBy(held []postern.Scope) (out []int) {
	for i := range b.ops {
		if b.ops[i].opens(held) {
			out = append(out, i)
		}
	}
	return out
}

// say is a scope as people say it: "Contacts: read".
func (b *scopeBook) say(s postern.Scope) string {
	r := b.byScope[s]
	if r == nil {
		return string(s)
	}
	if b.scopes[s].Access == postern.AccessRead {
		return r.Name + ": read"
	}
	return r.Name + ": write"
}

// inText is a name as it stands inside a sentence: "Deals" as "deals", "CRM" as it is.
func inText(name string) string {
	r := []rune(name)
	if len(r) > 1 && unicode.IsUpper(r[1]) {
		return name
	}
	return strings.ToLower(string(r[:1])) + string(r[1:])
}
