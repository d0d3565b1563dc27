package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// createRoutes are the making of a service key. The steps before the last keep what
// was typed as a draft of the session, and lead to the address of a step: Back and
// reload lose nothing, and no address or history ever holds it.
func (c *Console) createRoutes() []route {
	write := []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /keys/new", Serve: c.createStep, Need: write},
		{Pattern: "POST /keys/new", Serve: c.keepStep, Need: write, Anew: true},
		{Pattern: "GET /keys/new/find", Serve: c.createFind, Need: write},
		{Pattern: "POST /keys/new/sum", Serve: c.createSum, Need: write, Raw: true},
		{Pattern: "POST /keys", Serve: c.createKey, Need: write, Fresh: true, Repeats: true},
	}
}

const (
	nameLeast, nameMost = 3, 64 // characters of a name, as the console takes it
	noteMost            = 200
	epsShown            = 12 // endpoints of a row, unless they are searched for
)

// createUseFor is what a key can be for, and the preset that is suggested then.
type createUseFor struct{ ID, Icon, Name, Words, Preset string }

// createUses are what a key can be for.
var createUses = []createUseFor{
	{"bi", "chart", "Reporting tool", "Power BI, Tableau, Looker", "report"},
	{"wh", "db", "Warehouse or pipeline", "Airbyte, Fivetran, BigQuery", "everything"},
	{"sheet", "sheet", "Spreadsheet", "Excel, Google Sheets", "contacts"},
	{"script", "clock", "Scheduled script", "Python, Node, cron", "report"},
	{"svc", "bolt", "Another system", "ERP, help desk, stock", "none"},
	{"other", "other", "Something else", "Anything that sends a header", "none"},
}

// The fields of each step, which the others carry along.
var createFields = map[int][]string{
	1: {"name", "use", "note"},
	2: {"scope", "picked"},
	3: {"expires", "expiresOn", "where", "networks", "notBefore", "calls", "per", "canary"},
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
	Warn    bool // it would write
	Lives   []option
	IP      string
	Draft   string
	Pers    []option
	More    bool // the further limits are open
	First   string
	Last    string
	Allows  string // how far ahead the end may be, and who is reminded
	Refuse  string // why the account's policy would refuse the key as it is
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

// keyNameOf is a name as it is kept: in small letters, with - for blanks.
func keyNameOf(text string) string {
	return strings.ToLower(strings.Join(strings.Fields(text), "-"))
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

// createStep shows a step of a draft. Without one the address may fill the form in,
// as links from other pages do.
func (c *Console) createStep(v *visit) error {
	id := v.query("draft")
	if id == "" || draftOf(id) != id {
		return c.beginDraft(v)
	}
	f, err := v.openDraft(id)
	if err != nil {
		return err
	}
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	step, _ := strconv.Atoi(v.query("step"))
	step = min(max(step, 1), 3)
	if f == nil {
		if step > 1 {
			return v.warn("/keys/new", "What you typed was kept for 2 hours and is gone. Type it again.")
		}
		f = newForm()
	}
	if step > 1 {
		if err := c.checkName(v, f); err != nil {
			return err
		}
		if !slices.ContainsFunc(createUses, func(u createUseFor) bool { return u.ID == f.Get("use") }) {
			f.Wrong("use", "Choose what will use the key.")
		}
	}
	if f.ErrorOf("name") != "" || f.ErrorOf("use") != "" || f.ErrorOf("note") != "" {
		step = 1
	} else if f.ErrorOf("copy") != "" {
		step = min(step, 2)
	}
	return c.showCreate(v, b, f, step, id)
}

// beginDraft gives a new draft its address, with what the address says already.
func (c *Console) beginDraft(v *visit) error {
	values := v.r.URL.Query()
	id := draftOf("")
	if len(values) == 0 {
		return v.redirect(draftLink(id, 1))
	}
	return c.moveOn(v, id, values)
}

// keepStep keeps what a step's form holds, and leads to the step that it asks for.
func (c *Console) keepStep(v *visit) error {
	return c.moveOn(v, draftOf(v.r.PostForm.Get("draft")), v.r.PostForm)
}

func (c *Console) moveOn(v *visit, id string, values url.Values) error {
	b, err := c.scopeBook(v.r.Context())
	if err != nil {
		return err
	}
	f := draftFrom(values)
	step, _ := strconv.Atoi(values.Get("step"))
	step = min(max(step, 1), 3)
	preset, from := values.Get("preset"), strings.TrimSpace(values.Get("copy"))
	if preset != "" {
		step = 2
	}
	switch {
	case from != "" && (preset == "copy" || preset == "" && v.r.Method != http.MethodPost):
		if err := c.copyFrom(v, b, f, from); err != nil {
			return err
		}
	case preset != "" && preset != "copy":
		f.choose(c.presetScopes(v, b, preset))
	}
	if err := v.keepDraft(id, f.Values); err != nil {
		return err
	}
	var only []string
	if step == 2 {
		q := strings.TrimSpace(values.Get("q"))
		if looksSecret(q) || postern.HideSecrets(q) != q {
			q = ""
		}
		only = []string{"q", q}
		if values.Get("show") == "chosen" {
			only = append(only, "show", "chosen")
		}
	}
	return v.redirect(draftLink(id, step, only...))
}

// copyFrom takes over the scopes of another key, by its number or its name: those
// that the visitor may give.
func (c *Console) copyFrom(v *visit, b *scopeBook, f *form, from string) error {
	k, err := c.kr.KeyNamed(v.r.Context(), v.by, from)
	if errors.Is(err, postern.CodeNotFound) {
		k, err = c.kr.Key(v.r.Context(), v.by, postern.KeyID(from))
	}
	if errors.Is(err, postern.CodeNotFound) || errors.Is(err, postern.CodeInvalid) {
		f.Values.Set(draftMissing, bounded(from))
		return nil
	}
	if err != nil {
		return err
	}
	scopes := slices.DeleteFunc(slices.Clone(k.Scopes), func(s postern.Scope) bool { return b.byScope[s] == nil || !v.mayGive(b, s) })
	f.choose(scopes)
	if len(scopes) < len(k.Scopes) {
		f.Values.Set(draftLacks, "1")
	}
	f.Values.Set(draftCopied, k.Name)
	return nil
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
func (c *Console) showCreate(v *visit, b *scopeBook, f *form, step int, draft string) error {
	return c.showCreateAs(v, b, f, step, draft, http.StatusUnprocessableEntity)
}

func (c *Console) showCreateAs(v *visit, b *scopeBook, f *form, step int, draft string, wrong int) error {
	held := f.chosen(b)
	p := &createView{Common: v.common("Create a service key", "/keys", crumb{Name: "Development"}, crumb{"Service keys", "/keys"}), F: f, Step: step,
		Draft: draft, Copied: f.Get(draftCopied), Sum: b.sum(held), Chosen: len(held), None: len(b.ops) == 0}
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
		err = c.fillReview(v, b, p, held)
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
