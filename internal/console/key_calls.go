package console

import (
	"fmt"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

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

func rowsOfCalls(calls []postern.Activity) []keyCall {
	out := make([]keyCall, len(calls))
	for i := range calls {
		a := &calls[i]
		out[i] = keyCall{At: a.At, Method: a.Method, Path: a.Path, Status: a.Status, OK: a.Allowed && a.Status < 400, Took: took(a.Duration), IP: a.IP, Client: a.UserAgent, Gen: a.Generation}
		switch {
		case !a.Allowed:
			out[i].Why = reasonWords(a.Reason)
			out[i].Scope = joined(a.Missing)
		case a.Would != postern.ReasonNone:
			out[i].Why, out[i].Scope = "Would be refused: "+reasonWords(a.Would), joined(a.Missing)
		default:
			out[i].Scope = joined(a.Used)
		}
	}
	return out
}

// keyCalls is the activity tab.
func (c *Console) keyCalls(v *visit, view *keyView) error {
	f := activity.Filter{Account: v.by.AccountID, Key: view.K.ID}
	switch v.query("show") {
	case "refused":
		no := false
		view.Refused, f.Allowed = true, &no
	case answerWould:
		view.Would, f.Would = true, true
	}
	after, err := activity.ParseCursor(v.query("after"))
	if err != nil {
		return errNoPage
	}
	calls, next, err := c.cfg.Activity.Query(v.r.Context(), f, after, 50)
	if err != nil {
		return err
	}
	view.Latest = rowsOfCalls(calls)
	if !next.Zero() {
		view.Older = link(view.Link(""), "tab", "activity", "show", v.query("show"), "after", next.String())
	}
	return nil
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
