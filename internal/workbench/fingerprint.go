package workbench

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"postern.dev/postern"
)

// Fingerprint tells credentials apart without holding them: "fp_" and 16 hexadecimal
// digits of a hash over the secret's SHA-256. A credential that was imported as text
// or as SHA-256 has the same fingerprint as the one that stands in a log.
//
// It isn't for secrets that can be guessed: whoever knows all that a weak one could
// be finds out which it is. Weak says which those are.
type Fingerprint string

// FingerprintOf is the fingerprint of a secret.
func FingerprintOf(secret []byte) Fingerprint { return FingerprintOfSHA256(sha256.Sum256(secret)) }

// FingerprintOfSHA256 is the fingerprint of a secret of which only the SHA-256 is known.
func FingerprintOfSHA256(sum [32]byte) Fingerprint {
	h := sha256.New()
	h.Write([]byte("postern fingerprint v1\x00"))
	h.Write(sum[:])
	return Fingerprint("fp_" + hex.EncodeToString(h.Sum(nil)[:8]))
}

// Look is what can be told of a credential by its form.
type Look struct {
	Kind postern.Kind // 0 where the form says nothing
	// Shown is what people tell it by: a prefix and the last four characters, or
	// the key ID of one of ours. It is empty where those would say too much.
	Shown string
	// Weak says that the secret could be guessed: it holds fewer than 112 bits.
	Weak bool
}

// LookAt looks at a secret's form. in says whether it came in an address, where
// only API keys of the old kind are put.
func LookAt(secret []byte, inAddress bool) Look {
	s := string(secret)
	if brand, _, ok := strings.Cut(s, "_"); ok {
		if p, err := postern.ParseSecret(brand, s); err == nil {
			return Look{Kind: p.Kind, Shown: postern.SecretOf(s).String()}
		}
	}
	l := Look{Weak: strength(s) < 112}
	switch {
	case strings.HasPrefix(s, "pat-"):
		l.Kind = postern.KindLegacyPrivateApp
	case inAddress || isUUID(s):
		l.Kind = postern.KindLegacyAPIKey
	}
	if !l.Weak {
		head := ""
		if i := strings.LastIndexByte(s[:min(len(s), 12)], '-'); i > 0 && i < 8 && l.Kind == postern.KindLegacyPrivateApp {
			head = s[:i]
		}
		l.Shown = head + "…" + s[len(s)-4:]
	}
	return l
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, r := range s {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if r != '-' {
				return false
			}
		} else if (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F') {
			return false
		}
	}
	return true
}

// strength guesses how many random bits a text can hold at most, from the kinds of
// characters that are in it: an upper bound, so that what is called weak is weak.
func strength(s string) float64 {
	if isUUID(s) {
		return 122
	}
	if rest, ok := strings.CutPrefix(s, "pat-"); ok {
		if _, id, ok := strings.Cut(rest, "-"); ok && isUUID(id) {
			return 122
		}
	}
	var digit, hexa, lower, upper, other bool
	distinct := map[rune]bool{}
	for _, r := range s {
		distinct[r] = true
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case r >= 'a' && r <= 'f':
			hexa = true
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= 'A' && r <= 'Z':
			upper = true
		default:
			other = true
		}
	}
	each := 0.0
	switch {
	case upper && (lower || hexa) || other && (lower || upper):
		each = 6
	case upper || lower:
		each = 5.17
		if !digit {
			each = 4.7
		}
	case hexa:
		each = 4
	default:
		each = 3.32
	}
	if len(distinct) < 6 {
		each = 1 // the same few characters over and over
	}
	return each * float64(len(s))
}
