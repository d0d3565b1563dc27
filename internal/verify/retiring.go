package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/slowhash"
)

// retiring is what is known of imported credentials besides what decides: until
// when their callers have, and the slow hashes of those that were not presented yet.
//
// mu is held for writing while such a credential's row is put into the index, and
// for reading while one is looked for: whoever looks sees all of a row or nothing
// of it, and a secret that goes from its slow hash to its fast form is found by
// one of the two. It is taken before a shard's lock.
type retiring struct {
	mu    sync.RWMutex
	dates map[[postern.KeyIDLen]byte]Retirement

	slow   map[[postern.KeyIDLen]byte]slowSecret
	byFind map[string][][postern.KeyIDLen]byte
	forms  map[form]int // how many are found by each
	n      atomic.Int64 // slow ones

	checks checks
}

// Retirement is when an imported credential goes.
type Retirement struct{ DeprecatedAt, SunsetAt postern.Micros }

type slowSecret struct {
	find, hash string
}

// form is a way in which a text says that it may be one: so many of its first or
// last characters, or digits of its SHA-256.
type form struct {
	kind string
	n    int
}

// maxCandidates is the most secrets that one text is compared with.
const maxCandidates = 4

func (r *retiring) init() {
	r.dates = map[[postern.KeyIDLen]byte]Retirement{}
	r.slow = map[[postern.KeyIDLen]byte]slowSecret{}
	r.byFind = map[string][][postern.KeyIDLen]byte{}
	r.forms = map[form]int{}
	r.checks.init()
}

// put notes what the sealed row says that was put into the index. The caller holds the lock.
func (r *retiring) put(c *postern.Credential, row *postern.Retiring) {
	r.dates[c.Key] = Retirement{postern.ToMicros(row.DeprecatedAt), postern.ToMicros(row.SunsetAt)}
	was, there := r.slow[c.Key]
	if there {
		r.drop(c.Key, was)
		delete(r.slow, c.Key)
	}
	if kind, text, ok := strings.Cut(row.Find, ":"); ok && row.Hash != "" {
		r.slow[c.Key] = slowSecret{row.Find, row.Hash}
		r.byFind[row.Find] = append(r.byFind[row.Find], c.Key)
		r.forms[form{kind, len(text)}]++
	}
	r.n.Store(int64(len(r.slow)))
	if there && was.hash != row.Hash {
		r.checks.forget()
	}
}

func (r *retiring) drop(key [postern.KeyIDLen]byte, was slowSecret) {
	delete(r.slow, key)
	if r.byFind[was.find] = slices.DeleteFunc(r.byFind[was.find], func(k [postern.KeyIDLen]byte) bool { return k == key }); len(r.byFind[was.find]) == 0 {
		delete(r.byFind, was.find)
	}
	kind, text, _ := strings.Cut(was.find, ":")
	f := form{kind, len(text)}
	if r.forms[f]--; r.forms[f] == 0 {
		delete(r.forms, f)
	}
}

// candidate is a secret that a text may be, with its record at that moment.
type candidate struct {
	key  [postern.KeyIDLen]byte
	slow slowSecret
}

// candidates are the secrets that a text may be, by what it says of itself. The caller holds the lock.
func (r *retiring) candidates(text string, sum [32]byte) (out []candidate) {
	digits := hex.EncodeToString(sum[:])
	for f := range r.forms {
		var part string
		switch {
		case f.kind == "prefix" && f.n <= len(text):
			part = text[:f.n]
		case f.kind == "suffix" && f.n <= len(text):
			part = text[len(text)-f.n:]
		case f.kind == "sha256" && f.n <= len(digits):
			part = digits[:f.n]
		default:
			continue
		}
		for _, key := range r.byFind[f.kind+":"+part] {
			if len(out) == maxCandidates {
				return out
			}
			out = append(out, candidate{key, r.slow[key]})
		}
	}
	return out
}

// Retirement tells when an imported credential goes; ok is false for any other.
func (v *Verifier) Retirement(key postern.KeyID) (r Retirement, ok bool) {
	if len(key) != postern.KeyIDLen {
		return r, false
	}
	v.retiring.mu.RLock()
	defer v.retiring.mu.RUnlock()
	r, ok = v.retiring.dates[[postern.KeyIDLen]byte([]byte(key))]
	return r, ok
}

// Proved is told of a secret that was found by its slow hash. It must not block.
type Proved func(key postern.KeyID, text postern.Secret)

// findImported finds the imported credential that a text is, and what its row has for a hash.
func (v *Verifier) findImported(ctx context.Context, text string, f *found) (digest [32]byte, reason postern.Reason) {
	if v.retiring.n.Load() == 0 {
		// Nothing goes from one form to another, so nothing can be missed in between.
		key, digest, ok := v.index.digests.find(v.hashers.pepper, v.hashers.versions, text)
		if ok && v.index.find(&key, f) {
			return digest, postern.ReasonAllowed
		}
		return digest, postern.ReasonMalformed
	}
	digest, ok, list := v.lookFor(text, f)
	if ok {
		return digest, postern.ReasonAllowed
	}
	switch proved, busy := v.prove(ctx, text, list, f); {
	case busy:
		return digest, postern.ReasonUnavailable
	case !proved:
		return digest, postern.ReasonMalformed
	}
	return f.cred.Current, postern.ReasonAllowed
}

