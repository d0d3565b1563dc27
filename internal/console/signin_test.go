package console

import (
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/signin/signintest"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

// signinViews are the pages of signing in and of one's own ways in.
func signinViews(c func() Common) map[string][]view {
	wrong := newForm("email", polyglot, "name", polyglot, "person", polyglot, "timeZone", polyglot)
	wrong.Wrong("email", "%s", polyglot)
	wrong.Wrong("password", "%s", polyglot)
	wrong.Wrong("code", "%s", polyglot)
	wrong.Wrong("", "%s", polyglot)
	some := []signin.Provider{{ID: "okta", Name: polyglot, Issuer: "https://okta.example"}}
	has := signin.Factors{Password: true, TOTP: true, Passkeys: []store.Passkey{{ID: "id", Name: polyglot, CreatedAt: t0}}, Codes: 3}
	session := sessionRow{ID: "ses_1", Device: polyglot, IP: polyglot, Method: polyglot, Seen: t0, Created: t0}
	here := session
	here.Here = true
	rows := []signinRow{{At: t0, Words: polyglot, OK: true, IP: polyglot, Device: polyglot}, {At: t0, Words: polyglot, Why: polyglot}}
	return map[string][]view{
		"signin":         {&signinView{F: newForm()}, &signinView{Common: c(), F: wrong, Next: "/keys", Kept: "x", Passkeys: true, Providers: some}},
		"signin_empty":   {&signinView{F: newForm()}, &signinView{Common: c(), F: wrong}},
		"signin_second":  {&secondView{F: newForm()}, &secondView{Common: c(), F: wrong, Name: polyglot, Flow: "x", Next: "/", Kept: "x", TOTP: true, Codes: true, Passkeys: true}},
		"signin_account": {&whichView{}, &whichView{Common: c(), Flow: "x", Next: "/", Kept: "x", Accounts: []signin.Choice{{Number: 1001, Name: polyglot}, {Number: 1002, Name: "Larkspur"}}}},
		"signin_link":    {&linkView{}, &linkView{Common: c(), Link: "x", Name: polyglot, Account: polyglot}},
		"signin_leave":   {&leaveView{}, &leaveView{Common: c(), Link: "/confirm/sso/okta"}, &leaveView{Common: c(), Link: "https://okta.example/authorize?x=y", Away: true, Name: polyglot}},
		"setup":          {&setupView{F: newForm()}, &setupView{Common: c(), F: wrong, Link: "x"}},
		"join":           {&joinView{F: newForm()}, &joinView{Common: c(), F: wrong, Link: "x", Account: polyglot, Name: polyglot, Email: polyglot, Role: polyglot, Passkeys: true, Providers: some}},
		"confirm":        {&confirmView{F: newForm()}, &confirmView{Common: c(), F: wrong, Next: "/", Kept: "x", Password: true, Passkeys: true, Providers: some}, &confirmView{Common: c(), F: wrong, Code: true, Providers: some}},
		"me_security":    {&securityView{}, &securityView{Common: c(), Ways: has, Passkeys: true, Sessions: []sessionRow{here, session}, History: rows, Providers: some, Tied: []tiedRow{{polyglot, polyglot, polyglot, t0, t0}}}},
		"me_history":     {&historyView{}, &historyView{Common: c(), History: rows, Next: "/me/security/history?after=1.x"}},
		"me_password":    {&passwordView{F: newForm()}, &passwordView{Common: c(), F: wrong, Change: true, Least: 8, Email: polyglot, May: true}},
		"me_totp":        {&totpView{F: newForm()}, &totpView{Common: c(), F: wrong, New: signin.NewTOTP{Flow: "x", Secret: "ABCDEFGHIJ", URL: "otpauth://totp/x", QR: signin.QR{Size: 29, Path: "M4 4h7v1H4z"}}}},
		"me_codes":       {&codesView{}, &codesView{Common: c(), Words: "Added.", Codes: []string{"abcde-fghjk"}}},
		"me_passkey_new": {&passkeyView{F: newForm()}, &passkeyView{Common: c(), F: wrong, Works: true}},
		"me_passkey":     {&passkeyView{F: newForm()}, &passkeyView{Common: c(), F: wrong, ID: "id", Name: polyglot, Created: t0, Used: t0, Works: true}},
		"me_keys":        {&personalView{}, &personalView{Common: c(), Keys: []personalRow{{ID: "x", Name: polyglot, Last4: "9f3K", May: polyglot, Created: t0, Expires: t0, Kind: "ok", State: "Active", Live: true}}}},
		"me_key_new":     {&newPersonalView{F: newForm()}, &newPersonalView{Common: c(), F: wrong, Perms: []permRow{{"postern.keys.read", polyglot, true}}, Lives: []option{{"30", "30 days", true}}}},
		"me_key_made":    {&madePersonalView{}, &madePersonalView{Common: c(), Name: polyglot, Secret: "secret", Server: polyglot, Expires: t0}},
	}
}

// send sends a form of someone who isn't in.
func (b *browser) send(path string, pairs ...string) *page {
	b.w.t.Helper()
	return b.post(path, append([]string{formToken, "-"}, pairs...)...)
}

// hidden is the value of a hidden field of a page.
func (p *page) hidden(name string) string {
	p.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("the page has no field %q: %.800s", name, text(p.body))
	}
	return m[1]
}

