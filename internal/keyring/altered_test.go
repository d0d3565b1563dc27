package keyring_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

func (w *world) raw(query string, args ...any) {
	w.t.Helper()
	if err := w.db.Pool.Write(w.t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
}

// TestAnAlteredDatabaseGivesNothing: whoever can write rows writes themselves more
// power in every way that the tables have, and can do less than before.
func TestAnAlteredDatabaseGivesNothing(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := newWorld(t, storetest.Open(t, target))
		ctx := t.Context()
		role, err := w.CreateRole(ctx, w.super, keyring.RoleInput{Name: "Reader", Permissions: []postern.Permission{postern.PermKeysRead, postern.PermKeysWrite}, Grants: postern.Grants{"deals.read"}})
		if err != nil {
			t.Fatal(err)
		}
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Beta", AdminEmail: "bo@example.org", AdminName: "Bo"})
		if err != nil {
			t.Fatal(err)
		}
		bo := postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}
		mal, gone := w.member("mal@example.org", role.ID), w.member("gone@example.org", postern.RoleSuperAdmin)
		if err := w.RemoveMember(ctx, w.super, gone.MemberID); err != nil {
			t.Fatal(err)
		}
		moved := postern.Actor{AccountID: other.ID, MemberID: mal.MemberID}
		wish := keyring.NewKey{Name: "k", Scopes: []postern.Scope{"deals.read"}}
		w.key(mal, "while nothing was altered", "deals.read")
		for _, c := range []struct {
			edit, undo string
			as         postern.Actor
		}{
			{"update members set role_id = 'super_admin' where email = 'mal@example.org'", "update members set role_id = '" + string(role.ID) + "' where email = 'mal@example.org'", mal},
			{`update members set scopes = '["**"]' where email = 'mal@example.org'`, "update members set scopes = null where email = 'mal@example.org'", mal},
			{"update members set account_id = '" + string(other.ID) + "', role_id = 'super_admin' where email = 'mal@example.org'",
				"update members set account_id = '" + string(mal.AccountID) + "', role_id = '" + string(role.ID) + "' where email = 'mal@example.org'", moved},
			{`update roles set permissions = '["postern.keys.read","postern.keys.write","postern.members.read","postern.members.write"]'`, `update roles set permissions = '["postern.keys.read","postern.keys.write"]'`, mal},
			{`update roles set grants = '["**"]'`, `update roles set grants = '["deals.read"]'`, mal},
			{"update members set removed_at = 0 where email = 'gone@example.org'", "", gone},
			{"update accounts set operator = 1 where name = 'Beta'", "update accounts set operator = 0 where name = 'Beta'", bo},
		} {
			w.raw(c.edit)
			for what, do := range map[string]func() error{
				"make a key": func() error { _, err := w.CreateKey(ctx, c.as, wish); return err },
				"invite": func() error {
					_, err := w.InviteMember(ctx, c.as, keyring.NewMember{Email: "x@example.org", Name: "X", RoleID: postern.RoleViewer})
					return err
				},
				"list members": func() error { _, err := w.Members(ctx, c.as); return err },
				"make a PAK":   func() error { _, err := w.CreatePersonalKey(ctx, c.as, keyring.NewPersonalKey{Name: "p"}); return err },
				"make an account": func() error {
					_, _, err := w.CreateAccount(ctx, c.as, keyring.NewAccount{Name: "G", AdminEmail: "g@example.org", AdminName: "G"})
					return err
				},
			} {
				wantCode(t, c.edit+": "+what, do(), postern.CodeForbidden)
			}
			if c.undo != "" {
				w.raw(c.undo)
			}
		}
		w.key(mal, "put back as it was", "deals.read")
		if _, err := w.Members(ctx, bo); err != nil {
			t.Errorf("an account that is as it was = %v", err)
		}

		// A suspension isn't taken back in the database.
		yes := true
		if _, err := w.EditAccount(ctx, w.super, other.ID, keyring.AccountEdit{Suspended: &yes}); err != nil {
			t.Fatal(err)
		}
		w.raw("update accounts set suspended_at = 0 where name = 'Beta'")
		_, err = w.Members(ctx, bo)
		wantCode(t, "a suspension that was taken back", err, postern.CodeForbidden)
		no, name := false, "Gamma"
		_, err = w.EditAccount(ctx, w.super, other.ID, keyring.AccountEdit{Suspended: &no, Name: &name})
		wantCode(t, "a change of an altered account", err, postern.CodeConflict)

		// A change by somebody who may make it doesn't make true what was written.
		w.raw("update members set role_id = 'super_admin' where email = 'mal@example.org'")
		_, err = w.EditMember(ctx, w.super, mal.MemberID, keyring.MemberEdit{Name: &name})
		wantCode(t, "a change of an altered member", err, postern.CodeConflict)
		_, err = w.ReinviteMember(ctx, w.super, mal.MemberID)
		wantCode(t, "an invitation of an altered member", err, postern.CodeConflict)
		w.raw(`update roles set grants = '["contacts.*"]'`)
		_, err = w.InviteMember(ctx, w.super, keyring.NewMember{Email: "y@example.org", Name: "Y", RoleID: role.ID})
		wantCode(t, "an altered role for someone new", err, postern.CodeConflict)
		_, err = w.EditRole(ctx, w.super, role.ID, keyring.RoleInput{Name: "Reader 2", Permissions: role.Permissions, Grants: role.Grants})
		wantCode(t, "a change of an altered role", err, postern.CodeConflict)
		if err := w.RemoveMember(ctx, w.super, mal.MemberID); err != nil {
			t.Errorf("remove an altered member = %v", err)
		}
		if err := w.DeleteRole(ctx, w.super, role.ID); err != nil {
			t.Errorf("delete an altered role = %v", err)
		}

		// An altered super admin isn't another super admin.
		second := w.member("second@example.org", postern.RoleSuperAdmin)
		w.raw("update members set name = 'Z' where id = $1", string(second.MemberID))
		wantCode(t, "the last super admin goes", w.RemoveMember(ctx, w.super, w.super.MemberID), postern.CodeConflict)

		// All the same to whoever opens the database later.
		again := *w
		again.Keyring = keyring.New(keyring.Config{DB: storetest.Open(t, target), Pepper: w.pepper})
		_, err = again.Members(ctx, second)
		wantCode(t, "an altered member after a restart", err, postern.CodeForbidden)
		if all, err := again.Members(ctx, w.super); err != nil || !slices.ContainsFunc(all, func(m postern.Member) bool { return m.Altered }) {
			t.Errorf("the members after a restart = %+v, %v; want one of them altered", all, err)
		}
		if again.AlteredRecords() == 0 {
			t.Error("nothing was counted")
		}
	})
}

