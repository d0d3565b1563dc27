package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/bits"

	"postern.dev/postern"
)

// Form is how a secret stood where it was found.
type Form string

// The forms.
const (
	FormPlain   Form = "plain"
	FormEscaped Form = "escaped" // %5f or \u005f for an underscore
	FormUTF16   Form = "utf16"
	FormBase64  Form = "base64"
)

// Hit is a secret in some bytes.
type Hit struct {
	At     int // where it begins
	Secret postern.Secret
	Parsed postern.Parsed
	Form   Form
}

// overlap is more than any form of a secret is long: what is searched again with the next bytes.
const overlap = 512

// Finder finds the secrets of a brand. It may be used by many at once.
type Finder struct {
	brand   string
	plain   []byte // the brand
	needles []needle
	first   [256]uint8 // by the first byte of a needle: which ones begin with it
	// pairs are the two bytes that a needle begins with, and those one further. Each
	// needle has three bytes or more, so that one of the two is met in steps of two.
	pairs [1 << 16 / 64]uint64
}

// needle is how a secret begins in one of its forms, and who looks further there.
type needle struct {
	text []byte
	look func(f *Finder, b []byte, at int, n *needle, yield func(Hit))
	lead int // base64: characters between the start of its group of four and the needle
	skip int // base64: bytes of the group that stand before the brand
}

