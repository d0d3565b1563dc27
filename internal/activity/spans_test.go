package activity_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// TestSpansFindTheSame asks with every filter while some blocks are in spans and
// some are not, and finds what looking at every call finds.
func TestSpansFindTheSame(t *testing.T) {
	defer activity.SetBlocks(5, 3)()
	defer activity.SetSpans(8, 3, 2)()
	defer activity.SetLookTime(time.Minute)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		rng := rand.New(rand.NewPCG(3, 4))
		record := func(n int) {
			for range n {
				i := rng.IntN(1000)
				e := call(t0.Add(-time.Duration(rng.IntN(20_000))*time.Second), by([]postern.KeyID{keyA, keyB}[rng.IntN(2)], uint32(1+rng.IntN(2))), used("deals.read"),
					of([]postern.AccountID{acme, acme, ajax}[rng.IntN(3)]), path(i), from(fmt.Sprintf("192.0.2.%d", rng.IntN(60)), fmt.Sprintf("Agent-%d/1", rng.IntN(40))))
				e.RequestID = fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012x", i)
				if rng.IntN(20) == 0 {
					lacking("deals.write")(e)
				}
				l.Record(e)
			}
			flush(t, l)
		}
		record(700)
		if err := activity.MakeSpans(ctx, l); err != nil {
			t.Fatal(err)
		}
		if err := activity.MakeGroups(ctx, l); err != nil {
			t.Fatal(err)
		}
		record(200) // some of them are older than what is in spans
		if err := activity.MakeSpans(ctx, l); err != nil {
			t.Fatal(err)
		}
		record(50)
		spans, groups, bits := count(t, l, "activity_spans"), count(t, l, "activity_groups"), count(t, l, "activity_span_bits")
		if spans < 10 || groups < 3 || spans <= 3*groups || bits == 0 {
			t.Fatalf("%d spans, %d groups, %d rows of bits that are in none", spans, groups, bits)
		}
		// Merging leaves alone what is in a span.
		merge(t, later(t, target))
		stored := calls(t, l)
		if len(stored) != 950 {
			t.Fatalf("%d calls, want 950", len(stored))
		}
		for name, c := range map[string]struct {
			f    activity.Filter
			pass func(a *postern.Activity) bool
		}{
			"ip":           {activity.Filter{IP: "192.0.2.17"}, func(a *postern.Activity) bool { return a.IP == "192.0.2.17" }},
			"no ip":        {activity.Filter{IP: "192.0.2.99"}, func(a *postern.Activity) bool { return false }},
			"agent":        {activity.Filter{UserAgent: "GENT-7/"}, func(a *postern.Activity) bool { return a.UserAgent == "Agent-7/1" }},
			"two bytes":    {activity.Filter{UserAgent: "-7"}, func(a *postern.Activity) bool { return strings.Contains(a.UserAgent, "-7") }},
			"request":      {activity.Filter{RequestID: "0a1b2c3d-0000-4000-8000-00000000002a"}, func(a *postern.Activity) bool { return strings.HasSuffix(a.RequestID, "-00000000002a") }},
			"reason":       {activity.Filter{Reason: postern.ReasonInsufficientScope}, func(a *postern.Activity) bool { return !a.Allowed }},
			"status":       {activity.Filter{Status: 403}, func(a *postern.Activity) bool { return a.Status == 403 }},
			"scope":        {activity.Filter{Scope: "deals.write"}, func(a *postern.Activity) bool { return !a.Allowed }},
			"operation":    {activity.Filter{Operation: "listDeals"}, func(a *postern.Activity) bool { return true }},
			"generation":   {activity.Filter{Key: keyA, Generation: 2}, func(a *postern.Activity) bool { return a.KeyID == keyA && a.Generation == 2 }},
			"no such":      {activity.Filter{Key: keyA, Generation: 3}, func(a *postern.Activity) bool { return false }},
			"key, refused": {activity.Filter{Key: keyA, Allowed: new(false), StatusClass: 4}, func(a *postern.Activity) bool { return a.KeyID == keyA && !a.Allowed }},
			"key, allowed": {activity.Filter{Key: keyA, Allowed: new(true), Operation: "listDeals", Method: "GET", Door: postern.DoorGateway}, func(a *postern.Activity) bool {
				return a.KeyID == keyA && a.Allowed && a.Method == "GET" && a.Door == postern.DoorGateway
			}},
			"ip, refused":   {activity.Filter{IP: "192.0.2.17", Operation: "listDeals", Reason: postern.ReasonInsufficientScope}, func(a *postern.Activity) bool { return a.IP == "192.0.2.17" && !a.Allowed }},
			"a whole agent": {activity.Filter{UserAgent: "Agent-7/1"}, func(a *postern.Activity) bool { return a.UserAgent == "Agent-7/1" }},
			"key and ip": {activity.Filter{Key: keyB, IP: "192.0.2.17", Since: t0.Add(-15_000 * time.Second), Until: t0.Add(-3000 * time.Second)}, func(a *postern.Activity) bool {
				return a.KeyID == keyB && a.IP == "192.0.2.17" && !a.At.Before(t0.Add(-15_000*time.Second)) && a.At.Before(t0.Add(-3000*time.Second))
			}},
		} {
			for _, account := range []postern.AccountID{acme, ajax} {
				if account == ajax && !strings.Contains(name, "ip") {
					continue // that accounts are apart is seen by one kind of filter
				}
				var want []postern.Activity
				for i := range stored {
					if a := &stored[i]; a.AccountID == account && c.pass(a) {
						want = append(want, *a)
					}
				}
				slices.SortFunc(want, func(a, b postern.Activity) int {
					if d := b.At.Compare(a.At); d != 0 {
						return d
					}
					return int(b.Seq - a.Seq)
				})
				c.f.Account = account
				for _, n := range []int{7, 50} {
					if n == 7 && len(want) > 150 {
						continue // large pages of it will do
					}
					if d := cmp.Diff(want, all(t, l, c.f, n)); d != "" {
						t.Errorf("%s of %s by %d: %s", name, account, n, d)
					}
				}
			}
		}
		for gone := int64(1); gone > 0; {
			var err error
			if gone, err = l.Prune(ctx, activity.Horizon{Calls: t0.Add(24 * time.Hour)}, 100); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"activity_spans", "activity_span_bits", "activity_groups", "activity_group_bits"} {
			if n := count(t, l, name); n != 0 {
				t.Errorf("%s has %d rows left", name, n)
			}
		}
	})
}

