package store_test

import (
	"database/sql"
	"log/slog"
	"os"
	"testing"
	"time"

	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// TestCloseLeavesNoConnection: a server's connections are few, and a closed
// database keeps none.
func TestCloseLeavesNoConnection(t *testing.T) {
	target := storetest.Postgres(t)
	watch, err := sql.Open("pgx", os.Getenv(storetest.Env))
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	db, err := store.OpenDB(t.Context(), target+"&application_name=closes", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		if err := watch.QueryRowContext(t.Context(), "select count(*) from pg_stat_activity where application_name = 'closes'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() == 0 {
		t.Fatal("an open database has no connection that could be seen")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// The server notices that a client went a moment after it did.
	for end := time.Now().Add(5 * time.Second); count() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", count())
		}
	}
}

// TestPanicLeavesThePlace: what goes wrong in one change holds up no other.
func TestPanicLeavesThePlace(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		for range 3 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was swallowed")
					}
				}()
				_ = db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
					if _, err := tx.Exec("update heads set n = n + 1 where name = 'feed'"); err != nil {
						t.Error(err)
					}
					panic("a change went wrong")
				})
			}()
		}
		if err := db.Pool.Write(t.Context(), func(*sql.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if n, _, err := db.FeedHead(t.Context()); err != nil || n != 0 {
			t.Errorf("what a change did that panicked is there: %d, %v", n, err)
		}
	})
}
