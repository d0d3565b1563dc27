package scan_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"postern.dev/postern"
	"postern.dev/postern/internal/scan"
)

var types = []postern.SecretType{postern.SecretServiceKey, postern.SecretPersonal, postern.SecretAppToken, postern.SecretOAuthAccess,
	postern.SecretRefresh, postern.SecretCode, postern.SecretClient, postern.SecretDeveloper, postern.SecretSession, postern.SecretSetup, postern.SecretInvite}

func newSecret(i int) string {
	return postern.NewSecret("pst", types[i%len(types)], postern.NewKeyID()).Reveal()
}

func find(brand string, b []byte) (out []string) {
	scan.NewFinder(brand).Find(b, func(h scan.Hit) { out = append(out, fmt.Sprintf("%s %d %s", h.Form, h.At, h.Secret.Reveal())) })
	return out
}

func wide(s string, order binary.ByteOrder) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b := make([]byte, 2)
		order.PutUint16(b, u)
		out = append(out, b...)
	}
	return string(out)
}

func TestFinderForms(t *testing.T) {
	for i := range types {
		s := newSecret(i)
		wrapped := base64.StdEncoding.EncodeToString([]byte("client:" + s))
		for _, c := range []struct{ what, text, form string }{
			{"as it is", "key=" + s + "\n", "plain"},
			{"within letters", "xx" + s + "yy9", "plain"},
			{"in JSON", `{"key":"` + s + `"}`, "plain"},
			{"percent-encoded", "u=" + strings.ReplaceAll(s, "_", "%5F") + "&x", "escaped"},
			{"percent-encoded in lower case", strings.ReplaceAll(s, "_", "%5f"), "escaped"},
			{"escaped as JSON", strings.ReplaceAll(s, "_", `\u005f`), "escaped"},
			{"half escaped", strings.Replace(s, "_", `\u005F`, 2), "escaped"},
			{"UTF-16, little end first", wide("a"+s+"b", binary.LittleEndian), "utf16"},
			{"UTF-16, big end first", wide("a"+s+"b", binary.BigEndian), "utf16"},
			{"base64", "x: " + base64.StdEncoding.EncodeToString([]byte(s)) + "\n", "base64"},
			{"base64, one before", base64.StdEncoding.EncodeToString([]byte(":" + s)), "base64"},
			{"base64, two before", base64.RawURLEncoding.EncodeToString([]byte("a:" + s)), "base64"},
			{"base64 of a login", "Basic " + wrapped, "base64"},
			{"base64 over lines", wrapped[:40] + "\n" + wrapped[40:80] + "\r\n" + wrapped[80:], "base64"},
		} {
			got := find("pst", []byte(c.text))
			if len(got) != 1 || !strings.HasPrefix(got[0], c.form+" ") || !strings.HasSuffix(got[0], s) {
				t.Errorf("%s: found %q, want %s of %s", c.what, got, c.form, s)
			}
		}
	}
}

func TestFinderFindsNothingElse(t *testing.T) {
	s := newSecret(0)
	last := byte('a')
	if s[len(s)-1] == last {
		last = 'b'
	}
	for _, text := range []string{
		"", "pst", "pst_", s[:len(s)-1], s[:len(s)-1] + string(last), strings.Replace(s, "pst_", "pss_", 1), strings.Replace(s, "pst_sk", "pst_zz", 1),
		strings.Replace(s, "_", "-", 1), strings.Replace(s, "_", "%5e", 1), s[:30] + "\n" + s[30:],
		base64.StdEncoding.EncodeToString([]byte(s[:len(s)-1] + string(last))),
		base64.StdEncoding.EncodeToString([]byte(":@" + s[1:])), // another first character, of which the needle knows a half
	} {
		if got := find("pst", []byte(text)); len(got) != 0 {
			t.Errorf("in %q found %q, want nothing", text, got)
		}
	}
	if got := find("acme", []byte(s)); len(got) != 0 {
		t.Errorf("another brand's: found %q", got)
	}
	acme := postern.NewSecret("acme", postern.SecretServiceKey, postern.NewKeyID()).Reveal()
	if got := find("acme", []byte("'"+acme+"'")); len(got) != 1 {
		t.Errorf("of the brand acme found %q, want one", got)
	}
}