// form sends a form of a page as a browser does: with the token that it shows.
func (b *browser) form(p *page, path string, pairs ...string) *page {
	b.w.t.Helper()
	return b.post(path, append([]string{formToken, p.hidden(formToken)}, pairs...)...)
}

const goodPassword = "marble ticket cloud seven"

// joined is a browser of someone who accepted an invitation with a password.
func (w *world) joined(email string, role postern.RoleID) (*browser, postern.Actor) {
	w.t.Helper()
	inv := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: email, Name: "Grace Hopper", RoleID: role}))(w.t)
	b := w.stranger()
	link := inv.Invitation.Reveal()
	p := b.get("/join/"+link).want(200, "Join Larkspur Outdoor", "Grace Hopper", email)
	if p.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("the page of an invitation may be kept: %s", p.header.Get("Cache-Control"))
	}
	p.not(link)
	b.send("/join", "link", link, "password", goodPassword).want(404)
	b.send("/join", "link", p.hidden("link"), "password", "grace").want(422, "Use at least 15 characters")
	b.send("/join", "link", p.hidden("link"), "password", goodPassword).to("/")
	b.get("/keys").want(200, "Welcome. You are signed in.")
	w.stranger().get("/join/"+link).want(404, "This link is not valid").not(link)
	return b, postern.Actor{AccountID: w.account, MemberID: inv.Member.ID}
}

// quiet checks that no secret text is in the log.
func (w *world) quiet(secrets ...string) {
	w.t.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(w.log.String(), s) {
			w.t.Errorf("the log has the secret text %.12s…", s)
		}
	}
}

func (b *browser) cookieOf(name string) string {
	u, _ := url.Parse(b.w.url)
	for _, k := range b.c.Jar.Cookies(u) {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

func TestJoinSignOutSignIn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleViewer)
		text := b.cookieOf(cookieSession)
		b.post("/signout").to("/signin")
		b.get("/signin").want(200, "You are signed out.")
		b.get("/keys").to("/signin?next=%2Fkeys")

		// The text is worth nothing any more, wherever it was copied to.
		thief := w.stranger()
		u, _ := url.Parse(w.url)
		thief.c.Jar.SetCookies(u, []*http.Cookie{{Name: cookieSession, Value: text, Path: "/"}})
		thief.get("/keys").to("/signin?next=%2Fkeys")

		p := b.send("/signin", "email", "grace@example.com", "password", "wrong", "next", "/keys").want(401, "The address or the password is wrong.", "Error: Sign in", "grace@example.com")
		if p.hidden("next") != "/keys" {
			t.Error("a wrong password forgets where one wanted to go")
		}
		b.send("/signin", "email", "nobody@example.com", "password", "wrong").want(401, "The address or the password is wrong.")
		b.send("/signin", "email", "", "password", "").want(422, "Give your e-mail address.", "Give your password.")
		b.send("/signin", "email", "grace@example.com", "password", goodPassword, "next", "/keys?tab=unused").to("/keys?tab=unused")
		b.get("/keys").want(200, "Service keys")
		b.get("/signin?next=/keys").to("/keys")
		w.stranger().send("/signin", "email", "grace@example.com", "password", goodPassword, "next", "https://evil.example/").to("/")
		w.stranger().send("/signin", "email", "grace@example.com", "password", goodPassword, "next", "//evil.example/").to("/")
		w.quiet(text, b.cookieOf(cookieSession), goodPassword, "wrong password for")
	})
}

