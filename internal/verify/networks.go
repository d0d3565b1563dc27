package verify

import (
	"encoding/binary"
	"net/netip"
)

// network is a netip.Prefix without its pointer.
type network struct {
	hi, lo uint64 // the address, its bits beyond the length cleared
	bits   uint8
	v4     bool
}

func networkOf(p netip.Prefix) network {
	p = p.Masked()
	a := p.Addr()
	hi, lo := halves(a)
	return network{hi, lo, uint8(p.Bits()), a.Is4()}
}

// halves gives an address as two numbers; an IPv4 address lies at the front.
func halves(a netip.Addr) (hi, lo uint64) {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:])) << 32, 0
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// inNetworks is postern.InNetworks over networks.
func inNetworks(list []network, ip netip.Addr) bool {
	if len(list) == 0 {
		return true
	}
	ip = ip.Unmap()
	if !ip.IsValid() {
		return false
	}
	hi, lo := halves(ip)
	v4 := ip.Is4()
	for i := range list {
		n := &list[i]
		if n.v4 != v4 {
			continue
		}
		var mhi, mlo uint64
		// A shift by 64 or more gives 0.
		if n.bits <= 64 {
			mhi = ^(^uint64(0) >> n.bits)
		} else {
			mhi, mlo = ^uint64(0), ^(^uint64(0) >> (n.bits - 64))
		}
		if (hi^n.hi)&mhi|(lo^n.lo)&mlo == 0 {
			return true
		}
	}
	return false
}
