package keyring_test

import (
	"errors"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// world is a set-up server with one upstream, and a clock that stands still.
type world struct {
	*keyring.Keyring
	t      *testing.T
	db     *store.DB
	now    time.Time
	pepper *postern.Pepper
	super  postern.Actor
}

const apiDoc = `
openapi: 3.1.0
info: {title: Test API, version: "1"}
paths:
  /deals: {get: {operationId: listDeals, security: [{keys: [deals.read]}]}, post: {operationId: makeDeal, security: [{keys: [deals.write]}]}}
  /contacts: {get: {operationId: listContacts, security: [{keys: [contacts.read]}]}, post: {operationId: makeContact, security: [{keys: [contacts.write]}]}}
  /health: {get: {operationId: readHealth, security: [{keys: [health.read]}]}}
  /me: {get: {operationId: me, security: [{keys: [oauth]}]}}
components:
  securitySchemes:
    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {deals.read: Read deals, deals.write: Change deals, contacts.read: Read contacts, contacts.write: Change contacts, health.read: Read health data, oauth: Basic}}}}
x-postern-scopes:
  health.read: {sensitive: true}
  oauth: {implicit: true}
`

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	pepper, err := postern.ParsePepper(postern.NewPepper())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, now: t0, pepper: pepper}
	w.Keyring = keyring.New(keyring.Config{DB: db, Pepper: pepper, Now: func() time.Time { return w.now }})
	done, err := w.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	if _, err := w.PutUpstream(t.Context(), w.super, postern.Upstream{ID: "api", URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	w.load(apiDoc)
	return w
}

func (w *world) load(doc string) keyring.Loaded {
	w.t.Helper()
	cat, _, err := catalog.Parse(w.t.Context(), []catalog.Source{{Name: "api.yaml", Data: []byte(doc)}}, catalog.Options{Upstream: "api"})
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := w.LoadCatalog(w.t.Context(), w.super, "api", cat, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// member adds a member and gives them as an actor.
func (w *world) member(email string, role postern.RoleID, scopes ...string) postern.Actor {
	w.t.Helper()
	in := keyring.NewMember{Email: email, Name: email, RoleID: role}
	if scopes != nil {
		in.Scopes = scopes
	}
	inv, err := w.InviteMember(w.t.Context(), w.super, in)
	if err != nil {
		w.t.Fatal(err)
	}
	return postern.Actor{AccountID: w.super.AccountID, MemberID: inv.Member.ID}
}

func (w *world) key(by postern.Actor, name string, scopes ...postern.Scope) keyring.Made {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), by, keyring.NewKey{Name: name, Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func wantCode(t *testing.T, what string, err error, code postern.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s = %v, want %s", what, err, code)
	}
}

func run(t *testing.T, test func(t *testing.T, w *world)) {
	storetest.Run(t, func(t *testing.T, db *store.DB) { test(t, newWorld(t, db)) })
}

func TestCreateIsRememberedByItsIdempotencyKey(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		in := keyring.NewKey{Name: "nightly", Scopes: []postern.Scope{"deals.read"}, Idempotency: "one"}
		first, err := w.CreateKey(t.Context(), w.super, in)
		if err != nil || first.Secret.Zero() {
			t.Fatalf("create = %v, %v", first, err)
		}
		again, err := w.CreateKey(t.Context(), w.super, in)
		if err != nil || again.Key.ID != first.Key.ID || !again.Secret.Zero() {
			t.Errorf("create again = %s with secret %v, %v; want %s and none", again.Key.ID, again.Secret, err, first.Key.ID)
		}
		in.Name = "other"
		_, err = w.CreateKey(t.Context(), w.super, in)
		wantCode(t, "another request with the same Idempotency-Key", err, postern.CodeConflict)
	})
}

func TestContainmentAtEveryDoor(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		narrow := w.member("noor@example.org", postern.RoleKeyManager, "deals.*", "contacts.read")
		wide := w.key(w.super, "wide", "deals.read", "contacts.write")
		tight := w.key(narrow, "tight", "deals.read")
		soon := w.now.Add(time.Hour)
		expiring, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "expiring", Scopes: []postern.Scope{"contacts.write"}, ExpiresAt: soon})
		if err != nil {
			t.Fatal(err)
		}
		paused := w.key(w.super, "paused", "contacts.write")
		yes, no, later := true, false, soon.Add(time.Hour)
		if _, err := w.EditKey(ctx, w.super, paused.Key.ID, keyring.KeyEdit{Paused: &yes}); err != nil {
			t.Fatal(err)
		}
		with := []postern.Scope{"deals.read", "contacts.write"}
		never := time.Time{}
		for what, try := range map[string]func() error{
			"create": func() error {
				_, err := w.CreateKey(ctx, narrow, keyring.NewKey{Name: "x", Scopes: with})
				return err
			},
			"create sensitive": func() error {
				_, err := w.CreateKey(ctx, w.member("star@example.org", postern.RoleKeyManager), keyring.NewKey{Name: "x", Scopes: []postern.Scope{"health.read"}})
				return err
			},
			"add a scope": func() error {
				_, err := w.EditKey(ctx, narrow, tight.Key.ID, keyring.KeyEdit{Scopes: &with})
				return err
			},
			"rotate": func() error {
				_, err := w.RotateKey(ctx, narrow, wide.Key.ID, keyring.Rotation{Grace: time.Hour})
				return err
			},
			"lengthen": func() error {
				_, err := w.EditKey(ctx, narrow, expiring.Key.ID, keyring.KeyEdit{ExpiresAt: &later})
				return err
			},
			"lengthen for ever": func() error {
				_, err := w.EditKey(ctx, narrow, expiring.Key.ID, keyring.KeyEdit{ExpiresAt: &never})
				return err
			},
			"resume": func() error {
				_, err := w.EditKey(ctx, narrow, paused.Key.ID, keyring.KeyEdit{Paused: &no})
				return err
			},
			"appoint": func() error {
				security := w.member("sec@example.org", postern.RoleSecurityAdmin)
				_, err := w.InviteMember(ctx, security, keyring.NewMember{Email: "y@example.org", Name: "Y", RoleID: postern.RoleKeyManager})
				return err
			},
		} {
			before := refusals(t, w)
			wantCode(t, what, try(), postern.CodeInsufficientScope)
			if after := refusals(t, w); after != before+1 {
				t.Errorf("%s: %d audit entries of refusals, want %d", what, after, before+1)
			}
		}
		// What narrows is anyone's who may write keys.
		only := []postern.Scope{"deals.read"}
		if _, err := w.EditKey(ctx, narrow, wide.Key.ID, keyring.KeyEdit{Scopes: &only}); err != nil {
			t.Errorf("narrowing someone else's key = %v", err)
		}
	})
}

