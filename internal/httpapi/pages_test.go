package httpapi_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/keyring"
)

// form posts a page's form, as a browser without scripts does.
func (w *world) form(path string, values url.Values, header ...string) *answer {
	w.t.Helper()
	return w.send("POST", path, "", values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", w.url, "Sec-Fetch-Site", "same-origin"}, header...)...)
}

var (
	scripts = regexp.MustCompile(`(?i)<script|<style|\son\w+=|\sstyle=|javascript:|<iframe|<object|<base|<img|<meta http-equiv`)
	shown   = regexp.MustCompile(`pst_[0-9A-Za-z]+_[0-9A-Za-z]+_[0-9A-Za-z]+`)
	inputs  = regexp.MustCompile(`<input id="(\w+)" name="(\w+)"`)
)

// page checks what holds of every page.
func (w *world) page(what string, a *answer, status int) string {
	w.t.Helper()
	h, text := a.header, string(a.body)
	if a.status != status || h.Get("Content-Type") != "text/html; charset=utf-8" {
		w.t.Errorf("%s = %d %s %.300s", what, a.status, h.Get("Content-Type"), text)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			w.t.Errorf("%s has %s %q, want %q", what, name, got, want)
		}
	}
	if len(h.Values("Set-Cookie")) > 0 || len(h.Values("Access-Control-Allow-Origin")) > 0 {
		w.t.Errorf("%s has the headers %v", what, h)
	}
	if m := scripts.FindString(text); m != "" {
		w.t.Errorf("%s holds %q", what, m)
	}
	if !strings.HasPrefix(text, "<!doctype html>\n<html lang=\"en\">") || strings.Count(text, "<h1>") != 1 || strings.Count(text, "<main>") != 1 || !strings.HasSuffix(strings.TrimSpace(text), "</html>") {
		w.t.Errorf("%s is no whole page:\n%s", what, text)
	}
	for _, in := range inputs.FindAllStringSubmatch(text, -1) {
		if in[1] != in[2] || !strings.Contains(text, `<label for="`+in[1]+`">`) {
			w.t.Errorf("%s has the input %v without a label", what, in[1:])
		}
	}
	return text
}

const hostile = `"><script>alert(1)</script>'{{.Secret}}&lt;`

// The set-up page makes the first account once, shows what was typed and the
// secret, and keeps both to itself.
func TestSetupPage(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) { c.GatewayURL = "http://gateway.example.org" })
	front := w.page("the front page", w.send("GET", "/", "", ""), http.StatusOK)
	if !strings.Contains(front, "has no account yet") || !strings.Contains(front, "http://gateway.example.org") {
		t.Errorf("the front page says\n%s", front)
	}
	old, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := "/setup/" + link.Reveal()
	w.page("a replaced link", w.send("GET", "/setup/"+old.Reveal(), "", ""), http.StatusNotFound)
	text := w.page("the set-up page", w.send("GET", path, "", ""), http.StatusOK)
	if strings.Count(text, "<input") != 4 || !strings.Contains(text, `<form method="post"`) || strings.Contains(text, "action=") {
		t.Errorf("the set-up page is\n%s", text)
	}
	w.page("the set-up page again", w.send("GET", path, "", ""), http.StatusOK) // looking uses nothing up
	good := url.Values{"account": {"Acme <b>&Co"}, "name": {"Ada <i>"}, "email": {"ada@example.org"}, "timeZone": {"Europe/London"}}
	with := func(name, value string) url.Values {
		v := url.Values{}
		for k, x := range good {
			v[k] = x
		}
		v.Set(name, value)
		return v
	}
	for field, value := range map[string]string{"email": hostile, "timeZone": hostile, "account": "  ", "name": ""} {
		text := w.page("a bad "+field, w.form(path, with(field, value)), http.StatusUnprocessableEntity)
		if !strings.Contains(text, `<title>Error: `) || !strings.Contains(text, `<a href="#`+field+`">`) || !strings.Contains(text, `aria-invalid="true"`) || !strings.Contains(text, html.EscapeString("Acme <b>&Co")) && field != "account" {
			t.Errorf("a bad %s is answered with\n%s", field, text)
		}
		if strings.Contains(text, "<b>") || strings.Contains(text, "<script") || shown.MatchString(text) {
			t.Errorf("a bad %s isn't escaped:\n%s", field, text)
		}
	}
	w.page("a large form", w.form(path, with("name", strings.Repeat("a", 20<<10))), http.StatusRequestEntityTooLarge)
	for what, header := range map[string][]string{"another site": {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, "another origin": {"Origin", "https://evil.example", "Sec-Fetch-Site", ""}} {
		if a := w.form(path, good, header...); a.status != http.StatusForbidden {
			t.Errorf("a form of %s = %d %s", what, a.status, a.body)
		}
	}
	text = w.page("setting up", w.form(path, good), http.StatusOK)
	secret := shown.FindString(text)
	if secret == "" || strings.Count(text, secret) != 1 || !strings.Contains(text, html.EscapeString("Acme <b>&Co")) || strings.Contains(text, "<b>") || strings.Contains(text, "<i>") {
		t.Fatalf("set-up says\n%s", text)
	}
	if a := w.send("GET", "/v1/members/me", secret, ""); a.status != http.StatusOK || !strings.Contains(string(a.body), `"super_admin"`) {
		t.Errorf("the secret of set-up = %d %s", a.status, a.body)
	}
	again := w.page("the used link", w.send("GET", path, "", ""), http.StatusNotFound)
	unknown := w.page("an unknown link", w.send("GET", "/setup/pst_setup_x", "", ""), http.StatusNotFound)
	if again != unknown || again != w.page("the used link's form", w.form(path, good), http.StatusNotFound) {
		t.Errorf("a used link tells that it was one:\n%s\n%s", again, unknown)
	}
	if front := w.page("the front page", w.send("GET", "/", "", ""), http.StatusOK); strings.Contains(front, "has no account yet") {
		t.Error("the front page still asks for set-up")
	}
	for _, s := range []string{secret, link.Reveal(), old.Reveal(), "ada@example.org"} {
		if strings.Contains(w.log.String(), s) {
			t.Errorf("the log holds %.12s", s)
		}
	}
	if a := w.send("GET", "/static/postern.css", "", ""); a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/css") {
		t.Errorf("the style sheet = %d %s", a.status, a.header.Get("Content-Type"))
	}
}

