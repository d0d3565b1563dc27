package door

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds are the most connections of a listener; 15,000 in all and 256 from one
// address unless set. One address is an IPv4 address or the /64 of an IPv6 one.
type Bounds struct {
	All, PerAddress int
	// Exempt are addresses of which only the total counts: proxies bring many callers.
	Exempt []netip.Prefix
}

// Bounded bounds the connections of a listener. One too many is closed at once,
// so that those who came earlier, and those from other addresses, go on.
func Bounded(l net.Listener, b Bounds) net.Listener {
	return &bounded{Listener: l, all: or(b.All, 15_000), each: or(b.PerAddress, 256), exempt: b.Exempt, by: map[netip.Addr]int{}}
}

type bounded struct {
	net.Listener
	all, each int
	exempt    []netip.Prefix

	mu   sync.Mutex
	open int
	by   map[netip.Addr]int // only of addresses that have a connection
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a := connAddress(c)
		if !b.take(a) {
			c.Close()
			continue
		}
		return &boundConn{Conn: c, give: func() { b.give(a) }}, nil
	}
}

func (b *bounded) take(a netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open >= b.all || a.IsValid() && b.by[a] >= b.each && !trusts(b.exempt, a) {
		return false
	}
	b.open++
	if a.IsValid() {
		b.by[a]++
	}
	return true
}

func (b *bounded) give(a netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.by[a]--; b.by[a] <= 0 {
		delete(b.by, a)
	}
}

// connAddress is what a connection counts under; not valid where it has no address.
func connAddress(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

type boundConn struct {
	net.Conn
	once sync.Once
	give func()
}

func (c *boundConn) Close() error {
	c.once.Do(c.give)
	return c.Conn.Close()
}
