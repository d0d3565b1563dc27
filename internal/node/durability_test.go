package node_test

import (
	"strings"
	"testing"

	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// TestOpenWithoutAStandby: one PostgreSQL server may forget what it acknowledged. A node
// starts on it where that was accepted, and names the setting where it wasn't.
func TestOpenWithoutAStandby(t *testing.T) {
	cfg := node.Config{Data: t.TempDir(), Database: storetest.Postgres(t), Standby: store.StandbyRequired}
	_, err := node.Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "--standby none") || !strings.Contains(err.Error(), "synchronous_standby_names") {
		t.Fatalf("Open = %v, want a refusal that names the setting", err)
	}
	cfg.Standby = store.StandbyNone
	n, err := node.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if d := n.DB.Durability(); d.Level != store.DurabilityDegraded {
		t.Errorf("Durability = %+v, want degraded", d)
	}
}

// A file needs no standby.
func TestOpenAFileWithAStandbyRequired(t *testing.T) {
	n, err := node.Open(t.Context(), node.Config{Data: t.TempDir(), Standby: store.StandbyRequired})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
}
