package console

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// activityRoutes are the explorer of calls.
func (c *Console) activityRoutes() []route {
	read := []postern.Permission{postern.PermActivityRead}
	slots := make(chan struct{}, exportsAtOnce)
	return []route{
		{Pattern: "GET /activity", Serve: c.listCalls, Need: read},
		{Pattern: "GET /activity/{cursor}", Serve: c.showCall, Need: read},
		{Pattern: "GET /activity/live", Quiet: true, Serve: c.liveCalls, Need: read},
		{Pattern: "GET /activity.csv", Serve: c.exportCalls("csv", slots), Need: read},
		{Pattern: "GET /activity.jsonl", Serve: c.exportCalls("jsonl", slots), Need: read},
	}
}

const (
	callsAPage = 50
	// requestLook is how long one answer looks for a request number, which no index knows.
	requestLook = 1200 * time.Millisecond
	// looseKeys is how many keys the key field proposes.
	looseKeys = 200
)

// periods are the times that calls can be looked at for.
var periods = []struct {
	id, name string
	long     time.Duration
}{{"1h", "Last hour", time.Hour}, {"", "Last 24 hours", 24 * time.Hour}, {"7d", "Last 7 days", 7 * 24 * time.Hour}, {"30d", "Last 30 days", 30 * 24 * time.Hour}}

// callAnswers are the ways in which calls are answered.
var callAnswers = []option{{Value: "", Label: "Any answer"}, {Value: "worked", Label: "Worked"}, {Value: "refused", Label: "Refused"},
	{Value: "2xx", Label: "2xx, success"}, {Value: "3xx", Label: "3xx, elsewhere"}, {Value: "4xx", Label: "4xx, caller's mistake"}, {Value: "5xx", Label: "5xx, server's mistake"}}

var callMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

// callsFilter is what the address says of the calls that are asked for.
type callsFilter struct {
	F       *form // as it was typed, with what is wrong with it
	Secret  bool  // something that looked like a secret was left out
	After   string
	KeyID   postern.KeyID
	KeyName string
	since   time.Time
	until   time.Time // zero: now
	values  url.Values
}

// callFields are the filters in the order in which the first is the narrowest.
var callFields = []struct{ name, words string }{
	{"request", "the request number"}, {"path", "the path"}, {"operation", "the operation"}, {"ip", "the address"}, {"reason", "the reason"},
	{"method", "the method"}, {"answer", "the answer"}, {"key", "the key"},
}

// callsFilter reads the address. What is wrong is told beside its field, and narrows nothing.
func (v *visit) callsFilter(keys map[postern.KeyID]*postern.ServiceKey) callsFilter {
	f := callsFilter{F: &form{Values: url.Values{}}, values: url.Values{}, After: v.query("after")}
	for _, name := range []string{"period", "from", "to", "key", "answer", "reason", "method", "path", "ip", "operation", "request"} {
		text := v.query(name)
		if hasOurs(text) {
			f.Secret = true
			continue
		}
		if len(text) > 300 {
			text = strings.ToValidUTF8(text[:300], "")
		}
		if text != "" {
			f.F.Values.Set(name, text)
			f.values.Set(name, text)
		}
	}
	f.readTime(v)
	f.readKey(keys)
	f.readRest()
	return f
}

func (f *callsFilter) drop(field, format string, args ...any) {
	f.F.Wrong(field, format, args...)
	f.values.Del(field)
}

// readTime finds from when to when. Times without a zone are the reader's.
func (f *callsFilter) readTime(v *visit) {
	at := func(name string) (t time.Time) {
		text := f.F.Get(name)
		if text == "" {
			return t
		}
		for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"} {
			if t, err := time.ParseInLocation(layout, text, v.zone); err == nil && t.Year() > 2000 && t.Year() < 3000 {
				f.values.Set(name, t.UTC().Format(time.RFC3339))
				return t
			}
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil && t.Year() > 2000 && t.Year() < 3000 {
			f.F.Values.Set(name, t.In(v.zone).Format("2006-01-02T15:04"))
			return t
		}
		f.drop(name, "Write the time as 2026-11-22T09:30.")
		return time.Time{}
	}
	f.since, f.until = at("from"), at("to")
	i := max(0, slices.IndexFunc(periods, func(p struct {
		id, name string
		long     time.Duration
	}) bool {
		return p.id == f.F.Get("period")
	}))
	if f.F.Get("period") == "" {
		i = 1
	}
	if f.since.IsZero() && f.until.IsZero() {
		f.since = v.now.Add(-periods[i].long)
	} else {
		f.values.Del("period")
		f.F.Values.Del("period")
		if f.since.IsZero() {
			f.since = f.until.Add(-periods[i].long)
		}
	}
	if !f.until.IsZero() && !f.since.Before(f.until) {
		f.drop("to", "The end has to come after the start.")
		f.until = time.Time{}
	}
}

