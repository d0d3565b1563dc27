package console

import (
	"net/http"
	"strings"
	"time"

	"postern.dev/postern/internal/signin"
)

// The cookies, without the prefix that pins them to one host over HTTPS.
const (
	cookieSession = "postern_session"
	cookieDevice  = "postern_device"
	cookieFlash   = "postern_flash"
	cookieTheme   = "postern_theme" // set by scripts too
	cookieZone    = "postern_zone"  // set by scripts
)

// secure reports whether visitors come over HTTPS. Over plain HTTP, which is for
// one's own machine, a browser would not keep a Secure cookie.
func (c *Console) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(c.cfg.PublicURL, "https://")
}

// cookieName has the __Host- prefix wherever browsers accept it.
func (c *Console) cookieName(r *http.Request, name string) string {
	if c.secure(r) {
		return "__Host-" + name
	}
	return name
}

// setCookie gives the browser a cookie that no script can read. A negative age removes it.
func (v *visit) setCookie(name, value string, age time.Duration) {
	secs := int(age / time.Second)
	if age < 0 {
		secs = -1
	}
	http.SetCookie(v.w, &http.Cookie{Name: v.c.cookieName(v.r, name), Value: value, Path: "/", MaxAge: secs,
		HttpOnly: true, Secure: v.c.secure(v.r), SameSite: http.SameSiteLaxMode})
}

// cookie reads a cookie that setCookie set.
func (v *visit) cookie(name string) string {
	if k, err := v.r.Cookie(v.c.cookieName(v.r, name)); err == nil {
		return k.Value
	}
	return ""
}

// signedIn gives the browser its session, and the mark of a device that its
// member came in with. The visit goes on as theirs. A session that the browser had
// before ends: nothing holds its text any more but whoever copied it.
func (v *visit) signedIn(s *signin.Signed) {
	if had := v.session; had != nil && had.ID != s.Session.ID {
		if err := v.c.cfg.Signin.SignOut(v.r.Context(), had, v.by); err != nil {
			v.c.log.WarnContext(v.r.Context(), "console: the session from before goes on", "err", err)
		}
	}
	v.setCookie(cookieSession, s.Text, 0)
	if s.Device != "" {
		v.setCookie(cookieDevice, s.Device, 400*24*time.Hour)
	}
	v.enter(&s.Session)
}

// enter makes the visit one of a session.
func (v *visit) enter(x *signin.Session) {
	v.session = x
	v.by = x.Actor(v.by)
}

// signedOut takes the session away from the browser.
func (v *visit) signedOut() {
	v.setCookie(cookieSession, "", -1)
	v.session = nil
}

// device is the mark that an earlier sign-in left.
func (v *visit) device() string { return v.cookie(cookieDevice) }

// flash is a message that the next page shows once.
type flash struct {
	Kind string // ok, warn or bad
	Text string
	// Link leads on: to undo, or to see.
	Link, LinkText string
}

const flashKept = 2 * time.Minute

// setFlash keeps a message for the next page.
func (v *visit) setFlash(f flash) {
	text, err := v.c.cfg.Signin.Seal("console flash", f, flashKept)
	if err != nil {
		v.c.log.ErrorContext(v.r.Context(), "console: keep a message", "err", err)
		return
	}
	v.setCookie(cookieFlash, text, flashKept)
}

// takeFlash reads the message that the page before left.
func (v *visit) takeFlash() *flash {
	text := v.cookie(cookieFlash)
	if text == "" {
		return nil
	}
	v.setCookie(cookieFlash, "", -1)
	var f flash
	if v.c.cfg.Signin.Open("console flash", text, &f) != nil {
		return nil
	}
	return &f
}
