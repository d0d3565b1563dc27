package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

// The cookies of a sign-in that is on its way.
const (
	cookieSSO  = "postern_sso"  // the flow of who is at a provider
	cookieJoin = "postern_join" // the invitation of who may go to a provider with it
	cookieKept = "postern_kept" // the form of who went to a provider to confirm
)

const (
	ssoKept     = 10 * time.Minute
	joinKept    = time.Hour
	maxKeptText = 3000 // of a form in a cookie, which browsers cut at 4 KB
)

// signinRoutes are the ways in, and the way out.
func (c *Console) signinRoutes() []route {
	routes := []route{
		{Pattern: "GET /signin", Public: true, Serve: c.showSignin},
		{Pattern: "GET /signin/second", Public: true, Serve: func(v *visit) error { return v.redirect("/signin") }},
		{Pattern: "GET /signin/account", Public: true, Serve: func(v *visit) error { return v.redirect("/signin") }},
		{Pattern: "GET /signin/link/{link}", Public: true, Serve: c.showLink},
		{Pattern: "GET /signin/sso/{provider}", Public: true, Serve: c.goSSO},
		{Pattern: "GET /signin/sso/callback", Public: true, Serve: c.backFromSSO},
		{Pattern: "POST /signout", Serve: c.signOut},
		{Pattern: "POST /signin/kept", Public: true, Raw: true, MaxBody: formMax, Serve: c.outside(c.showSigninKept)},
	}
	for pattern, serve := range map[string]func(*visit) error{
		"POST /signin": c.trySignin, "POST /signin/second": c.trySecond, "POST /signin/second/passkey": c.trySecondPasskey,
		"POST /signin/passkey": c.tryPasskey, "POST /signin/link": c.tryLink,
		"POST /signin/account":       c.tryAccount,
		"POST /signin/passkey/begin": c.beginPasskey, "POST /signin/second/passkey/begin": c.beginSecondPasskey,
	} {
		routes = append(routes, route{Pattern: pattern, Public: true, Raw: true, MaxBody: formMax, Serve: c.outside(serve)})
	}
	return routes
}

// formMax is what a form may bring that carries another one along.
const formMax = 2 << 20

// outside serves a form of someone who isn't in yet. It has no token, since there
// is no session to make one for; the check of the origin keeps other sites out.
// Who came in in the meantime, in another tab, goes on as they are.
func (c *Console) outside(serve func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if err := v.r.ParseForm(); err != nil {
			return postern.Errorf(postern.CodeInvalid, "The form could not be read. Go back and send it again.")
		}
		return serve(v)
	}
}

// signinView is the page of signing in.
type signinView struct {
	Common
	F         *form
	Next      string
	Kept      string // a form that waits
	Account   int64  // the number of the one account to go into; 0: any
	Passkeys  bool
	Providers []signin.Provider
}

func (c *Console) signinPage(v *visit, f *form, next, kept string) *signinView {
	v.showsSecret()
	s := &signinView{Common: v.common("Sign in", ""), F: f, Next: localPath(next), Kept: kept,
		Passkeys: c.cfg.Signin.PasskeysAt(v.r.Host), Providers: c.cfg.Signin.Providers()}
	// Who is a member of many accounts may name one in the address: /signin?account=4711.
	if n, err := strconv.ParseInt(cmp.Or(f.Get("account"), v.query("account")), 10, 64); err == nil && n > 0 {
		s.Account = n
	}
	s.Wide, s.Error, s.Scripts = true, !f.OK(), []string{"signin.js"}
	return s
}

func (c *Console) showSignin(v *visit) error {
	next := v.query("next")
	if v.session != nil {
		return v.redirect(next)
	}
	fresh, err := c.kr.NeedsSetup(v.r.Context())
	if err != nil {
		return err
	}
	if fresh {
		return v.render("signin_empty", c.signinPage(v, newForm(), "", ""))
	}
	return v.render("signin", c.signinPage(v, newForm(), next, ""))
}

