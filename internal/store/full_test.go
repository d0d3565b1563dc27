package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// Where there is no room, changes are refused and deciding goes on; once there is
// room again, so do the changes.
func TestFullDisk(t *testing.T) {
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	a := account(t, db, "Acme")
	more := func(i int) error {
		_, err := db.Write(ctx, func(tx *store.Tx) error {
			return tx.InsertAudit(ctx, postern.AuditEntry{At: t0, AccountID: a.ID, Action: "test", Object: fmt.Sprint(i), Reason: strings.Repeat("x", 2000)})
		})
		return err
	}
	full := db.Full(t)
	n := 0
	for n < 1000 && more(n) == nil {
		n++
	}
	if err := more(n); !errors.Is(err, postern.CodeStorageFull) {
		t.Fatalf("change %d on a full disk = %v, want %s", n, err, postern.CodeStorageFull)
	}
	const nodes = 60
	for i := range nodes {
		node := fmt.Sprintf("node-%d-%s", i, strings.Repeat("n", 500))
		if now, err := db.RenewLease(ctx, node, time.Minute); err != nil || now.Before(t0) {
			t.Fatalf("renewing a lease on a full disk = %v, %v; want the store's time", now, err)
		}
		if err := db.ConfirmFeed(ctx, node, 1); err != nil && !errors.Is(err, postern.CodeStorageFull) {
			t.Fatal(err)
		}
	}
	rows, _, err := db.Leases(ctx)
	if err != nil || len(rows) >= nodes {
		t.Fatalf("%d lease rows (%v) had room: the disk wasn't full", len(rows), err)
	}
	full(false)
	if err := more(n); err != nil {
		t.Errorf("a change when there is room again = %v", err)
	}
}

// After a sync that failed nothing is written until a restart, and deciding goes on.
func TestAfterAFailedSync(t *testing.T) {
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	db.Break()
	_, err := db.Write(ctx, func(*store.Tx) error { t.Error("it writes on"); return nil })
	if !errors.Is(err, postern.CodeUnavailable) {
		t.Errorf("a change after a failed sync = %v, want %s", err, postern.CodeUnavailable)
	}
	if now, err := db.RenewLease(ctx, "node", time.Minute); err != nil || time.Until(now) > time.Hour {
		t.Errorf("renewing a lease after a failed sync = %v, %v; want the store's time", now, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := db.RenewLease(gone, "node", time.Minute); err == nil {
		t.Error("a lease is renewed although the store can't be read")
	}
}
