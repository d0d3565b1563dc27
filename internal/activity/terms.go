package activity

import (
	"slices"
	"strconv"
	"strings"

	"postern.dev/postern"
)

// A signature says of a block which terms may be in it: an address, a status, a
// part of a user agent, a request ID, a key together with an operation. Each term
// sets a few of its bits, so a block may be asked for in vain, and is never missed.
//
// Request IDs have bits of their own, since a full block has 512 of them and each
// is asked for alone: one block in 50,000 is read in vain for one. Of the others a
// block with calls of 150 keys has about 2,400, and one block in 1,000 is read in vain.
const (
	commonBits    = 40 << 10
	requestBits   = 12 << 10
	signatureBits = commonBits + requestBits
	chunkRows     = 32
	// askTrigrams is how many parts of a user agent are asked for at most.
	askTrigrams = 24
)

// bitsOf is a part of the signature: where it is, and how many of its bits a term sets.
type bitsOf struct{ first, size, sets uint32 }

var (
	commonTerms  = &bitsOf{0, commonBits, 5}
	requestTerms = &bitsOf{commonBits, requestBits, 10}
)

// term is the hash of something that a call has. It must stay the same for ever:
// FNV-1a over its kind and texts, mixed.
type term struct {
	hash uint64
	in   *bitsOf
}

const (
	fnvStart = 14695981039346656037
	fnvPrime = 1099511628211
)

func fnv(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	return h
}

func mixed(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func termOf(kind byte, text string) term {
	in := commonTerms
	if kind == termRequest {
		in = requestTerms
	}
	return term{mixed(fnv((fnvStart^uint64(kind))*fnvPrime, text)), in}
}

// with is the term of a call that has both a and b.
func (a term) with(b term) term { return term{mixed(a.hash ^ b.hash*fnvPrime), commonTerms} }

// rows appends the bits that a term sets.
func (a term) rows(to []int) []int {
	h, step := uint32(a.hash), uint32(a.hash>>32)|1
	for range a.in.sets {
		to = append(to, int(a.in.first)+int(uint64(h)*uint64(a.in.size)>>32))
		h += step
	}
	return to
}

// The kinds of terms.
const (
	termKey        = 'k'
	termGeneration = 'g'
	termUpstream   = 'p'
	termOperation  = 'o'
	termMethod     = 'm'
	termStatus     = 's'
	termClass      = 'S'
	termReason     = 'r'
	termAllowed    = 'a'
	termWould      = 'w'
	termDoor       = 'd'
	termIP         = 'i'
	termAgent      = 'u' // three bytes of it, in small letters
	termScope      = 'c'
	termRequest    = 'q'
)

// outcome is how calls ended: what is asked for together with who called, whence and what.
type outcome struct {
	status, class int
	reason        postern.Reason
	allowed       *bool
}

// terms are those of an outcome, as far as it is known.
func (o *outcome) terms(to []term) []term {
	if o.status != 0 {
		to = append(to, termOf(termStatus, strconv.Itoa(o.status)))
	}
	if o.class != 0 {
		to = append(to, termOf(termClass, strconv.Itoa(o.class)))
	}
	if o.reason != postern.ReasonNone {
		to = append(to, termOf(termReason, o.reason.String()))
	}
	if o.allowed != nil {
		to = append(to, termOf(termAllowed, strconv.FormatBool(*o.allowed)))
	}
	return to
}

// plain reports whether all is as with most calls, as far as it is known: then it
// isn't worth a term together with others.
func (o *outcome) plain() bool {
	return o.status < 400 && o.class < 4 && (o.reason == postern.ReasonNone || o.reason == postern.ReasonAllowed) && (o.allowed == nil || *o.allowed)
}

// terms calls add with every term of a block.
func (u *unpacked) terms(add func(term)) error {
	agents := map[string]bool{}
	var ends []term
	for i := range u.shapes {
		f := &u.shapes[i]
		o := outcome{f.status, f.status / 100, f.reason, &f.allowed}
		ends = o.terms(ends[:0])
		key, op, ip := termOf(termKey, string(f.key)), termOf(termOperation, f.operation), termOf(termIP, f.ip)
		for _, t := range [...]term{key, op, ip, key.with(op), key.with(ip), key.with(termOf(termGeneration, strconv.FormatInt(f.generation, 10))),
			termOf(termUpstream, string(f.upstream)), termOf(termMethod, f.method), termOf(termDoor, f.door)} {
			add(t)
		}
		for _, end := range ends {
			add(end)
			if !o.plain() {
				add(key.with(end))
				add(op.with(end))
				add(ip.with(end))
			}
		}
		if f.allowed {
			add(key.with(termOf(termAllowed, "true")))
		}
		if f.would != postern.ReasonNone {
			add(termOf(termWould, ""))
		}
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
func (t *test) terms() []term {
	var out, who []term // who: those that have terms together with others
	add := func(kind byte, text string, pairs bool) {
		if text == "" {
			return
		}
		k := termOf(kind, text)
		out = append(out, k)
		if pairs {
			who = append(who, k)
		}
	}
	add(termOperation, t.Operation, true)
	add(termIP, t.IP, true)
	add(termUpstream, string(t.Upstream), false)
	add(termMethod, t.Method, false)
	add(termDoor, t.Door, false)
	add(termScope, string(t.Scope), false)
	if t.RequestID != "" {
		add(termRequest, string(t.request.bytes()), false)
	}
	if t.Would {
		out = append(out, termOf(termWould, ""))
	}
	out = append(out, t.agentTerms()...)
	o := outcome{t.Status, t.StatusClass, t.Reason, t.Allowed}
	ends := o.terms(nil)
	out = append(out, ends...)
	if t.Key != "" {
		key := termOf(termKey, string(t.Key))
		for _, k := range who {
			out = append(out, key.with(k))
		}
		who = append(who, key)
		if t.Generation != 0 {
			out = append(out, key.with(termOf(termGeneration, strconv.FormatInt(t.Generation, 10))))
		}
		if t.Allowed != nil && *t.Allowed {
			out = append(out, key.with(termOf(termAllowed, "true")))
		}
		if len(out) > 0 { // else which blocks have its calls is known without
			out = append(out, key)
		}
	}
	if !o.plain() {
		for _, end := range ends {
			for _, k := range who {
				out = append(out, k.with(end))
			}
		}
	}
	return out
}

// agentTerms are of parts of the user agent that is looked for: all, or as many as are worth it.
func (t *test) agentTerms() []term {
	var parts []term
	trigrams(t.agent, func(k term) {
		if !slices.Contains(parts, k) {
			parts = append(parts, k)
		}
	})
	if len(parts) <= askTrigrams {
		return parts
	}
	var some []term
	for i := range askTrigrams {
		some = append(some, parts[i*(len(parts)-1)/(askTrigrams-1)])
	}
	return some
}