// showSigninKept is the page for who sent a form after their session had ended.
func (c *Console) showSigninKept(v *visit) error {
	kept := v.r.PostForm.Get("kept")
	if v.session != nil {
		return v.goOn("/", kept)
	}
	return v.render("signin", c.signinPage(v, newForm(), "/", kept))
}

// wrong says on a form what kept someone out, with the status of it.
func (v *visit) wrong(name string, page view, f *form, field string, err error) error {
	e, ok := errors.AsType[*postern.Error](err)
	if !ok || e.Code == postern.CodeInternal {
		return err
	}
	if e.Field != "" && field == "" {
		field = e.Field
	}
	f.Wrong(field, "%s", e.Message)
	page.base().Error = true
	v.err = e.Err
	return v.show(statusOf(e.Code), name, page)
}

func (c *Console) trySignin(v *visit) error {
	f := v.sent()
	next, kept := f.Get("next"), f.Get("kept")
	if v.session != nil {
		return v.goOn(next, kept)
	}
	password := f.Values.Get("password")
	f.Values.Del("password")
	page := c.signinPage(v, f, next, kept)
	if f.Get("email") == "" {
		f.Wrong("email", "Give your e-mail address.")
	}
	if password == "" {
		f.Wrong("password", "Give your password.")
	}
	if !f.OK() {
		page.Error = true
		return v.show(http.StatusUnprocessableEntity, "signin", page)
	}
	a, err := c.cfg.Signin.Password(v.r.Context(), signin.Try{Email: f.Get("email"), Password: password, Account: page.Account, Device: v.device(), From: v.by})
	if err != nil {
		return v.wrong("signin", page, f, "email", err)
	}
	return c.afterPassword(v, a, next, kept)
}

// afterPassword goes on with what a right password led to.
func (c *Console) afterPassword(v *visit, a signin.Answer, next, kept string) error {
	switch {
	case a.Signed != nil:
		v.signedIn(a.Signed)
		return v.goOn(next, kept)
	case len(a.Choices) > 0:
		v.showsSecret()
		page := &whichView{Common: v.common("Choose an account", ""), Flow: a.Flow, Next: localPath(next), Kept: kept, Accounts: a.Choices}
		page.Wide = true
		return v.render("signin_account", page)
	}
	return v.render("signin_second", c.secondPage(v, newForm(), a, next, kept))
}

// whichView asks which account someone goes into, where their password opens several.
type whichView struct {
	Common
	Flow       string
	Next, Kept string
	Accounts   []signin.Choice
}

func (c *Console) tryAccount(v *visit) error {
	f := v.sent()
	next, kept := f.Get("next"), f.Get("kept")
	if v.session != nil {
		return v.goOn(next, kept)
	}
	number, _ := strconv.ParseInt(f.Get("account"), 10, 64) // what is no number is no account's
	a, err := c.cfg.Signin.Choose(v.r.Context(), f.Get("flow"), number, v.device(), v.by)
	if err != nil {
		g := newForm()
		return v.wrong("signin", c.signinPage(v, g, next, kept), g, "", err)
	}
	return c.afterPassword(v, a, next, kept)
}

// secondView asks for a second factor.
type secondView struct {
	Common
	F          *form
	Name       string
	Flow       string
	Next, Kept string
	TOTP       bool
	Codes      bool
	Passkeys   bool
}

func (c *Console) secondPage(v *visit, f *form, a signin.Answer, next, kept string) *secondView {
	v.showsSecret()
	s := &secondView{Common: v.common("Second step", ""), F: f, Name: a.Name, Flow: a.Flow, Next: localPath(next), Kept: kept,
		TOTP: a.Factors.TOTP, Codes: a.Factors.Codes > 0, Passkeys: len(a.Factors.Passkeys) > 0 && c.cfg.Signin.PasskeysAt(v.r.Host)}
	s.Wide, s.Scripts = true, []string{"signin.js"}
	return s
}

