package console

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// watchView is the third step: both secrets, and who still uses the old one.
type watchView struct {
	keyHead
	Busy     bool // someone wanted to begin another rotation
	Share    int  // percent of calls with the new secret, since the change or in 24 hours
	Heading  string
	Tone     string // "ok" where nobody uses the old one
	Ends     time.Time
	EndsIn   string
	EndsLong string
	New, Old half
	Places   []place
	Left     int // places that still use the old one
	Moved    int
	Quiet    bool   // 24 hours without a call of the old one
	Longer   bool   // it may still be kept longer
	Asks     bool   // its deadline has come, and it is held until someone decides
	Plan     string // how it ends, where not at its deadline
	Early    int64  // calls with the old secret in the hour of the change, before it
	Span     string // of the numbers beside the chart
	Chart    chart
	Every    string
	Changed  string
	Calls    []keyCall
	Can      bool // change things
	Activity bool // see calls
}

// half is one of the two secrets.
type half struct {
	Last4  string
	Calls  int64
	Last   time.Time
	Before bool // the latest call came before the change
}

// mark says of each place how far it has come since the change, those that are
// still to do first.
func mark(places []place, k *postern.ServiceKey, now time.Time) {
	changed := k.Current.MadeAt
	for i := range places {
		p := &places[i]
		recent := now.Sub(p.OldLast) < max(24*time.Hour, 2*p.Every)
		old := p.OldLast.After(changed) && recent
		switch {
		case old && p.NewLast.IsZero():
			p.Kind, p.State = "warn", "Old secret"
		case old && p.OldLast.After(p.NewFirst) && (p.OldLast.After(p.NewLast) || p.Every == 0 || now.Before(p.OldLast.Add(2*p.Every))):
			p.Kind, p.State = "warn", "Both secrets"
		case !p.NewLast.IsZero():
			p.Kind, p.State = "ok", "Moved"
		default:
			p.Kind, p.State = "", "Quiet"
		}
	}
	rank := map[string]int{"warn": 0, "": 1, "ok": 2}
	slices.SortStableFunc(places, func(a, b place) int { return rank[a.Kind] - rank[b.Kind] })
}

func (c *Console) watchRotation(v *visit, h keyHead, busy bool) error {
	view, err := c.watch(v, h)
	if err != nil {
		return err
	}
	view.Busy = busy
	view.Scripts = []string{"rotate.js"}
	status := http.StatusOK
	if busy && v.r.Method == http.MethodPost {
		status = http.StatusConflict
	}
	return v.show(status, "rotate_watch", view)
}

// watch reads how a rotation stands.
func (c *Console) watch(v *visit, h keyHead) (*watchView, error) {
	ctx, k := v.r.Context(), &h.K
	view := &watchView{keyHead: h, Ends: k.Previous.EndsAt, EndsIn: inWords(k.Previous.EndsAt, v.now), EndsLong: longTime(k.Previous.EndsAt, v.zone),
		Can: v.can(postern.PermKeysWrite), Activity: v.can(postern.PermActivityRead), Changed: longTime(k.Current.MadeAt, v.zone)}
	view.New.Last4, view.Old.Last4 = k.Current.LastFour, k.Previous.LastFour
	var err error
	if view.Early, err = c.callsBefore(v, k); err != nil {
		return nil, err
	}
	since := v.now.Add(-24 * time.Hour)
	view.Span = "in 24 hours"
	if k.Current.MadeAt.After(since) {
		since, view.Span = k.Current.MadeAt, "since the change"
	}
	secrets, err := c.cfg.Activity.BySecret(ctx, v.by.AccountID, k.ID, since)
	if err != nil {
		return nil, err
	}
	for _, s := range secrets {
		switch s.Generation {
		case k.Current.Generation:
			view.New.Calls, view.New.Last = s.Calls, s.Use.LastAt
		case k.Previous.Generation:
			view.Old.Last, view.Old.Calls = s.Use.LastAt, s.Calls
			view.Old.Before = !s.Use.LastAt.IsZero() && !s.Use.LastAt.After(k.Current.MadeAt)
			if since.Equal(k.Current.MadeAt) {
				view.Old.Calls = max(0, s.Calls-view.Early)
			}
		}
	}
	if view.Places, err = c.placesOf(v, k, true); err != nil {
		return nil, err
	}
	mark(view.Places, k, v.now)
	for _, p := range view.Places {
		switch p.Kind {
		case "warn":
			view.Left++
		case "ok":
			view.Moved++
		}
	}
	view.Quiet = v.now.Sub(k.Current.MadeAt) >= 24*time.Hour && v.now.Sub(view.Old.Last) >= 24*time.Hour
	view.say()
	if err := c.rotationChart(v, view); err != nil {
		return nil, err
	}
	if view.Activity {
		calls, _, err := c.cfg.Activity.Query(ctx, activity.Filter{Account: v.by.AccountID, Key: k.ID, Generation: k.Previous.Generation}, activity.Cursor{}, 6)
		if err != nil {
			return nil, err
		}
		view.Calls = rowsOfCalls(calls)
		for i := range view.Calls {
			view.Calls[i].Clock = callClock(view.Calls[i].At, v.now, v.zone)
		}
	}
	plan, err := c.kr.Rotation(ctx, v.by, k.ID)
	if err != nil {
		return nil, err
	}
	held := view.planned(plan, v)
	extended, err := c.kr.RotationExtended(ctx, v.by, k.ID)
	if held {
		view.Longer = err == nil && view.Can && plan.Deadline.Before(k.Previous.EndsAt)
		return view, err
	}
	view.Longer = err == nil && !extended && view.Can && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(k.Previous.EndsAt))
	return view, err
}

