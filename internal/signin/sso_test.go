package signin_test

import (
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// sso is a world with a provider.
type sso struct {
	*world
	p *signintest.Provider
}

func eachSSO(t *testing.T, change func(*signin.Provider), test func(w *sso)) {
	t.Helper()
	storetest.Run(t, func(t *testing.T, db *store.DB) {
		w := &sso{}
		p := signintest.NewProvider(t, func() time.Time { return w.now })
		conf := signin.Provider{ID: "okta", Name: "Okta", Issuer: p.URL, ClientID: p.ClientID, ClientSecret: p.ClientSecret}
		if change != nil {
			change(&conf)
		}
		w.world, w.p = newWorld(t, db, conf), p
		test(w)
	})
}

// visit goes to the provider and back.
func (w *sso) visit(wish signin.SSOWish, x *signin.Session) (signin.SSODone, error) {
	w.t.Helper()
	wish.Provider = "okta"
	address, flow, err := w.BeginSSO(w.t.Context(), wish)
	ok(w.t, "BeginSSO", err)
	state, code := w.p.Visit(address)
	return w.FinishSSO(w.t.Context(), x, flow, signin.SSOAnswer{State: state, Code: code}, w.from)
}

func roles(p *signin.Provider) {
	p.RoleClaim, p.Provision = "groups", true
	p.Roles = []signin.RoleMap{{Value: "postern-admins", Role: postern.RoleSuperAdmin}, {Value: "data", Role: postern.RoleKeyManager}}
}

func TestSSOTiesAndSignsIn(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		_, err := w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "somebody whom nobody invited", err, postern.CodeForbidden)

		done, err := w.visit(signin.SSOWish{Session: w.admin, Back: "/me/security"}, w.admin)
		if err != nil || !done.Tied || done.Back != "/me/security" {
			w.t.Fatalf("to tie the provider: %+v, %v\n%s", done, err, w.log.String())
		}
		w.admin = w.session(done.Signed.Text)
		q := w.p.Asked()[1]
		if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" || q.Get("redirect_uri") != "http://localhost:8080/signin/sso/callback" {
			w.t.Errorf("the provider was asked %v", q)
		}
		done, err = w.visit(signin.SSOWish{Back: "/keys"}, nil)
		ok(w.t, "to sign in", err)
		if x := w.session(done.Signed.Text); x.Method != "sso:okta" || x.MemberID != w.admin.MemberID || done.Back != "/keys" {
			w.t.Errorf("signed in %+v, back to %q", x.Session, done.Back)
		}
		_, err = w.visit(signin.SSOWish{Session: w.admin}, w.admin)
		wantCode(w.t, "to tie it again", err, postern.CodeConflict)

		// Without a fresh proof a session can't add ways in.
		w.p.Claims = map[string]any{"sub": "subject-2"}
		w.now = w.now.Add(15 * time.Minute)
		stale := w.session(done.Signed.Text)
		_, err = w.visit(signin.SSOWish{Session: stale}, stale)
		wantCode(w.t, "to tie another with a stale session", err, postern.CodeForbidden)

		f, err := w.Factors(w.t.Context(), w.admin.MemberID)
		if err != nil || len(f.Identities) != 1 {
			w.t.Fatalf("the identities are %+v, %v", f.Identities, err)
		}
		_, err = w.RemoveIdentity(w.t.Context(), stale, f.Identities[0].Issuer, f.Identities[0].Subject, w.from)
		ok(w.t, "RemoveIdentity", err)
		w.p.Claims = nil
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "an identity that was removed", err, postern.CodeForbidden)
	})
}

