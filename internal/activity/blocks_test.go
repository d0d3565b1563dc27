package activity_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// later is a log of the same calls, whose clock says that their hours are over.
func later(t testing.TB, target string) *activity.Log {
	return open(t, activity.Config{Target: target, Now: func() time.Time { return t0.Add(48 * time.Hour) }})
}

func merge(t testing.TB, l *activity.Log) {
	t.Helper()
	if err := activity.Merge(ctx, l); err != nil {
		t.Fatal(err)
	}
}

// newestFirst is the order of a list of calls.
func newestFirst(a, b postern.Activity) int {
	if d := b.At.Compare(a.At); d != 0 {
		return d
	}
	return int(b.Seq - a.Seq)
}

// TestPagesWhileBlocksMerge pages through calls that two nodes wrote in no order,
// many at the same time, while other calls come and blocks merge between the
// pages: each call of before is seen once, in order, with every filter.
func TestPagesWhileBlocksMerge(t *testing.T) {
	defer activity.SetBlocks(7, 2)()
	engines(t, func(t *testing.T, target string) {
		nodes := []*activity.Log{open(t, activity.Config{Target: target}), open(t, activity.Config{Target: target})}
		merger := later(t, target)
		rng := rand.New(rand.NewPCG(3, 4))
		some := func(l *activity.Log, n int, at func() time.Time) {
			for range n {
				l.Record(call(at(), by([]postern.KeyID{keyA, keyB}[rng.IntN(2)], uint32(1+rng.IntN(3))), path(rng.IntN(30)),
					of([]postern.AccountID{acme, acme, ajax}[rng.IntN(3)])))
			}
			flush(t, l)
		}
		near := func() time.Time { return t0.Add(-time.Duration(rng.IntN(20)) * 15 * time.Minute) }
		for range 60 {
			some(nodes[rng.IntN(2)], 1+rng.IntN(12), near)
			if rng.IntN(10) == 0 {
				merge(t, merger)
			}
		}
		some(nodes[0], 100, func() time.Time { return t0.Add(-time.Hour) })
		before := calls(t, nodes[0])
		for _, f := range []activity.Filter{{}, {Key: keyA}, {Key: keyB, Generation: 2}, {PathPrefix: "/n/1"}, {Since: t0.Add(-2 * time.Hour), Until: t0.Add(-time.Hour)}} {
			f.Account = acme
			var want []postern.Activity
			for _, a := range before {
				if a.AccountID == acme && (f.Key == "" || a.KeyID == f.Key) && (f.Generation == 0 || a.Generation == f.Generation) &&
					strings.HasPrefix(a.Path, f.PathPrefix) && !a.At.Before(f.Since) && (f.Until.IsZero() || a.At.Before(f.Until)) {
					want = append(want, a)
				}
			}
			slices.SortFunc(want, newestFirst)
			if len(want) < 10 {
				t.Fatalf("%+v asks for %d calls, which shows nothing", f, len(want))
			}
			last := before[len(before)-1].Seq
			var got []postern.Activity
			for c := (activity.Cursor{}); ; {
				page, next, err := nodes[1].Query(ctx, f, c, 1+rng.IntN(9))
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range page {
					if a.Seq <= last {
						got = append(got, a)
					}
				}
				if c = next; c.Zero() {
					break
				}
				some(nodes[rng.IntN(2)], 1, near)
				if rng.IntN(3) == 0 {
					merge(t, merger)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%+v: %s", f, d)
			}
			before = calls(t, nodes[0])
		}
		equalTotals(t, nodes[0])
	})
}

// TestPagesThatRunOutOfTime gives each answer time for a block or so: pages are
// short, or empty, and together they hold every call once, in order.
func TestPagesThatRunOutOfTime(t *testing.T) {
	defer activity.SetBlocks(4, 3)()
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 120 {
			// Overlapping blocks, and ten of them at one and the same time.
			at := t0.Add(-time.Duration(i*7%40) * time.Second)
			if i >= 80 {
				at = t0.Add(-20 * time.Second)
			}
			l.Record(call(at, by([]postern.KeyID{keyA, keyB}[i%2], 1), path(i)))
			if i%5 == 0 {
				flush(t, l)
			}
		}
		flush(t, l)
		for _, f := range []activity.Filter{{Account: acme}, {Account: acme, Key: keyA}, {Account: acme, PathPrefix: "/n/11"}} {
			want := all(t, l, f, 50)
			restore := activity.SetLookTime(-time.Second)
			pages := 0
			var got []postern.Activity
			for c := (activity.Cursor{}); ; pages++ {
				page, next, err := l.Query(ctx, f, c, 50)
				if err != nil || pages > 1000 {
					t.Fatalf("after %d pages: %v", pages, err)
				}
				got = append(got, page...)
				if c = next; c.Zero() {
					break
				}
			}
			restore()
			if d := cmp.Diff(want, got); d != "" || pages < 5 {
				t.Errorf("%+v in %d pages: %s", f, pages, d)
			}
		}
	})
}

