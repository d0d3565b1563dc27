package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// tomorrow are the migrations of a version to come: today's, and one more.
func tomorrow(t *testing.T, name, text string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	p := store.Records()
	for _, engine := range []string{"sqlite", "postgres"} {
		names, err := fs.Glob(p.Migrations, engine+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			b, err := fs.ReadFile(p.Migrations, n)
			if err != nil {
				t.Fatal(err)
			}
			out[n] = &fstest.MapFile{Data: b}
		}
		out[engine+"/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func openTomorrow(t *testing.T, target, name, text string) (*store.Pool, error) {
	t.Helper()
	p := store.Records()
	pool, err := store.Open(t.Context(), store.PoolConfig{Target: target, Migrations: tomorrow(t, name, text), Table: p.Table, Nodes: true})
	if err == nil {
		t.Cleanup(func() { pool.Close() })
	}
	return pool, err
}

func worksWithToday(text string) string {
	return strings.ReplaceAll(text, "TODAY", fmt.Sprint(store.LatestRecords()))
}

// A version that only adds lets the one before go on: while it migrates, beside it,
// and when that is started anew.
func TestOlderBesideOneThatAdds(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		before := storetest.Open(t, target)
		a := account(t, before, "Acme")
		if _, err := before.RenewLease(t.Context(), "old", time.Minute); err != nil {
			t.Fatal(err)
		}
		newer, err := openTomorrow(t, target, "9000_more.sql", worksWithToday("-- works with: TODAY\nalter table accounts add column colour text not null default 'grey';\ncreate table colours (name text not null primary key);"))
		if err != nil {
			t.Fatalf("a version that adds, beside an older node = %v", err)
		}
		anew := storetest.Open(t, target)
		for name, db := range map[string]*store.DB{"that ran": before, "that starts": anew} {
			if _, err := db.RenewLease(t.Context(), name, time.Minute); err != nil {
				t.Errorf("an older node %s renews its lease = %v", name, err)
			}
			b := account(t, db, name)
			for _, id := range []postern.AccountID{a.ID, b.ID} {
				if got, err := db.Account(t.Context(), id); err != nil || got.Altered {
					t.Errorf("an older node %s reads %s = %+v, %v", name, id, got, err)
				}
			}
		}
		var colours int
		if err := newer.Read().QueryRowContext(t.Context(), "select count(*) from accounts where colour = 'grey'").Scan(&colours); err != nil || colours != 3 {
			t.Errorf("the newer one finds %d of 3 (%v)", colours, err)
		}
	})
}

// A version that breaks something starts neither beside an older node nor lets one start, and
// one that runs nevertheless decides no more.
func TestOlderBesideOneThatBreaks(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		const breaks = "alter table accounts rename column name to title;"
		before := storetest.Open(t, target)
		if _, err := before.RenewLeaseOf(t.Context(), store.NodeInfo{Node: "old.1", Name: "old", Version: "v0.1.0"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		if before.Engine == store.Postgres {
			_, err := openTomorrow(t, target, "9000_other.sql", breaks)
			if err == nil || !strings.Contains(err.Error(), "the node old runs v0.1.0") {
				t.Errorf("a version that breaks something, beside an older node = %v, want that it names that", err)
			}
			account(t, before, "still as it was")
			if err := before.DropLease(t.Context(), "old.1"); err != nil {
				t.Fatal(err)
			}
		}
		newer, err := openTomorrow(t, target, "9000_other.sql", breaks)
		if err != nil {
			t.Fatal(err)
		}
		had := columns(t, newer.Read(), "select name from schema_floor where oldest = 9000")
		if _, err := store.OpenDB(t.Context(), target, storetest.Pepper(t), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "needs a binary that knows schema 9000") {
			t.Errorf("an older binary = %v, want a refusal that says which it takes", err)
		}
		if len(had) != 1 {
			t.Errorf("the floor is told for %v", had)
		}
		if before.Engine == store.Postgres {
			if _, err := before.RenewLease(t.Context(), "old.1", time.Minute); err == nil || !strings.Contains(err.Error(), "start a newer binary") {
				t.Errorf("an older node that runs on renews its lease = %v", err)
			}
		}
		if _, err := openTomorrow(t, target, "9000_other.sql", breaks); err != nil {
			t.Errorf("the newer one again = %v", err)
		}
	})
}

