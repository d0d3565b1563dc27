package console

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/store"
)

// keyRoutes are the page of one key. What is done to it is in key_edit.go,
// key_stop.go and rotate.go.
func (c *Console) keyRoutes() []route {
	read := []postern.Permission{postern.PermKeysRead}
	routes := []route{
		{Pattern: "GET /keys/{id}", Serve: c.showKey, Need: read},
		{Pattern: "GET /keys/{id}/callers", Serve: c.showAddresses, Need: []postern.Permission{postern.PermActivityRead}},
		{Pattern: "GET /keys/{id}/callers.csv", Serve: c.downloadAddresses, Need: []postern.Permission{postern.PermActivityRead}},
		{Pattern: "GET /keys/{id}/receipt", Serve: c.showReceipt, Need: read},
	}
	routes = append(routes, c.keyEditRoutes()...)
	routes = append(routes, c.keyStopRoutes()...)
	return append(routes, c.rotateRoutes()...)
}

const (
	callersSince = 30 * 24 * time.Hour
	newCaller    = 7 * 24 * time.Hour
	typedWithin  = 30 * 24 * time.Hour // a key that was used within this takes typing to delete
)

// keyHead is what all pages of one key hold: the key, and what its dialogs ask.
type keyHead struct {
	Common
	K        postern.ServiceKey
	State    keyState
	Team     string
	F        *form
	Revision int64
	Conflict *keyConflict
	Dialogs  bool // the forms are shown as dialogs of the key's page
	Live     bool // the key has not ended
	Paused   bool
	Rotating bool
	Use      activity.Use
	Week     int64  // calls in 7 days
	InUse    bool   // called within 30 days
	Typed    string // what must be typed to delete it
}

// keyConflict is a change that someone else made meanwhile.
type keyConflict struct {
	Who string
	At  time.Time
	Did string
}

// Link is an address under the key's own.
func (h *keyHead) Link(part string) string {
	if part == "" {
		return "/keys/" + string(h.K.ID)
	}
	return "/keys/" + string(h.K.ID) + "/" + part
}

// Tab is the address of a tab of the key's page.
func (h *keyHead) Tab(name string) string { return link(h.Link(""), "tab", name) }

// keyOf reads the key that the address names, and begins a page of it.
func (c *Console) keyOf(v *visit, title string) (*keySnap, keyHead, error) {
	ctx := v.r.Context()
	k, err := c.kr.Key(ctx, v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return nil, keyHead{}, err
	}
	c.cfg.Activity.Settle(ctx)
	s, err := c.snapshot(ctx, v.by.AccountID)
	if err != nil {
		return nil, keyHead{}, err
	}
	h := keyHead{K: k, State: s.state(&k, v.now, v.zone), F: newForm(), Revision: k.Revision, Use: s.uses[k.ID]}
	h.Live = h.State.Rank != rankEnded
	h.Paused, h.Rotating = !k.PausedAt.IsZero(), k.Rotating(v.now)
	if title == "" {
		title = k.Name
		h.Common = v.common(title, "/keys", crumb{Name: "Development"}, crumb{"Service keys", "/keys"})
	} else {
		h.Common = v.common(title+" "+k.Name, "/keys", crumb{"Service keys", "/keys"}, crumb{k.Name, h.Link("")})
	}
	if k.TeamID != "" {
		name, err := c.cfg.DB.Team(ctx, v.by.AccountID, k.TeamID)
		if err != nil && ours(err) {
			return nil, h, err
		}
		h.Team = name
	}
	week, err := c.cfg.Activity.Series(ctx, activity.Subject{Account: v.by.AccountID, Key: k.ID}, v.now.Add(-7*24*time.Hour), v.now.Add(time.Hour), 24*time.Hour)
	if err != nil {
		return nil, h, err
	}
	for _, p := range week {
		h.Week += p.Calls
	}
	// The summary of uses is a few seconds old; the calls of the week are not.
	h.InUse = h.Week > 0 || !h.Use.LastAt.IsZero() && v.now.Sub(h.Use.LastAt) < typedWithin
	if h.InUse {
		h.Typed = k.Name
	}
	return s, h, nil
}

