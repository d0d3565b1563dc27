package verify_test

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/verify"
)

// ledger gives the answer that a test set, and keeps what it was asked.
type ledger struct {
	says  limit.Taken
	asked []string
	calls int64
}

func (l *ledger) Take(key [postern.KeyIDLen]byte, calls, _ int64) limit.Taken {
	l.asked, l.calls = append(l.asked, string(key[:])), calls
	return l.says
}

func (l *ledger) State() limit.State { return limit.State{Mode: l.says.Mode} }

// What the ledger says is what the call is told; where it can't say, its mode holds.
// A key without a limit, or one that is refused anyway, is not asked about.
func TestLedger(t *testing.T) {
	l := &ledger{}
	w := newWorld(t, func(c *verify.Config) { c.Ledger = l })
	limited := func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: 4, Per: time.Minute} }
	secret, id := w.key(limited)
	free, _ := w.key()
	w.v.ShareLimits(2)
	now := postern.ToMicros(t0)
	for _, tt := range []struct {
		what   string
		says   limit.Taken
		reason postern.Reason
		retry  postern.Micros
		limit  postern.LimitState
	}{
		{"within", limit.Taken{Mode: limit.Together, OK: true, Left: 3, Reset: 14*time.Second + 1}, postern.ReasonAllowed, 0,
			postern.LimitState{BurstLimit: 4, BurstLeft: 3, BurstSecs: 60, BurstReset: 15}},
		{"beyond", limit.Taken{Mode: limit.Together, Reset: time.Minute, Retry: time.Second + 1}, postern.ReasonRateLimited, now + 1_000_001,
			postern.LimitState{BurstLimit: 4, BurstSecs: 60, BurstReset: 60}},
		{"away, refuse", limit.Taken{Mode: limit.Refuse, Retry: 2 * time.Second}, postern.ReasonLimitsAway, now + 2_000_000, postern.LimitState{}},
		{"away, allow", limit.Taken{Mode: limit.Allow}, postern.ReasonAllowed, 0, postern.LimitState{}},
		{"away, share", limit.Taken{Mode: limit.Shared}, postern.ReasonAllowed, 0, postern.LimitState{BurstLimit: 2, BurstLeft: 1, BurstSecs: 60, BurstReset: 30}},
		{"away, share", limit.Taken{Mode: limit.Shared}, postern.ReasonAllowed, 0, postern.LimitState{BurstLimit: 2, BurstSecs: 60, BurstReset: 60}},
		{"away, share is used up", limit.Taken{Mode: limit.Shared}, postern.ReasonRateLimited, now + 30_000_000, postern.LimitState{BurstLimit: 2, BurstSecs: 60, BurstReset: 60}},
	} {
		l.says = tt.says
		d := w.want(get(secret, "GET", "/deals"), tt.reason)
		if d.RetryAt != tt.retry || d.Limit != tt.limit {
			t.Errorf("%s: retry in %d µs, %+v; want %d, %+v", tt.what, d.RetryAt-now, d.Limit, tt.retry-now, tt.limit)
		}
	}
	if postern.ReasonLimitsAway.Status() != 503 {
		t.Errorf("limits_away is %d, want 503", postern.ReasonLimitsAway.Status())
	}
	if len(l.asked) != 7 || l.asked[0] != string(id.Key) || l.calls != 4 {
		t.Errorf("asked %v for %d calls", l.asked, l.calls)
	}
	if s := w.v.Stats().Limits; s == nil || s.Mode != limit.Shared {
		t.Errorf("Stats = %+v", s)
	}

	l.asked = nil
	w.want(get(free, "GET", "/deals"), postern.ReasonAllowed)
	w.want(get(postern.SecretOf(secret.Reveal()+"x"), "GET", "/deals"), postern.ReasonMalformed)
	revoked, _ := w.key(limited, func(r *postern.CredentialRow) { r.RevokedAt = t0.Add(-time.Hour) })
	w.want(get(revoked, "GET", "/deals"), postern.ReasonRevoked)
	if len(l.asked) != 0 {
		t.Errorf("asked about %v, which have no limit or are refused anyway", l.asked)
	}
	// Both secrets of a key that is rotated have one limit: its key ID's.
	before, id := w.key(limited)
	l.says = limit.Taken{Mode: limit.Together, OK: true}
	w.want(get(before, "GET", "/deals"), postern.ReasonAllowed)
	if len(l.asked) != 1 || l.asked[0] != string(id.Key) {
		t.Errorf("asked about %v, want %s", l.asked, id.Key)
	}
}
