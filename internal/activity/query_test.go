package activity_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestQueryFilters(t *testing.T) {
	defer activity.SetBlocks(5, 2)() // so that pages are put together from many blocks
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		rng := rand.New(rand.NewPCG(1, 2))
		var model []postern.Activity
		for i := range 400 {
			e := call(t0.Add(-time.Duration(rng.IntN(5000))*time.Second), by([]postern.KeyID{keyA, keyB}[rng.IntN(2)], uint32(1+rng.IntN(2))),
				of([]postern.AccountID{acme, ajax}[rng.IntN(2)]), path(i), from([]string{"192.0.2.1", "2001:db8::1"}[rng.IntN(2)], []string{"Node/18 100%_x", "curl/8"}[rng.IntN(2)]))
			if rng.IntN(3) == 0 {
				refused(postern.ReasonInsufficientScope)(e)
			}
			e.Method = []string{"GET", "POST"}[rng.IntN(2)]
			e.Door = []string{"gateway", "verify"}[rng.IntN(2)]
			if rng.IntN(4) == 0 {
				e.Decision.Operation = nil
			}
			l.Record(e)
		}
		flush(t, l)
		model = append(all(t, l, activity.Filter{Account: acme}, 7), all(t, l, activity.Filter{Account: ajax}, 200)...)
		if len(model) != 400 {
			t.Fatalf("%d calls, want 400", len(model))
		}
		for name, c := range map[string]struct {
			f    activity.Filter
			pass func(a postern.Activity) bool
		}{
			"account":    {activity.Filter{}, func(postern.Activity) bool { return true }},
			"key":        {activity.Filter{Key: keyB}, func(a postern.Activity) bool { return a.KeyID == keyB }},
			"generation": {activity.Filter{Key: keyB, Generation: 2}, func(a postern.Activity) bool { return a.KeyID == keyB && a.Generation == 2 }},
			"operation":  {activity.Filter{Upstream: "crm", Operation: "listDeals"}, func(a postern.Activity) bool { return a.Operation == "listDeals" }},
			"method":     {activity.Filter{Method: "POST"}, func(a postern.Activity) bool { return a.Method == "POST" }},
			"status":     {activity.Filter{Status: 403}, func(a postern.Activity) bool { return a.Status == 403 }},
			"class":      {activity.Filter{StatusClass: 2}, func(a postern.Activity) bool { return a.Status/100 == 2 }},
			"reason":     {activity.Filter{Reason: postern.ReasonInsufficientScope}, func(a postern.Activity) bool { return !a.Allowed }},
			"allowed":    {activity.Filter{Allowed: ref(true)}, func(a postern.Activity) bool { return a.Allowed }},
			"refused":    {activity.Filter{Allowed: ref(false)}, func(a postern.Activity) bool { return !a.Allowed }},
			"not door":   {activity.Filter{NotDoor: "verify"}, func(a postern.Activity) bool { return a.Door != "verify" }},
			"door":       {activity.Filter{Door: "verify"}, func(a postern.Activity) bool { return a.Door == "verify" }},
			"ip":         {activity.Filter{IP: "2001:db8::1"}, func(a postern.Activity) bool { return a.IP == "2001:db8::1" }},
			"agent":      {activity.Filter{UserAgent: "NODE/18 100%_"}, func(a postern.Activity) bool { return strings.Contains(a.UserAgent, "Node") }},
			"no agent":   {activity.Filter{UserAgent: "no_e"}, func(postern.Activity) bool { return false }},
			"path":       {activity.Filter{PathPrefix: "/n/1"}, func(a postern.Activity) bool { return strings.HasPrefix(a.Path, "/n/1") }},
			"time": {activity.Filter{Since: t0.Add(-3000 * time.Second), Until: t0.Add(-1000 * time.Second)}, func(a postern.Activity) bool {
				return !a.At.Before(t0.Add(-3000*time.Second)) && a.At.Before(t0.Add(-1000*time.Second))
			}},
			"many": {activity.Filter{Key: keyA, Method: "GET", Allowed: ref(true), Since: t0.Add(-4000 * time.Second)}, func(a postern.Activity) bool {
				return a.KeyID == keyA && a.Method == "GET" && a.Allowed && !a.At.Before(t0.Add(-4000*time.Second))
			}},
		} {
			for _, account := range []postern.AccountID{acme, ajax} {
				var want []postern.Activity
				for _, a := range model {
					if a.AccountID == account && c.pass(a) {
						want = append(want, a)
					}
				}
				slices.SortFunc(want, func(a, b postern.Activity) int {
					if d := b.At.Compare(a.At); d != 0 {
						return d
					}
					return int(b.Seq - a.Seq)
				})
				c.f.Account = account
				if d := cmp.Diff(want, all(t, l, c.f, 11)); d != "" {
					t.Errorf("%s of %s: %s", name, account, d)
				}
			}
		}
		if _, _, err := l.Query(ctx, activity.Filter{}, activity.Cursor{}, 1); err == nil {
			t.Error("Query without an account succeeds")
		}
	})
}

