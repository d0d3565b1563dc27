package catalog_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

func TestCanonical(t *testing.T) {
	semicolon, leading := catalog.PathOptions{AllowSemicolon: true}, catalog.PathOptions{CollapseLeadingSlashes: true}
	for _, tt := range []struct {
		raw  string
		opts catalog.PathOptions
		want string // "" for refused
		out  string // as forwarded, where it isn't want
	}{
		{raw: "/", want: "/"},
		{raw: "/crm/v3/objects/deals", want: "/crm/v3/objects/deals"},
		{raw: "/a/", want: "/a/"},
		{raw: "/a@b:c", want: "/a@b:c"},
		{raw: "/a%40b%3Ac", want: "/a@b:c", out: "/a@b:c"},
		{raw: "/two%20words", want: "/two words", out: "/two%20words"},
		{raw: "/two words", want: "/two words", out: "/two%20words"},
		{raw: "/caf%C3%A9", want: "/café", out: "/caf%C3%A9"},
		{raw: "/café", want: "/café", out: "/caf%C3%A9"},
		{raw: "/%e2%82%ac", want: "/€", out: "/%E2%82%AC"},
		{raw: "/a+b", want: "/a+b", out: "/a%2Bb"},
		{raw: "/a%2Bb", want: "/a+b", out: "/a%2Bb"},
		{raw: "/a%3Fb%23c", want: "/a?b#c", out: "/a%3Fb%23c"},
		{raw: "/50%25", want: "/50%", out: "/50%25"},
		{raw: "/50%25%20off", want: "/50% off", out: "/50%25%20off"},
		{raw: "/a%2541", want: "/a%41", out: "/a%2541"}, // escaped twice, and harmless
		{raw: "/~user/.well-known/a.b/..a/...", want: "/~user/.well-known/a.b/..a/..."},
		{raw: "/Foo(7)/$batch/!'*,=&", want: "/Foo(7)/$batch/!'*,=&"},
		{raw: "/a%5Bb%5D", want: "/a[b]", out: "/a%5Bb%5D"},

		{raw: ""}, {raw: "a"}, {raw: "*"}, {raw: "http://x/a"}, {raw: "%2Fa"},
		{raw: "//"}, {raw: "//a"}, {raw: "/a//b"}, {raw: "/a//"},
		{raw: "/a/./b"}, {raw: "/a/../b"}, {raw: "/.."}, {raw: "/."}, {raw: "/../"}, {raw: "/a/.."},
		{raw: "/a/%2e%2e/b"}, {raw: "/a/.%2E/b"}, {raw: "/%2e"},
		{raw: "/a%2Fb"}, {raw: "/a%2fb"}, {raw: `/a\b`}, {raw: "/a%5Cb"}, {raw: "/a%5cb"},
		{raw: "/a\x00b"}, {raw: "/a%00b"}, {raw: "/a\nb"}, {raw: "/a%0D%0Ab"}, {raw: "/a\x7f"}, {raw: "/a%7F"}, {raw: "/a%C2%85"}, {raw: "/a\u0085"},
		{raw: "/a%"}, {raw: "/a%2"}, {raw: "/a%zz"}, {raw: "/a%2x"}, {raw: "/%u002f"}, {raw: "/a% 20"},
		{raw: "/a%C0%AF"}, {raw: "/a%E0%80%AF"}, {raw: "/a%ff"}, {raw: "/a\xff"}, {raw: "/a%ED%A0%80"}, {raw: "/a%C3"}, {raw: "/a\xc3"},
		{raw: "/a;b"}, {raw: "/a;"}, {raw: "/a%3Bb"}, {raw: "/a%3bb"},
		{raw: "/a?b"}, {raw: "/a#b"},
		{raw: "/a%252Fb"}, {raw: "/a%252fb"}, {raw: "/a%255Cb"}, {raw: "/%252e%252e/a"}, {raw: "/.%252e/a"}, {raw: "/a%2500b"}, {raw: "/a%253Bb"},
		{raw: "/a%25252Fb"}, {raw: "/a%2525252Fb"}, {raw: "/a%25%32%46b"}, {raw: "/a%2525%2532%2546b"}, {raw: "/a%" + strings.Repeat("25", 40) + "41"},
		{raw: "/" + strings.Repeat("a", 8192)},

		{raw: "/a;b=c", opts: semicolon, want: "/a;b=c"},
		{raw: "/a;b=c/d", opts: semicolon, want: "/a;b=c/d"},
		{raw: "/a%3Bb", opts: semicolon}, // after decoding it would be the other one
		{raw: "/a%253Bb", opts: semicolon},
		{raw: "/..;/a", opts: semicolon},
		{raw: "/..;x=y/a", opts: semicolon},
		{raw: "/%2e%2e;/a", opts: semicolon},
		{raw: "/.;/a", opts: semicolon},
		{raw: "/;/a", opts: semicolon},
		{raw: "/;x", opts: semicolon},

		{raw: "//crm/v3", opts: leading, want: "/crm/v3"},
		{raw: "/crm/v3", opts: leading, want: "/crm/v3"},
		{raw: "//", opts: leading, want: "/"},
		{raw: "///crm", opts: leading},
		{raw: "//crm//v3", opts: leading},
		{raw: "/%2Fcrm", opts: leading},
		{raw: "//../crm", opts: leading},
	} {
		got, err := catalog.Canonical(tt.raw, tt.opts)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Canonical(%.60q, %+v) = %q, %v, want %q", tt.raw, tt.opts, got, err, tt.want)
			continue
		}
		if err != nil {
			if !errors.Is(err, postern.CodeInvalid) && !errors.Is(err, postern.CodeTooLarge) {
				t.Errorf("Canonical(%.60q): %v is no error of the caller", tt.raw, err)
			}
			continue
		}
		out := tt.out
		if out == "" {
			out = tt.want
		}
		if e := catalog.Escape(got); e != out {
			t.Errorf("Escape(%q) = %q, want %q", got, e, out)
		}
	}
}

