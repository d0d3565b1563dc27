package activity

import (
	"context"
	"time"
)

// settleMost is how long a reader waits for what was recorded before it came.
const settleMost = 200 * time.Millisecond

// Settle waits until Run has written what was recorded before, so that who made a
// call and then looks finds it. It waits a fifth of a second at most, and not at all
// while the database is away: readers are then told of what is written.
func (l *Log) Settle(ctx context.Context) {
	// A Flush that runs has taken out what it writes: the one after it is waited for.
	more := int64(1)
	if len(l.sem) > 0 {
		more = 2
	}
	goal := l.tries.Load() + more
	if st := l.Stats(); more == 1 && st.Buffered == 0 || st.LastError != "" {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	for {
		tried := l.tried.next()
		if l.tries.Load() >= goal {
			return
		}
		select {
		case <-tried:
		case <-ctx.Done():
			return
		}
	}
}
