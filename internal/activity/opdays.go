package activity

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern.dev/postern"
)

// OperationDay is one day (of UTC) on which a key was allowed to call an operation.
type OperationDay struct {
	Upstream  postern.UpstreamID
	Operation string
	Day       time.Time
	Last      time.Time // the start of the hour of the day's latest call
	Calls     int64
}

// maxOperationDays is the most rows of one answer: 90 days of over 200 operations.
const maxOperationDays = 20_000

// OperationDays tells on which days a key was allowed to call which operation
// since a time, the latest day first: what shows which of its scopes it needs.
func (l *Log) OperationDays(ctx context.Context, account postern.AccountID, key postern.KeyID, since time.Time) ([]OperationDay, error) {
	if account == "" || key == "" {
		return nil, errEmptyAccount
	}
	const day = int64(24 * time.Hour / time.Microsecond)
	out, err := collect(ctx, l, func(rows *sql.Rows, d *OperationDay) error {
		var n, last int64
		err := rows.Scan(&d.Upstream, &d.Operation, &n, &last, &d.Calls)
		d.Day, d.Last = postern.Micros(n*day).Time(), postern.Micros(last).Time()
		return err
	}, `select upstream, operation, hour / $4, max(hour), cast(sum(calls) as bigint) from activity_hours
		where account_id = $1 and key_id = $2 and hour >= $3 and allowed = 1 and operation <> ''
		group by 1, 2, 3 order by 3 desc, 1, 2 limit $5`, string(account), string(key), hourOf(since), day, maxOperationDays)
	if err != nil {
		return nil, fmt.Errorf("activity: days of %s: %w", key, err)
	}
	return out, nil
}
