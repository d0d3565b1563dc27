package keyring_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

const day = 24 * time.Hour

// wantField checks that an error names a field.
func wantField(t *testing.T, what string, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*postern.Error](err)
	if !ok || e.Code != postern.CodeInvalid || e.Field != field {
		t.Errorf("%s = %v, want one of the field %s", what, err, field)
	}
}

func (w *world) policy(change func(p *postern.Policy)) postern.Policy {
	w.t.Helper()
	p, err := w.Policy(w.t.Context(), w.super)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&p)
	if p, err = w.SetPolicy(w.t.Context(), w.super, p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestPolicyLimitsNothingUntilItIsSet(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		p, err := w.Policy(t.Context(), w.super)
		if err != nil || p.RequireExpiry || p.LongestLife != 0 || p.WriteNetworks || p.Revision != 0 || p.RemindAge != 180 || p.IdleAfter != 45 {
			t.Fatalf("Policy = %+v, %v", p, err)
		}
		w.key(w.super, "forever", "deals.write")
	})
}

func TestPolicyIsAskedWhereKeysAreMadeOrWidened(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		old := w.key(w.super, "old", "deals.write")
		w.policy(func(p *postern.Policy) { p.RequireExpiry, p.LongestLife, p.WriteNetworks = true, 90, true })
		nets := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}
		for _, c := range []struct {
			what  string
			in    keyring.NewKey
			field string
		}{
			{"no end", keyring.NewKey{Scopes: []postern.Scope{"deals.read"}}, "expiresAt"},
			{"too far an end", keyring.NewKey{Scopes: []postern.Scope{"deals.read"}, ExpiresAt: w.now.Add(91*day + 1000)}, "expiresAt"},
			{"writing from anywhere", keyring.NewKey{Scopes: []postern.Scope{"deals.write"}, ExpiresAt: w.now.Add(30 * day)}, "networks"},
		} {
			c.in.Name = "new"
			_, err := w.CreateKey(ctx, w.super, c.in)
			wantField(t, c.what, err, c.field)
		}
		made, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "new", Scopes: []postern.Scope{"deals.write"}, Networks: nets, ExpiresAt: w.now.Add(91 * day)})
		if err != nil {
			t.Fatal(err)
		}
		read, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "read", Scopes: []postern.Scope{"deals.read"}, ExpiresAt: w.now.Add(30 * day)})
		if err != nil {
			t.Fatal(err)
		}
		edit := func(id postern.KeyID, in keyring.KeyEdit) error {
			_, err := w.EditKey(ctx, w.super, id, in)
			return err
		}
		never, far, near := time.Time{}, w.now.Add(200*day), w.now.Add(20*day)
		wantField(t, "taking the end away", edit(made.Key.ID, keyring.KeyEdit{ExpiresAt: &never}), "expiresAt")
		wantField(t, "a later end", edit(made.Key.ID, keyring.KeyEdit{ExpiresAt: &far}), "expiresAt")
		wantField(t, "taking the list away", edit(made.Key.ID, keyring.KeyEdit{Networks: &[]netip.Prefix{}}), "networks")
		wantField(t, "a write scope", edit(read.Key.ID, keyring.KeyEdit{Scopes: &[]postern.Scope{"deals.read", "deals.write"}}), "networks")
		wantField(t, "more scopes on a key that broke it before", edit(old.Key.ID, keyring.KeyEdit{Scopes: &[]postern.Scope{"deals.write", "contacts.write"}}), "networks")
		wantField(t, "another end that is too far", edit(old.Key.ID, keyring.KeyEdit{ExpiresAt: &far}), "expiresAt")
		name := "older"
		for what, in := range map[string]keyring.KeyEdit{"a name": {Name: &name}, "the same scopes": {Scopes: &[]postern.Scope{"deals.write"}}, "an end": {ExpiresAt: &near}} {
			if err := edit(old.Key.ID, in); err != nil {
				t.Errorf("%s for a key from before the policy = %v", what, err)
			}
		}
		// A secret gets no further life on a key that breaks the policy, but what is exposed can be replaced.
		_, err = w.RotateKey(ctx, w.super, old.Key.ID, keyring.Rotation{Grace: day})
		wantField(t, "rotating later", err, "networks")
		if _, err := w.RotateKey(ctx, w.super, old.Key.ID, keyring.Rotation{}); err != nil {
			t.Errorf("rotating now = %v", err)
		}
		if _, err := w.RotateKey(ctx, w.super, made.Key.ID, keyring.Rotation{Grace: day}); err != nil {
			t.Errorf("rotating a sound key = %v", err)
		}
	})
}

