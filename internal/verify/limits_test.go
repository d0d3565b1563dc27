package verify_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

func TestBurst(t *testing.T) {
	b := verify.NewBurst(postern.Rate{Calls: 10, Per: 10 * time.Second})
	now := postern.ToMicros(t0)
	for i := range 10 {
		ok, _, l := b.Take(now)
		if !ok || l.BurstLeft != uint32(9-i) || l.BurstLimit != 10 || l.BurstSecs != 10 || l.BurstReset != uint32(i+1) {
			t.Fatalf("call %d: %v, %+v", i, ok, l)
		}
	}
	ok, retry, l := b.Take(now)
	if ok || l.BurstLeft != 0 || retry != now+1_000_000 {
		t.Fatalf("the eleventh call: %v, retry after %d µs, %+v", ok, retry-now, l)
	}
	if ok, _, _ := b.Take(retry - 1); ok {
		t.Error("a call before its time succeeded")
	}
	if ok, _, _ := b.Take(retry); !ok {
		t.Error("a call at the time named failed")
	}
	// A clock that was set back a day does not lock the key out for a day.
	back := now - 86_400_000_000
	if ok, retry, _ := b.Take(back); ok || retry > back+1_000_000 {
		t.Errorf("after the clock went back: %v, retry after %d µs", ok, retry-back)
	}
}

// In any window of a length no more calls pass than twice the limit (what was
// saved up, and what the window itself gives), and over a long time no more than
// the rate; a refused caller who comes back when told to is let in.
func TestBurstProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := postern.Rate{Calls: rapid.Int64Range(1, 5_000).Draw(t, "calls"),
			Per: time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second}
		b := verify.NewBurst(rate)
		start := postern.ToMicros(t0)
		now, passed := start, int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += postern.Micros(rapid.Int64Range(0, 2*rate.Per.Microseconds()/rate.Calls).Draw(t, "gap"))
			ok, retry, l := b.Take(now)
			if ok {
				passed++
			} else if retry <= now || l.BurstLeft != 0 {
				t.Fatalf("refused at %d, retry at %d, %+v", now, retry, l)
			} else if rapid.Bool().Draw(t, "wait") {
				now = retry
				if ok, _, _ := b.Take(now); !ok {
					t.Fatalf("refused at the time named, %d", retry)
				}
				passed++
			}
			earned := float64(now-start) / float64(rate.Per.Microseconds()) * float64(rate.Calls)
			if float64(passed) > float64(rate.Calls)+earned+1 {
				t.Fatalf("%d calls passed, %d and %.1f were due", passed, rate.Calls, earned)
			}
		}
	})
}

func TestBurstOfKeys(t *testing.T) {
	w := newWorld(t, func(c *verify.Config) { c.Burst = postern.Rate{Calls: 2, Per: time.Second} })
	plain, _ := w.key()
	own, _ := w.key(func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: 3, Per: time.Minute} })
	for range 2 {
		w.want(get(plain, "GET", "/deals"), postern.ReasonAllowed)
	}
	d := w.want(get(plain, "GET", "/nothing"), postern.ReasonRateLimited)
	if d.RetryAt <= postern.ToMicros(t0) || d.Limit.BurstLimit != 2 || !d.Known {
		t.Errorf("Verify = %+v", d)
	}
	w.want(get(plain, "GET", "/ping"), postern.ReasonPublic)
	for range 3 {
		w.want(get(own, "GET", "/deals"), postern.ReasonAllowed)
	}
	if d := w.want(get(own, "GET", "/deals"), postern.ReasonRateLimited); d.Limit.BurstSecs != 60 {
		t.Errorf("Verify = %+v", d.Limit)
	}
	w.clock.add(time.Second)
	w.want(get(plain, "GET", "/deals"), postern.ReasonAllowed)
	w.want(get(own, "GET", "/deals"), postern.ReasonRateLimited)
}

func TestDailyLimit(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	other, _ := w.key()
	w.catchUp(w.store.commit(postern.ChangeAccount, string(account), func() {
		a := w.store.accounts[account]
		a.DailyLimit, a.Revision = 5, 2
		w.store.accounts[account] = a
	}))
	for range 2 {
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	}
	usage := w.v.Usage()
	midnight := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC) // in Berlin
	if len(usage) != 1 || usage[0] != (verify.Usage{Account: account, Day: midnight, Calls: 2}) {
		t.Fatalf("Usage = %v", usage)
	}
	d := w.want(get(other, "GET", "/deals"), postern.ReasonAllowed)
	if d.Limit.DailyLimit != 5 || d.Limit.DailyLeft != 2 || d.Limit.DailyReset != 11*3600 {
		t.Errorf("Limit = %+v", d.Limit)
	}

	// After a restart the count goes on.
	w.v = w.node()
	w.renew()
	w.v.AddUsage([]verify.Usage{{Account: account, Day: midnight, Calls: 4}, {Account: account, Day: midnight.Add(-24 * time.Hour), Calls: 9}, {Account: "acc_x", Calls: 1}})
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	d = w.want(get(secret, "GET", "/deals"), postern.ReasonDailyLimit)
	if d.RetryAt != postern.ToMicros(midnight.Add(24*time.Hour)) || d.Limit.DailyLeft != 0 {
		t.Errorf("Verify = %+v", d)
	}
	w.clock.add(11 * time.Hour)
	w.renew()
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	// A clock that goes back stays in the day that it was in.
	w.clock.add(-2 * time.Second)
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	if u := w.v.Usage(); u[0].Calls != 2 {
		t.Errorf("Usage = %v", u)
	}
}

func TestDays(t *testing.T) {
	tests := []struct {
		zone, at, start, end string
	}{
		{"UTC", "2026-05-05T00:00:00Z", "2026-05-05T00:00:00Z", "2026-05-06T00:00:00Z"},
		{"Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{"Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		{"America/New_York", "2026-03-08T04:59:59Z", "2026-03-07T05:00:00Z", "2026-03-08T05:00:00Z"},
		{"America/Havana", "2025-03-09T12:00:00Z", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"}, // midnight is skipped
		{"America/Havana", "2025-03-09T04:00:00Z", "2025-03-08T05:00:00Z", "2025-03-09T05:00:00Z"},
		{"America/Havana", "2025-11-02T05:30:00Z", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"}, // midnight comes twice
		{"America/Havana", "2025-11-02T03:59:59Z", "2025-11-01T04:00:00Z", "2025-11-02T04:00:00Z"},
		{"Africa/Cairo", "2025-04-25T12:00:00Z", "2025-04-24T22:00:00Z", "2025-04-25T21:00:00Z"}, // midnight is skipped
		{"Asia/Kathmandu", "2026-01-01T18:14:59Z", "2025-12-31T18:15:00Z", "2026-01-01T18:15:00Z"},
	}
	for _, tt := range tests {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, tt.at)
		start, end := verify.DayOf(at, loc)
		if s, e := start.Format(time.RFC3339), end.Format(time.RFC3339); s != tt.start || e != tt.end {
			t.Errorf("the day of %s in %s = %s to %s, want %s to %s", tt.at, tt.zone, s, e, tt.start, tt.end)
		}
	}
}
