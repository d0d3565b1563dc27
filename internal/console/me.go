package console

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
)

const historyPage = 50

// meRoutes are a member's own ways in. What changes them needs a recent proof.
func (c *Console) meRoutes() []route {
	return []route{
		{Pattern: "GET /me", Serve: func(v *visit) error { return v.redirect("/me/security") }},
		{Pattern: "GET /me/security", Serve: c.showSecurity},
		{Pattern: "GET /me/security/history", Serve: c.showHistory},
		{Pattern: "GET /me/security/password", Fresh: true, Serve: c.showPassword},
		{Pattern: "POST /me/security/password", Fresh: true, Serve: c.setPassword},
		{Pattern: "POST /me/security/password/remove", Fresh: true, Serve: c.removePassword},
		{Pattern: "GET /me/security/totp", Fresh: true, Serve: c.showTOTP},
		{Pattern: "POST /me/security/totp", Fresh: true, Serve: c.addTOTP},
		{Pattern: "POST /me/security/totp/remove", Fresh: true, Serve: c.removeTOTP},
		{Pattern: "POST /me/security/codes", Fresh: true, Serve: c.newCodes},
		{Pattern: "GET /me/security/passkeys/new", Fresh: true, Serve: c.showNewPasskey},
		{Pattern: "POST /me/security/passkeys/begin", Raw: true, Serve: c.beginNewPasskey},
		{Pattern: "POST /me/security/passkeys", Fresh: true, Serve: c.addPasskey},
		{Pattern: "GET /me/security/passkeys/{id}", Serve: c.showPasskey},
		{Pattern: "POST /me/security/passkeys/{id}", Serve: c.renamePasskey},
		{Pattern: "POST /me/security/passkeys/{id}/remove", Fresh: true, Serve: c.removePasskey},
		{Pattern: "POST /me/security/sessions/end", Serve: c.endSession},
		{Pattern: "POST /me/security/sessions/end-others", Serve: c.endOtherSessions},
		{Pattern: "POST /me/security/sso/{provider}", Fresh: true, Serve: c.tieProvider},
		{Pattern: "POST /me/security/identities/remove", Fresh: true, Serve: c.removeIdentity},
	}
}

// securityView is a member's page of their ways in.
type securityView struct {
	Common
	Ways      signin.Factors
	Passkeys  bool // work at this address
	Sessions  []sessionRow
	History   []signinRow
	Providers []signin.Provider // that aren't tied yet
	Tied      []tiedRow
}

type sessionRow struct {
	ID, Device, IP, Method string
	Seen, Created          time.Time
	Here                   bool
}

type signinRow struct {
	At         time.Time
	Words      string
	OK         bool
	Why        string
	IP, Device string
}

type tiedRow struct {
	Name, Issuer, Subject string
	Since, Used           time.Time
}

// methodWords says how somebody came in.
func (c *Console) methodWords(method string) string {
	if id, ok := strings.CutPrefix(method, "sso:"); ok {
		for _, p := range c.cfg.Signin.Providers() {
			if p.ID == id {
				return p.Name
			}
		}
		return "Single sign-on"
	}
	words := map[string]string{"password": "Password", "totp": "code", "passkey": "passkey", "recovery": "recovery code",
		"link": "Sign-in link", "invitation": "Invitation", "setup": "Set-up link"}
	var out []string
	for part := range strings.SplitSeq(method, "+") {
		if w := words[part]; w != "" {
			out = append(out, w)
		} else {
			out = append(out, part)
		}
	}
	s := list(out)
	return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):]
}

// deviceWords says which browser on which system a user agent is, as far as it tells.
func deviceWords(ua string) string {
	find := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(ua, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	browser := find("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari")
	system := find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	case ua == "":
		return "Unknown browser"
	}
	name, _, _ := strings.Cut(ua, " ")
	if len(name) > 60 {
		name = strings.ToValidUTF8(name[:60], "") + "…"
	}
	return name
}

