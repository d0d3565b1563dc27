package screen

import (
	"fmt"
	"strconv"
	"time"
)

// units are what spans are told in, the longest first.
var units = []struct {
	d           time.Duration
	short, long string
}{
	{365 * 24 * time.Hour, "y", "year"},
	{24 * time.Hour, "d", "day"},
	{time.Hour, "h", "hour"},
	{time.Minute, "m", "minute"},
	{time.Second, "s", "second"},
}

// span is how long d is, in its largest unit that is at least one (two for
// years), rounded down.
func span(d time.Duration) (n int64, short, long string) {
	for _, u := range units {
		least := u.d
		if u.short == "y" {
			least = 2 * u.d
		}
		if d >= least {
			n = int64(d / u.d)
			if n != 1 {
				return n, u.short, u.long + "s"
			}
			return n, u.short, u.long
		}
	}
	return 0, "s", "seconds"
}

// whole is how far away a time is. What is to come is rounded a little, so that
// what was just set to seven days isn't told as six.
func whole(d time.Duration) time.Duration {
	if d >= 0 {
		return d
	}
	d = -d
	for i := range len(units) - 1 {
		if d > units[i].d-units[i+1].d {
			return d.Round(units[i+1].d)
		}
	}
	return d.Round(time.Second)
}

// Short is a time as seen from now, for tables: "3h ago", "in 12d".
func (s *Screen) Short(t time.Time) string {
	d := s.Now().Sub(t)
	n, unit, _ := span(whole(d))
	switch {
	case n == 0:
		return "now"
	case d < 0:
		return fmt.Sprintf("in %d%s", n, unit)
	}
	return fmt.Sprintf("%d%s ago", n, unit)
}

// Relative is a time as seen from now, in words: "3 hours ago", "in 12 days".
func (s *Screen) Relative(t time.Time) string {
	d := s.Now().Sub(t)
	n, _, unit := span(whole(d))
	switch {
	case n == 0:
		return "just now"
	case d < 0:
		return fmt.Sprintf("in %d %s", n, unit)
	}
	return fmt.Sprintf("%d %s ago", n, unit)
}

// In is t in the zone that times are told in.
func (s *Screen) In(t time.Time) time.Time {
	if s.UTC {
		return t.UTC()
	}
	return t.In(s.Location)
}

// Exact is a time to the second, with its zone: "2026-11-22 03:46:19 UTC".
func (s *Screen) Exact(t time.Time) string { return s.In(t).Format("2006-01-02 15:04:05 MST") }

// Time is a time exactly and as seen from now: "2026-11-22 03:46:19 UTC (3 hours ago)".
func (s *Screen) Time(t time.Time) string { return s.Exact(t) + " (" + s.Relative(t) + ")" }

// Number is a number with commas: "1,204".
func Number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Count is a number and what is counted: "1 scope", "1,204 scopes".
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(int64(n)) + " " + one + "s"
}
