package advice

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// smallWorld is a catalog in which one scope opens all that two others do.
func smallWorld(t *testing.T) *World {
	t.Helper()
	c := &catalog.Catalog{Upstream: "crm"}
	op := func(name string, ways ...[]postern.Scope) {
		o := catalog.Operation{Operation: postern.Operation{Upstream: "crm", Name: name, Method: "GET", Path: "/" + name}}
		for _, w := range ways {
			o.Ways = append(o.Ways, catalog.Way{Scopes: w, Kinds: postern.DataKinds})
		}
		c.Operations = append(c.Operations, o)
	}
	one := func(s ...postern.Scope) []postern.Scope { return s }
	op("deals", one("deals.read"), one("crm.all"), one("deals.write"))
	op("contacts", one("contacts.read"), one("crm.all"))
	op("makeDeal", one("deals.write", "deals.read"), one("crm.all", "deals.write"))
	op("me", one("oauth"))
	op("merge", one("crm.all", "oauth"))
	scope := func(name postern.Scope, write, sensitive bool) {
		i := postern.ScopeInfo{Name: name, Upstream: "crm", Group: string(name[:3]), Access: postern.AccessRead, Sensitive: sensitive, Implicit: name == "oauth"}
		if write {
			i.Access = postern.AccessWrite
		}
		c.Scopes = append(c.Scopes, i)
	}
	scope("contacts.read", false, false)
	scope("crm.all", false, true)
	scope("deals.read", false, false)
	scope("deals.write", true, false)
	scope("oauth", false, false)
	w, err := NewWorld([]*catalog.Catalog{c})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// called is a need of an operation on some days before t0.
func called(name string, days ...int) Need {
	n := Need{Op: Op{"crm", name}}
	for _, d := range days {
		at := t0.AddDate(0, 0, -d)
		n.Calls++
		n.Days = append(n.Days, at)
		if n.First.IsZero() || at.Before(n.First) {
			n.First = at
		}
		n.Last = later(n.Last, at)
	}
	return n
}

// The time of the latest need is exact where the call is known, also where the rules
// count it for another scope than the one that let it through; a call of another hour tells nothing.
func TestExactTimes(t *testing.T) {
	w := smallWorld(t)
	hour, at := t0.AddDate(0, 0, -1), t0.AddDate(0, 0, -1).Add(54*time.Minute)
	for name, c := range map[string]struct {
		moments     []Moment
		first, last time.Time
	}{
		"by its name":      {[]Moment{{Scope: "deals.read", Op: Op{"crm", "other"}, First: at.Add(-time.Minute), Last: at}}, at.Add(-time.Minute), at},
		"by its operation": {[]Moment{{Scope: "deals.write", Op: Op{"crm", "deals"}, First: hour, Last: at}}, hour, at},
		"of another":       {[]Moment{{Scope: "deals.write", Op: Op{"crm", "makeDeal"}, First: at, Last: at}}, hour, hour},
		"another hour":     {[]Moment{{Scope: "deals.read", First: at.Add(-time.Hour), Last: at.Add(time.Hour)}}, hour, hour},
		"nothing known":    {nil, hour, hour},
	} {
		f := Facts{Key: postern.ServiceKey{CreatedAt: t0.AddDate(0, 0, -60), Scopes: []postern.Scope{"deals.read", "deals.write"}}, Now: t0, Since: t0.AddDate(0, 0, -90),
			Needs: []Need{called("deals", 1)}, Moments: c.moments}
		r := Look(w, &f)
		i := slices.IndexFunc(r.Scopes, func(u ScopeUse) bool { return u.Scope == "deals.read" })
		if u := r.Scopes[i]; !u.First.Equal(c.first) || !u.Last.Equal(c.last) {
			t.Errorf("%s: from %v to %v, want %v to %v", name, u.First, u.Last, c.first, c.last)
		}
	}
}

func TestScopesInUse(t *testing.T) {
	w := smallWorld(t)
	for name, c := range map[string]struct {
		granted []postern.Scope
		needs   []Need
		want    map[postern.Scope]State
		adds    []postern.Scope
	}{
		"read over write":           {[]postern.Scope{"deals.read", "deals.write"}, []Need{called("deals", 1)}, map[postern.Scope]State{"deals.read": InUse, "deals.write": Unused}, nil},
		"both, where both":          {[]postern.Scope{"deals.read", "deals.write"}, []Need{called("deals", 1), called("makeDeal", 1)}, map[postern.Scope]State{"deals.read": InUse, "deals.write": InUse}, nil},
		"narrow over broad":         {[]postern.Scope{"contacts.read", "crm.all", "deals.read"}, []Need{called("deals", 1), called("contacts", 1)}, map[postern.Scope]State{"contacts.read": InUse, "crm.all": Unused, "deals.read": InUse}, nil},
		"a narrower one would do":   {[]postern.Scope{"crm.all"}, []Need{called("deals", 1)}, map[postern.Scope]State{"crm.all": Replace}, []postern.Scope{"deals.read"}},
		"only the broad one":        {[]postern.Scope{"crm.all"}, []Need{called("deals", 1), called("merge", 1)}, map[postern.Scope]State{"crm.all": InUse}, nil},
		"implicit ones never count": {[]postern.Scope{"deals.read"}, []Need{called("me", 1)}, map[postern.Scope]State{"deals.read": Unused}, nil},
		"asked by scope":            {[]postern.Scope{"deals.read", "far.away"}, []Need{{Asked: []postern.Scope{"far.away", "oauth"}, First: t0, Last: t0, Calls: 1}}, map[postern.Scope]State{"deals.read": Unused, "far.away": InUse}, nil},
		"idle after 30 days":        {[]postern.Scope{"deals.read"}, []Need{called("deals", 31, 36, 41)}, map[postern.Scope]State{"deals.read": Idle}, nil},
		"monthly is not":            {[]postern.Scope{"deals.read"}, []Need{called("deals", 35, 65)}, map[postern.Scope]State{"deals.read": InUse}, nil},
		"once is not":               {[]postern.Scope{"deals.read"}, []Need{called("deals", 69)}, map[postern.Scope]State{"deals.read": InUse}, nil},
		"after 70 days it is":       {[]postern.Scope{"deals.read"}, []Need{called("deals", 71)}, map[postern.Scope]State{"deals.read": Idle}, nil},
		"Postern's own":             {[]postern.Scope{"deals.read", "postern.verify"}, []Need{called("deals", 1)}, map[postern.Scope]State{"deals.read": InUse, "postern.verify": NotCounted}, nil},
	} {
		f := &Facts{Key: postern.ServiceKey{Scopes: c.granted, CreatedAt: t0.AddDate(-1, 0, 0), ExpiresAt: t0.AddDate(1, 0, 0)}, Now: t0, Since: t0.AddDate(0, 0, -Window), Needs: c.needs}
		r := Look(w, f)
		for _, u := range r.Scopes {
			if u.State != c.want[u.Scope] {
				t.Errorf("%s: %s is %s, want %s", name, u.Scope, u.State, c.want[u.Scope])
			}
			if u.State == Replace && !slices.Equal(u.Instead, c.adds) {
				t.Errorf("%s: instead of %s %v, want %v", name, u.Scope, u.Instead, c.adds)
			}
		}
		if !r.Exact {
			t.Errorf("%s: not proven", name)
		}
	}
}

// Nothing is said of what calls must show before there are 14 days of them, nor
// of a scope that was granted since.
func TestAdviceWaits(t *testing.T) {
	w := smallWorld(t)
	look := func(age int, granted map[postern.Scope]time.Time, partial bool) *Report {
		return Look(w, &Facts{Key: postern.ServiceKey{Scopes: []postern.Scope{"contacts.read", "deals.read"}, CreatedAt: t0.AddDate(0, 0, -age), ExpiresAt: t0.AddDate(1, 0, 0)},
			Now: t0, Since: t0.AddDate(0, 0, -Window), Needs: []Need{called("deals", 1)}, Granted: granted, Partial: partial})
	}
	if r := look(13, nil, false); !r.Wait || len(r.Findings) > 0 || r.Scopes[0].State != Unknown {
		t.Errorf("after 13 days: %+v", r)
	}
	if r := look(14, nil, false); r.Wait || len(r.Findings) != 1 {
		t.Errorf("after 14 days: %+v", r)
	}
	if r := look(300, map[postern.Scope]time.Time{"contacts.read": t0.AddDate(0, 0, -13)}, false); len(r.Findings) > 0 || r.Scopes[0].State != TooNew {
		t.Errorf("a scope granted 13 days ago: %+v", r)
	}
	if r := look(300, nil, true); len(r.Findings) > 0 || r.Scopes[0].State != Unknown {
		t.Errorf("where not all could be read: %+v", r)
	}
}

// What was put aside comes back with another fix, and 30 days before the end.
func TestDismissal(t *testing.T) {
	w := smallWorld(t)
	f := &Facts{Key: postern.ServiceKey{Scopes: []postern.Scope{"contacts.read", "deals.read"}, CreatedAt: t0.AddDate(-1, 0, 0), ExpiresAt: t0.AddDate(0, 2, 0)},
		Now: t0, Since: t0.AddDate(0, 0, -Window), Needs: []Need{called("deals", 1)}}
	aside := func() bool {
		x, ok := Look(w, f).Finding(KindUnused)
		return ok && !x.Dismissed.IsZero()
	}
	x, _ := Look(w, f).Finding(KindUnused)
	f.Dismissed = map[Kind]Dismissal{KindUnused: {At: t0, By: "mem_1", What: x.What()}}
	before := Look(w, f).Score()
	if !aside() || before != 75 {
		t.Errorf("put aside: %v, and the score is %d: it counts all the same", aside(), before)
	}
	f.Key.ExpiresAt = t0.AddDate(0, 0, 30)
	f.Dismissed[KindUnused] = Dismissal{At: t0.AddDate(0, 0, -1), What: x.What()}
	if aside() {
		t.Error("it is still put aside 30 days before the end")
	}
	f.Key.ExpiresAt = t0.AddDate(0, 2, 0)
	f.Needs = nil
	f.Needs = []Need{called("contacts", 1)}
	if aside() {
		t.Error("another fix is put aside too")
	}
}

func TestFewNetworks(t *testing.T) {
	from := func(days int, ips ...string) (out []Caller) {
		for _, ip := range ips {
			out = append(out, Caller{IP: ip, First: t0.AddDate(0, 0, -days), Calls: 1})
		}
		return out
	}
	var spread, office, cloud []string
	for i := range 40 {
		spread = append(spread, fmt.Sprintf("10.%d.0.1", i))
		office = append(office, fmt.Sprintf("203.0.113.%d", i))
		cloud = append(cloud, fmt.Sprintf("198.51.%d.7", 96+i%16))
	}
	for name, c := range map[string]struct {
		callers []Caller
		want    []string
	}{
		"one":                     {from(60, "203.0.113.7"), []string{"203.0.113.7/32"}},
		"two":                     {from(60, "203.0.113.7", "203.0.113.9"), []string{"203.0.113.7/32", "203.0.113.9/32"}},
		"an office":               {from(60, office...), []string{"203.0.113.0/24"}},
		"a cloud":                 {from(60, cloud...), []string{"198.51.96.0/20"}},
		"an IPv6 site":            {from(60, "2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:2::3"), []string{"2001:db8:1::/64", "2001:db8:1:2::/64"}},
		"IPv4 in IPv6 clothes":    {from(60, "::ffff:203.0.113.7"), []string{"203.0.113.7/32"}},
		"everywhere":              {from(60, spread...), nil},
		"a new one":               {append(from(60, "203.0.113.7"), from(3, "198.51.100.1")...), nil},
		"a new one in an old net": {append(from(60, office[:3]...), from(3, office[9])...), []string{"203.0.113.0/24"}},
		"one that isn't known":    {append(from(60, "203.0.113.7"), Caller{}), nil},
		"nobody":                  {nil, nil},
	} {
		list, ok := FewNetworks(c.callers, t0)
		var got []string
		for _, p := range list {
			got = append(got, p.String())
		}
		if ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", name, got, ok, c.want)
		}
		for _, caller := range c.callers {
			if ip, err := netip.ParseAddr(caller.IP); ok && err == nil && !postern.InNetworks(list, ip) {
				t.Errorf("%s: %s is left out", name, ip)
			}
		}
	}
}
