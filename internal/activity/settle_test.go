package activity_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/internal/activity"
)

// Who made a call and then looks finds it, however rarely the log writes.
func TestSettle(t *testing.T) {
	l := open(t, activity.Config{Target: t.TempDir() + "/activity.db", Delay: time.Hour})
	l.Settle(t.Context()) // nothing waits: it comes back at once, without a Run
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = l.Run(ctx) })
	for i := range 3 {
		l.Record(call(t0))
		l.Settle(t.Context())
		if st := l.Stats(); st.Written != uint64(i+1) || st.Buffered != 0 {
			t.Fatalf("after %d calls: %+v", i+1, st)
		}
	}
}
