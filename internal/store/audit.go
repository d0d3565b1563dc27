package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"postern.dev/postern"
)

// auditBody is the canonical encoding of an audit entry: JSON with members in
// this order, kept as text and hashed as it is kept.
type auditBody struct {
	Seq     int64             `json:"seq"`
	At      string            `json:"at"`
	Account postern.AccountID `json:"account"`
	Actor   auditActor        `json:"actor"`
	Action  string            `json:"action"`
	Object  string            `json:"object"`
	Name    string            `json:"name,omitempty"`
	Result  string            `json:"result"`
	Reason  string            `json:"reason,omitempty"`
	Before  map[string]any    `json:"before,omitempty"`
	After   map[string]any    `json:"after,omitempty"`
}

type auditActor struct {
	Account   postern.AccountID `json:"account,omitempty"`
	Member    postern.MemberID  `json:"member,omitempty"`
	Key       postern.KeyID     `json:"key,omitempty"`
	System    string            `json:"system,omitempty"`
	IP        string            `json:"ip,omitempty"`
	UserAgent string            `json:"userAgent,omitempty"`
	Request   string            `json:"request,omitempty"`
}

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
	body := postern.HideSecrets(encodeAudit(&e))
	who := string(e.Actor.MemberID)
	if who == "" {
		who = string(e.Actor.KeyID)
	}
	if who == "" {
		who = e.Actor.System
	}
	err := tx.exec(ctx, "insert audit entry", `insert into audit_entries (seq, at, account_id, actor, action, object, result, body)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, e.Seq, micros(e.At), e.AccountID, who, e.Action, e.Object, e.Result, body)
	if err != nil {
		return err
	}
	hashes, err := tlog.StoredHashesForRecordHash(size-1, tlog.RecordHash([]byte(body)), tx.hashReader(ctx))
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

func encodeAudit(e *postern.AuditEntry) string {
	a := e.Actor
	b, err := json.Marshal(auditBody{e.Seq, e.At.UTC().Format(time.RFC3339Nano), e.AccountID,
		auditActor{a.AccountID, a.MemberID, a.KeyID, a.System, a.IP, a.UserAgent, a.RequestID},
		e.Action, e.Object, e.Name, e.Result, e.Reason, e.Before, e.After})
	if err != nil {
		panic(err) // only for what can't be JSON, which is a mistake of ours
	}
	return string(b)
}

func decodeAudit(body string) (e postern.AuditEntry, err error) {
	var b auditBody
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return e, err
	}
	at, err := time.Parse(time.RFC3339Nano, b.At)
	a := b.Actor
	return postern.AuditEntry{Seq: b.Seq, At: at, AccountID: b.Account,
		Actor:  postern.Actor{AccountID: a.Account, MemberID: a.Member, KeyID: a.Key, System: a.System, IP: a.IP, UserAgent: a.UserAgent, RequestID: a.Request},
		Action: b.Action, Object: b.Object, Name: b.Name, Result: b.Result, Reason: b.Reason, Before: b.Before, After: b.After}, err
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
		return decodeAudit(body)
	})
}

// AuditVerdict is what verifying the audit log found.
type AuditVerdict struct {
	Entries int64
	Root    string // base64 of the tree's root hash
	// FirstBad is the first entry that is not as it was written, and Why what is wrong; 0 where all is well.
	FirstBad int64
	Why      string
}

// VerifyAudit reads the whole audit log, as it is at one moment, and holds every
// entry against the hashes that were written with it, and those against the
// tree's root. A server may be writing meanwhile.
func (d *DB) VerifyAudit(ctx context.Context, progress func(done, total int64)) (AuditVerdict, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if d.Engine == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := d.r.BeginTx(ctx, opts)
	if err != nil {
		return AuditVerdict{}, fmt.Errorf("store: read the audit log: %w", err)
	}
	defer tx.Rollback()
	q := queries{tx, d.Engine, d.seals}
	return q.verifyAudit(ctx, progress)
}

func (q *queries) verifyAudit(ctx context.Context, progress func(done, total int64)) (AuditVerdict, error) {
	var v AuditVerdict
	var head int64
	if err := q.db.QueryRowContext(ctx, "select n from heads where name = 'audit'").Scan(&head); err != nil {
		return v, fmt.Errorf("store: audit head: %w", err)
	}
	rows, err := q.db.QueryContext(ctx, `select e.seq, e.at, e.account_id, e.actor, e.action, e.object, e.result, e.body
		from audit_entries e order by e.seq`)
	if err != nil {
		return v, fmt.Errorf("store: read the audit log: %w", err)
	}
	defer rows.Close()
	bad := func(seq int64, format string, args ...any) (AuditVerdict, error) {
		v.FirstBad, v.Why = seq, fmt.Sprintf(format, args...)
		return v, nil
	}
	tree := memoryTree{}
	for rows.Next() {
		var seq, at int64
		var account, actor, action, object, result, body string
		if err := rows.Scan(&seq, &at, &account, &actor, &action, &object, &result, &body); err != nil {
			return v, fmt.Errorf("store: scan an audit entry: %w", err)
		}
		want := v.Entries + 1
		if seq != want {
			return bad(want, "entry %d is missing", want)
		}
		e, err := decodeAudit(body)
		if err != nil {
			return bad(seq, "entry %d can't be read: %v", seq, err)
		}
		if e.Seq != seq || micros(e.At) != at || string(e.AccountID) != account || e.Action != action || e.Object != object || e.Result != result {
			return bad(seq, "entry %d has columns that differ from its text", seq)
		}
		hashes, err := tlog.StoredHashes(seq-1, []byte(body), &tree)
		if err != nil {
			return v, fmt.Errorf("store: audit tree: %w", err)
		}
		tree = append(tree, hashes...)
		v.Entries = seq
		if progress != nil && seq%1000 == 0 {
			progress(seq, head)
		}
	}
	if err := rows.Err(); err != nil {
		return v, fmt.Errorf("store: read the audit log: %w", err)
	}
	if v.Entries != head {
		return bad(v.Entries+1, "the log ends at entry %d and its head says %d: the newest entries were cut off", v.Entries, head)
	}
	return q.compareHashes(ctx, tree, v)
}

// compareHashes holds the tree that the entries make against the one that was stored.
func (q *queries) compareHashes(ctx context.Context, tree memoryTree, v AuditVerdict) (AuditVerdict, error) {
	rows, err := q.db.QueryContext(ctx, "select n, hash from audit_hashes order by n")
	if err != nil {
		return v, fmt.Errorf("store: read audit hashes: %w", err)
	}
	defer rows.Close()
	at := int64(0)
	for rows.Next() {
		var n int64
		var b []byte
		if err := rows.Scan(&n, &b); err != nil {
			return v, fmt.Errorf("store: scan an audit hash: %w", err)
		}
		if n != at || n >= int64(len(tree)) || string(b) != string(tree[n][:]) {
			level, record := tlog.SplitStoredHashIndex(min(at, n))
			v.FirstBad = record<<level + 1
			v.Why = fmt.Sprintf("entry %d does not fit the hash that was stored with it", v.FirstBad)
			return v, nil
		}
		at++
	}
	if err := rows.Err(); err != nil {
		return v, fmt.Errorf("store: read audit hashes: %w", err)
	}
	if at != int64(len(tree)) {
		v.FirstBad, v.Why = v.Entries, "hashes of the newest entries are missing"
		return v, nil
	}
	root, err := tlog.TreeHash(v.Entries, &tree)
	if err != nil {
		return v, fmt.Errorf("store: audit root: %w", err)
	}
	v.Root = root.String()
	return v, nil
}

// memoryTree holds a tree's stored hashes in their order.
type memoryTree []tlog.Hash

// ReadHashes gives hashes by their indexes.
func (t *memoryTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		if n < 0 || n >= int64(len(*t)) {
			return nil, fmt.Errorf("no hash %d", n)
		}
		out[i] = (*t)[n]
	}
	return out, nil
}
