package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
)

// AuditLogIn is the log as a transaction sees it, so that a test can take its tampering back.
func AuditLogIn(ctx context.Context, tx *sql.Tx, e Engine) (*auditlog.Log, error) {
	q := &queries{tx, e, nil}
	return auditReader{q: q}.begin(ctx, q)
}

// SealFits reports whether the seal of a row of one table fits the same values in another.
func SealFits(p *postern.Pepper, from, to string, values []any) bool {
	s := &seals{pepper: p, log: slog.New(slog.DiscardHandler)}
	columns := make([]string, len(values))
	all := s.seal(&sealedTable{from, 1, columns}, values)
	return !s.broken(&sealedTable{to, 1, columns}, values, mark{all[len(values)].([]byte), all[len(values)+1].(int64)})
}

// Full takes from an SQLite database all room to grow, and gives it back with false.
func (d *DB) Full(t testing.TB) func(bool) {
	set := func(full bool) {
		most := int64(1 << 30)
		if full {
			if err := d.w.QueryRowContext(t.Context(), "pragma page_count").Scan(&most); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.w.ExecContext(t.Context(), fmt.Sprintf("pragma max_page_count = %d", most)); err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	return set
}

// Break does what a failed sync does.
func (d *DB) Break() { d.broken.Store(true) }

// Raw is what runs the statements of a transaction.
func (tx *Tx) Raw() Statements { return tx.db }

// Waiting is how many changes wait for a group.
func (p *Pool) Waiting() int {
	p.groups.mu.Lock()
	defer p.groups.mu.Unlock()
	return len(p.groups.waiting)
}

// Asked is how many wait for transactions that show what is kept, and haven't begun.
func (d *DB) Asked() (n int) {
	d.keeper.mu.Lock()
	defer d.keeper.mu.Unlock()
	for _, k := range d.keeper.waiting {
		n += k.asked
	}
	return n
}

// WaitsForWriter is how often somebody had to wait for the writing connection.
func (p *Pool) WaitsForWriter() int64 { return p.w.Stats().WaitCount }

// Unsynced spares an SQLite database its syncs, for tests in which no power is cut.
func (p *Pool) Unsynced(t testing.TB) {
	if _, err := p.w.ExecContext(t.Context(), "pragma synchronous = off"); err != nil {
		t.Fatal(err)
	}
}

// SealOfTomorrow seals a member's row as a version would in which its seal covers a column more.
func (q *queries) SealOfTomorrow(ctx context.Context, t testing.TB, id postern.MemberID) {
	table := *membersTable
	values := make([]any, len(table.columns))
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	row := q.db.QueryRowContext(ctx, "select "+strings.Join(table.columns, ", ")+" from members where id = $1", string(id))
	if err := row.Scan(targets...); err != nil {
		t.Fatal(err)
	}
	table.columns = append(slices.Clone(table.columns), "colour")
	all := q.seals.seal(&table, append(values, "grey"))
	if _, err := q.db.ExecContext(ctx, "update members set mac = $2, mac_pepper = $3 where id = $1", string(id), all[len(all)-2], all[len(all)-1]); err != nil {
		t.Fatal(err)
	}
}

// EachCredentialBy is EachCredential by so many at once.
func (q *queries) EachCredentialBy(ctx context.Context, atOnce int, yield func(*postern.CredentialRow) error) error {
	return q.eachCredential(ctx, atOnce, yield)
}
