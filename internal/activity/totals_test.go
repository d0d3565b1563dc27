package activity_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestLastUsed(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		l.Record(call(t0.Add(-time.Minute), by(keyA, 1), from("192.0.2.1", "one")))
		l.Record(call(t0.Add(-2*time.Minute), by(keyA, 2), from("192.0.2.2", "two")))
		flush(t, l)
		// A call that came late, a refused one, and one in another account change nothing.
		l.Record(call(t0.Add(-time.Hour), by(keyA, 1), from("192.0.2.3", "late")))
		l.Record(call(t0, by(keyA, 1), from("192.0.2.4", "refused"), refused(postern.ReasonInsufficientScope)))
		l.Record(call(t0, by(keyA, 1), from("192.0.2.5", "other"), of(ajax)))
		l.Record(call(t0, by(keyB, 1), refused(postern.ReasonRevoked)))
		flush(t, l)
		got, err := l.LastUsed(ctx, acme, []postern.KeyID{keyA, keyB})
		if err != nil {
			t.Fatal(err)
		}
		want := map[postern.KeyID]postern.LastUse{keyA: {At: t0.Add(-time.Minute), IP: "192.0.2.1", UserAgent: "one", Operation: "listDeals", Generation: 1}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		uses, err := l.Uses(ctx, acme, keyA)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]activity.Use{
			{keyA, 2, t0.Add(-2 * time.Minute), t0.Add(-2 * time.Minute), "192.0.2.2", "two", "crm", "listDeals", 1},
			{keyA, 1, t0.Add(-time.Hour), t0.Add(-time.Minute), "192.0.2.1", "one", "crm", "listDeals", 2},
		}, uses); d != "" {
			t.Error(d)
		}
	})
}

func TestKeysByUse(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		keys := make([]postern.KeyID, 10)
		for i := range keys {
			keys[i] = postern.KeyID(fmt.Sprintf("key%013d", i))
			l.Record(call(t0.Add(-time.Duration(i)*24*time.Hour), by(keys[i], 2)))
			l.Record(call(t0.Add(-time.Duration(10+i)*24*time.Hour), by(keys[i], 1)))
			l.Record(call(t0, by(keys[i], 1), of(ajax)))
		}
		flush(t, l)
		used, err := l.UsedSince(ctx, acme, t0.Add(-4*24*time.Hour), "", 3)
		if err != nil {
			t.Fatal(err)
		}
		rest, _ := l.UsedSince(ctx, acme, t0.Add(-4*24*time.Hour), used[len(used)-1], 100)
		if d := cmp.Diff(keys[:5], append(used, rest...)); d != "" {
			t.Error(d)
		}
		unused, err := l.UnusedSince(ctx, acme, t0.Add(-4*24*time.Hour), "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(keys[5:], unused); d != "" {
			t.Error(d)
		}
		var recent []postern.KeyID
		var at time.Time
		var after postern.KeyID
		for {
			page, err := l.RecentlyUsed(ctx, acme, at, after, 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				recent = append(recent, u.Key)
				at, after = u.LastAt, u.Key
			}
		}
		if d := cmp.Diff(keys, recent); d != "" {
			t.Error(d)
		}
	})
}

func TestDayCounts(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for range 3 {
			l.Record(call(t0))
			l.Record(call(t0, refused(postern.ReasonInsufficientScope)))
			l.Record(call(t0, refused(postern.ReasonDailyLimit)))
			l.Record(call(t0, refused(postern.ReasonRateLimited)))
			l.Record(call(t0, refused(postern.ReasonRevoked)))
			l.Record(call(t0, refused(postern.ReasonAddressNotAllowed)))
			l.Record(call(t0, unknown))
			l.Record(call(t0.Add(-24*time.Hour), of(ajax)))
			flush(t, l)
		}
		day := postern.ToMicros(t0.Truncate(24 * time.Hour))
		got, err := l.DayCounts(ctx, t0.Add(-48*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]activity.DayCount{{ajax, day - 24*3600*1e6, 3}, {acme, day, 6}}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestSeriesAndSummary(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		h := t0.Truncate(time.Hour)
		l.Record(call(h.Add(-90 * time.Minute)))
		l.Record(call(h.Add(-80*time.Minute), by(keyB, 1)))
		l.Record(call(h, func(e *postern.Event) { e.Status, e.Duration = 502, time.Second }))
		l.Record(call(h.Add(time.Minute), refused(postern.ReasonInsufficientScope)))
		l.Record(call(h, of(ajax)))
		flush(t, l)
		one := activity.Totals{Calls: 1, Duration: 3 * time.Millisecond, MaxDuration: 3 * time.Millisecond, BytesIn: 10, BytesOut: 100}
		last := activity.Totals{Calls: 2, Refused: 1, Errors: 1, Duration: 1003 * time.Millisecond, MaxDuration: time.Second, BytesIn: 20, BytesOut: 200}
		got, err := l.Series(ctx, activity.Subject{Account: acme, Key: keyA}, h.Add(-2*time.Hour), t0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]activity.Point{{h.Add(-2 * time.Hour), one}, {h.Add(-time.Hour), activity.Totals{}}, {h, last}}, got); d != "" {
			t.Error(d)
		}
		got, err = l.Series(ctx, activity.Subject{Account: acme}, h.Add(-2*time.Hour), t0, 24*time.Hour)
		if err != nil || len(got) != 1 || got[0].Calls != 4 {
			t.Errorf("Series by day = %+v, %v; want one step of 4 calls", got, err)
		}
		sum, err := l.Summary(ctx, activity.Subject{Account: acme}, h.Add(-2*time.Hour), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		whole := activity.Totals{Calls: 4, Refused: 1, Errors: 1, Duration: 1009 * time.Millisecond, MaxDuration: time.Second, BytesIn: 40, BytesOut: 400}
		want := &activity.Summary{Totals: whole, ByReason: map[postern.Reason]int64{postern.ReasonAllowed: 3, postern.ReasonInsufficientScope: 1},
			ByStatusClass: map[int]int64{2: 2, 4: 1, 5: 1}, ByOperation: []activity.OperationTotals{{"crm", "listDeals", whole}}}
		if d := cmp.Diff(want, sum); d != "" {
			t.Error(d)
		}
		lines, err := l.Sparklines(ctx, acme, []postern.KeyID{keyA, keyB, "never"}, h.Add(-2*time.Hour), t0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[postern.KeyID][]int64{keyA: {1, 0, 2}, keyB: {1, 0, 0}}, lines); d != "" {
			t.Error(d)
		}
		if _, err := l.Series(ctx, activity.Subject{Account: acme}, time.Time{}, t0, time.Hour); err == nil {
			t.Error("a series of all hours since 1970 succeeds")
		}
		if _, err := l.Series(ctx, activity.Subject{}, h, t0, time.Hour); err == nil {
			t.Error("a series of no account succeeds")
		}
	})
}