func refusals(t *testing.T, w *world) (n int) {
	t.Helper()
	page, err := w.Audit(t.Context(), w.super, store.AuditFilter{Result: "refused"}, 0, 200)
	if err != nil {
		t.Fatal(err)
	}
	return len(page)
}

func TestRotation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		k := w.key(w.super, "nightly", "deals.read")
		id := k.Key.ID
		rot, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: time.Hour})
		if err != nil || rot.Key.State(w.now) != postern.StateRotating || rot.Key.Current.Generation != 2 || rot.Key.Previous.LastFour != k.Secret.LastFour() {
			t.Fatalf("rotate later = %+v, %v", rot.Key, err)
		}
		_, err = w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: time.Hour})
		wantCode(t, "rotate while rotating", err, postern.CodeConflict)
		back, err := w.CancelRotation(ctx, w.super, id, 0)
		if err != nil || back.Key.Current.LastFour != k.Secret.LastFour() || back.Key.State(w.now) != postern.StateActive {
			t.Fatalf("cancel = %+v, %v; want the first secret alone", back.Key, err)
		}
		third, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 24 * time.Hour})
		if err != nil || third.Key.Current.Generation != 3 {
			t.Fatalf("rotate after cancel gives generation %d, %v; want 3", third.Key.Current.Generation, err)
		}
		fourth, err := w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: 2 * time.Hour, Replace: true})
		if err != nil || fourth.Key.Previous.LastFour != k.Secret.LastFour() || !fourth.Key.Previous.EndsAt.Equal(w.now.Add(2*time.Hour)) {
			t.Fatalf("start again = %+v, %v; want the first secret still the previous one", fourth.Key, err)
		}
		done, err := w.FinishRotation(ctx, w.super, id, 0)
		if err != nil || done.Key.State(w.now) != postern.StateActive || done.Key.Current.LastFour != fourth.Secret.LastFour() {
			t.Fatalf("finish = %+v, %v", done.Key, err)
		}
		_, err = w.FinishRotation(ctx, w.super, id, 0)
		wantCode(t, "finish with nothing pending", err, postern.CodeConflict)
		_, err = w.RotateKey(ctx, w.super, id, keyring.Rotation{Grace: postern.MaxGrace + 1})
		wantCode(t, "rotate beyond the longest grace", err, postern.CodeInvalid)
	})
}

