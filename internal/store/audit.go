package store

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

// InsertAudit appends an entry to the audit log: its text, and the hashes that
// the entry adds to the log's Merkle tree (RFC 6962 section 2.1).
func (tx *Tx) InsertAudit(ctx context.Context, e postern.AuditEntry) error {
	var size int64
	if err := tx.db.QueryRowContext(ctx, "update heads set n = n + 1 where name = 'audit' returning n").Scan(&size); err != nil {
		return fmt.Errorf("store: take an audit number: %w", err)
	}
	e.Seq = size
	// The log is for ever, and many read it: whatever someone sent as an id, a name or a
	// user agent, no secret may get into it.
	e.Object = postern.HideSecrets(e.Object)
	body := postern.HideSecrets(auditlog.Encode(&e))
	who := string(e.Actor.MemberID)
	if who == "" {
		who = string(e.Actor.KeyID)
	}
	if who == "" {
		who = e.Actor.System
	}
	row := auditlog.Row{Seq: e.Seq, At: micros(e.At), Account: string(e.AccountID), Actor: postern.HideSecrets(who), Action: e.Action, Object: e.Object, Result: e.Result, Text: body}
	err := tx.exec(ctx, "insert audit entry", `insert into audit_entries (seq, at, account_id, actor, action, object, result, body)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, row.Seq, row.At, row.Account, row.Actor, row.Action, row.Object, row.Result, row.Text)
	if err != nil {
		return err
	}
	tx.trace = &trace{row.Seq, row.Text}
	hashes, err := tlog.StoredHashesForRecordHash(size-1, auditlog.LeafHash(body), tx.hashReader(ctx))
	if err != nil {
		return fmt.Errorf("store: audit tree: %w", err)
	}
	at := tlog.StoredHashIndex(0, size-1)
	for i, h := range hashes {
		if err := tx.exec(ctx, "insert audit hash", "insert into audit_hashes (n, hash) values ($1, $2)", at+int64(i), h[:]); err != nil {
			return err
		}
	}
	return nil
}

func (q *queries) hashReader(ctx context.Context) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			var b []byte
			if err := q.db.QueryRowContext(ctx, "select hash from audit_hashes where n = $1", n).Scan(&b); err != nil {
				return nil, fmt.Errorf("store: audit hash %d: %w", n, err)
			}
			if copy(out[i][:], b) != len(out[i]) {
				return nil, fmt.Errorf("store: audit hash %d has %d bytes", n, len(b))
			}
		}
		return out, nil
	})
}

// AuditFilter narrows a list of audit entries. Zero members narrow nothing.
type AuditFilter struct {
	Action string
	Object string
	Actor  string
	Result string
	Since  time.Time
	Until  time.Time
}

// AuditPage gives up to n of an account's audit entries, newest first, with numbers below before (0: from the newest).
func (q *queries) AuditPage(ctx context.Context, a postern.AccountID, f AuditFilter, before int64, n int) ([]postern.AuditEntry, error) {
	if before == 0 {
		before = 1 << 62
	}
	until := int64(1 << 62)
	if !f.Until.IsZero() {
		until = micros(f.Until)
	}
	rows, err := q.db.QueryContext(ctx, `select body from audit_entries where account_id = $1 and seq < $2
		and ($3 = '' or action = $3) and ($4 = '' or object = $4) and ($5 = '' or actor = $5) and ($6 = '' or result = $6)
		and at >= $7 and at < $8 order by seq desc limit $9`,
		a, before, f.Action, f.Object, f.Actor, f.Result, micros(f.Since), until, n)
	return collect(rows, err, func(s scanner) (postern.AuditEntry, error) {
		var body string
		if err := s.Scan(&body); err != nil {
			return postern.AuditEntry{}, err
		}
		return auditlog.Decode(body)
	})
}
