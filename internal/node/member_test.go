package node

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// A node that crashed is forgotten by the next one in its directory, and not by one
// in a copy of it.
func TestCopiedDirectory(t *testing.T) {
	db := storetest.Open(t, storetest.Postgres(t))
	ctx := t.Context()
	dir, copied := t.TempDir(), t.TempDir()
	at := func(dir string) *Node { return &Node{Config: Config{Data: dir, Name: "eu-1"}, DB: db} }
	first := at(dir)
	if err := first.join(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.RenewLease(ctx, first.id, time.Minute); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, lastNode))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, lastNode), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := at(copied).join(ctx); err != nil || leases(ctx, t, db) != 1 {
		t.Errorf("a copy: %d leases, %v; want that of the first left", leases(ctx, t, db), err)
	}
	if err := at(dir).join(ctx); err != nil || leases(ctx, t, db) != 0 {
		t.Errorf("the same directory: %d leases, %v; want none left", leases(ctx, t, db), err)
	}
}

func leases(ctx context.Context, t *testing.T, db *store.DB) int {
	t.Helper()
	list, _, err := db.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