func TestLostRotationIsRecovered(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for _, grace := range []time.Duration{0, time.Hour} {
			id := w.key(w.super, "nightly-"+grace.String(), "deals.read").Key.ID
			in := keyring.Rotation{Grace: grace, Idempotency: "rot-" + grace.String()}
			lost, err := w.RotateKey(ctx, w.super, id, in)
			if err != nil {
				t.Fatal(err)
			}
			found, err := w.RotateKey(ctx, w.super, id, in)
			if err != nil || found.Secret.Zero() || found.Secret.Reveal() == lost.Secret.Reveal() {
				t.Fatalf("grace %s: asked again: %v, %v; want a new successor", grace, found.Secret, err)
			}
			if !found.Key.Previous.EndsAt.Equal(lost.Key.Previous.EndsAt) || found.Key.Previous.LastFour != lost.Key.Previous.LastFour {
				t.Errorf("grace %s: the old secret's end moved from %v to %v", grace, lost.Key.Previous.EndsAt, found.Key.Previous.EndsAt)
			}
			other := w.member("m"+grace.String()+"@example.org", postern.RoleSuperAdmin)
			if r, err := w.RotateKey(ctx, other, id, keyring.Rotation{Grace: grace, Idempotency: in.Idempotency, Replace: true}); err != nil || r.Key.Current.Generation != 4 {
				t.Errorf("another actor with the same key rotates anew: %+v, %v", r.Key.Current, err)
			}
			_, err = w.RotateKey(ctx, w.super, id, in)
			wantCode(t, "recover after things moved on", err, postern.CodeConflict)
		}
	})
}

func TestRevokeAndDelete(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		k := w.key(w.super, "nightly", "deals.read")
		sec := w.member("sec@example.org", postern.RoleSecurityAdmin)
		viewer := w.member("view@example.org", postern.RoleViewer)
		_, err := w.RevokeKey(ctx, viewer, k.Key.ID, "")
		wantCode(t, "a viewer revokes", err, postern.CodeForbidden)
		first, err := w.RevokeKey(ctx, sec, k.Key.ID, "leaked")
		if err != nil || first.Key.State(w.now) != postern.StateEnded || first.Seq == 0 {
			t.Fatalf("revoke = %+v, %v", first, err)
		}
		again, err := w.RevokeKey(ctx, sec, k.Key.ID, "")
		if err != nil || again.Seq != first.Seq || again.Key.RevokedWhy != "leaked" {
			t.Errorf("revoke again = seq %d, %q, %v; want %d and the first reason", again.Seq, again.Key.RevokedWhy, err, first.Seq)
		}
		w.key(w.super, "nightly", "deals.read") // its name is free again
		_, err = w.RotateKey(ctx, w.super, k.Key.ID, keyring.Rotation{})
		wantCode(t, "rotate an ended key", err, postern.CodeConflict)
		if _, err := w.DeleteKey(ctx, w.super, k.Key.ID, 0); err != nil {
			t.Fatal(err)
		}
		_, err = w.Key(ctx, w.super, k.Key.ID)
		wantCode(t, "read a deleted key", err, postern.CodeNotFound)
	})
}

func TestMembersWhoseRightsShrink(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		noor := w.member("noor@example.org", postern.RoleKeyManager)
		k := w.key(noor, "hers", "deals.read", "contacts.read")
		cut := postern.Grants{"deals.read"}
		if _, err := w.EditMember(ctx, w.super, noor.MemberID, keyring.MemberEdit{Scopes: &cut}); err != nil {
			t.Fatal(err)
		}
		got, err := w.Key(ctx, w.super, k.Key.ID)
		if err != nil || got.FlaggedAt.IsZero() || got.State(w.now) != postern.StateActive {
			t.Errorf("key = flagged %v, %s, %v; want flagged and active", got.FlaggedAt, got.State(w.now), err)
		}
		if _, err := w.EditKey(ctx, w.super, k.Key.ID, keyring.KeyEdit{Reviewed: true}); err != nil {
			t.Fatal(err)
		}
		if got, _ = w.Key(ctx, w.super, k.Key.ID); !got.FlaggedAt.IsZero() {
			t.Error("still flagged after its review")
		}
		err = w.RemoveMember(ctx, w.super, w.super.MemberID)
		wantCode(t, "remove the last super admin", err, postern.CodeConflict)
		viewer := postern.RoleViewer
		_, err = w.EditMember(ctx, w.super, w.super.MemberID, keyring.MemberEdit{RoleID: &viewer})
		wantCode(t, "demote the last super admin", err, postern.CodeConflict)
		if err := w.RemoveMember(ctx, w.super, noor.MemberID); err != nil {
			t.Fatal(err)
		}
		_, err = w.CreateKey(ctx, noor, keyring.NewKey{Name: "after"})
		wantCode(t, "a removed member makes a key", err, postern.CodeForbidden)
	})
}

