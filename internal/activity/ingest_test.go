package activity_test

import (
	"context"
	"database/sql"
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/door"
)

var ingestCalls = flag.Int("ingest", 20_000, "how many calls a round of TestIngestionRatio writes")

const bareTable = `create table bare (at bigint not null, account_id text not null, key_id text not null, kind text not null, generation bigint not null,
	member_id text not null, upstream text not null, operation text not null, method text not null, path text not null, status bigint not null,
	allowed bigint not null, reason text not null, missing text not null, used text not null, door text not null, duration bigint not null,
	bytes_in bigint not null, bytes_out bigint not null, ip text not null, user_agent text not null, request_id text not null)`

// bareRow is a call as a row of the bare table.
func bareRow(e *postern.Event) []any {
	d := &e.Decision
	return []any{int64(e.At), string(d.Account), string(d.KeyID()), d.Kind.String(), int64(d.Gen), string(d.Member), string(d.Operation.Upstream), d.Operation.Name,
		e.Method, e.Path, int64(e.Status), int64(1), d.Reason.String(), e.Missing, d.Used, e.Door, e.Duration.Microseconds(), e.BytesIn, e.BytesOut,
		e.IP.String(), e.UserAgent, e.RequestID}
}

// TestIngestionRatio writes the same calls as bare rows (batches of inserts on
// SQLite, COPY on PostgreSQL: no index, no totals, no spool) and as activity with
// all its totals and its spool, in turns, and compares the times.
func TestIngestionRatio(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		n := *ingestCalls
		if raceEnabled { // it measures nothing then, and still must not race
			n = min(n, 2000)
		}
		calls := make([]*postern.Event, n)
		for i := range calls {
			calls[i] = call(t0.Add(time.Duration(i)*100*time.Microsecond), path(100_000+i), used("crm.objects.deals.read"), func(e *postern.Event) { e.RequestID = door.NewRequestID() },
				by(postern.KeyID("key")+postern.KeyID("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i%20:][:5]+"12345678"), 1))
		}
		l := open(t, activity.Config{Target: target, Spool: t.TempDir(), Capacity: 1 << 15})
		bare := openBare(t, target)
		var ours, theirs []float64
		for range 4 {
			start := time.Now()
			for i := range calls {
				l.Record(calls[i])
				if i%10_000 == 9999 {
					flush(t, l)
				}
			}
			flush(t, l)
			took := time.Since(start)
			start = time.Now()
			for part := range slices.Chunk(calls, 4096) {
				bare(part)
			}
			ours, theirs = append(ours, float64(len(calls))/took.Seconds()), append(theirs, float64(len(calls))/time.Since(start).Seconds())
		}
		var ratios []float64
		for i := range ours[1:] {
			ratios = append(ratios, ours[i+1]/theirs[i+1])
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		slices.Sort(ratios)
		t.Logf("ingestion: %.0f calls/s with all totals and the spool, %.0f bare: %.0f%% (rounds from %.0f%% to %.0f%%)",
			ours[2], theirs[2], 100*ratios[1], 100*ratios[0], 100*ratios[len(ratios)-1])
		if n := l.Stats().Dropped[postern.ReasonAllowed]; n > 0 {
			t.Errorf("%d calls were dropped", n)
		}
		if best := ratios[len(ratios)-1]; best < 0.6 && !raceEnabled {
			t.Errorf("at best %.0f%% of bare, want at least 60%%", 100*best)
		}
	})
}

// openBare gives what writes a batch of calls as bare rows.
func openBare(t *testing.T, target string) func([]*postern.Event) {
	t.Helper()
	pg := strings.HasPrefix(target, "postgres")
	driver, dsn := "pgx", target
	if !pg {
		driver, dsn = "sqlite", "file:"+filepath.Join(t.TempDir(), "bare.db")+"?_journal_mode=WAL&_synchronous=NORMAL"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(bareTable); err != nil {
		t.Fatal(err)
	}
	columns := []string{"at", "account_id", "key_id", "kind", "generation", "member_id", "upstream", "operation", "method", "path", "status", "allowed", "reason",
		"missing", "used", "door", "duration", "bytes_in", "bytes_out", "ip", "user_agent", "request_id"}
	if pg {
		return func(calls []*postern.Event) {
			conn, err := db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Raw(func(c any) error {
				_, err := c.(*stdlib.Conn).Conn().CopyFrom(context.Background(), pgx.Identifier{"bare"}, columns,
					pgx.CopyFromSlice(len(calls), func(i int) ([]any, error) { return bareRow(calls[i]), nil }))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	one := "(" + strings.Repeat("?, ", len(columns)-1) + "?)"
	query := "insert into bare (" + strings.Join(columns, ", ") + ") values " + strings.Repeat(one+", ", 99) + one
	single := "insert into bare (" + strings.Join(columns, ", ") + ") values " + one
	return func(calls []*postern.Event) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		stmt, err := tx.Prepare(query)
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(calls, 100) {
			args := make([]any, 0, len(part)*len(columns))
			for _, e := range part {
				args = append(args, bareRow(e)...)
			}
			if len(part) == 100 {
				_, err = stmt.Exec(args...)
			} else {
				for row := range slices.Chunk(args, len(columns)) {
					if _, err = tx.Exec(single, row...); err != nil {
						break
					}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
