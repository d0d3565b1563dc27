package backup_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/backup"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// A backup from before a revocation, restored, on each engine and across: the key
// stays dead. Without the journal it is refused with a count.
func TestRevokedStaysDead(t *testing.T) {
	engines(t, func(t *testing.T, at store.Place) {
		w := newWorld(t, at)
		kept, keptSecret := w.key("kept", "deals.read")
		dead, deadSecret := w.key("dead", "deals.read", "deals.write")
		gone, goneSecret := w.key("gone", "deals.read")
		less, lessSecret := w.key("less", "deals.read", "deals.write")
		turned, oldSecret := w.key("turned", "deals.read")
		data := w.backup()

		ctx := t.Context()
		_, err := w.RevokeKey(ctx, w.super, dead, "leaked")
		w.must(err)
		_, err = w.DeleteKey(ctx, w.super, gone, 0)
		w.must(err)
		_, err = w.EditKey(ctx, w.super, less, keyring.KeyEdit{Scopes: &[]postern.Scope{"deals.read"}})
		w.must(err)
		_, err = w.RotateKey(ctx, w.super, turned, keyring.Rotation{})
		w.must(err)
		w.key("later", "deals.read")
		w.halt()

		for _, pg := range []bool{false, true} {
			t.Run(fmt.Sprintf("postgres=%v", pg), func(t *testing.T) {
				to := empty(t, pg)
				_, err := restore(t, data, func(o *backup.RestoreOptions) { o.To = to })
				lost, ok := errors.AsType[*backup.LostError](err)
				if !ok || lost.Live != 6 || lost.Members != 1 || lost.Count() != 7 { // Ada and her own key too
					t.Fatalf("a restore without the journal = %v, want it refused with a count of 6 and 1", err)
				}
				if _, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.AcceptLost = to, 6 }); !errors.As(err, &lost) {
					t.Fatalf("a wrong count = %v, want it refused", err)
				}
				if exists(filepath.Join(to.Data, "postern.db")) {
					t.Fatal("a refused restore left a database")
				}
				done, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.Journals = to, []string{w.journal} })
				if err != nil {
					t.Fatal(err)
				}
				if r := done.Replayed; r.Ended != 2 || r.Narrowed != 2 || len(r.NoSecret) != 1 || r.NotHere != 0 || !done.Journal.Covered || done.Live != 4 {
					t.Errorf("replayed %+v, live %d", r, done.Live)
				}
				if done.Seals.Broken != 0 || done.Seals.Rows == 0 {
					t.Errorf("seals: %+v", done.Seals)
				}
				db := w.restored(to)
				now := t0.Add(time.Hour)
				for _, c := range []struct {
					id     postern.KeyID
					secret postern.Secret
					works  bool
					scopes int
				}{{kept, keptSecret, true, 1}, {dead, deadSecret, false, 0}, {gone, goneSecret, false, 0}, {less, lessSecret, true, 1}, {turned, oldSecret, false, 1}} {
					if u := using(t, db, w.pepper, c.id, c.secret, now); u.works != c.works || len(u.scopes) != c.scopes {
						t.Errorf("key %s works: %v with %v, want %v with %d scopes", c.id, u.works, u.scopes, c.works, c.scopes)
					}
				}
				soundWith(t, db, "backup.restore", "backup.replay.revoke")
				if epoch := born(t, db); epoch <= done.Manifest.Epoch {
					t.Errorf("the epoch is %d", epoch)
				}
			})
		}
	})
}

// Where no credential works, a member who was removed since could still come back.
func TestMembersAlone(t *testing.T) {
	w := newWorld(t, store.Place{Data: t.TempDir()})
	err := w.db.Pool.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("update credentials set revoked_at = 1")
		return err
	})
	w.must(err)
	data := w.backup()
	w.halt()
	to := empty(t, false)
	_, err = restore(t, data, func(o *backup.RestoreOptions) { o.To = to })
	lost, ok := errors.AsType[*backup.LostError](err)
	if !ok || lost.Live != 0 || lost.Members != 1 {
		t.Fatalf("a restore without the journal = %v, want it refused for one member", err)
	}
	if _, err := restore(t, data, func(o *backup.RestoreOptions) { o.To, o.AcceptLost = to, 1 }); err != nil {
		t.Fatal(err)
	}
}

// soundWith checks the restored audit log, and that it has entries of some actions.
func soundWith(t *testing.T, db *store.DB, actions ...string) {
	t.Helper()
	report, err := db.VerifyAudit(t.Context(), auditlog.Options{})
	if err != nil || !report.Sound {
		t.Errorf("the audit log after the restore: %+v, %v", report, err)
	}
	rows, err := db.AuditRows(t.Context(), "", 0, 1<<40, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, r := range rows {
		have[r.Action] = true
	}
	for _, a := range actions {
		if !have[a] {
			t.Errorf("there is no audit entry %s", a)
		}
	}
}

func born(t *testing.T, db *store.DB) int64 {
	t.Helper()
	_, epoch, err := db.FeedHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := db.Restored(t.Context())
	if err != nil || b.Epoch != epoch {
		t.Errorf("born %+v, %v", b, err)
	}
	return epoch
}
