package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// createPreset is a set of scopes that is chosen at once.
type createPreset struct {
	ID, Name string
	Scopes   string // with blanks between
	On       bool
	Fits     bool // suggested for what the key is for
}

// createGroup are the rows of an upstream.
type createGroup struct {
	Name   string
	Chosen int
	Rows   []createRow
}

// createRow is a resource on the page.
type createRow struct {
	*bookRow
	R, W     createBox
	Lock     string
	Ask      bool // an admin can be asked
	Endpoint []createEp
	More     int
	Open     bool
	Sel      bool
	Find     string
}

// createBox is one of the two boxes of a row; without a scope there is none.
type createBox struct {
	Scope      string
	On, Locked bool
}

// createEp is an endpoint in a row.
type createEp struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Also   string `json:"also"`
}

// createSum is what a key will be able to do, in words.
type createSum struct {
	Reads  string `json:"reads"`
	Writes string `json:"writes"`
	Chosen int    `json:"chosen"`
	Opened int    `json:"opened"`
	Total  int    `json:"total"`
	Share  int    `json:"share"` // of 100
	Data   string `json:"data"`
}

// sum says what scopes let a key do.
func (b *scopeBook) sum(held []postern.Scope) createSum {
	s := createSum{Chosen: len(held), Opened: len(b.openedBy(held)), Total: len(b.ops)}
	var reads, writes []string
	sensitive := false
	for _, r := range b.rows {
		if r.Read != nil && slices.Contains(held, r.Read.Name) {
			reads = append(reads, inText(r.Name))
		}
		if r.Write != nil && slices.Contains(held, r.Write.Name) {
			writes = append(writes, inText(r.Name))
		}
		sensitive = sensitive || r.Sensitive && slices.ContainsFunc(r.scopes(), func(i *postern.ScopeInfo) bool { return slices.Contains(held, i.Name) })
	}
	s.Reads, s.Writes = list(reads), list(writes)
	if s.Total > 0 {
		s.Share = s.Opened * 100 / s.Total
	}
	switch {
	case s.Chosen == 0:
	case sensitive:
		s.Data = "Includes sensitive data."
	default:
		s.Data = "No data that is marked sensitive."
	}
	return s
}

// fillScopes adds what the step of scopes shows.
func (c *Console) fillScopes(v *visit, b *scopeBook, p *createView, held []postern.Scope) error {
	p.Q, p.Only = v.query("q"), v.query("show") == "chosen"
	if r := []rune(p.Q); len(r) > 200 {
		p.Q = string(r[:200])
	}
	if looksSecret(p.Q) {
		p.Q = ""
	}
	hits := b.search(p.Q)
	ask := v.c.known["GET /settings/members"] && v.can(postern.PermMembersRead)
	seen := map[postern.Scope]bool{}
	for _, row := range c.createRows(v, b, held) {
		r := row.bookRow
		eps, hit := hits[r.ID]
		if !hit || p.Only && !row.Sel {
			continue
		}
		row.Ask = ask
		row.Endpoint, row.More = b.endpoints(r, eps)
		row.Open = eps != nil
		for _, s := range r.scopes() {
			seen[s.Name] = true
		}
		name := b.ups[r.Up].Name
		if !r.Main {
			name += ", in detail"
		}
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Name != name {
			p.Groups = append(p.Groups, createGroup{Name: name})
		}
		g := &p.Groups[len(p.Groups)-1]
		g.Rows = append(g.Rows, row)
		for _, s := range r.scopes() {
			if slices.Contains(held, s.Name) {
				g.Chosen++
			}
		}
	}
	for _, s := range held {
		if !seen[s] {
			p.Unseen = append(p.Unseen, string(s))
		}
	}
	for _, pre := range createPresets {
		scopes := c.presetScopes(v, b, pre.id)
		if len(scopes) == 0 && pre.id != "none" || slices.ContainsFunc(p.Presets, func(o createPreset) bool { return o.Scopes == joinScopes(scopes) }) {
			continue
		}
		fits := slices.ContainsFunc(createUses, func(u createUseFor) bool { return u.ID == p.F.Get("use") && u.Preset == pre.id && pre.id != "none" })
		p.Presets = append(p.Presets, createPreset{pre.id, pre.name, joinScopes(scopes), slices.Equal(scopes, held), fits})
	}
	// What fits stands first; nothing is ticked before somebody chooses it.
	slices.SortStableFunc(p.Presets, func(a, b createPreset) int {
		switch {
		case a.Fits == b.Fits:
			return 0
		case a.Fits:
			return -1
		}
		return 1
	})
	if !v.can(postern.PermKeysRead) {
		return nil
	}
	keys, err := c.kr.Keys(v.r.Context(), v.by, store.KeyFilter{}, store.Cursor{}, 50)
	if err != nil {
		return err
	}
	for i := range keys {
		p.Keys = append(p.Keys, keys[i].Name)
	}
	return nil
}

