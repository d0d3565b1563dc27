package signin

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"postern.dev/postern"
)

// How many characters a password needs (NIST SP 800-63B section 3.1.1.2).
const (
	MinAlone      = 15
	MinWithFactor = 8
	maxPassword   = 256
)

//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			m[line] = true
		}
	}
	return m
})

// normal is how a password is hashed: what looks the same is the same.
func normal(password string) string { return norm.NFKC.String(password) }

// CheckPassword tells whether a password is good enough; about are words that
// everyone knows of its owner. There are no rules about its composition.
func CheckPassword(password string, withFactor bool, about ...string) error {
	least := MinAlone
	if withFactor {
		least = MinWithFactor
	}
	p := normal(password)
	n := utf8.RuneCountInString(p)
	switch {
	case !utf8.ValidString(password):
		return postern.Invalidf("password", "This is not valid text.")
	case n < least && withFactor:
		return postern.Invalidf("password", "Use at least %d characters. This has %d.", least, n)
	case n < least:
		return postern.Invalidf("password", "Use at least %d characters. This has %d. Four or five words in a row work well.", least, n)
	case n > maxPassword:
		return postern.Invalidf("password", "Use at most %d characters.", maxPassword)
	case isCommon(p):
		return postern.Invalidf("password", "This password is among the first that guessers try. Choose another.")
	}
	low := fold(p)
	for _, w := range about {
		w = fold(w)
		if len(w) >= 4 && (low == w || strings.Contains(low, w) && len(low) < len(w)+6) {
			return postern.Invalidf("password", "This password is little more than your own name or address. Choose another.")
		}
	}
	return nil
}

// isCommon knows listed passwords also with digits or marks around them, and
// those that only look long: one thing again and again, or a row of neighbours.
func isCommon(p string) bool {
	low := strings.ToLower(p)
	if common()[low] || common()[fold(low)] {
		return true
	}
	core := strings.TrimFunc(low, func(r rune) bool { return !unicode.IsLetter(r) })
	if core != "" && common()[core] && len(low) < MinAlone {
		return true
	}
	return repeats(low) || inRow(low)
}

// fold leaves letters and digits only, in lower case.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// repeats reports whether s is a short piece again and again.
func repeats(s string) bool {
	for n := 1; n <= 4 && n*3 <= len(s); n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) {
			return true
		}
	}
	return false
}

// inRow reports whether s is a walk along the alphabet, the digits or a keyboard.
func inRow(s string) bool {
	const rows = "abcdefghijklmnopqrstuvwxyz 01234567890123456789 qwertyuiop asdfghjkl zxcvbnm qwertzuiop azertyuiop qwertyuiopasdfghjklzxcvbnm 1qaz2wsx3edc4rfv5tgb6yhn7ujm"
	if len(s) < 6 {
		return false
	}
	var back strings.Builder
	for i := len(s) - 1; i >= 0; i-- {
		back.WriteByte(s[i])
	}
	return strings.Contains(rows, s) || strings.Contains(rows, back.String())
}