// secondWrong shows the second step again, or the first where this one is over.
func (c *Console) secondWrong(v *visit, f *form, field string, err error) error {
	next, kept := f.Get("next"), f.Get("kept")
	a, gone := c.cfg.Signin.Second(v.r.Context(), f.Get("flow"))
	// A wrong code is invalid; where the answer is another, the step itself is over.
	over := field == "code" && postern.CodeOf(err) == postern.CodeUnauthenticated
	if gone != nil || over || ours(err) {
		g := newForm()
		return v.wrong("signin", c.signinPage(v, g, next, kept), g, "", err)
	}
	g := newForm()
	return v.wrong("signin_second", c.secondPage(v, g, a, next, kept), g, field, err)
}

func (c *Console) trySecond(v *visit) error {
	f := v.sent()
	if v.session != nil {
		return v.goOn(f.Get("next"), f.Get("kept"))
	}
	signed, err := c.cfg.Signin.Code(v.r.Context(), f.Get("flow"), f.Get("code"), v.device(), v.by)
	if err != nil {
		return c.secondWrong(v, f, "code", err)
	}
	v.signedIn(signed)
	return v.goOn(f.Get("next"), f.Get("kept"))
}

func (c *Console) trySecondPasskey(v *visit) error {
	f := v.sent()
	if v.session != nil {
		return v.goOn(f.Get("next"), f.Get("kept"))
	}
	signed, err := c.cfg.Signin.FinishSecondPasskey(v.r.Context(), v.r.Host, f.Get("ceremony"), []byte(f.Get("response")), v.by)
	if err != nil {
		return c.secondWrong(v, f, "", err)
	}
	v.signedIn(signed)
	return v.goOn(f.Get("next"), f.Get("kept"))
}

func (c *Console) tryPasskey(v *visit) error {
	f := v.sent()
	if v.session != nil {
		return v.goOn(f.Get("next"), f.Get("kept"))
	}
	signed, err := c.cfg.Signin.FinishPasskey(v.r.Context(), v.r.Host, f.Get("ceremony"), []byte(f.Get("response")), v.by)
	if err != nil {
		g := newForm()
		return v.wrong("signin", c.signinPage(v, g, f.Get("next"), f.Get("kept")), g, "", err)
	}
	v.signedIn(signed)
	return v.goOn(f.Get("next"), f.Get("kept"))
}

// challenge answers a script with what the browser shall ask an authenticator.
func (v *visit) challenge(ch signin.Challenge, err error) error {
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		e, ok := errors.AsType[*postern.Error](err)
		if !ok || e.Code == postern.CodeInternal {
			v.err = err
			e = postern.Errorf(postern.CodeInternal, "This did not work. Try again, or use another way.")
		}
		v.w.WriteHeader(statusOf(e.Code))
		return json.NewEncoder(v.w).Encode(map[string]string{"error": e.Message})
	}
	return json.NewEncoder(v.w).Encode(map[string]any{"options": ch.Options, "ceremony": ch.Flow})
}

func (c *Console) beginPasskey(v *visit) error {
	return v.challenge(c.cfg.Signin.BeginPasskey(v.r.Host))
}

func (c *Console) beginSecondPasskey(v *visit) error {
	return v.challenge(c.cfg.Signin.BeginSecondPasskey(v.r.Context(), v.r.Host, v.r.PostForm.Get("flow")))
}

// linkView asks before a link is used up: looking at it, as mail scanners do, must not.
type linkView struct {
	Common
	Link, Name, Account string
}

func (c *Console) showLink(v *visit) error {
	v.showsSecret()
	m, a, err := c.cfg.Signin.LinkFor(v.r.Context(), v.path("link"))
	if err != nil {
		return deadLink(err)
	}
	sealed, err := v.sealLink(v.path("link"))
	if err != nil {
		return err
	}
	page := &linkView{Common: v.common("Sign in", ""), Link: sealed, Name: nameOf(&m), Account: a.Name}
	page.Wide = true
	return v.render("signin_link", page)
}

// sealLink hides the secret of a link from the page that it led to: the page's
// form carries it sealed, so that no answer holds what works once.
func (v *visit) sealLink(link string) (string, error) {
	return v.c.cfg.Signin.Seal("console link", link, joinKept)
}

