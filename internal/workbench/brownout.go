package workbench

import (
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// ramp is how long the brownouts of one day after the other are.
var ramp = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour}

// DefaultBudget is what brownouts may break before they end by themselves.
var DefaultBudget = store.MigrationBudget{Calls: 100, Callers: 3}

// Ramp gives brownouts of so many days, one a day from a time on, each longer than
// the one before, up to four hours.
func Ramp(from time.Time, days int) []postern.Window {
	out := make([]postern.Window, 0, days)
	for d := range days {
		at := from.AddDate(0, 0, d)
		out = append(out, postern.Window{From: at, Until: at.Add(ramp[min(d, len(ramp)-1)])})
	}
	return out
}

// MaxRamp is the most days of a ramp.
const MaxRamp = 30

// Dated is one brownout in the calendar.
type Dated struct {
	ID, Name string // of the item
	postern.Window
	State string // over, on or planned
}

// Length is how long it takes, in words.
func (d Dated) Length() string {
	m := int64(d.Until.Sub(d.From) / time.Minute)
	if m > 0 && m%60 == 0 {
		return count(m/60, "hour")
	}
	return count(m, "minute")
}

// BrownoutsOf are an item's brownouts that are not over at a time.
func BrownoutsOf(v *View, from time.Time) (out []Dated) {
	if v.Legacy == nil {
		return nil
	}
	for _, w := range v.Legacy.Brownouts {
		if !w.Until.After(from) {
			continue
		}
		d := Dated{ID: v.ID, Name: v.Item.Name, Window: w, State: "planned"}
		switch {
		case !v.Now.Before(w.Until):
			d.State = "over"
		case !v.Now.Before(w.From):
			d.State = "on"
		}
		out = append(out, d)
	}
	return out
}

// calendar are the brownouts of some items.
func calendar(list []*View) (out []Dated) {
	for _, v := range list {
		if v.Stage != SwitchedOff {
			out = append(out, BrownoutsOf(v, time.Time{})...)
		}
	}
	return out
}
