package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// legacyRoutes are the imported credentials: their list, each of them, their import,
// and what the old names of their scopes stand for.
func (c *Console) legacyRoutes() []route {
	read := []postern.Permission{postern.PermKeysRead}
	write, stop := []postern.Permission{postern.PermKeysWrite}, []postern.Permission{postern.PermKeysRevoke}
	const one = "/legacy/{id}"
	return []route{
		{Pattern: "GET /legacy", Serve: c.listLegacy, Need: read},
		{Pattern: "GET /legacy/{id}", Serve: c.showLegacy, Need: read},
		{Pattern: "POST " + one + "/edit", Serve: c.editLegacy, Need: write},
		{Pattern: "POST " + one + "/pause", Serve: c.pauseLegacy(true), Need: []postern.Permission{postern.PermKeysWrite, postern.PermKeysRevoke}},
		{Pattern: "POST " + one + "/resume", Serve: c.pauseLegacy(false), Need: write},
		{Pattern: "GET /legacy/{id}/end", Serve: c.askEndLegacy, Need: stop},
		{Pattern: "POST " + one + "/end", Serve: c.endLegacy, Need: stop, Fresh: true},
		{Pattern: "GET /legacy/{id}/receipt", Serve: c.legacyReceipt, Need: read},
	}
}

const legacyAPage = 50

// legacyTabs are the views of the list.
var legacyTabs = []struct {
	id, name string
	state    postern.LegacyState
	weak     bool
}{
	{id: "", name: "All"}, {id: "active", name: "Active", state: postern.LegacyActive}, {id: "sunset", name: "To stop", state: postern.LegacySunset},
	{id: "paused", name: "Paused", state: postern.LegacyPaused}, {id: "weak", name: "Can be guessed", weak: true}, {id: "ended", name: "Ended", state: postern.LegacyEnded},
}

// legacyFilter is what the address says of the list.
type legacyFilter struct{ Tab, Q, Kind, Import, After, Before string }

// with is the address of the list with some values changed; its cursor is dropped.
func (f legacyFilter) with(pairs ...string) string {
	m := map[string]string{"tab": f.Tab, "q": f.Q, "kind": f.Kind, "import": f.Import}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return link("/legacy", "tab", m["tab"], "q", m["q"], "kind", m["kind"], "import", m["import"], "after", m["after"], "before", m["before"])
}

// Narrow reports whether anything is searched for.
func (f legacyFilter) Narrow() bool { return f.Q != "" || f.Kind != "" || f.Import != "" }

// Clear is the list without a search.
func (f legacyFilter) Clear() string { return link("/legacy", "tab", f.Tab) }

func (v *visit) legacyFilter() (f legacyFilter, in store.LegacyFilter, after store.Cursor, err error) {
	f = legacyFilter{Tab: v.query("tab"), Q: v.query("q"), Kind: v.query("kind"), Import: v.query("import"), After: v.query("after"), Before: v.query("before")}
	at := slices.IndexFunc(legacyTabs, func(t struct {
		id, name string
		state    postern.LegacyState
		weak     bool
	}) bool {
		return t.id == f.Tab
	})
	if at < 0 {
		return f, in, after, errNoPage
	}
	if len(f.Q) > 200 {
		f.Q = strings.ToValidUTF8(f.Q[:200], "")
	}
	if hasSecret(f.Q) {
		f.Q = ""
	}
	kind, _ := postern.ParseKind(f.Kind)
	if !kind.Legacy() {
		kind, f.Kind = 0, ""
	}
	if len(f.Import) > 64 {
		f.Import = ""
	}
	in = store.LegacyFilter{Name: f.Q, State: legacyTabs[at].state, Weak: legacyTabs[at].weak, Kind: kind, Import: f.Import}
	if f.Before != "" {
		if in.Before, err = parseLegacyPlace(f.Before); err != nil {
			return f, in, after, err
		}
	} else if f.After != "" {
		after, err = parseLegacyPlace(f.After)
	}
	return f, in, after, err
}

// legacyPlace is where a credential stands in the list.
func legacyPlace(l *postern.LegacyCredential) string {
	return strconv.FormatInt(int64(postern.ToMicros(l.CreatedAt)), 10) + "-" + string(l.ID)
}

func parseLegacyPlace(s string) (c store.Cursor, err error) {
	at, id, ok := strings.Cut(s, "-")
	c.ID = id
	if c.At, err = strconv.ParseInt(at, 10, 64); err != nil || !ok || id == "" {
		return c, errNoPage
	}
	return c, nil
}

// legacyRow is an imported credential on the list.
type legacyRow struct {
	*postern.LegacyCredential
	Pill pill
	Used time.Time
	Weak bool
}

// Words is what kind of credential it is.
func (r legacyRow) Words() string { return legacyKind(r.Kind) }

func legacyKind(k postern.Kind) string {
	if k == postern.KindLegacyAPIKey {
		return "API key"
	}
	return "Private app token"
}

// Does is what it may do.
func (r legacyRow) Does() string {
	if r.AllScopes {
		return "Everything"
	}
	return count(len(r.Scopes), "scope", "scopes")
}

func (v *visit) legacyRow(l *postern.LegacyCredential, used time.Time) legacyRow {
	return legacyRow{LegacyCredential: l, Used: used, Pill: v.legacyState(l), Weak: l.Strength == postern.StrengthWeak}
}