func TestRotationView(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 20 {
			gen := uint32(2)
			if i%7 == 0 { // 0, 7 and 14 never change
				gen = 1
			}
			for j := range 5 {
				l.Record(call(t0.Add(time.Duration(j)*time.Second), by(keyA, gen), from(fmt.Sprintf("10.0.0.%d", i), fmt.Sprint("caller ", i))))
			}
		}
		l.Record(call(t0.Add(time.Second), by(keyA, 2), from("10.0.0.1", "caller 1"), refused(postern.ReasonInsufficientScope)))
		l.Record(call(t0, by(keyB, 1)))
		flush(t, l)
		old, err := l.Callers(ctx, acme, keyA, 1, t0)
		if err != nil {
			t.Fatal(err)
		}
		var want []activity.Caller
		for _, i := range []int{0, 14, 7} { // as text
			want = append(want, activity.Caller{Generation: 1, IP: fmt.Sprintf("10.0.0.%d", i), UserAgent: fmt.Sprint("caller ", i), FirstAt: t0, LastAt: t0.Add(4 * time.Second), Calls: 5})
		}
		if d := cmp.Diff(want, old); d != "" {
			t.Error(d)
		}
		by, err := l.BySecret(ctx, acme, keyA, t0)
		if err != nil || len(by) != 2 {
			t.Fatalf("BySecret = %+v, %v; want two", by, err)
		}
		if by[0].Generation != 2 || by[0].Calls != 86 || by[0].Refused != 1 || by[0].Use.Calls != 85 || by[1].Generation != 1 || by[1].Calls != 15 {
			t.Errorf("BySecret = %+v", by)
		}
		silent, err := l.BySecret(ctx, acme, keyA, t0.Add(24*time.Hour))
		if err != nil || len(silent) != 2 || silent[1].Calls != 0 || !silent[1].Use.LastAt.Equal(t0.Add(4*time.Second)) {
			t.Errorf("BySecret after it fell silent = %+v, %v", silent, err)
		}
	})
}

func TestPrune(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 100 {
			l.Record(call(t0.Add(-time.Duration(i)*24*time.Hour), by(postern.KeyID(fmt.Sprintf("key%013d", i)), 1)))
			l.Record(call(t0.Add(-time.Duration(i)*24*time.Hour), unknown))
		}
		flush(t, l)
		steps := 0
		for {
			n, err := l.Prune(ctx, activity.Horizon{Calls: t0.Add(-30 * 24 * time.Hour), Totals: t0.Add(-60 * 24 * time.Hour)}, 7)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			if n > 7*8 {
				t.Errorf("a step removes %d rows, want at most 7 a table", n)
			}
			steps++
		}
		if steps < 10 {
			t.Errorf("%d steps, want at least 10", steps)
		}
		for table, want := range map[string]int64{"activity_blocks": 31, "activity_block_keys": 31, "activity_hours": 61, "activity_callers": 61, "activity_uses": 61, "activity_days": 60, "activity_strangers": 61} {
			if n := count(t, l, table); n != want {
				t.Errorf("%s keeps %d rows, want %d", table, n, want)
			}
		}
		got := all(t, l, activity.Filter{Account: acme}, 200)
		if oldest := got[len(got)-1].At; oldest.Before(t0.Add(-30 * 24 * time.Hour)) {
			t.Errorf("the oldest call is of %v", oldest)
		}
	})
}
