package console

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/limit"
)

// activityRoutes are the explorer of calls.
func (c *Console) activityRoutes() []route {
	read := []postern.Permission{postern.PermActivityRead}
	places := limit.NewPlaces(exportsAtOnce, exportsEach)
	return []route{
		{Pattern: "GET /activity", Serve: c.listCalls, Need: read},
		{Pattern: "GET /activity/{cursor}", Serve: c.showCall, Need: read},
		{Pattern: "GET /activity/live", Quiet: true, Serve: c.liveCalls, Need: read},
		{Pattern: "GET /activity.csv", Serve: c.exportCalls("csv", places), Need: read},
		{Pattern: "GET /activity.jsonl", Serve: c.exportCalls("jsonl", places), Need: read},
	}
}

const (
	callsAPage = 50
	// requestLook is how long one answer looks for a request number.
	requestLook = 1200 * time.Millisecond
	// looseKeys is how many keys the key field proposes.
	looseKeys = 200
)

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
	calls, next, err := c.findCalls(ctx, f.query(v.by.AccountID), after, callsAPage)
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

// findCalls is a page of calls. For a request number it looks for as long as an
// answer may take: few calls match, so that one look may end before it is found.
func (c *Console) findCalls(ctx context.Context, q activity.Filter, after activity.Cursor, n int) ([]postern.Activity, activity.Cursor, error) {
	c.cfg.Activity.Settle(ctx)
	for stop := time.Now().Add(requestLook); ; {
		calls, next, err := c.cfg.Activity.Query(ctx, q, after, n)
		if err != nil || q.RequestID == "" || len(calls) > 0 || next.Zero() || time.Now().After(stop) {
			return calls, next, err
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
		calls, _, err := c.findCalls(v.r.Context(), less.query(v.by.AccountID), activity.Cursor{}, 1)
		if err == nil && len(calls) > 0 {
			view.Widest, view.Drop = x.words, less.with("/activity")
			return
		}
	}
	if v.now.Sub(f.since) < 29*24*time.Hour {
		view.Widest, view.Drop = "the time", f.with("/activity", "period", "30d", "from", "", "to", "")
	}
}