// lookFor finds the credential whose fast form a text has, or the slow hashes that
// it may have: both as they stand at one moment.
func (v *Verifier) lookFor(text string, f *found) (digest [32]byte, ok bool, list []candidate) {
	if len(text) > maxImported {
		return digest, false, nil
	}
	v.retiring.mu.RLock()
	defer v.retiring.mu.RUnlock()
	key, digest, ok := v.index.digests.find(v.hashers.pepper, v.hashers.versions, text)
	if ok && v.index.find(&key, f) {
		return digest, true, nil
	}
	return digest, false, v.retiring.candidates(text, sha256.Sum256([]byte(text)))
}

// prove looks whether a text is a secret of which only a slow hash is known. What
// could be none, by the id in it, is never hashed. busy says that too many are
// being checked: that isn't a no.
func (v *Verifier) prove(ctx context.Context, text string, list []candidate, f *found) (proved, busy bool) {
	sum := sha256.Sum256([]byte(text))
	for _, c := range list {
		if !v.provable(&c.key, f) {
			continue
		}
		yes, fresh, err := v.retiring.checks.ask(ctx, c.key, sum, text, c.slow.hash)
		if err != nil {
			return false, true
		}
		// A slow hash takes a while, in which the credential may have ended.
		if !yes || !v.provable(&c.key, f) {
			continue
		}
		if fresh && v.onProved != nil {
			v.onProved(postern.KeyID(c.key[:]), postern.SecretOf(text))
		}
		return true, false
	}
	return false, false
}

// provable finds a credential that may be proved by its slow hash. One that took its
// fast form meanwhile is the same secret still: an imported one never gets another.
func (v *Verifier) provable(key *[postern.KeyIDLen]byte, f *found) bool {
	return v.index.find(key, f) && f.cred.Flags&(postern.FlagRevoked|postern.FlagDeleted|postern.FlagTampered) == 0
}

// checks runs slow hashes, a few at a time, and remembers how they ended.
type checks struct {
	running chan struct{} // a place for each that runs
	mu      sync.Mutex
	waiting int
	known   map[asked]bool
	pending map[asked]*pending
	byKey   map[[postern.KeyIDLen]byte]int // that wait or run
	done    atomic.Int64
}

type asked struct {
	key [postern.KeyIDLen]byte
	sum [32]byte
}

type pending struct {
	ended chan struct{}
	yes   bool
	err   error
}

const (
	slowAtOnce   = 2               // each takes up to 64 MiB and a core
	slowWaiting  = 64              // more than these are told to come again
	slowForKey   = 4               // of one credential, so that guesses at it keep no other out
	slowPatience = 2 * time.Second // in the queue
	slowKnown    = 4096
)

var errBusy = errors.New("verify: too many slow hashes are being checked")

func (c *checks) init() {
	c.running = make(chan struct{}, slowAtOnce)
	c.known, c.pending, c.byKey = map[asked]bool{}, map[asked]*pending{}, map[[postern.KeyIDLen]byte]int{}
}

// forget drops what is remembered, since a hash may be another now.
func (c *checks) forget() {
	c.mu.Lock()
	clear(c.known)
	c.mu.Unlock()
}

// ask checks a text against a hash, or tells how it ended before. fresh says that
// it was checked now, and by this call.
func (c *checks) ask(ctx context.Context, key [postern.KeyIDLen]byte, sum [32]byte, text, hash string) (yes, fresh bool, err error) {
	a := asked{key, sum}
	c.mu.Lock()
	if yes, ok := c.known[a]; ok {
		c.mu.Unlock()
		return yes, false, nil
	}
	if p := c.pending[a]; p != nil {
		c.mu.Unlock()
		select {
		case <-p.ended:
			return p.yes, false, p.err
		case <-ctx.Done():
			return false, false, errBusy
		}
	}
	if c.waiting >= slowWaiting || c.byKey[key] >= slowForKey {
		c.mu.Unlock()
		return false, false, errBusy
	}
	p := &pending{ended: make(chan struct{}), err: errBusy}
	c.pending[a] = p
	c.waiting++
	c.byKey[key]++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, a)
		c.waiting--
		if c.byKey[key]--; c.byKey[key] == 0 {
			delete(c.byKey, key)
		}
		if p.err == nil {
			if len(c.known) >= slowKnown {
				clear(c.known)
			}
			c.known[a] = p.yes
		}
		c.mu.Unlock()
		close(p.ended)
	}()
	timer := time.NewTimer(slowPatience)
	defer timer.Stop()
	select {
	case c.running <- struct{}{}:
	case <-timer.C:
		return false, false, errBusy
	case <-ctx.Done():
		return false, false, errBusy
	}
	defer func() { <-c.running }()
	c.done.Add(1)
	h, err := slowhash.Parse(hash)
	p.yes, p.err = err == nil && h.Matches([]byte(text)), nil
	return p.yes, true, nil
}

// SlowChecks is how often a slow hash was computed.
func (v *Verifier) SlowChecks() int64 { return v.retiring.checks.done.Load() }
