package crm

import (
	"sync"
	"time"

	"postern.dev/postern"
)

// limiter lets each account do n things in any second.
type limiter struct {
	n   int
	now func() time.Time

	mu   sync.Mutex
	last map[postern.AccountID][]time.Time // guarded by mu; at most n times, oldest first
}

func newLimiter(n int, now func() time.Time) *limiter {
	if n == 0 {
		n = 5
	}
	return &limiter{n: n, now: now, last: map[postern.AccountID][]time.Time{}}
}

// allow reports whether the account may go on, and counts it if so.
func (l *limiter) allow(a postern.AccountID) bool {
	if l.n < 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	list := l.last[a]
	if len(list) == l.n {
		if now.Sub(list[0]) < time.Second {
			return false
		}
		list = list[1:]
	}
	l.last[a] = append(list, now)
	return true
}
