package door

import (
	"net/http"
	"net/netip"

	"postern.dev/postern"
)

// Target reads where a call goes from its host and its request target, as they
// were received elsewhere: the path escaped, a query dropped. Where c.Upstream is
// set the path is that within it. It refuses what Read refuses.
func (d *Door) Target(c *Call, host, target string) {
	path, query := splitTarget(target)
	c.Host = host
	d.readPath(c, path, len(target))
	d.checkQuery(c, query)
}

// ForwardedAddress is the caller's address as a proxy says it in the header that
// counts. peers are proxies besides the trusted ones. Where it isn't said, or
// badly, it isn't known: the proxy's own address is never the caller's.
func (d *Door) ForwardedAddress(c *Call, h http.Header, peers []netip.Prefix) {
	ip, _, why := d.said(h, func(a netip.Addr) bool { return trusts(peers, a) || trusts(d.trusted, a) })
	if why != "" {
		c.Refuse(why)
		return
	}
	c.RemoteIP = ip
}

// Credential reads the credential of a call from its Authorization header, or
// the header for imported ones.
func (d *Door) Credential(c *Call, h http.Header) {
	var ok bool
	if c.Secret, ok = Bearer(h); !ok {
		c.Refuse("There is more than one Authorization header.")
	}
	d.readLegacyHeader(c, h)
}

// ReadPreflight notes whether a call is a CORS preflight.
func (c *Call) ReadPreflight(h http.Header) {
	if c.Method == http.MethodOptions && h["Origin"] != nil {
		c.Preflight = h.Get("Access-Control-Request-Method")
	}
}

// Asker reads and decides whether a request is a resource server's, who may ask
// about the credentials of its account: it presents one that holds
// postern.verify. Asking takes nothing of its limit.
func (d *Door) Asker(r *http.Request) (*Call, bool) {
	c := &Call{}
	d.readCaller(c, r, postern.DoorAPI)
	// What it needs is a scope, not an operation.
	c.Method, c.Preflight, c.Path = "", "", r.URL.Path
	c.Scopes = []postern.Scope{postern.PermVerify}
	if !c.judged {
		c.judged = true
		c.Decision = d.v.Still(r.Context(), &c.Request)
	}
	return c, c.Decision.Allowed
}