func TestOtherSitesCannotSignIn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		for _, path := range []string{"/signin", "/signin/link", "/join", "/setup", "/signin/second", "/signin/passkey/begin"} {
			req := must(http.NewRequest("POST", w.url+path, strings.NewReader("email=a&password=b")))(t)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "cross-site")
			w.stranger().do(req).want(403, "A page of another site asked for this")
		}
	})
}

func TestSetupInTheConsole(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := newBareWorld(t, target)
		w.stranger().get("/signin").want(200, "This server is not set up")
		secret, _, err := w.kr.SetupLink(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		link, b := secret.Reveal(), w.stranger()
		b.get("/setup/nonsense").want(404, "This link is not valid")
		p := b.get("/setup/"+link).want(200, "Set up this server", "Time zone")
		p.not(link)
		sealed := p.hidden("link")
		b.send("/setup", "link", sealed).want(422, "Give the account a name", "Give your e-mail address.", "Choose a password.")
		b.send("/setup", "link", sealed, "name", "Acme", "email", "ada@example.com", "password", "short", "timeZone", "UTC").want(422, "Use at least 15 characters", "Acme", "ada@example.com").not(`value="short"`)
		b.send("/setup", "link", sealed, "name", "Acme", "email", "no address", "password", goodPassword).want(422, "This is no e-mail address.")
		// Three fields are enough; the name is of the address, and the rest has good values.
		b.send("/setup", "link", sealed, "name", "Acme", "email", "ada@example.com", "password", goodPassword, "timeZone", "Europe/London").to("/")
		b.get("/keys").want(200, "Acme", "ada")
		w.stranger().get("/setup/" + link).want(404)
		b.send("/setup", "link", sealed, "name", "Evil", "email", "eve@example.com", "password", goodPassword).want(404)
		w.quiet(link, goodPassword)
	})
}

func TestLinkIsNotSpentByLooking(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		secret, _, err := w.signin.Link(context.Background(), postern.Actor{System: "test"}, w.super.MemberID)
		if err != nil {
			t.Fatal(err)
		}
		b, link := w.stranger(), secret.Reveal()
		for range 3 {
			b.get("/signin/link/"+link).want(200, "Maya Okafor", "It works once.").not(link)
		}
		sealed := b.get("/signin/link/" + link).hidden("link")
		b.send("/signin/link", "link", sealed).to("/")
		b.get("/keys").want(200, "Maya Okafor")
		w.stranger().get("/signin/link/"+link).want(404, "This link is not valid")
		w.stranger().send("/signin/link", "link", sealed).want(404, "This link is not valid")
		w.quiet(link, b.cookieOf(cookieSession))
	})
}

