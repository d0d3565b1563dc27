package console

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
	"postern.dev/postern/internal/store/storetest"
)

// TestPollsDoNotKeepTheSession: a page that asks by itself for 31 minutes has nobody before it.
func TestPollsDoNotKeepTheSession(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := must(w.kr.CreateKey(context.Background(), w.super, keyring.NewKey{Name: "airflow", Scopes: []postern.Scope{"deals.read"}}))(t).Key
		id := "/keys/" + string(k.ID)
		polls := map[string]string{"GET /steps": "/steps", "GET /stay": "/stay", "GET /activity/live": "/activity/live", "GET /audit/check": "/audit/check",
			"GET /keys/{id}/rotate/live": id + "/rotate/live", "GET /keys/{id}/first-call.json": id + "/first-call.json",
			"GET /migration/{id}/live": "/migration/mig_none/live", "GET /uploads/{job}": "/uploads/none"}
		for pattern, rt := range w.console.byPattern {
			// A stream is of the same kind; it is tested below.
			if rt.Quiet && polls[pattern] == "" && pattern != "GET /keys/{id}/first-call/events" {
				t.Errorf("%s is quiet, and this test doesn't ask it", pattern)
			}
		}
		b := w.login()
		for minute := range 31 {
			for pattern, at := range polls {
				if !w.console.byPattern[pattern].Quiet {
					t.Fatalf("%s isn't quiet", pattern)
				}
				switch p := b.get(at); {
				case minute < 30 && pattern == "GET /migration/{id}/live": // there is none here
					p.want(404)
				case minute < 30:
					p.want(200)
				default:
					p.want(401, "You are signed out")
				}
			}
			w.later(time.Minute)
		}
		b.get("/keys").to("/signin?next=%2Fkeys")

		// Whoever does something stays in.
		b = w.login()
		for range 3 {
			w.later(29 * time.Minute)
			b.get("/keys").want(200)
		}
	})
}

func TestStay(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		p := b.get("/keys").want(200, `data-idle="1800"`)
		w.later(28 * time.Minute)
		if left := b.get("/stay").want(200).body; left != "120\n" {
			t.Errorf("%s s are left, want 120", left)
		}
		stay := func() string {
			req := must(http.NewRequest("POST", w.url+"/stay", strings.NewReader(url.Values{formToken: {p.hidden(formToken)}}.Encode())))(t)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Accept", "text/plain")
			return b.do(req).want(200).body
		}
		for range 2 { // by the same form, as a page that is open for long does
			if left := stay(); left != "1800\n" {
				t.Errorf("after a press %s s are left, want 1800", left)
			}
			w.later(29 * time.Minute)
		}
		for range 21 {
			stay()
			w.later(29 * time.Minute)
		}
		if left := stay(); left != "1500\n" {
			t.Errorf("25 minutes before the end of 12 hours %q s are left, want 1500", left)
		}
		b.get("/keys").want(200, `data-idle="1500"`)
		w.later(30 * time.Second)
		b.get("/keys").want(200, `data-idle="1470"`)
	})
}

// TestOneSessionOverAnother: who comes in anew in the same browser leaves no session behind.
func TestOneSessionOverAnother(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleViewer)
		before := b.cookieOf(cookieSession)
		secret, _, err := w.signin.Link(context.Background(), postern.Actor{System: "test"}, w.super.MemberID)
		if err != nil {
			t.Fatal(err)
		}
		sealed := b.get("/signin/link/" + secret.Reveal()).hidden("link")
		b.send("/signin/link", "link", sealed).to("/")
		b.get("/keys").want(200, "Maya Okafor")
		if _, err := w.signin.Session(context.Background(), before); postern.CodeOf(err) != postern.CodeUnauthenticated {
			t.Errorf("the session from before: %v, want that it has ended", err)
		}
	})
}

