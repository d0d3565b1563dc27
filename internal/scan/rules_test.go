package scan_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/scan"
)

// entropy is Shannon's, in bits a character, as gitleaks computes it.
func entropy(s string) (h float64) {
	seen := map[rune]float64{}
	for _, r := range s {
		seen[r]++
	}
	for _, n := range seen {
		p := n / float64(len(s))
		h -= p * math.Log2(p)
	}
	return h
}

// The rules of gitleaks, read as it reads them: a keyword somewhere in the text,
// whatever its case, then the expression, then the entropy of its group.
func TestGitleaksRules(t *testing.T) {
	text, ok := scan.Rules("gitleaks", "acme")
	if !ok {
		t.Fatal("no rules")
	}
	value := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + ` = (.+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in\n%s", name, text)
		}
		return strings.Trim(m[1], `'"[]`)
	}
	re, keyword := regexp.MustCompile(value("regex")), value("keywords")
	least, err := strconv.ParseFloat(value("entropy"), 64)
	if err != nil || least < 3 || value("secretGroup") != "1" {
		t.Fatalf("entropy %v, %v", least, err)
	}
	finds := func(s string) string {
		if !strings.Contains(strings.ToLower(s), strings.ToLower(keyword)) {
			return ""
		}
		if m := re.FindStringSubmatch(s); m != nil && entropy(m[1]) > least {
			return m[1]
		}
		return ""
	}
	for i := range 3000 {
		s := postern.NewSecret("acme", types[i%len(types)], postern.NewKeyID()).Reveal()
		if got := finds("key: \"" + s + "\"\n"); got != s {
			t.Fatalf("found %q, want %q", got, s)
		}
	}
	for _, s := range []string{"acme_sk_" + strings.Repeat("x", 16) + "_" + strings.Repeat("x", 49), newSecret(0), "acme_zz_", "acme_sk_0000000000000000_"} {
		if got := finds(s); got != "" {
			t.Errorf("found %q in %q", got, s)
		}
	}
}

// The expression knows every type of secret that there is, and no other.
func TestRegexKnowsAllTypes(t *testing.T) {
	re := regexp.MustCompile("^" + scan.Regex("pst") + "$")
	check := func(typ string) {
		s := postern.NewSecret("pst", postern.SecretType(typ), postern.NewKeyID()).Reveal()
		_, err := postern.ParseSecret("pst", s)
		if got := re.MatchString(s); got != (err == nil) {
			t.Errorf("the type %q: matched = %v, ParseSecret = %v", typ, got, err)
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	for _, a := range letters {
		check(string(a))
		for _, b := range letters {
			check(string(a) + string(b))
			for _, c := range letters {
				check(string(a) + string(b) + string(c))
			}
		}
	}
	check("boot")
	check("tool")
}

func TestOtherRules(t *testing.T) {
	for _, form := range scan.RuleForms() {
		text, ok := scan.Rules(form, "pst")
		if !ok || !strings.Contains(text, scan.Regex("pst")) || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: %q", form, text)
		}
		if got := find("pst", []byte(text)); len(got) != 0 {
			t.Errorf("the rules for %s hold a secret", form)
		}
	}
	if _, ok := scan.Rules("sed", "pst"); ok {
		t.Error("there are rules for sed")
	}
	text, _ := scan.Rules("github", "pst")
	line := func(name string) string {
		return regexp.MustCompile(name + `: +(.+)`).FindStringSubmatch(text)[1]
	}
	re := regexp.MustCompile("(?:" + line("Before secret") + ")(" + line("Secret format") + ")(?:" + line("After secret") + ")")
	s := newSecret(0)
	for in, want := range map[string]bool{s: true, "a=" + s + ";": true, "x" + s: false, s + "9": false, line("Test string"): true} {
		if re.MatchString(in) != want {
			t.Errorf("the pattern for GitHub in %q: %v, want %v", in, !want, want)
		}
	}
}
