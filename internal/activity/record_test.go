package activity_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestRecordKeepsAllOfACall(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		e := call(t0, refused(postern.ReasonInsufficientScope), func(e *postern.Event) {
			e.Missing = "crm.objects.deals.write crm.objects.deals.read"
			e.Decision.Member = "mem_1"
		})
		l.Record(e)
		*e = postern.Event{} // the log must have its own copy
		flush(t, l)
		want := []postern.Activity{{Seq: 1, At: t0, AccountID: acme, KeyID: keyA, Kind: postern.KindServiceKey, Generation: 1,
			MemberID: "mem_1", Upstream: "crm", Operation: "listDeals", Method: "GET", Path: "/crm/v3/objects/deals", Status: 403,
			Reason: postern.ReasonInsufficientScope, Missing: []postern.Scope{"crm.objects.deals.write", "crm.objects.deals.read"},
			Door: "gateway", Duration: 3 * time.Millisecond, BytesIn: 10, BytesOut: 100, IP: "192.0.2.7", UserAgent: "sync/1.0", RequestID: "req_1"}}
		if d := cmp.Diff(want, all(t, l, activity.Filter{Account: acme}, 10)); d != "" {
			t.Error(d)
		}
	})
}

func TestRecordNeverAllocates(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db", Capacity: 1 << 16})
	e := call(t0)
	if n := testing.AllocsPerRun(1000, func() { l.Record(e) }); n != 0 {
		t.Errorf("Record allocates %v times, want 0", n)
	}
}

func TestFullBufferDropsAndCounts(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Capacity: 128})
		fits := l.Stats().Capacity
		for range fits {
			l.Record(call(t0))
		}
		for range 7 {
			l.Record(call(t0))
		}
		for range 3 {
			l.Record(call(t0, unknown))
		}
		want := map[postern.Reason]uint64{postern.ReasonAllowed: 7, postern.ReasonUnknownKey: 3}
		if d := cmp.Diff(want, l.Stats().Dropped); d != "" {
			t.Error(d)
		}
		flush(t, l)
		if st := l.Stats(); st.Written != uint64(fits) || st.Buffered != 0 || st.Recorded != uint64(fits) {
			t.Errorf("Stats = %+v, want %d written and none buffered", st, fits)
		}
		l.Record(call(t0))
		flush(t, l)
		got, err := l.Losses(ctx, t0)
		if err != nil {
			t.Fatal(err)
		}
		h := t0.Truncate(time.Hour)
		if d := cmp.Diff([]activity.Loss{{Hour: h, Reason: postern.ReasonAllowed, Calls: 7}, {Hour: h, Reason: postern.ReasonUnknownKey, Calls: 3}}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestLongTextsAreBounded(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db", Capacity: 64})
	long := strings.Repeat("é", 20000)
	for range 1000 {
		l.Record(call(t0, func(e *postern.Event) {
			e.Path, e.UserAgent, e.RequestID, e.Missing, e.Method = "/"+long, long, long, long, long
		}))
	}
	flush(t, l)
	got := all(t, l, activity.Filter{Account: acme}, 100)
	if len(got) == 0 || len(got) >= 64 {
		t.Fatalf("%d calls kept, want some, and not all: their texts are longer than the buffer", len(got))
	}
	for _, a := range got {
		if len(a.Path) > 512 || len(a.UserAgent) > 256 || len(a.RequestID) > 128 {
			t.Fatalf("kept path of %d bytes, user agent of %d, request id of %d", len(a.Path), len(a.UserAgent), len(a.RequestID))
		}
	}
}

// TestRunLosesNothing records from many goroutines while Run writes, stops it,
// and finds every call that wasn't counted as dropped.
func TestRunLosesNothing(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Capacity: 2048, Delay: 5 * time.Millisecond})
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- l.Run(run) }()
		const each = 3000
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := range each {
					l.Record(call(t0.Add(time.Duration(i)*time.Second), by(keyA, uint32(g+1))))
					if i%100 == 0 {
						l.Stats()
					}
				}
			})
		}
		wg.Wait()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		st := l.Stats()
		dropped := st.Dropped[postern.ReasonAllowed]
		if st.Recorded+dropped != 6*each || st.Written != st.Recorded || st.Buffered != 0 {
			t.Errorf("Stats = %+v, want recorded + dropped = %d and all recorded written", st, 6*each)
		}
		if n := int64(len(calls(t, l))); uint64(n) != st.Recorded {
			t.Errorf("%d rows, want %d", n, st.Recorded)
		}
		equalTotals(t, l)
	})
}

