package console

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store/storetest"
)

func TestSessionIsNeeded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.stranger().get("/keys?tab=paused").to("/signin?next=%2Fkeys%3Ftab%3Dpaused")
		w.stranger().get("/nowhere").want(404, "Not found", "There is nothing at this address")
		b := w.login()
		p := b.get("/keys").want(200, "Service keys", "Larkspur Outdoor")
		if got := p.header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("policy = %q", got)
		}
		if got := p.header.Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("Cache-Control = %q", got)
		}
		b.get("/nowhere").want(404, "Not found")
		b.get("/settings/integrations/service-keys").to("/keys")
		w.later(31 * time.Minute)
		b.get("/keys").to("/signin?next=%2Fkeys")
	})
}

func TestFormsAreOurs(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.post("/theme", "theme", "dark", "next", "/keys?q=a").to("/keys?q=a")
		if p := b.get("/keys"); !strings.Contains(p.body, `data-theme="dark"`) {
			t.Error("the chosen theme is not kept")
		}
		b.post("/theme", "theme", "dark", "_form", "").want(403, "was not made for this session")
		b.post("/theme", "theme", "dark", "_form", strings.Repeat("a", 22)+".x").want(403)
		b.post("/theme", "theme", "dark", "_form", w.login().token()).want(403)
		b.post("/theme", "theme", "dark", "next", "https://evil.example").to("/")
		b.post("/theme", "theme", "dark", "next", "//evil.example").to("/")
		req := must(http.NewRequest("POST", w.url+"/theme", strings.NewReader("theme=dark&_form="+b.token())))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		b.do(req).want(403, "another site")
		b.post("/theme", "theme", "dark", "junk", strings.Repeat("x", 2<<20)).want(413, "more than this page takes")
	})
}

// TestFormSentTwice: what is sent twice is served once and answered alike, also at the same moment.
func TestFormSentTwice(t *testing.T) {
	served := 0
	var mu sync.Mutex
	run(t, func(t *testing.T, w *world) {
		served = 0
		rt := route{Pattern: "POST /thing", Serve: func(v *visit) error {
			mu.Lock()
			defer mu.Unlock()
			served++
			return v.done("/keys", "Done "+v.once)
		}}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		secret := route{Pattern: "POST /secret", Repeats: true, Serve: func(v *visit) error {
			if v.again {
				return postern.Errorf(postern.CodeGone, "This secret was shown once.")
			}
			v.showsSecret()
			return v.render("fail", &failView{Common: v.common("x", ""), Icon: "key", Heading: "pst_secret"})
		}}
		w.console.mux.Handle(secret.Pattern, w.console.gate(secret))
		b := w.login()
		token := b.token()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { b.post("/thing", "_form", token).to("/keys") })
		}
		wg.Wait()
		if served != 1 {
			t.Errorf("served %d times, want 1", served)
		}
		b.get("/keys").want(200, "Done "+strings.Split(token, ".")[0])
		b.get("/keys").not("Done ")
		// Another node, or this one started anew, knows no answer, only that it was given.
		w.console.answers = answers{}
		b.post("/thing", "_form", token).want(409, "Nothing was done a second time")
		if served != 1 {
			t.Errorf("served %d times, want 1", served)
		}
		token = b.token()
		p := b.post("/secret", "_form", token).want(200, "pst_secret")
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", got)
		}
		b.post("/secret", "_form", token).want(410, "was shown once").not("pst_secret")
	})
}