// app adds an authenticator app in a browser, and gives its secret and the recovery codes.
func (b *browser) app() (secret string, codes []string) {
	b.w.t.Helper()
	p := b.get("/me/security/totp").want(200, "Add an authenticator app", `class="qr"`)
	m := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(p.body)
	if m == nil {
		b.w.t.Fatalf("the page shows no secret: %.800s", p.body)
	}
	secret = m[1]
	flow := p.hidden("flow")
	again := b.form(p, "/me/security/totp", "flow", flow, "code", "000000").want(422, "This code is wrong", "Error: Authenticator app")
	if again.hidden("flow") != flow || !strings.Contains(again.body, secret) {
		b.w.t.Error("a wrong code makes another secret")
	}
	p = b.form(again, "/me/security/totp", "flow", flow, "code", b.w.code(secret)).want(200, "Keep your recovery codes")
	if p.header.Get("Cache-Control") != "no-store" {
		b.w.t.Error("the page of the recovery codes may be kept")
	}
	for _, m := range regexp.MustCompile(`<li><code>([0-9a-z-]+)</code>`).FindAllStringSubmatch(p.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != 10 {
		b.w.t.Fatalf("the page shows %d recovery codes", len(codes))
	}
	return secret, codes
}

func (w *world) code(secret string) string {
	return must(totp.GenerateCode(secret, w.now()))(w.t)
}

func TestPasswordAndCode(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleViewer)
		before := b.cookieOf(cookieSession)
		secret, codes := b.app()
		if b.cookieOf(cookieSession) == before {
			t.Error("a new second factor left the session's text as it was")
		}
		b.get("/me/security").want(200, "Authenticator app", "10 codes are left").not(codes[0])
		w.later(time.Minute)

		c := w.stranger()
		p := c.send("/signin", "email", "grace@example.com", "password", goodPassword, "next", "/me/security").want(200, "Second step", "Hello Grace Hopper")
		flow := p.hidden("flow")
		c.get("/me/security").to("/signin?next=%2Fme%2Fsecurity")
		p = c.send("/signin/second", "flow", flow, "code", "000000", "next", p.hidden("next")).want(422, "This code is wrong", "Second step")
		code := w.code(secret)
		c.send("/signin/second", "flow", p.hidden("flow"), "code", code, "next", p.hidden("next")).to("/me/security")
		c.get("/me/security").want(200, "Password and code", "Refused", "wrong code")

		d := w.stranger()
		d.send("/signin/second", "flow", flow, "code", code).want(401, "This took too long, or was completed already.", "Sign in")
		p = d.send("/signin", "email", "grace@example.com", "password", goodPassword)
		d.send("/signin/second", "flow", p.hidden("flow"), "code", code).want(422, "was used already")
		d.send("/signin/second", "flow", p.hidden("flow"), "code", codes[0]).to("/")
		d.get("/me/security").want(200, "Password and recovery code", "9 codes are left")
		e := w.stranger()
		p = e.send("/signin", "email", "grace@example.com", "password", goodPassword)
		e.send("/signin/second", "flow", p.hidden("flow"), "code", codes[0]).want(422, "none of your recovery codes")
		e.send("/signin/second", "flow", p.hidden("flow")[1:], "code", codes[1]).want(401)
		w.quiet(append(codes, secret, flow, code, goodPassword)...)
	})
}

func TestConfirmComesBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleDeveloper)
		b.get("/me/keys/new").want(200, "New personal key")
		old := b.get("/me/keys/new")
		w.later(11 * time.Minute)
		b.get("/me/keys/new").to("/confirm?next=%2Fme%2Fkeys%2Fnew")
		b.get("/confirm?next=/me/keys/new").want(200, "Confirm that it is you", "Password")

		// A form that was sent too late is taken up again once it's clear who sent it.
		p := b.form(old, "/me/keys", "name", "laptop", "days", "30", "reach", "all").want(403, "What you typed is kept.")
		p = b.form(p, "/confirm/kept", "kept", p.hidden("kept")).want(200, "Confirm that it is you", "What you typed is kept.")
		text := b.cookieOf(cookieSession)
		p = b.form(p, "/confirm", "kept", p.hidden("kept"), "password", "wrong").want(422, "This password is wrong.")
		p = b.form(p, "/confirm", "kept", p.hidden("kept"), "password", "").want(422, "Give your password.")
		p = b.form(p, "/confirm", "kept", p.hidden("kept"), "password", goodPassword).want(200, "Personal key made. Copy the secret now.", "laptop")
		if b.cookieOf(cookieSession) == text {
			t.Error("a confirmed session kept its text")
		}
		if p.header.Get("Cache-Control") != "no-store" {
			t.Error("the page of a secret may be kept")
		}
		b.get("/confirm?next=/me/keys").to("/me/keys")
		b.get("/me/keys").want(200, "laptop", "All that you may do", "Active")
		w.quiet(goodPassword)
	})
}

func TestSessionEndsWithinAForm(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleDeveloper)
		form := b.get("/me/keys/new")
		w.later(31 * time.Minute)
		p := b.form(form, "/me/keys", "name", "laptop", "days", "30", "reach", "all").want(401, "You were signed out", "with what you typed")
		p = b.send("/signin/kept", "kept", p.hidden("kept")).want(200, "Sign in")
		p = b.send("/signin", "email", "grace@example.com", "password", goodPassword, "kept", p.hidden("kept")).want(200, "You are back", "laptop")
		b.form(p, "/me/keys", "name", "laptop", "days", "30", "reach", "all").want(200, "Personal key made.")
	})
}

