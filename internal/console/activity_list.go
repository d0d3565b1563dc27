package console

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

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
		} else if a.Would != postern.ReasonNone {
			rows[i].Why = "Would be refused: " + reasonWords(a.Would)
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
