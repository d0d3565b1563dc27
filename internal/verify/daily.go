package verify

import (
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// day counts the calls of an account on one day of its time zone. The next day
// is another day, so nothing has to be reset at midnight.
type day struct {
	start, end postern.Micros // from its midnight to before the next
	used       atomic.Int64
}

// dayOf is the day of a time zone that holds a time: 23 or 25 hours where clocks change.
func dayOf(now postern.Micros, loc *time.Location) *day {
	t := now.Time().In(loc)
	y, m, d := t.Date()
	return &day{start: postern.ToMicros(midnight(y, m, d, loc)), end: postern.ToMicros(midnight(y, m, d+1, loc))}
}

// midnight is the first moment of a date. Where clocks skip midnight it is the
// moment of the change; where they show it twice it is the first.
func midnight(y int, m time.Month, d int, loc *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, loc)
	if t.Day() != time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Day() {
		_, change := t.ZoneBounds()
		return change
	}
	change, _ := t.ZoneBounds()
	if change.IsZero() {
		return t
	}
	_, before := change.Add(-time.Nanosecond).In(loc).Zone()
	_, after := t.Zone()
	switch first := t.Add(time.Duration(after-before) * time.Second); {
	case first.Before(change):
		return first
	case t.Hour() != 0:
		return change
	}
	return t
}

// take counts one call of a day's limit, unless none is left. Without a limit it only counts.
func (a *account) take(f *accountFacts, now postern.Micros, l *postern.LimitState) (ok bool, retry postern.Micros) {
	d := a.today(f, now)
	used := d.used.Add(1)
	if f.dailyLimit <= 0 {
		return true, 0
	}
	l.DailyLimit = f.dailyLimit
	l.DailyReset = (int64(d.end-now) + 999_999) / 1_000_000
	if used > f.dailyLimit {
		d.used.Add(-1)
		return false, d.end
	}
	l.DailyLeft = f.dailyLimit - used
	return true, 0
}

// today is the account's present day. A clock that goes back stays in the day that it was in.
func (a *account) today(f *accountFacts, now postern.Micros) *day {
	for {
		d := a.day.Load()
		if d != nil && now < d.end {
			return d
		}
		if next := dayOf(now, f.zone); a.day.CompareAndSwap(d, next) {
			return next
		}
	}
}

// Usage is how much of its daily limit an account has used.
type Usage struct {
	Account postern.AccountID
	Day     time.Time // when the day began
	Calls   int64
}

// Usage gives the count of every account that was called on its present day, so
// that it can be kept over a restart.
func (v *Verifier) Usage() []Usage {
	var out []Usage
	for _, a := range *v.accounts.list.Load() {
		if d := a.day.Load(); d != nil {
			if n := d.used.Load(); n > 0 {
				out = append(out, Usage{a.id, d.start.Time(), n})
			}
		}
	}
	return out
}

// AddUsage adds what was counted before a restart. Counts of other days than an
// account's present one, and of unknown accounts, are passed over.
func (v *Verifier) AddUsage(list []Usage) {
	now := v.storeTime(v.clock.Now())
	for _, u := range list {
		a := v.accounts.find(u.Account)
		if a == nil {
			continue
		}
		if f := a.facts.Load(); f != nil {
			if d := a.today(f, now); d.start == postern.ToMicros(u.Day) {
				d.used.Add(u.Calls)
			}
		}
	}
}