// TestFormsAreKept: what was typed outlives the end of a session, and a proof that is asked for.
func TestFormsAreKept(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		var got string
		rt := route{Pattern: "POST /things/{id}", Fresh: true, Serve: func(v *visit) error {
			got = v.path("id") + " " + v.r.PostForm.Get("note")
			return v.done("/keys", "Deleted.")
		}}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		w.console.byPattern[rt.Pattern] = rt
		goOn := route{Pattern: "POST /go-on", Raw: true, Serve: func(v *visit) error {
			_ = v.r.ParseForm()
			return v.goOn("/keys", v.r.PostForm.Get("kept"))
		}}
		w.console.mux.Handle(goOn.Pattern, w.console.gate(goOn))
		b := w.login()
		token := b.token()
		w.later(11 * time.Minute)
		p := b.post("/things/a1", "note", "late & \"quoted\"", "password", "hidden", "_form", token).want(403, "Confirm that it is you")
		kept := between(t, p.body, `name="kept" value="`, `"`)
		if got != "" {
			t.Fatalf("served %q without a proof", got)
		}
		fresh := w.login()
		fresh.post("/go-on", "kept", kept).to("/keys")
		if want := "a1 late & \"quoted\""; got != want {
			t.Errorf("served %q, want %q", got, want)
		}
		w.login(w.member("x@example.com", "X", postern.RoleSuperAdmin)).post("/go-on", "kept", kept).want(403, "Someone else filled this form in")

		w.later(40 * time.Minute)
		got = ""
		p = b.post("/things/a2", "note", "too late", "_form", token).want(401, "You were signed out", "with what you typed")
		kept = between(t, p.body, `name="kept" value="`, `"`)
		w.login().post("/go-on", "kept", kept).want(200, "Nothing was done", "too late")
		if got != "" {
			t.Errorf("served %q, want nothing before it is sent again", got)
		}
		w.later(time.Hour)
		w.login().post("/go-on", "kept", kept).to("/keys")
	})
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, s, ok := strings.Cut(s, from)
	s, _, ok2 := strings.Cut(s, to)
	if !ok || !ok2 {
		t.Fatalf("nothing between %q and %q", from, to)
	}
	return s
}

func TestNotAllowedNamesThePermission(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		rt := route{Pattern: "GET /secured", Need: []postern.Permission{postern.PermAccountsWrite}, Serve: func(v *visit) error { return v.redirect("/keys") }}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		b := w.login(w.member("vera@example.com", "Vera", postern.RoleViewer))
		b.get("/secured").want(403, "You cannot manage accounts", "Your role is Viewer", "Manage all accounts", "Maya Okafor")
		w.login().get("/secured").to("/keys")
	})
}

func TestPanicsAndFailuresHaveANumber(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		rt := route{Pattern: "GET /panic", Serve: func(*visit) error { panic("pst_sk_secret") }}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		p := w.login().get("/panic").want(500, "Something went wrong on our side", "If you report this, include the number")
		p.want(500, p.header.Get("Postern-Request-Id")).not("pst_sk_secret")
		if strings.Contains(w.log.String(), "pst_sk_secret") {
			t.Error("the log holds what a panic held")
		}
	})
}

func TestAssets(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	b := w.stranger()
	for name, u := range w.console.assets.urls {
		p := b.get(u).want(200)
		if got := p.header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control = %q", name, got)
		}
	}
	b.get("/assets/postern.000000000000.css").want(404)
	// The budgets of console.md section 11, compressed.
	var js int
	for name, f := range w.console.assets.by {
		switch {
		case strings.HasSuffix(name, ".css") && len(f.packed) > 15<<10:
			t.Errorf("%s is %d bytes, want at most 15 KiB", name, len(f.packed))
		case strings.HasSuffix(name, ".js"):
			js += len(f.packed)
		}
	}
	if js > 30<<10 {
		t.Errorf("scripts are %d bytes together, want at most 30 KiB", js)
	}
}

func TestLoggedMethods(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		req := must(http.NewRequest("PST_SK_WHATEVER", w.url+"/keys", nil))(t)
		w.login().do(req)
		if log := w.log.String(); strings.Contains(log, "PST_SK_WHATEVER") || !strings.Contains(log, "method=other") && !strings.Contains(log, `"method":"other"`) {
			t.Errorf("the log says of a method that is none: %s", log)
		}
	})
}

// Who sends forms faster than people do, or asks for what they may not see, is told
// to slow down, and keeps nobody else's changes waiting.
func TestFormsOfOneMemberAreThrottled(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t), func(c *Config) { c.WritesPerSecond = 1 })
	viewer, other := w.login(w.member("sam@example.com", "Sam", postern.RoleViewer)), w.login()
	token := viewer.token()
	many := func(method, path string) (slow, rest int) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 30 {
			all.Go(func() {
				req, err := http.NewRequest(method, w.url+path, strings.NewReader(url.Values{formToken: {token}}.Encode()))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				res, err := viewer.c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				if res.StatusCode == http.StatusTooManyRequests {
					slow++
				} else {
					rest++
				}
			})
		}
		all.Wait()
		return slow, rest
	}
	if slow, rest := many("POST", "/notifications/read"); slow == 0 || rest == 0 {
		t.Errorf("of 30 forms %d were too many and %d not", slow, rest)
	}
	if slow, _ := many("GET", "/audit"); slow != 0 {
		t.Errorf("%d pages were refused as too many", slow)
	}
	other.post("/notifications/read").want(http.StatusSeeOther)
}
