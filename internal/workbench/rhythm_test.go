package workbench

import (
	"testing"
	"time"
)

// Times of calls, and what people would say of them.
func TestRhythm(t *testing.T) {
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday
	days := func(n int, pick func(time.Time) bool, at ...time.Duration) (out []time.Time) {
		for d := range n {
			day := start.AddDate(0, 0, d)
			for _, o := range at {
				if pick == nil || pick(day) {
					out = append(out, day.Add(o))
				}
			}
		}
		return out
	}
	every := func(n int, step time.Duration) (out []time.Time) {
		for at := start; at.Before(start.AddDate(0, 0, n)); at = at.Add(step) {
			out = append(out, at.Add(time.Duration(at.Day()%3)*time.Minute))
		}
		return out
	}
	workday := func(d time.Time) bool { return d.Weekday() != time.Saturday && d.Weekday() != time.Sunday }
	tests := []struct {
		name  string
		calls []time.Time
		kind  string
		words string
	}{
		{"none", nil, "irregular", "no calls"},
		{"one day", days(1, nil, time.Hour), "once", "on one day only"},
		{"every night", days(30, nil, 2*time.Hour, 2*time.Hour+10*time.Minute), "daily", "every night at 02:00 UTC"},
		{"around midnight", days(30, nil, 10*time.Minute, 23*time.Hour+50*time.Minute), "daily", "every night at 23:50 UTC"},
		{"every working day", days(40, workday, 9*time.Hour), "daily", "every working day at 09:00 UTC"},
		{"every Monday", days(40, func(d time.Time) bool { return d.Weekday() == time.Monday }, 14*time.Hour), "weekly", "every Monday at 14:00 UTC"},
		{"once a month", days(90, func(d time.Time) bool { return d.Day() == 1 }, 6*time.Hour), "monthly", "once a month, about the 1st at 06:00 UTC"},
		{"every hour", every(10, time.Hour), "interval", "every hour"},
		{"every quarter of an hour", every(10, 15*time.Minute), "interval", "every 15 minutes"},
		{"every 6 hours", every(20, 6*time.Hour), "interval", "every 6 hours"},
		{"all day", every(10, 97*time.Second), "interval", "every 5 minutes"},
		{"office hours", days(30, workday, 9*time.Hour, 11*time.Hour, 13*time.Hour, 16*time.Hour), "office_hours", "on working days, between 09:00 and 16:05 UTC"},
		{"now and then", days(30, func(d time.Time) bool { return d.Day()%7 == 0 }, time.Hour, 15*time.Hour), "irregular", "irregularly, on 4 of 22 days"},
	}
	for _, tt := range tests {
		// Whatever goroutine read which calls, the answer is the same.
		var a, b rhythm
		for i, at := range tt.calls {
			if i%3 == 0 {
				b.add(at)
			} else {
				a.add(at)
			}
		}
		a.merge(&b)
		if got := a.say(); got.Kind != tt.kind || got.Words != tt.words {
			t.Errorf("%s: %+v, want %s: %s", tt.name, got, tt.kind, tt.words)
		}
	}
}

func TestTemplate(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/crm/v3/objects/deals": "/crm/v3/objects/deals", "/crm/v3/objects/deals/123": "/crm/v3/objects/deals/{id}",
		"/crm/objects/2026-03/deals": "/crm/objects/2026-03/deals", "/a/0a1b2c3d-1111-2222-3333-444455556666/b": "/a/{id}/b",
		"/u/ada@example.org": "/u/{id}", "/x/secretsecret": "/x/{id}", "/t/averyveryveryveryverylongwordthatnobodywrites": "/t/{id}",
		"/a//b/": "/a//b/", "/caf%C3%A9": "/{id}", "/v3.1/x": "/v3.1/x", "*": "/",
	} {
		if got := string(template(nil, []byte(path), []byte("secretsecret"))); got != want {
			t.Errorf("template(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestLookAt(t *testing.T) {
	tests := []struct {
		secret    string
		inAddress bool
		shown     string
		kind      string
		weak      bool
	}{
		{"pat-na1-0a1b2c3d-1111-2222-3333-444455556666", false, "pat-na1…6666", "legacy_private_app", false},
		{"0a1b2c3d-1111-2222-3333-444455556666", true, "…6666", "legacy_api_key", false},
		{"0a1b2c3d-1111-2222-3333-444455556666", false, "…6666", "legacy_api_key", false},
		{"hunter2hunter2", false, "", "", true},
		{"1234567890123456789012345678", false, "", "", true},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true, "", "legacy_api_key", true},
		{"Zk3mQ9xT7bL2vN8cR4wY6pH1", false, "…6pH1", "", false},
	}
	for _, tt := range tests {
		l := LookAt([]byte(tt.secret), tt.inAddress)
		kind := ""
		if l.Kind != 0 {
			kind = l.Kind.String()
		}
		if l.Shown != tt.shown || kind != tt.kind || l.Weak != tt.weak {
			t.Errorf("LookAt(%q) = %q %q weak %t, want %q %q %t", tt.secret, l.Shown, kind, l.Weak, tt.shown, tt.kind, tt.weak)
		}
	}
}
