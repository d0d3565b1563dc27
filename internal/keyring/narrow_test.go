package keyring_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// state is what an undo must bring back.
func (w *world) state(id postern.KeyID) postern.ServiceKey {
	w.t.Helper()
	k, err := w.Key(w.t.Context(), w.super, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func same(a, b postern.ServiceKey) bool {
	return slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Networks, b.Networks) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		a.PausedAt.Equal(b.PausedAt) && a.FlaggedAt.Equal(b.FlaggedAt) && a.FlaggedWhy == b.FlaggedWhy && postern.SameWatch(a.Watch, b.Watch)
}

// Each narrowing can be taken back within ten minutes, exactly.
func TestUndoRestoresExactly(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		end := t0.AddDate(0, 6, 0)
		for name, change := range map[string]keyring.Narrowing{
			"scopes":   {Scopes: &[]postern.Scope{"deals.read"}},
			"networks": {Networks: &nets},
			"expiry":   {ExpiresAt: &end},
			"pause":    {Pause: true},
			"a watch":  {Scopes: &[]postern.Scope{"deals.read"}, Networks: &nets, Watch: true},
			"all":      {Scopes: &[]postern.Scope{}, Networks: &nets, ExpiresAt: &end, Pause: true},
		} {
			id := w.key(w.super, name, "deals.read", "deals.write").Key.ID
			before := w.state(id)
			made, err := w.NarrowKey(ctx, w.super, id, change)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if same(before, w.state(id)) || made.Seq == 0 {
				t.Errorf("%s: nothing changed", name)
			}
			w.now = w.now.Add(postern.UndoFor - time.Second)
			if _, err := w.UndoKey(ctx, w.super, id, 0); err != nil {
				t.Fatalf("%s: undo: %v", name, err)
			}
			if after := w.state(id); !same(before, after) {
				t.Errorf("%s: undone, it is %+v, was %+v", name, after, before)
			}
			_, err = w.UndoKey(ctx, w.super, id, 0)
			wantCode(t, name+": undo again", err, postern.CodeConflict)
		}
		// Watch and undo are under the seal, so the rows are sound.
		if n := w.AlteredRecords(); n != 0 {
			t.Errorf("%d altered records", n)
		}
	})
}

// An undo is over after ten minutes, and with any other change of the key.
func TestUndoEnds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		narrow := func() postern.KeyID {
			id := w.key(w.super, "k"+string(postern.NewKeyID()), "deals.read", "deals.write").Key.ID
			if _, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Scopes: &[]postern.Scope{"deals.read"}}); err != nil {
				t.Fatal(err)
			}
			return id
		}
		id := narrow()
		w.now = w.now.Add(postern.UndoFor)
		_, err := w.UndoKey(ctx, w.super, id, 0)
		wantCode(t, "undo after ten minutes", err, postern.CodeConflict)
		id = narrow()
		yes := true
		if _, err := w.EditKey(ctx, w.super, id, keyring.KeyEdit{Paused: &yes}); err != nil {
			t.Fatal(err)
		}
		_, err = w.UndoKey(ctx, w.super, id, 0)
		wantCode(t, "undo after another change", err, postern.CodeConflict)
		id = narrow()
		if _, err := w.RevokeKey(ctx, w.super, id, "gone"); err != nil {
			t.Fatal(err)
		}
		_, err = w.UndoKey(ctx, w.super, id, 0)
		wantCode(t, "undo of an ended key", err, postern.CodeConflict)
	})
}

