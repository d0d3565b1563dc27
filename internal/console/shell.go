package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern.dev/postern"
)

// menu is the whole map (console.md section 3). What isn't served, or is not for
// the reader, is left out.
var menu = []struct {
	name  string
	items []menuEntry
}{
	{"", []menuEntry{{"Home", "/", "home", "GET /{$}", ""}}},
	{"Development", []menuEntry{
		{"Service keys", "/keys", "key", "GET /keys", postern.PermKeysRead},
		{"Apps and webhooks", "/apps", "app", "GET /apps", postern.PermAppsRead},
		{"Legacy credentials", "/legacy", "archive", "GET /legacy", postern.PermKeysRead},
		{"API explorer", "/explorer", "book", "GET /explorer", postern.PermCatalogRead},
	}},
	{"Monitoring", []menuEntry{
		{"Activity", "/activity", "pulse", "GET /activity", postern.PermActivityRead},
		{"Advice", "/advice", "compass", "GET /advice", postern.PermActivityRead},
		{"Audit log", "/audit", "shield", "GET /audit", postern.PermAuditRead},
		{"Migration", "/migration", "move", "GET /migration", postern.PermKeysRead},
	}},
	{"Settings", []menuEntry{
		{"Integrations", "/settings/integrations", "gear", "GET /settings/integrations", postern.PermCatalogRead},
		{"Members and roles", "/settings/members", "users", "GET /settings/members", postern.PermMembersRead},
		{"Security policy", "/settings/security", "lock", "GET /settings/security", postern.PermAccountRead},
		{"Account", "/settings/account", "globe", "GET /settings/account", postern.PermAccountRead},
	}},
}

type menuEntry struct {
	name, link, icon, pattern string
	need                      postern.Permission
}

// own is what the avatar opens.
var own = []menuEntry{
	{"Your profile and sign-in", "/me", "users", "GET /me", ""},
	{"Your personal keys", "/me/keys", "key", "GET /me/keys", ""},
	{"Your notifications", "/me/notifications", "bell", "GET /me/notifications", ""},
}

// dress fills in the layout's part of a view.
func (v *visit) dress(c *Common) {
	c.v = v
	s := &c.Shell
	s.Version = v.c.cfg.Version
	s.Here = "/"
	if v.r.Method == http.MethodGet {
		s.Here = localPath(v.r.URL.RequestURI())
		for name, values := range v.r.URL.Query() {
			if slices.ContainsFunc(values, looksSecret) || name == "q" && slices.ContainsFunc(values, hasSecret) {
				s.Here = localPath(v.r.URL.Path)
			}
		}
	}
	if k, err := v.r.Cookie(cookieTheme); err == nil && (k.Value == "light" || k.Value == "dark") {
		s.Theme = k.Value
	}
	if v.flash == nil {
		v.flash = v.takeFlash()
	}
	s.Flash = v.flash
	if v.session == nil {
		c.Wide = true
		return
	}
	s.Live = true
	m := v.member()
	s.Name, s.Email, s.Initials = nameOf(m), m.Email, initials(nameOf(m))
	s.Account, s.Mark, s.Number = v.account().Name, initials(v.account().Name), v.account().Number
	s.IdleSecs = int64(v.c.cfg.Signin.Left(v.session) / time.Second)
	s.IdleMins = int64(v.c.cfg.Signin.Idle() / time.Minute)
	for _, g := range menu {
		group := menuGroup{Name: g.name}
		for _, e := range g.items {
			if it, ok := v.item(e, c.Menu); ok {
				group.Items = append(group.Items, it)
			}
		}
		if len(group.Items) > 0 {
			s.Menus = append(s.Menus, group)
		}
	}
	for _, e := range own {
		if it, ok := v.item(e, c.Menu); ok {
			s.Own = append(s.Own, it)
		}
	}
	if v.c.known["GET /search"] {
		s.Search = "/search"
	}
	if v.c.known["GET /notifications"] {
		s.Notices = "/notifications"
		// A page is shown whether or not this can be counted.
		if n, err := v.c.cfg.DB.UnreadNotifications(v.r.Context(), m.ID); err == nil {
			s.Unread = n
		}
	}
	s.Choose = v.c.known["GET /choose"]
	s.Docs = v.c.cfg.Docs
}

func (v *visit) item(e menuEntry, current string) (menuItem, bool) {
	if !v.c.known[e.pattern] || e.need != "" && !v.can(e.need) {
		return menuItem{}, false
	}
	return menuItem{Name: e.name, Link: e.link, Icon: e.icon, Current: e.link == current}, true
}

// menuOf is the menu item that the visit's address is under.
func (v *visit) menuOf() string {
	best := ""
	for _, g := range menu {
		for _, e := range g.items {
			if (v.r.URL.Path == e.link || strings.HasPrefix(v.r.URL.Path, e.link+"/")) && len(e.link) > len(best) {
				best = e.link
			}
		}
	}
	return best
}

// initials are up to two letters that stand for a name.
func initials(name string) string {
	var out []rune
	for word := range strings.FieldsSeq(name) {
		if r, _ := utf8.DecodeRuneInString(word); unicode.IsLetter(r) || unicode.IsDigit(r) {
			out = append(out, unicode.ToUpper(r))
		}
		if len(out) == 2 {
			break
		}
	}
	return string(out)
}

// shellRoutes are what the layout itself needs.
func (c *Console) shellRoutes() []route {
	return []route{
		{Pattern: "POST /theme", Serve: c.setTheme},
		{Pattern: "GET /stay", Quiet: true, Serve: c.stayed},
		{Pattern: "POST /stay", Serve: c.stay, Repeats: true},
		{Pattern: "GET /settings/integrations/service-keys", Serve: func(v *visit) error { return v.redirect("/keys") }},
	}
}

// setTheme keeps the reader's choice of light or dark.
func (c *Console) setTheme(v *visit) error {
	theme := v.r.PostForm.Get("theme")
	if theme != "light" && theme != "dark" {
		return postern.Invalidf("theme", "Choose light or dark.")
	}
	// No secret, and the script that switches without a new page sets it too.
	http.SetCookie(v.w, &http.Cookie{Name: cookieTheme, Value: theme, Path: "/", MaxAge: 400 * 24 * 3600, Secure: c.secure(v.r), SameSite: http.SameSiteLaxMode})
	return v.redirect(v.r.PostForm.Get("next"))
}

// stay keeps the session going: being asked is enough.
func (c *Console) stay(v *visit) error {
	if v.r.Header.Get("Accept") == "text/plain" {
		v.showsSecret() // a page presses again with the same form: each press has its own answer
		return c.stayed(v)
	}
	return v.redirect(v.r.PostForm.Get("next"))
}

// stayed tells a script how many seconds the session has left.
func (c *Console) stayed(v *visit) error {
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Cache-Control", "no-store")
	_, err := fmt.Fprintln(v.w, int64(c.cfg.Signin.Left(v.session)/time.Second))
	return err
}
