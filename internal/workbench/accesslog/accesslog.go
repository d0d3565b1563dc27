// Package accesslog reads access logs of many kinds, a line at a time: the common
// and combined formats and whatever nginx or Apache were told to write, Envoy,
// AWS load balancers, HAProxy, W3C extended files, JSON lines under many names,
// and tables with a header such as exports of call logs.
//
// It promises three things. A line is understood or counted by the reason why it
// wasn't; none is lost in silence. Memory doesn't grow with a line's length or a
// file's size. And a credential that stands in a line is handed out as a
// fingerprint, never as text: what a log shows of it goes no further.
package accesslog

import (
	"bytes"
	"net/netip"
	"time"
)

// Call is what one line says. What the line doesn't say is empty or zero.
// The bytes belong to the line: whoever keeps them copies them.
type Call struct {
	At        time.Time
	Method    []byte
	Host      []byte
	Path      []byte // as the client sent it, without the query
	Status    int
	IP        netip.Addr
	UserAgent []byte
	// Name is what the log itself calls the credential, such as an app's id.
	Name []byte
	// Secret is the credential, where the line holds one whole. It must not be kept.
	Secret []byte
	// In says where the secret stood.
	In Place
}

// Place is where a credential stood in a request.
type Place uint8

// The places, from the one that gives a secret away most readily.
const (
	Nowhere Place = iota
	InQuery       // in the address, where every log on the way keeps it
	InHeader
	InField // in a column of the log that has no more to say
)

func (p Place) String() string {
	return [...]string{"nowhere", "query", "header", "field"}[p]
}

// Fault is why a line could not be read.
type Fault uint8

// The faults, each with a word for reports.
const (
	OK         Fault = iota
	Empty            // nothing in it: no fault
	Comment          // a header or a remark: no fault
	TooLong          // longer than MaxLine
	Binary           // not text
	Unknown          // in no format that is known
	BadTime          // the format fits, its time doesn't
	BadRequest       // the format fits, but no HTTP request is in it
	faults
)

// Faults is how many kinds of faults there are.
const Faults = int(faults)

func (f Fault) String() string {
	return [...]string{"ok", "empty", "comment", "too_long", "binary", "unknown_format", "bad_time", "bad_request"}[f]
}

// MaxLine is the longest line that is read, in bytes. The rest of a longer one is skipped.
const MaxLine = 64 << 10

// Format is one way of writing a line.
type Format interface {
	// Name is the format in a word or two, for reports.
	Name() string
	// Parse reads a line without its end into c, which is zero. It gives Unknown
	// where the line isn't in this format.
	Parse(line []byte, c *Call) Fault
}

// ends a secret where a query, a header or JSON does.
func endsSecret(b byte) bool {
	switch b {
	case '&', '#', ' ', '"', '\'', ';', ',', '\t':
		return true
	}
	return b < 0x20
}

// Params are the names of query parameters that hold a credential, in lower case.
var Params = []string{"hapikey", "access_token", "api_key", "apikey", "api-key", "auth_token", "token", "key"}

// target takes what a request asked for: a path with a query, or a whole URL.
func (c *Call) target(raw []byte) bool {
	if i := bytes.Index(raw, []byte("://")); i > 0 && i < 8 {
		rest := raw[i+3:]
		slash := bytes.IndexAny(rest, "/?")
		if slash < 0 {
			slash = len(rest)
		}
		host := rest[:slash]
		if at := bytes.LastIndexByte(host, '@'); at >= 0 {
			host = host[at+1:]
		}
		c.Host, raw = host, rest[slash:]
		if len(raw) == 0 {
			raw = []byte("/")
		}
	}
	if len(raw) == 0 || raw[0] != '/' && raw[0] != '*' && raw[0] != '?' {
		return false
	}
	path, query, _ := bytes.Cut(raw, []byte("?"))
	path, _, _ = bytes.Cut(path, []byte("#"))
	if len(path) == 0 {
		path = []byte("/")
	}
	c.Path = path
	c.query(query)
	return true
}

// query looks for a credential among parameters.
func (c *Call) query(q []byte) {
	for len(q) > 0 {
		var pair []byte
		pair, q, _ = bytes.Cut(q, []byte("&"))
		name, value, ok := bytes.Cut(pair, []byte("="))
		if !ok || len(value) < minSecret {
			continue
		}
		for i, p := range Params {
			// "key" and "token" mean many things; only what looks like a credential counts.
			if equalFold(name, p) && (i < 6 || likelySecret(value)) {
				c.secret(value, InQuery)
				break
			}
		}
	}
}

// minSecret is the fewest characters that count as a credential: shorter ones are flags, numbers and typing errors.
const minSecret = 8