// Secrets that begin in each other's random part are both found.
func TestFinderOverlap(t *testing.T) {
	for range 100_000 {
		a := postern.NewSecret("ps", postern.SecretServiceKey, postern.NewKeyID()).Reveal()
		if !strings.HasSuffix(a, "p") {
			continue
		}
		// The tail of a is the brand's first letter: b begins there.
		text := a[:len(a)-1] + postern.NewSecret("ps", postern.SecretPersonal, postern.NewKeyID()).Reveal()
		if got := find("ps", []byte(text)); len(got) != 2 {
			t.Errorf("found %d in %q, want 2", len(got), text)
		}
		return
	}
	t.Fatal("no secret ended in the letter")
}

// Whatever is read at once, nothing is lost at the borders, and lines are counted right.
func TestStreamBorders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f := scan.NewFinder("pst")
	for n := range 40 {
		s := newSecret(n)
		form := []string{s, strings.ReplaceAll(s, "_", `\u005f`), wide(s, binary.LittleEndian), base64.StdEncoding.EncodeToString([]byte(s))}[n%4]
		// Around the end of the first chunk.
		at := 256<<10 - 300 + r.IntN(900)
		text := make([]byte, 600<<10)
		for i := range text {
			text[i] = "abc \n"[r.IntN(5)]
		}
		copy(text[at:], " "+form+" ")
		var got []scan.Place
		if _, err := f.Stream(iotest.HalfReader(bytes.NewReader(text)), func(p scan.Place) { got = append(got, p) }); err != nil {
			t.Fatal(err)
		}
		line := bytes.Count(text[:at], []byte("\n")) + 1
		if len(got) != 1 || got[0].Secret.Reveal() != s || got[0].Offset != int64(at+1) || got[0].Line != line {
			t.Errorf("%d at %d: found %d %+v, want it at %d in line %d", n, at, len(got), got, at+1, line)
		}
	}
}

// FuzzFinder holds the finder to postern.ParseSecret: all that it accepts, at any
// place and of any length, is found as it stands, and nothing else is.
func FuzzFinder(f *testing.F) {
	s := newSecret(0)
	f.Add([]byte(s), []byte("a"), 0)
	f.Add([]byte("pst_sk_pst_pak_"), []byte(s[3:]), 3)
	f.Add([]byte(s[:20]), []byte{0, 'p', 0}, 7)
	f.Add([]byte(s+s+s), []byte("_"), 1)
	f.Fuzz(func(t *testing.T, a, b []byte, n int) {
		if len(a)+len(b) > 4096 {
			return
		}
		whole := newSecret(n & 0xff)
		cut := whole[:len(whole)-(n>>8)&3]
		text := bytes.Join([][]byte{a, []byte(cut), b, []byte(whole), a}, nil)
		want := map[string]bool{}
		for at := range text {
			for _, size := range []int{72, 73, 74, 75} { // types of one to four letters
				if at+size <= len(text) {
					if _, err := postern.ParseSecret("pst", string(text[at:at+size])); err == nil {
						want[fmt.Sprintf("plain %d %s", at, text[at:at+size])] = true
					}
				}
			}
		}
		for _, got := range find("pst", text) {
			if !want[got] && strings.HasPrefix(got, "plain") {
				t.Errorf("found %q, which ParseSecret doesn't accept there", got)
			}
			fields := strings.Fields(got)
			if _, err := postern.ParseSecret("pst", fields[2]); err != nil {
				t.Errorf("found %q: %v", got, err)
			}
			delete(want, got)
		}
		for missed := range want {
			t.Errorf("did not find %q in %q", missed, text)
		}
	})
}
