package store_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// A watch and an undo come back as they were written, and the seal fits them.
func TestWatchAndUndoAreKept(t *testing.T) {
	pepper, err := postern.ParsePepper("1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
	if err != nil {
		t.Fatal(err)
	}
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	none := []netip.Prefix{}
	for name, row := range map[string]postern.CredentialRow{
		"neither":          {},
		"no scopes at all": {Watch: &postern.Watch{Scopes: &[]postern.Scope{}, Since: t0, By: "mem_1"}},
		"from anywhere":    {Watch: &postern.Watch{Networks: &none, Since: t0}},
		"both": {Watch: &postern.Watch{Scopes: &[]postern.Scope{"a.read"}, Networks: &nets, Since: t0, By: "mem_1"},
			Undo: &postern.Undo{Until: t0.Add(time.Minute), By: "mem_2", Revision: 3, Scopes: []postern.Scope{"a.read", "a.write"}, Networks: nets,
				ExpiresAt: t0.Add(time.Hour), PausedAt: t0, FlaggedAt: t0, FlaggedWhy: "Its maker left.", Watch: &postern.Watch{Scopes: &[]postern.Scope{"a.read"}, Since: t0}}},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, db *store.DB) {
				k := key(account(t, db, "A").ID, "one", t0)
				k.Row.Watch, k.Row.Undo = row.Watch, row.Undo
				k.Row.Seal(pepper)
				write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertKey(ctx, k) })
				got, err := db.Credential(t.Context(), k.Row.Key)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Sealed(pepper) {
					t.Error("what was read isn't as it was sealed")
				}
				opts := cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
				if d := cmp.Diff(row.Watch, got.Watch, opts); d != "" {
					t.Errorf("watch (-want +got):\n%s", d)
				}
				if d := cmp.Diff(row.Undo, got.Undo, opts); d != "" {
					t.Errorf("undo (-want +got):\n%s", d)
				}
			})
		})
	}
}