// TestFollowWhileBlocksMerge has two nodes write, two merge, and one follow, all
// at once: the follower sees each call once, in the order of writing.
func TestFollowWhileBlocksMerge(t *testing.T) {
	defer activity.SetBlocks(20, 2)()
	engines(t, func(t *testing.T, target string) {
		reader := open(t, activity.Config{Target: target})
		f := activity.Filter{Account: acme}
		_, c, err := reader.Tail(ctx, f, activity.Cursor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		const each = 400
		var writers, mergers sync.WaitGroup
		done := make(chan struct{})
		for n := range 2 {
			writer, merger := open(t, activity.Config{Target: target}), later(t, target)
			writers.Go(func() {
				for i := range each {
					writer.Record(call(t0.Add(time.Duration(i)*time.Second), path(n*each+i), of([]postern.AccountID{acme, ajax}[i%2])))
					if i%3 == 0 {
						if err := writer.Flush(ctx); err != nil {
							t.Error(err)
						}
					}
				}
				if err := writer.Flush(ctx); err != nil {
					t.Error(err)
				}
			})
			mergers.Go(func() {
				for {
					if err := activity.Merge(ctx, merger); err != nil {
						t.Error(err)
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		seen, last := map[string]int{}, int64(0)
		for stop := time.Now().Add(30 * time.Second); len(seen) < each && time.Now().Before(stop); {
			page, next, err := reader.Tail(ctx, f, c, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				if a.Seq <= last {
					t.Fatalf("call %d comes after %d", a.Seq, last)
				}
				last = a.Seq
				seen[a.Path]++
			}
			c = next
		}
		writers.Wait()
		close(done)
		mergers.Wait()
		if len(seen) != each {
			t.Errorf("the follower saw %d calls, want %d", len(seen), each)
		}
		for p, n := range seen {
			if n != 1 {
				t.Errorf("%s was seen %d times", p, n)
			}
		}
		equalTotals(t, reader)
	})
}

func TestMerge(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target})
		for i := range 200 {
			l.Record(call(t0.Truncate(time.Hour).Add(time.Duration(i)*time.Second), by([]postern.KeyID{keyA, keyB}[i%2], 1), path(i),
				of([]postern.AccountID{acme, ajax}[i/2%2]), func(e *postern.Event) { e.RequestID = fmt.Sprint("req ", i) }))
			flush(t, l)
		}
		want := calls(t, l)
		merge(t, l)
		if n := count(t, l, "activity_blocks"); n != 200 {
			t.Errorf("%d blocks, want 200: the hour is not over", n)
		}
		merge(t, later(t, target))
		got := calls(t, l)
		slices.SortFunc(got, func(a, b postern.Activity) int { return int(a.Seq - b.Seq) })
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		for table, want := range map[string]int64{"activity_blocks": 2, "activity_block_keys": 4} {
			if n := count(t, l, table); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		// Full blocks need no end of their hour.
		defer activity.SetBlocks(10, 2)()
		for i := range 25 {
			l.Record(call(t0, path(i)))
			flush(t, l)
		}
		merge(t, l)
		if n := count(t, l, "activity_blocks"); n != 2+1+1+5 {
			t.Errorf("%d blocks, want 9: two of before, two of ten calls, and five of one", n)
		}
	})
}

// TestABrokenBlockIsLeftOut spoils a block in the database: its calls are
// missing, which is logged, all others are there, and it can be pruned.
func TestABrokenBlockIsLeftOut(t *testing.T) {
	defer activity.SetBlocks(10, 2)()
	engines(t, func(t *testing.T, target string) {
		var logged bytes.Buffer
		l := open(t, activity.Config{Target: target, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Now: func() time.Time { return t0.Add(48 * time.Hour) }})
		_, c, err := l.Tail(ctx, activity.Filter{Account: acme}, activity.Cursor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 28 {
			l.Record(call(t0.Add(time.Duration(i)*time.Second), path(i)))
			if i%7 == 6 {
				flush(t, l)
			}
		}
		change := func(q string, args ...any) {
			t.Helper()
			db := activity.Pool(l)
			if _, err := activity.Exec(db, q, args...); err != nil {
				t.Fatal(err)
			}
		}
		var data []byte
		if err := activity.Pool(l).Read().QueryRow(`select data from activity_blocks where seq = 14`).Scan(&data); err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		change(`update activity_blocks set data = $1 where seq = 14`, data)
		got := all(t, l, activity.Filter{Account: acme}, 4)
		keyed := all(t, l, activity.Filter{Account: acme, Key: keyA}, 50)
		tailed, _, err := l.Tail(ctx, activity.Filter{Account: acme}, c, 0)
		if err != nil || len(got) != 21 || len(keyed) != 21 || len(tailed) != 21 {
			t.Errorf("%d calls, %d of the key, %d followed, %v; want 21 of each", len(got), len(keyed), len(tailed), err)
		}
		if s := logged.String(); !strings.Contains(s, "level=ERROR") || !strings.Contains(s, "checksum") || !strings.Contains(s, "last=14") {
			t.Errorf("logged is %q", s)
		}
		merge(t, l)
		if n := count(t, l, "activity_blocks"); n != 4 {
			t.Errorf("%d blocks, want 4: with a broken one nothing is merged", n)
		}
		for gone := int64(1); gone > 0; {
			if gone, err = l.Prune(ctx, activity.Horizon{Calls: t0.Add(24 * time.Hour)}, 100); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := count(t, l, "activity_blocks"), count(t, l, "activity_block_keys"); a+b != 0 {
			t.Errorf("%d blocks and %d of their keys are left", a, b)
		}
	})
}

// FuzzUnpack reads any bytes as a block: nothing but calls, or an error, comes of it.
func FuzzUnpack(f *testing.F) {
	l := open(f, activity.Config{Target: f.TempDir() + "/a.db"})
	first := postern.ToMicros(t0)
	for i := range 20 {
		l.Record(call(t0.Add(time.Duration(i*i)*time.Second), path(i), by([]postern.KeyID{keyA, keyB}[i%2], 1), func(e *postern.Event) {
			e.RequestID = []string{"", "short", "0a1b2c3d-0000-4000-8000-00000000000f"}[i%3]
		}))
		flush(f, l)
	}
	merge(f, later(f, activity.Target(l)))
	var data []byte
	if err := activity.Pool(l).Read().QueryRow(`select data from activity_blocks where calls = 20`).Scan(&data); err != nil {
		f.Fatal(err)
	}
	last := first + 19*19*1_000_000
	f.Add(data, int64(1), int64(20), int64(20))
	f.Add(data[:len(data)-1], int64(1), int64(20), int64(20))
	f.Add(data, int64(1), int64(21), int64(20))
	f.Add([]byte{}, int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, from, to, n int64) {
		data = slices.Clone(data)
		activity.Sum(data)
		got, err := activity.Unpack(from, to, first, last, n, data)
		if err != nil {
			return
		}
		if int64(len(got)) != n || n == 0 || got[0].Seq != from || got[n-1].Seq != to {
			t.Fatalf("%d calls from %d to %d of a block that says %d from %d to %d", len(got), got[0].Seq, got[n-1].Seq, n, from, to)
		}
		for i, a := range got {
			if at := postern.ToMicros(a.At); at < first || at > last || i > 0 && a.Seq <= got[i-1].Seq || a.Duration < 0 || a.BytesIn < 0 || a.BytesOut < 0 {
				t.Fatalf("call %d is %+v", i, a)
			}
		}
	})
}

func TestBlocksKeepRequestIDs(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db"})
	ids := []string{"", "x", "0a1b2c3d-0000-4000-8000-00000000000f", "0A1b2c3d-0000-4000-8000-00000000000f", "0a1b2c3d-0000-4000-8000-00000000000g",
		"0a1b2c3d00000-4000-8000-00000000000f", strings.Repeat("é", 60)}
	for i, id := range ids {
		l.Record(call(t0.Add(time.Duration(i)*time.Second), func(e *postern.Event) { e.RequestID = id }))
	}
	flush(t, l)
	var got []string
	for _, a := range calls(t, l) {
		got = append(got, a.RequestID)
	}
	if d := cmp.Diff(ids, got); d != "" {
		t.Error(d)
	}
}

// TestCountsADayAtItsStart has a day begin in the middle of an hour, between calls that share all else.
func TestCountsADayAtItsStart(t *testing.T) {
	start := postern.ToMicros(t0.Add(10 * time.Minute))
	l := open(t, activity.Config{Target: t.TempDir() + "/a.db", Now: func() time.Time { return t0.Add(time.Hour) },
		DayStart: func(_ postern.AccountID, at postern.Micros) postern.Micros {
			if at < start {
				return start - 24*3_600_000_000
			}
			return start
		}})
	for i := range 30 {
		l.Record(call(t0.Add(time.Duration(i) * time.Minute)))
	}
	flush(t, l)
	got, err := l.DayCounts(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]activity.DayCount{{acme, start - 24*3_600_000_000, 10}, {acme, start, 20}}, got); d != "" {
		t.Error(d)
	}
}
