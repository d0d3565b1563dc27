package store_test

import (
	"context"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// MemberWays tells who came in, how, and what they made.
func TestMemberWays(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		a, b := account(t, db, "A"), account(t, db, "B")
		role, _ := postern.BuiltinRole(postern.RoleViewer)
		member := func(a postern.Account, email string) postern.MemberID {
			m := postern.Member{ID: postern.MemberID(postern.NewID("mem")), AccountID: a.ID, Email: email, Name: email, Role: role, CreatedAt: t0}
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertMember(ctx, &m) })
			return m.ID
		}
		kim, lee, other := member(a, "kim@example.org"), member(a, "lee@example.org"), member(b, "other@example.org")
		until := t0.Add(time.Hour)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.PutPassword(ctx, kim, store.Password{Hash: "x", Length: 20, ChangedAt: t0}); err != nil {
				return err
			}
			if err := tx.PutTOTP(ctx, kim, store.TOTP{Secret: []byte{1}, CreatedAt: t0}); err != nil {
				return err
			}
			k := key(a.ID, "one", t0)
			k.Key.MadeBy = kim
			if err := tx.InsertKey(ctx, k); err != nil {
				return err
			}
			if err := tx.FlagKey(ctx, k.Row.Key, t0, "why"); err != nil {
				return err
			}
			return tx.InsertSingleUse(ctx, &store.SingleUse{ID: postern.NewKeyID(), Purpose: "invite", AccountID: a.ID, MemberID: lee, CreatedAt: t0, ExpiresAt: until})
		})
		got, err := db.MemberWays(t.Context(), a.ID, "")
		if err != nil || len(got) != 2 {
			t.Fatalf("MemberWays = %v, %v", got, err)
		}
		if want := (store.MemberWays{Password: true, TOTP: true, Keys: 1, Flagged: 1, Joined: true}); got[kim] != want {
			t.Errorf("kim = %+v, want %+v", got[kim], want)
		}
		if want := (store.MemberWays{InvitedUntil: until}); got[lee] != want {
			t.Errorf("lee = %+v, want %+v", got[lee], want)
		}
		if one, err := db.MemberWays(t.Context(), a.ID, lee); err != nil || len(one) != 1 {
			t.Errorf("of one = %v, %v", one, err)
		}
		if none, err := db.MemberWays(t.Context(), a.ID, other); err != nil || len(none) != 0 {
			t.Errorf("of another account = %v, %v", none, err)
		}
	})
}