// keyView is the page of one key.
type keyView struct {
	keyHead
	At   string // the tab
	Tabs tabs

	Age      string
	AgeWarn  bool
	AgeMost  int // days after which a secret should be rotated; 0 for never
	InDays   string
	From     string // where it may be used
	FromMore string
	Calls    *callsCard
	Latest   []keyCall
	Callers  []callerRow
	More     int // callers beyond those that are shown
	History  []historyRow
	Older    string // the address of what follows on the tabs with lists
	Access   *accessCard
	Most     []rankRow
	Undo     *undoNote
	Secrets  []secretRow
	Connect  connectPart
	Refused  bool // the activity tab shows only what was refused
	Rate     string
	Starts   bool // it starts in the future
}

// keyTabNames are the tabs of a key's page.
var keyTabNames = []struct{ id, name string }{{"", "Overview"}, {"activity", "Activity"}, {"scopes", "Scopes"}, {"secrets", "Secrets"}, {"connect", "Connect"}, {"history", "History"}}

// keyTab reports whether a tab is for the reader.
func (v *visit) keyTab(id string) bool {
	switch id {
	case "activity":
		return v.can(postern.PermActivityRead)
	case "history":
		return v.can(postern.PermAuditRead)
	}
	return true
}

func (c *Console) showKey(v *visit) error {
	at := v.query("tab")
	if !slices.ContainsFunc(keyTabNames, func(t struct{ id, name string }) bool { return t.id == at }) {
		return errNoPage
	}
	switch {
	case at == "activity" && !v.keyTab(at):
		return denied(postern.PermActivityRead)
	case at == "history" && !v.keyTab(at):
		return denied(postern.PermAuditRead)
	case !v.keyTab(at):
		return errNoPage
	}
	s, h, err := c.keyOf(v, "")
	if err != nil {
		return err
	}
	h.Dialogs, h.Scripts = true, []string{"key.js"}
	h.F = newForm("name", h.K.Name, "description", h.K.Description)
	view := &keyView{keyHead: h, At: at}
	view.fill(v, &s.policy)
	view.Tabs.Label = "This key"
	for _, t := range keyTabNames {
		if !v.keyTab(t.id) {
			continue
		}
		one := tab{Name: t.name, Link: h.Tab(t.id), Current: t.id == at}
		switch t.id {
		case "scopes":
			one.Count = num(len(h.K.Scopes))
		case "secrets":
			one.Count = "1"
			if h.Rotating {
				one.Count = "2"
			}
		}
		view.Tabs.Items = append(view.Tabs.Items, one)
	}
	switch at {
	case "":
		err = c.overview(v, s, view)
	case "activity":
		err = c.keyCalls(v, s, view)
	case "scopes":
		if view.Undo, err = c.undoable(v, &h.K); err == nil {
			view.Access, err = c.access(v, s, &h.K)
		}
	case "secrets":
		err = c.keySecrets(v, view)
	case "history":
		err = c.keyHistory(v, view, 50)
	case "connect":
		view.Connect, err = c.connect(v.r.Context(), &h.K, toolName(h.Use.UserAgent))
	}
	if err != nil {
		return err
	}
	return v.render("key", view)
}

// fill says the facts of the key.
func (view *keyView) fill(v *visit, p *postern.Policy) {
	k := &view.K
	old := v.now.Sub(k.Current.MadeAt)
	view.Age, view.AgeMost = ageWords(old)+" old", p.RemindAge
	view.AgeWarn = p.RemindAge > 0 && old >= time.Duration(p.RemindAge)*24*time.Hour
	if !k.ExpiresAt.IsZero() && view.Live {
		view.InDays = inWords(k.ExpiresAt, v.now)
	}
	switch n := len(k.Networks); {
	case n == 0:
		view.From = "Anywhere"
	case n == 1:
		view.From = k.Networks[0].String()
		if k.Networks[0].IsSingleIP() {
			view.From = k.Networks[0].Addr().String()
		}
	default:
		view.From, view.FromMore = count(n, "range", "ranges"), k.Networks[0].String()+" and "+moreWords(n-1)
	}
	if r := k.Rate; r.Calls > 0 {
		view.Rate = count(r.Calls, "call", "calls") + " in " + count(int64(r.Per/time.Second), "second", "seconds")
	}
	view.Starts = v.now.Before(k.NotBefore)
}

func moreWords(n int) string {
	if n == 1 {
		return "one more"
	}
	return num(n) + " more"
}

// ageWords says how long something has lasted.
func ageWords(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int64(d/(24*time.Hour)), "day", "days")
	case d >= 2*time.Hour:
		return count(int64(d/time.Hour), "hour", "hours")
	case d >= time.Minute:
		return count(int64(d/time.Minute), "minute", "minutes")
	}
	return "less than a minute"
}