// A node that wants its lease while the database is taken beyond it waits for the
// end of that, and then gets none.
func TestLeaseWhileAVersionBreaks(t *testing.T) {
	target := storetest.Postgres(t)
	old := storetest.Open(t, target)
	held, err := old.Read().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	const gate = "hashtext(current_schema())"
	if _, err := held.ExecContext(t.Context(), "select pg_advisory_lock("+gate+")"); err != nil {
		t.Fatal(err)
	}
	waits := func(of string, done <-chan error) {
		t.Helper()
		for n := 0; n == 0 && len(done) == 0; {
			if err := held.QueryRowContext(t.Context(), "select count(*) from pg_locks where not granted and "+of).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
	}
	migrated, renewed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := openTomorrow(t, target, "9000_other.sql", "select pg_advisory_xact_lock("+gate+"); alter table accounts rename column name to title;")
		migrated <- err
	}()
	waits("locktype = 'advisory' and objid = "+gate+"::bigint & 4294967295", migrated)
	go func() {
		_, err := old.RenewLease(t.Context(), "old", time.Minute)
		renewed <- err
	}()
	waits("relation = to_regclass('leases')", renewed)
	if _, err := held.ExecContext(t.Context(), "select pg_advisory_unlock("+gate+")"); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Fatal(err)
	}
	if err := <-renewed; err == nil || !strings.Contains(err.Error(), "start a newer binary") {
		t.Errorf("a lease that was wanted meanwhile = %v, want a refusal", err)
	}
}

// The floor never sinks, and a migration that can't be what it says is refused.
func TestFloor(t *testing.T) {
	target := storetest.SQLite(t)
	pool, err := store.Open(t.Context(), store.PoolConfig{Target: target, Table: "steps", Migrations: fstest.MapFS{
		"sqlite/0001_a.sql": {Data: []byte("create table a (n integer)")},
		"sqlite/0002_b.sql": {Data: []byte("-- works with: 1\ncreate table b (n integer)")},
		"sqlite/0003_c.sql": {Data: []byte("drop table a")},
		"sqlite/0004_d.sql": {Data: []byte("-- works with: 1\ncreate table d (n integer)")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := columns(t, pool.Read(), "select name || oldest || schema from schema_floor"); len(got) != 1 || got[0] != "steps34" {
		t.Errorf("floor = %v, want steps3 of 4", got)
	}
	for _, wrong := range []string{"0", "5", "6"} {
		_, err := store.Open(t.Context(), store.PoolConfig{Target: storetest.SQLite(t), Table: "steps", Migrations: fstest.MapFS{
			"sqlite/0005_e.sql": {Data: []byte("-- works with: " + wrong + "\ncreate table e (n integer)")},
		}})
		if err == nil || !strings.Contains(err.Error(), "0005_e.sql") {
			t.Errorf("a migration that works with %s = %v", wrong, err)
		}
	}
}

// Twins say the same of older binaries.
func TestFloorsOfBothEngines(t *testing.T) {
	lite := storetest.Open(t, storetest.SQLite(t))
	pg := storetest.Open(t, storetest.Postgres(t))
	const query = "select name || ' ' || oldest from schema_floor"
	if a, b := columns(t, lite.Read(), query), columns(t, pg.Read(), query); len(a) != 1 || !slices.Equal(a, b) {
		t.Errorf("floors: %v on SQLite, %v on PostgreSQL", a, b)
	}
}

// A row whose seal covers more than is known here gives nothing, as if it had been altered.
func TestARowSealedByANewerVersion(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a := account(t, db, "Acme")
		m := postern.Member{ID: "mem_1", AccountID: a.ID, Email: "ada@example.org", Name: "Ada", Role: postern.Role{ID: postern.RoleSuperAdmin}, CreatedAt: t0}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertMember(ctx, &m) })
		if got, err := db.Member(t.Context(), m.ID); err != nil || got.Altered {
			t.Fatalf("before: %+v, %v", got, err)
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { tx.SealOfTomorrow(ctx, t, m.ID); return nil })
		if got, err := db.Member(t.Context(), m.ID); err != nil || !got.Altered {
			t.Errorf("a member as a newer version sealed them = %+v, %v, want that they count as altered", got, err)
		}
	})
}