func TestSSOConfirms(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		done, err := w.visit(signin.SSOWish{Session: w.admin}, w.admin)
		ok(w.t, "to tie", err)
		w.now = w.now.Add(15 * time.Minute)
		x := w.session(done.Signed.Text)
		w.p.Claims = map[string]any{"auth_time": w.now.Add(-time.Hour).Unix()}
		_, err = w.visit(signin.SSOWish{Session: x, Confirm: true}, x)
		wantCode(w.t, "a proof from before", err, postern.CodeUnauthenticated)
		w.p.Claims = map[string]any{"auth_time": nil}
		_, err = w.visit(signin.SSOWish{Session: x, Confirm: true}, x)
		wantCode(w.t, "a proof of no time", err, postern.CodeUnauthenticated)
		w.p.Claims = map[string]any{"sub": "subject-2"}
		_, err = w.visit(signin.SSOWish{Session: x, Confirm: true}, x)
		wantCode(w.t, "a proof of someone else", err, postern.CodeForbidden)
		w.p.Claims = nil
		_, err = w.visit(signin.SSOWish{Session: x, Confirm: true}, nil)
		wantCode(w.t, "in a browser that is signed out", err, postern.CodeUnauthenticated)
		done, err = w.visit(signin.SSOWish{Session: x, Confirm: true}, x)
		ok(w.t, "to confirm", err)
		if !w.IsFresh(w.session(done.Signed.Text)) || done.Tied {
			w.t.Error("a confirmed session isn't fresh, or the provider was tied again")
		}
		if last := w.p.Asked()[len(w.p.Asked())-1]; last.Get("prompt") != "login" || last.Get("max_age") != "0" {
			w.t.Errorf("the provider was asked %v, want a fresh proof", last)
		}
	})
}

func TestSSOInvitation(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		inv := w.invite("grace@example.org", postern.RoleViewer)
		done, err := w.visit(signin.SSOWish{Invite: inv.Invitation.Reveal()}, nil)
		ok(w.t, "to accept an invitation", err)
		if x := w.session(done.Signed.Text); x.MemberID != inv.Member.ID {
			w.t.Errorf("joined as %s", x.Member.Email)
		}
		done, err = w.visit(signin.SSOWish{}, nil)
		ok(w.t, "to come again", err)
		if x := w.session(done.Signed.Text); x.MemberID != inv.Member.ID {
			w.t.Errorf("signed in as %s", x.Member.Email)
		}
	})
}

func TestSSORolesFromClaims(t *testing.T) {
	eachSSO(t, roles, func(w *sso) {
		ctx := w.t.Context()
		w.p.Claims = map[string]any{"email": "grace@example.org", "email_verified": true, "name": "Grace Hopper", "groups": []string{"everyone"}}
		_, err := w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "somebody without a role", err, postern.CodeForbidden)
		w.p.Claims["groups"] = []string{"everyone", "data"}
		w.p.Claims["email_verified"] = false
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "an address that wasn't checked", err, postern.CodeForbidden)
		w.p.Claims["email_verified"] = true
		done, err := w.visit(signin.SSOWish{}, nil)
		ok(w.t, "somebody new with a role", err)
		x := w.session(done.Signed.Text)
		if x.Member.Role.ID != postern.RoleKeyManager || x.Member.Email != "grace@example.org" || x.Member.Name != "Grace Hopper" {
			w.t.Errorf("the new member is %+v", x.Member)
		}
		w.p.Claims["groups"] = []string{"data", "postern-admins"}
		done, err = w.visit(signin.SSOWish{}, nil)
		ok(w.t, "with another role", err)
		if y := w.session(done.Signed.Text); y.Member.Role.ID != postern.RoleSuperAdmin || y.MemberID != x.MemberID {
			w.t.Errorf("with another group the member is %+v", y.Member)
		}
		w.p.Claims["groups"] = "data"
		done, err = w.visit(signin.SSOWish{}, nil)
		ok(w.t, "with one group as a text", err)
		if y := w.session(done.Signed.Text); y.Member.Role.ID != postern.RoleKeyManager {
			w.t.Errorf("with fewer groups the role is %s", y.Member.Role.ID)
		}
		w.p.Claims["groups"] = []string{}
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "with all groups gone", err, postern.CodeForbidden)

		// An address alone makes nobody the member who has it.
		w.p.Claims = map[string]any{"sub": "subject-9", "email": "ada@example.org", "email_verified": true, "groups": []string{"data"}}
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "a member's address with another subject", err, postern.CodeConflict)

		w.p.Claims = map[string]any{"groups": []string{"data"}}
		ok(w.t, "RemoveMember", w.kr.RemoveMember(ctx, w.admin.Actor(w.from), x.MemberID))
		_, err = w.visit(signin.SSOWish{}, nil)
		wantCode(w.t, "a member who was removed", err, postern.CodeForbidden)
	})
}

