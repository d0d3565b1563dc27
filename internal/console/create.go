package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
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

// createForm is what the address or the form says.
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
		if !slices.ContainsFunc(createUses, func(u createUseFor) bool { return u.ID == f.Get("use") }) {
			f.Wrong("use", "Choose what will use the key.")
		}
	}
	if f.ErrorOf("name") != "" || f.ErrorOf("use") != "" || f.ErrorOf("note") != "" {
		return c.showCreate(v, b, f, 1, copied)
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

// fillReview adds what the last step shows.
func (c *Console) fillReview(v *visit, p *createView) {
	f := p.F
	for name, usual := range map[string]string{"expires": v.day(1, 0), "where": "any", "per": "10"} {
		if f.Get(name) == "" {
			f.Values.Set(name, usual)
		}
	}
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
