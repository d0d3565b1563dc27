package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
)

func leakViews(c func() Common) map[string][]view {
	bad := newForm("url", polyglot)
	bad.Wrong("secret", "%s", polyglot)
	found := func(f leaks.Found, done bool) *foundView {
		return &foundView{Common: c(), F: newForm(), Asked: true, Found: f, Words: polyglot, Sealed: "x", URL: polyglot, Done: done, Settled: done}
	}
	return map[string][]view{"found": {&foundView{F: newForm()}, &foundView{Common: c(), F: bad}, found(leaks.Found{State: leaks.Unknown}, false),
		found(leaks.Found{State: leaks.Live, Key: "0123456789abcdef", Kind: postern.KindServiceKey}, false), found(leaks.Found{State: leaks.Dormant}, false),
		found(leaks.Found{State: leaks.Live, Reported: true, Kept: true}, true), found(leaks.Found{State: leaks.Dead, Ended: true, Seq: 1}, true), found(leaks.Found{State: leaks.Dead}, false)}}
}

// A finder looks, reports and ends without an account, and the console tells of it until the secret is dead.
func TestFinder(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		if err := w.verifier.Renew(ctx); err != nil {
			t.Fatal(err)
		}
		made := must(w.kr.CreateKey(ctx, w.super, keyring.NewKey{Name: "night <b>", Scopes: []postern.Scope{"deals.read"}}))(t)
		w.catchUp(t)
		secret := made.Secret.Reveal()
		finder, admin := w.stranger(), w.login()
		form := finder.get("/found").want(200, "Found a secret?", `type="password"`, `autocomplete="off"`)
		if cc := form.header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
			t.Errorf("Cache-Control = %q", cc)
		}
		finder.send("/found", "secret", " ").want(422, "Paste the whole secret.")
		finder.send("/found", "secret", secret[:len(secret)-1]).want(200, "We don’t know this secret").not("key ID", "Report it")
		finder.send("/found", "secret", postern.NewSecret("pst", postern.SecretServiceKey, made.Key.ID).Reveal()).want(200, "We don’t know this secret").not("Report it")
		looked := finder.send("/found", "secret", secret, "url", "https://example.org/"+secret).want(200, "This secret works", string(made.Key.ID), "Report it", "End it now").not(secret[30:], "night")
		admin.get("/keys").want(200).not("found in the open")

		done := finder.send("/found/report", "sealed", looked.hidden("sealed"), "url", "https://example.org/<i>").want(200, "Thank you", "were told").not("Report it", "<i>")
		admin.get("/keys").want(200, "A secret was found in the open and still works.", "Found in the open", "night &lt;b&gt;")
		admin.get("/keys/"+string(made.Key.ID)).want(200, "A secret of this key was found in the open", "https://example.org/<i>", "Replace it now", "why=exposed").not("<i>x")
		finder.send("/found/revoke", "sealed", "x").want(422, "Paste the secret again.")

		finder.send("/found/revoke", "sealed", done.hidden("sealed")).want(200, "The secret was ended").not("End it now", secret[30:])
		w.catchUp(t)
		finder.send("/found", "secret", secret).want(200, "This secret has ended")
		admin.get("/keys").want(200).not("found in the open")
		admin.get("/keys/"+string(made.Key.ID)).want(200, "One of its secrets was found.").not("A secret of this key was found")

		// A page that was open for too long asks again.
		w.later(foundKept + time.Minute)
		finder.send("/found/report", "sealed", looked.hidden("sealed")).want(422, "open for too long")
		if strings.Contains(w.log.String(), secret[24:]) {
			t.Error("the log holds the secret")
		}
	})
}

// Another site's page can't send the form, and a member's own key shows that it was found.
func TestFinderBounds(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db", func(c *Config) {
		c.Leaks = must(leaks.New(leaks.Config{Verifier: c.Verifier, Keyring: c.Keyring, PerSecond: 4}))(t)
	})
	req := must(http.NewRequest("POST", w.url+"/found", strings.NewReader("secret=x")))(t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	w.stranger().do(req).want(403, "another site")
	if err := w.verifier.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	pak := must(w.kr.CreatePersonalKey(t.Context(), w.super, keyring.NewPersonalKey{Name: "laptop"}))(t)
	must(w.kr.TakeLeak(t.Context(), postern.Actor{}, keyring.Leak{Account: w.account, Key: pak.Key.Key, Generation: 1, Source: postern.LeakFromFinder}))(t)
	w.login().get("/me/keys").want(200, "Found in the open: end it")
	limited := 0
	for range 12 {
		if w.stranger().send("/found", "secret", "x").status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited < 6 {
		t.Errorf("%d of 12 were put off, want most", limited)
	}
}

func TestLeakPolicy(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	b := w.login()
	b.get("/settings/security").want(200, "When a secret is found in the open", "A finder can end a secret")
	b.post("/settings/security/check", "leakDo", "pause", "revision", "0").want(200, `name="leakDo" value="pause"`).not(`type="hidden" name="findersEnd"`)
	b.post("/settings/security", "leakDo", "pause", "revision", "0").to("/settings/security")
	if p := must(w.kr.Policy(t.Context(), w.super))(t); p.Leaks != (postern.LeakPolicy{Do: postern.LeakPause}) {
		t.Errorf("policy %+v", p.Leaks)
	}
	w.login(w.member("vi@example.com", "Vi", postern.RoleViewer)).get("/settings/security").want(200, "Tell its people, and pause the key")
	b.post("/settings/security", "revision", "1", "remindAge", "90").to("/settings/security")
	if p := must(w.kr.Policy(t.Context(), w.super))(t); p.Leaks.Do != postern.LeakPause || p.RemindAge != 90 {
		t.Errorf("a form without that part changed it: %+v", p)
	}
	b.post("/settings/security", "leakDo", "shout", "revision", "2").want(422, "This is notify, pause or revoke.")
}

// TestEveryLeakedKeyIsCounted: the list of keys tells of all keys whose secret was found, however
// many reports there are, names some of them, and says where it stopped looking.
func TestEveryLeakedKeyIsCounted(t *testing.T) {
	page, pages, shown := leaksAPage, leakPages, leaksShown
	defer func() { leaksAPage, leakPages, leaksShown = page, pages, shown }()
	leaksAPage, leaksShown = 2, 2
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		for i := range 5 {
			k := w.newKey("found-"+string(rune('a'+i)), "deals.read").Key
			for _, url := range []string{"https://example.com/1", "https://example.com/2"} {
				w.later(time.Second)
				if _, err := w.kr.TakeLeak(t.Context(), postern.Actor{}, keyring.Leak{Account: w.account, Key: k.ID, Generation: 1, Source: postern.LeakFromGitHub, URL: url}); err != nil {
					t.Fatal(err)
				}
			}
			if i == 0 {
				b.get("/keys").want(200, "A secret was found in the open and still works. Replace it now: found-a.")
			}
		}
		leakPages = pages
		b.get("/keys").want(200, "Secrets of 5 keys were found in the open", "Replace them now: found-e, found-d and 3 more.").not("or more", "oldest reports")
		leakPages = 2
		b.get("/keys").want(200, "Secrets of 2 keys or more were found", "The oldest reports were not looked at")
	})
}

// catchUp makes the verifier read what changed.
func (w *world) catchUp(t *testing.T) {
	t.Helper()
	if err := w.verifier.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
}
