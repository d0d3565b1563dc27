package verifystore_test

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// A change of a kind that only a newer version knows stops an older node: it
// confirms nothing from there on and its lease isn't extended, neither when it
// reads the change nor when it reads everything anew.
func TestAChangeOfANewerVersion(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		add := func(kinds ...postern.ChangeKind) (seq int64) {
			t.Helper()
			seq, err := db.Write(ctx, func(tx *store.Tx) error {
				for _, k := range kinds {
					if _, err := tx.AppendFeed(ctx, postern.Change{At: t0, Kind: k, AccountID: "acc_1", ID: "colour_1"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return seq
		}
		node := func(name string, behind int64) *verify.Verifier {
			t.Helper()
			v, err := verify.New(verify.Config{Store: verifystore.Of(db), Pepper: storetest.Pepper(t), Node: name, Shared: true, MaxBehind: behind})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		// Every kind of today is known.
		known := add(postern.ChangeCredential, postern.ChangeAccount, postern.ChangeMember, postern.ChangeRole, postern.ChangeCatalog)
		step, leap := node("step", 1000), node("leap", 1)
		for name, v := range map[string]*verify.Verifier{"step": step, "leap": leap} {
			if err := v.Renew(ctx); err != nil || !v.Alive() {
				t.Fatalf("%s, before = %v", name, err)
			}
		}
		add("colour", postern.ChangeCredential, postern.ChangeAccount)
		late := node("late", 1000)
		for name, v := range map[string]*verify.Verifier{"one that follows": step, "one that is far behind": leap, "one that starts": late} {
			for range 2 {
				if err := v.Renew(ctx); err == nil || !strings.Contains(err.Error(), `"colour" is not known here`) {
					t.Errorf("%s renews its lease = %v, want what it doesn't know", name, err)
				}
			}
		}
		if late.Alive() {
			t.Error("one that starts decides")
		}
		leases, _, err := db.Leases(ctx)
		if err != nil || len(leases) != 3 {
			t.Fatalf("leases = %+v, %v", leases, err)
		}
		for _, l := range leases {
			if l.Confirmed > known {
				t.Errorf("%s confirmed %d, and %d is not known to it", l.Node, l.Confirmed, known+1)
			}
		}
	})
}
