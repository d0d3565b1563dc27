package postern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"testing"
)

func TestNewSecret(t *testing.T) {
	id := NewKeyID()
	s := NewSecret("acme2", SecretServiceKey, id)
	p, err := ParseSecret("acme2", s.Reveal())
	if err != nil || p.KeyID() != id || p.Kind != KindServiceKey || p.Type != SecretServiceKey {
		t.Fatalf("ParseSecret(%s) = %+v, %v", s, p, err)
	}
	parts := strings.Split(s.Reveal(), "_")
	if len(parts) != 4 || parts[0] != "acme2" || parts[1] != "sk" || parts[2] != string(id) || len(parts[3]) != 49 {
		t.Errorf("parts %d of lengths %d, %d", len(parts), len(parts[2]), len(parts[3]))
	}
	if NewSecret("acme2", SecretServiceKey, id).Reveal() == s.Reveal() {
		t.Error("two secrets of one key are the same")
	}
	for _, typ := range []SecretType{SecretPersonal, SecretAppToken, SecretOAuthAccess, SecretRefresh, SecretCode, SecretClient, SecretDeveloper, SecretSession, SecretSetup, SecretInvite} {
		p, err := ParseSecret(DefaultBrand, NewSecret(DefaultBrand, typ, id).Reveal())
		if err != nil || p.Type != typ {
			t.Errorf("type %s: %+v, %v", typ, p, err)
		}
	}
}

// A secret never prints itself, however it is printed.
func TestSecretDoesNotPrint(t *testing.T) {
	s := NewSecret(DefaultBrand, SecretServiceKey, NewKeyID())
	text := s.Reveal()
	random := text[len(text)-49:]
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("made", "secret", s, "in", struct{ S Secret }{s}, "list", []Secret{s}, "at", &s)
	}
	j, err := json.Marshal(map[string]any{"secret": s, "at": &s, "list": []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		all += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, struct{ S Secret }{s}) + fmt.Sprintf(verb, []any{s}) + fmt.Sprintf(verb, map[string]Secret{"a": s})
	}
	if strings.Contains(all, random) || strings.Contains(strings.ToLower(all), fmt.Sprintf("%x", random)) {
		t.Error("the random part is in what was printed")
	}
	if got := s.String(); !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) || !strings.HasSuffix(got, "…") {
		t.Errorf("String() = %s, want the prefix and the key ID", got)
	}
	if got := SecretOf("hunter2_" + random[:20]).String(); got != "secret" {
		t.Errorf("a text of another form prints as %q", got)
	}
}

func TestParseSecretRefuses(t *testing.T) {
	good := NewSecret(DefaultBrand, SecretServiceKey, NewKeyID()).Reveal()
	for i := range good {
		for _, c := range []byte{'0', 'z', '_', ' ', 0, 0xff, good[i] ^ 0x20} {
			if c == good[i] {
				continue
			}
			bad := good[:i] + string([]byte{c}) + good[i+1:]
			if p, err := ParseSecret(DefaultBrand, bad); err == nil {
				t.Fatalf("character %d changed to %q is accepted: %+v", i, c, p)
			}
		}
	}
	for i := 0; i+1 < len(good); i++ {
		swapped := []byte(good)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if _, err := ParseSecret(DefaultBrand, string(swapped)); err == nil && string(swapped) != good {
			t.Fatalf("characters %d and %d swapped are accepted", i, i+1)
		}
	}
	for _, bad := range []string{"", "pst", "pst_", "pst_sk_", good[:len(good)-1], good + "0", " " + good, good + "\n", "Bearer " + good, good + good, strings.ToUpper(good), strings.Replace(good, "pst", "hub", 1)} {
		if _, err := ParseSecret(DefaultBrand, bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	typed := good[:len(good)-1] + map[bool]string{true: "1", false: "0"}[good[len(good)-1] == '0']
	if _, err := ParseSecret(DefaultBrand, typed); err != ErrChecksum {
		t.Errorf("a typing error gives %v, want ErrChecksum", err)
	}
	if _, err := ParseSecret(DefaultBrand, strings.Replace(good, "_sk_", "_xx_", 1)); err != ErrNotSecret {
		t.Errorf("an unknown type gives %v, want ErrNotSecret", err)
	}
}

// What is accepted is a secret to the letter, and reading allocates nothing.
func FuzzParseSecret(f *testing.F) {
	good := NewSecret(DefaultBrand, SecretServiceKey, NewKeyID()).Reveal()
	f.Add(good)
	f.Add(good[:40])
	f.Add("pst_sk_")
	f.Add("pst_ses_" + good[7:])
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseSecret(DefaultBrand, text)
		if n := testing.AllocsPerRun(1, func() { ParseSecret(DefaultBrand, text) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		if err != nil {
			if p != (Parsed{}) && p.Key != [KeyIDLen]byte{} {
				t.Errorf("refused %q, and yet %+v", text, p)
			}
			return
		}
		head := text[:len(text)-secretCheckLen]
		if !p.KeyID().Valid() || !strings.HasPrefix(text, DefaultBrand+"_"+string(p.Type)+"_"+string(p.KeyID())+"_") || checksum(head) != text[len(head):] {
			t.Errorf("accepted %q as %+v", text, p)
		}
	})
}

// The checksum is the CRC32 that the standard library computes, in base62.
func TestChecksum(t *testing.T) {
	for _, head := range []string{"", "a", "pst_sk_0000000000000000_"} {
		n := uint64(0)
		for _, c := range checksum(head) {
			n = n*62 + uint64(strings.IndexRune(base62, c))
		}
		if want := uint64(crc32.ChecksumIEEE([]byte(head))); n != want {
			t.Errorf("checksum(%q) = %d, want %d", head, n, want)
		}
	}
}

func TestRandomText(t *testing.T) {
	var seen [256]int
	const n = 62 * 4000
	for _, c := range []byte(RandomText(n)) {
		seen[c]++
	}
	for _, c := range []byte(base62) {
		// Ten standard deviations: a fair generator fails this once in 10^20 runs.
		if got := seen[c]; got < 4000-630 || got > 4000+630 {
			t.Errorf("%q came %d times of %d, want about 4000", c, got, n)
		}
	}
}

func TestValidBrand(t *testing.T) {
	for s, want := range map[string]bool{"pst": true, "ab": true, "a2345678901234567": false, "a234567890123456": true, "a": false, "": false, "Pst": false, "2pst": false, "p_t": false, "pś": false} {
		if ValidBrand(s) != want {
			t.Errorf("ValidBrand(%q) = %v", s, !want)
		}
	}
}
