package activity_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

func TestCleanPath(t *testing.T) {
	secret := postern.NewSecret("pst", postern.SecretServiceKey, keyA).Reveal()
	shown := "pst_sk_AAAAAAAAAAAAAAAA_…"
	for _, c := range []struct{ path, template, want string }{
		{"/crm/v3/objects/deals", "", "/crm/v3/objects/deals"},
		{"/a?hapikey=1", "", "/a"},
		{"/a#b", "", "/a"},
		{"/oauth/v1/access-tokens/" + secret, "", "/oauth/v1/access-tokens/" + shown},
		{"/oauth/v1/access-tokens/" + secret, "/oauth/v1/access-tokens/{token}", "/oauth/v1/access-tokens/" + shown},
		{"/oauth/v1/access-tokens/pat-na1-123", "/oauth/v1/access-tokens/{token}", "/oauth/v1/access-tokens/…"},
		{"/oauth/v1/access-tokens/pat_na1_123/x", "/oauth/v1/access-tokens/{token}/x", "/oauth/v1/access-tokens/…/x"},
		{"/oauth/v1/" + secret + "more/{id}", "/oauth/v1/{secretText}/{id}", "/oauth/v1/" + shown + "/{id}"},
		{"/" + secret[:30], "", "/" + shown}, // cut short
		{"/x" + secret + "." + secret + "!", "", "/x" + shown + "." + shown + "!"},
		{"/pst_sk_short_x", "", "/pst_sk_short_x"},
		{"/pst_", "", "/pst_"},
		{"/\x00\xff\u202e", "", "/\ufffd\ufffd\ufffd"},
	} {
		if got := activity.CleanPath("pst", c.path, c.template); got != c.want {
			t.Errorf("CleanPath(%q, %q) = %q, want %q", c.path, c.template, got, c.want)
		}
	}
}

// TestNoSecretIsStored puts secrets wherever a caller can, at every place where
// a text could be cut in two, and looks for their random part in the database.
func TestNoSecretIsStored(t *testing.T) {
	engines(t, func(t *testing.T, target string) {
		l := open(t, activity.Config{Target: target, Brand: "zap"})
		secret := postern.NewSecret("zap", postern.SecretOAuthAccess, keyB).Reveal()
		random := secret[strings.LastIndexByte(secret, '_')+1:]
		n := 0
		for pad := 0; pad < 700; pad += 3 {
			text := strings.Repeat("/p", pad/2) + "/" + secret
			l.Record(call(t0, func(e *postern.Event) {
				e.Path, e.UserAgent, e.RequestID, e.Door = text, text, text, text
				e.Decision.Operation = &postern.Operation{Name: text, Upstream: postern.UpstreamID(text)}
			}))
			n++
		}
		flush(t, l)
		got := all(t, l, activity.Filter{Account: acme}, 200)
		if len(got) != n {
			t.Fatalf("%d calls, want %d", len(got), n)
		}
		for _, a := range got {
			for _, text := range []string{a.Path, a.UserAgent, a.RequestID, a.Door, a.Operation, string(a.Upstream)} {
				for i := 0; i+8 <= len(random); i++ {
					if strings.Contains(text, random[i:i+8]) {
						t.Fatalf("%q holds a part of the secret", text)
					}
				}
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	secret := postern.NewSecret("pst", postern.SecretServiceKey, keyA).Reveal()
	f.Add("/a/"+secret, "/a/{token}")
	f.Add("/a/"+secret[:40]+"pst_"+secret, "")
	f.Add("\xff\x00pst_pst_sk_", "/{a}/{secret}/")
	f.Fuzz(func(t *testing.T, path, template string) {
		got := activity.CleanPath("pst", path, template)
		if len(got) > 512 || !utf8.ValidString(got) {
			t.Fatalf("%q: %d bytes, valid %v", got, len(got), utf8.ValidString(got))
		}
		if strings.ContainsFunc(got, unicode.IsControl) || strings.ContainsAny(got, "?#") {
			t.Fatalf("%q holds what it mustn't", got)
		}
		if again := activity.CleanPath("pst", got, ""); again != got {
			t.Fatalf("cleaning %q again gives %q", got, again)
		}
		for i := 0; i+postern.MaxSecretLen <= len(path); i++ {
			if p, err := postern.ParseSecret("pst", path[i:min(len(path), i+3+1+2+1+16+1+49)]); err == nil {
				random := path[i+3+1+len(p.Type)+1+16+1:][:49]
				if strings.Contains(got, random) {
					t.Fatalf("%q holds a secret", got)
				}
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(activity.Cursor{At: postern.ToMicros(t0), Seq: 7}.String())
	f.Add("-1--1")
	f.Add("0-0")
	f.Add("zzzzzzzzzzzzzzzz-1")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := activity.ParseCursor(s)
		if err != nil {
			if !c.Zero() {
				t.Fatalf("%q is refused and gives %v", s, c)
			}
			return
		}
		if c.String() != s || c.At < 0 || c.Seq < 0 {
			t.Fatalf("ParseCursor(%q) = %v, which is %q", s, c, c.String())
		}
	})
}
