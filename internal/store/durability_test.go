package store_test

import (
	"strings"
	"testing"

	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// A file is durable by itself, until the disk fails to keep a write.
func TestDurabilityOfAFile(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	d, err := db.CheckDurability(t.Context(), store.StandbyRequired)
	if err != nil || d.Level != store.DurabilityFull || len(d.Reasons) != 0 {
		t.Errorf("CheckDurability = %+v, %v; want full", d, err)
	}
	db.Break()
	if d := db.Durability(); d.Level != store.DurabilityDegraded || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0], "Restart") {
		t.Errorf("Durability after a failed sync = %+v, want degraded", d)
	}
}

// A PostgreSQL server is as durable as its settings, and each that falls short is named.
func TestDurabilityOfAServer(t *testing.T) {
	target := storetest.Postgres(t)
	for _, c := range []struct {
		name, options string
		standby       store.Standby
		want, without string
	}{
		{"alone", "", store.StandbyRequired, "synchronous_standby_names is empty", "synchronous_commit ="},
		{"alone, and accepted", "", store.StandbyNone, "synchronous_standby_names is empty", "synchronous_commit ="},
		{"answers before it has written", "&options=-csynchronous_commit%3Doff", store.StandbyRequired, "Set synchronous_commit = on", "\x00"},
		{"and managed", "&options=-csynchronous_commit%3Dremote_write", store.StandbyManaged, "synchronous_commit = remote_write", "synchronous_standby_names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, target+c.options)
			d, err := db.CheckDurability(t.Context(), c.standby)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(d.Reasons, "\n")
			if d.Level != store.DurabilityDegraded || !strings.Contains(all, c.want) || strings.Contains(all, c.without) {
				t.Errorf("CheckDurability = %+v, want degraded for %q and not for %q", d, c.want, c.without)
			}
			if got := db.Durability(); got.Level != d.Level {
				t.Errorf("Durability = %+v, want what was found", got)
			}
		})
	}
}
