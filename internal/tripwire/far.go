package tripwire

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

const (
	// remembers is how far back a network counts as one that a key knows.
	remembers = 30 * 24 * time.Hour
	// homeFor is for how long a network counts as one that a key knows without asking
	// again: a network that was left is forgotten a day after the log of calls forgot it.
	homeFor = 24 * time.Hour
	// fleetFor is for how long a key that calls from everywhere isn't asked about again.
	fleetFor = time.Hour
	// mostCallers is the most rows that activity gives of a key's callers.
	mostCallers = 500
)

// shared is the space that carriers share among their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// networkOf is the network that an address is of, wide enough to hold one
// provider's place: its /16, or /32 of IPv6. Addresses that are nobody's in
// particular, such as private ones, have none.
func networkOf(ip string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || shared.Contains(a) {
		return netip.Prefix{}, false
	}
	bits := 16
	if a.Is6() {
		bits = 32
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}

// far looks whether a secret is used from two far networks at once. seen are the
// networks of a batch; nil looks again at a key with a network that is new.
func (w *Watcher) far(ctx context.Context, key postern.KeyID, account postern.AccountID, seen map[netip.Prefix]activity.Seen) error {
	f, err := w.factsOf(ctx, key, account)
	if err != nil || !f.service {
		return err
	}
	now := w.cfg.Now()
	news := seen == nil
	for net := range seen {
		if found, home := f.nets[net]; !home || now.Sub(found) >= homeFor {
			news = true
		}
	}
	if !news || now.Before(f.fleet) {
		return nil
	}
	p, err := w.policy(ctx, account)
	if err != nil {
		return err
	}
	if p.Far == postern.TripOff {
		delete(w.fresh, key)
		return nil
	}
	rec, ok, err := w.cfg.DB.AnyKey(ctx, key)
	if err != nil {
		return err
	}
	rows, err := w.cfg.Activity.Callers(ctx, account, key, 0, now.Add(-remembers))
	if err != nil {
		return err
	}
	j := judgeFar(rows, rec.Key.Networks, p, now)
	if j.fleet || !ok {
		f.fleet = now.Add(fleetFor)
		delete(w.fresh, key)
		return nil
	}
	f.atHome(j.home, now)
	if !j.fresh {
		delete(w.fresh, key)
	} else if len(w.fresh) < mostFresh {
		w.fresh[key] = account
	}
	if j.stranger == nil {
		return nil
	}
	s := activity.Seen{Account: account, Key: key, Generation: j.stranger.gen, IP: j.stranger.ip, UserAgent: j.stranger.agent}
	return w.trip(ctx, f, postern.TripFar, &s, fmt.Sprintf("The same secret was used from %s and, within %d minutes, from %s: a network that this key never called from before.",
		j.other.ip, p.FarMinutes, j.stranger.ip))
}

// atHome remembers where a key is at home, as far as there is room; what was found
// too long ago is forgotten.
func (f *keyFacts) atHome(home []netip.Prefix, now time.Time) {
	for net, found := range f.nets {
		if now.Sub(found) >= homeFor {
			delete(f.nets, net)
		}
	}
	for _, net := range home {
		if _, there := f.nets[net]; there || len(f.nets) < mostNets {
			f.nets[net] = now
		}
	}
}

// spot is what calls with one secret from one network come to.
type spot struct {
	net         netip.Prefix
	gen         int64
	first, last time.Time // of the allowed and the refused calls alike: they all had the secret
	ip, agent   string    // of the latest
}

// farJudgement is what the callers of a key say.
type farJudgement struct {
	fleet    bool           // it calls from everywhere: nothing can be told
	fresh    bool           // it has a network that is new
	home     []netip.Prefix // networks that aren't new
	stranger *spot          // a new network, beside
	other    *spot          // this one, at once
}

// judgeFar finds a network that is new to a key and from which its secret was used
// at the same time as from another one, far from it: pure.
func judgeFar(rows []activity.Caller, listed []netip.Prefix, p postern.Tripwires, now time.Time) (j farJudgement) {
	window, learns := time.Duration(p.FarMinutes)*time.Minute, time.Duration(p.FarLearnHours)*time.Hour
	var spots []*spot
	at := map[spot]*spot{}
	since := map[netip.Prefix]time.Time{}
	begun := now
	for i := range rows {
		r := &rows[i]
		if r.Calls == r.Refused {
			continue
		}
		if r.FirstAt.Before(begun) {
			begun = r.FirstAt
		}
		if r.IP == "" {
			j.fleet = true // more callers than an hour tells apart
			return j
		}
		net, ok := networkOf(r.IP)
		if !ok {
			continue
		}
		id := spot{net: net, gen: r.Generation}
		s := at[id]
		if s == nil {
			s = &spot{net: net, gen: r.Generation, first: r.FirstAt}
			at[id] = s
			spots = append(spots, s)
		}
		if r.FirstAt.Before(s.first) {
			s.first = r.FirstAt
		}
		if r.LastAt.After(s.last) {
			s.last, s.ip, s.agent = r.LastAt, r.IP, r.UserAgent
		}
		if t, known := since[net]; !known || r.FirstAt.Before(t) {
			since[net] = r.FirstAt
		}
	}
	for net, t := range since {
		if now.Sub(t) >= window || now.Sub(begun) < learns {
			j.home = append(j.home, net)
		}
	}
	j.fleet = len(rows) >= mostCallers || len(j.home) >= p.FarFleet
	j.fresh = len(j.home) < len(since)
	if j.fleet || !j.fresh {
		return j
	}
	for _, s := range spots {
		if now.Sub(since[s.net]) >= window || isListed(listed, s.net) {
			continue
		}
		for _, o := range spots {
			if o.net != s.net && o.gen == s.gen && o.net.Addr().Is4() == s.net.Addr().Is4() && !o.last.Before(s.first.Add(-window)) && since[o.net].Before(since[s.net]) {
				j.stranger, j.other = s, o
				return j
			}
		}
	}
	return j
}

// isListed reports whether the key's IP list names a network, or a place in it: then
// somebody expects calls from there. A list that lets in more than that names nothing.
func isListed(listed []netip.Prefix, net netip.Prefix) bool {
	for _, l := range listed {
		if l.Bits() >= net.Bits() && net.Contains(l.Addr()) {
			return true
		}
	}
	return false
}