// The last super admin who can come in stays: an invitation that nobody has
// accepted is no other super admin, and neither is one whose keys have all ended.
func TestLastSuperAdminWhoCanComeInStays(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		viewer := postern.RoleViewer
		stays := func(when string) {
			t.Helper()
			wantCode(t, when+", remove", w.RemoveMember(ctx, w.super, w.super.MemberID), postern.CodeConflict)
			_, err := w.EditMember(ctx, w.super, w.super.MemberID, keyring.MemberEdit{RoleID: &viewer})
			wantCode(t, when+", demote", err, postern.CodeConflict)
		}
		inv, err := w.InviteMember(ctx, w.super, keyring.NewMember{Email: "kim@example.org", Name: "Kim", RoleID: postern.RoleSuperAdmin})
		if err != nil {
			t.Fatal(err)
		}
		stays("while the other one is only invited")
		if _, err := w.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{}); err != nil {
			t.Fatal(err)
		}
		kim := postern.Actor{AccountID: w.super.AccountID, MemberID: inv.Member.ID}
		keys, err := w.PersonalKeys(ctx, kim)
		if err != nil || len(keys) != 1 {
			t.Fatalf("the other one's keys = %v, %v", keys, err)
		}
		if err := w.RevokePersonalKey(ctx, kim, keys[0].Key); err != nil {
			t.Fatal(err)
		}
		stays("when the other one's key is revoked")
		if _, err := w.CreatePersonalKey(ctx, kim, keyring.NewPersonalKey{Name: "short", ExpiresAt: w.now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		stays("when the other one's key has run out")
		if _, err := w.CreatePersonalKey(ctx, kim, keyring.NewPersonalKey{Name: "laptop"}); err != nil {
			t.Fatal(err)
		}
		if err := w.RemoveMember(ctx, w.super, w.super.MemberID); err != nil {
			t.Errorf("remove one of two who can come in = %v", err)
		}
	})
}

func TestAccountsAreApart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Beta", AdminEmail: "bo@example.org", AdminName: "Bo"})
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{})
		if err != nil || in.Secret.Zero() {
			t.Fatal(err)
		}
		_, err = w.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{})
		wantCode(t, "an invitation used twice", err, postern.CodeUnauthenticated)
		bo := postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}
		k := w.key(w.super, "acme's", "deals.read")
		_, err = w.Key(ctx, bo, k.Key.ID)
		wantCode(t, "read", err, postern.CodeNotFound)
		_, err = w.RevokeKey(ctx, bo, k.Key.ID, "")
		wantCode(t, "revoke", err, postern.CodeNotFound)
		_, err = w.EditMember(ctx, bo, w.super.MemberID, keyring.MemberEdit{})
		wantCode(t, "edit a member", err, postern.CodeNotFound)
		_, err = w.PutUpstream(ctx, bo, postern.Upstream{ID: "x", URL: "http://127.0.0.1:2"})
		wantCode(t, "set an upstream", err, postern.CodeForbidden)
		if all, err := w.Accounts(ctx, bo); err != nil || len(all) != 1 || all[0].ID != other.ID {
			t.Errorf("accounts that Bo sees: %v, %v; want only his own", all, err)
		}
	})
}

func TestEditsAreOptimistic(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.key(w.super, "nightly", "deals.read")
		name := "renamed"
		first, err := w.EditKey(t.Context(), w.super, k.Key.ID, keyring.KeyEdit{Name: &name, IfRevision: k.Key.Revision})
		if err != nil || first.Key.Revision != k.Key.Revision+1 {
			t.Fatal(first.Key.Revision, err)
		}
		_, err = w.EditKey(t.Context(), w.super, k.Key.ID, keyring.KeyEdit{Name: &name, IfRevision: k.Key.Revision})
		wantCode(t, "edit of an old revision", err, postern.CodePrecondition)
		same, err := w.EditKey(t.Context(), w.super, k.Key.ID, keyring.KeyEdit{Name: &name})
		if err != nil || same.Seq != 0 || same.Key.Revision != first.Key.Revision {
			t.Errorf("an edit that changes nothing = seq %d, revision %d, %v", same.Seq, same.Key.Revision, err)
		}
	})
}
