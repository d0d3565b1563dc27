package activity

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// losses counts the calls that could not be recorded, by the reason of their decision.
type losses struct {
	count [256]atomic.Uint64 // since the start
	kept  [256]uint64        // of those, how many a frame tells of; the drain's
}

func (l *losses) add(r postern.Reason) { l.count[r].Add(1) }

func (l *losses) byReason() map[postern.Reason]uint64 {
	out := map[postern.Reason]uint64{}
	for r := range l.count {
		if n := l.count[r].Load(); n > 0 {
			out[postern.Reason(r)] = n
		}
	}
	return out
}

// news is what no frame tells of yet.
func (l *losses) news() map[postern.Reason]uint64 {
	out := map[postern.Reason]uint64{}
	for r := range l.count {
		if n := l.count[r].Load() - l.kept[r]; n > 0 {
			out[postern.Reason(r)] = n
		}
	}
	return out
}

func (l *losses) keep(news map[postern.Reason]uint64) {
	for r, n := range news {
		l.kept[r] += n
	}
}

var lossesTable = table{name: "activity_losses", columns: "hour, reason, calls",
	conflict: "on conflict (hour, reason) do update set calls = activity_losses.calls + excluded.calls"}

// lossKey is of the losses of an hour.
type lossKey struct {
	hour   postern.Micros
	reason postern.Reason
}

func (l *Log) insertLosses(ctx context.Context, tx *sql.Tx, losses map[lossKey]uint64) error {
	var args []any
	for k, n := range losses {
		args = append(args, int64(k.hour), k.reason.String(), int64(n))
	}
	return lossesTable.insert(ctx, tx, l.pool.Engine, args)
}

// Loss is how many calls of a reason could not be recorded in an hour.
type Loss struct {
	Hour   time.Time
	Reason postern.Reason
	Calls  int64
}

// Losses lists what could not be recorded since a time, oldest first, on any
// node. Whoever shows activity shows this beside it.
func (l *Log) Losses(ctx context.Context, since time.Time) ([]Loss, error) {
	out, err := collect(ctx, l, func(rows *sql.Rows, v *Loss) error {
		var h int64
		var reason string
		err := rows.Scan(&h, &reason, &v.Calls)
		v.Hour = postern.Micros(h).Time()
		v.Reason, _ = postern.ParseReason(reason)
		return err
	}, `select hour, reason, calls from activity_losses where hour >= $1 order by hour, reason limit 10000`, hourOf(since))
	if err != nil {
		return nil, fmt.Errorf("activity: losses: %w", err)
	}
	return out, nil
}
