package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// However many are read at once, every credential is given once.
func TestEachCredentialInParts(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a := account(t, db, "A")
		var want []postern.KeyID
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			for i := range 12 {
				k := key(a.ID, fmt.Sprint("key ", i), t0.Add(time.Duration(i)*time.Second))
				if i == 5 {
					k.Row.DeletedAt = t0
				} else {
					want = append(want, k.Row.Key)
				}
				if err := tx.InsertKey(ctx, k); err != nil {
					return err
				}
			}
			return nil
		})
		slices.Sort(want)
		for _, atOnce := range []int{1, 3, 10, 11, 12, 100} {
			var got []postern.KeyID
			err := db.EachCredentialBy(t.Context(), atOnce, func(r *postern.CredentialRow) error {
				got = append(got, r.Key)
				return nil
			})
			slices.Sort(got) // a server sorts by its own collation
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d at once: %q, %v; want %q", atOnce, got, err, want)
			}
		}
	})
}
