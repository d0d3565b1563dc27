package advice_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
)

// From what was recorded to a fix that is made, taken back, and put aside.
func TestServiceAdvises(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		ctx := t.Context()
		s := newServer(t, target)
		s.set(t0.AddDate(0, 0, -60))
		scopes := []postern.Scope{"accounting.contacts", "accounting.contacts.read", "accounting.settings.read", "files.read"}
		made, err := s.CreateKey(ctx, s.super, keyring.NewKey{Name: "k", Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := s.CreateKey(ctx, s.super, keyring.NewKey{Name: "other", Scopes: scopes[:1], ExpiresAt: t0.AddDate(1, 0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		s.catchUp(fresh.Seq)
		for d := 59; d > 0; d-- {
			c := call{secret: made.Secret, Request: verify.Request{Method: "GET", Upstream: books, Path: "/api.xro/2.0/Contacts", RemoteIP: netip.MustParseAddr("203.0.113.7"), Door: postern.DoorGateway}}
			if d%2 == 0 { // a resource server that asks by scope
				c.Request = verify.Request{Scopes: []postern.Scope{"files.read"}, RemoteIP: c.RemoteIP, Door: postern.DoorVerify}
			}
			if got := s.do(&c, t0.AddDate(0, 0, -d), true); !got.Allowed {
				t.Fatalf("a call is refused: %v", got.Reason)
			}
		}
		s.set(t0)
		s.flush()

		r, err := s.advice.Key(ctx, s.super, made.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[postern.Scope]advice.State{scopes[0]: advice.Unused, scopes[1]: advice.InUse, scopes[2]: advice.Unused, scopes[3]: advice.InUse}
		for _, u := range r.Scopes {
			if u.State != want[u.Scope] {
				t.Errorf("%s is %s, want %s", u.Scope, u.State, want[u.Scope])
			}
		}
		if r.Calls != 59 || r.Unknown != 0 || r.Days != 60 {
			t.Errorf("%d calls, %d of them unexplained, over %d days", r.Calls, r.Unknown, r.Days)
		}
		score := func() advice.Score {
			t.Helper()
			o, err := s.advice.Account(ctx, s.super)
			for tries := 0; err == nil && !o.Complete && tries < 5; tries++ { // a slow machine is told of it in parts
				o, err = s.advice.Account(ctx, s.super)
			}
			if err != nil {
				t.Fatal(err)
			}
			lost := 0
			for _, x := range o.Todos {
				lost += x.Points
			}
			if !o.Complete || o.Score.Keys != 2 || lost != o.Score.Lost {
				t.Errorf("the account = %+v; the points of what is to do are %d", o, lost)
			}
			return o.Score
		}
		// Each fix raises the scores by its points; its undo takes just those back.
		for _, x := range r.Findings {
			if x.Fix.Kind != advice.FixNarrow {
				continue
			}
			before := score()
			if _, err := s.advice.Apply(ctx, s.super, made.Key.ID, x.Kind, 0); err != nil {
				t.Fatalf("%s: %v", x.Kind, err)
			}
			if after := score(); after.Lost != before.Lost-x.Points || after.Value() != before.Value()+before.Part(x.Points) {
				t.Errorf("%s took the points that lack from %d to %d, want %d less", x.Kind, before.Lost, after.Lost, x.Points)
			}
			if _, err := s.advice.Apply(ctx, s.super, made.Key.ID, x.Kind, 0); !errors.Is(err, postern.CodeNotFound) {
				t.Errorf("%s again = %v", x.Kind, err)
			}
			if _, err := s.UndoKey(ctx, s.super, made.Key.ID, 0); err != nil {
				t.Fatal(err)
			}
			if after := score(); after != before {
				t.Errorf("%s: undone, the score is %+v, was %+v", x.Kind, after, before)
			}
		}
		// Put aside by one, told apart in the list, and taken up again.
		if err := s.advice.Dismiss(ctx, s.super, made.Key.ID, advice.KindNoExpiry, true); err != nil {
			t.Fatal(err)
		}
		r, err = s.advice.Key(ctx, s.super, made.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		if x, ok := r.Finding(advice.KindNoExpiry); !ok || !x.Dismissed.Equal(t0) || x.DismissedBy != s.super.MemberID {
			t.Errorf("put aside, it is %+v", x)
		}
		if err := s.advice.Dismiss(ctx, s.super, made.Key.ID, advice.KindNoExpiry, false); err != nil {
			t.Fatal(err)
		}
		// A scope that was granted a moment ago is too new, one that an undo gave back isn't.
		more := postern.SortScopes(append(slices.Clone(scopes), "assets.read"))
		if _, err := s.EditKey(ctx, s.super, made.Key.ID, keyring.KeyEdit{Scopes: &more}); err != nil {
			t.Fatal(err)
		}
		r, err = s.advice.Key(ctx, s.super, made.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Scopes, func(u advice.ScopeUse) bool { return u.Scope == "assets.read" })
		if i < 0 || r.Scopes[i].State != advice.TooNew || !r.Scopes[i].Granted.Equal(t0) {
			t.Errorf("a scope that was just granted is %+v", r.Scopes)
		}
		// Who may not see calls, or keys, gets no advice.
		nobody := postern.Actor{AccountID: s.super.AccountID}
		if _, err := s.advice.Account(ctx, nobody); !errors.Is(err, postern.CodeForbidden) {
			t.Errorf("nobody's advice = %v", err)
		}
		if _, err := s.advice.WhatIf(ctx, nobody, made.Key.ID, &advice.Proposal{}, advice.Span{Within: time.Second}); !errors.Is(err, postern.CodeForbidden) {
			t.Errorf("nobody's what-if = %v", err)
		}
	})
}

// One account replays its calls twice at once and no more, all together four times; who
// is turned away is told to come back, who goes away gets nothing, and places come back.
func TestReplaysHaveBounds(t *testing.T) {
	s := newServer(t, storetest.SQLite(t))
	s.set(t0.AddDate(0, 0, -60))
	made, err := s.CreateKey(t.Context(), s.super, keyring.NewKey{Name: "k", Scopes: []postern.Scope{"accounting.contacts"}})
	if err != nil {
		t.Fatal(err)
	}
	narrow := keyring.Narrowing{Watch: true, Scopes: &[]postern.Scope{}}
	if _, err := s.NarrowKey(t.Context(), s.super, made.Key.ID, narrow); err != nil {
		t.Fatal(err)
	}
	s.set(t0)
	hold := func(a postern.AccountID) func() {
		t.Helper()
		leave, err := s.advice.Enter(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	ask := func(ctx context.Context, want error) {
		t.Helper()
		_, err := s.advice.WhatIf(ctx, s.super, made.Key.ID, &advice.Proposal{}, advice.Span{})
		if !errors.Is(err, want) {
			t.Errorf("what-if: %v, want %v", err, want)
		}
		if _, err := s.advice.Watched(ctx, s.super, made.Key.ID, advice.Span{}); !errors.Is(err, want) {
			t.Errorf("watched: %v, want %v", err, want)
		}
	}
	one, two := hold(s.super.AccountID), hold(s.super.AccountID)
	ask(t.Context(), postern.CodeRateLimited)
	one()
	ask(t.Context(), nil)
	three, four := hold("globex"), hold("globex")
	fifth := hold("initech")
	ask(t.Context(), postern.CodeUnavailable)
	for _, leave := range []func(){two, three, four, fifth} {
		leave()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone, context.Canceled)
	for range 2 { // nothing of all that kept a place
		hold(s.super.AccountID)
	}
}
