package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// keysRoutes are the list of service keys, and what is done from it.
func (c *Console) keysRoutes() []route {
	read := []postern.Permission{postern.PermKeysRead}
	write, stop := []postern.Permission{postern.PermKeysWrite}, []postern.Permission{postern.PermKeysRevoke}
	return []route{
		{Pattern: "GET /keys", Serve: c.listKeys, Need: read},
		{Pattern: "GET /keys.csv", Serve: c.downloadKeys, Need: read},
		{Pattern: "GET /keys/bulk", Serve: c.askBulk, Need: read},
		{Pattern: "POST /keys/bulk/pause", Serve: c.doBulk(actPause), Need: stop},
		{Pattern: "POST /keys/bulk/resume", Serve: c.doBulk(actResume), Need: write},
		{Pattern: "POST /keys/bulk/delete", Serve: c.doBulk(actDelete), Need: stop, Fresh: true},
	}
}

const (
	keysAPage   = 50
	sparkDays   = 14
	decisionTop = 3
	bulkMax     = 1000
)

// keyTabs are the views of the list.
var keyTabs = []struct{ id, name string }{
	{"", "All"}, {"decision", "Needs a decision"}, {"rotating", "Rotating"}, {"unused", "Unused"}, {"paused", "Paused"}, {"ended", "Ended"},
}

// keyRow is a key on the list.
type keyRow struct {
	Key    *postern.ServiceKey
	State  keyState
	Tool   string
	What   string // it can use
	How    string
	Calls  int64
	Days   []int64
	Used   time.Time
	InDays string // until it expires
	Soon   bool

	use activity.Use
	at  keyPlace
}

// flagged reports whether someone should look at the key.
func (r *keyRow) flagged() bool { return !r.Key.FlaggedAt.IsZero() && r.State.Rank != rankEnded }

// needsDecision reports whether someone must decide something about the key.
func (r *keyRow) needsDecision() bool { return r.State.Rank <= rankUnused || r.flagged() }

// in reports whether the row is in a view.
func (r *keyRow) in(tab string, now time.Time) bool {
	switch tab {
	case "decision":
		return r.needsDecision()
	case "rotating":
		return r.Key.State(now) == postern.StateRotating
	case "unused":
		return r.State.Rank == rankUnused
	case "paused":
		return r.Key.State(now) == postern.StatePaused
	case "ended":
		return r.State.Rank == rankEnded
	}
	return r.State.Rank != rankEnded
}

// keyPlace is where a row stands in a sorted list.
type keyPlace struct {
	N  int64  `json:"n,omitempty"`
	S  string `json:"s,omitempty"`
	ID string `json:"i"`
}

func (p keyPlace) compare(o keyPlace) int {
	return cmp.Or(cmp.Compare(p.N, o.N), strings.Compare(p.S, o.S), strings.Compare(p.ID, o.ID))
}

// keysFilter is what the address says of a list.
type keysFilter struct {
	Tab, Q, Scope, Sort, After, Before string
}

func (v *visit) keysFilter() (keysFilter, error) {
	f := keysFilter{Tab: v.query("tab"), Q: v.query("q"), Scope: v.query("scope"), Sort: v.query("sort"), After: v.query("after"), Before: v.query("before")}
	if !slices.ContainsFunc(keyTabs, func(t struct{ id, name string }) bool { return t.id == f.Tab }) {
		return f, errNoPage
	}
	if len(f.Q) > 200 {
		f.Q = strings.ToValidUTF8(f.Q[:200], "")
	}
	if looksSecret(f.Q) {
		f.Q = ""
	}
	if f.Sort != "name" && f.Sort != "expires" {
		f.Sort = ""
	}
	return f, nil
}

// looksSecret reports whether a text is a whole secret, which no search takes.
func looksSecret(q string) bool {
	parts := strings.Split(q, "_")
	return len(parts) >= 4 && len(parts[len(parts)-1]) >= 20 && len(parts[len(parts)-2]) == postern.KeyIDLen
}

// with is the address of the list with some values changed; its cursor is dropped.
func (f keysFilter) with(pairs ...string) string {
	m := map[string]string{"tab": f.Tab, "q": f.Q, "scope": f.Scope, "sort": f.Sort}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return link("/keys", "tab", m["tab"], "q", m["q"], "scope", m["scope"], "sort", m["sort"], "after", m["after"], "before", m["before"])
}

// Narrow reports whether anything is searched for.
func (f keysFilter) Narrow() bool { return f.Q != "" || f.Scope != "" }