func joinScopes(scopes []postern.Scope) string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = string(s)
	}
	return strings.Join(out, " ")
}

// createRows are all rows in the order of the page: of each API first what is named
// after its resources, and what the visitor can give before what they can't.
func (c *Console) createRows(v *visit, b *scopeBook, held []postern.Scope) []createRow {
	rows := make([]createRow, 0, len(b.rows))
	for _, r := range b.rows {
		if r.Up >= 0 {
			rows = append(rows, c.createRow(v, b, r, held))
		}
	}
	slices.SortStableFunc(rows, func(x, y createRow) int {
		return cmp.Or(cmp.Compare(x.Up, y.Up), cmpBool(!x.Main, !y.Main), cmpBool(!x.Held(), !y.Held()))
	})
	return rows
}

// createRow is a row with its boxes as they stand for the visitor.
func (c *Console) createRow(v *visit, b *scopeBook, r *bookRow, held []postern.Scope) createRow {
	row := createRow{bookRow: r, Find: r.find}
	box := func(s *postern.ScopeInfo) createBox {
		if s == nil {
			return createBox{}
		}
		x := createBox{Scope: string(s.Name), On: slices.Contains(held, s.Name), Locked: !v.mayGive(b, s.Name)}
		x.On = x.On && !x.Locked
		row.Sel = row.Sel || x.On
		return x
	}
	row.R, row.W = box(r.Read), box(r.Write)
	has := func(x createBox) bool { return x.Scope != "" && !x.Locked }
	switch {
	case !has(row.R) && !has(row.W):
		row.Lock = "You don’t hold this, so you can’t pass it on."
	case row.W.Locked:
		row.Lock = "You hold read only, so write is switched off."
	case row.R.Locked:
		row.Lock = "You hold write only, so read is switched off."
	}
	return row
}

// Held reports whether the row has anything that the visitor may give.
func (r createRow) Held() bool {
	return r.R.Scope != "" && !r.R.Locked || r.W.Scope != "" && !r.W.Locked
}

// Count is how many endpoints the row opens.
func (r createRow) Count() int { return len(r.Eps) }

// endpoints are those of a row to show: the ones that were searched for, or the first few.
func (b *scopeBook) endpoints(r *bookRow, only []int) (out []createEp, more int) {
	eps := r.Eps
	if only != nil {
		eps = only
	}
	for _, i := range eps[:min(len(eps), epsShown)] {
		o := &b.ops[i]
		e := createEp{Method: o.Method, Path: o.Path}
		var also []string
		for _, s := range o.also(r) {
			also = append(also, inText(b.say(s)))
		}
		e.Also = list(also)
		out = append(out, e)
	}
	return out, len(r.Eps) - len(out)
}

// search finds rows: by name, scope and words, or by the path or the name of what
// they open. The value holds the endpoints that were meant, nil where the row itself was.
func (b *scopeBook) search(q string) map[string][]int {
	q = strings.ToLower(strings.TrimSpace(q))
	out := map[string][]int{}
	path := ""
	if at := strings.Index(q, "/"); at >= 0 {
		path = q[at:]
		if u, err := url.Parse(q); err == nil && u.Host != "" {
			path = u.Path
		}
		path, _, _ = strings.Cut(path, "?")
		path = strings.TrimRight(path, "/")
	}
	words := strings.Fields(q)
	// A path that is written out is meant more than a template that it would fit.
	exact := path != "" && slices.ContainsFunc(b.ops, func(o bookOp) bool { return strings.Contains(strings.ToLower(o.Path), path) })
	for _, r := range b.rows {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.find, w) }) {
			out[r.ID] = nil
			continue
		}
		var hit []int
		for _, i := range r.Eps {
			o := &b.ops[i]
			at := strings.ToLower(o.Path)
			if exact && strings.Contains(at, path) || path != "" && !exact && o.like(path) || path == "" && strings.Contains(strings.ToLower(o.Summary+" "+o.Name), q) {
				hit = append(hit, i)
			}
		}
		if hit != nil {
			slices.SortStableFunc(hit, func(x, y int) int { return cmp.Compare(len(b.ops[x].Path), len(b.ops[y].Path)) })
			out[r.ID] = hit
		}
	}
	return out
}