// TestAnAlteredUpstreamGoesNowhere: neither where calls go nor what they need can be written into
// the database, and setting both anew puts it right.
func TestAnAlteredUpstreamGoesNowhere(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.raw("update catalogs set body = replace(body, 'deals.read', 'deals.reed')")
		again := *w
		again.Keyring = keyring.New(keyring.Config{DB: w.db, Pepper: w.pepper})
		if cat, _, err := again.Catalog(ctx, w.super, "api", 0); err != nil || len(cat.Operations)+len(cat.Scopes) != 0 {
			t.Errorf("an altered catalog = %+v, %v; want one of nothing", cat, err)
		}
		_, err := again.CreateKey(ctx, w.super, keyring.NewKey{Name: "k", Scopes: []postern.Scope{"deals.reed"}})
		wantCode(t, "a key with a scope that was written into a catalog", err, postern.CodeInvalid)
		if l := again.load(apiDoc); l.Version != 2 {
			t.Errorf("the same document was loaded as version %d, want 2", l.Version)
		}
		again.key(w.super, "with the catalog loaded anew", "deals.read")

		w.raw("update upstreams set url = 'http://127.0.0.1:2'")
		if all, err := w.Upstreams(ctx, w.super); err != nil || len(all) != 1 || !all[0].Altered || all[0].URL != "" || all[0].CatalogVersion != 0 {
			t.Errorf("an altered upstream = %+v, %v", all, err)
		}
		cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "api.yaml", Data: []byte(apiDoc)}}, catalog.Options{Upstream: "api"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.LoadCatalog(ctx, w.super, "api", cat, false)
		wantCode(t, "a catalog for an altered upstream", err, postern.CodeConflict)
		if u, err := w.PutUpstream(ctx, w.super, postern.Upstream{ID: "api", URL: "http://127.0.0.1:1"}); err != nil || u.Altered || u.CatalogVersion != 0 {
			t.Errorf("setting it anew = %+v, %v", u, err)
		}
		w.load(apiDoc)
		w.key(w.super, "with both set anew", "deals.read")
	})
}

// TestAKeyIsNotMovedToAnotherAccount: its name and place aren't sealed, its credential is.
func TestAKeyIsNotMovedToAnotherAccount(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Beta", AdminEmail: "bo@example.org", AdminName: "Bo"})
		if err != nil {
			t.Fatal(err)
		}
		bo := postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}
		k := w.key(w.super, "theirs", "deals.read").Key
		pak, err := w.CreatePersonalKey(ctx, w.super, keyring.NewPersonalKey{Name: "p"})
		if err != nil {
			t.Fatal(err)
		}
		w.raw("update service_keys set account_id = $1", string(other.ID))
		w.raw("update personal_keys set account_id = $1, member_id = $2", string(other.ID), string(bo.MemberID))
		_, err = w.RotateKey(ctx, bo, k.ID, keyring.Rotation{})
		wantCode(t, "rotate a key that was moved here", err, postern.CodeNotFound)
		_, err = w.Key(ctx, bo, k.ID)
		wantCode(t, "read it", err, postern.CodeNotFound)
		wantCode(t, "end a personal key that was moved here", w.RevokePersonalKey(ctx, bo, pak.Key.Key), postern.CodeNotFound)
	})
}

