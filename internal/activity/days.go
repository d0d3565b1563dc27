package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// DayCount is how many calls of an account counted towards its limit of a day.
type DayCount struct {
	Account postern.AccountID
	Start   postern.Micros // of the day
	Calls   int64
}

// DayCounts tells each account's counted calls of the days that began at a time
// or later. Whoever enforces daily limits loads them at the start, so that a
// restart doesn't give the day's calls again.
func (l *Log) DayCounts(ctx context.Context, since time.Time) ([]DayCount, error) {
	// All accounts of a big server: it may take longer than a page.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := collect(ctx, l, func(rows *sql.Rows, c *DayCount) error {
		return rows.Scan(&c.Account, &c.Start, &c.Calls)
	}, `select account_id, day_start, calls from activity_days where day_start >= $1 order by day_start, account_id`, micros(since))
	if err != nil {
		return nil, fmt.Errorf("activity: day counts: %w", err)
	}
	return out, nil
}
