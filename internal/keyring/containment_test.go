package keyring_test

import (
	"slices"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// through is an actor by means of a personal access key with these scopes.
func (w *world) through(by postern.Actor, scopes ...postern.Scope) postern.Actor {
	w.t.Helper()
	made, err := w.CreatePersonalKey(w.t.Context(), by, keyring.NewPersonalKey{Name: "x", Scopes: scopes, ExpiresAt: w.now.Add(time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	by.KeyID = made.Key.Key
	return by
}

// A narrowed personal access key hands out no more than it may do itself, although
// its member could: not by a role, an invitation, or a new way in for someone.
func TestNarrowedKeyHandsOutNoMore(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		viewer := w.member("vi@example.org", postern.RoleViewer)
		by := w.through(w.super, postern.PermMembersWrite)
		_, err := w.InviteMember(ctx, by, keyring.NewMember{Email: "eve@example.org", Name: "Eve", RoleID: postern.RoleSuperAdmin})
		wantCode(t, "invite a super admin", err, postern.CodeInsufficientScope)
		_, err = w.ReinviteMember(ctx, by, w.super.MemberID)
		wantCode(t, "invite the super admin anew", err, postern.CodeInsufficientScope)
		role := postern.RoleKeyManager
		_, err = w.EditMember(ctx, by, viewer.MemberID, keyring.MemberEdit{RoleID: &role})
		wantCode(t, "make someone a key manager", err, postern.CodeInsufficientScope)
		_, err = w.CreateRole(ctx, by, keyring.RoleInput{Name: "All", Permissions: []postern.Permission{postern.PermKeysWrite}})
		wantCode(t, "make a wide role", err, postern.CodeInsufficientScope)
		_, err = w.CreateKey(ctx, by, keyring.NewKey{Name: "k"})
		wantCode(t, "make a key", err, postern.CodeForbidden)
		if _, err := w.CreateRole(ctx, by, keyring.RoleInput{Name: "Few", Permissions: []postern.Permission{postern.PermMembersWrite}}); err != nil {
			t.Errorf("make a role that it holds: %v", err)
		}
	})
}

// A personal access key that ended after its request came through a door changes nothing any more.
func TestEndedPersonalKeyChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		revoked, expired := w.through(w.super), w.through(w.super)
		if err := w.RevokePersonalKey(t.Context(), w.super, revoked.KeyID); err != nil {
			t.Fatal(err)
		}
		_, err := w.CreateKey(t.Context(), revoked, keyring.NewKey{Name: "k"})
		wantCode(t, "with a revoked key", err, postern.CodeForbidden)
		foreign := w.member("vi@example.org", postern.RoleViewer)
		foreign.KeyID = expired.KeyID
		_, err = w.Keys(t.Context(), foreign, store.KeyFilter{}, store.Cursor{}, 1)
		wantCode(t, "with another member's key", err, postern.CodeForbidden)
		w.now = w.now.Add(time.Hour)
		_, err = w.CreateKey(t.Context(), expired, keyring.NewKey{Name: "k"})
		wantCode(t, "with an expired key", err, postern.CodeForbidden)
	})
}

func TestPersonalKeyHoldsNoMoreThanItsMember(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		viewer := w.member("vi@example.org", postern.RoleViewer)
		_, err := w.CreatePersonalKey(t.Context(), viewer, keyring.NewPersonalKey{Name: "x", Scopes: []postern.Scope{postern.PermKeysWrite, postern.PermKeysRead}})
		wantCode(t, "a viewer's key that writes", err, postern.CodeInsufficientScope)
		if e := err.(*postern.Error); !slices.Equal(e.Scopes, []postern.Scope{postern.PermKeysWrite}) {
			t.Errorf("missing = %v", e.Scopes)
		}
	})
}

func TestSuspendedAccountChangesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, yes := t.Context(), true
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Beta", AdminEmail: "bo@example.org", AdminName: "Bo"})
		if err != nil {
			t.Fatal(err)
		}
		bo := postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}
		if _, err := w.EditAccount(ctx, w.super, other.ID, keyring.AccountEdit{Suspended: &yes}); err != nil {
			t.Fatal(err)
		}
		_, err = w.CreateKey(ctx, bo, keyring.NewKey{Name: "k"})
		wantCode(t, "make a key", err, postern.CodeForbidden)
		_, err = w.CreatePersonalKey(ctx, bo, keyring.NewPersonalKey{Name: "p"})
		wantCode(t, "make a personal access key", err, postern.CodeForbidden)
		_, err = w.Members(ctx, bo)
		wantCode(t, "read the members", err, postern.CodeForbidden)
	})
}

// Who holds less changes nothing of who holds more, not even the name: the audit log
// and the list of members would tell of somebody else.
func TestNobodyRenamesWhoHoldsMore(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		role, err := w.CreateRole(t.Context(), w.super, keyring.RoleInput{Name: "People", Permissions: []postern.Permission{postern.PermMembersRead, postern.PermMembersWrite}})
		if err != nil {
			t.Fatal(err)
		}
		mal, peer, name := w.member("mal@example.org", role.ID), w.member("peer@example.org", role.ID), "Mal"
		_, err = w.EditMember(t.Context(), mal, w.super.MemberID, keyring.MemberEdit{Name: &name})
		wantCode(t, "a new name for a super admin", err, postern.CodeInsufficientScope)
		for _, id := range []postern.MemberID{mal.MemberID, peer.MemberID} {
			if m, err := w.EditMember(t.Context(), mal, id, keyring.MemberEdit{Name: &name}); err != nil || m.Name != name {
				t.Errorf("a new name for an equal = %+v, %v", m, err)
			}
		}
	})
}

// Only what a maker lost flags their keys: not a new name, nor a scope that someone
// else put there and they never held.
func TestOnlyALossFlags(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		noor := w.member("noor@example.org", postern.RoleKeyManager, "deals.*")
		k := w.key(noor, "hers", "deals.read")
		more := []postern.Scope{"deals.read", "contacts.read"}
		if _, err := w.EditKey(ctx, w.super, k.Key.ID, keyring.KeyEdit{Scopes: &more}); err != nil {
			t.Fatal(err)
		}
		name, wider := "Noor B.", postern.Grants{"deals.*", "health.*"}
		if _, err := w.EditMember(ctx, w.super, noor.MemberID, keyring.MemberEdit{Name: &name, Scopes: &wider}); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.Key(ctx, w.super, k.Key.ID); !got.FlaggedAt.IsZero() {
			t.Errorf("flagged, because: %s", got.FlaggedWhy)
		}
		cut := postern.Grants{"health.*"}
		if _, err := w.EditMember(ctx, w.super, noor.MemberID, keyring.MemberEdit{Scopes: &cut}); err != nil {
			t.Fatal(err)
		}
		if got, _ := w.Key(ctx, w.super, k.Key.ID); got.FlaggedWhy != "Its maker, Noor B., no longer holds deals.read." {
			t.Errorf("flagged because %q", got.FlaggedWhy)
		}
	})
}

// A key that is over can be renamed by a form that says its expiry again.
func TestEditOfAnExpiredKeyMaySayItsExpiryAgain(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		end, name := w.now.Add(time.Hour), "old"
		k, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "nightly", ExpiresAt: end})
		if err != nil {
			t.Fatal(err)
		}
		w.now = end.Add(time.Second)
		if _, err := w.EditKey(t.Context(), w.super, k.Key.ID, keyring.KeyEdit{Name: &name, ExpiresAt: &end}); err != nil {
			t.Error(err)
		}
		past := end.Add(time.Millisecond)
		_, err = w.EditKey(t.Context(), w.super, k.Key.ID, keyring.KeyEdit{ExpiresAt: &past})
		wantCode(t, "another expiry in the past", err, postern.CodeInvalid)
	})
}

func TestMemberAndRoleEditsThatChangeNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		in := keyring.RoleInput{Name: "Few", Permissions: []postern.Permission{postern.PermKeysRead}, Grants: postern.Grants{"deals.*"}}
		role, err := w.CreateRole(ctx, w.super, in)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.EditRole(ctx, w.super, role.ID, in); err != nil || again.Revision != role.Revision {
			t.Errorf("role = revision %d, %v; want %d", again.Revision, err, role.Revision)
		}
		other, err := w.CreateRole(ctx, w.super, keyring.RoleInput{Name: "Others"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.EditRole(ctx, w.super, other.ID, in)
		wantCode(t, "a role's name that is taken", err, postern.CodeConflict)
		vi := w.member("vi@example.org", role.ID)
		if m, err := w.EditMember(ctx, w.super, vi.MemberID, keyring.MemberEdit{RoleID: &role.ID}); err != nil || m.Revision != 1 {
			t.Errorf("member = revision %d, %v; want 1", m.Revision, err)
		}
	})
}

// A new account has the server's daily limit, unless it is given one of its own.
func TestDailyLimitOfNewAccounts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		kr := keyring.New(keyring.Config{DB: w.db, Pepper: w.pepper, Now: func() time.Time { return w.now }, DailyLimit: 1000})
		for own, want := range map[int64]int64{0: 1000, 7: 7} {
			a, _, err := kr.CreateAccount(t.Context(), w.super, keyring.NewAccount{Name: "Beta", DailyLimit: own, AdminEmail: "bo@example.org", AdminName: "Bo"})
			if err != nil || a.DailyLimit != want {
				t.Errorf("an account with the limit %d has %d, %v; want %d", own, a.DailyLimit, err, want)
			}
		}
		none := int64(0)
		all, err := kr.Accounts(t.Context(), w.super)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := kr.EditAccount(t.Context(), w.super, all[1].ID, keyring.AccountEdit{DailyLimit: &none}); err != nil || a.DailyLimit != 0 {
			t.Errorf("a limit that is taken away = %d, %v", a.DailyLimit, err)
		}
	})
}

// What a change answers is what is kept: times of whole microseconds.
func TestTimesAreCutToMicroseconds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		end := w.now.Add(time.Hour + 1500*time.Nanosecond)
		made, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "nightly", ExpiresAt: end})
		if err != nil {
			t.Fatal(err)
		}
		if want := end.Add(-500 * time.Nanosecond); !made.Key.ExpiresAt.Equal(want) {
			t.Errorf("expiry = %s, want %s", made.Key.ExpiresAt, want)
		}
		again, err := w.EditKey(t.Context(), w.super, made.Key.ID, keyring.KeyEdit{ExpiresAt: &end})
		if err != nil || again.Seq != 0 {
			t.Errorf("the same expiry again = seq %d, %v; want no change", again.Seq, err)
		}
	})
}

// However often its answer is lost, a rotation can be recovered for as long as
// it was at first.
func TestRecoveryIsCountedFromTheFirstRequest(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.key(w.super, "nightly", "deals.read")
		rot := keyring.Rotation{Idempotency: "one"}
		for _, after := range []time.Duration{0, 10 * time.Minute} {
			w.now = t0.Add(after)
			if m, err := w.RotateKey(t.Context(), w.super, k.Key.ID, rot); err != nil || m.Secret.Zero() {
				t.Fatalf("after %s: %v", after, err)
			}
		}
		w.now = t0.Add(15 * time.Minute)
		_, err := w.RotateKey(t.Context(), w.super, k.Key.ID, rot)
		wantCode(t, "recover too late", err, postern.CodeConflict)
		w.now = t0.Add(24 * time.Hour)
		if _, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "new", Idempotency: "one"}); err != nil {
			t.Errorf("use a forgotten Idempotency-Key: %v", err)
		}
	})
}