func TestOwnSecurityPage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, me := w.joined("grace@example.com", postern.RoleViewer)
		c, d := w.login(me), w.login(me)
		b.get("/me").to("/me/security")
		p := b.get("/me/security").want(200, "Your sign-in", "This one", "Sign-in link", "Invitation", "Sign out everywhere else", "Passkeys need a server with a name")
		ids := regexp.MustCompile(`name="session" value="([^"]+)"`).FindAllStringSubmatch(p.body, -1)
		if len(ids) != 2 {
			t.Fatalf("%d sessions can be ended, want the 2 others", len(ids))
		}
		b.form(p, "/me/security/sessions/end", "session", ids[0][1]).to("/me/security")
		b.get("/me/security").want(200, "You are signed out there.")
		b.post("/me/security/sessions/end", "session", ids[0][1]).to("/me/security")
		b.get("/me/security").want(200, "That session has ended already.")
		b.post("/me/security/sessions/end-others").to("/me/security")
		b.get("/me/security").want(200, "You are signed out everywhere else: 1 session ended.")
		c.get("/me/security").to("/signin?next=%2Fme%2Fsecurity")
		d.get("/me/security").to("/signin?next=%2Fme%2Fsecurity")
		b.get("/me/security/history").want(200, "Came in", "Invitation", "Sign-in link")
		b.get("/me/security/history?after=x.y").want(422, "This link is broken")

		// Nobody touches what is another's.
		mine := must(w.signin.Sessions(context.Background(), me.MemberID))(t)
		eve := w.login()
		eve.post("/me/security/sessions/end", "session", mine[0].ID).to("/me/security")
		b.get("/me/security").want(200)

		p = b.get("/me/security/password").want(200, "Change your password")
		b.form(p, "/me/security/password", "password", "grace").want(422, "Use at least 15 characters")
		e := w.login(me)
		b.post("/me/security/password", "password", "quiet harbour stone nine").to("/me/security")
		e.get("/me/security").to("/signin?next=%2Fme%2Fsecurity")
		b.get("/me/security").want(200, "Your password is changed.")
		w.stranger().send("/signin", "email", "grace@example.com", "password", goodPassword).want(401)
		w.stranger().send("/signin", "email", "grace@example.com", "password", "quiet harbour stone nine").to("/")
		b.post("/me/security/password/remove").to("/me/security")
		b.get("/me/security").want(200, "Your password is your only way in.")
	})
}

func TestRecoveryCodesAreShownOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, _ := w.joined("grace@example.com", postern.RoleViewer)
		_, codes := b.app()
		p := b.get("/me/security")
		token := p.hidden(formToken)
		first := b.post("/me/security/codes", formToken, token).want(200, "Keep your recovery codes", "The codes from before no longer work.").not(codes[0])
		fresh := regexp.MustCompile(`<li><code>([0-9a-z-]+)</code>`).FindStringSubmatch(first.body)[1]
		b.post("/me/security/codes", formToken, token).want(409, "sent before").not(fresh)
		b.post("/me/security/totp/remove").to("/me/security")
		b.get("/me/security").want(200, "Your authenticator app is removed.").not("Recovery codes")
		w.quiet(fresh)
	})
}

func TestPersonalKeys(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b, me := w.joined("grace@example.com", postern.RoleViewer)
		b.get("/me/keys").want(200, "No personal keys.")
		p := b.get("/me/keys/new").want(200, "See keys").not("Manage members")
		b.form(p, "/me/keys", "name", "", "days", "12", "reach", "some").want(422, "Give it a name", "Choose how long it lives.", "Tick at least one thing")
		b.post("/me/keys", "name", "ci", "days", "7", "reach", "some", "scope", "postern.nonsense").want(422, "There is no permission")
		p = b.get("/me/keys/new")
		made := b.form(p, "/me/keys", "name", "ci", "days", "7", "reach", "some", "scope", "postern.keys.read").want(200, "Personal key made.", "postern login --server")
		secret := regexp.MustCompile(`pst_pak_[0-9A-Za-z_]+`).FindString(made.body)
		if _, err := postern.ParseSecret("pst", secret); err != nil {
			t.Fatalf("the page shows no secret: %v", err)
		}
		b.form(p, "/me/keys", "name", "ci", "days", "7", "reach", "all").want(409).not(secret)
		b.get("/me/keys").want(200, "ci", "See keys").not(secret)
		keys := must(w.kr.PersonalKeys(context.Background(), me))(t)
		if len(keys) != 1 {
			t.Fatalf("%d personal keys, want 1", len(keys))
		}
		eve, _ := w.joined("eve@example.com", postern.RoleViewer)
		eve.post("/me/keys/" + string(keys[0].Key) + "/revoke").want(404)
		b.post("/me/keys/" + string(keys[0].Key) + "/revoke").to("/me/keys")
		b.get("/me/keys").want(200, "The key is ended.")
		w.quiet(secret)
	})
}