// equalTotals checks that every total is that of the single calls.
func equalTotals(t *testing.T, l *activity.Log) {
	t.Helper()
	db := activity.Pool(l).Read()
	var raw [4]int64
	var allowed, counted int64
	if err := activity.EachCall(l, func(a *postern.Activity) {
		raw[0]++
		raw[1] += a.Duration.Microseconds()
		raw[2] += a.BytesIn
		raw[3] += a.BytesOut
		allowed += int64(map[bool]int{true: 1}[a.Allowed])
		counted += int64(map[bool]int{true: 1}[activity.Counts(a.Reason)])
	}); err != nil {
		t.Fatal(err)
	}
	sum := row(t, l, `select coalesce(sum(calls), 0), coalesce(sum(duration), 0), coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0) from activity_hours`)
	if raw != sum {
		t.Errorf("totals by hour are %v, want those of the calls, %v", sum, raw)
	}
	var callers, uses, days int64
	for q, v := range map[string]*int64{
		`select coalesce(sum(calls), 0) from activity_callers`: &callers,
		`select coalesce(sum(calls), 0) from activity_uses`:    &uses,
		`select coalesce(sum(calls), 0) from activity_days`:    &days,
	} {
		if err := db.QueryRow(q).Scan(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, account := range []postern.AccountID{acme, ajax} {
		if wrong, err := l.Check(ctx, account, t0.Add(-time.Hour), t0.Add(24*time.Hour)); err != nil || len(wrong) > 0 {
			t.Errorf("totals of %s that aren't what their calls come to: %+v, %v", account, wrong, err)
		}
	}
	if callers != raw[0] || uses != allowed || days != counted {
		t.Errorf("callers %d, want %d; uses %d, want %d; days %d, want %d", callers, raw[0], uses, allowed, days, counted)
	}
}

func row(t *testing.T, l *activity.Log, q string) (out [4]int64) {
	t.Helper()
	if err := activity.Pool(l).Read().QueryRow(q).Scan(&out[0], &out[1], &out[2], &out[3]); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTotalsEqualCalls(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		reasons := postern.Reasons()
		for i := range 5000 {
			r := reasons[i%len(reasons)]
			l.Record(call(t0.Add(time.Duration(i)*7*time.Second), of([]postern.AccountID{acme, ajax}[i%2]), by(keyA, uint32(i%3)), func(e *postern.Event) {
				e.Decision.Reason, e.Decision.Allowed = r, r == postern.ReasonAllowed
				e.Status, e.Duration, e.BytesIn = 200+100*(i%4), time.Duration(i)*time.Microsecond, int64(i)
				e.IP = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			}))
			if i%1234 == 0 {
				flush(t, l)
			}
		}
		flush(t, l)
		equalTotals(t, l)
	})
}

func TestOneBadRecordIsLeftOut(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		rule := "alter table activity_uses add constraint bad check (user_agent <> 'bad')"
		if !strings.HasPrefix(target, "postgres") {
			rule = "create trigger bad before insert on activity_uses when new.user_agent = 'bad' begin select raise(abort, 'bad'); end"
		}
		if _, err := activity.Exec(activity.Pool(l), rule); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			l.Record(call(t0.Add(time.Duration(i)*time.Second), path(i), func(e *postern.Event) {
				if i == 99 {
					e.UserAgent = "bad"
				}
			}))
			if i == 50 {
				activity.Drain(l)
			}
		}
		flush(t, l)
		if n := int64(len(calls(t, l))); n != 99 {
			t.Errorf("%d calls kept, want 99", n)
		}
		flush(t, l)
		if losses, err := l.Losses(ctx, t0); err != nil || len(losses) != 1 || losses[0].Calls != 1 {
			t.Errorf("Losses = %+v, %v; want one call", losses, err)
		}
		if n := l.Stats().Dropped[postern.ReasonAllowed]; n != 1 {
			t.Errorf("%d counted as dropped, want 1", n)
		}
		equalTotals(t, l)
	})
}

