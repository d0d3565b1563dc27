package browser

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
)

// A passkey of a virtual authenticator is added, and signs in alone.
func TestPasskey(t *testing.T) {
	d := office(t)
	b := d.in(t, "Sam")
	b.do(webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2,
			Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}).Do(ctx)
		return err
	}))
	b.open("/me/security/passkeys/new")
	b.fill("#f-name", "Sam’s laptop")
	b.follow("=Add the passkey")
	b.says("Keep your recovery codes")
	b.accessible("recovery codes")
	b.open("/me/security")
	b.says("Sam’s laptop")
	b.follow(`a[href^="/me/security/passkeys/"]:not([href$="/new"])`)
	b.accessible("one passkey")
	b.click("header details.menu summary")
	b.follow("=Sign out")
	b.follow("=Sign in with a passkey")
	b.says("Home")
	b.open("/me/security")
	b.says("This one")
}

// An authenticator app is added, and its code is asked for after the password.
func TestTOTP(t *testing.T) {
	d := office(t)
	d.setPassword(t, "Noor")
	b := d.in(t, "Noor")
	b.open("/me/security/totp")
	key := strings.ReplaceAll(b.str(`document.querySelector('.card code').textContent`), " ", "")
	code := func(at time.Time) string {
		t.Helper()
		out, err := totp.GenerateCode(key, at)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	b.fill("#f-code", code(time.Now()))
	b.follow("=Add the app")
	b.says("Keep your recovery codes")
	b.open("/me/security")
	b.click("header details.menu summary")
	b.follow("=Sign out")
	b.fill("#f-email", d.people["Noor"].Email)
	b.fill("#f-password", password)
	b.follow("form[action='/signin'] button.primary")
	b.says("Second step")
	b.accessible("the second step")
	b.fill("#f-code", "000000")
	b.follow("=Go on")
	b.until(`document.title.startsWith('Error:')`)
	b.fill("#f-code", code(time.Now().Add(30*time.Second))) // each code works once: the next one
	b.follow("=Go on")
	b.says("Home")
}

// polyglots are texts that run something wherever one of their contexts is not escaped.
var polyglots = []string{
	`"><img data-xss src=x onerror=ran('img')>`,
	`'-ran('js')-'</script><script data-xss>ran('script')</script>`,
	`<svg data-xss/onload=ran('svg')>`,
	"jaVasCript:ran(1)//`*/</title></textarea></style><i data-xss onmouseover=ran(1)>",
}

const hostileAPI = `
openapi: 3.1.0
info: {title: %[1]s, version: %[1]s}
paths:
  /things: {get: {operationId: %[1]s, summary: %[2]s, description: %[3]s, tags: [%[2]s], security: [{keys: [things.read]}]}}
components:
  securitySchemes:
    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {things.read: %[4]s}}}}
`

// What people and callers wrote is text everywhere: nothing of it runs, though the
// policy is switched off for this test, so that only the escaping protects.
func TestHostileText(t *testing.T) {
	d := &desk{people: map[string]postern.Member{}, keys: map[string]postern.ServiceKey{}}
	var err error
	if d.server, err = launch("hostile", d.fill); err != nil {
		t.Fatal(err)
	}
	ctx, kr, by := t.Context(), d.node.Keyring, d.as("Ada")
	by.UserAgent = polyglots[0]
	x := polyglots
	texts := func(s ...string) (out []any) {
		for _, s := range s {
			out = append(out, fmt.Sprintf("%q", s))
		}
		return out
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err = kr.PutUpstream(ctx, by, postern.Upstream{ID: "evil", Name: x[0], URL: "http://127.0.0.1:9", Prefix: "/evil"})
	must("upstream", err)
	cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "evil.yaml", Data: fmt.Appendf(nil, hostileAPI, texts(x...)...)}}, catalog.Options{Upstream: "evil"})
	must("parse", err)
	_, err = kr.LoadCatalog(ctx, by, "evil", cat, false)
	must("catalog", err)
	name := "x" + x[2]
	made, err := kr.CreateKey(ctx, by, keyring.NewKey{Name: name, Description: x[1], Scopes: []postern.Scope{"things.read", "crm.objects.deals.read"}})
	must("key", err)
	for _, k := range []string{"support-bot", "rotating-sync", "never-used", "paused-import"} {
		_, err = kr.EditKey(ctx, by, d.keys[k].ID, keyring.KeyEdit{Description: &x[1]})
		must(k, err)
	}
	role, err := kr.CreateRole(ctx, by, keyring.RoleInput{Name: x[2], Words: x[3], Permissions: []postern.Permission{postern.PermKeysRead}})
	must("role", err)
	d.role = role
	d.invited, err = kr.InviteMember(ctx, by, keyring.NewMember{Email: "x@larkspur.example", Name: x[0], RoleID: role.ID})
	must("member", err)
	account := x[3][:60]
	_, err = kr.EditAccount(ctx, by, d.account.ID, keyring.AccountEdit{Name: &account})
	must("account", err)
	ended, err := kr.CreateKey(ctx, by, keyring.NewKey{Name: "ended-so", Scopes: []postern.Scope{"things.read"}})
	must("key", err)
	_, err = kr.RevokeKey(ctx, by, ended.Key.ID, x[0])
	must("revoke", err)
	_, err = kr.CreatePersonalKey(ctx, by, keyring.NewPersonalKey{Name: x[0], ExpiresAt: time.Now().AddDate(0, 0, 20)})
	must("personal key", err)
	for _, path := range []string{"/crm/v3/objects/deals?limit=1", "/crm/v3/objects/contacts", "/" + url.PathEscape(x[0]), "/evil/things"} {
		req, err := http.NewRequestWithContext(ctx, "GET", d.gateway+path, nil)
		must("request", err)
		req.Header.Set("Authorization", "Bearer "+made.Secret.Reveal())
		req.Header.Set("User-Agent", x[1])
		req.Header.Set("X-Request-Id", x[0])
		res, err := http.DefaultClient.Do(req)
		must("call", err)
		res.Body.Close()
	}
	must("flush", d.node.Activity.Flush(ctx))
	old, err := d.moveHostile(ctx, x)
	must("old token", err)
	d.keys["evil"] = made.Key
	evil := "/keys/" + string(made.Key.ID)
	more := []place{{name: "evil", path: evil}, {name: "evil-activity", path: evil + "?tab=activity"}, {name: "evil-scopes", path: evil + "?tab=scopes"}, {name: "evil-history", path: evil + "?tab=history"},
		{name: "evil-connect", path: evil + "?tab=connect"}, {name: "evil-edit", path: evil + "/scopes"}, {name: "evil-delete", path: evil + "/delete"}, {name: "evil-rotate", path: evil + "/rotate"},
		{name: "evil-rename", path: evil + "/rename"}, {name: "evil-first", path: evil + "/first-call"}, {name: "evil-receipt", path: "/keys/" + string(ended.Key.ID) + "/receipt"}, {name: "evil-up", path: "/settings/upstreams/evil"},
		{name: "evil-cat", path: "/settings/catalog/evil"}, {name: "evil-member", path: "/settings/members/" + string(d.invited.Member.ID)}, {name: "evil-old", path: old}, {name: "evil-role", path: "/settings/roles/" + string(role.ID)},
		{name: "reflected", path: "/keys?" + url.Values{"q": {x[0]}, "tab": {x[1]}, "scope": {x[2]}, "sort": {x[3]}}.Encode()}, {name: "reflected-search", path: "/search?q=" + url.QueryEscape(x[2])},
		{name: "reflected-activity", path: "/activity?" + url.Values{"path": {x[0]}, "key": {x[1]}, "ip": {x[2]}, "agent": {x[3]}}.Encode()}, {name: "reflected-create", path: "/keys/new?" + url.Values{"name": {x[0]}, "note": {x[1]}, "step": {"2"}, "q": {x[2]}, "copy": {x[3]}}.Encode()},
		{name: "reflected-next", path: "/confirm?next=" + url.QueryEscape("javascript:ran(1)")}}
	b := d.in(t, "Ada")
	b.do(page.SetBypassCSP(true))
	shown := 0
	for _, p := range append(more, d.places(t)...) {
		if p.who != "" {
			continue
		}
		b.open(p.path)
		b.js(`for (const e of document.querySelectorAll('details')) e.open = true; for (const e of document.querySelectorAll('.chart g')) e.dispatchEvent(new PointerEvent('pointermove', { bubbles: true }))`, nil)
		if n := b.str(`document.querySelectorAll('[data-xss]').length`); n != "0" {
			t.Errorf("%s: a text became %s elements", p.name, n)
		}
		if bad := b.str(`[...document.querySelectorAll('[href], [action], [src], [formaction]')].filter((e) => /^\s*(javascript|data|vbscript):/i.test(e.getAttribute('href') ?? e.getAttribute('action') ?? e.getAttribute('src') ?? '')).length`); bad != "0" {
			t.Errorf("%s: %s addresses run something", p.name, bad)
		}
		if b.str(`document.documentElement.textContent.includes('data-xss')`) == "true" {
			shown++
		}
		b.mu.Lock()
		if len(b.called) > 0 {
			t.Errorf("%s: something ran: %q", p.name, b.called)
			b.called = nil
		}
		b.mu.Unlock()
	}
	if shown < 20 {
		t.Errorf("only %d pages show a hostile text: the test does not reach them", shown)
	}
}