// passkeys makes a world that is reached by a name, as passkeys need.
func passkeys(w *world) *signintest.Authenticator {
	w.url = strings.Replace(w.url, "127.0.0.1", "localhost", 1)
	return &signintest.Authenticator{Origin: w.url}
}

// asked reads the challenge of a page's script.
func (p *page) asked() (options []byte, ceremony string) {
	p.t.Helper()
	var a struct {
		Options  json.RawMessage
		Ceremony string
	}
	if err := json.Unmarshal([]byte(p.want(200).body), &a); err != nil {
		p.t.Fatal(err)
	}
	return a.Options, a.Ceremony
}

func TestPasskeys(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		dev := passkeys(w)
		inv := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: "grace@example.com", Name: "Grace", RoleID: postern.RoleViewer}))(t)
		link, b := inv.Invitation.Reveal(), w.stranger()
		sealed := b.get("/join/"+link).want(200, "Join with a passkey").hidden("link")
		options, ceremony := b.send("/join/passkey/begin", "link", sealed).asked()
		answer := string(must(dev.Create(options))(t))
		b.send("/join/passkey", "link", sealed, "ceremony", ceremony, "response", "{}").want(401, "This passkey was not accepted.")
		b.send("/join/passkey", "link", sealed, "ceremony", ceremony, "response", answer).to("/")
		b.get("/me/security").want(200, "Another passkey", "You have none")

		c := w.stranger()
		c.get("/signin").want(200, "Sign in with a passkey")
		options, ceremony = c.send("/signin/passkey/begin").asked()
		answer = string(must(dev.Sign(options))(t))
		c.send("/signin/passkey", "ceremony", ceremony, "response", answer, "next", "/me/security").to("/me/security")
		w.stranger().send("/signin/passkey", "ceremony", ceremony, "response", answer).want(401, "This took too long, or was completed already.")

		// A password beside it, then the passkey as its second factor.
		c.post("/me/security/password", "password", "mild4est").to("/me/security")
		d := w.stranger()
		p := d.send("/signin", "email", "grace@example.com", "password", "mild4est").want(200, "Second step", "Use a passkey")
		options, ceremony = d.send("/signin/second/passkey/begin", "flow", p.hidden("flow")).asked()
		answer = string(must(dev.Sign(options))(t))
		d.send("/signin/second/passkey", "flow", p.hidden("flow"), "ceremony", ceremony, "response", answer, "next", "/me/security").to("/me/security")

		// And to confirm.
		w.later(11 * time.Minute)
		d.get("/me/security/passkeys/new").to("/confirm?next=%2Fme%2Fsecurity%2Fpasskeys%2Fnew")
		d.send("/me/security/passkeys/begin").want(403, "Too much time went by.")
		p = d.get("/confirm?next=/me/security/passkeys/new").want(200, "Use a passkey")
		options, ceremony = d.send("/confirm/passkey/begin").asked()
		d.form(p, "/confirm/passkey", "ceremony", ceremony, "response", string(must(dev.Sign(options))(t)), "next", p.hidden("next")).to("/me/security/passkeys/new")

		// Another one, renamed and removed.
		p = d.get("/me/security/passkeys/new").want(200, "Add a passkey")
		options, ceremony = d.send("/me/security/passkeys/begin").asked()
		phone := &signintest.Authenticator{Origin: w.url}
		p = d.form(p, "/me/security/passkeys", "ceremony", ceremony, "response", string(must(phone.Create(options))(t)), "name", "Phone")
		p.want(200, "Keep your recovery codes")
		p = d.get("/me/security").want(200, "Passkey Phone")
		id := regexp.MustCompile(`/me/security/passkeys/([^/"]+)">Rename<span class="sr"> the passkey Phone`).FindStringSubmatch(p.body)[1]
		p = d.get("/me/security/passkeys/"+id).want(200, "Phone")
		d.form(p, "/me/security/passkeys/"+id, "name", strings.Repeat("x", 65)).want(422, "Use at most 64 characters.")
		d.post("/me/security/passkeys/"+id, "name", "Old phone").to("/me/security")
		w.login().get("/me/security/passkeys/" + id).want(404)
		d.post("/me/security/passkeys/" + id + "/remove").to("/me/security")
		d.get("/me/security").want(200, "Your passkey is removed.").not("Old phone")
		w.quiet(link, "mild4est")
	})
}