// rows are all keys with their states, and those of them that a filter lets through, sorted.
func (v *visit) rows(s *keySnap, f keysFilter) (all, match []*keyRow) {
	all = make([]*keyRow, len(s.keys))
	backing := make([]keyRow, len(s.keys))
	q := strings.ToLower(f.Q)
	for i, k := range s.keys {
		r := &backing[i]
		r.Key, r.use = k, s.uses[k.ID]
		r.State = s.state(k, v.now, v.zone)
		r.Used = r.use.LastAt
		all[i] = r
		if !r.in(f.Tab, v.now) && !(f.Q != "" && f.Tab == "") || f.Scope != "" && !slices.Contains(k.Scopes, postern.Scope(f.Scope)) {
			continue
		}
		if q != "" && !strings.Contains(strings.ToLower(k.Name), q) && !strings.Contains(strings.ToLower(toolName(r.use.UserAgent)), q) &&
			!strings.EqualFold(k.Current.LastFour, q) && !strings.EqualFold(k.Previous.LastFour, q) && !strings.EqualFold(string(k.ID), q) {
			continue
		}
		r.at = placeOf(r, f.Sort)
		match = append(match, r)
	}
	slices.SortFunc(match, func(a, b *keyRow) int { return a.at.compare(b.at) })
	return all, match
}

func placeOf(r *keyRow, sort string) keyPlace {
	p := keyPlace{ID: string(r.Key.ID)}
	switch {
	case sort == "name":
		p.S = strings.ToLower(r.Key.Name)
	case sort == "expires":
		p.N = int64(postern.ToMicros(r.Key.ExpiresAt))
		if r.Key.ExpiresAt.IsZero() {
			p.N = 1 << 62
		}
	case r.Used.IsZero(): // after all that were used, the youngest first
		p.N = 1<<61 - int64(postern.ToMicros(r.Key.CreatedAt))
	default:
		p.N = -int64(postern.ToMicros(r.Used))
	}
	return p
}

