package console

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// createRoutes are the making of a service key. The steps before the last change
// nothing, so they are plain addresses: what was typed is in them, Back and reload
// lose nothing, and nothing is kept at the server.
func (c *Console) createRoutes() []route {
	write := []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /keys/new", Serve: c.createStep, Need: write},
		{Pattern: "GET /keys/new/find", Serve: c.createFind, Need: write},
		{Pattern: "POST /keys/new/sum", Serve: c.createSum, Need: write, Raw: true},
		{Pattern: "POST /keys", Serve: c.createKey, Need: write, Fresh: true, Repeats: true},
	}
}

const (
	nameLeast, nameMost = 3, 64 // characters of a name, as the console takes it
	noteMost            = 200
	maxLife             = 366 * 24 * time.Hour // a year with its last day
	epsShown            = 12                   // endpoints of a row, unless they are searched for
)

// createUses are what a key can be for.
var createUses = []struct{ ID, Icon, Name, Words, Preset string }{
	{"bi", "chart", "Reporting tool", "Power BI, Tableau, Looker", "report"},
	{"wh", "db", "Warehouse or pipeline", "Airbyte, Fivetran, BigQuery", "everything"},
	{"sheet", "sheet", "Spreadsheet", "Excel, Google Sheets", "contacts"},
	{"script", "clock", "Scheduled script", "Python, Node, cron", "report"},
	{"svc", "bolt", "Another system", "ERP, help desk, stock", "none"},
	{"other", "other", "Something else", "Start with no scopes", "none"},
}

// The fields of each step, which the others carry along.
var createFields = map[int][]string{
	1: {"name", "use", "note"},
	2: {"scope", "picked"},
	3: {"expires", "expiresOn", "where", "networks", "notBefore", "calls", "per"},
}

// createView is a step of making a key.
type createView struct {
	Common
	F      *form
	Step   int
	Carry  []nameValue // what the other steps know
	Uses   []createUse
	Copied string // the key whose scopes were taken over

	Presets []createPreset
	Groups  []createGroup
	Q       string
	Only    bool // only what is chosen is shown
	Chosen  int
	Unseen  []string // chosen scopes whose rows aren't shown
	Keys    []string // to take scopes from
	None    bool     // no API is connected
	Ticked  bool     // read was ticked with write

	Sum     createSum
	UseName string
	Vague   bool // the name says little
	Warn    bool // a reporting tool would write
	Lives   []option
	IP      string
	Draft   string
	Pers    []option
	More    bool // the further limits are open
	First   string
	Last    string
}

// Steps are the three of them, for the list on top.
func (p *createView) Steps() []createMark {
	out := make([]createMark, 3)
	for i, name := range []string{"Purpose", "Scopes", "Review"} {
		out[i] = createMark{N: i + 1, Name: name, Done: i+1 < p.Step, Now: i+1 == p.Step}
	}
	return out
}

type createMark struct {
	N         int
	Name      string
	Done, Now bool
}

type createUse struct {
	ID, Icon, Name, Words string
	On                    bool
}