// earlyMost bounds how many calls of the hour of a change are looked at.
const earlyMost = 1000

// callsBefore counts the calls with the old secret in the hour of the change, before
// it. Totals are kept by the hour: this is what lies on the other side of the line.
func (c *Console) callsBefore(v *visit, k *postern.ServiceKey) (n int64, err error) {
	f := activity.Filter{Account: v.by.AccountID, Key: k.ID, Generation: k.Previous.Generation, Since: k.Current.MadeAt.Truncate(time.Hour), Until: k.Current.MadeAt}
	var after activity.Cursor
	for n < earlyMost {
		var page []postern.Activity
		if page, after, err = c.cfg.Activity.Query(v.r.Context(), f, after, 200); err != nil {
			return 0, err
		}
		n += int64(len(page))
		if after.Zero() {
			break
		}
	}
	return n, nil
}

// callClock is the time of a call: the clock today, with the day before.
func callClock(t, now time.Time, zone *time.Location) string {
	if t, now = t.In(zone), now.In(zone); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan, 15:04")
}

// say finds the words on top.
func (view *watchView) say() {
	all := view.New.Calls + view.Old.Calls
	switch {
	case all == 0 && view.New.Last.IsZero():
		view.Heading = "Waiting for the first call with the new secret"
	case all == 0:
		view.Heading = "No calls in 24 hours"
	default:
		view.Share = int(view.New.Calls * 100 / all)
		view.Heading = num(view.Share) + "% of calls use the new secret"
	}
	if view.Quiet && !view.New.Last.IsZero() {
		view.Heading, view.Tone = "Nobody uses the old secret. End it now?", "ok"
	} else if view.Quiet {
		view.Heading = "Nobody uses either secret"
	} else if view.Activity && view.Left == 0 && view.New.Calls > 0 {
		view.Tone = "ok"
	}
}

// Lead says how many places have moved.
func (view *watchView) Lead() string {
	if !view.Activity {
		return ""
	}
	switch n := len(view.Places); {
	case n == 0:
		return "No place has called yet."
	case view.Left == 0 && view.Moved == n:
		return "All " + count(n, "place has", "places have") + " moved."
	case n == 1:
		return noun(int64(view.Moved), "The one place has moved.", "The one place has not moved yet.")
	default:
		return num(view.Moved) + " of " + num(n) + " places have moved."
	}
}

// steps of the chart, so that it has at most 42 bars.
var watchSteps = []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

func (c *Console) rotationChart(v *visit, view *watchView) error {
	k := &view.K
	changed := k.Current.MadeAt
	step := watchSteps[len(watchSteps)-1]
	before := max(12*time.Hour, min(48*time.Hour, v.now.Sub(changed)))
	from := changed.Add(-before)
	for _, s := range watchSteps {
		if v.now.Sub(from)/s <= 40 {
			step = s
			break
		}
	}
	// The change lies on the edge of a bar.
	edge := changed.Truncate(time.Hour)
	n := int64((before + step - 1) / step)
	from = edge.Add(-time.Duration(n) * step)
	ahead := int64(v.now.Sub(edge)/step) + 1
	to := edge.Add(time.Duration(ahead) * step)
	series := func(gen int64) ([]activity.Point, error) {
		return c.cfg.Activity.Series(v.r.Context(), activity.Subject{Account: v.by.AccountID, Key: k.ID, Generation: gen}, from, to, step)
	}
	fresh, err := series(k.Current.Generation)
	if err != nil {
		return err
	}
	old, err := series(k.Previous.Generation)
	if err != nil {
		return err
	}
	view.Every = "each hour"
	if step > time.Hour {
		view.Every = "every " + count(int64(step/time.Hour), "hour", "hours")
	}
	view.Chart = chart{Label: "Calls by secret, " + view.Every + ". " + view.Heading + ".", Names: []string{"New …" + view.New.Last4, "Old …" + view.Old.Last4}, Kinds: []string{"b1", "b2"}, Tall: true, MarkAt: int(n)}
	for i := range fresh {
		if i < len(old) {
			view.Chart.Bars = append(view.Chart.Bars, bar{Name: fresh[i].Start.In(v.zone).Format("Mon 2 Jan, 15:04"), Values: []int64{fresh[i].Calls, old[i].Calls}})
		}
	}
	// What came before the change stands before the line, also within its hour.
	if at := int(n); at > 0 && at < len(view.Chart.Bars) {
		moved := min(view.Early, view.Chart.Bars[at].Values[1])
		view.Chart.Bars[at].Values[1] -= moved
		view.Chart.Bars[at-1].Values[1] += moved
	}
	view.Chart.Ticks = ticks(fresh, step, v.zone)
	if n := len(view.Chart.Ticks); n > 0 {
		view.Chart.Ticks[n-1] = "now"
	}
	return nil
}

