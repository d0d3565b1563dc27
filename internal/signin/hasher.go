package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"postern.dev/postern"
)

// The cost of a password's hash: OWASP's first choice for Argon2id.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// hasher hashes passwords, at most one a core at a time: a flood of guesses may
// slow sign-ins down, and takes neither memory nor the verification of keys with it.
type hasher struct {
	slots chan struct{}
	queue chan struct{}
	done  atomic.Int64 // how many passwords were held against a hash
	dummy string       // what a password is held against where there is no member
}

const maxHashWait = 5 * time.Second

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, max(1, runtime.NumCPU())), queue: make(chan struct{}, 64)}
	h.dummy = h.encode(newText())
	return h
}

var errBusy = postern.Errorf(postern.CodeUnavailable, "Too many people are signing in at this moment. Try again in a few seconds.")

// with runs fn when a slot is free.
func (h *hasher) with(ctx context.Context, fn func()) error {
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return errBusy
	}
	t := time.NewTimer(maxHashWait)
	defer t.Stop()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		fn()
		return nil
	case <-t.C:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hash makes the PHC string of a password.
func (h *hasher) Hash(ctx context.Context, password string) (phc string, err error) {
	err = h.with(ctx, func() { phc = h.encode(password) })
	return phc, err
}

func (h *hasher) encode(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, b64(salt), b64(key))
}

// Matches holds a password against a PHC string; the empty string stands for no
// password and costs as much. weak says that the hash was made more cheaply than
// is done now.
func (h *hasher) Matches(ctx context.Context, phc, password string) (ok, weak bool, err error) {
	real := phc != ""
	if !real {
		phc = h.dummy
	}
	p, perr := parsePHC(phc)
	if perr != nil {
		return false, false, perr
	}
	err = h.with(ctx, func() {
		h.done.Add(1)
		got := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
		ok = subtle.ConstantTimeCompare(got, p.key) == 1 && real
	})
	return ok, p.memory < argonMemory || p.time < argonTime, err
}

type phcHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// parsePHC reads a PHC string. Its parameters are bounded: a row that somebody
// wrote must not make the server allocate without end.
func parsePHC(s string) (p phcHash, err error) {
	part := strings.Split(s, "$")
	var version int
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" {
		return p, fmt.Errorf("signin: a password's hash is no argon2id string")
	}
	if _, err := fmt.Sscanf(part[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, fmt.Errorf("signin: a password's hash has another version of argon2")
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, fmt.Errorf("signin: the parameters of a password's hash: %w", err)
	}
	if p.memory < 8 || p.memory > 256*1024 || p.time < 1 || p.time > 16 || p.threads < 1 || p.threads > 8 {
		return p, fmt.Errorf("signin: the parameters of a password's hash are out of bounds")
	}
	b64 := base64.RawStdEncoding.DecodeString
	if p.salt, err = b64(part[4]); err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return p, fmt.Errorf("signin: the salt of a password's hash is no base64 of 8 to 64 bytes")
	}
	if p.key, err = b64(part[5]); err != nil || len(p.key) < 16 || len(p.key) > 64 {
		return p, fmt.Errorf("signin: a password's hash is no base64 of 16 to 64 bytes")
	}
	return p, nil
}
