package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// PostgreSQL answers a COMMIT with success when someone cancels the wait for its
// standby. That is no success: the standby that takes over knows nothing of it.
func TestCommitThatNoStandbyConfirms(t *testing.T) {
	target := storetest.NewServer(t).URL()
	db := storetest.Open(t, target)
	admin, err := sql.Open("pgx", target)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	standby := func(names string) {
		t.Helper()
		for _, q := range []string{"alter system set synchronous_standby_names = '" + names + "'", "select pg_reload_conf()"} {
			if _, err := admin.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(20 * time.Second); ; {
			var is string
			if err := admin.QueryRow("select current_setting('synchronous_standby_names')").Scan(&is); err != nil || time.Now().After(deadline) {
				t.Fatal(is, err)
			}
			if is == names {
				return
			}
		}
	}
	write := func(ctx context.Context) error {
		return db.Pool.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "update heads set n = n + 1 where name = 'writer'")
			return err
		})
	}
	if err := write(t.Context()); err != nil {
		t.Fatalf("without a standby that is waited for: %v", err)
	}
	standby("nobody")
	done := make(chan error, 1)
	go func() { done <- write(t.Context()) }()
	err = cancelled(t, admin, done)
	if !errors.Is(err, postern.CodeUnavailable) || !strings.Contains(err.Error(), "Look whether it was made") {
		t.Errorf("Write that no standby confirmed = %v, want unavailable, and that it may have been made", err)
	}
	if d, err := db.CheckDurability(t.Context(), store.StandbyRequired); err != nil || d.Level != store.DurabilityFull {
		t.Errorf("CheckDurability with a standby that is waited for = %+v, %v; want full", d, err)
	}
	// What is seen of such a change is told of only once a standby has it.
	go func() {
		_, err := db.FeedSeqOf(t.Context(), postern.ChangeCredential, "key")
		done <- err
	}()
	if err := cancelled(t, admin, done); !errors.Is(err, postern.CodeUnavailable) {
		t.Errorf("FeedSeqOf of what no standby confirmed = %v, want unavailable", err)
	}
	standby("")
	if _, err := db.FeedSeqOf(t.Context(), postern.ChangeCredential, "key"); err != nil {
		t.Errorf("FeedSeqOf once no standby is waited for: %v", err)
	}
	if err := write(t.Context()); err != nil {
		t.Errorf("once no standby is waited for: %v", err)
	}
}

// cancelled cancels the wait for a standby once there is one, and gives what was answered.
func cancelled(t *testing.T, admin *sql.DB, done chan error) error {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if _, err := admin.Exec("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the commit waits for ever")
	return nil
}

// A change that waits too long for another one is answered with "try again".
func TestWriteThatWaitsTooLong(t *testing.T) {
	target := storetest.Postgres(t)
	db := storetest.Open(t, target+"&lock_timeout=100")
	holder := storetest.Open(t, target)
	const take = "update heads set n = n + 1 where name = 'writer'"
	err := holder.Pool.Write(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), take); err != nil {
			return err
		}
		_, err := db.Write(t.Context(), func(*store.Tx) error { return nil })
		if !errors.Is(err, postern.CodeUnavailable) {
			t.Errorf("Write while another holds the place = %v, want unavailable", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
