package activity_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/door"
)

// BenchmarkRecord is the cost of Record to a decision. Buffers are emptied
// without the clock, since what is measured is the copy and not the drain.
func BenchmarkRecord(b *testing.B) {
	l := open(b, activity.Config{Target: filepath.Join(b.TempDir(), "a.db"), Capacity: 1 << 16})
	e := call(t0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%60000 == 59999 {
			b.StopTimer()
			activity.Discard(l)
			b.StartTimer()
		}
		l.Record(e)
	}
	if n := l.Stats().Dropped[postern.ReasonAllowed]; n > 0 {
		b.Fatalf("%d were dropped", n)
	}
}

func BenchmarkRecordParallel(b *testing.B) {
	l := open(b, activity.Config{Target: filepath.Join(b.TempDir(), "a.db"), Capacity: 1 << 16})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				activity.Discard(l)
				time.Sleep(time.Millisecond)
			}
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		e := call(t0)
		for pb.Next() {
			l.Record(e)
		}
	})
	b.StopTimer()
	close(stop)
	<-done
	b.ReportMetric(float64(l.Stats().Dropped[postern.ReasonAllowed])/float64(b.N), "dropped/op")
}

// BenchmarkDrain is how many calls a second are written with all their totals,
// and how much of the disk one takes, with a path and a request ID of its own.
func BenchmarkDrain(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			target := filepath.Join(b.TempDir(), "a.db")
			if engine == "postgres" {
				target = postgres(b)
			}
			l := open(b, activity.Config{Target: target})
			const calls = 8000
			var took time.Duration
			n := 0
			for range b.N {
				for i := range calls {
					n++
					l.Record(call(t0.Add(time.Duration(i)*time.Millisecond), path(1_000_000+n), func(e *postern.Event) { e.RequestID = door.NewRequestID() },
						by(postern.KeyID("key")+postern.KeyID("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i%20:][:5]+"12345678"), 1)))
				}
				start := time.Now()
				flush(b, l)
				took += time.Since(start)
			}
			b.ReportMetric(float64(n)/took.Seconds(), "calls/s")
			if engine == "sqlite" {
				if _, err := activity.Pool(l).Read().Exec("pragma wal_checkpoint(truncate)"); err != nil {
					b.Fatal(err)
				}
				if st, err := os.Stat(target); err == nil {
					b.ReportMetric(float64(st.Size())/float64(n), "disk-bytes/call")
				}
			}
		})
	}
}

var queryCalls = flag.Int("calls", 300_000, "how many calls BenchmarkQuery has in its account")

// BenchmarkQuery is what a page of 50 costs among many calls of an account:
// without a filter, of one key, and with a filter that nothing passes, where the
// most is looked through that one answer may take.
func BenchmarkQuery(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			target := filepath.Join(b.TempDir(), "a.db")
			if engine == "postgres" {
				target = postgres(b)
			}
			l := open(b, activity.Config{Target: target, Capacity: 1 << 15})
			for i := range *queryCalls {
				l.Record(call(t0.Add(-time.Duration(i)*time.Millisecond), by([]postern.KeyID{keyA, keyB}[i%2], 1), path(i)))
				if i%20_000 == 19_999 {
					flush(b, l)
				}
			}
			for _, c := range []struct {
				name string
				f    activity.Filter
			}{{"newest", activity.Filter{}}, {"key", activity.Filter{Key: keyA, Until: t0.Add(-100 * time.Second)}}, {"nothing", activity.Filter{IP: "192.0.2.99"}}} {
				b.Run(c.name, func(b *testing.B) {
					c.f.Account = acme
					for b.Loop() {
						if _, _, err := l.Query(ctx, c.f, activity.Cursor{}, 50); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