// legacyState is the state of an imported credential in words.
func (v *visit) legacyState(l *postern.LegacyCredential) pill {
	switch l.State(v.now) {
	case postern.LegacyEnded:
		return pill{"", "Ended"}
	case postern.LegacyPaused:
		return pill{"", "Paused"}
	}
	for _, w := range l.Brownouts {
		if !v.now.Before(w.From) && v.now.Before(w.Until) {
			return pill{"warn", "Refused for a while"}
		}
	}
	switch {
	case !l.ExpiresAt.IsZero():
		return pill{"warn", "Stops " + inWords(l.ExpiresAt, v.now)}
	case !l.SunsetAt.IsZero() && l.SunsetAt.After(v.now):
		return pill{"warn", "To stop " + inWords(l.SunsetAt, v.now)}
	case !l.SunsetAt.IsZero():
		return pill{"bad", "Past its sunset"}
	}
	return pill{"ok", "Active"}
}

// legacyView is the list of imported credentials.
type legacyView struct {
	Common
	Filter    legacyFilter
	Tabs      tabs
	Kinds     []option
	Rows      []legacyRow
	All, Live int64
	Next      time.Time // the next sunset
	Pager     pager
	Secret    bool // what was searched for looked like a secret
	Places    accepted
}

// accepted is where imported credentials are accepted.
type accepted struct {
	Header string
	Query  []string
	Any    bool // as ?hapikey= for every API
}

func (c *Console) accepted() accepted {
	return accepted{Header: c.cfg.LegacyHeader, Query: c.cfg.LegacyQuery, Any: slices.Contains(c.cfg.LegacyQuery, "*")}
}

// Words is where in a sentence.
func (a accepted) Words() string {
	places := []string{"as a bearer"}
	if a.Header != "" {
		places = append(places, "in the header "+a.Header)
	}
	if a.Any {
		places = append(places, "as ?hapikey= in every address")
	} else if len(a.Query) > 0 {
		places = append(places, "as ?hapikey= in addresses of "+list(a.Query))
	}
	return list(places)
}

func (c *Console) listLegacy(v *visit) error {
	ctx := v.r.Context()
	f, in, after, err := v.legacyFilter()
	if err != nil {
		return err
	}
	page := &legacyView{Common: v.common("Legacy credentials", "/legacy", crumb{Name: "Development"}), Filter: f, Secret: hasSecret(v.query("q")), Places: c.accepted()}
	page.Styles = []string{"migration.css"}
	counts, err := c.kr.LegacyCounts(ctx, v.by)
	if err != nil {
		return v.noLegacy(err)
	}
	page.All, page.Live, page.Next = counts.All, counts.Live, counts.NextSunset
	list, err := c.kr.LegacyList(ctx, v.by, in, after, legacyAPage+1)
	if err != nil {
		return v.noLegacy(err)
	}
	list = page.turn(f, list)
	if page.Rows, err = c.legacyRows(v, list); err != nil {
		return v.noLegacy(err)
	}
	page.Tabs.Label = "Which credentials"
	for _, t := range legacyTabs {
		one := tab{Name: t.name, Current: t.id == f.Tab, Link: f.with("tab", t.id)}
		if t.id == "" {
			one.Count = num(counts.All)
		}
		page.Tabs.Items = append(page.Tabs.Items, one)
	}
	page.Kinds = []option{{Value: "", Label: "Any kind", Selected: f.Kind == ""}}
	for _, k := range []postern.Kind{postern.KindLegacyPrivateApp, postern.KindLegacyAPIKey} {
		page.Kinds = append(page.Kinds, option{Value: k.String(), Label: legacyKind(k) + "s", Selected: f.Kind == k.String()})
	}
	return v.render("legacy", page)
}

// turn cuts a page out of what was read, one more than it shows, and says where its neighbours are.
func (p *legacyView) turn(f legacyFilter, list []postern.LegacyCredential) []postern.LegacyCredential {
	more := len(list) > legacyAPage
	back := f.Before != ""
	if more && back {
		list = list[1:]
	} else if more {
		list = list[:legacyAPage]
	}
	p.Pager.Words = count(len(list), "credential", "credentials")
	if len(list) == 0 {
		return list
	}
	if more || back {
		p.Pager.Next = f.with("after", legacyPlace(&list[len(list)-1]))
	}
	if f.After != "" || back && more {
		p.Pager.Prev = f.with("before", legacyPlace(&list[0]))
	}
	if p.Pager.Next != "" || p.Pager.Prev != "" {
		p.Pager.Words = count(len(list), "credential", "credentials") + " on this page"
	}
	return list
}

func (c *Console) legacyRows(v *visit, list []postern.LegacyCredential) ([]legacyRow, error) {
	ids := make([]postern.KeyID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	c.cfg.Activity.Settle(v.r.Context())
	uses, err := c.cfg.Activity.LastUsed(v.r.Context(), v.by.AccountID, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]legacyRow, len(list))
	for i := range list {
		rows[i] = v.legacyRow(&list[i], uses[list[i].ID].At)
	}
	return rows, nil
}

// noLegacy says that the list can't be shown, and that the credentials go on working.
func (v *visit) noLegacy(err error) error {
	if !ours(err) {
		return err
	}
	v.err = err
	return v.show(500, "fail", &failView{Common: v.common("Legacy credentials", "/legacy"), Icon: "alert", Heading: "We could not load the legacy credentials",
		Text: "They still work. This page could not reach the server's records. Trying again usually helps.", Number: v.id, Retry: localPath(v.r.URL.RequestURI())})
}

// Everything is the list of all imports.
func (f legacyFilter) Everything() string { return f.with("import", "") }

// None is what stands where nothing was imported.
func (p *legacyView) None() emptyState {
	e := emptyState{Icon: "archive", Heading: "No legacy credentials", Text: "Import the private app tokens and API keys that your tools still use. They keep working, you see what each of them does, and you move them one by one."}
	if p.Can(string(postern.PermKeysWrite)) && p.Has("GET /legacy/import") {
		e.Actions = []action{{Words: "Import old credentials", Link: "/legacy/import", Icon: "plus", Primary: true}}
	}
	return e
}
