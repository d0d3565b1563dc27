package console

import (
	"net/http"
	"strings"

	"postern.dev/postern"
)

// route is one address of the console.
type route struct {
	// Pattern is that of http.ServeMux: "GET /keys/{id}".
	Pattern string
	Serve   func(*visit) error
	// Need are permissions of which one is enough; none: every member may come.
	Need []postern.Permission
	// Public routes need no session; theirs is nil where nobody is in.
	Public bool
	// Quiet routes are asked by scripts on their own, again and again: they look at the session and
	// don't prolong it, so that an open page doesn't keep its member signed in.
	Quiet bool
	// Fresh routes need a recent proof of who it is (console.md section 11).
	Fresh bool
	// Raw routes take a body that is no form of ours (JSON of the browser's own API): no form token
	// is looked for. The check of the origin still holds.
	Raw bool
	// Repeats says that Serve answers a second sending of a form itself (visit.again): one whose answer
	// shows a secret. Everywhere else nothing is served twice.
	Repeats bool
	// Anew says that Serve only keeps what was typed: a form that is sent again, with other values after
	// the browser's Back, is served again.
	Anew bool
	// Streams routes take a file that is read as it comes, and never held: v.file. The form's other fields
	// stand before it. A page of the same address shows the form.
	Streams bool
	// MaxBody is how many bytes a request may bring: 1 MiB unless set.
	MaxBody int64
}

// routes are all pages. A page adds its own list here and nothing elsewhere.
func (c *Console) routes() []route {
	var all []route
	for _, some := range [][]route{
		c.shellRoutes(), c.chooseRoutes(),
		c.memberRoutes(), c.roleRoutes(), c.settingsRoutes(), c.upstreamRoutes(), c.catalogRoutes(), c.policyRoutes(), c.noticeRoutes(),
		c.keysRoutes(), c.keyRoutes(),
		c.createRoutes(), c.connectRoutes(), c.waitingRoutes(),
		c.signinRoutes(), c.joinRoutes(), c.confirmRoutes(),
		c.meRoutes(), c.meKeysRoutes(),
		c.homeRoutes(), c.adviceRoutes(), c.whatIfRoutes(), c.activityRoutes(), c.auditRoutes(), c.searchRoutes(), c.migrationRoutes(), c.campaignRoutes(), c.legacyRoutes(), c.legacyNameRoutes(), c.legacyImportRoutes(), c.uploadRoutes(), c.leakRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// serve builds the handler of all routes.
func (c *Console) serve() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", c.assets)
	all := c.routes()
	for _, rt := range all {
		c.known[rt.Pattern] = true
	}
	if !c.known["GET /{$}"] {
		all = append(all, route{Pattern: "GET /{$}", Serve: func(v *visit) error { return v.redirect("/keys") }})
	}
	c.byPattern = map[string]route{}
	for _, rt := range all {
		c.byPattern[rt.Pattern] = rt
		mux.Handle(rt.Pattern, c.gate(rt))
	}
	c.mux = mux
	mux.Handle("/", c.gate(route{Public: true, Raw: true, Serve: func(v *visit) error { return errNoPage }}))
	return c.observe(mux)
}

// find is the route that a request would be served by, with the parts of its
// address that the pattern names set in the request.
func (c *Console) find(r *http.Request) (route, bool) {
	_, pattern := c.mux.Handler(r)
	rt, ok := c.byPattern[pattern]
	if ok {
		setPathValues(r, pattern)
	}
	return rt, ok
}

// setPathValues fills in the wildcards of a pattern that a request is known to match.
func setPathValues(r *http.Request, pattern string) {
	_, path, _ := strings.Cut(pattern, "/")
	have := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for i, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && i < len(have) {
			name = strings.TrimSuffix(name, "}")
			if rest, ok := strings.CutSuffix(name, "..."); ok {
				r.SetPathValue(rest, strings.Join(have[i:], "/"))
				return
			}
			r.SetPathValue(name, have[i])
		}
	}
}