func (c *Console) showSecurity(v *visit) error {
	ctx, me := v.r.Context(), v.session.MemberID
	page := &securityView{Common: v.common("Your sign-in", "/me"), Passkeys: c.cfg.Signin.PasskeysAt(v.r.Host)}
	var err error
	if page.Ways, err = c.cfg.Signin.Factors(ctx, me); err != nil {
		return err
	}
	sessions, err := c.cfg.Signin.Sessions(ctx, me)
	if err != nil {
		return err
	}
	for _, x := range sessions {
		page.Sessions = append(page.Sessions, sessionRow{ID: x.ID, Device: deviceWords(x.UserAgent), IP: x.IP, Method: c.methodWords(x.Method),
			Seen: x.SeenAt, Created: x.CreatedAt, Here: x.ID == v.session.ID})
	}
	if page.History, _, err = c.history(v, store.Cursor{}, 6); err != nil {
		return err
	}
	byIssuer := map[string]string{}
	providers := c.cfg.Signin.ProvidersFor(v.account())
	for _, p := range providers {
		byIssuer[p.Issuer] = p.Name
	}
	for _, i := range page.Ways.Identities {
		name := byIssuer[i.Issuer]
		if name == "" {
			name = i.Issuer
		}
		page.Tied = append(page.Tied, tiedRow{Name: name, Issuer: i.Issuer, Subject: i.Subject, Since: i.CreatedAt, Used: i.UsedAt})
		delete(byIssuer, i.Issuer)
	}
	for _, p := range providers {
		if byIssuer[p.Issuer] != "" {
			page.Providers = append(page.Providers, p)
		}
	}
	return v.render("me_security", page)
}

// history gives up to n sign-ins, and where the next ones begin.
func (c *Console) history(v *visit, after store.Cursor, n int) (rows []signinRow, next string, err error) {
	all, err := c.cfg.Signin.History(v.r.Context(), v.session.MemberID, after, n+1)
	if err != nil {
		return nil, "", err
	}
	if len(all) > n {
		all = all[:n]
		next = strconv.FormatInt(all[n-1].At.UnixMicro(), 10) + "." + all[n-1].ID
	}
	for _, r := range all {
		rows = append(rows, signinRow{At: r.At, Words: c.methodWords(r.Method), OK: r.Result == "ok", Why: r.Reason, IP: r.IP, Device: deviceWords(r.UserAgent)})
	}
	return rows, next, nil
}

// historyView lists all sign-ins.
type historyView struct {
	Common
	History []signinRow
	Next    string
}

func (c *Console) showHistory(v *visit) error {
	var after store.Cursor
	if at, id, ok := strings.Cut(v.query("after"), "."); ok {
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || n <= 0 || len(id) > 64 || strings.ContainsRune(id, 0) {
			return postern.Errorf(postern.CodeInvalid, "This link is broken. Start at the first page.")
		}
		after = store.Cursor{At: n, ID: strings.ToValidUTF8(id, "")}
	}
	page := &historyView{Common: v.common("Sign-ins", "/me", crumb{"Your sign-in", "/me/security"})}
	rows, next, err := c.history(v, after, historyPage)
	if err != nil {
		return err
	}
	page.History = rows
	if next != "" {
		page.Next = link("/me/security/history", "after", next)
	}
	return v.render("me_history", page)
}

// passwordView is the page of setting a password.
type passwordView struct {
	Common
	F      *form
	Change bool
	Least  int
	Email  string
	May    bool // be without one
}

func (c *Console) passwordPage(v *visit, f *form) (*passwordView, error) {
	has, err := c.cfg.Signin.Factors(v.r.Context(), v.session.MemberID)
	if err != nil {
		return nil, err
	}
	p := &passwordView{Common: v.common("Your password", "/me", crumb{"Your sign-in", "/me/security"}), F: f, Change: has.Password, Email: v.member().Email,
		Least: signin.MinAlone, May: has.Password && len(has.Passkeys)+len(has.Identities) > 0}
	if has.Second() {
		p.Least = signin.MinWithFactor
	}
	p.Scripts = []string{"signin.js"}
	return p, nil
}

func (c *Console) showPassword(v *visit) error {
	page, err := c.passwordPage(v, newForm())
	if err != nil {
		return err
	}
	return v.render("me_password", page)
}

func (c *Console) setPassword(v *visit) error {
	f := newForm()
	signed, err := c.cfg.Signin.SetPassword(v.r.Context(), v.session, v.r.PostForm.Get("password"), v.by)
	if err != nil {
		page, failed := c.passwordPage(v, f)
		if failed != nil {
			return failed
		}
		return v.wrong("me_password", page, f, "", err)
	}
	v.signedIn(&signed)
	return v.done("/me/security", "Your password is changed. Everywhere else you are signed out.")
}

// lose does what takes a way in away; where the rules forbid that, the page says why.
func (v *visit) lose(signed signin.Signed, err error, done string) error {
	if err == nil {
		v.signedIn(&signed)
		return v.done("/me/security", done+" Everywhere else you are signed out.")
	}
	if postern.CodeOf(err) == postern.CodeConflict {
		return v.warn("/me/security", err.Error())
	}
	return err
}