// Whoever narrowed a key may take that back although they could not have given
// it; another one only what they hold.
func TestUndoIsContained(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		bo, cy := w.member("bo@example.org", postern.RoleKeyManager, "deals.read"), w.member("cy@example.org", postern.RoleKeyManager, "deals.*")
		dee := w.member("dee@example.org", postern.RoleViewer)
		id := w.key(w.super, "k", "deals.read", "deals.write").Key.ID
		narrow := func(by postern.Actor) {
			t.Helper()
			if _, err := w.NarrowKey(ctx, by, id, keyring.Narrowing{Scopes: &[]postern.Scope{"deals.read"}}); err != nil {
				t.Fatal(err)
			}
		}
		narrow(bo)
		if _, err := w.UndoKey(ctx, bo, id, 0); err != nil {
			t.Fatalf("bo undoes what bo did: %v", err)
		}
		narrow(w.super)
		_, err := w.UndoKey(ctx, bo, id, 0)
		wantCode(t, "bo undoes what the super admin did", err, postern.CodeInsufficientScope)
		_, err = w.UndoKey(ctx, dee, id, 0)
		wantCode(t, "a viewer undoes", err, postern.CodeForbidden)
		if got := w.state(id).Scopes; len(got) != 1 {
			t.Fatalf("the key has %v", got)
		}
		if _, err := w.UndoKey(ctx, cy, id, 0); err != nil {
			t.Fatalf("cy, who holds it, undoes: %v", err)
		}
	})
}

// A narrowing gives nothing that its maker doesn't hold, and lengthens no life.
func TestNarrowingIsContained(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		bo := w.member("bo@example.org", postern.RoleKeyManager, "deals.read")
		id := w.key(w.super, "k", "deals.write").Key.ID
		_, err := w.NarrowKey(ctx, bo, id, keyring.Narrowing{Scopes: &[]postern.Scope{"contacts.read"}})
		wantCode(t, "a scope in place of another", err, postern.CodeInsufficientScope)
		if _, err := w.NarrowKey(ctx, bo, id, keyring.Narrowing{Scopes: &[]postern.Scope{"deals.read"}}); err != nil {
			t.Errorf("one that bo holds: %v", err)
		}
		// What bo can't give, bo can't have enforced by somebody who can.
		for what, in := range map[string]keyring.Narrowing{
			"a scope":         {Scopes: &[]postern.Scope{"deals.read", "contacts.read"}, Watch: true},
			"a scope instead": {Scopes: &[]postern.Scope{"contacts.read"}, Networks: &[]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Watch: true},
		} {
			_, err := w.NarrowKey(ctx, bo, id, in)
			wantCode(t, what+" that is tried", err, postern.CodeInsufficientScope)
		}
		listed, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "listed", Scopes: []postern.Scope{"deals.write"}, Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.NarrowKey(ctx, bo, listed.Key.ID, keyring.Narrowing{Networks: &[]netip.Prefix{}, Watch: true})
		wantCode(t, "an open IP list that is tried", err, postern.CodeInsufficientScope)
		soon, late := t0.AddDate(0, 1, 0), t0.AddDate(0, 2, 0)
		if _, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{ExpiresAt: &soon}); err != nil {
			t.Fatal(err)
		}
		_, err = w.NarrowKey(ctx, w.super, id, keyring.Narrowing{ExpiresAt: &late})
		wantCode(t, "a later end", err, postern.CodeInvalid)
		_, err = w.NarrowKey(ctx, w.super, id, keyring.Narrowing{ExpiresAt: &soon, Watch: true})
		wantCode(t, "an end that is tried", err, postern.CodeInvalid)
		_, err = w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Watch: true})
		wantCode(t, "nothing that is tried", err, postern.CodeInvalid)
	})
}