// createPreset is a set of scopes that is chosen at once.
type createPreset struct {
	ID, Name string
	Scopes   string // with blanks between
	On       bool
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

// createForm is what the address or the form says, with what is usual where nothing is said.
func (v *visit) createForm() *form {
	f := &form{Values: url.Values{}}
	_ = v.r.ParseForm() // what can't be read isn't there
	for _, fields := range createFields {
		for _, name := range fields {
			if got := v.r.Form[name]; len(got) > 0 {
				f.Values[name] = slices.Clone(got)
			}
		}
	}
	for _, name := range []string{"name", "note"} {
		if text := f.Get(name); postern.HideSecrets(text) != text {
			f.Values.Del(name)
			f.Wrong(name, "This holds a secret, which we did not keep. Type a name or a note instead.")
		}
	}
	f.Values.Set("name", strings.ToLower(strings.Join(strings.Fields(f.Get("name")), "-")))
	setUnlessSet := func(name, value string) {
		if f.Get(name) == "" {
			f.Values.Set(name, value)
		}
	}
	setUnlessSet("expires", v.day(1, 0))
	setUnlessSet("where", "any")
	setUnlessSet("per", "10")
	return f
}

// day is a date from today on, as forms write it.
func (v *visit) day(years, days int) string {
	return v.now.In(v.zone).AddDate(years, 0, days).Format(time.DateOnly)
}

// chosen are the scopes of a form, those that there are.
func (f *form) chosen(b *scopeBook) []postern.Scope {
	var out []postern.Scope
	for _, s := range f.Values["scope"] {
		if b.byScope[postern.Scope(s)] != nil {
			out = append(out, postern.Scope(s))
		}
	}
	return postern.SortScopes(out)
}

func (f *form) choose(scopes []postern.Scope) {
	f.Values.Del("scope")
	for _, s := range scopes {
		f.Values.Add("scope", string(s))
	}
	f.Values.Set("picked", "1")
}

// mayGive reports whether the visitor may put a scope on a key.
func (v *visit) mayGive(b *scopeBook, s postern.Scope) bool {
	return len(postern.MayGrant(v.member(), []postern.Scope{s}, b.sensitive)) == 0
}

// createStep shows a step.
func (c *Console) createStep(v *visit) error {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	f := v.createForm()
	step, _ := strconv.Atoi(v.query("step"))
	step = min(max(step, 1), 3)
	copied := ""
	if from := v.query("copy"); from != "" {
		if copied, err = c.copyFrom(v, b, f, from); err != nil {
			return err
		}
	}
	if v.query("step") != "" && step > 1 {
		if err := c.checkName(v, f); err != nil {
			return err
		}
		if !slices.ContainsFunc(createUses, func(u struct{ ID, Icon, Name, Words, Preset string }) bool { return u.ID == f.Get("use") }) {
			f.Wrong("use", "Choose what will use the key.")
		}
	}
	if f.ErrorOf("name") != "" || f.ErrorOf("use") != "" || f.ErrorOf("note") != "" {
		return c.showCreate(v, b, f, 1, copied)
	}
	if step > 1 && f.Get("picked") == "" {
		for _, u := range createUses {
			if u.ID == f.Get("use") {
				f.choose(c.presetScopes(v, b, u.Preset))
			}
		}
	}
	if id := v.query("preset"); id != "" && step > 1 {
		if id != "copy" {
			f.choose(c.presetScopes(v, b, id))
		}
		step = 2
	}
	if f.ErrorOf("copy") != "" {
		step = min(step, 2)
	}
	return c.showCreate(v, b, f, step, copied)
}

// copyFrom takes over the scopes of another key, by its number or its name: those
// that the visitor may give.
func (c *Console) copyFrom(v *visit, b *scopeBook, f *form, from string) (string, error) {
	k, err := c.kr.KeyNamed(v.r.Context(), v.by, from)
	if errors.Is(err, postern.CodeNotFound) {
		k, err = c.kr.Key(v.r.Context(), v.by, postern.KeyID(from))
	}
	if errors.Is(err, postern.CodeNotFound) || errors.Is(err, postern.CodeInvalid) {
		f.Wrong("copy", "There is no key named %s. Check the name on the list of keys.", bounded(from))
		return "", nil
	}
	if err != nil {
		return "", err
	}
	scopes := slices.DeleteFunc(slices.Clone(k.Scopes), func(s postern.Scope) bool { return b.byScope[s] == nil || !v.mayGive(b, s) })
	f.choose(scopes)
	if len(scopes) < len(k.Scopes) {
		f.Values.Set("lacks", "1")
	}
	return k.Name, nil
}

func bounded(s string) string {
	if r := []rune(postern.HideSecrets(s)); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return postern.HideSecrets(s)
}

// checkName says what is wrong with a name, and which one is free.
func (c *Console) checkName(v *visit, f *form) error {
	name := f.Get("name")
	n := len([]rune(name))
	switch {
	case f.ErrorOf("name") != "":
	case n == 0:
		f.Wrong("name", "Give the key a name, such as powerbi-weekly-pipeline.")
	case n < nameLeast:
		f.Wrong("name", "A name has at least %d characters.", nameLeast)
	case n > nameMost:
		f.Wrong("name", "A name has at most %d characters; this one has %d.", nameMost, n)
	case strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", r) }):
		f.Wrong("name", "A name is made of a to z, 0 to 9, “-”, “_” and “.”.")
	default:
		free, err := c.freeName(v, name)
		if err != nil {
			return err
		}
		if free != name {
			f.Wrong("name", "A key named %s exists already. Try %s.", name, free)
		}
	}
	if len([]rune(f.Get("note"))) > noteMost {
		f.Wrong("note", "A note has at most %d characters.", noteMost)
	}
	return nil
}

// freeName is a name, or the next one like it that no key has.
func (c *Console) freeName(v *visit, name string) (string, error) {
	for i := 1; ; i++ {
		try := name
		if i > 1 {
			end := "-" + strconv.Itoa(i)
			try = name[:min(len(name), nameMost-len(end))] + end
		}
		_, err := c.cfg.DB.KeyNamed(v.r.Context(), v.by.AccountID, try)
		if errors.Is(err, postern.CodeNotFound) || err == nil && i > 100 {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// vague are names that tell nothing.
var vague = []string{"my-key", "mykey", "test", "test-key", "testkey", "key", "new-key", "api-key", "apikey", "demo", "tmp", "temp", "foo", "abc"}

// showCreate shows a step with what a form holds.
func (c *Console) showCreate(v *visit, b *scopeBook, f *form, step int, copied string) error {
	return c.showCreateAs(v, b, f, step, copied, http.StatusUnprocessableEntity)
}

func (c *Console) showCreateAs(v *visit, b *scopeBook, f *form, step int, copied string, wrong int) error {
	held := f.chosen(b)
	p := &createView{Common: v.common("Create a service key", "/keys", crumb{Name: "Development"}, crumb{"Service keys", "/keys"}), F: f, Step: step,
		Copied: copied, Sum: b.sum(held), Chosen: len(held), None: len(b.ops) == 0}
	p.Scripts = []string{"create.js"}
	for _, at := range []int{1, 2, 3} {
		for _, name := range createFields[at] {
			if at != step && (at != 2 || f.Get("picked") != "") {
				for _, value := range f.Values[name] {
					p.Carry = append(p.Carry, nameValue{name, value})
				}
			}
		}
	}
	for _, u := range createUses {
		p.Uses = append(p.Uses, createUse{u.ID, u.Icon, u.Name, u.Words, f.Get("use") == u.ID || f.Get("use") == "" && u.ID == "bi"})
		if f.Get("use") == u.ID {
			p.UseName = u.Name
		}
	}
	var err error
	switch step {
	case 2:
		err = c.fillScopes(v, b, p, held)
	case 3:
		c.fillReview(v, p)
	}
	if err != nil {
		return err
	}
	if f.OK() {
		return v.render("create", p)
	}
	p.Error = true
	return v.show(wrong, "create", p)
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
	for _, r := range b.rows {
		if r.Up < 0 {
			continue
		}
		eps, hit := hits[r.ID]
		row := c.createRow(v, b, r, held)
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
		if len(scopes) == 0 && pre.id != "none" {
			continue
		}
		p.Presets = append(p.Presets, createPreset{pre.id, pre.name, joinScopes(scopes), slices.Equal(scopes, held)})
	}
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
	for _, r := range b.rows {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.find, w) }) {
			out[r.ID] = nil
			continue
		}
		var hit []int
		for _, i := range r.Eps {
			if o := &b.ops[i]; path != "" && o.like(path) || path == "" && strings.Contains(strings.ToLower(o.Summary+" "+o.Name), q) {
				hit = append(hit, i)
			}
		}
		if hit != nil {
			out[r.ID] = hit
		}
	}
	return out
}

// like reports whether a path, as someone would call it, is or begins that of an operation.
func (o *bookOp) like(path string) bool {
	if strings.Contains(strings.ToLower(o.Path), path) {
		return true
	}
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

// fillReview adds what the last step shows.
func (c *Console) fillReview(v *visit, p *createView) {
	f := p.F
	p.Vague = slices.Contains(vague, f.Get("name"))
	p.Warn = p.Sum.Writes != ""
	say := func(words string, years, days int) option {
		day := v.day(years, days)
		return option{Value: day, Label: words + ", " + v.now.In(v.zone).AddDate(years, 0, days).Format("2 January 2006")}
	}
	p.Lives = []option{say("In 30 days", 0, 30), say("In 90 days", 0, 90), say("In 1 year", 1, 0), {Value: "on", Label: "On a date I choose…"}}
	known := false
	for i := range p.Lives {
		p.Lives[i].Selected = p.Lives[i].Value == f.Get("expires")
		known = known || p.Lives[i].Selected
	}
	if !known {
		p.Lives[2].Selected = true
	}
	p.First, p.Last = v.day(0, 1), v.day(1, 0)
	p.IP = v.by.IP
	p.Draft = v.r.PostForm.Get("draft")
	if len(p.Draft) != onceLen || !postern.Scope(p.Draft).Valid() {
		p.Draft = postern.RandomText(onceLen)
	}
	for _, o := range []option{{Value: "1", Label: "each second"}, {Value: "10", Label: "in 10 seconds"}, {Value: "60", Label: "each minute"}, {Value: "3600", Label: "each hour"}} {
		o.Selected = o.Value == f.Get("per")
		p.Pers = append(p.Pers, o)
	}
	p.More = f.Get("notBefore") != "" || f.Get("calls") != "" || f.ErrorOf("notBefore") != "" || f.ErrorOf("calls") != ""
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
	return v.json(b.sum(v.createForm().chosen(b)))
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

// createdView is the page that shows the secret, once.
type createdView struct {
	Common
	Key     *postern.ServiceKey
	Secret  string
	Waiting waitingPart
	Connect connectPart
}

// shownView says that a secret was shown before.
type shownView struct {
	Common
	Key *postern.ServiceKey
}

// createKey makes the key, and answers with its secret. Sent again it makes nothing
// and says when the secret was shown.
func (c *Console) createKey(v *visit) error {
	v.showsSecret()
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	f := v.createForm()
	in := v.newKeyOf(f)
	if f.OK() {
		made, err := c.kr.CreateKey(v.r.Context(), v.by, in)
		if err == nil {
			return c.showCreated(v, f, made)
		}
		return c.createFailed(v, b, f, err)
	}
	return c.showCreate(v, b, f, c.stepOf(f), "")
}

// newKeyOf reads the form of the last step.
func (v *visit) newKeyOf(f *form) keyring.NewKey {
	in := keyring.NewKey{Name: f.Get("name"), Description: f.Get("note")}
	for _, s := range f.Values["scope"] {
		in.Scopes = append(in.Scopes, postern.Scope(s))
	}
	in.Scopes = postern.SortScopes(in.Scopes)
	if n := len([]rune(in.Name)); n < nameLeast || n > nameMost {
		f.Wrong("name", "A name has %d to %d characters.", nameLeast, nameMost)
	}
	end := f.Get("expires")
	field := "expires"
	if end == "on" {
		end, field = f.Get("expiresOn"), "expiresOn"
	}
	if day, err := time.ParseInLocation(time.DateOnly, end, v.zone); err != nil {
		f.Wrong(field, "Choose the day on which the key ends.")
	} else if in.ExpiresAt = day.AddDate(0, 0, 1).UTC(); !in.ExpiresAt.After(v.now) {
		f.Wrong(field, "That day is over. Choose one that is to come.")
	} else if day.Sub(v.now) > maxLife {
		f.Wrong(field, "Your account allows at most one year. Choose a day until %s.", v.now.In(v.zone).AddDate(1, 0, 0).Format("2 January 2006"))
	}
	if from := f.Get("notBefore"); from != "" {
		if day, err := time.ParseInLocation(time.DateOnly, from, v.zone); err != nil {
			f.Wrong("notBefore", "Choose the first day on which the key works, or leave it empty.")
		} else if in.NotBefore = day.UTC(); !in.ExpiresAt.IsZero() && !in.NotBefore.Before(in.ExpiresAt) {
			f.Wrong("notBefore", "The key would end before it starts.")
		}
	}
	if f.Get("where") == "some" {
		in.Networks = networksOf(f)
	}
	if calls := f.Get("calls"); calls != "" {
		n, err := strconv.ParseInt(strings.ReplaceAll(calls, ",", ""), 10, 64)
		per, err2 := strconv.ParseInt(f.Get("per"), 10, 64)
		if err != nil || err2 != nil || n < 1 || n > 1_000_000 || per < 1 || per > 3600 {
			f.Wrong("calls", "Give a number of calls from 1 to 1,000,000, or leave it empty.")
		} else {
			in.Rate = postern.Rate{Calls: n, Per: time.Duration(per) * time.Second}
		}
	}
	// The same form makes one key however often it is sent; what was changed in it makes another.
	body, _ := json.Marshal(in) // a struct of plain values can always be written
	sum := sha256.Sum256(append([]byte(cmp.Or(v.r.PostForm.Get("draft"), v.once)), body...))
	in.Idempotency = "console." + hex.EncodeToString(sum[:])
	return in
}

// networksOf reads the list of addresses, one a line.
func networksOf(f *form) (out []netip.Prefix) {
	for line := range strings.FieldsFuncSeq(f.Get("networks"), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' || r == ' ' || r == ';' }) {
		n, err := netip.ParsePrefix(line)
		if a, err2 := netip.ParseAddr(line); err2 == nil {
			n, err = netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()), nil
		}
		if err != nil {
			f.Wrong("networks", "%s is no address or range. Write 203.0.113.7 or 203.0.113.0/24.", bounded(line))
			return nil
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		f.Wrong("networks", "Give at least one address, or choose “Any address”.")
	}
	return out
}

// stepOf is the step on which the first thing that is wrong can be put right.
func (c *Console) stepOf(f *form) int {
	for step := 1; step <= 3; step++ {
		if slices.ContainsFunc(f.Errors, func(e fieldError) bool {
			return slices.Contains(createFields[step], e.Field) || step == 2 && e.Field == "scopes"
		}) {
			return step
		}
	}
	return 3
}

// createFailed shows the step on which a refusal can be put right.
func (c *Console) createFailed(v *visit, b *scopeBook, f *form, err error) error {
	status := http.StatusUnprocessableEntity
	e, ok := errors.AsType[*postern.Error](err)
	if !ok {
		return err
	}
	if e.Code == postern.CodeForbidden || e.Code == postern.CodeInsufficientScope {
		status = http.StatusForbidden
	}
	switch {
	case e.Code == postern.CodeConflict && (e.Field == "name" || strings.Contains(e.Message, "named")):
		if err := c.checkName(v, f); err != nil {
			return err
		}
		if f.OK() {
			f.Wrong("name", "%s", e.Message)
		}
	case e.Field == "description":
		f.Wrong("note", "%s", e.Message)
	case e.Field == "rateLimit":
		f.Wrong("calls", "%s", e.Message)
	case e.Field == "expiresAt":
		f.Wrong("expires", "%s", e.Message)
	default:
		if err := f.take(err); err != nil {
			return err
		}
	}
	step := c.stepOf(f)
	if step == 2 {
		// What can't be given is not ticked when the page comes again.
		f.choose(slices.DeleteFunc(f.chosen(b), func(s postern.Scope) bool { return !v.mayGive(b, s) }))
	}
	return c.showCreateAs(v, b, f, step, "", status)
}

// showCreated shows the secret of a key that was made, or that it was shown.
func (c *Console) showCreated(v *visit, f *form, made keyring.Made) error {
	trail := []crumb{{"Development", ""}, {"Service keys", "/keys"}}
	if made.Secret.Zero() {
		return v.render("create-shown", &shownView{Common: v.common("Shown already", "/keys", trail...), Key: &made.Key})
	}
	p := &createdView{Common: v.common("Key created", "/keys", trail...), Key: &made.Key, Secret: made.Secret.Reveal()}
	p.Scripts = []string{"create.js", "waiting.js"}
	var err error
	if p.Connect, err = c.connect(v.r.Context(), &made.Key, f.Get("use")); err == nil {
		p.Waiting, err = c.waiting(v, &made.Key)
	}
	if err != nil {
		// The key is made and its secret is here alone: what is shown beside it matters less.
		v.err = fmt.Errorf("console: beside a new secret: %w", err)
		p.Connect, p.Waiting = connectPart{}, waitingPart{}
	}
	p.Waiting.Tab = true
	return v.render("create-secret", p)
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
