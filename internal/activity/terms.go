package activity

import (
	"strconv"
	"strings"
)

// A signature says of a block which terms may be in it: an address, a status, a
// part of a user agent, a request ID. Each term sets a few of its bits, so a block
// may be asked for in vain (about one in 300), and is never missed.

const (
	signatureBits = 1 << 14
	signatureSets = 4 // bits of one term
	chunkRows     = 32
	// askTrigrams is how many parts of a user agent are asked for: a few are as good as all.
	askTrigrams = 4
)

// term is the hash of something that a call has. It must stay the same for ever:
// FNV-1a over its kind and text, mixed.
type term uint64

func termOf(kind byte, text string) term {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * 1099511628211
	for i := 0; i < len(text); i++ {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return term(h ^ h>>33)
}

// rows are the bits that a term sets.
func (t term) rows() (out [signatureSets]int) {
	a, b := uint32(t), uint32(t>>32)|1
	for i := range out {
		out[i] = int(a+uint32(i)*b) & (signatureBits - 1)
	}
	return out
}

// The kinds of terms.
const (
	termKey       = 'k'
	termOperation = 'o'
	termStatus    = 's'
	termClass     = 'S'
	termReason    = 'r'
	termAllowed   = 'a'
	termIP        = 'i'
	termAgent     = 'u' // three bytes of it, in small letters
	termScope     = 'c'
	termRequest   = 'q'
)

// terms calls add with every term of a block.
func (u *unpacked) terms(add func(term)) error {
	agents := map[string]bool{}
	for i := range u.shapes {
		f := &u.shapes[i]
		add(termOf(termKey, string(f.key)))
		add(termOf(termOperation, f.operation))
		add(termOf(termStatus, strconv.Itoa(f.status)))
		add(termOf(termClass, strconv.Itoa(f.status/100)))
		add(termOf(termReason, f.reason.String()))
		add(termOf(termAllowed, strconv.FormatBool(f.allowed)))
		add(termOf(termIP, f.ip))
		for name := range strings.FieldsSeq(f.scopes()) {
			add(termOf(termScope, name))
		}
		if !agents[f.agent] {
			agents[f.agent] = true
			trigrams(strings.ToLower(f.agent), add)
		}
	}
	return u.each(func(c *call) {
		if len(c.request) > 0 {
			add(termOf(termRequest, string(c.request)))
		}
	})
}

func trigrams(s string, add func(term)) {
	for i := 0; i+3 <= len(s); i++ {
		add(termOf(termAgent, s[i:i+3]))
	}
}

// terms are those that every call has which passes. None means that signatures can't help.
func (t *test) terms() (out []term) {
	add := func(kind byte, text string) {
		if text != "" {
			out = append(out, termOf(kind, text))
		}
	}
	add(termOperation, t.Operation)
	if t.Status != 0 {
		add(termStatus, strconv.Itoa(t.Status))
	}
	if t.StatusClass != 0 {
		add(termClass, strconv.Itoa(t.StatusClass))
	}
	add(termReason, t.Reason.String())
	if t.Allowed != nil {
		add(termAllowed, strconv.FormatBool(*t.Allowed))
	}
	add(termIP, t.IP)
	add(termScope, string(t.Scope))
	var parts []term
	trigrams(t.agent, func(k term) { parts = append(parts, k) })
	for i := range min(askTrigrams, len(parts)) {
		out = append(out, parts[i*(len(parts)-1)/max(1, min(askTrigrams, len(parts))-1)])
	}
	if t.RequestID != "" {
		id := t.request.text
		if t.request.uuid {
			id = string(t.request.id[:])
		}
		add(termRequest, id)
	}
	// Which blocks have calls of a key is known without.
	if len(out) > 0 {
		add(termKey, string(t.Key))
	}
	return out
}
