package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	State  keyState // its words only where the row is shown
	Tool   string
	What   string // it can use
	How    string
	Calls  int64
	Days   []int64
	Used   time.Time
	InDays string // until it expires
	Soon   bool

	use   *activity.Use
	plain postern.State
	at    keyPlace
}

// flagged reports whether someone should look at the key.
func (r *keyRow) flagged() bool { return !r.Key.FlaggedAt.IsZero() && r.State.Rank != rankEnded }

// needsDecision reports whether someone must decide something about the key.
func (r *keyRow) needsDecision() bool { return r.State.Rank <= rankUnused || r.flagged() }

// in reports whether the row is in a view.
func (r *keyRow) in(tab string) bool {
	switch tab {
	case "decision":
		return r.needsDecision()
	case "rotating":
		return r.plain == postern.StateRotating
	case "unused":
		return r.State.Rank == rankUnused
	case "paused":
		return r.plain == postern.StatePaused
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
	if p.N != o.N { // mostly, and then the texts needn't be looked at
		return cmp.Compare(p.N, o.N)
	}
	return cmp.Or(strings.Compare(p.S, o.S), strings.Compare(p.ID, o.ID))
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

// rows are all keys with the ranks of their states, and those of them that a filter
// lets through, sorted. What else is shown of a row, fillRows adds.
func (v *visit) rows(s *keySnap, f keysFilter) (all, match []*keyRow) {
	all = make([]*keyRow, len(s.keys))
	backing := make([]keyRow, len(s.keys))
	q := strings.ToLower(f.Q)
	for i, k := range s.keys {
		r := &backing[i]
		r.Key, r.use, r.plain = k, s.used[i], k.State(v.now)
		r.Used = r.use.LastAt
		r.State.Rank = s.rank(k, r.plain, r.Used, v.now)
		all[i] = r
		if !r.in(f.Tab) && !(f.Q != "" && f.Tab == "") || f.Scope != "" && !slices.Contains(k.Scopes, postern.Scope(f.Scope)) {
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
			if r.in(t.id) {
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
	out := []option{{Value: "", Label: "Any scope", Selected: chosen == ""}}
	for _, sc := range s.granted {
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
		r.State = s.state(r.Key, v.now, v.zone)
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

// rowsOf are the keys of some ids, those that are there, as rows.
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
