package console

import (
	"html"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
)

// polyglot would run or break out wherever it is not escaped.
const polyglot = `"'><img src=x onerror=alert(1)>{{.}}</script><svg/onload=alert(2)>javascript:/*--></title>` + "\u202e"

// views are every page with full data; each is shown with an empty view too.
func views() map[string][]view {
	c := func() Common {
		return Common{Title: "A page", Menu: "/keys", Trail: []crumb{{"Development", ""}, {"Keys", "/keys"}}}
	}
	all := map[string][]view{
		"fail":      {&failView{}, &failView{Common: c(), Heading: polyglot, Text: polyglot, Icon: "alert", Number: "req_1", Retry: "/keys"}},
		"forbidden": {&forbiddenView{}, &forbiddenView{Common: c(), Heading: "You cannot", Role: polyglot, Need: "Manage keys", Name: "postern.keys.write", Admins: []string{polyglot, "B"}}},
		"ended":     {&endedView{}, &endedView{Common: c(), Kept: "x"}},
		"again":     {&againView{}, &againView{Common: c(), Kept: "x"}},
		"resume":    {&resumeView{}, &resumeView{Common: c(), Path: "/keys", Values: []nameValue{{polyglot, polyglot}}}},
	}
	for _, some := range []map[string][]view{keyViews(c), keyPageViews(c), createViews(c), signinViews(c), settingsViews(c), activityViews(c), auditViews(c), homeViews(c), searchViews(c), policyViews(c), adviceViews(c), leakViews(c), migrationViews(c), legacyViews(c), campaignViews(c)} {
		for name, list := range some {
			all[name] = list
		}
	}
	return all
}

// TestEveryTemplate shows every page with full data and with none, to someone who
// is in and to someone who isn't.
func TestEveryTemplate(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	all := views()
	for _, name := range w.console.pages.names() {
		if len(all[name]) < 2 {
			t.Errorf("views has no page %q with full data and with none", name)
		}
	}
	x := &signin.Session{Session: store.Session{ID: "ses_1", ExpiresAt: t0.Add(time.Hour)}, Member: postern.Member{ID: "mem_1", Name: polyglot, Email: polyglot,
		Role: must2(postern.BuiltinRole(postern.RoleSuperAdmin))}, Account: postern.Account{Name: polyglot, Number: 1}}
	for name, list := range all {
		for i := range list {
			for _, who := range []*signin.Session{nil, x} {
				page := views()[name][i] // a fresh one: showing a page fills in its layout
				rec := httptest.NewRecorder()
				v := &visit{c: w.console, w: rec, r: httptest.NewRequest("GET", "/keys", nil), now: t0, session: who,
					flash: &flash{Kind: "ok", Text: polyglot, Link: "/keys", LinkText: polyglot}}
				if err := v.render(name, page); err != nil {
					t.Errorf("page %s (%d) = %v", name, i, err)
					continue
				}
				body := rec.Body.String()
				for _, bad := range []string{"<img src=x", "<svg/onload", "ZgotmplZ", "<no value>", "%!", "style=", " onerror=a"} {
					if j := strings.Index(body, bad); j >= 0 && !strings.Contains(html.UnescapeString(polyglot), bad) {
						t.Errorf("page %s (%d) holds %q: %s", name, i, bad, body[max(0, j-200):min(len(body), j+100)])
					} else if j >= 0 && bad != " onerror=a" && bad != "%!" {
						t.Errorf("page %s (%d) holds %q unescaped: %s", name, i, bad, body[max(0, j-200):min(len(body), j+100)])
					}
				}
				if n := strings.Count(body, "<h1"); n != 1 {
					t.Errorf("page %s (%d) has %d h1, want 1", name, i, n)
				}
				if side := strings.Contains(body, `<nav class="side"`); side != (who != nil) {
					t.Errorf("page %s (%d) has the layout with a menu: %v, somebody is in: %v", name, i, side, who != nil)
				}
			}
		}
	}
	if !slices.Contains(w.console.pages.names(), "keys") {
		t.Error("there is no page of keys")
	}
}

func must2[T any](v T, ok bool) T {
	if !ok {
		panic("missing")
	}
	return v
}
