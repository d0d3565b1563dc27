// Package slowhash checks a text against the slow hashes that other systems keep
// of secrets: bcrypt, Argon2 and PBKDF2. Parse refuses what would cost too much to
// check, so that whoever writes a hash can't make a server work for long.
package slowhash

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The most that a hash may cost to check.
const (
	MaxBcryptCost  = 14
	MaxArgonMemory = 64 << 10 // KiB
	MaxArgonTime   = 10
	MaxIterations  = 2_000_000
	maxLen         = 400
)

// bcrypt looks at no more of a text than this. A longer one would be taken for
// every other that begins the same, so none is.
const maxBcryptText = 72

// Hash is a slow hash that can be checked.
type Hash struct {
	name  string
	check func(text []byte) bool
}

// Name is what people call it: bcrypt, argon2id, argon2i, pbkdf2-sha256.
func (h *Hash) Name() string { return h.name }

// Matches reports whether a text has the hash. It takes from a millisecond to a second.
func (h *Hash) Matches(text []byte) bool { return h.check(text) }

var errForm = errors.New("it is none of bcrypt, Argon2id, Argon2i and PBKDF2, or it is cut off")

// Parse reads a hash: the modular crypt form of bcrypt, PHC strings of Argon2 and
// PBKDF2, and the forms of Django, passlib and Werkzeug.
func Parse(s string) (*Hash, error) {
	if len(s) > maxLen {
		return nil, errForm
	}
	// Django writes the name of its own class first.
	for _, p := range []string{"bcrypt$$", "argon2$argon2"} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			s = p[strings.LastIndexByte(p, '$'):] + rest
		}
	}
	switch {
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$argon2"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$pbkdf2"), strings.HasPrefix(s, "pbkdf2_"), strings.HasPrefix(s, "pbkdf2:"):
		return parsePBKDF2(s)
	}
	return nil, errForm
}

func parseBcrypt(s string) (*Hash, error) {
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != 60 {
		return nil, errForm
	}
	if cost > MaxBcryptCost {
		return nil, fmt.Errorf("its cost is %d; at most %d is checked", cost, MaxBcryptCost)
	}
	return &Hash{"bcrypt", func(text []byte) bool {
		return len(text) <= maxBcryptText && bcrypt.CompareHashAndPassword([]byte(s), text) == nil
	}}, nil
}

func parseArgon(s string) (*Hash, error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[2] != "v=19" {
		return nil, errForm
	}
	key := argon2.IDKey
	switch part[1] {
	case "argon2id":
	case "argon2i":
		key = argon2.Key
	default:
		return nil, errForm
	}
	p, err := params(part[3])
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(part[5])
	if err := errors.Join(err, err1, err2); err != nil || !sensible(salt, sum) || p["m"] < 8 || p["t"] < 1 || p["p"] < 1 {
		return nil, errForm
	}
	if p["m"] > MaxArgonMemory || p["t"] > MaxArgonTime || p["p"] > 16 {
		return nil, fmt.Errorf("it takes %d KiB and %d passes; at most %d KiB, %d passes and 16 lanes are checked", p["m"], p["t"], MaxArgonMemory, MaxArgonTime)
	}
	return &Hash{part[1], func(text []byte) bool {
		return subtle.ConstantTimeCompare(key(text, salt, uint32(p["t"]), uint32(p["m"]), uint8(p["p"]), uint32(len(sum))), sum) == 1
	}}, nil
}

// params reads "m=65536,t=3,p=4".
func params(s string) (map[string]int, error) {
	out := map[string]int{}
	for pair := range strings.SplitSeq(s, ",") {
		name, v, ok := strings.Cut(pair, "=")
		n, err := strconv.Atoi(v)
		if _, dup := out[name]; !ok || err != nil || dup || n < 0 {
			return nil, errForm
		}
		out[name] = n
	}
	return out, nil
}

var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func parsePBKDF2(s string) (*Hash, error) {
	algorithm, rounds, salt, sum, err := splitPBKDF2(s)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(rounds)
	h, ok := hashes[algorithm]
	if err != nil || !ok || n < 1 || !sensible(salt, sum) {
		return nil, errForm
	}
	if n > MaxIterations {
		return nil, fmt.Errorf("it has %d rounds; at most %d are checked", n, MaxIterations)
	}
	return &Hash{"pbkdf2-" + algorithm, func(text []byte) bool {
		key, err := pbkdf2.Key(h, string(text), salt, n, len(sum))
		return err == nil && subtle.ConstantTimeCompare(key, sum) == 1
	}}, nil
}

// splitPBKDF2 takes the forms apart in which a PBKDF2 hash is written.
func splitPBKDF2(s string) (algorithm, rounds string, salt, sum []byte, err error) {
	part := strings.Split(s, "$")
	switch {
	case strings.HasPrefix(s, "pbkdf2_") && len(part) == 4: // Django: pbkdf2_sha256$rounds$salt$base64
		sum, err = base64.StdEncoding.DecodeString(part[3])
		return strings.TrimPrefix(part[0], "pbkdf2_"), part[1], []byte(part[2]), sum, err
	case strings.HasPrefix(s, "pbkdf2:") && len(part) == 3: // Werkzeug: pbkdf2:sha256:rounds$salt$hex
		if name := strings.Split(part[0], ":"); len(name) == 3 {
			sum, err = hex.DecodeString(part[2])
			return name[1], name[2], []byte(part[1]), sum, err
		}
	case len(part) == 5: // passlib: $pbkdf2-sha256$rounds$salt$hash, and PHC: $pbkdf2-sha256$i=rounds,l=32$salt$hash
		algorithm, rounds = strings.TrimPrefix(strings.TrimPrefix(part[1], "pbkdf2"), "-"), part[2]
		if algorithm == "" {
			algorithm = "sha1"
		}
		if strings.Contains(rounds, "=") {
			p, err := params(rounds)
			if err != nil {
				return "", "", nil, nil, err
			}
			rounds = strconv.Itoa(p["i"])
		}
		// passlib writes "." for "+".
		enc := base64.RawStdEncoding
		salt, err = enc.DecodeString(strings.ReplaceAll(part[3], ".", "+"))
		sum, err2 := enc.DecodeString(strings.ReplaceAll(part[4], ".", "+"))
		return algorithm, rounds, salt, sum, errors.Join(err, err2)
	}
	return "", "", nil, nil, errForm
}

// sensible reports whether a salt and a sum are of lengths that no random text has by accident.
func sensible(salt, sum []byte) bool {
	return len(salt) >= 1 && len(salt) <= 64 && len(sum) >= 16 && len(sum) <= 64
}
