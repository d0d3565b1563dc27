package signin_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store/storetest"
)

func TestCheckPassword(t *testing.T) {
	for _, c := range []struct {
		password string
		factor   bool
		good     bool
	}{
		{"velvet anchor mild forest", false, true},
		{"fourteen chars", false, false},
		{"fifteen charsss", false, true},
		{"mild4est", true, true},
		{"mild4es", true, false},
		{"пароль из слов и ещё", false, true},
		{"ｐａｓｓｗｏｒｄ", true, false}, // the same as password
		{"password", true, false},
		{"Password123", true, false},
		{"!!password1!!", true, false},
		{"aaaaaaaaaaaaaaaa", false, false},
		{"abcabcabcabcabcabc", false, false},
		{"0123456789012345", false, false},
		{"qwertyuiopasdfgh", false, false},
		{"zyxwvutsrqponmlkj", false, false},
		{"ada marsh", true, false},
		{"adamarsh1", true, false},
		{"  velvet anchor mild  ", false, true},
		{strings.Repeat("velvet ", 50), false, false},
		{"velvet anchor \xff mild", false, false},
	} {
		err := signin.CheckPassword(c.password, c.factor, "Ada Marsh", "ada")
		if (err == nil) != c.good {
			t.Errorf("CheckPassword(%q, %v) = %v, want good %v", c.password, c.factor, err, c.good)
		}
		if err != nil && postern.CodeOf(err) != postern.CodeInvalid {
			t.Errorf("CheckPassword(%q) = %v, want an answer for people", c.password, err)
		}
	}
}

func FuzzCommonPassword(f *testing.F) {
	for _, s := range []string{"", "password", "Passw0rd!", "aaaa", "qwertyuiop", "ｐａｓｓｗｏｒｄ", "\xff", "1qaz2wsx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		common := signin.CommonPassword(s)
		if err := signin.CheckPassword(s, true); err == nil && (signin.CommonPassword(s) || len([]rune(s)) < 4) {
			// Compatibility forms may make one character many, never a good password of three.
			t.Errorf("%q is accepted, and is common (%v) or too short", s, common)
		}
		if signin.CommonPassword(strings.ToUpper(s)) != signin.CommonPassword(strings.ToLower(strings.ToUpper(s))) {
			t.Errorf("whether %q is common depends on its case", s)
		}
		// What is refused with 15 characters is refused with 8, except for its length.
		if signin.CheckPassword(s, false) == nil && signin.CheckPassword(s, true) != nil {
			t.Errorf("%q may stand alone but not with a second factor", s)
		}
	})
}

// bare is a service over an empty database, for what needs no member.
func bare(t testing.TB, now func() time.Time) *signin.Service {
	t.Helper()
	pepper, err := postern.ParsePepper(postern.NewPepper())
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.Open(t, storetest.SQLite(t))
	s, err := signin.New(signin.Config{DB: db, Pepper: pepper, Keyring: keyring.New(keyring.Config{DB: db, Pepper: pepper}), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzOpen(f *testing.F) {
	s := bare(f, func() time.Time { return t0 })
	sealed, err := s.Seal("test", map[string]string{"who": "ada"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add(sealed[:20])
	f.Add(sealed + "A")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 64)))
	f.Fuzz(func(t *testing.T, text string) {
		var out map[string]string
		err := s.Open("test", text, &out)
		if (err == nil) != (text == sealed) {
			t.Errorf("Open(%q) = %v, %v; only what was sealed may open", text, out, err)
		}
		if err != nil && postern.CodeOf(err) != postern.CodeUnauthenticated {
			t.Errorf("Open(%q) = %v, want the one answer", text, err)
		}
		if s.Open("another", text, &out) == nil {
			t.Errorf("Open of another purpose read %q", text)
		}
	})
}

func TestSeal(t *testing.T) {
	now := t0
	s := bare(t, func() time.Time { return now })
	text, err := s.Seal("test", "ada", time.Minute)
	ok(t, "Seal", err)
	var got string
	if err := s.Open("test", text, &got); err != nil || got != "ada" {
		t.Errorf("Open = %q, %v", got, err)
	}
	wantCode(t, "for another purpose", s.Open("other", text, &got), postern.CodeUnauthenticated)
	wantCode(t, "on another server", bare(t, func() time.Time { return now }).Open("test", text, &got), postern.CodeUnauthenticated)
	now = now.Add(time.Minute)
	wantCode(t, "after its time", s.Open("test", text, &got), postern.CodeUnauthenticated)
	ok(t, "Spend", s.Spend(t.Context(), "form", time.Hour))
	wantCode(t, "Spend again", s.Spend(t.Context(), "form", time.Hour), postern.CodeConflict)
	if a, b := s.Token("csrf", "x"), s.Token("csrf", "y"); a == b || a != s.Token("csrf", "x") || a == s.Token("other", "x") {
		t.Error("a token isn't of its purpose and its subject")
	}
}
