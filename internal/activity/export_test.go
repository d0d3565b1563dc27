package activity

import (
	"context"
	"database/sql"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Pool is the database of a log, for tests that look at its rows.
func Pool(l *Log) *store.Pool { return l.pool }

// Trace shows a test every read of a log.
func Trace(l *Log, fn func(query string, args []any)) { l.trace = fn }

// SetLook makes stretches of a Query short.
func SetLook(n int) (restore func()) {
	old := lookRows
	lookRows = n
	return func() { lookRows = old }
}

// CleanPath is how a path is stored.
func CleanPath(brand, path, template string) string {
	return cleanPath(brand, path, templateOf(template))
}

// Clean is how any other text is stored.
func Clean(brand, s string, n int) string { return clean(brand, s, n) }

// Spoil makes the record that is pending under a number one that the database refuses.
func Spoil(l *Log, i int) {
	l.sem <- struct{}{}
	defer func() { <-l.sem }()
	l.takeOut()
	l.pending[i].activity.Generation = -1
}

// Rewind makes the next batch look like the one before it, as after a commit whose answer was lost.
func Rewind(l *Log) { l.batch-- }

// InsertBare inserts what was recorded into activity_calls and does nothing
// else: what Flush is measured against. It returns how long the database took.
func InsertBare(ctx context.Context, l *Log) (took time.Duration, err error) {
	l.takeOut()
	records := l.pending
	l.pending = nil
	for len(records) > 0 {
		n := min(len(records), batchRows)
		args := callArgs(records[:n], l.batch)
		l.batch += int64(n)
		start := time.Now()
		err := l.pool.Write(ctx, func(tx *sql.Tx) error { return callsTable.insert(ctx, tx, l.pool.Engine, args) })
		if err != nil {
			return 0, err
		}
		took += time.Since(start)
		records = records[n:]
	}
	return took, nil
}

func templateOf(s string) *postern.Operation {
	if s == "" {
		return nil
	}
	return &postern.Operation{Path: s}
}

// Discard forgets what was recorded, without looking at it.
func Discard(l *Log) {
	l.sem <- struct{}{}
	defer func() { <-l.sem }()
	for i := range l.shards {
		l.shards[i].giveBack(l.shards[i].swap())
	}
}
