package activity

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"postern.dev/postern"
)

// callColumns are the columns of activity_calls, as scanCall reads them.
const callColumns = `seq, at, account_id, key_id, kind, generation, member_id, upstream, operation, method, path,
	status, allowed, reason, missing, door, duration, bytes_in, bytes_out, ip, user_agent, request_id`

var callsTable = table{name: "activity_calls", columns: callColumns}

// write writes records and all that is made from them in one transaction. A
// batch that is in the database already, because its commit succeeded and the
// answer was lost, is not written again.
func (l *Log) write(ctx context.Context, records []record) error {
	news := l.lost.news()
	sums := l.sum(records)
	err := l.pool.Write(ctx, func(tx *sql.Tx) error {
		// First, since its lock puts the batches of all nodes in one order: a number is never
		// seen before a smaller one, and no two batches can wait for each other's totals.
		var head int64
		err := tx.QueryRowContext(ctx, `update activity_head set seq = seq + $1 where id = 1 returning seq`, sums.calls).Scan(&head)
		if err != nil {
			return fmt.Errorf("number the calls: %w", err)
		}
		fresh, err := l.claim(ctx, tx)
		if err != nil || !fresh {
			return err
		}
		if err := callsTable.insert(ctx, tx, l.pool.Engine, callArgs(records, head-sums.calls)); err != nil {
			return fmt.Errorf("insert calls: %w", err)
		}
		if err := l.insertSums(ctx, tx, sums); err != nil {
			return err
		}
		return l.insertLosses(ctx, tx, news)
	})
	if err != nil {
		return fmt.Errorf("activity: %w", err)
	}
	l.batch++
	l.lost.keep(news)
	for i := range records {
		if records[i].stranger() {
			l.strangers.add(records[i].activity)
		}
	}
	l.grown.tell()
	return nil
}

// claim notes the number of this batch, and reports false where it was noted before.
func (l *Log) claim(ctx context.Context, tx *sql.Tx) (bool, error) {
	res, err := tx.ExecContext(ctx, `
		insert into activity_writers (writer, batch, at) values ($1, $2, $3)
		on conflict (writer) do update set batch = excluded.batch, at = excluded.at
		where activity_writers.batch < excluded.batch`, l.writer, l.batch, int64(postern.ToMicros(l.cfg.Now())))
	if err != nil {
		return false, fmt.Errorf("claim the batch: %w", err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// callArgs are the rows of activity_calls, numbered from after seq.
func callArgs(records []record, seq int64) []any {
	args := make([]any, 0, len(records)*callsTable.width())
	for i := range records {
		r := &records[i]
		if r.stranger() {
			continue
		}
		seq++
		a := &r.activity
		args = append(args, seq, int64(r.at), string(a.AccountID), string(a.KeyID), a.Kind.String(), a.Generation,
			string(a.MemberID), string(a.Upstream), a.Operation, a.Method, a.Path, int64(a.Status), bit(a.Allowed),
			a.Reason.String(), joinScopes(a.Missing), a.Door, a.Duration.Microseconds(), a.BytesIn, a.BytesOut,
			a.IP, a.UserAgent, a.RequestID)
	}
	return args
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func joinScopes(scopes []postern.Scope) string {
	if len(scopes) == 0 {
		return ""
	}
	var b strings.Builder
	for i, s := range scopes {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(s))
	}
	return b.String()
}

func splitScopes(s string) []postern.Scope {
	if s == "" {
		return nil
	}
	var out []postern.Scope
	for name := range strings.FieldsSeq(s) {
		out = append(out, postern.Scope(name))
	}
	return out
}