// TestARareCallIsFoundSoon finds one call among many by its address, by a part of
// its user agent and by its request, and reads few blocks for it.
func TestARareCallIsFoundSoon(t *testing.T) {
	defer activity.SetBlocks(16, 32)()
	defer activity.SetSpans(64, 4, 48)()
	defer activity.SetLookTime(time.Minute)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 20_000 {
			l.Record(call(t0.Add(-time.Duration(i)*time.Second), path(i), func(e *postern.Event) {
				e.RequestID = fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012x", i)
				if i == 17_321 {
					from("203.0.113.77", "Rarely-Seen/0.1")(e)
				}
			}))
			if i%4000 == 3999 {
				flush(t, l)
			}
		}
		if err := activity.MakeSpans(ctx, l); err != nil {
			t.Fatal(err)
		}
		if err := activity.MakeGroups(ctx, l); err != nil {
			t.Fatal(err)
		}
		blocks := count(t, l, "activity_blocks")
		for name, f := range map[string]activity.Filter{"address": {IP: "203.0.113.77"}, "agent": {UserAgent: "rarely-s"}, "request": {RequestID: "0a1b2c3d-0000-4000-8000-0000000043a9"}} {
			f.Account = acme
			before := activity.BlocksRead()
			page, next, err := l.Query(ctx, f, activity.Cursor{}, 50)
			if err != nil || len(page) != 1 || !next.Zero() || page[0].Path != "/n/17321" {
				t.Errorf("%s: %d calls, next %v, %v; want the one", name, len(page), next, err)
			}
			if read := activity.BlocksRead() - before; read > blocks/4 {
				t.Errorf("%s: %d of %d blocks were read", name, read, blocks)
			}
		}
	})
}

// TestAGroupThatIsHalfMade stops the making of a group here and there, as a crash
// would: what is looked for is found meanwhile, and the next one goes on.
func TestAGroupThatIsHalfMade(t *testing.T) {
	defer activity.SetBlocks(5, 3)()
	defer activity.SetSpans(8, 3, 2)()
	defer activity.SetLookTime(time.Minute)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 200 {
			l.Record(call(t0.Add(-time.Duration(i)*time.Minute), path(i), from(fmt.Sprintf("192.0.2.%d", i), "a")))
		}
		flush(t, l)
		if err := activity.MakeSpans(ctx, l); err != nil {
			t.Fatal(err)
		}
		look := func(when string) {
			t.Helper()
			for _, i := range []int{3, 77, 140} {
				if found := all(t, l, activity.Filter{Account: acme, IP: fmt.Sprintf("192.0.2.%d", i)}, 10); len(found) != 1 {
					t.Fatalf("%s: %d calls from address %d, want 1", when, len(found), i)
				}
			}
		}
		look("without a group")
		for _, reads := range []int{2, 500, 1600} {
			stopped, stop := context.WithCancel(ctx)
			left := reads
			activity.Trace(l, func(string, []any) {
				if left--; left == 0 {
					stop()
				}
			})
			err := activity.MakeGroups(stopped, l)
			activity.Trace(l, nil)
			stop()
			if err == nil {
				t.Fatalf("it wasn't stopped after %d reads", reads)
			}
			look(fmt.Sprintf("after %d reads", reads))
		}
		if err := activity.MakeGroups(ctx, l); err != nil {
			t.Fatal(err)
		}
		look("with a group")
		// As after a crash while the spans' own bits were being removed.
		if _, err := activity.Exec(activity.Pool(l), `update activity_groups set state = 1`); err != nil {
			t.Fatal(err)
		}
		look("with a group that isn't done")
		if err := activity.MakeGroups(ctx, l); err != nil {
			t.Fatal(err)
		}
		look("in the end")
		if groups, bits := count(t, l, "activity_groups"), count(t, l, "activity_group_bits"); groups != 1 || bits == 0 {
			t.Errorf("%d groups with %d rows of bits", groups, bits)
		}
	})
}
