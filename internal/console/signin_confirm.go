package console

import (
	"errors"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
)

// confirmRoutes are for a member who is in and must prove again who they are.
func (c *Console) confirmRoutes() []route {
	return []route{
		{Pattern: "GET /confirm", Serve: c.showConfirm},
		{Pattern: "POST /confirm", MaxBody: formMax, Serve: c.tryConfirm},
		{Pattern: "POST /confirm/kept", MaxBody: formMax, Serve: c.showConfirmKept},
		{Pattern: "POST /confirm/passkey", MaxBody: formMax, Serve: c.tryConfirmPasskey},
		{Pattern: "POST /confirm/passkey/begin", Raw: true, Serve: c.beginConfirmPasskey},
		{Pattern: "GET /confirm/sso/{provider}", Serve: c.confirmSSO},
		{Pattern: "POST /confirm/sso/{provider}", MaxBody: formMax, Serve: c.keepForSSO},
	}
}

// confirmView asks a member to prove who they are.
type confirmView struct {
	Common
	F          *form
	Next, Kept string
	Password   bool
	Code       bool
	Passkeys   bool
	Providers  []signin.Provider
}

func (c *Console) confirmPage(v *visit, f *form, next, kept string) (*confirmView, error) {
	v.showsSecret()
	has, err := c.cfg.Signin.Factors(v.r.Context(), v.session.MemberID)
	if err != nil {
		return nil, err
	}
	p := &confirmView{Common: v.common("Confirm that it is you", ""), F: f, Next: localPath(next), Kept: kept, Password: has.Password,
		Code: !has.Password && (has.TOTP || has.Codes > 0), Passkeys: len(has.Passkeys) > 0 && c.cfg.Signin.PasskeysAt(v.r.Host)}
	for _, one := range c.cfg.Signin.ProvidersFor(v.account()) {
		for _, i := range has.Identities {
			if i.Issuer == one.Issuer {
				p.Providers = append(p.Providers, one)
				break
			}
		}
	}
	p.Wide, p.Error, p.Scripts = true, !f.OK(), []string{"signin.js"}
	return p, nil
}

func (c *Console) showConfirm(v *visit) error {
	if c.cfg.Signin.IsFresh(v.session) {
		return v.redirect(v.query("next"))
	}
	page, err := c.confirmPage(v, newForm(), v.query("next"), "")
	if err != nil {
		return err
	}
	return v.render("confirm", page)
}

func (c *Console) showConfirmKept(v *visit) error {
	page, err := c.confirmPage(v, newForm(), "/", v.r.PostForm.Get("kept"))
	if err != nil {
		return err
	}
	return v.render("confirm", page)
}

func (c *Console) tryConfirm(v *visit) error {
	f := v.sent()
	p := signin.Proof{Password: f.Values.Get("password"), Code: f.Get("code"), Device: v.device()}
	signed, err := c.cfg.Signin.Confirm(v.r.Context(), v.session, p, v.by)
	if err != nil {
		return c.confirmWrong(v, f, err)
	}
	v.signedIn(&signed)
	return v.goOn(f.Get("next"), f.Get("kept"))
}

func (c *Console) confirmWrong(v *visit, f *form, err error) error {
	g := newForm()
	page, failed := c.confirmPage(v, g, f.Get("next"), f.Get("kept"))
	if failed != nil {
		return failed
	}
	if e, ok := errors.AsType[*postern.Error](err); ok && e.Field == "code" && page.Password {
		err = postern.Invalidf("password", "Give your password.")
	}
	return v.wrong("confirm", page, g, "", err)
}

func (c *Console) beginConfirmPasskey(v *visit) error {
	return v.challenge(c.cfg.Signin.BeginConfirmPasskey(v.r.Context(), v.r.Host, v.session))
}

func (c *Console) tryConfirmPasskey(v *visit) error {
	f := v.sent()
	signed, err := c.cfg.Signin.FinishConfirmPasskey(v.r.Context(), v.r.Host, v.session, f.Get("ceremony"), []byte(f.Get("response")), v.by)
	if err != nil {
		return c.confirmWrong(v, f, err)
	}
	v.signedIn(&signed)
	return v.goOn(f.Get("next"), f.Get("kept"))
}

// confirmSSO sends a member to a provider for a fresh proof.
func (c *Console) confirmSSO(v *visit) error {
	back := localPath(v.query("next"))
	if v.cookie(cookieKept) != "" && v.query("kept") != "" {
		back = "/confirm"
	}
	return v.toProvider(signin.SSOWish{Provider: v.path("provider"), Session: v.session, Confirm: true, Back: back})
}

// keepForSSO puts the form that waits where it is found on the way back.
func (c *Console) keepForSSO(v *visit) error {
	kept := v.r.PostForm.Get("kept")
	if len(kept) > maxKeptText {
		return postern.Errorf(postern.CodeTooLarge, "What you typed is too long to be kept on the way to a provider. Go back and confirm with another way.")
	}
	v.setCookie(cookieKept, kept, ssoKept)
	page := &leaveView{Common: v.common("Go on to confirm", ""), Link: link("/confirm/sso/"+v.path("provider"), "kept", "1")}
	page.Wide = true
	return v.render("signin_leave", page)
}

// leaveView leads to a provider by a link: by way of one of our addresses, or, where
// the form before it has begun it, straight Away.
type leaveView struct {
	Common
	Link string
	Away bool
	Name string // of the provider, where it leads straight away
}
