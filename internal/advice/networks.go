package advice

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Caller is an address that calls with a key.
type Caller struct {
	IP    string // empty for those beyond what is told apart
	First time.Time
	Last  time.Time
	Calls int64 // that were allowed
}

// The most entries that a proposed list has, and how wide one may become.
const (
	maxProposed  = 8
	wideV4       = 20
	wideV6       = 48
	together     = 3 // so many addresses of a network stand for all of it
	settledAfter = 7 // days that no new network may have been seen for
)

// FewNetworks gives the list that all of some callers are in, if it is short and
// no network is new: single addresses, IPv6 ones by their /64, and whole networks
// where several addresses of one call. now is when it is asked.
func FewNetworks(callers []Caller, now time.Time) (list []netip.Prefix, ok bool) {
	seen := map[netip.Prefix]time.Time{}
	for _, c := range callers {
		ip, err := netip.ParseAddr(c.IP)
		if err != nil {
			return nil, false
		}
		ip = ip.Unmap().WithZone("")
		bits := 32
		if ip.Is6() {
			bits = 64
		}
		p := netip.PrefixFrom(ip, bits).Masked()
		if first, ok := seen[p]; !ok || c.First.Before(first) {
			seen[p] = c.First
		}
	}
	if len(seen) == 0 {
		return nil, false
	}
	for p := range seen {
		list = append(list, p)
	}
	sortPrefixes(list)
	list = gather(list, 24, wideV6, together)
	if len(list) > maxProposed {
		list = gather(list, wideV4, wideV6, 2)
	}
	if len(list) > maxProposed {
		return nil, false
	}
	for _, p := range list {
		first := now
		for q, at := range seen {
			if p.Contains(q.Addr()) && at.Before(first) {
				first = at
			}
		}
		if now.Sub(first) < settledAfter*day {
			return nil, false
		}
	}
	return list, true
}

// gather puts a network in the place of its parts, where there are enough of them.
func gather(list []netip.Prefix, v4, v6, enough int) (out []netip.Prefix) {
	parts := map[netip.Prefix]int{}
	wide := func(p netip.Prefix) netip.Prefix {
		bits := v6
		if p.Addr().Is4() {
			bits = v4
		}
		return netip.PrefixFrom(p.Addr(), min(bits, p.Bits())).Masked()
	}
	for _, p := range list {
		parts[wide(p)]++
	}
	for _, p := range list {
		if w := wide(p); parts[w] >= enough {
			p = w
		}
		out = append(out, p)
	}
	sortPrefixes(out)
	return slices.Compact(out)
}

func sortPrefixes(list []netip.Prefix) {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
}
