package door

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops is the most proxies that a list of addresses may name.
const maxHops = 32

// Peer is the address of the socket; not valid where it has none.
func Peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// client finds the caller's address: that of the socket, unless that is a
// trusted peer who says another in the one header that counts. A peer that says
// it twice, or badly, is not believed, and neither is its own address: why then
// says what is wrong.
func (d *Door) client(r *http.Request, peer netip.Addr) (ip netip.Addr, why string) {
	if !trusts(d.trusted, peer) {
		return peer, ""
	}
	ip, found, why := d.said(r.Header, func(a netip.Addr) bool { return trusts(d.trusted, a) })
	if !found {
		return peer, why
	}
	return ip, why
}

// said reads the address that a proxy says: from the right, the first that
// isn't a trusted proxy's; where all are, the leftmost.
func (d *Door) said(h http.Header, trusted func(netip.Addr) bool) (ip netip.Addr, found bool, why string) {
	name, read := "X-Forwarded-For", parseAddress
	if d.forwarded {
		name, read = "Forwarded", forwardedFor
	}
	values := h[name]
	switch {
	case len(values) == 0:
		return netip.Addr{}, false, ""
	case len(values) > 1:
		return netip.Addr{}, true, "The header " + name + " is there twice."
	}
	rest := values[0]
	for range maxHops {
		i := strings.LastIndexByte(rest, ',')
		a, ok := read(strings.Trim(rest[i+1:], " \t"))
		if !ok {
			return netip.Addr{}, true, "The header " + name + " does not hold addresses."
		}
		// An obfuscated address (RFC 7239 section 6.3) is one that isn't known.
		if !a.IsValid() || i < 0 || !trusted(a) {
			return a, true, ""
		}
		rest = rest[:i]
	}
	return netip.Addr{}, true, "The header " + name + " names too many proxies."
}

// parseAddress reads an address, with or without a port, IPv6 with or without brackets.
func parseAddress(s string) (netip.Addr, bool) {
	if len(s) == 0 || len(s) > 64 || strings.IndexByte(s, '%') >= 0 {
		return netip.Addr{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	if s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil && a.Is6() {
			return a.Unmap(), true
		}
	}
	return netip.Addr{}, false
}

// forwardedFor reads one element of a Forwarded header (RFC 7239 section 4): the
// address of its single "for". Commas inside quotes don't occur in addresses,
// and make the element malformed.
func forwardedFor(element string) (a netip.Addr, ok bool) {
	seen := false
	for pair := range strings.SplitSeq(element, ";") {
		name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !found || name == "" {
			return netip.Addr{}, false
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if seen {
			return netip.Addr{}, false
		}
		seen = true
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if strings.HasPrefix(value, "_") || strings.EqualFold(value, "unknown") {
			ok = true
			continue
		}
		if a, ok = parseAddress(value); !ok {
			return netip.Addr{}, false
		}
	}
	return a, ok
}