func TestPagesAreStableUnderInserts(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 90 {
			l.Record(call(t0.Add(-time.Duration(i%5)*time.Second), path(i)))
		}
		flush(t, l)
		seen := map[string]int{}
		var c activity.Cursor
		for {
			page, next, err := l.Query(ctx, activity.Filter{Account: acme}, c, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				seen[a.Path]++
			}
			if c = next; c.Zero() {
				break
			}
			// Newer calls, and one of another account at the same time.
			l.Record(call(t0.Add(time.Second), path(1000+len(seen))))
			l.Record(call(t0.Add(-2*time.Second), of(ajax), path(2000)))
			flush(t, l)
			if c, err = activity.ParseCursor(c.String()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 90 {
			if p := call(t0, path(i)).Path; seen[p] != 1 {
				t.Errorf("%s was seen %d times, want once", p, seen[p])
			}
		}
		if len(seen) != 90 {
			t.Errorf("%d calls, want 90", len(seen))
		}
	})
}

func TestTail(t *testing.T) {
	// What this node writes is told at once: Tail must not need to poll for it.
	defer activity.SetTailPoll(time.Hour)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Delay: 5 * time.Millisecond})
		f := activity.Filter{Account: acme, Method: "GET"}
		page, c, err := l.Tail(ctx, f, activity.Cursor{}, 0)
		if err != nil || len(page) != 0 || c.Zero() {
			t.Fatalf("Tail = %d calls, cursor %v, %v; want none, and a cursor", len(page), c, err)
		}
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- l.Run(run) }()
		defer func() { stop(); <-done }()
		go func() {
			time.Sleep(30 * time.Millisecond)
			l.Record(call(t0, of(ajax)))
			l.Record(call(t0, func(e *postern.Event) { e.Method = "POST" }))
			time.Sleep(30 * time.Millisecond)
			l.Record(call(t0, path(1)))
		}()
		var got []string
		start := time.Now()
		for len(got) < 2 && time.Since(start) < 20*time.Second {
			page, next, err := l.Tail(ctx, f, c, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				got = append(got, a.Path)
				if len(got) == 1 {
					l.Record(call(t0.Add(-time.Hour), path(2))) // it came late
				}
			}
			if c, err = activity.ParseCursor(next.String()); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff([]string{"/n/1", "/n/2"}, got); d != "" {
			t.Error(d)
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, _, err := l.Tail(short, f, c, time.Minute); err == nil {
			t.Error("Tail outlives its context")
		}
	})
}

