// Package outgoing makes requests to addresses that someone configured, and to
// nothing inside this network: https only, no redirects, no proxy of the
// environment, bounded in time and bytes.
//
// It promises that the address which is judged is the one that is dialled: the
// filter runs at dial time, on the resolved address, at every attempt.
package outgoing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"crypto/tls"
	"crypto/x509"
)

const (
	connectTime = 5 * time.Second
	headerTime  = 10 * time.Second
	totalTime   = 20 * time.Second

	// MaxAnswer is how much of an answer is read.
	MaxAnswer = 64 << 10
)

// Config says what is allowed beyond the rules. Its zero value allows nothing more.
type Config struct {
	Networks []netip.Prefix // addresses that may be dialled although they aren't public
	Ports    []string       // ports beside 443
	Roots    *x509.CertPool // instead of the system's
}

// Client makes outgoing requests.
type Client struct {
	cfg  Config
	http *http.Client
}

// New makes a Client.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg}
	dialer := &net.Dialer{Timeout: connectTime, KeepAlive: -1, ControlContext: c.control}
	c.http = &http.Client{
		Timeout:       totalTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: nil, DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: connectTime,
			ResponseHeaderTimeout: headerTime, MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}},
	}
	return c
}

// Check reports what is wrong with the form of a URL, before anything is dialled.
func (c *Client) Check(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("this is not a URL")
	case u.Scheme != "https":
		return nil, errors.New("only https is allowed")
	case u.User != nil:
		return nil, errors.New("a URL with a user name is not allowed")
	case u.Port() != "" && u.Port() != "443" && !slices.Contains(c.cfg.Ports, u.Port()):
		return nil, fmt.Errorf("the port %s is not allowed", u.Port())
	}
	return u, nil
}

// Get reads what a URL answers with 200, at most MaxAnswer bytes.
func (c *Client) Get(ctx context.Context, text string, header http.Header) ([]byte, error) {
	u, err := c.Check(text)
	if err != nil {
		return nil, err
	}
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %d", res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err == nil && len(b) > MaxAnswer {
		err = errors.New("its answer is too long")
	}
	return b, err
}

// control refuses to dial an address that isn't public.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("outgoing: %q is no address", address)
	}
	if network != "tcp4" && network != "tcp6" || !c.allowed(ap.Addr()) {
		return fmt.Errorf("outgoing: the address %s is not allowed", ap.Addr())
	}
	return nil
}

func (c *Client) allowed(ip netip.Addr) bool {
	if slices.ContainsFunc(c.cfg.Networks, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) }) {
		return true
	}
	return Public(ip) && !ours(ip.Unmap())
}

// ours reports whether an address is one of this machine's, or can't tell.
func ours(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}

// never are the ranges that are special, and so never dialled.
var never = func() (out []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

var (
	global = netip.MustParsePrefix("2000::/3")
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Public reports whether an address is an ordinary one of the public internet: an
// IPv4 address that is wrapped into an IPv6 one is judged too.
func Public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	if ip = ip.Unmap(); ip.Is4() {
		return !slices.ContainsFunc(never, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	b := ip.As16()
	inner := func(at int) bool { return Public(netip.AddrFrom4([4]byte(b[at : at+4]))) }
	switch {
	case nat64.Contains(ip):
		return inner(12)
	case !global.Contains(ip) || slices.ContainsFunc(never, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return false
	case sixTo4.Contains(ip):
		return inner(2)
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP
		return inner(12)
	}
	return true
}