func (c *Console) removePassword(v *visit) error {
	signed, err := c.cfg.Signin.RemovePassword(v.r.Context(), v.session, v.by)
	return v.lose(signed, err, "Your password is removed.")
}

// totpView shows an authenticator app its secret.
type totpView struct {
	Common
	F   *form
	New signin.NewTOTP
}

func (c *Console) totpPage(v *visit, f *form, n signin.NewTOTP) *totpView {
	v.showsSecret()
	return &totpView{Common: v.common("Authenticator app", "/me", crumb{"Your sign-in", "/me/security"}), F: f, New: n}
}

// Address opens an app on the same device. The server made it, with a scheme that
// templates don't know.
func (p *totpView) Address() template.URL { return template.URL(p.New.URL) }

// Groups is the secret in groups of four, which are easier to type.
func (p *totpView) Groups() string {
	var out []string
	for s := p.New.Secret; s != ""; {
		n := min(4, len(s))
		out, s = append(out, s[:n]), s[n:]
	}
	return strings.Join(out, " ")
}

func (c *Console) showTOTP(v *visit) error {
	n, err := c.cfg.Signin.BeginTOTP(v.session)
	if err != nil {
		return err
	}
	return v.render("me_totp", c.totpPage(v, newForm(), n))
}

func (c *Console) addTOTP(v *visit) error {
	v.showsSecret()
	f := v.sent()
	signed, codes, err := c.cfg.Signin.FinishTOTP(v.r.Context(), v.session, f.Get("flow"), f.Get("code"), v.by)
	if postern.CodeOf(err) == postern.CodeInvalid {
		n, gone := c.cfg.Signin.ReopenTOTP(v.session, f.Get("flow"))
		if gone != nil {
			return gone
		}
		g := newForm()
		return v.wrong("me_totp", c.totpPage(v, g, n), g, "code", err)
	}
	if postern.CodeOf(err) == postern.CodeUnauthenticated {
		return v.warn("/me/security", err.Error())
	}
	if err != nil {
		return err
	}
	v.signedIn(&signed)
	return c.added(v, codes, "Your authenticator app is added. Signing in asks for its code from now on. Everywhere else you are signed out.")
}

// codesView shows recovery codes, this once.
type codesView struct {
	Common
	Words string
	Codes []string
}

// All are the codes as a text to keep.
func (p *codesView) All() string { return strings.Join(p.Codes, "\n") + "\n" }

// added goes on after a factor was added: with the recovery codes, where it brought some.
func (c *Console) added(v *visit, codes []string, words string) error {
	if len(codes) == 0 {
		return v.done("/me/security", words)
	}
	v.showsSecret()
	return v.render("me_codes", &codesView{Common: v.common("Recovery codes", "/me", crumb{"Your sign-in", "/me/security"}), Words: words, Codes: codes})
}

func (c *Console) removeTOTP(v *visit) error {
	signed, err := c.cfg.Signin.RemoveTOTP(v.r.Context(), v.session, v.by)
	return v.lose(signed, err, "Your authenticator app is removed.")
}

func (c *Console) newCodes(v *visit) error {
	signed, codes, err := c.cfg.Signin.NewCodes(v.r.Context(), v.session, v.by)
	if err != nil {
		return err
	}
	v.signedIn(&signed)
	return c.added(v, codes, "The codes from before no longer work. Everywhere else you are signed out.")
}

// passkeyView is the page of one passkey, or of a new one.
type passkeyView struct {
	Common
	F       *form
	ID      string
	Name    string
	Created time.Time
	Used    time.Time
	Works   bool
}

func (c *Console) passkeyPage(v *visit, title string, f *form) *passkeyView {
	p := &passkeyView{Common: v.common(title, "/me", crumb{"Your sign-in", "/me/security"}), F: f, Works: c.cfg.Signin.PasskeysAt(v.r.Host)}
	p.Scripts = []string{"signin.js"}
	return p
}

func (c *Console) showNewPasskey(v *visit) error {
	return v.render("me_passkey_new", c.passkeyPage(v, "New passkey", newForm("name", deviceWords(v.by.UserAgent))))
}