// NewFinder makes a Finder of a brand.
func NewFinder(brand string) *Finder {
	f := &Finder{brand: brand, plain: []byte(brand)}
	for _, under := range []string{"_", "%", `\`} {
		f.add(needle{text: []byte(brand + under), look: (*Finder).bare})
	}
	var utf16 []byte
	for _, c := range f.plain {
		utf16 = append(utf16, c, 0)
	}
	f.add(needle{text: utf16, look: (*Finder).wide})
	for skip := range 3 {
		f.add(packedNeedle(brand+"_", skip))
	}
	return f
}

func (f *Finder) add(n needle) {
	f.first[n.text[0]] |= 1 << len(f.needles)
	f.needles = append(f.needles, n)
	for i := range 2 {
		pair := uint16(n.text[i]) | uint16(n.text[i+1])<<8
		f.pairs[pair>>6] |= 1 << (pair & 63)
	}
}

// packedNeedle is the part of the base64 of head behind skip unknown bytes that those don't touch.
func packedNeedle(head string, skip int) needle {
	text := base64.RawStdEncoding.EncodeToString(append(make([]byte, skip), head...))
	lead := (skip*8 + 5) / 6
	whole := (skip + len(head)) * 8 / 6 // characters of which every bit is known at the end
	return needle{text: []byte(text[lead:whole]), look: (*Finder).packed, lead: lead, skip: skip}
}

// Find gives every secret in b to yield.
func (f *Finder) Find(b []byte, yield func(Hit)) { f.find(b, len(b), yield) }

// find gives every secret that begins before end. It looks at pairs of bytes in
// steps of two, eight bytes at once, and closer where a needle may begin.
func (f *Finder) find(b []byte, end int, yield func(Hit)) {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if f.has(uint16(w))|f.has(uint16(w>>16))|f.has(uint16(w>>32))|f.has(uint16(w>>48)) == 0 {
			continue
		}
		for k := range 4 {
			if f.has(uint16(w>>(16*k))) != 0 {
				f.near(b, i+2*k, end, yield)
			}
		}
	}
	for ; i < len(b); i += 2 {
		f.near(b, i, end, yield)
	}
}

func (f *Finder) has(pair uint16) uint64 { return f.pairs[pair>>6] >> (pair & 63) & 1 }

// near looks for needles that begin at a place or one before it.
func (f *Finder) near(b []byte, at, end int, yield func(Hit)) {
	for from := max(at-1, 0); from <= at && from < end; from++ {
		for m := f.first[b[from]]; m != 0; m &= m - 1 {
			n := &f.needles[bits.TrailingZeros8(m)]
			if bytes.HasPrefix(b[from:], n.text) {
				n.look(f, b, from, n, yield)
			}
		}
	}
}

func (f *Finder) bare(b []byte, at int, _ *needle, yield func(Hit)) { f.at(b, at, yield) }

// at looks whether a secret begins at a place where the brand stands.
func (f *Finder) at(b []byte, at int, yield func(Hit)) {
	var room [postern.MaxSecretLen]byte
	form := FormPlain
	out := append(room[:0], f.brand...)
	for rest, unders := b[at+len(f.brand):], 0; len(rest) > 0; {
		c, n := rest[0], 1
		if c == '%' || c == '\\' {
			if n = underscore(rest); n == 0 {
				return
			}
			c, form = '_', FormEscaped
		}
		if c == '_' {
			unders++
		} else if !alnum(c) {
			return
		}
		if len(out) == cap(out) || unders > 3 || unders == 0 {
			return
		}
		out, rest = append(out, c), rest[n:]
		if unders == 3 && len(out) >= tailFrom(out)+tailLen {
			f.accept(out, at, form, yield)
			return
		}
	}
}

// tailLen are the characters behind the last underscore of a secret.
const tailLen = 49

// tailFrom is where those begin.
func tailFrom(out []byte) int { return bytes.LastIndexByte(out, '_') + 1 }

// underscore is the length of an escaped underscore at the start of b, or 0.
func underscore(b []byte) int {
	for _, form := range []string{"%5f", `\u005f`} {
		if len(b) >= len(form) && bytes.EqualFold(b[:len(form)], []byte(form)) {
			return len(form)
		}
	}
	return 0
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func (f *Finder) accept(text []byte, at int, form Form, yield func(Hit)) {
	s := string(text)
	if p, err := postern.ParseSecret(f.brand, s); err == nil {
		yield(Hit{At: at, Secret: postern.SecretOf(s), Parsed: p, Form: form})
	}
}

// wide looks at UTF-16, of either order of bytes: every other byte is zero.
func (f *Finder) wide(b []byte, at int, _ *needle, yield func(Hit)) {
	var room [postern.MaxSecretLen + 1]byte
	out := room[:0]
	for i := at; i < len(b) && len(out) < cap(out) && b[i] < 0x80; i += 2 {
		if i > at && b[i-1] != 0 {
			break
		}
		out = append(out, b[i])
	}
	f.at(out, 0, func(h Hit) {
		h.At, h.Form = at, FormUTF16
		yield(h)
	})
}

// packed looks into base64 around a needle: it decodes from the group that the needle stands in.
func (f *Finder) packed(b []byte, at int, n *needle, yield func(Hit)) {
	var room [4 * ((postern.MaxSecretLen+2)/3 + 2)]byte
	text := room[:0]
	for range n.lead {
		text = append(text, 'A')
	}
	// The character before the needle holds bits of the brand's first one.
	before, there := lastOf(b[:at])
	if n.lead > 0 && there {
		text[n.lead-1] = before
	}
	for i := at; i < len(b) && len(text) < cap(text); i++ {
		switch c := b[i]; {
		case alphabetic(c):
			text = append(text, plainAlphabet(c))
		case c == '\r' || c == '\n':
		case c == '\\' && i+1 < len(b) && (b[i+1] == 'n' || b[i+1] == 'r'):
			i++
		default:
			i = len(b)
		}
	}
	var out [3 * len(room) / 4]byte
	got, _ := base64.RawStdEncoding.Decode(out[:], text[:len(text)-tooShort(text)])
	if n.lead > 0 && !there {
		copy(out[n.skip:], f.brand[:1])
	}
	if got < n.skip || !bytes.HasPrefix(out[n.skip:got], f.plain) {
		return
	}
	f.at(out[:got], n.skip, func(h Hit) {
		h.At, h.Form = max(at-n.lead, 0), FormBase64
		yield(h)
	})
}

func alphabetic(c byte) bool {
	return alnum(c) || c == '+' || c == '/' || c == '-' || c == '_'
}

// lastOf is the last character of base64 in b, line breaks aside.
func lastOf(b []byte) (byte, bool) {
	b = bytes.TrimRight(b[max(0, len(b)-2):], "\r\n")
	if len(b) == 0 || !alphabetic(b[len(b)-1]) {
		return 0, false
	}
	return plainAlphabet(b[len(b)-1]), true
}

// tooShort is 1 where a single character is left over, which encodes nothing.
func tooShort(text []byte) int {
	if len(text)%4 == 1 {
		return 1
	}
	return 0
}

func plainAlphabet(c byte) byte {
	switch c {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}
