package activity_test

import (
	"context"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// TestCheckFindsWrongTotals changes totals behind a log's back, one after the other.
func TestCheckFindsWrongTotals(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 300 {
			change := []func(*postern.Event){by([]postern.KeyID{keyA, keyB}[i%2], uint32(1+i%3)), used("deals.read deals.write")}
			if i%5 == 0 {
				change = append(change, lacking("deals.write"))
			}
			l.Record(call(t0.Add(-time.Duration(i)*time.Minute), change...))
		}
		flush(t, l)
		check := func(want int, what string) {
			t.Helper()
			wrong, err := l.Check(ctx, acme, t0.Add(-24*time.Hour), t0.Add(time.Hour))
			if err != nil || len(wrong) != want {
				t.Errorf("%s: %d wrong totals, %v; want %d: %+v", what, len(wrong), err, want, wrong)
			}
		}
		check(0, "as written")
		exec := func(q string) {
			t.Helper()
			if _, err := activity.Exec(activity.Pool(l), q); err != nil {
				t.Fatal(err)
			}
		}
		exec(`update activity_hours set calls = calls + 1 where generation = 2 and allowed = 0 and hour = (select max(hour) from activity_hours where allowed = 0 and generation = 2)
			and key_id = (select min(key_id) from activity_hours where allowed = 0 and generation = 2 and hour = (select max(hour) from activity_hours where allowed = 0 and generation = 2))`)
		check(1, "a call too many")
		exec(`update activity_hours set bytes_out = bytes_out + 1 where hour = (select min(hour) from activity_hours where allowed = 1 and generation = 1)
			and allowed = 1 and generation = 1`)
		wrong, err := l.Check(ctx, acme, t0.Add(-24*time.Hour), t0.Add(time.Hour))
		if err != nil || len(wrong) < 2 {
			t.Errorf("a byte too many: %+v, %v", wrong, err)
		}
		before := len(wrong)
		exec(`delete from activity_hours where hour = (select max(hour) from activity_hours where generation = 3 and allowed = 1) and generation = 3 and allowed = 1`)
		if wrong, err = l.Check(ctx, acme, t0.Add(-24*time.Hour), t0.Add(time.Hour)); err != nil || len(wrong) <= before {
			t.Errorf("a total is gone: %+v, %v", wrong, err)
		}
		if _, err := l.Check(ctx, "", t0, t0); err == nil {
			t.Error("Check of no account succeeds")
		}
	})
}

// TestLastUsedIsSeenSoon sees within five seconds that a key was used, with which
// secret, and which scope it needed.
func TestLastUsedIsSeenSoon(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Spool: t.TempDir()})
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- l.Run(run) }()
		defer func() { stop(); <-done }()
		began := time.Now()
		l.Record(call(t0, by(keyA, 2), used("deals.read"), from("192.0.2.9", "soon/1")))
		for {
			at, err := l.LastUsed(ctx, acme, []postern.KeyID{keyA})
			if err != nil {
				t.Fatal(err)
			}
			scopes, err := l.ScopeUses(ctx, acme, keyA)
			if err != nil {
				t.Fatal(err)
			}
			if u := at[keyA]; u.Generation == 2 && u.IP == "192.0.2.9" && u.UserAgent == "soon/1" && len(scopes) == 1 && scopes[0].IP == "192.0.2.9" && scopes[0].Operation == "listDeals" {
				break
			}
			if time.Since(began) > 5*time.Second {
				t.Fatalf("after %v last used is %+v, scopes %+v", time.Since(began), at, scopes)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}
