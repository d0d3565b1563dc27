package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

// AuditHead is how far the log is.
type AuditHead struct{ Entries, Checkpoints int64 }

// AuditHead reads how far the log is.
func (q *queries) AuditHead(ctx context.Context) (h AuditHead, err error) {
	err = q.db.QueryRowContext(ctx, "select (select n from heads where name = 'audit'), (select n from heads where name = 'audit_checkpoints')").Scan(&h.Entries, &h.Checkpoints)
	if err != nil {
		return h, fmt.Errorf("store: audit heads: %w", err)
	}
	return h, nil
}

// AuditNames are the log's origin and the keys that sign it, as the records name them.
func (q *queries) AuditNames(ctx context.Context) (origin string, keys []string, err error) {
	if origin, err = q.Setting(ctx, settingAuditOrigin); err != nil {
		return "", nil, err
	}
	list, err := q.Setting(ctx, settingAuditKeys)
	return origin, strings.Fields(list), err
}

// SetAuditNames writes them.
func (tx *Tx) SetAuditNames(ctx context.Context, origin string, keys []string) error {
	if err := tx.SetSetting(ctx, settingAuditOrigin, origin); err != nil {
		return err
	}
	return tx.SetSetting(ctx, settingAuditKeys, strings.Join(keys, "\n"))
}

const checkpointColumns = "number, size, at, root, note"

func scanCheckpoint(s scanner) (c auditlog.StoredCheckpoint, err error) {
	return c, s.Scan(&c.Number, &c.Size, &c.At, &c.Root, &c.Note)
}

// AuditCheckpoints gives up to n checkpoints, the newest first, from one number down.
func (q *queries) AuditCheckpoints(ctx context.Context, from int64, n int) ([]auditlog.StoredCheckpoint, error) {
	rows, err := q.db.QueryContext(ctx, "select "+checkpointColumns+" from audit_checkpoints where number <= $1 order by number desc limit $2", from, n)
	return collect(rows, err, scanCheckpoint)
}

// AuditCheckpoint is the newest of at most a number of entries.
func (q *queries) AuditCheckpoint(ctx context.Context, most int64) (auditlog.StoredCheckpoint, error) {
	return one(q.db.QueryRowContext(ctx, "select "+checkpointColumns+" from audit_checkpoints where size <= $1 order by size desc limit 1", most), scanCheckpoint, "checkpoint")
}

// InsertAuditCheckpoint writes the next checkpoint.
func (tx *Tx) InsertAuditCheckpoint(ctx context.Context, c *auditlog.Checkpoint, note string) error {
	if err := tx.exec(ctx, "insert checkpoint", "insert into audit_checkpoints ("+checkpointColumns+") values ($1, $2, $3, $4, $5)",
		c.Number, c.Size, micros(c.At), c.Root[:], note); err != nil {
		return err
	}
	return tx.exec(ctx, "count checkpoints", "update heads set n = $1 where name = 'audit_checkpoints'", c.Number)
}

// AuditHashes reads stored hashes of the log's tree.
func (q *queries) AuditHashes(ctx context.Context) tlog.HashReader { return q.hashReader(ctx) }

// AuditRows gives up to n entries as they are stored, of one account or (where a is empty) of all, from after a number, in their order.
func (q *queries) AuditRows(ctx context.Context, a postern.AccountID, after, until int64, n int) ([]auditlog.Row, error) {
	whose := "account_id = $1"
	if a == "" {
		whose = "$1 = ''"
	}
	rows, err := q.db.QueryContext(ctx, `select seq, at, account_id, actor, action, object, result, body
		from audit_entries where `+whose+" and seq > $2 and seq <= $3 order by seq limit $4", string(a), after, until, n)
	return collect(rows, err, func(s scanner) (e auditlog.Row, err error) {
		return e, s.Scan(&e.Seq, &e.At, &e.Account, &e.Actor, &e.Action, &e.Object, &e.Result, &e.Text)
	})
}

// AuditTime is when an entry was written; zero where there is none.
func (q *queries) AuditTime(ctx context.Context, seq int64) (time.Time, error) {
	var at int64
	err := q.db.QueryRowContext(ctx, "select coalesce((select at from audit_entries where seq = $1), 0)", seq).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("store: read an audit entry's time: %w", err)
	}
	return fromMicros(at), nil
}
