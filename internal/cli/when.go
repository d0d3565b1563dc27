package cli

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern/api"
)

var spanForm = regexp.MustCompile(`^(\d{1,6})([smhdwy])$`)

var spanUnits = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour,
	"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// parseSpan reads how long something is: 90d, 12h, 2w, or as Go writes it, 1h30m.
func parseSpan(text string) (time.Duration, bool) {
	if m := spanForm.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		d := time.Duration(n) * spanUnits[m[2]]
		return d, err == nil && n < 200*365*24*3600 && d/spanUnits[m[2]] == time.Duration(n)
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

// when reads a time to come: a span from now, a day (its beginning) or a time.
func (c *call) when(flag, text string) (time.Time, error) {
	if d, ok := parseSpan(text); ok {
		return c.Now().Add(d).UTC().Truncate(time.Second), nil
	}
	return c.day(flag, text)
}

// since reads a time that was: a span before now, a day (its beginning) or a time.
func (c *call) since(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, ok := parseSpan(text); ok {
		return c.Now().Add(-d).UTC(), nil
	}
	return c.day(flag, text)
}

func (c *call) day(flag, text string) (time.Time, error) {
	zone := c.Location
	if c.UTC {
		zone = time.UTC
	}
	for _, form := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return sinceEpoch(flag, text, t)
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return sinceEpoch(flag, text, t)
	}
	return time.Time{}, usagef("--%s can't be %q. Write a span (90d, 12h, 2w), a day (2027-01-31) or a time (2027-01-31T09:00:00Z).", flag, short(text))
}

// sinceEpoch refuses what was before 1970: the year 1 begins with the time that
// stands for none.
func sinceEpoch(flag, text string, t time.Time) (time.Time, error) {
	if t.Before(time.Unix(0, 0)) {
		return time.Time{}, usagef("--%s can't be %q, which is before 1970.", flag, short(text))
	}
	return t.UTC(), nil
}

var rateForm = regexp.MustCompile(`^(\d{1,9})/(.+)$`)

// parseRate reads a limit: 100/10s, 6000/1m, 10/s.
func parseRate(text string) (api.RateLimit, error) {
	if m := rateForm.FindStringSubmatch(text); m != nil {
		per := m[2]
		if strings.Trim(per, "smh") == "" {
			per = "1" + per
		}
		calls, err := strconv.ParseInt(m[1], 10, 64)
		if d, ok := parseSpan(per); ok && err == nil && calls > 0 && d >= time.Second && d%time.Second == 0 {
			return api.RateLimit{Calls: calls, Seconds: int64(d / time.Second)}, nil
		}
	}
	return api.RateLimit{}, usagef("--rate can't be %q. Write calls per time, such as 100/10s or 6000/1m.", short(text))
}