func TestTailPagesThroughAll(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		_, c, err := l.Tail(ctx, activity.Filter{Account: acme}, activity.Cursor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 950 {
			l.Record(call(t0.Add(time.Duration(i)*time.Millisecond), of([]postern.AccountID{acme, ajax}[i%2]), path(i)))
		}
		flush(t, l)
		n := 0
		for last := int64(0); ; {
			page, next, err := l.Tail(ctx, activity.Filter{Account: acme}, c, 0)
			if err != nil {
				t.Fatal(err)
			}
			if c = next; len(page) == 0 {
				break
			}
			for _, a := range page {
				if a.AccountID != acme || a.Seq <= last {
					t.Fatalf("call %d of %s comes after %d", a.Seq, a.AccountID, last)
				}
				last = a.Seq
				n++
			}
		}
		if n != 475 {
			t.Errorf("%d calls, want 475", n)
		}
	})
}

func TestTailSeesOtherProcesses(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		a, b := open(t, activity.Config{Target: target}), open(t, activity.Config{Target: target})
		f := activity.Filter{Account: acme}
		_, c, err := b.Tail(ctx, f, activity.Cursor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		a.Record(call(t0))
		flush(t, a)
		page, _, err := b.Tail(ctx, f, c, 5*time.Second)
		if err != nil || len(page) != 1 {
			t.Errorf("Tail = %d calls, %v; want 1", len(page), err)
		}
	})
}

func TestReadsUseIndexes(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db"})
	for i := range 300 {
		l.Record(call(t0.Add(-time.Duration(i)*time.Minute), func(e *postern.Event) { e.IP = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }))
		l.Record(call(t0, unknown))
	}
	_, c, _ := l.Tail(ctx, activity.Filter{Account: acme}, activity.Cursor{}, 0)
	flush(t, l)
	n := 0
	activity.Trace(l, func(q string, args []any) {
		n++
		rows, err := activity.Pool(l).Read().Query("explain query plan "+q, args...)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int
			var detail string
			if err := rows.Scan(&a, &b, &c, &detail); err != nil {
				t.Fatal(err)
			}
			// A temporary order is fine for totals, which are few, and not for calls.
			if strings.HasPrefix(detail, "SCAN") || strings.Contains(q, "activity_block") && strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s\n%s", q, detail)
			}
		}
	})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []activity.Filter{{}, {Key: keyA}, {Key: keyA, Generation: 1, IP: "10.0.0.1"}, {Since: t0.Add(-time.Hour), Until: t0, UserAgent: "x"},
		{Reason: postern.ReasonRevoked, PathPrefix: "/x", Status: 200, StatusClass: 2, Method: "GET", Door: "x", Operation: "y", Upstream: "z", Allowed: ref(false)}} {
		f.Account = acme
		_, _, err := l.Query(ctx, f, activity.Cursor{}, 10)
		check(err)
		_, _, err = l.Tail(ctx, f, c, 0)
		check(err)
	}
	_, err := l.LastUsed(ctx, acme, []postern.KeyID{keyA, keyB})
	check(err)
	_, err = l.Uses(ctx, acme, keyA)
	check(err)
	_, err = l.RecentlyUsed(ctx, acme, time.Time{}, "", 10)
	check(err)
	_, err = l.UsedSince(ctx, acme, t0, "", 10)
	check(err)
	_, err = l.UnusedSince(ctx, acme, t0, "", 10)
	check(err)
	_, err = l.DayCounts(ctx, t0)
	check(err)
	for _, s := range []activity.Subject{{Account: acme}, {Account: acme, Key: keyA}, {Account: acme, Key: keyA, Generation: 1}} {
		_, err = l.Series(ctx, s, t0.Add(-24*time.Hour), t0, time.Hour)
		check(err)
		_, err = l.Summary(ctx, s, t0.Add(-24*time.Hour), t0)
		check(err)
	}
	_, err = l.Sparklines(ctx, acme, []postern.KeyID{keyA}, t0.Add(-24*time.Hour), t0, time.Hour)
	check(err)
	_, err = l.BySecret(ctx, acme, keyA, t0)
	check(err)
	_, err = l.Callers(ctx, acme, keyA, 1, t0)
	check(err)
	_, err = l.Networks(ctx, t0, 10)
	check(err)
	_, err = l.Losses(ctx, t0)
	check(err)
	if n < 25 {
		t.Errorf("%d reads seen, want at least 25", n)
	}
}
