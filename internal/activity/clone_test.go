package activity_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// A data directory that is copied, as in the image of a machine, while calls wait in
// its spool: two nodes then hold the same calls, and each goes on with its own. Every
// call is stored once, whoever comes first, and however the copy's files are cut off.
func TestCopiedSpool(t *testing.T) {
	defer activity.SetSegments(4 << 10)()
	engines(t, func(t *testing.T, target string) {
		rnd := rand.New(rand.NewPCG(7, 7))
		open(t, activity.Config{Target: target}).Close()
		want := map[string]bool{}
		for round := range 6 {
			dir := filepath.Join(t.TempDir(), "spool")
			first := open(t, activity.Config{Target: target, Spool: dir})
			record := func(l *activity.Log, who string, n int) {
				for i := range n {
					p := fmt.Sprintf("/r%d/%s/%d", round, who, i)
					want[p] = true
					l.Record(call(t0, func(e *postern.Event) { e.Path = p }))
					if i%10 == 9 {
						activity.Drain(l)
					}
				}
				activity.Drain(l)
			}
			record(first, "both", 100+rnd.IntN(100))
			copied := filepath.Join(t.TempDir(), "spool")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			// A copy of a file that grows ends anywhere.
			list := segments(t, copied)
			last := list[len(list)-1]
			info, err := os.Stat(last)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(last, rnd.Int64N(info.Size()+1)); err != nil {
				t.Fatal(err)
			}
			second := open(t, activity.Config{Target: target, Spool: copied})
			record(first, "first", 50)
			record(second, "second", 50)
			switch round % 3 {
			case 0:
				flush(t, second)
				flush(t, first)
			case 1:
				flush(t, first)
				flush(t, second)
			default:
				var both sync.WaitGroup
				for _, l := range []*activity.Log{first, second} {
					both.Go(func() {
						if err := l.Flush(ctx); err != nil {
							t.Error(err)
						}
					})
				}
				both.Wait()
			}
			for _, l := range []*activity.Log{first, second} {
				if st := l.Stats(); st.Buffered != 0 || len(st.Dropped) > 0 {
					t.Errorf("round %d: %+v", round, st)
				}
				l.Close()
			}
			if left := append(segments(t, dir), segments(t, copied)...); len(left) > 0 {
				t.Errorf("round %d: left %v", round, left)
			}
		}
		l := open(t, activity.Config{Target: target})
		defer l.Close()
		for _, a := range calls(t, l) {
			if !want[a.Path] {
				t.Fatalf("%s is there twice, or wasn't recorded", a.Path)
			}
			delete(want, a.Path)
		}
		if len(want) > 0 {
			t.Errorf("%d calls are lost", len(want))
		}
		equalTotals(t, l)
	})
}
