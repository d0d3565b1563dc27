package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// Whoever only reads where a change is in force can't hold up those who write: many
// who ask at the same time share one commit.
func TestManyAskWhetherAChangeIsKept(t *testing.T) {
	db := storetest.Open(t, storetest.Postgres(t))
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendFeed(ctx, postern.Change{At: t0, Kind: postern.ChangeCredential, AccountID: "acc", ID: "key"})
		return err
	})
	writes := func() (n int) {
		t.Helper()
		if err := db.Read().QueryRowContext(t.Context(), "select n from heads where name = 'writer'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var all sync.WaitGroup
	ask := func(ctx context.Context, want error) {
		all.Go(func() {
			if n, err := db.FeedSeqOf(ctx, postern.ChangeCredential, "key"); !errors.Is(err, want) || err == nil && n != 1 {
				t.Errorf("FeedSeqOf = %d, %v; want 1, %v", n, err, want)
			}
		})
	}
	place, err := db.Read().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := place.QueryRowContext(t.Context(), "update heads set n = n where name = 'writer' returning pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	before := writes()
	ask(t.Context(), nil)
	for n := 0; n == 0; {
		if err := db.Read().QueryRowContext(t.Context(), "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))", pid).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	const most = 100
	for i := range most {
		if i < 40 {
			ask(t.Context(), nil)
			continue
		}
		all.Go(func() {
			if n, err := db.FeedSeqOf(t.Context(), postern.ChangeCredential, fmt.Sprint("another ", i)); n != 0 || err != nil {
				t.Errorf("FeedSeqOf what didn't change = %d, %v", n, err)
			}
		})
	}
	ctx, leave := context.WithCancel(t.Context())
	ask(ctx, context.Canceled)
	for db.Asked() != most+1 {
		runtime.Gosched()
	}
	leave()
	for db.Asked() != most {
		runtime.Gosched()
	}
	if err := place.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	// The first, and two for the sixty or so things that the others asked about.
	if n := writes() - before; n != 3 {
		t.Errorf("%d who asked took the writer's place %d times, want 3", most+1, n)
	}
}