func (c *Console) beginNewPasskey(v *visit) error {
	if !c.cfg.Signin.IsFresh(v.session) {
		return v.challenge(signin.Challenge{}, postern.Errorf(postern.CodeForbidden, "Too much time went by. Open this page again and confirm that it is you."))
	}
	return v.challenge(c.cfg.Signin.BeginRegister(v.r.Context(), v.r.Host, v.session))
}

func (c *Console) addPasskey(v *visit) error {
	v.showsSecret()
	f := v.sent()
	signed, codes, err := c.cfg.Signin.FinishRegister(v.r.Context(), v.r.Host, v.session, f.Get("ceremony"), []byte(f.Get("response")), f.Get("name"), v.by)
	if err != nil {
		return v.wrong("me_passkey_new", c.passkeyPage(v, "New passkey", f), f, "", err)
	}
	v.signedIn(&signed)
	return c.added(v, codes, "Your passkey is added. Everywhere else you are signed out.")
}

func (c *Console) findPasskey(v *visit) (store.Passkey, error) {
	has, err := c.cfg.Signin.Factors(v.r.Context(), v.session.MemberID)
	if err != nil {
		return store.Passkey{}, err
	}
	for _, k := range has.Passkeys {
		if k.ID == v.path("id") {
			return k, nil
		}
	}
	return store.Passkey{}, postern.Errorf(postern.CodeNotFound, "You have no such passkey. It may have been removed.")
}

func (c *Console) showPasskey(v *visit) error {
	k, err := c.findPasskey(v)
	if err != nil {
		return err
	}
	return v.render("me_passkey", c.onePasskey(v, k, newForm("name", k.Name)))
}

func (c *Console) onePasskey(v *visit, k store.Passkey, f *form) *passkeyView {
	p := c.passkeyPage(v, k.Name, f)
	p.ID, p.Name, p.Created, p.Used = k.ID, k.Name, k.CreatedAt, k.UsedAt
	return p
}

func (c *Console) renamePasskey(v *visit) error {
	k, err := c.findPasskey(v)
	if err != nil {
		return err
	}
	f := v.sent()
	if err := c.cfg.Signin.RenamePasskey(v.r.Context(), v.session, k.ID, f.Get("name"), v.by); err != nil {
		return v.wrong("me_passkey", c.onePasskey(v, k, f), f, "", err)
	}
	return v.done("/me/security", "Your passkey has its new name.")
}

func (c *Console) removePasskey(v *visit) error {
	signed, err := c.cfg.Signin.RemovePasskey(v.r.Context(), v.session, v.path("id"), v.by)
	return v.lose(signed, err, "Your passkey is removed.")
}

func (c *Console) endSession(v *visit) error {
	id := v.r.PostForm.Get("session")
	if id == v.session.ID {
		return c.signOut(v)
	}
	if err := c.cfg.Signin.EndSession(v.r.Context(), v.session, id, v.by); err != nil {
		if postern.CodeOf(err) == postern.CodeNotFound {
			return v.warn("/me/security", "That session has ended already.")
		}
		return err
	}
	return v.done("/me/security", "You are signed out there.")
}

func (c *Console) endOtherSessions(v *visit) error {
	n, err := c.cfg.Signin.EndOtherSessions(v.r.Context(), v.session, v.by)
	if err != nil {
		return err
	}
	return v.done("/me/security", "You are signed out everywhere else: "+count(n, "session", "sessions")+" ended.")
}

// tieProvider begins to add a provider to a member's ways in. It is a form with its
// token, so that no other site can begin it; the way to the provider is a link on the
// answer, since browsers hold the policy for forms against redirects as well.
func (c *Console) tieProvider(v *visit) error {
	v.showsSecret()
	address, flow, err := c.cfg.Signin.BeginSSO(v.r.Context(), signin.SSOWish{Provider: v.path("provider"), Session: v.session, Back: "/me/security"})
	if err != nil {
		return err
	}
	v.setCookie(cookieSSO, flow, ssoKept)
	page := &leaveView{Common: v.common("Add a way in", "/me", crumb{"Your sign-in", "/me/security"}), Link: address, Away: true}
	for _, p := range c.cfg.Signin.ProvidersFor(v.account()) {
		if p.ID == v.path("provider") {
			page.Name = p.Name
		}
	}
	return v.render("signin_leave", page)
}

func (c *Console) removeIdentity(v *visit) error {
	f := v.r.PostForm
	signed, err := c.cfg.Signin.RemoveIdentity(v.r.Context(), v.session, f.Get("issuer"), f.Get("subject"), v.by)
	return v.lose(signed, err, "That sign-in is removed.")
}