// The secret is on one page, once: in no address, no storage, no history, no log, no
// file, and gone after a reload and after Back.
func TestSecretOnce(t *testing.T) {
	d := office(t)
	b := d.in(t, "Ada")
	b.letCopy()
	id, secret := b.made("secret-once", "crm.objects.deals.read")
	if n := strings.Count(b.source(), secret); n != 1 {
		t.Errorf("the secret is in the page %d times, want once", n)
	}
	if cc, _ := b.header["Cache-Control"].(string); !strings.Contains(cc, "no-store") {
		t.Errorf("the page may be kept: Cache-Control %q", cc)
	}
	const kept = `(async () => JSON.stringify([location.href, document.title, document.cookie, { ...localStorage }, { ...sessionStorage }, history.state,
		await Promise.all((await caches.keys()).map(async (n) => (await (await caches.open(n)).keys()).map((r) => r.url))), (await indexedDB.databases()).map((d) => d.name),
		performance.getEntriesByType('resource').map((e) => e.name)]))()`
	hidden := func(when, text string) {
		t.Helper()
		if strings.Contains(text, secret) || strings.Contains(text, secret[len(secret)-40:]) {
			t.Errorf("%s: the secret is there", when)
		}
	}
	var store string
	b.js(kept, &store)
	hidden("address, title and storage", store)
	// Leaving without it asks once.
	b.click("#done")
	b.until(`document.querySelector('#leave').open`)
	b.accessible("leaving without the secret")
	b.click("=Copy and stay")
	b.copied()
	b.until(`!document.querySelector('#leave').open`)
	b.follow("#done")
	hidden("the key's page", b.str(`document.documentElement.outerHTML`))
	b.js(kept, &store)
	hidden("storage on the next page", store)
	b.leave(func() { b.js(`setTimeout(() => history.back())`, nil) })
	hidden("after Back", b.str(`document.documentElement ? document.documentElement.outerHTML : ''`))
	b.open("/keys/" + id)
	for _, path := range []string{"/keys/" + id + "?tab=secrets", "/keys/" + id + "?tab=history", "/keys/" + id + "?tab=connect", "/activity", "/audit", "/keys", "/search?q=secret-once", "/audit.jsonl", "/keys.csv", "/activity.csv"} {
		_, body := d.fetch(t, d.session(t, d.people["Ada"].ID), path)
		hidden(path, body)
	}
	// Sending the form again shows nothing.
	id2, again := b.made("secret-once-more", "crm.objects.deals.read")
	b.leave(func() { b.do(page.Reload()) })
	html := b.str(`document.documentElement.outerHTML`)
	if strings.Contains(html, again) {
		t.Error("a reload shows the secret again")
	}
	b.open("/keys/" + id2)
	hidden("the server's log", d.log.String())
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // files of the databases come and go
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(secret[len(secret)-40:])) {
			t.Errorf("%s holds the secret", e.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Each built-in role on each page: it is shown, or the page says which permission is missing.
func TestRoles(t *testing.T) {
	d := office(t)
	for _, role := range postern.BuiltinRoles() {
		t.Run(string(role.ID), func(t *testing.T) {
			session := d.session(t, d.people[string(role.ID)].ID)
			refused := 0
			for _, p := range d.places(t) {
				if p.who != "" || p.pattern == "-" {
					continue
				}
				status, body := d.fetch(t, session, p.path)
				switch {
				case status == http.StatusForbidden:
					refused++
					if !strings.Contains(body, "Your role is") || !strings.Contains(body, "<code>postern.") || !strings.Contains(body, role.Name) {
						t.Errorf("%s is refused without the role and the permission", p.path)
					}
				case status >= 500 || status == http.StatusUnauthorized:
					t.Errorf("%s = %d", p.path, status)
				case p.status == 0 && status >= 400:
					t.Errorf("%s = %d, want the page or 403", p.path, status)
				}
			}
			if role.ID == postern.RoleSuperAdmin && refused > 0 || role.ID == postern.RoleViewer && refused < 20 {
				t.Errorf("%d pages are refused", refused)
			}
		})
	}
}