// readKey finds the key by its ID or name.
func (f *callsFilter) readKey(keys map[postern.KeyID]*postern.ServiceKey) {
	text := f.F.Get("key")
	if text == "" {
		return
	}
	if k := keys[postern.KeyID(text)]; k != nil {
		f.KeyID, f.KeyName = k.ID, k.Name
		return
	}
	for _, k := range keys {
		// Of several keys of a name, ended ones too, the one that is alive.
		if k.Name == text && (f.KeyID == "" || keys[f.KeyID].Ended()) {
			f.KeyID, f.KeyName = k.ID, k.Name
		}
	}
	switch {
	case f.KeyID != "":
		f.values.Set("key", string(f.KeyID))
	case len(text) == postern.KeyIDLen:
		f.KeyID = postern.KeyID(text) // one that is deleted, or somebody's personal key
	default:
		f.drop("key", "No key is called that. Choose one from the list, or give its key ID.")
	}
}

func (f *callsFilter) readRest() {
	if a := f.F.Get("answer"); a != "" && !slices.ContainsFunc(callAnswers, func(o option) bool { return o.Value == a }) {
		f.drop("answer", "Choose one of the answers.")
	}
	if r := f.F.Get("reason"); r != "" {
		if _, ok := postern.ParseReason(r); !ok {
			f.drop("reason", "Choose one of the reasons.")
		}
	}
	if ip := f.F.Get("ip"); ip != "" {
		if a, err := netip.ParseAddr(ip); err != nil {
			f.drop("ip", "Write one address, such as 203.0.113.5.")
		} else {
			f.values.Set("ip", a.Unmap().String())
		}
	}
}

// query is the filter as the log takes it.
func (f *callsFilter) query(account postern.AccountID) activity.Filter {
	q := activity.Filter{Account: account, Key: f.KeyID, Operation: f.values.Get("operation"), Method: strings.ToUpper(f.values.Get("method")),
		IP: f.values.Get("ip"), PathPrefix: f.values.Get("path"), Since: f.since, Until: f.until}
	q.Reason, _ = postern.ParseReason(f.values.Get("reason"))
	yes, no := true, false
	switch a := f.values.Get("answer"); a {
	case "worked":
		q.Allowed = &yes
	case "refused":
		q.Allowed = &no
	case "2xx", "3xx", "4xx", "5xx":
		q.StatusClass = int(a[0] - '0')
	}
	return q
}