// sentLink is the link that a form carries; empty where it can't be read.
func (v *visit) sentLink() (link string) {
	if v.c.cfg.Signin.Open("console link", v.r.PostForm.Get("link"), &link) != nil {
		return ""
	}
	return link
}

// deadLink is the answer to a link that leads nowhere: to ask who it is would not help.
func deadLink(err error) error {
	if e, ok := errors.AsType[*postern.Error](err); ok && e.Code == postern.CodeUnauthenticated {
		return postern.Errorf(postern.CodeNotFound, "%s", e.Message)
	}
	return err
}

func (c *Console) tryLink(v *visit) error {
	signed, err := c.cfg.Signin.UseLink(v.r.Context(), v.sentLink(), v.by)
	if err != nil {
		return deadLink(err)
	}
	v.signedIn(signed)
	return v.redirect("/")
}

// signOut ends the session here and at the server.
func (c *Console) signOut(v *visit) error {
	if err := c.cfg.Signin.SignOut(v.r.Context(), v.session, v.by); err != nil {
		return err
	}
	v.signedOut()
	return v.done("/signin", "You are signed out.")
}

// goSSO sends someone to a provider. A link leads here, not a form: browsers hold
// the policy for forms against where a form is redirected to as well.
func (c *Console) goSSO(v *visit) error {
	wish := signin.SSOWish{Provider: v.path("provider"), Back: localPath(v.query("next"))}
	if v.session != nil && v.query("join") == "" {
		return v.redirect(wish.Back)
	}
	if v.query("join") != "" {
		if err := c.cfg.Signin.Open("console link", v.cookie(cookieJoin), &wish.Invite); err != nil {
			return postern.Errorf(postern.CodeGone, "This took too long. Open your invitation again.")
		}
	}
	return v.toProvider(wish)
}

func (v *visit) toProvider(wish signin.SSOWish) error {
	address, flow, err := v.c.cfg.Signin.BeginSSO(v.r.Context(), wish)
	if err != nil {
		return err
	}
	v.setCookie(cookieSSO, flow, ssoKept)
	v.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
	return nil
}

// backFromSSO takes the answer of a provider. Its code is in the address, so it
// leads on at once.
func (c *Console) backFromSSO(v *visit) error {
	v.w.Header().Set("Cache-Control", "no-store")
	flow, kept := v.cookie(cookieSSO), v.cookie(cookieKept)
	v.setCookie(cookieSSO, "", -1)
	if flow == "" {
		return v.ssoFailed(postern.Errorf(postern.CodeUnauthenticated, "This took too long, or was begun in another browser. Start again."))
	}
	if why := v.query("error"); why != "" {
		return v.ssoFailed(postern.Errorf(postern.CodeUnauthenticated, "The provider did not let you in. Start again, or sign in another way."))
	}
	done, err := c.cfg.Signin.FinishSSO(v.r.Context(), v.session, flow, signin.SSOAnswer{State: v.query("state"), Code: v.query("code"), Issuer: v.query("iss")}, v.by)
	if err != nil {
		return v.ssoFailed(err)
	}
	v.setCookie(cookieJoin, "", -1)
	v.signedIn(done.Signed)
	if done.Tied {
		return v.done(done.Back, "You can sign in this way from now on.")
	}
	if kept != "" && strings.HasPrefix(done.Back, "/confirm") {
		v.setCookie(cookieKept, "", -1)
		return v.goOn("/", kept)
	}
	return v.redirect(done.Back)
}

// ssoFailed says why a provider brought nobody in.
func (v *visit) ssoFailed(err error) error {
	e, ok := errors.AsType[*postern.Error](err)
	if !ok || e.Code == postern.CodeInternal {
		return err
	}
	v.err = e.Err
	if v.session != nil {
		return v.warn("/me/security", e.Message)
	}
	f := newForm()
	return v.wrong("signin", v.c.signinPage(v, f, "/", ""), f, "", e)
}
