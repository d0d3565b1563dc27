package keyring_test

import (
	"context"
	"slices"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// What may be put on a key is what the catalog and the member's rights both allow.
func TestScopesSayWhatCanBeGranted(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		narrow := w.member("kim@example.org", postern.RoleKeyManager, "deals.*")
		rows, err := w.Scopes(t.Context(), narrow)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if want := r.Name == "deals.read" || r.Name == "deals.write"; r.Grantable != want {
				t.Errorf("%s grantable = %v, want %v", r.Name, r.Grantable, want)
			}
		}
	})
}

// A narrowed personal access key ends itself and what it could have made.
func TestNarrowedKeyEndsNoWiderOne(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		make := func(by postern.Actor, scopes ...postern.Scope) postern.KeyID {
			made, err := w.CreatePersonalKey(t.Context(), by, keyring.NewPersonalKey{Name: "x", Scopes: scopes})
			if err != nil {
				t.Fatal(err)
			}
			return made.Key.Key
		}
		wide, narrow := make(w.super), make(w.super, postern.PermKeysRead, postern.PermAuditRead)
		by := w.super
		by.KeyID = wide
		narrower := make(by, postern.PermKeysRead) // also by way of the wide one
		by.KeyID = narrow
		_, err := w.CreatePersonalKey(t.Context(), by, keyring.NewPersonalKey{Name: "wider", Scopes: []postern.Scope{postern.PermKeysWrite}})
		wantCode(t, "making a wider key", err, postern.CodeInsufficientScope)
		wantCode(t, "ending a wider key", w.RevokePersonalKey(t.Context(), by, wide), postern.CodeInsufficientScope)
		if err := w.RevokePersonalKey(t.Context(), by, narrower); err != nil {
			t.Error(err)
		}
		if err := w.RevokePersonalKey(t.Context(), by, narrow); err != nil {
			t.Error(err)
		}
	})
}

// A refusal is noted although whoever was refused has gone away.
func TestNoteRefusal(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := postern.Errorf(postern.CodeInsufficientScope, "No.")
		e.Scopes = []postern.Scope{postern.PermKeysWrite}
		w.NoteRefusal(ctx, w.super, "api.createServiceKey", "", e)
		got, err := w.Audit(t.Context(), w.super, store.AuditFilter{Action: "api.createServiceKey", Result: "refused"}, 0, 10)
		if err != nil || len(got) != 1 || got[0].After["missingScopes"] == nil {
			t.Errorf("Audit = %+v, %v", got, err)
		}
	})
}

func TestChangeSeq(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		made := w.key(w.super, "a", "deals.read")
		none := []postern.Scope{}
		edited, err := w.EditKey(t.Context(), w.super, made.Key.ID, keyring.KeyEdit{Scopes: &none})
		if err != nil {
			t.Fatal(err)
		}
		if seq, err := w.ChangeSeq(t.Context(), w.super, made.Key.ID); err != nil || seq != edited.Seq {
			t.Errorf("ChangeSeq = %d, %v, want %d", seq, err, edited.Seq)
		}
		_, err = w.ChangeSeq(t.Context(), w.super, "0000000000000000")
		wantCode(t, "ChangeSeq of nothing", err, postern.CodeNotFound)
	})
}

// Whoever may change members ends the personal access keys of those whom they may
// remove: of their equals and of who holds less, not of who holds more.
func TestEndPersonalKeysOfOthers(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		key := func(of postern.Actor) postern.KeyID {
			t.Helper()
			made, err := w.CreatePersonalKey(t.Context(), of, keyring.NewPersonalKey{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			return made.Key.Key
		}
		sam, sue := w.member("sam@example.org", postern.RoleSecurityAdmin), w.member("sue@example.org", postern.RoleSecurityAdmin)
		vic, kim := w.member("vic@example.org", postern.RoleViewer), w.member("kim@example.org", postern.RoleKeyManager)
		for _, x := range []struct {
			what   string
			by, of postern.Actor
			code   postern.Code // empty: it ends
		}{
			{"a security admin, of a super admin", sam, w.super, postern.CodeInsufficientScope},
			{"a security admin, of a key manager, who grants scopes", sam, kim, postern.CodeInsufficientScope},
			{"a security admin, of another", sam, sue, ""},
			{"a security admin, of a viewer", sam, vic, ""},
			{"a security admin, their own", sam, sam, ""},
			{"a super admin, of a security admin", w.super, sam, ""},
			{"a key manager, of a viewer", kim, vic, postern.CodeNotFound},
			{"a viewer, of a super admin", vic, w.super, postern.CodeNotFound},
		} {
			id, before := key(x.of), refusals(t, w)
			err := w.RevokePersonalKey(t.Context(), x.by, id)
			keys, err2 := w.PersonalKeys(t.Context(), x.of)
			if err2 != nil {
				t.Fatal(err2)
			}
			live := slices.ContainsFunc(keys, func(k store.PersonalKey) bool { return k.Key == id })
			if x.code == "" {
				if err != nil || live {
					t.Errorf("%s: %v, and the key is there: %v", x.what, err, live)
				}
				continue
			}
			wantCode(t, x.what, err, x.code)
			if !live {
				t.Errorf("%s: refused, and the key has ended", x.what)
			}
			if n := refusals(t, w); x.code == postern.CodeInsufficientScope && n != before+1 {
				t.Errorf("%s: %d refusals on the record, want one more than %d", x.what, n, before)
			}
		}
	})
}
