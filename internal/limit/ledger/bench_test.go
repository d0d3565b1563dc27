package ledger_test

import (
	"testing"
	"time"

	"postern.dev/postern/internal/limit/redistest"
)

// What a call of a limit costs: one that is counted ahead of need, one for which
// Redis is asked, one that is refused without asking, and one while Redis is away.
func BenchmarkTake(b *testing.B) {
	s := redistest.Start(b)
	l := open(b, s.URL())
	run := func(name string, fn func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			was := l.State().Asked
			n := 0
			for b.Loop() {
				fn(n)
				n++
			}
			b.ReportMetric(float64(l.State().Asked-was)/float64(n), "questions/op")
		})
	}
	busy, spent := keyOf(1), keyOf(2)
	run("busy key", func(int) { l.Take(busy, 1_000_000_000, int64(10*time.Second)) })
	run("asks for each", func(i int) {
		k := keyOf(1000 + i)
		l.Take(k, 100, int64(10*time.Second))
	})
	run("limit reached", func(int) { l.Take(spent, 1, int64(time.Hour)) })
	s.Kill()
	for l.State().Why == "" {
		k := keyOf(3)
		l.Take(k, 100, int64(10*time.Second))
	}
	run("away", func(int) { l.Take(busy, 1_000_000_000, int64(10*time.Second)) })
}