// like reports whether a path, as someone would call it, is or begins that of an operation.
func (o *bookOp) like(path string) bool {
	want, have := strings.Split(strings.Trim(path, "/"), "/"), strings.Split(strings.Trim(strings.ToLower(o.Path), "/"), "/")
	if len(want) > len(have) || len(want) < 2 {
		return false
	}
	for i, part := range want {
		if part != have[i] && !strings.HasPrefix(have[i], "{") && (i < len(want)-1 || !strings.HasPrefix(have[i], part)) {
			return false
		}
	}
	return true
}

// createPresets are the sets of scopes that are offered, by the names of resources.
var createPresets = []struct {
	id, name    string
	read, write []string
}{
	{"report", "Reporting, read only", []string{"contacts", "companies", "deals", "owners", "tickets", "leads", "line items", "products", "quotes", "orders", "invoices", "goals", "pipelines"}, nil},
	{"everything", "Read everything", nil, nil},
	{"contacts", "Contact list", []string{"contacts", "companies"}, nil},
	{"leads", "Lead import", []string{"contacts", "companies"}, []string{"contacts"}},
	{"stock", "Stock sync", []string{"products"}, []string{"products"}},
	{"none", "Nothing yet", nil, nil},
}

// presetScopes are the scopes of a preset that the visitor may give. None is sensitive.
func (c *Console) presetScopes(v *visit, b *scopeBook, id string) (out []postern.Scope) {
	for _, p := range createPresets {
		if p.id != id || id == "none" {
			continue
		}
		for _, r := range b.rows {
			in := func(names []string) bool { return slices.Contains(names, strings.ToLower(r.Name)) }
			if s := r.Read; s != nil && !r.Sensitive && s.Upstream != "postern" && (in(p.read) || id == "everything") && v.mayGive(b, s.Name) {
				out = append(out, s.Name)
			}
			if s := r.Write; s != nil && !r.Sensitive && in(p.write) && v.mayGive(b, s.Name) {
				out = append(out, s.Name)
			}
		}
		if id == "report" && len(out) == 0 {
			return c.presetScopes(v, b, "everything")
		}
		if len(p.write) > 0 && !slices.ContainsFunc(out, func(s postern.Scope) bool { return b.scopes[s].Access != postern.AccessRead }) {
			return nil // what it is for can't be done
		}
	}
	return postern.SortScopes(out)
}

// createFind tells a script which rows match what is searched for.
func (c *Console) createFind(v *visit) error {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	q := v.query("q")
	if looksSecret(q) || len(q) > 200 {
		q = ""
	}
	type found struct {
		Eps  []createEp `json:"eps"`
		More int        `json:"more"`
	}
	out := map[string]*found{}
	for id, eps := range b.search(q) {
		f := &found{}
		if eps != nil {
			i, _ := strconv.Atoi(id)
			f.Eps, f.More = b.endpoints(b.rows[i], eps)
		}
		out[id] = f
	}
	return v.json(out)
}

// createSum tells a script what the chosen scopes let a key do.
func (c *Console) createSum(v *visit) error {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	_ = v.r.ParseForm() // what can't be read isn't there
	return v.json(b.sum(draftFrom(v.r.PostForm).chosen(b)))
}

// json answers a script.
func (v *visit) json(what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	return v.send(http.StatusOK, body)
}

// With is a box with what stands around it.
func (x createBox) With(access, name string) createBoxOf { return createBoxOf{x, access, name} }

type createBoxOf struct {
	createBox
	Access, Name string
}

// Does is what the key will be able to do, for its template.
func (p *createView) Does() createCan { return createCan{p.Sum, p.Step == 2} }

type createCan struct {
	Sum createSum
	JS  bool
}
