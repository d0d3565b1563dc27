package store_test

import (
	"fmt"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// An audit log that is being written verifies all the same.
func TestVerifyAuditWhileItIsWritten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		written := make(chan error, 1)
		go func() {
			for i := range 150 {
				_, err := db.Write(ctx, func(tx *store.Tx) error {
					by := postern.Actor{AccountID: "acc_1", System: "test"}
					return tx.InsertAudit(ctx, by.Entry(time.UnixMicro(int64(i+1)).UTC(), "test.write", fmt.Sprint(i)))
				})
				if err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		for done := false; !done; {
			select {
			case err := <-written:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
			v, err := db.VerifyAudit(ctx, auditlog.Options{})
			if err != nil || !v.Sound {
				t.Fatalf("VerifyAudit = %+v, %v", v, err)
			}
			if done && v.Entries != 150 {
				t.Errorf("entries = %d, want 150", v.Entries)
			}
		}
	})
}
