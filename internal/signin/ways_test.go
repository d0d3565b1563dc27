package signin_test

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// TestLookKeepsNobodyIn: what only looks doesn't prolong.
func TestLookKeepsNobodyIn(t *testing.T) {
	each(t, func(w *world) {
		for range 29 {
			w.now = w.now.Add(time.Minute)
			x, err := w.Look(w.t.Context(), w.text)
			ok(w.t, "Look", err)
			if want := t0.Add(30 * time.Minute).Sub(w.now); w.Left(x) != want {
				w.t.Errorf("after %s there are %s left, want %s", w.now.Sub(t0), w.Left(x), want)
			}
		}
		w.now = w.now.Add(time.Minute)
		_, err := w.Look(w.t.Context(), w.text)
		wantCode(w.t, "30 minutes of looking", err, postern.CodeUnauthenticated)
		w.ended("30 minutes of looking", w.text)
	})
}

// TestWaysChangedSignOutElsewhere: each change of a way in ends the other sessions, gives
// this one a new text, and makes its proof no younger.
func TestWaysChangedSignOutElsewhere(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		ctx, from := w.t.Context(), w.from
		factors := func() signin.Factors {
			f, err := w.Factors(ctx, w.admin.MemberID)
			ok(w.t, "Factors", err)
			return f
		}
		for _, c := range []struct {
			what, action string
			do           func() (signin.Signed, error)
		}{
			{"an app added", "totp.add", func() (signin.Signed, error) {
				n, err := w.BeginTOTP(w.admin)
				ok(w.t, "BeginTOTP", err)
				s, _, err := w.FinishTOTP(ctx, w.admin, n.Flow, w.code(n.Secret), from)
				return s, err
			}},
			{"new recovery codes", "recovery.new", func() (signin.Signed, error) {
				s, _, err := w.NewCodes(ctx, w.admin, from)
				return s, err
			}},
			{"an app removed", "totp.remove", func() (signin.Signed, error) { return w.RemoveTOTP(ctx, w.admin, from) }},
			{"a passkey added", "passkey.add", func() (signin.Signed, error) {
				c, err := w.BeginRegister(ctx, host, w.admin)
				ok(w.t, "BeginRegister", err)
				answer, err := authenticator().Create(c.Options)
				ok(w.t, "Create", err)
				s, _, err := w.FinishRegister(ctx, host, w.admin, c.Flow, answer, "Laptop", from)
				return s, err
			}},
			{"a provider tied", "identity.add", func() (signin.Signed, error) {
				done, err := w.visit(signin.SSOWish{Session: w.admin}, w.admin)
				ok(w.t, "to tie", err)
				return *done.Signed, err
			}},
			{"a password removed", "password.remove", func() (signin.Signed, error) { return w.RemovePassword(ctx, w.admin, from) }},
			{"a password set", "password.set", func() (signin.Signed, error) { return w.SetPassword(ctx, w.admin, long, from) }},
			{"a provider removed", "identity.remove", func() (signin.Signed, error) {
				i := factors().Identities[0]
				return w.RemoveIdentity(ctx, w.admin, i.Issuer, i.Subject, from)
			}},
			{"a passkey removed", "passkey.remove", func() (signin.Signed, error) {
				return w.RemovePasskey(ctx, w.admin, factors().Passkeys[0].ID, from)
			}},
		} {
			link, _, err := w.Link(ctx, postern.Actor{System: "test"}, w.admin.MemberID)
			ok(w.t, "Link", err)
			elsewhere, err := w.UseLink(ctx, link.Reveal(), from)
			ok(w.t, "UseLink", err)
			proved := w.admin.ProvedAt
			w.now = w.now.Add(time.Second)
			signed, err := c.do()
			ok(w.t, c.what, err)
			w.ended(c.what+": another session", elsewhere.Text)
			w.ended(c.what+": the text from before", w.text)
			w.text, w.admin = signed.Text, w.session(signed.Text)
			if !w.admin.ProvedAt.Equal(proved) {
				w.t.Errorf("%s made a proof of %s into one of %s", c.what, proved, w.admin.ProvedAt)
			}
			all, err := w.db.AuditPage(ctx, w.admin.AccountID, store.AuditFilter{}, 0, 1)
			if err != nil || all[0].Action != c.action || all[0].After["sessionsEnded"] == nil {
				w.t.Errorf("%s: the audit log ends with %+v, %v", c.what, all, err)
			}
		}
	})
}

// TestRefusedRemovalEndsNothing: what may not be taken away changes nothing.
func TestRefusedRemovalEndsNothing(t *testing.T) {
	each(t, func(w *world) {
		other := w.comeIn().Text
		_, err := w.RemovePassword(w.t.Context(), w.admin, w.from)
		wantCode(w.t, "the only way in", err, postern.CodeConflict)
		w.session(other)
		w.session(w.text)
	})
}

// TestSecondStepEndsWithItsPassword: who knew the password from before gets no further.
func TestSecondStepEndsWithItsPassword(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		secret, codes := w.addTOTP()
		w.now = w.now.Add(time.Minute)
		flow := w.second()
		w.now = w.now.Add(time.Second)
		_, err := w.SetPassword(ctx, w.admin, "quiet harbour stone nine", w.from)
		ok(w.t, "SetPassword", err)
		_, err = w.Code(ctx, flow, w.code(secret), "", w.from)
		wantCode(w.t, "a code after the password was changed", err, postern.CodeUnauthenticated)
		_, err = w.Code(ctx, flow, codes[0], "", w.from)
		wantCode(w.t, "a recovery code after the password was changed", err, postern.CodeUnauthenticated)
		if f, err := w.Factors(ctx, w.admin.MemberID); err != nil || f.Codes != 10 {
			w.t.Errorf("%d codes are left (%v), want 10: a refused step uses none up", f.Codes, err)
		}
	})
}

