package workbench

import (
	"fmt"
	"time"
)

// slot is how finely the time of day is kept.
const slot = 5 * time.Minute

const slots = int(24 * time.Hour / slot)

// rhythm is when a credential's calls come, in a form that takes little room and
// in which the order of the calls doesn't matter.
type rhythm struct {
	ofDay   [slots]uint32 // calls by time of day, UTC
	ofWeek  [7]uint32     // calls by weekday
	ofMonth [31]uint32    // calls by day of the month
	days    map[int32]bool
}

// maxDays is how many days of a log are told apart.
const maxDays = 800

func (r *rhythm) add(at time.Time) {
	at = at.UTC()
	day := int32(at.Unix() / 86400)
	r.ofDay[at.Sub(at.Truncate(24*time.Hour))/slot]++
	r.ofWeek[at.Weekday()]++
	r.ofMonth[at.Day()-1]++
	if r.days == nil {
		r.days = map[int32]bool{}
	}
	if len(r.days) < maxDays {
		r.days[day] = true
	}
}

func (r *rhythm) merge(o *rhythm) {
	for i := range r.ofDay {
		r.ofDay[i] += o.ofDay[i]
	}
	for i := range r.ofWeek {
		r.ofWeek[i] += o.ofWeek[i]
	}
	for i := range r.ofMonth {
		r.ofMonth[i] += o.ofMonth[i]
	}
	if r.days == nil {
		r.days = map[int32]bool{}
	}
	for d := range o.days {
		if len(r.days) < maxDays {
			r.days[d] = true
		}
	}
}

// Rhythm says when calls come, as people say it.
type Rhythm struct {
	// Kind is once, monthly, weekly, daily, interval, office_hours, always or irregular.
	Kind string `json:"kind"`
	// At is the time of day in UTC, "02:00", where calls come at one.
	At string `json:"at,omitempty"`
	// Every is the time between runs in minutes, where they come at an interval.
	Every int    `json:"everyMinutes,omitempty"`
	Words string `json:"words"`
}

// say finds the rhythm. It is careful: what isn't clearly regular is irregular.
func (r *rhythm) say() Rhythm {
	var total, first, last = uint32(0), int32(0), int32(0)
	for _, n := range r.ofDay {
		total += n
	}
	for d := range r.days {
		if first == 0 || d < first {
			first = d
		}
		last = max(last, d)
	}
	active, span := len(r.days), int(last-first)+1
	start, width := r.window(total)
	atOneTime := width <= 24 // all of it within two hours
	at := clockText(start)
	switch {
	case active == 0:
		return Rhythm{Kind: "irregular", Words: "no calls"}
	case active == 1:
		return Rhythm{Kind: "once", Words: "on one day only"}
	case r.monthly(active, span, total):
		return Rhythm{Kind: "monthly", At: at, Words: fmt.Sprintf("once a month, about the %s at %s UTC", ordinal(r.dayOfMonth()), at)}
	case atOneTime && active >= 2 && r.weekday(total) >= 0 && span >= 8:
		return Rhythm{Kind: "weekly", At: at, Words: fmt.Sprintf("every %s at %s UTC", time.Weekday(r.weekday(total)), at)}
	case atOneTime && active >= 3 && active*10 >= span*8:
		return Rhythm{Kind: "daily", At: at, Words: fmt.Sprintf("every %s at %s UTC", dayPart(start), at)}
	case atOneTime && active >= 5 && active*10 >= span*6 && r.weekend(total) == 0:
		return Rhythm{Kind: "daily", At: at, Words: fmt.Sprintf("every working day at %s UTC", at)}
	}
	if every := r.interval(); every > 0 && active*10 >= span*8 {
		return Rhythm{Kind: "interval", Every: every, Words: "every " + minutes(every)}
	}
	if active >= 5 && r.weekend(total)*50 < total && width <= 12*14 {
		return Rhythm{Kind: "office_hours", Words: "on working days, between " + at + " and " + clockText(start+width) + " UTC"}
	}
	if active*10 >= span*9 && r.busy() >= slots*3/4 {
		return Rhythm{Kind: "always", Words: "all day, every day"}
	}
	return Rhythm{Kind: "irregular", Words: fmt.Sprintf("irregularly, on %d of %d days", active, span)}
}

// window is the shortest part of the day that holds 95 of 100 calls: where it begins and how many slots it has.
func (r *rhythm) window(total uint32) (start, width int) {
	need := total - total/20
	start, width = 0, slots
	sum, end := uint32(0), 0
	for from := range slots {
		for sum < need && end < from+slots {
			sum += r.ofDay[end%slots]
			end++
		}
		if sum >= need && end-from < width {
			start, width = from, end-from
		}
		sum -= r.ofDay[from]
	}
	return start, width
}

// weekday is the one that holds 95 of 100 calls, or -1.
func (r *rhythm) weekday(total uint32) int {
	for d, n := range r.ofWeek {
		if n >= total-total/20 {
			return d
		}
	}
	return -1
}

func (r *rhythm) weekend(total uint32) uint32 { return r.ofWeek[time.Saturday] + r.ofWeek[time.Sunday] }

// monthly reports whether calls come on at most three days running of each of several months.
func (r *rhythm) monthly(active, span int, total uint32) bool {
	if span < 27 || active > span/8+2 {
		return false
	}
	d := r.dayOfMonth()
	near := uint32(0)
	for i := -2; i <= 2; i++ {
		near += r.ofMonth[(d-1+i+31)%31]
	}
	months := map[int]bool{}
	for day := range r.days {
		t := time.Unix(int64(day)*86400, 0).UTC()
		months[t.Year()*12+int(t.Month())] = true
	}
	return near >= total-total/10 && len(months) >= 2 && active <= 3*len(months)
}

func (r *rhythm) dayOfMonth() int {
	best := 0
	for i, n := range r.ofMonth {
		if n > r.ofMonth[best] {
			best = i
		}
	}
	return best + 1
}

func (r *rhythm) busy() int {
	n := 0
	for _, c := range r.ofDay {
		if c > 0 {
			n++
		}
	}
	return n
}

// interval is the number of minutes after which runs come again, if they do so all
// day long, or 0.
func (r *rhythm) interval() int {
	for _, every := range []int{5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720} {
		step := every / 5
		if step == 1 {
			if r.busy() == slots {
				return 5
			}
			continue
		}
		if r.repeats(step) {
			return every
		}
	}
	return 0
}

// repeats reports whether every period of so many slots has calls, and only in the same third of it.
func (r *rhythm) repeats(step int) bool {
	phases := make([]bool, step)
	for p := 0; p < slots; p += step {
		hit := false
		for i := range step {
			if r.ofDay[p+i] > 0 {
				hit, phases[i] = true, true
			}
		}
		if !hit {
			return false
		}
	}
	used := 0
	for _, p := range phases {
		if p {
			used++
		}
	}
	return used <= max(1, step/3)
}

func clockText(s int) string {
	s %= slots
	return fmt.Sprintf("%02d:%02d", s/12, s%12*5)
}

func dayPart(s int) string {
	switch h := s / 12; {
	case h < 6 || h >= 21:
		return "night"
	case h < 12:
		return "morning"
	case h < 18:
		return "afternoon"
	}
	return "evening"
}

func minutes(n int) string {
	switch {
	case n == 60:
		return "hour"
	case n > 60:
		return fmt.Sprintf("%d hours", n/60)
	}
	return fmt.Sprintf("%d minutes", n)
}

func ordinal(n int) string {
	suffix := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