// callsCard is the chart of calls, its numbers and the same as a table.
type callsCard struct {
	Periods []tab
	Name    string // "30 days"
	Stats   []stat
	Chart   chart
	Any     bool
	Each    string // what a bar is: "Day"
}

type stat struct {
	Value, Name string
	Minor       bool // left out on small screens
}

// keyPeriods are the stretches of the calls chart.
var keyPeriods = []struct {
	id, name, each string
	step           time.Duration
	n              int
}{
	{"24h", "24 hours", "Hour", time.Hour, 24},
	{"7d", "7 days", "6 hours from", 6 * time.Hour, 28},
	{"", "30 days", "Day", 24 * time.Hour, 30},
}

func (c *Console) overview(v *visit, s *keySnap, view *keyView) error {
	ctx, k := v.r.Context(), &view.K
	var err error
	if view.Calls, err = c.callsOf(v, k); err != nil {
		return err
	}
	if v.can(postern.PermActivityRead) {
		calls, _, err := c.cfg.Activity.Query(ctx, activity.Filter{Account: v.by.AccountID, Key: k.ID}, activity.Cursor{}, 6)
		if err != nil {
			return err
		}
		view.Latest = rowsOfCalls(s, k, calls)
		places, err := c.callersOf(v, k, 0)
		if err != nil {
			return err
		}
		view.More = max(0, len(places)-6)
		view.Callers = places[:min(6, len(places))]
		sum, err := c.cfg.Activity.Summary(ctx, activity.Subject{Account: v.by.AccountID, Key: k.ID}, v.now.Add(-callersSince), time.Time{})
		if err != nil {
			return err
		}
		view.Most = mostCalled(sum.ByOperation)
	}
	if v.can(postern.PermAuditRead) {
		if err := c.keyHistory(v, view, 5); err != nil {
			return err
		}
	}
	if view.Undo, err = c.undoable(v, k); err != nil {
		return err
	}
	view.Access, err = c.access(v, s, k)
	return err
}

func (c *Console) callsOf(v *visit, k *postern.ServiceKey) (*callsCard, error) {
	p := keyPeriods[2]
	card := &callsCard{}
	for _, q := range keyPeriods {
		if q.id == v.query("period") {
			p = q
		}
	}
	for _, q := range keyPeriods {
		card.Periods = append(card.Periods, tab{Name: q.name, Link: link("/keys/"+string(k.ID), "period", q.id) + "#calls", Current: q.id == p.id})
	}
	local := v.now.In(v.zone)
	to := time.Date(local.Year(), local.Month(), local.Day(), local.Hour()+1, 0, 0, 0, v.zone)
	if p.step == 24*time.Hour {
		to = time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, v.zone)
	}
	points, err := c.cfg.Activity.Series(v.r.Context(), activity.Subject{Account: v.by.AccountID, Key: k.ID}, to.Add(-time.Duration(p.n)*p.step), to, p.step)
	if err != nil {
		return nil, err
	}
	var all activity.Totals
	card.Name, card.Each = p.name, p.each
	card.Chart = chart{Names: []string{"Worked", "Refused"}, Kinds: []string{"b1", "b3"}}
	for _, pt := range points {
		all.Add(pt.Totals)
		card.Chart.Bars = append(card.Chart.Bars, bar{Name: barName(pt.Start.In(v.zone), p.step), Values: []int64{pt.Calls - pt.Refused, pt.Refused}})
	}
	card.Any = all.Calls > 0
	card.Chart.Ticks = ticks(points, p.step, v.zone)
	card.Chart.Label = fmt.Sprintf("Calls in the last %s: %s, of which %s.", p.name, count(all.Calls, "call", "calls"), count(all.Refused, "was refused", "were refused"))
	card.Stats = []stat{{Value: num(all.Calls), Name: noun(all.Calls, "call", "calls")}, {Value: percent(all.Refused, all.Calls), Name: "refused, " + count(all.Refused, "call", "calls")}}
	if all.Calls > 0 {
		card.Stats = append(card.Stats, stat{Value: took(all.Duration / time.Duration(all.Calls)), Name: "average answer"}, stat{Value: took(all.MaxDuration), Name: "slowest answer", Minor: true})
	}
	return card, nil
}