// TestTwoAccountsOneAddress: one address and one password in two accounts.
func TestTwoAccountsOneAddress(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.joined("grace@example.com", postern.RoleViewer)
		second, inv, err := w.kr.CreateAccount(ctx, w.super, keyring.NewAccount{Name: "Heron Supply", AdminEmail: "grace@example.com", AdminName: "Grace of Heron"})
		if err != nil {
			t.Fatal(err)
		}
		c := w.stranger()
		c.send("/join", "link", c.get("/join/"+inv.Invitation.Reveal()).hidden("link"), "password", goodPassword).to("/")

		b := w.stranger()
		b.send("/signin", "email", "grace@example.com", "password", "wrong").want(401, "The address or the password is wrong.").not("Heron Supply", "Larkspur Outdoor")
		p := b.send("/signin", "email", "grace@example.com", "password", goodPassword, "next", "/keys").want(200, "Choose an account", "Heron Supply", "Larkspur Outdoor")
		b.get("/keys").to("/signin?next=%2Fkeys")
		b.send("/signin/account", "flow", p.hidden("flow"), "account", "1", "next", "/keys").want(401, "Start again.")
		b.send("/signin/account", "flow", p.hidden("flow"), "account", num0(second.Number), "next", p.hidden("next")).to("/keys")
		b.get("/keys").want(200, "Heron Supply", "Grace of Heron")
		w.stranger().send("/signin/account", "flow", p.hidden("flow"), "account", num0(second.Number)).want(401, "was completed already")

		// An address of the page goes into one account at once.
		d := w.stranger()
		at := "/signin?account=" + num0(second.Number)
		d.send("/signin", "email", "grace@example.com", "password", goodPassword, "account", d.get(at).hidden("account")).to("/")
		d.get("/keys").want(200, "Heron Supply")
	})
}

func num0(n int64) string { return strings.ReplaceAll(num(n), ",", "") }

// TestTyingIsAForm: only a form of this session ties a provider, and only this session gets the answer.
func TestTyingIsAForm(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		var w *world
		p := signintest.NewProvider(t, func() time.Time { return w.now() })
		other := postern.AccountID("acc_other")
		w = newWorld(t, target, func(c *Config) {
			pepper := must(postern.ParsePepper(postern.NewPepper()))(t)
			conf := signin.Provider{ID: "okta", Name: "Okta", Issuer: p.URL, ClientID: p.ClientID, ClientSecret: p.ClientSecret}
			theirs := conf
			theirs.ID, theirs.Name, theirs.Account = "heron", "Heron ID", other
			c.Signin = must(signin.New(signin.Config{DB: c.DB, Pepper: pepper, Keyring: c.Keyring, PublicURL: "http://localhost", Now: func() time.Time { return w.now() }, Log: c.Log,
				Providers: []signin.Provider{conf, theirs}}))(t)
		})
		w.signin = w.console.cfg.Signin

		b := w.login()
		b.get("/me/security").want(200, "Okta").not("Heron ID")
		b.get("/me/security/sso/okta").want(404)
		b.post("/me/security/sso/okta", formToken, "made up").want(403, "was not made for this session")
		b.post("/me/security/sso/heron").want(403, "another account")
		q := b.post("/me/security/sso/okta").want(200, "You leave this site now")
		if q.header.Get("Cache-Control") != "no-store" {
			t.Error("the way to a provider may be kept")
		}
		address := html.UnescapeString(regexp.MustCompile(`href="(` + regexp.QuoteMeta(p.URL) + `[^"]*)"`).FindStringSubmatch(q.body)[1])
		state, code := p.Visit(address)
		back := "/signin/sso/callback?" + url.Values{"state": {state}, "code": {code}}.Encode()

		// In another session, with the cookie of the first even, the answer is nothing.
		thief := w.login(w.member("eve@example.com", "Eve", postern.RoleViewer))
		u, _ := url.Parse(w.url)
		thief.get(back).to("/me/security")
		thief.c.Jar.SetCookies(u, []*http.Cookie{{Name: cookieSSO, Value: b.cookieOf(cookieSSO), Path: "/"}})
		thief.get(back).to("/me/security")
		thief.get("/me/security").want(200, "This took too long, or was completed already.")
		before := b.cookieOf(cookieSession)
		b.get(back).to("/me/security")
		if b.cookieOf(cookieSession) == before {
			t.Error("a way in was added, and the session kept its text")
		}
		ways := must(w.signin.Factors(context.Background(), w.super.MemberID))(t)
		if len(ways.Identities) != 1 {
			t.Errorf("%d identities are tied, want 1", len(ways.Identities))
		}
		if had := must(w.signin.Sessions(context.Background(), w.super.MemberID))(t); len(had) != 1 || !slices.Contains([]string{"link"}, had[0].Method) {
			t.Errorf("the sessions are %+v, want the one", had)
		}
		// Who is in already needn't come in.
		b.get("/signin/sso/okta?next=/keys").to("/keys")
	})
}
