package slowhash_test

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"postern.dev/postern/internal/slowhash"
)

const text = "a token that nobody guesses 0123456789"

func b64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// forms are hashes of text in each form.
func forms(t testing.TB) map[string]string {
	t.Helper()
	bc, err := bcrypt.GenerateFromPassword([]byte(text), 4)
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("some salt here\xff\xfe")
	id := b64(argon2.IDKey([]byte(text), salt, 1, 64, 2, 32))
	i := b64(argon2.Key([]byte(text), salt, 1, 64, 1, 32))
	s256, _ := pbkdf2.Key(sha256.New, text, salt, 10, 32)
	s512, _ := pbkdf2.Key(sha512.New, text, salt, 10, 64)
	s1, _ := pbkdf2.Key(sha1.New, text, salt, 10, 20)
	plain, _ := pbkdf2.Key(sha256.New, text, []byte("plain"), 10, 32)
	ab64 := func(b []byte) string { return strings.ReplaceAll(b64(b), "+", ".") }
	return map[string]string{
		string(bc): "bcrypt", "$2y$" + string(bc[4:]): "bcrypt", "bcrypt$" + string(bc): "bcrypt",
		"$argon2id$v=19$m=64,t=1,p=2$" + b64(salt) + "$" + id:                "argon2id",
		"argon2$argon2id$v=19$m=64,t=1,p=2$" + b64(salt) + "$" + id:          "argon2id",
		"$argon2i$v=19$m=64,t=1,p=1$" + b64(salt) + "$" + i:                  "argon2i",
		"pbkdf2_sha256$10$plain$" + base64.StdEncoding.EncodeToString(plain): "pbkdf2-sha256",
		"pbkdf2:sha256:10$plain$" + hex.EncodeToString(plain):                "pbkdf2-sha256",
		"$pbkdf2-sha256$10$" + ab64(salt) + "$" + ab64(s256):                 "pbkdf2-sha256",
		"$pbkdf2-sha512$10$" + ab64(salt) + "$" + ab64(s512):                 "pbkdf2-sha512",
		"$pbkdf2$10$" + ab64(salt) + "$" + ab64(s1):                          "pbkdf2-sha1",
		"$pbkdf2-sha256$i=10,l=32$" + b64(salt) + "$" + b64(s256):            "pbkdf2-sha256",
	}
}

func TestForms(t *testing.T) {
	for s, name := range forms(t) {
		h, err := slowhash.Parse(s)
		if err != nil || h.Name() != name {
			t.Errorf("Parse(%q) = %v, %v, want %s", s, h, err, name)
			continue
		}
		if !h.Matches([]byte(text)) {
			t.Errorf("%s doesn't match its own text", s)
		}
		for _, other := range []string{"", text + "x", text[1:], strings.ToUpper(text)} {
			if h.Matches([]byte(other)) {
				t.Errorf("%s matches %q", s, other)
			}
		}
	}
}

// What other programs made, written down.
func TestKnownHashes(t *testing.T) {
	for s, secret := range map[string]string{
		"$2b$04$zKOiWSXCFwgmOkg4tIsEN.eWsFLrMvEsHa.q0BRYmwNpEuUvqDZze":                           "",
		"$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44": "password",
	} {
		h, err := slowhash.Parse(s)
		if err != nil {
			t.Errorf("Parse(%q) = %v", s, err)
		} else if secret != "" && !h.Matches([]byte(secret)) {
			t.Errorf("%s doesn't match %q", s, secret)
		}
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("a", 73)
	bc, _ := bcrypt.GenerateFromPassword([]byte(long[:72]), 4)
	h, err := slowhash.Parse(string(bc))
	if err != nil || !h.Matches([]byte(long[:72])) || h.Matches([]byte(long)) {
		t.Error("bcrypt takes a text for another that begins with its 72 bytes")
	}
	for _, s := range []string{"", "x", "$2b$", "$2b$15$" + strings.Repeat("a", 53), "$2x$10$" + strings.Repeat("a", 53), string(bc[:59]), string(bc) + "a",
		"$argon2id$v=19$m=65537,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2id$v=19$m=64,t=11,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)),
		"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2id$v=19$m=64,t=1,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)),
		"$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)),
		"$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 32)), "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + b64(make([]byte, 4)),
		"$pbkdf2-sha256$2000001$c2FsdA$" + b64(make([]byte, 32)), "$pbkdf2-sha256$0$c2FsdA$" + b64(make([]byte, 32)), "$pbkdf2-md5$10$c2FsdA$" + b64(make([]byte, 32)),
		"pbkdf2_sha256$10$salt$", "pbkdf2:sha256$10$salt$aa", fmt.Sprintf("pbkdf2_sha256$10$%s$AAAA", strings.Repeat("s", 500))} {
		if h, err := slowhash.Parse(s); err == nil {
			t.Errorf("Parse(%q) = %s, want a refusal", s, h.Name())
		}
	}
}

func TestParseFind(t *testing.T) {
	for in, want := range map[string]string{"prefix:abcd": "prefix:abcd", "suffix:1234": "suffix:1234", "sha256:ABCDEF": "sha256:abcdef",
		"prefix:abc": "", "abcd": "", "sha256:xyzxyz": "", "prefix:" + strings.Repeat("a", 65): "", "prefix:ab cd": "", "": ""} {
		if got, err := slowhash.ParseFind(in); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseFind(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for s := range forms(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := slowhash.Parse(s); err == nil && h.Name() == "" {
			t.Errorf("Parse(%q) has no name", s)
		}
	})
}