// TestAnAlteredLinkGivesNothing: an invitation for somebody else, for something
// else, for longer, or used before.
func TestAnAlteredLinkGivesNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		inv, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: "mal@example.org", Name: "Mal", RoleID: postern.RoleViewer})
		if err != nil {
			t.Fatal(err)
		}
		link, me := inv.Invitation.Reveal(), string(inv.Member.ID)
		for _, c := range [][2]string{
			{"update single_use set member_id = '" + string(w.super.MemberID) + "'", "update single_use set member_id = '" + me + "'"},
			{"update single_use set expires_at = expires_at + 1", "update single_use set expires_at = expires_at - 1"},
		} {
			w.raw(c[0])
			_, err := w.AcceptInvitation(ctx, link, postern.Actor{})
			wantCode(t, c[0], err, postern.CodeUnauthenticated)
			w.raw(c[1])
		}
		if _, err := w.AcceptInvitation(ctx, link, postern.Actor{}); err != nil {
			t.Fatalf("put back: %v", err)
		}
		w.raw("update single_use set used_at = 0")
		_, err = w.AcceptInvitation(ctx, link, postern.Actor{})
		wantCode(t, "used before", err, postern.CodeUnauthenticated)
	})
}

// TestCancellingNeedsTheScopes: the old secret would live without a deadline.
func TestCancellingNeedsTheScopes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		noor := w.member("noor@example.org", postern.RoleKeyManager, "deals.*")
		k := w.key(w.super, "wide", "deals.read", "contacts.read").Key
		if _, err := w.RotateKey(ctx, w.super, k.ID, keyring.Rotation{Grace: postern.DefaultGrace}); err != nil {
			t.Fatal(err)
		}
		_, err := w.CancelRotation(ctx, noor, k.ID, 0)
		wantCode(t, "cancel", err, postern.CodeInsufficientScope)
		if e, ok := errors.AsType[*postern.Error](err); !ok || !slices.Equal(e.Scopes, []postern.Scope{"contacts.read"}) {
			t.Errorf("the refusal names %v", err)
		}
		entries, err := w.db.AuditPage(ctx, w.super.AccountID, store.AuditFilter{}, 0, 1)
		if err != nil || len(entries) != 1 || entries[0].Action != "service_key.rotation.cancel" || entries[0].Result != "refused" {
			t.Errorf("the last entry is %+v, %v", entries, err)
		}
		// Finishing takes something away, so it needs none of them.
		if _, err := w.FinishRotation(ctx, noor, k.ID, 0); err != nil {
			t.Errorf("finish = %v", err)
		}
	})
}

// TestAnAlteredCanary: that nobody should use a key is under its seal. A key that was made
// an ordinary one, or a canary, by other means than Postern gives no access.
func TestAnAlteredCanary(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := newWorld(t, storetest.Open(t, target))
		ctx := t.Context()
		bird, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "bird", Scopes: []postern.Scope{"deals.read"}, Canary: true})
		if err != nil || !bird.Key.Canary {
			t.Fatalf("made %+v, %v", bird.Key, err)
		}
		plain := w.key(w.super, "plain", "deals.read")
		name := "renamed"
		edited, err := w.EditKey(ctx, w.super, bird.Key.ID, keyring.KeyEdit{Name: &name})
		if err != nil || !edited.Key.Canary {
			t.Fatalf("edited, it is %+v, %v; want a canary still", edited.Key, err)
		}
		w.raw("update credentials set canary = 1 - canary where kind = 'service_key'")
		for _, id := range []postern.KeyID{bird.Key.ID, plain.Key.ID} {
			row, err := w.db.Credential(ctx, id)
			if err != nil || row.Sealed(w.pepper) {
				t.Errorf("%s is as it was sealed, %v", id, err)
			}
			_, err = w.EditKey(ctx, w.super, id, keyring.KeyEdit{Description: &name})
			wantCode(t, "edit an altered key", err, postern.CodeConflict)
		}
		w.raw("update credentials set canary = 1 - canary where kind = 'service_key'")
		if k := w.state(bird.Key.ID); !k.Canary {
			t.Error("as it was, it is no canary")
		}
	})
}
