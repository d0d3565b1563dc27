package keyring_test

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// TestExtendRotation: an old secret may live longer once, for a week, never past
// its key's end, and only by the will of someone who holds the key's scopes.
func TestExtendRotation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		const day = 24 * time.Hour
		id := w.key(w.super, "nightly", "deals.read", "health.read").Key.ID
		_, err := w.ExtendRotation(ctx, w.super, id, day, 0)
		wantCode(t, "extend what is not being rotated", err, postern.CodeConflict)
		begun, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 2 * day})
		if err != nil {
			t.Fatal(err)
		}
		for _, more := range []time.Duration{-day, 0, keyring.MaxExtension + time.Second} {
			_, err = w.ExtendRotation(ctx, w.super, id, more, 0)
			wantCode(t, "extend by "+more.String(), err, postern.CodeInvalid)
		}
		_, err = w.ExtendRotation(ctx, w.super, id, day, begun.Key.Revision-1)
		wantCode(t, "extend what someone else changed", err, postern.CodePrecondition)
		manager := w.member("km@example.org", postern.RoleKeyManager, "deals.read")
		_, err = w.ExtendRotation(ctx, manager, id, day, 0)
		wantCode(t, "extend without holding a scope of the key", err, postern.CodeInsufficientScope)
		_, err = w.ExtendRotation(ctx, w.member("v@example.org", postern.RoleViewer), id, day, 0)
		wantCode(t, "a viewer extends", err, postern.CodeForbidden)
		if done, err := w.RotationExtended(ctx, w.super, id); err != nil || done {
			t.Errorf("extended = %v, %v before it was", done, err)
		}
		made, err := w.ExtendRotation(ctx, w.super, id, 7*day, begun.Key.Revision)
		if err != nil || !made.Key.Previous.EndsAt.Equal(w.now.Add(9*day)) || made.Seq == 0 || !made.Secret.Zero() {
			t.Fatalf("extend = %+v, %v; want the old secret to end in 9 days", made, err)
		}
		list, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(id), Action: "service_key.rotation.extend", Result: "ok"}, 0, 9)
		if err != nil || len(list) != 1 || list[0].Before["previous"] == nil || list[0].After["previous"] == nil {
			t.Errorf("audit = %+v, %v; want one entry with both ends", list, err)
		}
		if done, err := w.RotationExtended(ctx, w.super, id); err != nil || !done {
			t.Errorf("extended = %v, %v after it was", done, err)
		}
		_, err = w.ExtendRotation(ctx, w.super, id, day, 0)
		wantCode(t, "extend a second time", err, postern.CodeConflict)

		// The next rotation may be extended anew, up to the key's own end.
		if _, err := w.FinishRotation(ctx, w.super, id, 0); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		end := w.now.Add(3 * day)
		if _, err := w.EditKey(ctx, w.super, id, keyring.KeyEdit{ExpiresAt: &end}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: day}); err != nil {
			t.Fatal(err)
		}
		if made, err = w.ExtendRotation(ctx, w.super, id, 7*day, 0); err != nil || !made.Key.Previous.EndsAt.Equal(end) {
			t.Errorf("extend ends %v, %v; want the key's own end %v", made.Key.Previous.EndsAt, err, end)
		}
		if _, err := w.FinishRotation(ctx, w.super, id, 0); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		if _, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 30 * day}); err != nil {
			t.Fatal(err)
		}
		_, err = w.ExtendRotation(ctx, w.super, id, day, 0)
		wantCode(t, "extend past the key's end", err, postern.CodeConflict)

		// A key that the policy of today refuses gets no further life.
		other := w.key(w.super, "hourly", "deals.read").Key.ID
		if _, err := w.RotateKey(ctx, w.super, other, keyring.Rotation{Grace: day}); err != nil {
			t.Fatal(err)
		}
		p, err := w.Policy(ctx, w.super)
		if err != nil {
			t.Fatal(err)
		}
		p.RequireExpiry = true
		if _, err := w.SetPolicy(ctx, w.super, p); err != nil {
			t.Fatal(err)
		}
		_, err = w.ExtendRotation(ctx, w.super, other, day, 0)
		wantCode(t, "extend against the policy", err, postern.CodeInvalid)
		soon := w.now.Add(30 * day)
		if _, err := w.EditKey(ctx, w.super, other, keyring.KeyEdit{ExpiresAt: &soon}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ExtendRotation(ctx, w.super, other, day, 0); err != nil {
			t.Errorf("extend as the policy asks: %v", err)
		}
	})
}