// authorization takes an Authorization header, or what a log made of it.
func (c *Call) authorization(v []byte) {
	v = bytes.TrimSpace(v)
	if scheme, rest, ok := bytes.Cut(v, []byte(" ")); ok {
		if !equalFold(scheme, "bearer") && !equalFold(scheme, "token") && !equalFold(scheme, "apikey") {
			return // Basic and the like say who someone is, not which integration
		}
		v = bytes.TrimSpace(rest)
	}
	c.secret(v, InHeader)
}

// secret takes a credential unless the log has masked it.
func (c *Call) secret(v []byte, in Place) {
	if len(v) < minSecret || len(v) > 4096 || c.In == InQuery && in != InQuery {
		return
	}
	if i := bytes.IndexFunc(v, func(r rune) bool { return r < 0x80 && endsSecret(byte(r)) }); i >= 0 {
		return
	}
	if masked(v) {
		if left := bytes.Trim(v, "*.xX…"); len(c.Name) == 0 && len(left) >= 4 && !containsFold(v, "redacted") && !containsFold(v, "filtered") && !containsFold(v, "masked") {
			c.Name = v // what the mask leaves still tells two apart
		}
		return
	}
	if bytes.IndexByte(v, '%') >= 0 {
		v = unescapePercent(v)
	}
	c.Secret, c.In = v, in
}

// masked reports whether a log has hidden part of a value.
func masked(v []byte) bool {
	return bytes.Contains(v, []byte("**")) || bytes.Contains(v, []byte("...")) || bytes.Contains(v, []byte("…")) ||
		bytes.Contains(v, []byte("xxxx")) || bytes.Contains(v, []byte("XXXX")) ||
		containsFold(v, "redacted") || containsFold(v, "filtered") || containsFold(v, "masked")
}

// likelySecret reports whether a value has both letters and digits, as credentials have and words haven't.
func likelySecret(v []byte) bool {
	var letter, digit bool
	for _, b := range v {
		digit = digit || b >= '0' && b <= '9'
		letter = letter || b|0x20 >= 'a' && b|0x20 <= 'z'
	}
	return letter && digit && len(v) >= 16
}

// request takes a request line: "GET /path HTTP/1.1".
func (c *Call) request(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !c.method(method) {
		return false
	}
	if i := bytes.LastIndex(rest, []byte(" HTTP/")); i >= 0 {
		rest = rest[:i]
	}
	return c.target(bytes.TrimSpace(rest))
}

// method takes an HTTP method.
func (c *Call) method(m []byte) bool {
	if len(m) == 0 || len(m) > 20 {
		return false
	}
	for _, b := range m {
		if (b < 'A' || b > 'Z') && b != '-' {
			return false
		}
	}
	c.Method = m
	return true
}

// address takes an IP address, with or without a port, or the first of a list.
func (c *Call) address(v []byte) {
	v, _, _ = bytes.Cut(v, []byte(","))
	v = bytes.TrimSpace(v)
	if len(v) == 0 || len(v) > 64 {
		return
	}
	if ip, err := netip.ParseAddr(string(v)); err == nil {
		c.IP = ip.Unmap().WithZone("")
	} else if p, err := netip.ParseAddrPort(string(v)); err == nil {
		c.IP = p.Addr().Unmap().WithZone("")
	}
}

// status takes a status; what isn't one is none.
func (c *Call) status(v []byte) {
	if len(v) != 3 {
		return
	}
	n := 0
	for _, b := range v {
		if b < '0' || b > '9' {
			return
		}
		n = n*10 + int(b-'0')
	}
	if n >= 100 {
		c.Status = n
	}
}

// header takes a header that a log wrote into a column of its own.
func (c *Call) header(name string, v []byte) {
	if len(v) == 0 || string(v) == "-" {
		return
	}
	switch name {
	case "authorization":
		c.authorization(v)
	case "user-agent":
		c.UserAgent = v
	case "x-forwarded-for":
		c.address(v)
	case "host", "x-forwarded-host":
		c.Host = v
	case "private-app", "private-app-legacy", "x-api-key", "api-key", "x-auth-token", "x-hubspot-api-key":
		c.secret(v, InHeader)
	}
}

// equalFold compares with a lower-case text, reading - as _.
func equalFold(v []byte, lower string) bool {
	if len(v) != len(lower) {
		return false
	}
	for i := range v {
		b := v[i]
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}

func containsFold(v []byte, lower string) bool {
	for i := 0; i+len(lower) <= len(v); i++ {
		if v[i]|0x20 == lower[0] && equalFold(v[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}

// unescapePercent gives the text behind %XX; what isn't an escape stays.
func unescapePercent(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			if hi, lo := hex(v[i+1]), hex(v[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}

func hex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}