func TestCanonicalAtTheLimit(t *testing.T) {
	path := "/" + strings.Repeat("a", 8191)
	if got, err := catalog.Canonical(path, catalog.PathOptions{}); err != nil || got != path {
		t.Errorf("a path of 8,192 bytes is refused: %v", err)
	}
	if _, err := catalog.Canonical(path+"a", catalog.PathOptions{}); !errors.Is(err, postern.CodeTooLarge) {
		t.Errorf("a path of 8,193 bytes: %v, want too large", err)
	}
}

// checkCanonical holds for whatever passes.
func checkCanonical(t interface{ Fatalf(string, ...any) }, raw string, opts catalog.PathOptions) {
	path, err := catalog.Canonical(raw, opts)
	if err != nil {
		if path != "" {
			t.Fatalf("Canonical(%q) gives %q beside an error", raw, path)
		}
		return
	}
	if path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, `\`) || !utf8.ValidString(path) {
		t.Fatalf("Canonical(%q) = %q", raw, path)
	}
	for seg := range strings.SplitSeq(path[1:], "/") {
		name, _, _ := strings.Cut(seg, ";")
		if name == "." || name == ".." {
			t.Fatalf("Canonical(%q) = %q has a dot segment", raw, path)
		}
	}
	for _, r := range path {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == ';' && !opts.AllowSemicolon {
			t.Fatalf("Canonical(%q) = %q has the character %q", raw, path, r)
		}
	}
	escaped := catalog.Escape(path)
	if again, err := catalog.Canonical(escaped, opts); len(escaped) <= 8192 && (err != nil || again != path) {
		t.Fatalf("Canonical(%q) = %q, and Canonical of its escaped form %q = %q, %v", raw, path, escaped, again, err)
	}
	if once, err := url.PathUnescape(escaped); err != nil || once != path {
		t.Fatalf("%q decodes to %q (%v), want %q", escaped, once, err, path)
	}
	u := url.URL{Path: path, RawPath: escaped}
	if u.EscapedPath() != escaped {
		t.Fatalf("net/url would send %q for %q", u.EscapedPath(), escaped)
	}
	if strings.ContainsAny(escaped, "?#%") && strings.ContainsAny(escaped, "?#") {
		t.Fatalf("Escape(%q) = %q ends the path early", path, escaped)
	}
	// A careless server that decodes again sees no more segments and no way up.
	if twice, err := url.PathUnescape(path); err == nil && strings.Count(twice, "/") != strings.Count(path, "/") {
		t.Fatalf("Canonical(%q) = %q decodes to %q", raw, path, twice)
	}
}

var pathSeeds = []string{"/", "/a/b", "/a%20b", "/%2e%2e/", "/a%252Fb", "//a", "/a;b", "/é", "/%C3%A9", "/a%00", `/\`, "/%5c", "/a+b", "/50%25", "/%25%32%46", "/a?b", "/..;/", "*", ""}

func FuzzCanonical(f *testing.F) {
	for _, s := range pathSeeds {
		f.Add(s, false, false)
		f.Add(s, true, true)
	}
	f.Fuzz(func(t *testing.T, raw string, semicolon, leading bool) {
		checkCanonical(t, raw, catalog.PathOptions{AllowSemicolon: semicolon, CollapseLeadingSlashes: leading})
	})
}

func TestCanonicalProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{"/", "a", "B", ".", "..", "%2e", "%2E", "%2f", "%5C", "%25", "2f", "2", "F", "%32", "%46", ";", "%3b", "%00", "é", "%C3%A9", "%C3", "+", " ", "@", ":", "%", "~"})
	rapid.Check(t, func(t *rapid.T) {
		raw := "/" + strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		checkCanonical(t, raw, catalog.PathOptions{AllowSemicolon: rapid.Bool().Draw(t, "semicolon"), CollapseLeadingSlashes: rapid.Bool().Draw(t, "leading")})
	})
}

func BenchmarkCanonical(b *testing.B) {
	for name, raw := range map[string]string{"plain": "/crm/v3/objects/deals/8812003/associations/contacts", "escaped": "/crm/v3/objects/deals/a%40b.test/associations/caf%C3%A9", "refused": "/crm/v3/../objects"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = catalog.Canonical(raw, catalog.PathOptions{})
			}
		})
	}
}