// TestProvidersBelongToAccounts: one that brings an account's members ties, confirms and
// joins no others.
func TestProvidersBelongToAccounts(t *testing.T) {
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := &sso{}
		p := signintest.NewProvider(t, func() time.Time { return w.now })
		conf := signin.Provider{ID: "okta", Name: "Okta", Issuer: p.URL, ClientID: p.ClientID, ClientSecret: p.ClientSecret}
		theirs := conf
		theirs.ID, theirs.Account = "theirs", "acc_theirs"
		w.world, w.p = newWorld(t, db, conf, theirs), p
		ctx := t.Context()

		names := func(all []signin.Provider) string {
			var out []string
			for _, p := range all {
				out = append(out, p.ID)
			}
			return strings.Join(out, " ")
		}
		tenant := postern.Account{ID: "acc_theirs"}
		altered := w.admin.Account
		altered.Altered = true
		for what, c := range map[string]struct{ got, want string }{
			"all":                {names(w.Providers()), "okta theirs"},
			"the operator's":     {names(w.ProvidersFor(&w.admin.Account)), "okta"},
			"the other's":        {names(w.ProvidersFor(&tenant)), "theirs"},
			"an altered account": {names(w.ProvidersFor(&altered)), ""},
			"a third":            {names(w.ProvidersFor(&postern.Account{ID: "acc_third"})), ""},
		} {
			if c.got != c.want {
				t.Errorf("%s: %q, want %q", what, c.got, c.want)
			}
		}
		for _, confirm := range []bool{false, true} {
			_, _, err := w.BeginSSO(ctx, signin.SSOWish{Provider: "theirs", Session: w.admin, Confirm: confirm})
			wantCode(t, "to begin with another account's", err, postern.CodeForbidden)
		}
		// Also where it was begun while the provider was the account's own.
		own, err := signin.New(signin.Config{DB: db, Pepper: w.pepper, Keyring: w.kr, PublicURL: "http://localhost:8080", Now: func() time.Time { return w.now },
			Providers: []signin.Provider{{ID: "theirs", Issuer: p.URL, ClientID: p.ClientID, ClientSecret: p.ClientSecret}}})
		ok(t, "New", err)
		for _, confirm := range []bool{false, true} {
			address, flow, err := own.BeginSSO(ctx, signin.SSOWish{Provider: "theirs", Session: w.admin, Confirm: confirm})
			ok(t, "BeginSSO", err)
			state, code := p.Visit(address)
			_, err = w.FinishSSO(ctx, w.admin, flow, signin.SSOAnswer{State: state, Code: code}, w.from)
			wantCode(t, "to finish with another account's", err, postern.CodeForbidden)
		}
		inv := w.invite("grace@example.org", postern.RoleViewer)
		address, flow, err := w.BeginSSO(ctx, signin.SSOWish{Provider: "theirs", Invite: inv.Invitation.Reveal()})
		ok(t, "BeginSSO", err)
		state, code := p.Visit(address)
		_, err = w.FinishSSO(ctx, nil, flow, signin.SSOAnswer{State: state, Code: code}, w.from)
		wantCode(t, "an invitation with another account's", err, postern.CodeForbidden)
		if _, _, err := w.kr.Invitation(ctx, inv.Invitation.Reveal()); err != nil {
			t.Errorf("the refused provider used the invitation up: %v", err)
		}
	})
}

// TestIdentityOfNoProviderIsNoWayIn: a provider that the server no longer has is none
// that a member could be left with.
func TestIdentityOfNoProviderIsNoWayIn(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		ctx := w.t.Context()
		done, err := w.visit(signin.SSOWish{Session: w.admin}, w.admin)
		ok(w.t, "to tie", err)
		w.admin = w.session(done.Signed.Text)
		without, err := signin.New(signin.Config{DB: w.db, Pepper: w.pepper, Keyring: w.kr, Now: func() time.Time { return w.now }})
		ok(w.t, "New", err)
		_, err = without.RemovePassword(ctx, w.admin, w.from)
		wantCode(w.t, "the password beside a provider that is gone", err, postern.CodeConflict)
		_, err = w.RemovePassword(ctx, w.admin, w.from)
		ok(w.t, "the password beside a provider", err)
	})
}

// TestAnotherIssuerAnswers: a provider that names itself is the one that was asked.
func TestAnotherIssuerAnswers(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		for issuer, code := range map[string]postern.Code{"https://evil.example": postern.CodeUnauthenticated, w.p.URL: postern.CodeForbidden, "": postern.CodeForbidden} {
			address, flow, err := w.BeginSSO(w.t.Context(), signin.SSOWish{Provider: "okta"})
			ok(w.t, "BeginSSO", err)
			state, c := w.p.Visit(address)
			// Who isn't invited is forbidden: that far only the right issuer comes.
			_, err = w.FinishSSO(w.t.Context(), nil, flow, signin.SSOAnswer{State: state, Code: c, Issuer: issuer}, w.from)
			wantCode(w.t, "an answer of "+issuer, err, code)
		}
	})
}