// What was tried is enforced as it was tried, ended, or tried again after an undo;
// all of it is in the audit log.
func TestWatchThenEnforce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.key(w.super, "k", "deals.read", "deals.write").Key.ID
		_, err := w.EnforceKey(ctx, w.super, id, 0)
		wantCode(t, "enforce nothing", err, postern.CodeConflict)
		_, err = w.UnwatchKey(ctx, w.super, id, 0)
		wantCode(t, "unwatch nothing", err, postern.CodeConflict)
		if _, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Scopes: &[]postern.Scope{"deals.read"}, Watch: true, Why: "only reads"}); err != nil {
			t.Fatal(err)
		}
		watched := w.state(id)
		if watched.Watch == nil || !slices.Equal(*watched.Watch.Scopes, []postern.Scope{"deals.read"}) || len(watched.Scopes) != 2 {
			t.Fatalf("watched, the key is %+v", watched)
		}
		if _, err := w.EnforceKey(ctx, w.super, id, watched.Revision); err != nil {
			t.Fatal(err)
		}
		if k := w.state(id); k.Watch != nil || len(k.Scopes) != 1 {
			t.Fatalf("enforced, the key is %+v", k)
		}
		if _, err := w.UndoKey(ctx, w.super, id, 0); err != nil {
			t.Fatal(err)
		}
		if k := w.state(id); !same(k, watched) {
			t.Fatalf("undone, the key is %+v, want the watch back", k)
		}
		if _, err := w.UnwatchKey(ctx, w.super, id, 0); err != nil {
			t.Fatal(err)
		}
		list, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(id)}, 0, 50)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(list) {
			got = append(got, e.Action+" "+e.Result)
		}
		want := []string{"service_key.create ok", "service_key.watch ok", "service_key.enforce ok", "service_key.undo ok", "service_key.unwatch ok"}
		if !slices.Equal(got, want) {
			t.Errorf("audit entries %q, want %q", got, want)
		}
	})
}

// What is tried on a key ends with any change of what it was compared with, is said so,
// stands in the audit log, and comes back with an undo; other changes leave it.
func TestWatchEndsWithTheGrantsItWasFor(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		end, yes := w.now.Add(240*time.Hour), true
		more := []postern.Scope{"contacts.read", "deals.read", "deals.write"}
		less := []postern.Scope{"deals.read"}
		for name, c := range map[string]struct {
			edit keyring.KeyEdit
			ends bool
		}{
			"scopes": {keyring.KeyEdit{Scopes: &more}, true}, "networks": {keyring.KeyEdit{Networks: &nets}, true}, "expiry": {keyring.KeyEdit{ExpiresAt: &end}, true},
			"name": {keyring.KeyEdit{Name: &[]string{"renamed"}[0]}, false}, "paused": {keyring.KeyEdit{Paused: &yes}, false},
		} {
			id := w.key(w.super, "k-"+name, "deals.read", "deals.write").Key.ID
			if _, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Watch: true, Scopes: &less}); err != nil {
				t.Fatal(err)
			}
			made, err := w.EditKey(ctx, w.super, id, c.edit)
			if err != nil {
				t.Fatal(err)
			}
			k, err := w.Key(ctx, w.super, id)
			if err != nil || made.WatchEnded != c.ends || (k.Watch == nil) != c.ends {
				t.Errorf("%s: ended = %v, and the key tries %+v, %v; want ended = %v", name, made.WatchEnded, k.Watch, err, c.ends)
			}
			list, err := w.Audit(ctx, w.super, store.AuditFilter{Object: string(id)}, 0, 1)
			if err != nil || len(list) != 1 || (list[0].Before["watch"] != nil) != c.ends {
				t.Errorf("%s: the audit log has %+v, %v", name, list, err)
			}
		}
		id := w.key(w.super, "k", "contacts.read", "deals.read", "deals.write").Key.ID
		if _, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Watch: true, Networks: &nets}); err != nil {
			t.Fatal(err)
		}
		made, err := w.NarrowKey(ctx, w.super, id, keyring.Narrowing{Scopes: &less})
		if err != nil || !made.WatchEnded || made.Key.Watch != nil {
			t.Fatalf("a narrowing leaves what is tried: %+v, %v", made, err)
		}
		_, err = w.EnforceKey(ctx, w.super, id, 0)
		wantCode(t, "enforce what ended", err, postern.CodeConflict)
		if made, err = w.UndoKey(ctx, w.super, id, 0); err != nil || made.Key.Watch == nil || len(made.Key.Scopes) != 3 {
			t.Errorf("undone: %+v, %v; want what was tried before", made.Key, err)
		}
	})
}