func (p keyPlace) String() string {
	b, _ := json.Marshal(p) // strings and numbers can always be written
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlace(s string) (p keyPlace, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return p, err == nil && json.Unmarshal(b, &p) == nil
}

// page cuts a page out of the sorted rows.
func (f keysFilter) page(rows []*keyRow) (from, to int) {
	if p, ok := parsePlace(f.Before); ok && f.Before != "" {
		to, _ = slices.BinarySearchFunc(rows, p, func(r *keyRow, p keyPlace) int { return r.at.compare(p) })
		from = max(0, to-keysAPage)
		return from, min(len(rows), from+keysAPage)
	}
	if p, ok := parsePlace(f.After); ok && f.After != "" {
		i, found := slices.BinarySearchFunc(rows, p, func(r *keyRow, p keyPlace) int { return r.at.compare(p) })
		if found {
			i++
		}
		from = i
	}
	return from, min(len(rows), from+keysAPage)
}

// keysView is the list of service keys.
type keysView struct {
	Common
	Filter    keysFilter
	Tabs      tabs
	Decisions []decision
	Deciding  int  // how many keys need a decision
	More      bool // than are shown
	Checked   time.Time
	Rows      []*keyRow
	Total     int
	Matching  int
	Scopes    []option
	Pager     pager
	Download  string
	Secret    bool // what was searched for looked like a secret
	Bulk      bool // the reader may do something to several keys
	ScopeName string
	leakPart
}

// decision is something about a key that someone must decide.
type decision struct {
	Hot    bool
	Icon   string
	Name   string
	Why    template.HTML
	Button string
	Link   string
}

func (c *Console) listKeys(v *visit) error {
	f, err := v.keysFilter()
	if err != nil {
		return err
	}
	s, err := c.snapshot(v.r.Context(), v.by.AccountID)
	if err != nil {
		return v.noKeys(err)
	}
	all, match := v.rows(s, f)
	view := &keysView{Common: v.common("Service keys", "/keys", crumb{Name: "Development"}), Filter: f, Total: len(all), Matching: len(match), Checked: s.Checked,
		Secret: looksSecret(v.query("q")), Bulk: v.can(postern.PermKeysRevoke) || v.can(postern.PermKeysWrite)}
	view.Scripts = []string{"keys.js"}
	counts := make([]int, len(keyTabs))
	for _, r := range all {
		for i, t := range keyTabs {
			if r.in(t.id, v.now) {
				counts[i]++
			}
		}
	}
	view.Tabs.Label = "Which keys"
	for i, t := range keyTabs {
		view.Tabs.Items = append(view.Tabs.Items, tab{Name: t.name, Count: num(counts[i]), Current: t.id == f.Tab, Link: f.with("tab", t.id)})
	}
	view.Scopes = scopeOptions(s, f.Scope)
	from, to := f.page(match)
	view.Rows = match[from:to]
	if err := c.fillRows(v, s, view.Rows); err != nil {
		return v.noKeys(err)
	}
	if view.leakPart, err = c.leaksOf(v); err != nil {
		return v.noKeys(err)
	}
	view.Pager = keysPager(f, match, from, to)
	view.Download = strings.Replace(f.with(), "/keys", "/keys.csv", 1)
	if f.Tab == "" && !f.Narrow() && f.After == "" && f.Before == "" {
		if view.Decisions, view.Deciding, err = c.decisions(v, s, all); err != nil {
			return v.noKeys(err)
		}
		view.More = view.Deciding > len(view.Decisions)
	}
	return v.render("keys", view)
}

// noKeys says that the list can't be shown, and that the keys go on working.
func (v *visit) noKeys(err error) error {
	if !ours(err) {
		return err
	}
	v.err = err
	return v.show(500, "fail", &failView{Common: v.common("Service keys", "/keys"), Icon: "alert", Heading: "We could not load your keys",
		Text: "Your keys still work. This page could not reach the server's records. Trying again usually helps.", Number: v.id, Retry: localPath(v.r.URL.RequestURI())})
}

func scopeOptions(s *keySnap, chosen string) []option {
	used := map[postern.Scope]bool{}
	for _, k := range s.keys {
		for _, sc := range k.Scopes {
			used[sc] = true
		}
	}
	out := []option{{Value: "", Label: "Any scope", Selected: chosen == ""}}
	names := make([]postern.Scope, 0, len(used))
	for sc := range used {
		names = append(names, sc)
	}
	slices.Sort(names)
	for _, sc := range names {
		label := string(sc)
		if info := s.scopes[sc]; info != nil && info.Words != "" && len(info.Words) <= 40 {
			label = info.Words
		}
		out = append(out, option{Value: string(sc), Label: label, Selected: string(sc) == chosen})
	}
	return out
}

func keysPager(f keysFilter, match []*keyRow, from, to int) pager {
	p := pager{}
	switch {
	case len(match) == 0:
		p.Words = "No keys"
	case len(match) > keysAPage:
		p.Words = fmt.Sprintf("%s to %s of %s", num(from+1), num(to), count(len(match), "key", "keys"))
	default:
		p.Words = count(len(match), "key", "keys")
	}
	if from > 0 && len(match) > 0 {
		p.Prev = f.with("before", match[min(from, len(match)-1)].at.String())
		if from <= keysAPage {
			p.Prev = f.with()
		}
	}
	if to < len(match) {
		p.Next = f.with("after", match[to-1].at.String())
	}
	return p
}

// fillRows adds to the rows of a page what only they need.
func (c *Console) fillRows(v *visit, s *keySnap, rows []*keyRow) error {
	days, err := c.callsADay(v, rows)
	if err != nil {
		return err
	}
	for _, r := range rows {
		r.Tool = toolName(r.use.UserAgent)
		r.What, r.How = s.access(r.Key.Scopes)
		if r.Days = days[r.Key.ID]; r.Days == nil {
			r.Days = make([]int64, sparkDays)
		}
		r.Calls = 0
		for _, n := range r.Days {
			r.Calls += n
		}
		if at := r.Key.ExpiresAt; !at.IsZero() && r.State.Rank != rankEnded {
			r.InDays, r.Soon = inWords(at, v.now), at.Sub(v.now) <= expiresSoon
		}
	}
	return nil
}

// callsADay are the calls of some keys in the last 14 days, at most 500 at once.
func (c *Console) callsADay(v *visit, rows []*keyRow) (map[postern.KeyID][]int64, error) {
	end := v.now.In(v.zone)
	to := time.Date(end.Year(), end.Month(), end.Day()+1, 0, 0, 0, 0, v.zone)
	from := to.Add(-sparkDays * 24 * time.Hour)
	out := make(map[postern.KeyID][]int64, len(rows))
	c.cfg.Activity.Settle(v.r.Context())
	for chunk := range slices.Chunk(rows, 500) {
		ids := make([]postern.KeyID, len(chunk))
		for i, r := range chunk {
			ids[i] = r.Key.ID
		}
		some, err := c.cfg.Activity.Sparklines(v.r.Context(), v.by.AccountID, ids, from, to, 24*time.Hour)
		if err != nil {
			return nil, err
		}
		for id, values := range some {
			out[id] = values[:min(len(values), sparkDays)]
		}
	}
	return out, nil
}

// decisions are the worst few of the keys that need one, and how many there are.
func (c *Console) decisions(v *visit, s *keySnap, all []*keyRow) (out []decision, n int, err error) {
	var rows []*keyRow
	for _, r := range all {
		if r.needsDecision() {
			rows = append(rows, r)
		}
	}
	k := func(r *keyRow) postern.RotationPlan { return s.plans[r.Key.ID] }
	worst := func(r *keyRow) (rank int, within int64) {
		h := s.hour[r.Key.ID]
		switch r.State.Rank {
		case rankFailing:
			return 0, -h.Refused * 1000 / h.Calls
		case rankHeld:
			return 1, int64(postern.ToMicros(k(r).Latest))
		case rankExpires:
			return 2, int64(postern.ToMicros(r.Key.ExpiresAt))
		case rankUnused:
			return 3, int64(postern.ToMicros(cmp.Or(r.Used, r.Key.CreatedAt)))
		}
		return 4, int64(postern.ToMicros(r.Key.FlaggedAt))
	}
	slices.SortFunc(rows, func(a, b *keyRow) int {
		ra, wa := worst(a)
		rb, wb := worst(b)
		return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(wa, wb), strings.Compare(string(a.Key.ID), string(b.Key.ID)))
	})
	top := rows[:min(decisionTop, len(rows))]
	if err := c.fillRows(v, s, top); err != nil {
		return nil, 0, err
	}
	for _, r := range top {
		d, err := c.decide(v, s, r)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, d)
	}
	return out, len(rows), nil
}

