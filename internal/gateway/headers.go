package gateway

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
)

// hopByHop are the headers that concern one connection only (RFC 9110 section
// 7.6.1), and what else a caller has no say in.
var hopByHop = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Http2-Settings": true,
	// No server sends Proxy; one that runs CGI would make HTTP_PROXY of it, and call out through it.
	"Proxy": true,
}

// spoken reports whether a header is one by which a proxy speaks to what is
// behind it: ours, the X-Forwarded family, what proxies and delivery networks
// call the caller's address, rewritten URLs, method overrides. No caller's gets
// through, however it is spelled: some servers read "_" as "-".
func spoken(name string) bool {
	if len(name) < 6 {
		return false
	}
	switch name[0] {
	case 'C', 'c', 'F', 'f', 'P', 'p', 'T', 't', 'X', 'x':
	default:
		return false
	}
	var room [64]byte
	n := copy(room[:], name)
	for i := range n {
		switch c := room[i]; {
		case c == '_':
			room[i] = '-'
		case c >= 'A' && c <= 'Z':
			room[i] = c + 'a' - 'A'
		}
	}
	low := room[:n]
	for _, p := range [...]string{"postern-", "x-forwarded-", "x-original-", "x-rewrite-"} {
		if len(low) >= len(p) && string(low[:len(p)]) == p {
			return true
		}
	}
	switch string(low) {
	case "postern", "forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip",
		"true-client-ip", "client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip", "fly-client-ip", "x-http-method-override", "x-http-method", "x-method-override":
		return true
	}
	return false
}

// outgoing makes the headers of a call to an upstream, from none: hop-by-hop
// headers and those that Connection names are left out first, so that naming one
// of ours there removes nothing.
func (x *exchange) outgoing(r *http.Request) http.Header {
	in := r.Header
	h := make(http.Header, len(in)+12)
	named := in["Connection"]
	keep := x.target.Options.KeepCredential
	for name, values := range in {
		if hopByHop[name] || spoken(name) || (name == "Authorization" || x.g.door.LegacyHeader(name)) && !keep || len(named) > 0 && names(named, name) {
			continue
		}
		if name == "Referer" && slices.ContainsFunc(values, door.KeyInAddress) {
			continue
		}
		h[name] = values
	}
	ip := x.call.RemoteIP
	if !ip.IsValid() {
		ip = x.call.Peer
	}
	if ip.IsValid() {
		h["X-Forwarded-For"] = []string{ip.String()}
	}
	h["X-Forwarded-Host"] = []string{r.Host}
	h["X-Forwarded-Proto"] = x.proto(r)
	h["Postern-Request-Id"] = []string{x.call.RequestID}
	if err := x.g.identity.Set(h, &x.call.Decision); err != nil {
		// Only a fault of ours: the call goes nowhere with half an identity.
		panic(err)
	}
	return h
}

var (
	protoHTTP  = []string{"http"}[:1:1]
	protoHTTPS = []string{"https"}[:1:1]
)

// proto is the scheme that the caller used: what a trusted peer says, or the socket's.
func (x *exchange) proto(r *http.Request) []string {
	if v := r.Header["X-Forwarded-Proto"]; x.call.Trusted && len(v) == 1 {
		switch v[0] {
		case "https":
			return protoHTTPS
		case "http":
			return protoHTTP
		}
	}
	if r.TLS != nil {
		return protoHTTPS
	}
	return protoHTTP
}

// names reports whether a Connection header names a header.
func names(connection []string, name string) bool {
	for _, line := range connection {
		for token := range strings.SplitSeq(line, ",") {
			if textproto.CanonicalMIMEHeaderKey(strings.Trim(token, " \t")) == name {
				return true
			}
		}
	}
	return false
}

// ours reports whether a header of an answer is one that only the gateway sets.
func ours(name string) bool {
	const start = len("postern-")
	return len(name) >= start && (name[0] == 'P' || name[0] == 'p') &&
		strings.EqualFold(name[:start-1], "postern") && (name[start-1] == '-' || name[start-1] == '_')
}

// stripAnswer takes what only the gateway may say off an answer, and gives what
// the upstream said to it: that it refused, and for want of which scopes.
func stripAnswer(h http.Header) (refused string, missing []postern.Scope) {
	for name, values := range h {
		if !ours(name) {
			continue
		}
		switch {
		case len(values) != 1:
		case name == "Postern-Refused":
			refused = values[0]
		case name == "Postern-Missing-Scopes":
			for _, s := range strings.Fields(values[0]) {
				missing = append(missing, postern.Scope(s))
			}
		}
		delete(h, name)
	}
	return refused, missing
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
