package activity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// On PostgreSQL, blocks lie in a partition for each day, so that a day that is
// too old goes at once instead of row by row.

// parted are the tables that have partitions: each for a day, by last_at.
var parted = [...]string{"activity_blocks", "activity_block_keys"}

// days remembers which days there are partitions of.
type days struct {
	mu   sync.Mutex
	made map[postern.Micros]bool
}

func (d *days) has(at postern.Micros) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.made[at]
}

func (d *days) note(at postern.Micros) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made == nil {
		d.made = map[postern.Micros]bool{}
	}
	d.made[at] = true
}

func (d *days) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made = nil
}

// makeDays makes the partitions that blocks need.
func (l *Log) makeDays(ctx context.Context, blocks []block) error {
	if l.pool.Engine == store.SQLite {
		return nil
	}
	for i := range blocks {
		at := blocks[i].lastAt - blocks[i].lastAt%day
		if l.days.has(at) {
			continue
		}
		if err := l.makeDay(ctx, at); err != nil {
			return fmt.Errorf("make the partition of a day: %w", err)
		}
		l.days.note(at)
	}
	return nil
}

// makeDay makes the partitions of a day. A table is made first and then attached,
// since that keeps nobody from reading and writing the others.
func (l *Log) makeDay(ctx context.Context, at postern.Micros) error {
	return l.pool.Write(ctx, func(tx *sql.Tx) error {
		if err := l.lockHead(ctx, tx); err != nil { // so that two nodes don't make it at once
			return err
		}
		return makeDayIn(ctx, tx, at)
	})
}

// makeDayIn makes the partitions of a day that aren't there.
func makeDayIn(ctx context.Context, tx *sql.Tx, at postern.Micros) error {
	for _, parent := range parted {
		name := parent + at.Time().Format("_20060102")
		var there bool
		if err := tx.QueryRowContext(ctx, `select to_regclass($1) is not null`, name).Scan(&there); err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := tx.ExecContext(ctx, `create table `+name+` (like `+parent+` including defaults including constraints including storage)`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`alter table %s attach partition %s for values from (%d) to (%d)`, parent, name, at, at+day)); err != nil {
			return err
		}
	}
	return nil
}

// noDay reports whether an error is of a row whose day has no partition.
func noDay(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23514" && e.ConstraintName == "" && strings.Contains(e.Message, "no partition")
}

// dropDay removes the oldest day whose calls are all older than a time, and
// reports whether there was one.
func (l *Log) dropDay(ctx context.Context, before time.Time) (bool, error) {
	names, err := collect(ctx, l, func(rows *sql.Rows, s *string) error { return rows.Scan(s) }, `
		select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent in (to_regclass($1), to_regclass($2)) order by right(c.relname, 8), c.relname`, parted[0], parted[1])
	if err != nil {
		return false, err
	}
	for _, name := range names {
		start, err := time.Parse("20060102", name[max(0, len(name)-8):])
		if err != nil || start.Add(24*time.Hour).After(before) {
			continue
		}
		l.days.forget()
		return true, l.pool.Write(ctx, func(tx *sql.Tx) error {
			if err := l.lockHead(ctx, tx); err != nil {
				return err
			}
			// Waits for those who read at this moment, at most as long as one question may take.
			_, err := tx.ExecContext(ctx, `drop table if exists `+name)
			return err
		})
	}
	return false, nil
}