func TestSSOAttacks(t *testing.T) {
	eachSSO(t, nil, func(w *sso) {
		ctx := w.t.Context()
		done, err := w.visit(signin.SSOWish{Session: w.admin}, w.admin)
		ok(w.t, "to tie", err)
		w.admin = w.session(done.Signed.Text)

		address, flow, err := w.BeginSSO(ctx, signin.SSOWish{Provider: "okta"})
		ok(w.t, "BeginSSO", err)
		other, otherFlow, err := w.BeginSSO(ctx, signin.SSOWish{Provider: "okta"})
		ok(w.t, "BeginSSO", err)
		state, code := w.p.Visit(address)
		otherState, otherCode := w.p.Visit(other)
		for what, c := range map[string][3]string{
			"another state": {flow, otherState, code}, "no state": {flow, "", code}, "no code": {flow, state, ""},
			"another browser's flow": {otherFlow, state, code}, "a code that was made up": {flow, state, "nonsense"},
			"no flow": {"", state, code}, "another verifier": {flow, state, otherCode},
		} {
			_, err := w.FinishSSO(ctx, nil, c[0], signin.SSOAnswer{State: c[1], Code: c[2]}, w.from)
			wantCode(w.t, what, err, postern.CodeUnauthenticated)
		}
		_, err = w.FinishSSO(ctx, nil, flow, signin.SSOAnswer{State: state, Code: code}, w.from)
		ok(w.t, "FinishSSO", err)
		_, err = w.FinishSSO(ctx, nil, flow, signin.SSOAnswer{State: state, Code: code}, w.from)
		wantCode(w.t, "the code again", err, postern.CodeUnauthenticated)

		for what, claims := range map[string]map[string]any{
			"another nonce": {"nonce": "other"}, "another audience": {"aud": "other"}, "another issuer": {"iss": "https://evil.example"},
			"a token that ran out": {"exp": w.now.Add(-time.Hour).Unix()},
		} {
			w.p.Claims = claims
			_, err := w.visit(signin.SSOWish{}, nil)
			wantCode(w.t, what, err, postern.CodeUnauthenticated)
		}
		if strings.Contains(w.log.String(), code) || strings.Contains(w.log.String(), w.p.ClientSecret) {
			w.t.Error("the log has a code or the client's secret")
		}
		_, _, err = w.BeginSSO(ctx, signin.SSOWish{Provider: "other"})
		wantCode(w.t, "a provider that isn't there", err, postern.CodeNotFound)
	})
}

func TestProvidersAreChecked(t *testing.T) {
	pepper, err := postern.ParsePepper(postern.NewPepper())
	ok(t, "ParsePepper", err)
	db := storetest.Open(t, storetest.SQLite(t))
	kr := keyring.New(keyring.Config{DB: db, Pepper: pepper})
	good := signin.Provider{ID: "okta", Issuer: "https://okta.example", ClientID: "x"}
	for what, c := range map[string]struct {
		public string
		all    []signin.Provider
		want   string
	}{
		"good":           {"https://keys.example", []signin.Provider{good}, ""},
		"no public URL":  {"", []signin.Provider{good}, "public URL"},
		"plain http":     {"https://keys.example", []signin.Provider{{ID: "a", Issuer: "http://okta.example", ClientID: "x"}}, "https"},
		"no client":      {"https://keys.example", []signin.Provider{{ID: "a", Issuer: "https://okta.example"}}, "client id"},
		"an odd id":      {"https://keys.example", []signin.Provider{{ID: "A/b", Issuer: "https://okta.example", ClientID: "x"}}, "lower-case"},
		"the same twice": {"https://keys.example", []signin.Provider{good, good}, "twice"},
	} {
		_, err := signin.New(signin.Config{DB: db, Pepper: pepper, Keyring: kr, PublicURL: c.public, Providers: c.all})
		if got := ""; err != nil {
			got = err.Error()
			if c.want == "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %v, want %q", what, err, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s: accepted, want %q", what, c.want)
		}
	}
}
