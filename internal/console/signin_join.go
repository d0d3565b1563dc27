package console

import (
	"net/http"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
)

// joinRoutes are for who holds a link: to set the server up, or an invitation.
func (c *Console) joinRoutes() []route {
	routes := []route{
		{Pattern: "GET /setup/{link}", Public: true, Serve: c.showSetup},
		{Pattern: "GET /join/{link}", Public: true, Serve: c.showJoin},
	}
	for pattern, serve := range map[string]func(*visit) error{
		"POST /setup": c.trySetup, "POST /join": c.tryJoin, "POST /join/passkey": c.tryJoinPasskey, "POST /join/passkey/begin": c.beginJoinPasskey,
	} {
		routes = append(routes, route{Pattern: pattern, Public: true, Raw: true, Serve: c.outside(serve)})
	}
	return routes
}

// setupView is the page of the first run.
type setupView struct {
	Common
	F    *form
	Link string
}

func (c *Console) setupPage(v *visit, f *form, link string) *setupView {
	v.showsSecret()
	p := &setupView{Common: v.common("Set up this server", ""), F: f, Link: link}
	p.Wide, p.Error, p.Scripts = true, !f.OK(), []string{"signin.js"}
	return p
}

func (c *Console) showSetup(v *visit) error {
	if err := c.kr.CheckLink(v.r.Context(), v.path("link"), postern.SecretSetup); err != nil {
		return deadLink(err)
	}
	sealed, err := v.sealLink(v.path("link"))
	if err != nil {
		return err
	}
	return v.render("setup", c.setupPage(v, newForm("timeZone", v.zone.String()), sealed))
}

func (c *Console) trySetup(v *visit) error {
	f := v.sent()
	link, password := v.sentLink(), f.Values.Get("password")
	f.Values.Del("password")
	page := c.setupPage(v, f, f.Get("link"))
	in := keyring.SetupInput{AccountName: f.Get("name"), TimeZone: f.Get("timeZone"), Email: f.Get("email"), Name: f.Get("person")}
	if in.AccountName == "" {
		f.Wrong("name", "Give the account a name, such as your company's.")
	}
	if in.Email == "" {
		f.Wrong("email", "Give your e-mail address.")
	}
	if password == "" {
		f.Wrong("password", "Choose a password.")
	}
	if !f.OK() {
		page.Error = true
		return v.show(http.StatusUnprocessableEntity, "setup", page)
	}
	if in.Name == "" {
		in.Name, _, _ = strings.Cut(in.Email, "@")
	}
	signed, err := c.cfg.Signin.Setup(v.r.Context(), link, in, password, v.by)
	if err != nil {
		if err := deadLink(err); postern.CodeOf(err) == postern.CodeNotFound {
			return err
		}
		return v.wrong("setup", page, f, "", err)
	}
	v.signedIn(signed)
	return v.redirect("/")
}

// joinView is the page of an invitation.
type joinView struct {
	Common
	F         *form
	Link      string
	Account   string
	Name      string
	Email     string
	Role      string
	Passkeys  bool
	Providers []signin.Provider
}

func (c *Console) joinPage(v *visit, f *form, link string) (*joinView, error) {
	v.showsSecret()
	m, a, err := c.kr.Invitation(v.r.Context(), link)
	if err != nil {
		return nil, deadLink(err)
	}
	sealed, err := v.sealLink(link)
	if err != nil {
		return nil, err
	}
	p := &joinView{Common: v.common("Join "+a.Name, ""), F: f, Link: sealed, Account: a.Name, Name: nameOf(&m), Email: m.Email, Role: m.Role.Name,
		Passkeys: c.cfg.Signin.PasskeysAt(v.r.Host), Providers: c.cfg.Signin.ProvidersFor(&a)}
	p.Wide, p.Error, p.Scripts = true, !f.OK(), []string{"signin.js"}
	return p, nil
}

func (c *Console) showJoin(v *visit) error {
	page, err := c.joinPage(v, newForm(), v.path("link"))
	if err != nil {
		return err
	}
	if len(page.Providers) > 0 {
		// Who accepts with a provider goes there by a link, which must not hold the invitation.
		v.setCookie(cookieJoin, page.Link, joinKept)
	}
	return v.render("join", page)
}

func (c *Console) tryJoin(v *visit) error {
	f := v.sent()
	link, password := v.sentLink(), f.Values.Get("password")
	f.Values.Del("password")
	signed, err := c.cfg.Signin.Join(v.r.Context(), link, password, v.by)
	if err != nil {
		return c.joinWrong(v, f, err)
	}
	v.signedIn(signed)
	return v.done("/", "Welcome. You are signed in.")
}

func (c *Console) joinWrong(v *visit, f *form, err error) error {
	page, gone := c.joinPage(v, f, v.sentLink())
	if gone != nil {
		return gone
	}
	return v.wrong("join", page, f, "", err)
}

func (c *Console) beginJoinPasskey(v *visit) error {
	return v.challenge(c.cfg.Signin.BeginJoinPasskey(v.r.Context(), v.r.Host, v.sentLink()))
}

func (c *Console) tryJoinPasskey(v *visit) error {
	f := v.sent()
	signed, err := c.cfg.Signin.JoinWithPasskey(v.r.Context(), v.r.Host, v.sentLink(), f.Get("ceremony"), []byte(f.Get("response")), v.by)
	if err != nil {
		return c.joinWrong(v, f, err)
	}
	v.signedIn(signed)
	return v.done("/", "Welcome. You are signed in.")
}