// An invitation's page lets its member in once, and not after its time.
func TestInvitePage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		invite := func(email string) (api.Invited, string) {
			inv := must(w.super.InviteMember(t.Context(), api.NewMember{Email: email, Name: `Kim <b> "x"`, RoleID: "viewer"}))(t)
			if inv.Link != "/invite/"+inv.Invitation {
				t.Errorf("the link is %q", inv.Link)
			}
			return inv, inv.Link
		}
		_, path := invite("kim@example.org")
		text := w.page("the invitation", w.send("GET", path, "", ""), http.StatusOK)
		if !strings.Contains(text, `<form method="post">`) || strings.Contains(text, "kim@example.org") || strings.Contains(text, "pst_") {
			t.Errorf("the invitation says\n%s", text)
		}
		w.page("the invitation's head", &answer{200, w.send("HEAD", path, "", "").header, []byte(text)}, http.StatusOK)
		text = w.page("accepting", w.form(path, nil), http.StatusOK)
		secret := shown.FindString(text)
		if secret == "" || !strings.Contains(text, html.EscapeString(`Kim <b> "x"`)) || strings.Contains(text, "<b>") {
			t.Fatalf("accepting says\n%s", text)
		}
		if a := w.send("GET", "/v1/members/me", secret, ""); a.status != http.StatusOK || !strings.Contains(string(a.body), "kim@example.org") {
			t.Errorf("the secret of an invitation = %d %s", a.status, a.body)
		}
		w.page("a used invitation", w.send("GET", path, "", ""), http.StatusNotFound)
		w.page("a used invitation's form", w.form(path, nil), http.StatusNotFound)

		_, late := invite("lee@example.org")
		removed, gone := invite("max@example.org")
		ola, replaced := invite("ola@example.org")
		must(w.super.ReinviteMember(t.Context(), ola.Member.ID))(t)
		if err := w.super.RemoveMember(t.Context(), removed.Member.ID); err != nil {
			t.Fatal(err)
		}
		w.page("an invitation of who was removed", w.send("GET", gone, "", ""), http.StatusNotFound)
		w.page("an invitation that was replaced", w.send("GET", replaced, "", ""), http.StatusNotFound)
		w.page("an invitation as a set-up link", w.send("GET", strings.Replace(late, "/invite/", "/setup/", 1), "", ""), http.StatusNotFound)
		w.later.Store(int64(keyring.InvitationKept - time.Minute))
		w.page("an invitation before its end", w.send("GET", late, "", ""), http.StatusOK)
		w.later.Store(int64(keyring.InvitationKept))
		w.page("an invitation after its end", w.send("GET", late, "", ""), http.StatusNotFound)
		w.page("its form", w.form(late, nil), http.StatusNotFound)
	})
}

// A set-up link ends by itself, and one address can't try many.
func TestLinksEndAndAreLimited(t *testing.T) {
	w := open(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) { c.FailuresPerSecond = 2 })
	link, _, err := w.kr.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.later.Store(int64(keyring.SetupKept))
	w.page("a link after its end", w.send("GET", "/setup/"+link.Reveal(), "", ""), http.StatusNotFound)
	for try := 0; ; try++ {
		a := w.send("GET", "/setup/x", "", "")
		if a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "" {
			w.page("too many links", a, http.StatusTooManyRequests)
			break
		}
		if try > 200 {
			t.Fatalf("after %d wrong links the answer is %d", try, a.status)
		}
	}
}
