package activity

import (
	"context"
	"time"
)

// settleMost is how long a reader waits for what was recorded before it came.
const settleMost = time.Second

// Settle waits until Run has written what was recorded before, so that who made a
// call and then looks finds it. It waits a second at most, and not at all
// while the database is away: readers are then told of what is written.
func (l *Log) Settle(ctx context.Context) {
	if st := l.Stats(); st.Buffered == 0 || st.LastError != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	goal, _, err := l.drain(ctx)
	if err != nil {
		return
	}
	select {
	case l.load <- struct{}{}:
	default:
	}
	for {
		tried := l.tried.next()
		if l.queue.loaded.Load() >= goal {
			return
		}
		select {
		case <-tried:
			if l.Stats().LastError != "" {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