// decide says in one sentence what must be decided about a key.
func (c *Console) decide(v *visit, s *keySnap, r *keyRow) (decision, error) {
	k, e := r.Key, template.HTMLEscapeString
	d := decision{Name: k.Name, Icon: "alert", Link: v.keyLink(k.ID)}
	switch r.State.Rank {
	case rankFailing:
		h := s.hour[k.ID]
		d.Hot, d.Button = true, "See what it needs"
		no := false
		calls, _, err := c.cfg.Activity.Query(v.r.Context(), activity.Filter{Account: k.AccountID, Key: k.ID, Allowed: &no, Since: v.now.Add(-2 * time.Hour)}, activity.Cursor{}, 1)
		if err != nil {
			return d, err
		}
		why := fmt.Sprintf("is being refused %d%% of the time.", h.Refused*100/h.Calls)
		if len(calls) > 0 {
			why += " " + refusedWords(&calls[0])
		}
		d.Why = template.HTML(why)
	case rankHeld:
		d.Hot, d.Icon, d.Button, d.Link = true, "rotate", "Let it go on or end it", v.keyLink(k.ID)
		if v.c.known["GET /keys/{id}"] {
			d.Link += "/rotate"
		}
		d.Why = template.HTML("is past the deadline of its rotation, and something still uses the old secret. It stops on " + e(s.plans[k.ID].Latest.In(v.zone).Format("2 January")) + " at the latest.")
	case rankExpires:
		d.Icon, d.Button = "clock", "Extend or replace"
		d.Why = template.HTML("stops working on " + e(lastMoment(k.ExpiresAt, v.zone).Format("2 January")) + ". " + callsWords(r.Calls))
	case rankUnused:
		d.Icon, d.Button = "eye", "Pause it"
		d.Link = link("/keys/bulk", "action", string(actPause), "id", string(k.ID))
		if !v.can(postern.PermKeysRevoke) {
			d.Button, d.Link = "Look at it", v.keyLink(k.ID)
		}
		can := "can " + e(strings.ToLower(cmp.Or(r.How, "use"))) + " " + e(r.What)
		switch r.How {
		case "Read only":
			can = "can read " + e(r.What)
		case "Write only":
			can = "can write " + e(r.What)
		case "No scopes":
			can = "has no scopes"
		}
		if r.Used.IsZero() {
			d.Why = template.HTML(can + " and has never been used.")
		} else {
			d.Why = template.HTML(can + " and has not been used since " + e(r.Used.In(v.zone).Format("2 January")) + ".")
		}
	default:
		d.Icon, d.Button = "eye", "Review it"
		d.Why = template.HTML("waits for a review. " + e(k.FlaggedWhy))
	}
	return d, nil
}