// A longest life asks for an end by itself: a key without one would outlive it.
func TestPolicyLongestLifeAsksForAnEnd(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.policy(func(p *postern.Policy) { p.LongestLife = 90 })
		_, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "new", Scopes: []postern.Scope{"deals.read"}})
		wantField(t, "no end", err, "expiresAt")
		made, err := w.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "new", Scopes: []postern.Scope{"deals.read"}, ExpiresAt: w.now.Add(90 * day)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.EditKey(t.Context(), w.super, made.Key.ID, keyring.KeyEdit{ExpiresAt: &time.Time{}})
		wantField(t, "taking the end away", err, "expiresAt")
	})
}

func TestPolicyIsSetAuditedAndByWhoMay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		first := w.policy(func(p *postern.Policy) { p.LongestLife = 365 })
		if first.Revision != 1 || first.ChangedBy != w.super.MemberID || !first.ChangedAt.Equal(t0) {
			t.Errorf("policy = %+v", first)
		}
		log, err := w.db.AuditPage(ctx, w.super.AccountID, store.AuditFilter{Action: "policy.update"}, 0, 10)
		if err != nil || len(log) != 1 || log[0].Before["longestLife"] != float64(0) || log[0].After["longestLife"] != float64(365) || len(log[0].After) != 1 {
			t.Errorf("audit = %+v, %v", log, err)
		}
		stale := first
		stale.Revision = 0
		stale.IdleAfter = 9
		_, err = w.SetPolicy(ctx, w.super, stale)
		wantCode(t, "a change over a newer one", err, postern.CodePrecondition)
		if again, err := w.SetPolicy(ctx, w.super, first); err != nil || again.Revision != 1 {
			t.Errorf("the same again = %+v, %v; want nothing to change", again, err)
		}
		for field, change := range map[string]func(*postern.Policy){
			"longestLife": func(p *postern.Policy) { p.LongestLife = -1 }, "remindAge": func(p *postern.Policy) { p.RemindAge = 1 << 20 },
			"idleAfter": func(p *postern.Policy) { p.IdleAfter = -3 }, "remindExpiry": func(p *postern.Policy) { p.RemindExpiry = []int{7, 7} },
		} {
			p := first
			change(&p)
			_, err := w.SetPolicy(ctx, w.super, p)
			wantField(t, field, err, field)
		}
		manager := w.member("kim@example.org", postern.RoleKeyManager)
		_, err = w.SetPolicy(ctx, manager, first)
		wantCode(t, "a key manager", err, postern.CodeForbidden)
		if p, err := w.Policy(ctx, manager); err != nil || p.LongestLife != 365 {
			t.Errorf("a key manager reads %+v, %v", p, err)
		}
		other, inv, err := w.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Other", AdminEmail: "o@example.org", AdminName: "O"})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := w.Policy(ctx, postern.Actor{AccountID: other.ID, MemberID: inv.Member.ID}); err != nil || p.LongestLife != 0 {
			t.Errorf("the policy of another account = %+v, %v", p, err)
		}
	})
}

func TestFlagged(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.key(w.super, "b-writes", "deals.write")
		ended := w.key(w.super, "c-ended", "deals.write")
		a, err := w.CreateKey(ctx, w.super, keyring.NewKey{Name: "a-read", Scopes: []postern.Scope{"deals.read"}, ExpiresAt: w.now.Add(400 * day)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.RevokeKey(ctx, w.super, ended.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(200 * day)
		used := func(id postern.KeyID) (u postern.LastUse) {
			if id == a.Key.ID {
				u.At = w.now.Add(-50 * day)
			}
			return u
		}
		for _, c := range []struct {
			p    postern.Policy
			want string
		}{
			{postern.Policy{}, ""},
			{postern.Policy{RequireExpiry: true, LongestLife: 30, WriteNetworks: true}, "a-read: life; b-writes: expiry networks"},
			{postern.Policy{LongestLife: 3650}, "b-writes: expiry"},
			{postern.Policy{RemindAge: 201, IdleAfter: 51}, "b-writes: idle"},
			{postern.DefaultPolicy(w.super.AccountID), "a-read: age idle; b-writes: age idle"},
		} {
			list, err := w.Flagged(ctx, w.super, c.p, used)
			var got []string
			for _, f := range list {
				line := f.Key.Name + ":"
				for _, b := range f.Breaches {
					line += " " + string(b.Rule)
				}
				got = append(got, line)
			}
			if err != nil || strings.Join(got, "; ") != c.want {
				t.Errorf("Flagged(%+v) = %q, %v; want %q", c.p, got, err, c.want)
			}
		}
	})
}
