package activity_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreTopFunction("github.com/jackc/puddle/v2.(*Pool[...]).backgroundHealthCheck"))
}

// hold keeps everyone from writing until release is called.
func hold(t *testing.T, target string) (release func()) {
	t.Helper()
	driver, lock := "sqlite", "update activity_head set seq = seq where id = 1"
	if strings.HasPrefix(target, "postgres") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, target)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Exec(lock)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback(); db.Close() }
}

func TestOutage(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Capacity: 128})
		fits := l.Stats().Capacity
		release := hold(t, target)
		for range 50 {
			l.Record(call(t0.Add(-time.Minute)))
		}
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := l.Flush(short); err == nil {
			t.Fatal("Flush succeeds while nobody can write")
		}
		for range fits + 5 {
			l.Record(call(t0)) // what fits is held beside what was taken out
		}
		st := l.Stats()
		if st.Buffered != 50+fits || st.LastError == "" || st.Lag != time.Minute || st.Dropped[postern.ReasonAllowed] != 5 {
			t.Errorf("Stats = %+v, want %d buffered, an error, a lag of a minute, 5 dropped", st, 50+fits)
		}
		release()
		flush(t, l)
		if n := int64(len(calls(t, l))); n != int64(50+fits) {
			t.Errorf("%d calls, want %d", n, 50+fits)
		}
		if st := l.Stats(); st.LastError != "" || st.Buffered != 0 || st.Lag != 0 {
			t.Errorf("Stats = %+v, want it healthy again", st)
		}
		equalTotals(t, l)
	})
}

func TestRunEndsWithinItsTime(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Delay: time.Millisecond})
		release := hold(t, target)
		run, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- l.Run(run) }()
		l.Record(call(t0))
		time.Sleep(50 * time.Millisecond)
		stop()
		time.Sleep(50 * time.Millisecond)
		release() // the database is back while Run tries its last
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := int64(len(calls(t, l))); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// TestEnginesHaveEqualTables compares the tables and columns that the two folders of migrations make.
func TestEnginesHaveEqualTables(t *testing.T) {
	lite := open(t, activity.Config{Target: filepath.Join(t.TempDir(), "a.db")})
	post := open(t, activity.Config{Target: postgres(t)})
	columns := func(l *activity.Log, q string) (out []string) {
		rows, err := activity.Pool(l).Read().Query(q)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var table, column, typ string
			var null bool
			if err := rows.Scan(&table, &column, &typ, &null); err != nil {
				t.Fatal(err)
			}
			if typ = strings.ToLower(typ); typ == "bigint" {
				typ = "integer"
			} else if typ == "bytea" {
				typ = "blob"
			}
			if null {
				typ += " null"
			}
			out = append(out, table+"."+column+" "+typ)
		}
		return out
	}
	a := columns(lite, `select m.name, c.name, c.type, c."notnull" = 0 and c.pk = 0 from sqlite_schema m, pragma_table_info(m.name) c
		where m.type = 'table' and m.name like 'activity_%' and m.name <> 'activity_migrations' order by m.name, c.cid`)
	b := columns(post, `select table_name, column_name, data_type, is_nullable = 'YES' from information_schema.columns
		where table_schema = current_schema() and table_name like 'activity_%' and table_name <> 'activity_migrations' order by table_name, ordinal_position`)
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	indexes := func(l *activity.Log, q string) (out []string) {
		rows, err := activity.Pool(l).Read().Query(q)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	if d := cmp.Diff(indexes(lite, `select name from sqlite_schema where type = 'index' and sql is not null and name like 'activity_%' order by name`),
		indexes(post, `select indexname from pg_indexes where schemaname = current_schema() and indexname not like '%_pkey' and indexname like 'activity_%' order by indexname`)); d != "" {
		t.Error(d)
	}
}