// liveAnswer is what the page of a rotation asks for every few seconds.
type liveAnswer struct {
	Over    bool         `json:"over"` // the rotation has ended: the page is to be read again
	Heading string       `json:"heading"`
	Lead    string       `json:"lead"`
	EndsIn  string       `json:"endsIn"`
	Tone    string       `json:"tone"`
	Left    string       `json:"left"`
	New     liveHalf     `json:"new"`
	Old     liveHalf     `json:"old"`
	Top     int64        `json:"top"`
	Mark    int          `json:"mark"`
	Label   string       `json:"label"`
	Names   []string     `json:"names"`
	Bars    []liveBar    `json:"bars"`
	Ticks   []string     `json:"ticks"`
	Places  []livePlace  `json:"places"`
	Calls   []rotateCall `json:"calls"`
}

type liveHalf struct {
	Calls string `json:"calls"`
	Last  string `json:"last"`
}

type liveBar struct {
	Name   string  `json:"name"`
	Values []int64 `json:"values"`
}

type livePlace struct {
	Name string `json:"name"`
	Sub  string `json:"sub"`
	Kind string `json:"kind"`
	Pill string `json:"pill"`
}

type rotateCall struct {
	At     string `json:"at"`
	Clock  string `json:"clock"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	OK     bool   `json:"ok"`
	Why    string `json:"why,omitempty"`
	IP     string `json:"ip"`
	Client string `json:"client"`
}

// Sub says of a place what is known beside its state.
func (view *watchView) Sub(p place) string {
	return p.sub(view.now(), view.zone())
}

func (p *place) sub(now time.Time, zone *time.Location) string {
	words := []string{}
	add := func(w string) {
		if w != "" {
			words = append(words, w)
		}
	}
	add(p.IP)
	switch p.Kind {
	case "warn":
		add(p.Rhythm())
		add("last old call " + ago(p.OldLast, now, zone))
	case "ok":
		add("moved " + ago(p.NewFirst, now, zone))
	default:
		add("no call since the change")
		if !p.OldLast.IsZero() {
			words[len(words)-1] = "last call " + ago(p.OldLast, now, zone)
		}
	}
	return joinWords(words)
}

func joinWords(words []string) string {
	out := ""
	for i, w := range words {
		if i > 0 {
			out += ", "
		}
		out += w
	}
	return out
}

// LastSaid says when a secret was last used.
func (h half) lastSaid(now time.Time, zone *time.Location) string {
	if h.Last.IsZero() {
		return "not used yet"
	}
	if h.Before {
		return "latest " + ago(h.Last, now, zone) + ", before the change"
	}
	return "latest " + ago(h.Last, now, zone)
}

// LastSaid says when a secret was last used.
func (view *watchView) LastSaid(h half) string { return h.lastSaid(view.now(), view.zone()) }

func (c *Console) rotateLive(v *visit) error {
	_, h, err := c.keyOf(v, "Rotate the secret of")
	if err != nil {
		return err
	}
	a := liveAnswer{Over: true}
	if h.Rotating && h.Live {
		view, err := c.watch(v, h)
		if err != nil {
			return err
		}
		a = view.live(v)
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Cache-Control", "no-store")
	return v.send(http.StatusOK, body)
}

func (view *watchView) live(v *visit) liveAnswer {
	a := liveAnswer{Heading: view.Heading, Lead: view.Lead(), EndsIn: view.EndsIn, Tone: view.Tone, Left: view.LeftSaid(), Mark: view.Chart.MarkAt,
		Label: view.Chart.Label, Names: view.Chart.Names, Ticks: view.Chart.Ticks,
		New: liveHalf{num(view.New.Calls), view.New.lastSaid(v.now, v.zone)}, Old: liveHalf{num(view.Old.Calls), view.Old.lastSaid(v.now, v.zone)}}
	var top int64
	for _, b := range view.Chart.Bars {
		top = max(top, b.Values[0]+b.Values[1])
		a.Bars = append(a.Bars, liveBar(b))
	}
	a.Top = nice(top)
	for i := range view.Places {
		p := &view.Places[i]
		a.Places = append(a.Places, livePlace{p.Name(), p.sub(v.now, v.zone), p.Kind, p.State})
	}
	for _, r := range view.Calls {
		a.Calls = append(a.Calls, rotateCall{r.At.UTC().Format(time.RFC3339), r.Clock, r.Method, r.Path, r.Status, r.OK, r.Why, r.IP, r.Client})
	}
	return a
}

// LeftSaid says how many places are still to do.
func (view *watchView) LeftSaid() string {
	if !view.Activity {
		return ""
	}
	if view.Left == 0 {
		return "none left"
	}
	return num(view.Left) + " left"
}
