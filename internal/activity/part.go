package activity

import (
	"context"
	"database/sql"
	"slices"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Part is activity as a part of a whole database.
func Part() store.Part {
	return store.Part{Name: "activity", File: "activity.db", Migrations: mustSub(), Table: "activity_migrations", Relaxed: true, Prepare: prepareDays}
}

// prepareDays makes the partitions that rows from elsewhere go into.
func prepareDays(ctx context.Context, tx *sql.Tx, e store.Engine, table string, columns []string, rows [][]any) error {
	at := slices.Index(columns, "last_at")
	if e != store.Postgres || !slices.Contains(parted[:], table) || at < 0 {
		return nil
	}
	made := map[postern.Micros]bool{}
	for _, r := range rows {
		last, _ := r[at].(int64)
		start := postern.Micros(last) - postern.Micros(last)%day
		if made[start] {
			continue
		}
		if err := makeDayIn(ctx, tx, start); err != nil {
			return err
		}
		made[start] = true
	}
	return nil
}