// keyLink is the page of a key, or its calls where there is none.
func (v *visit) keyLink(id postern.KeyID) string {
	switch {
	case v.c.known["GET /keys/{id}"]:
		return "/keys/" + string(id)
	case v.c.known["GET /activity"]:
		return link("/activity", "key", string(id))
	}
	return link("/keys", "q", string(id))
}

// refusedWords says why a call was refused.
func refusedWords(a *postern.Activity) string {
	e := template.HTMLEscapeString
	call := "<code>" + e(a.Method+" "+a.Path) + "</code>"
	switch a.Reason {
	case postern.ReasonInsufficientScope:
		return "It calls " + call + ", which its scopes do not open."
	case postern.ReasonAddressNotAllowed:
		return "It calls from <code>" + e(a.IP) + "</code>, which is not on its list."
	case postern.ReasonRateLimited, postern.ReasonDailyLimit:
		return "It calls more often than its limit allows."
	case postern.ReasonExpired:
		return "It is past its end."
	case postern.ReasonRetired, postern.ReasonUnknownKey:
		return "Something still sends an old or wrong secret."
	case postern.ReasonUnknownOperation, postern.ReasonMethodNotAllowed:
		return "It calls " + call + ", which the API does not have."
	case postern.ReasonUncovered:
		return "It calls " + call + ", which no scope opens."
	}
	return "It calls " + call + "."
}

// callsWords says how much a key is used, from its calls in 14 days.
func callsWords(calls int64) string {
	switch a := calls / sparkDays; {
	case calls == 0:
		return "It made no calls in 14 days."
	case a < 1:
		return "It made " + count(calls, "call", "calls") + " in 14 days."
	case a < 100:
		return "It makes about " + count(a, "call", "calls") + " a day."
	default:
		return "It makes about " + num(a/10*10) + " calls a day."
	}
}

// tools are programs by what their user agents contain.
var tools = []struct{ part, name string }{
	{"Microsoft.Data.Mashup", "Power BI"}, {"Power BI", "Power BI"}, {"Tableau", "Tableau"}, {"Looker", "Looker Studio"}, {"Airbyte", "Airbyte"}, {"Fivetran", "Fivetran"},
	{"Google-Apps-Script", "Google Sheets"}, {"Google-Sheets", "Google Sheets"}, {"PostmanRuntime", "Postman"}, {"Zapier", "Zapier"}, {"n8n", "n8n"}, {"Airflow", "Airflow"}, {"dbt", "dbt"},
	{"python", "Python script"}, {"aiohttp", "Python script"}, {"httpx", "Python script"}, {"hubspot-api-client-nodejs", "Node service"}, {"node", "Node service"}, {"undici", "Node service"},
	{"axios", "Node service"}, {"Go-http-client", "Go program"}, {"okhttp", "Java program"}, {"Java", "Java program"}, {"Ruby", "Ruby program"}, {"PHP", "PHP program"}, {"Guzzle", "PHP program"},
	{"curl", "curl"}, {"Wget", "wget"}, {"PowerShell", "PowerShell"}, {"Mozilla", "Browser"},
}

// toolName says what calls, from its user agent, which anybody can write.
func toolName(ua string) string {
	if ua == "" {
		return ""
	}
	low := strings.ToLower(ua)
	for _, t := range tools {
		if strings.Contains(low, strings.ToLower(t.part)) {
			return t.name
		}
	}
	name, _, _ := strings.Cut(ua, "/")
	name, _, _ = strings.Cut(name, " ")
	if r := []rune(name); len(r) > 24 {
		name = string(r[:24]) + "…"
	}
	return name
}

// find keys of ids, those that are there, as rows.
func (v *visit) rowsOf(ctx context.Context, ids []string) (*keySnap, []*keyRow, error) {
	s, err := v.c.snapshot(ctx, v.by.AccountID)
	if err != nil {
		return nil, nil, err
	}
	all, _ := v.rows(s, keysFilter{})
	by := make(map[string]*keyRow, len(all))
	for _, r := range all {
		by[string(r.Key.ID)] = r
	}
	var rows []*keyRow
	for _, id := range ids {
		if r := by[id]; r != nil {
			rows = append(rows, r)
			delete(by, id)
		}
	}
	return s, rows, nil
}
