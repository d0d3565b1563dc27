package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// BenchmarkGroupCommit measures changes as the keyring makes them (a key, its feed number and
// its audit entry) by so many writers at once, each change with a commit of its own, and
// as they are committed together.
func BenchmarkGroupCommit(b *testing.B) {
	ways := []struct {
		name  string
		write func(db *store.DB, ctx context.Context, fn func(tx *store.Tx) error) (int64, error)
	}{{"one by one", (*store.DB).WriteAlone}, {"grouped", (*store.DB).Write}}
	for _, writers := range []int{1, 8, 64} {
		for _, w := range ways {
			b.Run(fmt.Sprintf("%d writers/%s", writers, w.name), func(b *testing.B) {
				db := storetest.Open(b, storetest.SQLite(b))
				a := postern.Account{ID: "acc_bench", Name: "Acme", TimeZone: "UTC", CreatedAt: t0}
				ctx := b.Context()
				if _, err := db.Write(ctx, func(tx *store.Tx) error { return tx.InsertAccount(ctx, &a) }); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				began, before := time.Now(), db.GroupSizes()
				var n atomic.Int64
				var all sync.WaitGroup
				for range writers {
					all.Go(func() {
						for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
							rec := key(a.ID, fmt.Sprint("key ", i), t0)
							_, err := w.write(db, ctx, func(tx *store.Tx) error {
								if err := tx.InsertKey(ctx, rec); err != nil {
									return err
								}
								if _, err := tx.AppendFeed(ctx, postern.Change{At: t0, Kind: postern.ChangeCredential, AccountID: a.ID, ID: string(rec.Row.Key)}); err != nil {
									return err
								}
								return tx.InsertAudit(ctx, postern.AuditEntry{At: t0, AccountID: a.ID, Action: "service_key.create", Object: string(rec.Row.Key)})
							})
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "changes/s")
				if after := db.GroupSizes(); after.Commits > before.Commits {
					b.ReportMetric(float64(after.Changes-before.Changes)/float64(after.Commits-before.Commits), "changes/commit")
				}
			})
		}
	}
}