func TestSingleSignOn(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		var w *world
		p := signintest.NewProvider(t, func() time.Time { return w.now() })
		var svc *signin.Service
		w = newWorld(t, target, func(c *Config) {
			pepper := must(postern.ParsePepper(postern.NewPepper()))(t)
			svc = must(signin.New(signin.Config{DB: c.DB, Pepper: pepper, Keyring: c.Keyring, PublicURL: "http://localhost", Now: func() time.Time { return w.now() }, Log: c.Log,
				Providers: []signin.Provider{{ID: "okta", Name: "Okta", Issuer: p.URL, ClientID: p.ClientID, ClientSecret: p.ClientSecret}}}))(t)
			c.Signin, c.Now = svc, func() time.Time { return w.now() }
		})
		w.signin = svc

		// visit follows a link to the provider and comes back with its answer.
		visit := func(b *browser, path string) *page {
			t.Helper()
			to := b.get(path)
			if to.status != 303 || !strings.HasPrefix(to.header.Get("Location"), p.URL) {
				t.Fatalf("%s leads to %q (%d)", path, to.header.Get("Location"), to.status)
			}
			state, code := p.Visit(to.header.Get("Location"))
			return b.get("/signin/sso/callback?" + url.Values{"state": {state}, "code": {code}}.Encode())
		}
		b := w.stranger()
		b.get("/signin?next=/keys").want(200, "Sign in with Okta")
		visit(b, "/signin/sso/okta?next=/keys").want(403, "you are no member here yet")

		inv := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: "grace@example.com", Name: "Grace", RoleID: postern.RoleDeveloper}))(t)
		b.get("/join/"+inv.Invitation.Reveal()).want(200, "Join with Okta")
		visit(b, "/signin/sso/okta?join=1").to("/")
		b.get("/me/security").want(200, "Okta")
		c := w.stranger()
		visit(c, "/signin/sso/okta?next=/keys").to("/keys")
		c.get("/keys").want(200, "Grace")
		w.stranger().get("/signin/sso/callback?state=x&code=y").want(401, "begun in another browser")
		w.stranger().get("/signin/sso/okta?join=1").want(410, "Open your invitation again")
		w.stranger().get("/signin/sso/none").want(404)

		// Confirm with the provider, and come back to the form.
		form := c.get("/me/keys/new").want(200)
		w.later(11 * time.Minute)
		visit(c, "/confirm/sso/okta?next=/me/keys/new").to("/me/keys/new")
		w.later(11 * time.Minute)
		q := c.form(form, "/me/keys", "name", "ci", "days", "7", "reach", "all").want(403)
		q = c.form(q, "/confirm/kept", "kept", q.hidden("kept")).want(200, "Confirm with Okta")
		c.form(q, "/confirm/sso/okta", "kept", q.hidden("kept")).want(200, "Go on to confirm")
		visit(c, "/confirm/sso/okta?kept=1").want(200, "Personal key made.")

		// Tie it to a member who has another way in.
		d := w.login()
		p.Claims = map[string]any{"sub": "subject-2"}
		q = d.post("/me/security/sso/okta").want(200, "You leave this site now", "Okta")
		away := html.UnescapeString(regexp.MustCompile(`href="(` + regexp.QuoteMeta(p.URL) + `[^"]*)"`).FindStringSubmatch(q.body)[1])
		state, code := p.Visit(away)
		d.get("/signin/sso/callback?" + url.Values{"state": {state}, "code": {code}}.Encode()).to("/me/security")
		d.get("/me/security").want(200, "You can sign in this way from now on.")
		visit(w.stranger(), "/signin/sso/okta").to("/")
		d.get("/signin/sso/callback?error=access_denied")
		w.quiet(inv.Invitation.Reveal(), p.ClientSecret)
	})
}