func noun(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// percent is a share, with a decimal where it is small.
func percent(part, all int64) string {
	switch {
	case all == 0 || part == 0:
		return "0%"
	case part*100 >= 10*all:
		return num(part*100/all) + "%"
	case part*1000 < all:
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", float64(part)*100/float64(all))
}

// took says how long something took.
func took(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%d s", d/time.Second)
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return "<1 ms"
}

func barName(t time.Time, step time.Duration) string {
	if step >= 24*time.Hour {
		return t.Format("Mon 2 Jan")
	}
	return t.Format("Mon 2 Jan, 15:04")
}

// ticks are up to five marks under a chart.
func ticks(points []activity.Point, step time.Duration, zone *time.Location) []string {
	if len(points) == 0 {
		return nil
	}
	format := "2 Jan"
	if step < 6*time.Hour && points[len(points)-1].Start.Sub(points[0].Start) <= 26*time.Hour {
		format = "15:04"
	}
	var out []string
	for i := range 5 {
		out = append(out, points[i*(len(points)-1)/4].Start.In(zone).Format(format))
	}
	return out
}

// keyCall is a call on a list.
type keyCall struct {
	At     time.Time
	Clock  string
	Method string
	Path   string
	Status int
	OK     bool
	Why    string // of a refusal, short
	Scope  string
	Took   string
	IP     string
	Client string
	Gen    int64
}

func rowsOfCalls(s *keySnap, k *postern.ServiceKey, calls []postern.Activity) []keyCall {
	out := make([]keyCall, len(calls))
	for i := range calls {
		a := &calls[i]
		out[i] = keyCall{At: a.At, Method: a.Method, Path: a.Path, Status: a.Status, OK: a.Allowed && a.Status < 400, Took: took(a.Duration), IP: a.IP, Client: a.UserAgent, Gen: a.Generation}
		switch {
		case !a.Allowed:
			out[i].Why = reasonWords(a.Reason)
			if len(a.Missing) > 0 {
				out[i].Scope = string(a.Missing[0])
			}
		default:
			out[i].Scope = string(s.opener(k, a.Upstream, a.Operation))
		}
	}
	return out
}

// opener is a scope of the key that opens an operation.
func (s *keySnap) opener(k *postern.ServiceKey, up postern.UpstreamID, op string) postern.Scope {
	for _, sc := range k.Scopes {
		if i := s.scopes[sc]; i != nil && i.Upstream == up && slices.Contains(i.Opens, op) {
			return sc
		}
	}
	return ""
}

// keyCalls is the activity tab.
func (c *Console) keyCalls(v *visit, s *keySnap, view *keyView) error {
	f := activity.Filter{Account: v.by.AccountID, Key: view.K.ID}
	if view.Refused = v.query("show") == "refused"; view.Refused {
		no := false
		f.Allowed = &no
	}
	after, err := activity.ParseCursor(v.query("after"))
	if err != nil {
		return errNoPage
	}
	calls, next, err := c.cfg.Activity.Query(v.r.Context(), f, after, 50)
	if err != nil {
		return err
	}
	view.Latest = rowsOfCalls(s, &view.K, calls)
	if !next.Zero() {
		view.Older = link(view.Link(""), "tab", "activity", "show", v.query("show"), "after", next.String())
	}
	return nil
}

// callerRow is an address and program that calls with a key.
type callerRow struct {
	Tool, Agent, IP string
	Calls, Refused  int64
	First, Last     time.Time
	New             bool
}

// callersOf are who called with a key in 30 days, most calls first; with a
// generation those who used that secret.
func (c *Console) callersOf(v *visit, k *postern.ServiceKey, generation int64) ([]callerRow, error) {
	list, err := c.cfg.Activity.Callers(v.r.Context(), v.by.AccountID, k.ID, generation, v.now.Add(-callersSince))
	if err != nil {
		return nil, err
	}
	var out []callerRow
	for _, one := range list {
		tool := toolName(one.UserAgent)
		i := slices.IndexFunc(out, func(r callerRow) bool { return r.IP == one.IP && r.Tool == tool })
		if i < 0 {
			i = len(out)
			out = append(out, callerRow{Tool: tool, Agent: one.UserAgent, IP: one.IP, First: one.FirstAt, Last: one.LastAt})
		}
		r := &out[i]
		r.Calls, r.Refused = r.Calls+one.Calls, r.Refused+one.Refused
		if one.FirstAt.Before(r.First) {
			r.First = one.FirstAt
		}
		if one.LastAt.After(r.Last) {
			r.Last, r.Agent = one.LastAt, one.UserAgent
		}
	}
	// On a young key everything is new, and nothing worth a mark.
	young := v.now.Sub(k.CreatedAt) < newCaller
	for i := range out {
		out[i].New = !young && v.now.Sub(out[i].First) < newCaller
	}
	slices.SortStableFunc(out, func(a, b callerRow) int { return cmp.Compare(b.Calls, a.Calls) })
	return out, nil
}

// Name is what a caller is called.
func (r callerRow) Name() string {
	switch {
	case r.Tool != "":
		return r.Tool
	case r.IP == "":
		return "Other callers"
	}
	return "Unnamed program"
}

// rankRow is an endpoint among the most called.
type rankRow struct {
	Method, Path string
	Calls        int64
	Share        int64 // of 100, against the most called
}

func mostCalled(ops []activity.OperationTotals) []rankRow {
	var out []rankRow
	for _, o := range ops {
		if o.Operation == "" || len(out) == 5 {
			continue
		}
		method, path, ok := strings.Cut(o.Operation, " ")
		if !ok || strings.ToUpper(method) != method {
			method, path = "", o.Operation
		}
		out = append(out, rankRow{Method: method, Path: path, Calls: o.Calls})
	}
	for i := range out {
		out[i].Share = max(1, out[i].Calls*100/max(1, out[0].Calls))
	}
	return out
}

// secretRow is a secret that a key has or had.
type secretRow struct {
	Gen    int64
	Last4  string
	Name   string
	Kind   string // of its pill
	State  string
	MadeAt time.Time
	Age    string
	EndsAt time.Time
	By     string
	Use    activity.Use
}

func (c *Console) keySecrets(v *visit, view *keyView) error {
	uses, err := c.cfg.Activity.Uses(v.r.Context(), v.by.AccountID, view.K.ID)
	if err != nil {
		return err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return err
	}
	k := &view.K
	add := func(i postern.SecretInfo, name, kind, state string) {
		if i.Generation == 0 {
			return
		}
		r := secretRow{Gen: i.Generation, Last4: i.LastFour, Name: name, Kind: kind, State: state, MadeAt: i.MadeAt, EndsAt: i.EndsAt, By: names[i.MadeBy]}
		if !i.MadeAt.IsZero() {
			r.Age = ageWords(v.now.Sub(i.MadeAt))
		}
		view.Secrets = append(view.Secrets, r)
	}
	switch {
	case !view.Live:
		add(k.Current, "Last secret", "", "Ended")
		add(k.Previous, "Earlier secret", "", "Ended")
	case view.Rotating:
		add(k.Current, "New secret", "ok", "In force")
		add(k.Previous, "Old secret", "warn", "Ends "+inWords(k.Previous.EndsAt, v.now))
	default:
		add(k.Current, "Secret", "ok", "In force")
		name := "Old secret"
		if k.Previous.Generation > k.Current.Generation {
			name = "Taken back"
		}
		add(k.Previous, name, "", "Ended")
	}
	for _, u := range uses {
		i := slices.IndexFunc(view.Secrets, func(r secretRow) bool { return r.Gen == u.Generation })
		if i < 0 {
			i = len(view.Secrets)
			view.Secrets = append(view.Secrets, secretRow{Gen: u.Generation, Name: "Earlier secret", State: "Ended"})
		}
		view.Secrets[i].Use = u
	}
	slices.SortStableFunc(view.Secrets, func(a, b secretRow) int { return cmp.Compare(b.Gen, a.Gen) })
	return nil
}

// memberNames are the members of the account, those who left too.
func (c *Console) memberNames(v *visit) (map[postern.MemberID]string, error) {
	list, err := c.cfg.DB.Members(v.r.Context(), v.by.AccountID, true)
	if err != nil {
		return nil, err
	}
	out := make(map[postern.MemberID]string, len(list))
	for i := range list {
		out[list[i].ID] = nameOf(&list[i])
	}
	return out, nil
}

// addressesView is every address that used a key in 30 days.
type addressesView struct {
	keyHead
	Rows []callerRow
	News int
}

func (c *Console) showAddresses(v *visit) error {
	_, h, err := c.keyOf(v, "Addresses of")
	if err != nil {
		return err
	}
	view := &addressesView{keyHead: h}
	if view.Rows, err = c.callersOf(v, &h.K, 0); err != nil {
		return err
	}
	for _, r := range view.Rows {
		if r.New {
			view.News++
		}
	}
	return v.render("key_callers", view)
}

func (c *Console) downloadAddresses(v *visit) error {
	k, err := c.kr.Key(v.r.Context(), v.by, postern.KeyID(v.path("id")))
	if err != nil {
		return err
	}
	rows, err := c.callersOf(v, &k, 0)
	if err != nil {
		return err
	}
	// The key itself is not changed, so the entry is no part of its history.
	e := v.by.Entry(v.now, "service_key.callers.export", "callers")
	e.Name, e.After = k.Name, map[string]any{"format": "csv", "key": string(k.ID), "rows": len(rows)}
	out, err := v.beginExport(e, "addresses-of-"+string(k.ID), "csv")
	if err != nil || out == nil {
		return err
	}
	out.row([]string{"address", "client", "calls", "refused", "first_seen", "last_seen", "new"})
	for _, r := range rows {
		out.row([]string{r.IP, r.Agent, fmt.Sprint(r.Calls), fmt.Sprint(r.Refused), stamp(r.First), stamp(r.Last), fmt.Sprint(r.New)})
	}
	return out.end()
}

// receiptView says where the latest change of a key is in force.
type receiptView struct {
	keyHead
	R        receiptWords
	Heading  string
	Reason   string
	WhenEnds time.Time
}

// receiptWords is a receipt as people read it.
type receiptWords struct {
	Known      bool
	Everywhere bool
	Confirmed  []string
	Awaited    []awaitedRow
	By         time.Time
}

type awaitedRow struct {
	Node  string
	Until time.Time
}

// receiptWait is how long a page waits for all servers to confirm a change.
const receiptWait = 3 * time.Second

// receipt asks where a change is in force. Where nobody can tell now it can be asked again.
func (c *Console) receipt(v *visit, seq int64) (out receiptWords) {
	r, err := c.cfg.Verifier.Receipt(v.r.Context(), seq, receiptWait)
	if err != nil {
		v.err = err
		return out
	}
	out = receiptWords{Known: true, Everywhere: r.Everywhere, Confirmed: r.Confirmed, By: r.EffectiveBy}
	for _, a := range r.Awaited {
		out.Awaited = append(out.Awaited, awaitedRow{a.Node, a.Until})
	}
	return out
}

// Said is the receipt in a sentence.
func (r receiptWords) Said() string {
	switch {
	case !r.Known:
		return "The servers could not be asked yet."
	case r.Everywhere && len(r.Confirmed) > 1:
		return "All " + num(len(r.Confirmed)) + " servers confirmed it."
	case r.Everywhere:
		return "This is in force everywhere."
	}
	return count(len(r.Awaited), "server has", "servers have") + " not confirmed it yet."
}

func (c *Console) showReceipt(v *visit) error {
	_, h, err := c.keyOf(v, "Receipt for")
	if err != nil {
		return err
	}
	seq, err := c.kr.ChangeSeq(v.r.Context(), v.by, h.K.ID)
	if err != nil {
		return err
	}
	view := &receiptView{keyHead: h, R: c.receipt(v, seq), Heading: "The latest change is in force", Reason: h.K.RevokedWhy}
	switch {
	case h.K.Ended():
		view.Heading = "The key has ended"
	case h.Paused:
		view.Heading = "The key is paused"
	}
	if !view.R.Everywhere {
		view.Heading = strings.Replace(view.Heading, "is in force", "is on its way", 1)
	}
	return v.render("key_receipt", view)
}

// conflict says who changed a key meanwhile, from the audit log.
func (c *Console) conflict(v *visit, id postern.KeyID) (*keyConflict, error) {
	list, err := c.cfg.DB.AuditPage(v.r.Context(), v.by.AccountID, store.AuditFilter{Object: string(id), Result: "ok"}, 0, 1)
	if err != nil || len(list) == 0 {
		return &keyConflict{Who: "Someone"}, err
	}
	names, err := c.memberNames(v)
	if err != nil {
		return nil, err
	}
	return &keyConflict{Who: actorName(&list[0], names), At: list[0].At, Did: historyWords(&list[0])}, nil
}

// SeeHistory reports whether the reader may look at the change.
func (h *keyHead) SeeHistory() bool { return h.Can(string(postern.PermAuditRead)) }

// Sentence says what is made of the calls of the week: what fails when the key stops.
func (h *keyHead) Sentence() template.HTML {
	if h.Week == 0 && !h.InUse {
		return ""
	}
	s := "It made " + count(h.Week, "call", "calls") + " in the last 7 days"
	if !h.Use.LastAt.IsZero() {
		s += ", the latest " + string(h.Time(h.Use.LastAt))
		if h.Use.IP != "" {
			s += " from <bdi>" + template.HTMLEscapeString(h.Use.IP) + "</bdi>"
		}
	}
	return template.HTML(s + ".")
}