// with is an address with the filters, some of them changed; its cursor is dropped.
func (f callsFilter) with(path string, pairs ...string) string {
	q := url.Values{}
	for name, values := range f.values {
		q[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Del(pairs[i])
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Narrow reports whether any calls of the time are left out.
func (f callsFilter) Narrow() bool {
	return slices.ContainsFunc(callFields, func(x struct{ name, words string }) bool { return f.values.Has(x.name) })
}

// More reports whether filters are set that stand behind "More filters".
func (f callsFilter) More() bool {
	for _, name := range []string{"from", "to", "method", "path", "ip", "operation", "request"} {
		if f.F != nil && (f.F.Values.Has(name) || f.F.ErrorOf(name) != "") {
			return true
		}
	}
	return false
}

// beyondBars reports whether the bars count calls that the list leaves out.
func (f callsFilter) beyondBars() bool {
	for _, x := range callFields {
		if a := f.values.Get("answer"); f.values.Has(x.name) && x.name != "key" && (x.name != "answer" || a != "worked" && a != "refused") {
			return true
		}
	}
	return false
}

// callsView is the explorer.
type callsView struct {
	Common
	Filter  callsFilter
	Periods []tab
	Reasons []option
	Answers []option
	Methods []option
	Keys    []*postern.ServiceKey // that the key field proposes
	Chart   callsChart
	Rows    []callRow
	Words   string // under the list
	Newest  string // the address of the first page, on later ones
	Older   string
	Reached time.Time // how far back was looked, where the page isn't full
	Widest  string    // the filter that could be dropped
	Drop    string    // the address without it
	Live    string    // where what is new is asked for
	CSV     string
	JSONL   string
	Lost    int64 // calls of the time that could not be recorded
	Horizon bool  // the time begins before single calls are kept
}

// callsChart is the bars of the time, and the same numbers.
type callsChart struct {
	Chart   chart
	Totals  activity.Totals
	Worked  int64
	Average string
	Beyond  bool // it counts calls that the list leaves out
	Points  []chartPoint
}

type chartPoint struct {
	At              time.Time
	Name            string
	Worked, Refused int64
}

// callRow is a call on a list.
type callRow struct {
	*postern.Activity
	Link    string
	Name    string // of the key, or whose it is
	Answer  string // "200", or what stands for it
	Kind    string // ok or bad
	Why     string // it was refused
	Took    string
	Client  string
	KeyLink string
}

func (c *Console) listCalls(v *visit) error {
	ctx := v.r.Context()
	keys, list, err := v.keysByID(ctx)
	if err != nil {
		return v.noCalls(err)
	}
	f := v.callsFilter(keys)
	view := &callsView{Common: v.common("Activity", "/activity", crumb{Name: "Monitoring"}), Filter: f, Live: f.with("/activity/live"),
		CSV: f.with("/activity.csv"), JSONL: f.with("/activity.jsonl"), Keys: list[:min(len(list), looseKeys)]}
	view.Scripts = []string{"activity.js"}
	view.Error = !f.F.OK()
	view.choices(f)
	after, err := activity.ParseCursor(f.After)
	if err != nil {
		return err
	}
	calls, next, err := c.findCalls(ctx, f.query(v.by.AccountID), f.values.Get("request"), after, callsAPage)
	if err != nil {
		return v.noCalls(err)
	}
	if view.Rows, err = v.callRows(ctx, keys, calls, f); err != nil {
		return v.noCalls(err)
	}
	if view.Chart, err = c.callsChart(v, f); err != nil {
		return v.noCalls(err)
	}
	if !after.Zero() {
		view.Newest = f.with("/activity")
	}
	if !next.Zero() {
		view.Older = f.with("/activity", "after", next.String())
		if len(calls) < callsAPage {
			view.Reached = next.At.Time()
		}
	}
	view.Words = count(len(calls), "call", "calls")
	if len(calls) == 0 && next.Zero() && after.Zero() {
		c.widest(v, view, f)
	}
	lost, err := c.cfg.Activity.Losses(ctx, f.since)
	if err != nil {
		return v.noCalls(err)
	}
	for _, l := range lost {
		if f.until.IsZero() || l.Hour.Before(f.until) {
			view.Lost += l.Calls
		}
	}
	view.Horizon = v.now.Sub(f.since) > 30*24*time.Hour+time.Minute
	return v.render("activity", view)
}

// noCalls says that calls can't be shown.
func (v *visit) noCalls(err error) error {
	if !ours(err) {
		return err
	}
	v.err = err
	return v.show(500, "fail", &failView{Common: v.common("Activity", "/activity"), Icon: "alert", Heading: "We could not load the calls",
		Text: "Your keys still work, and calls are still recorded. Trying again usually helps.", Number: v.id, Retry: localPath(v.r.URL.RequestURI())})
}

func (view *callsView) choices(f callsFilter) {
	for _, p := range periods {
		current := f.values.Get("period") == p.id && !f.values.Has("from") && !f.values.Has("to")
		view.Periods = append(view.Periods, tab{Name: p.name, Current: current, Link: f.with("/activity", "period", p.id, "from", "", "to", "")})
	}
	view.Answers = callAnswers
	view.Reasons = []option{{Value: "", Label: "Any reason"}}
	for _, r := range postern.Reasons() {
		if r != postern.ReasonAllowed && r != postern.ReasonPublic {
			view.Reasons = append(view.Reasons, option{Value: r.String(), Label: reasonWords(r)})
		}
	}
	view.Methods = []option{{Value: "", Label: "Any method"}}
	for _, m := range callMethods {
		view.Methods = append(view.Methods, option{Value: m, Label: m})
	}
}

// keysByID are the account's service keys, and a list of them with those used last
// first. Who may not see keys sees their IDs in activity, and none of this.
func (v *visit) keysByID(ctx context.Context) (map[postern.KeyID]*postern.ServiceKey, []*postern.ServiceKey, error) {
	if !v.can(postern.PermKeysRead) {
		return nil, nil, nil
	}
	s, err := v.c.snapshot(ctx, v.by.AccountID)
	if err != nil {
		return nil, nil, err
	}
	by := make(map[postern.KeyID]*postern.ServiceKey, len(s.keys))
	for _, k := range s.keys {
		by[k.ID] = k
	}
	list := slices.SortedFunc(slices.Values(s.keys), func(a, b *postern.ServiceKey) int {
		return cmp.Or(s.uses[b.ID].LastAt.Compare(s.uses[a.ID].LastAt), strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return by, list, nil
}

// findCalls is a page of calls. With a request number it looks call by call, for as
// long as an answer may take.
func (c *Console) findCalls(ctx context.Context, q activity.Filter, request string, after activity.Cursor, n int) ([]postern.Activity, activity.Cursor, error) {
	c.cfg.Activity.Settle(ctx)
	if request == "" {
		return c.cfg.Activity.Query(ctx, q, after, n)
	}
	var out []postern.Activity
	for stop := time.Now().Add(requestLook); ; {
		calls, next, err := c.cfg.Activity.Query(ctx, q, after, 200)
		if err != nil {
			return nil, next, err
		}
		for i := range calls {
			if calls[i].RequestID == request {
				if out = append(out, calls[i]); len(out) == n {
					return out, activity.Cursor{At: postern.ToMicros(calls[i].At), Seq: calls[i].Seq}, nil
				}
			}
		}
		if next.Zero() || time.Now().After(stop) {
			return out, next, nil
		}
		after = next
	}
}

// widest finds the filter without which there would be calls.
func (c *Console) widest(v *visit, view *callsView, f callsFilter) {
	stop := time.Now().Add(time.Second)
	for _, x := range callFields {
		if !f.values.Has(x.name) || time.Now().After(stop) {
			continue
		}
		less := f
		less.values = url.Values{}
		for name, values := range f.values {
			if name != x.name {
				less.values[name] = values
			}
		}
		if x.name == "key" {
			less.KeyID = ""
		}
		if view.Widest == "" { // where nothing helps alone, the narrowest is as good as any
			view.Widest, view.Drop = x.words, less.with("/activity")
		}
		calls, _, err := c.findCalls(v.r.Context(), less.query(v.by.AccountID), less.values.Get("request"), activity.Cursor{}, 1)
		if err == nil && len(calls) > 0 {
			view.Widest, view.Drop = x.words, less.with("/activity")
			return
		}
	}
	if v.now.Sub(f.since) < 29*24*time.Hour {
		view.Widest, view.Drop = "the time", f.with("/activity", "period", "30d", "from", "", "to", "")
	}
}

// callsChart is the calls of the time, by steps that make about 24 to 60 bars.
func (c *Console) callsChart(v *visit, f callsFilter) (out callsChart, err error) {
	to := v.now
	if !f.until.IsZero() {
		to = f.until
	}
	long, step := to.Sub(f.since), time.Hour
	switch {
	case long <= 49*time.Hour:
	case long <= 8*24*time.Hour:
		step = 6 * time.Hour
	default:
		step = max(1, long/(60*24*time.Hour)+1) * 24 * time.Hour
	}
	from := f.since.In(v.zone)
	switch {
	case step >= 24*time.Hour:
		from = time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, v.zone)
	case step > time.Hour:
		from = time.Date(from.Year(), from.Month(), from.Day(), from.Hour()/6*6, 0, 0, 0, v.zone)
	}
	if to.Sub(from)/step > 1900 {
		from = to.Add(-1900 * step)
	}
	points, err := c.cfg.Activity.Series(v.r.Context(), activity.Subject{Account: v.by.AccountID, Key: f.KeyID}, from, to, step)
	if err != nil {
		return out, err
	}
	name := f.KeyName
	if name == "" {
		name = "all keys"
	}
	out.Chart = chart{Label: "Calls of " + name + ", worked and refused", Names: []string{"Worked", "Refused"}, Kinds: []string{"b1", "b3"}}
	answer := f.values.Get("answer")
	for _, p := range points {
		worked, refused := p.Calls-p.Refused, p.Refused
		if answer == "worked" {
			refused = 0
		} else if answer == "refused" {
			worked = 0
		}
		at := p.Start.In(v.zone)
		label := at.Format("2 Jan")
		if step < 24*time.Hour {
			label = at.Format("2 Jan, 15:04")
		}
		out.Chart.Bars = append(out.Chart.Bars, bar{Name: label, Values: []int64{worked, refused}})
		out.Points = append(out.Points, chartPoint{p.Start, label, worked, refused})
		out.Worked += worked
		out.Totals.Add(p.Totals)
	}
	out.Totals.Refused = 0
	for _, p := range out.Points {
		out.Totals.Refused += p.Refused
	}
	if n := out.Totals.Calls; n > 0 && answer == "" {
		out.Average = tookWords(out.Totals.Duration / time.Duration(n))
	}
	out.Totals.Calls = out.Worked + out.Totals.Refused
	if n := len(out.Chart.Bars); n > 0 {
		form := "2 Jan"
		if step == time.Hour {
			form = "15:04"
		}
		for _, i := range slices.Compact([]int{0, n / 4, n / 2, n * 3 / 4, n - 1}) {
			out.Chart.Ticks = append(out.Chart.Ticks, points[i].Start.In(v.zone).Format(form))
		}
	}
	out.Beyond = f.beyondBars()
	return out, nil
}

// callRows dresses calls for a list.
func (v *visit) callRows(ctx context.Context, keys map[postern.KeyID]*postern.ServiceKey, calls []postern.Activity, f callsFilter) ([]callRow, error) {
	people, err := v.peopleOf(ctx, calls)
	if err != nil {
		return nil, err
	}
	rows := make([]callRow, len(calls))
	for i := range calls {
		a := &calls[i]
		at := activity.Cursor{At: postern.ToMicros(a.At), Seq: a.Seq}
		rows[i] = callRow{Activity: a, Link: f.with("/activity/" + at.String()), Took: tookWords(a.Duration), Client: toolName(a.UserAgent)}
		rows[i].Name, rows[i].KeyLink = v.callerOf(a, keys, people)
		rows[i].Answer, rows[i].Kind = answerOf(a)
		if !a.Allowed {
			rows[i].Why = reasonWords(a.Reason)
		}
	}
	return rows, nil
}

// peopleOf are the names of the members whose personal keys calls were made with.
func (v *visit) peopleOf(ctx context.Context, calls []postern.Activity) (map[postern.MemberID]string, error) {
	out := map[postern.MemberID]string{}
	for i := range calls {
		id := calls[i].MemberID
		if _, ok := out[id]; ok || id == "" {
			continue
		}
		m, err := v.c.cfg.DB.MemberOf(ctx, v.by.AccountID, id)
		if err != nil && ours(err) {
			return nil, err
		}
		out[id] = nameOf(&m)
	}
	return out, nil
}

// callerOf says whose call it was, and where to look at that.
func (v *visit) callerOf(a *postern.Activity, keys map[postern.KeyID]*postern.ServiceKey, people map[postern.MemberID]string) (name, to string) {
	if k := keys[a.KeyID]; k != nil {
		return k.Name, v.keyLink(k.ID)
	}
	if p := people[a.MemberID]; p != "" {
		return "Personal key of " + p, ""
	}
	return string(a.KeyID), ""
}

// answerOf is how a call was answered, in one word, and whether that is good.
func answerOf(a *postern.Activity) (string, string) {
	switch {
	case a.Status == 0 && a.Allowed:
		return "Yes", "ok"
	case a.Status == 0:
		return "No", "bad"
	case a.Status >= 400 || !a.Allowed:
		return strconv.Itoa(a.Status), "bad"
	}
	return strconv.Itoa(a.Status), "ok"
}

// tookWords is a duration as people read it.
func tookWords(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return "under 1 ms"
	case d < 10*time.Second:
		return num(int64(d/time.Millisecond)) + " ms"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
