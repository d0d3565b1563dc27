package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math"

	"postern.dev/postern/internal/auditlog"
)

const (
	settingAuditOrigin = "audit.origin"
	settingAuditKeys   = "audit.keys"

	auditPage = 2000 // rows in one query: short enough for any limit on time, and no long transaction
)

// VerifyAudit reads the whole audit log, as it is at one moment, and holds all of
// it against itself and against what opts names. A server may be writing meanwhile.
func (d *DB) VerifyAudit(ctx context.Context, opts auditlog.Options) (auditlog.Report, error) {
	log, err := d.AuditLog(ctx)
	if err != nil {
		return auditlog.Report{}, err
	}
	return auditlog.Verify(ctx, log, opts)
}

// AuditLog is the whole log as it is at one moment, to be read once. Nothing in it
// changes any more, and so it is read page by page up to where it ended then.
func (d *DB) AuditLog(ctx context.Context) (*auditlog.Log, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if d.Engine == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := d.r.BeginTx(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("store: read the audit log: %w", err)
	}
	defer tx.Rollback()
	in := queries{tx, d.Engine, d.seals}
	return auditReader{q: &d.queries, ahead: true}.begin(ctx, &in)
}

// auditReader reads pages of the log.
type auditReader struct {
	q     *queries
	ahead bool // the next page may be read while one is looked at; not on a single connection
	// The last that were there at the moment.
	lastRow, lastHash int64
}

// begin notes where everything ends.
func (r auditReader) begin(ctx context.Context, in *queries) (*auditlog.Log, error) {
	var log auditlog.Log
	var err error
	if log.Origin, log.Keys, err = in.AuditNames(ctx); err != nil {
		return nil, err
	}
	var lastCheckpoint int64
	for _, v := range []struct {
		query string
		n     *int64
	}{
		{"select coalesce(max(n), 0) from heads where name = 'audit'", &log.Entries},
		{"select coalesce(max(n), 0) from heads where name = 'audit_checkpoints'", &log.Signed},
		{"select coalesce(max(seq), 0) from audit_entries", &r.lastRow},
		{"select coalesce(max(n), -1) from audit_hashes", &r.lastHash},
		{"select coalesce(max(number), 0) from audit_checkpoints", &lastCheckpoint},
	} {
		if err := in.db.QueryRowContext(ctx, v.query).Scan(v.n); err != nil {
			return nil, fmt.Errorf("store: where the audit log ends: %w", err)
		}
	}
	log.Rows = pages(r, func(after int64) ([]auditlog.Row, int64, error) { return r.rows(ctx, after) })
	log.Hashes = pages(r, func(after int64) ([]auditlog.StoredHash, int64, error) { return r.hashes(ctx, after) })
	log.Checkpoints = func(yield func(auditlog.StoredCheckpoint, error) bool) {
		for before := lastCheckpoint; ; {
			list, err := r.q.AuditCheckpoints(ctx, before, auditPage)
			if err != nil {
				yield(auditlog.StoredCheckpoint{}, err)
				return
			}
			for _, c := range list {
				if !yield(c, nil) {
					return
				}
				before = c.Number - 1
			}
			if len(list) < auditPage {
				return
			}
		}
	}
	return &log, nil
}

func (r *auditReader) rows(ctx context.Context, after int64) (out []auditlog.Row, last int64, err error) {
	rows, err := r.q.db.QueryContext(ctx, `select seq, at, account_id, actor, action, object, result, body
		from audit_entries where seq > $1 and seq <= $2 order by seq limit $3`, after, r.lastRow, auditPage)
	out = make([]auditlog.Row, 0, auditPage)
	err = eachRow(rows, err, func(s scanner) error {
		var e auditlog.Row
		err := s.Scan(&e.Seq, &e.At, &e.Account, &e.Actor, &e.Action, &e.Object, &e.Result, &e.Text)
		out, last = append(out, e), e.Seq
		return err
	})
	return out, last, err
}

func (r *auditReader) hashes(ctx context.Context, after int64) (out []auditlog.StoredHash, last int64, err error) {
	rows, err := r.q.db.QueryContext(ctx, "select n, hash from audit_hashes where n > $1 and n <= $2 order by n limit $3", after, r.lastHash, auditPage)
	out = make([]auditlog.StoredHash, 0, auditPage)
	err = eachRow(rows, err, func(s scanner) error {
		var h auditlog.StoredHash
		err := s.Scan(&h.N, &h.Hash)
		out, last = append(out, h), h.N
		return err
	})
	return out, last, err
}

// eachRow is collect for rows that go into a list that is there.
func eachRow(rows *sql.Rows, err error, fn func(s scanner) error) error {
	if err != nil {
		return fmt.Errorf("store: read the audit log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return fmt.Errorf("store: scan the audit log: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("store: read the audit log: %w", err)
	}
	return nil
}

// pages gives the rows of one page after another.
func pages[T any](r auditReader, read func(after int64) ([]T, int64, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for list, err := range pagesAhead(r.ahead, read) {
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// pagesAhead reads pages; where it may, the next while one is looked at.
func pagesAhead[T any](ahead bool, read func(after int64) ([]T, int64, error)) iter.Seq2[[]T, error] {
	all := func(yield func([]T, error) bool) {
		for after := int64(math.MinInt64); ; {
			list, last, err := read(after)
			if !yield(list, err) || len(list) < auditPage || err != nil {
				return
			}
			after = last
		}
	}
	if !ahead {
		return all
	}
	type page struct {
		list []T
		err  error
	}
	return func(yield func([]T, error) bool) {
		ready, stop := make(chan page, 1), make(chan struct{})
		// However the loop ends, nobody reads on behind it.
		defer func() {
			close(stop)
			for range ready {
			}
		}()
		go func() {
			defer close(ready)
			for list, err := range all {
				select {
				case ready <- page{list, err}:
				case <-stop:
					return
				}
			}
		}()
		for p := range ready {
			if !yield(p.list, p.err) {
				return
			}
		}
	}
}