func TestABatchIsWrittenOnce(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		l.Record(call(t0))
		flush(t, l)
		activity.Rewind(l)
		l.Record(call(t0)) // stands for the same call, tried again
		flush(t, l)
		if n := int64(len(calls(t, l))); n != 1 {
			t.Errorf("%d calls, want 1: the batch was there", n)
		}
		l.Record(call(t0))
		flush(t, l)
		if n := int64(len(calls(t, l))); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestStrangersAreCountedByNetwork(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 600 {
			l.Record(call(t0, unknown, func(e *postern.Event) { e.IP = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) }))
		}
		l.Record(call(t0.Add(time.Second), unknown, from("2001:db8:1:2::3", "")))
		l.Record(call(t0.Add(time.Second), unknown, from("::ffff:203.0.113.9", "")))
		l.Record(call(t0.Add(time.Second), unknown, func(e *postern.Event) { e.IP = netip.Addr{} }))
		// A wrong secret for a key of acme is no call of acme.
		l.Record(call(t0, func(e *postern.Event) { unknown(e); e.Decision.Account = acme }))
		flush(t, l)
		got, err := l.Networks(ctx, t0, 10)
		if err != nil {
			t.Fatal(err)
		}
		r, g := postern.ReasonUnknownKey, "gateway"
		want := []activity.Network{{"198.51.100.0/24", r, g, 600, t0}, {"192.0.2.0/24", r, g, 1, t0}, {"2001:db8:1::/48", r, g, 1, t0.Add(time.Second)},
			{"203.0.113.0/24", r, g, 1, t0.Add(time.Second)}, {"unknown", r, g, 1, t0.Add(time.Second)}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		for _, table := range []string{"activity_blocks", "activity_block_keys", "activity_hours", "activity_uses", "activity_days", "activity_callers"} {
			if n := count(t, l, table); n != 0 {
				t.Errorf("%s has %d rows, want 0", table, n)
			}
		}
		if got := l.Strangers(1000); len(got) != 512 || !got[0].At.Equal(t0.Add(time.Second)) || got[0].AccountID != "" {
			t.Errorf("Strangers: %d, the first at %v", len(got), got[0].At)
		}
	})
}

func TestStrangersRowsAreBounded(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db", Capacity: 1 << 16})
	for i := range 30000 {
		l.Record(call(t0, unknown, func(e *postern.Event) { e.IP = netip.AddrFrom4([4]byte{byte(i >> 8), byte(i), 1, 1}) }))
	}
	flush(t, l)
	if n := count(t, l, "activity_strangers"); n != 4097 {
		t.Errorf("%d rows, want 4097", n)
	}
	var calls int
	activity.Pool(l).Read().QueryRow("select sum(calls) from activity_strangers").Scan(&calls)
	if calls != 30000 {
		t.Errorf("%d calls counted, want 30000", calls)
	}
}

func TestCallersRowsAreBounded(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db"})
	for i := range 2000 {
		l.Record(call(t0, from("192.0.2.1", fmt.Sprint("agent ", i))))
	}
	flush(t, l)
	got, err := l.Callers(ctx, acme, keyA, 0, t0)
	if err != nil {
		t.Fatal(err)
	}
	others := 0
	for _, c := range got {
		if c.UserAgent == "" {
			others = int(c.Calls)
		}
	}
	if len(got) != 257 || others != 2000-256 {
		t.Errorf("%d callers with %d calls of others, want 257 with 1744", len(got), others)
	}
}

func TestATimeInTheFutureIsNow(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db"})
	l.Record(call(t0.Add(time.Hour)))
	l.Record(call(time.Time{}))
	flush(t, l)
	for _, a := range all(t, l, activity.Filter{Account: acme}, 0) {
		if !a.At.Equal(t0) {
			t.Errorf("At = %v, want %v", a.At, t0)
		}
	}
}

// TestTwoNodesWriteTheSameTotals has two logs write calls of the same keys at
// once, while a third follows them: none waits for ever, nothing is lost, and
// the follower sees each call once, in order.
func TestTwoNodesWriteTheSameTotals(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		reader := open(t, activity.Config{Target: target})
		f := activity.Filter{Account: acme}
		_, c, err := reader.Tail(ctx, f, activity.Cursor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			l := open(t, activity.Config{Target: target})
			wg.Go(func() {
				for i := range 1000 {
					l.Record(call(t0, by([]postern.KeyID{keyA, keyB}[i%2], uint32(1+i%3))))
					if i%50 == 49 {
						if err := l.Flush(ctx); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		seen, last := 0, int64(0)
		for stop := time.Now().Add(20 * time.Second); seen < 2000 && time.Now().Before(stop); {
			page, next, err := reader.Tail(ctx, f, c, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				if a.Seq <= last {
					t.Fatalf("call %d comes after %d", a.Seq, last)
				}
				last = a.Seq
			}
			seen += len(page)
			c = next
		}
		wg.Wait()
		if seen != 2000 {
			t.Errorf("the follower saw %d calls, want 2000", seen)
		}
		equalTotals(t, reader)
	})
}
