package activity_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func used(scopes string) func(*postern.Event) {
	return func(e *postern.Event) { e.Decision.Used = scopes }
}

func lacking(scopes string) func(*postern.Event) {
	return func(e *postern.Event) { refused(postern.ReasonInsufficientScope)(e); e.Missing = scopes }
}

func TestEachGivesEveryCallOnce(t *testing.T) {
	defer activity.SetBlocks(5, 2)()
	engines(t, func(t *testing.T, target string) {
		now := t0
		l := open(t, activity.Config{Target: target, Now: func() time.Time { return now }})
		for i := range 300 {
			l.Record(call(t0.Add(-time.Duration(i%7)*time.Minute), by([]postern.KeyID{keyA, keyB}[i%2], 1), of([]postern.AccountID{acme, ajax}[i%5%2]), path(i)))
			if i%9 == 0 {
				flush(t, l)
			}
		}
		flush(t, l)
		for _, f := range []activity.Filter{{Account: acme}, {Account: acme, Key: keyB}, {Account: ajax, Since: t0.Add(-3 * time.Minute), Until: t0.Add(-time.Minute)}} {
			want := map[string]bool{}
			for _, a := range all(t, l, f, 200) {
				want[a.Path] = true
			}
			seen := map[string]int{}
			var last int64
			stop := errors.New("stop")
			for begin := 0; ; begin = len(seen) {
				err := l.EachAfter(ctx, f, last, func(a *postern.Activity) error {
					if a.Seq <= last {
						t.Fatalf("%d comes after %d", a.Seq, last)
					}
					seen[a.Path]++
					if last = a.Seq; len(seen) == begin+40 {
						return stop
					}
					return nil
				})
				if err == nil {
					break
				}
				if !errors.Is(err, stop) {
					t.Fatal(err)
				}
				now = t0.Add(2 * time.Hour) // so that the hour is over and its blocks are merged meanwhile
				if err := activity.Merge(ctx, l); err != nil {
					t.Fatal(err)
				}
			}
			for p := range want {
				if seen[p] != 1 {
					t.Errorf("%+v: %s came %d times, want once", f, p, seen[p])
				}
			}
			if len(seen) != len(want) || len(want) == 0 {
				t.Errorf("%+v: %d calls, want %d", f, len(seen), len(want))
			}
		}
		if err := l.Each(ctx, activity.Filter{}, nil); err == nil {
			t.Error("Each without an account succeeds")
		}
	})
}

func TestScopeUses(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		l.Record(call(t0.Add(-time.Minute), used("deals.read"), from("192.0.2.1", "one")))
		l.Record(call(t0.Add(-2*time.Hour), used("deals.read deals.write"), from("192.0.2.2", "two")))
		flush(t, l)
		l.Record(call(t0.Add(-time.Hour), used("deals.write"), from("192.0.2.3", "late")))
		l.Record(call(t0, lacking("deals.write"), used("deals.read"), from("192.0.2.4", "refused")))
		l.Record(call(t0, used("other"), by(keyB, 1)))
		l.Record(call(t0, used("other"), of(ajax)))
		flush(t, l)
		got, err := l.ScopeUses(ctx, acme, keyA)
		if err != nil {
			t.Fatal(err)
		}
		use := func(scope postern.Scope, allowed bool, first, last time.Duration, ip, agent string, calls int64) activity.ScopeUse {
			return activity.ScopeUse{Key: keyA, Scope: scope, Allowed: allowed, FirstAt: t0.Add(first), LastAt: t0.Add(last), Generation: 1,
				IP: ip, UserAgent: agent, Upstream: "crm", Operation: "listDeals", Calls: calls}
		}
		if d := cmp.Diff([]activity.ScopeUse{
			use("deals.read", true, -2*time.Hour, -time.Minute, "192.0.2.1", "one", 2),
			use("deals.write", true, -2*time.Hour, -time.Hour, "192.0.2.3", "late", 2),
			use("deals.write", false, 0, 0, "192.0.2.4", "refused", 1),
		}, got); d != "" {
			t.Error(d)
		}
		n := 0
		if err := l.AllScopeUses(ctx, acme, func(*activity.ScopeUse) error { n++; return nil }); err != nil || n != 4 {
			t.Errorf("AllScopeUses gives %d, %v; want 4", n, err)
		}
		needs, err := l.Needs(ctx, acme, keyA, t0.Add(-24*time.Hour), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		h := t0.Truncate(time.Hour)
		need := func(scopes []postern.Scope, allowed bool, hours int) activity.Needed {
			at := h.Add(time.Duration(hours) * time.Hour)
			return activity.Needed{Upstream: "crm", Operation: "listDeals", Scopes: scopes, Allowed: allowed, First: at, Last: at, Calls: 1}
		}
		if d := cmp.Diff([]activity.Needed{
			need([]postern.Scope{"deals.read"}, true, 0),
			need([]postern.Scope{"deals.read", "deals.write"}, true, -2),
			need([]postern.Scope{"deals.write"}, false, 0),
			need([]postern.Scope{"deals.write"}, true, -1),
		}, needs); d != "" {
			t.Error(d)
		}
		for scope, want := range map[postern.Scope]int{"deals.read": 2, "deals.write": 3, "deals": 0, "other": 1} {
			if got := all(t, l, activity.Filter{Account: acme, Scope: scope}, 10); len(got) != want {
				t.Errorf("%d calls needed %s, want %d", len(got), scope, want)
			}
		}
	})
}

func TestQueryByRequest(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 20 {
			l.Record(call(t0, path(i), func(e *postern.Event) {
				e.RequestID = fmt.Sprintf("0199%04d-0000-7000-8000-000000000000", i)
				if i%2 == 0 {
					e.RequestID = fmt.Sprint("req_", i)
				}
			}))
		}
		flush(t, l)
		for id, want := range map[string]string{"01990007-0000-7000-8000-000000000000": "/n/7", "req_8": "/n/8", "req_7": ""} {
			got := all(t, l, activity.Filter{Account: acme, RequestID: id}, 10)
			if (want == "" && len(got) > 0) || (want != "" && (len(got) != 1 || got[0].Path != want)) {
				t.Errorf("the calls of request %s are %+v, want %q", id, got, want)
			}
		}
	})
}
