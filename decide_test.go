package postern

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// At is a time as an offset in seconds from the start of these tests.
func at(seconds int64) Micros { return Micros(1_700_000_000+seconds) * 1e6 }

var (
	hashA = [32]byte{1}
	hashB = [32]byte{2}
	hashC = [32]byte{3}
)

func TestRecognize(t *testing.T) {
	const day = 86400
	type change func(c *Credential)
	until := func(s int64) change {
		return func(c *Credential) { c.Previous, c.PreviousUntil = hashB, at(s) }
	}
	for _, c := range []struct {
		name      string
		change    change
		presented [32]byte
		suspended bool
		reason    Reason
		which     Which
	}{
		{"as made", nil, hashA, false, ReasonAllowed, WhichCurrent},
		{"a wrong secret", nil, hashC, false, ReasonUnknownKey, WhichNone},
		{"no previous secret, and zeros presented", nil, [32]byte{}, false, ReasonUnknownKey, WhichNone},
		{"the previous secret in its grace period", until(1), hashB, false, ReasonAllowed, WhichPrevious},
		{"the previous secret at the end of it", until(0), hashB, false, ReasonRetired, WhichPrevious},
		{"the previous secret, ended, whatever the clock says", func(c *Credential) { until(1)(c); c.Flags = FlagPreviousEnded }, hashB, false, ReasonRetired, WhichPrevious},
		{"the current secret when the previous one was ended", func(c *Credential) { until(1)(c); c.Flags = FlagPreviousEnded }, hashA, false, ReasonAllowed, WhichCurrent},
		{"the current secret after it", until(-1), hashA, false, ReasonAllowed, WhichCurrent},
		{"a wrong secret while rotating", until(1), hashC, false, ReasonUnknownKey, WhichNone},
		{"at its expiry", func(c *Credential) { c.ExpiresAt = at(0) }, hashA, false, ReasonExpired, WhichCurrent},
		{"before its expiry", func(c *Credential) { c.ExpiresAt = at(0) + 1 }, hashA, false, ReasonAllowed, WhichCurrent},
		{"before its start", func(c *Credential) { c.NotBefore = at(0) + 1 }, hashA, false, ReasonNotYetValid, WhichCurrent},
		{"at its start", func(c *Credential) { c.NotBefore = at(0) }, hashA, false, ReasonAllowed, WhichCurrent},
		{"paused", func(c *Credential) { c.Flags = FlagPaused }, hashA, false, ReasonPaused, WhichCurrent},
		{"paused, and a wrong secret", func(c *Credential) { c.Flags = FlagPaused }, hashC, false, ReasonUnknownKey, WhichNone},
		{"revoked", func(c *Credential) { c.Flags = FlagRevoked }, hashA, false, ReasonRevoked, WhichCurrent},
		{"revoked, and a wrong secret", func(c *Credential) { c.Flags = FlagRevoked }, hashC, false, ReasonUnknownKey, WhichNone},
		{"revoked and expired", func(c *Credential) { c.Flags, c.ExpiresAt = FlagRevoked, at(-day) }, hashA, false, ReasonRevoked, WhichCurrent},
		{"revoked while rotating", func(c *Credential) { until(1)(c); c.Flags = FlagRevoked }, hashB, false, ReasonRevoked, WhichPrevious},
		{"deleted", func(c *Credential) { c.Flags = FlagDeleted }, hashA, false, ReasonRevoked, WhichCurrent},
		{"edited in the database", func(c *Credential) { c.Flags = FlagTampered }, hashA, false, ReasonUnknownKey, WhichNone},
		{"an account that is suspended", nil, hashA, true, ReasonAccountSuspended, WhichCurrent},
	} {
		cred := Credential{Current: hashA}
		if c.change != nil {
			c.change(&cred)
		}
		reason, which := Recognize(&cred, &Presented{c.presented, c.presented}, c.suspended, at(0))
		if reason != c.reason || which != c.which {
			t.Errorf("%s: %v, secret %d; want %v, secret %d", c.name, reason, which, c.reason, c.which)
		}
	}
}

func TestPermit(t *testing.T) {
	service, personal := KindsOf(KindServiceKey), KindsOf(KindPersonal)
	way := func(kinds Kinds, scopes ...ScopeID) AllOf { return AllOf{Scopes: scopes, Kinds: kinds} }
	for _, c := range []struct {
		name    string
		all     bool
		held    []ScopeID
		need    Need
		reason  Reason
		missing []ScopeID
	}{
		{"public", false, nil, Need{Public: true}, ReasonPublic, nil},
		{"names no scope", false, []ScopeID{1, 2}, Need{}, ReasonUncovered, nil},
		{"names no scope, and every scope held", true, nil, Need{}, ReasonUncovered, nil},
		{"implicit scopes only", false, nil, Need{Any: []AllOf{way(service)}}, ReasonAllowed, nil},
		{"all of two", false, []ScopeID{1, 2, 3}, Need{Any: []AllOf{way(service, 1, 3)}}, ReasonAllowed, nil},
		{"one of two", false, []ScopeID{1}, Need{Any: []AllOf{way(service, 1, 3)}}, ReasonInsufficientScope, []ScopeID{3}},
		{"the second way", false, []ScopeID{4}, Need{Any: []AllOf{way(service, 1, 3), way(service, 4)}}, ReasonAllowed, nil},
		{"of the way that lacks fewest", false, []ScopeID{1}, Need{Any: []AllOf{way(service, 5, 6), way(service, 1, 3)}}, ReasonInsufficientScope, []ScopeID{3}},
		{"a way for people only", false, []ScopeID{1}, Need{Any: []AllOf{way(personal, 1)}}, ReasonWrongKind, nil},
		{"a way for people, and one that lacks", false, []ScopeID{1}, Need{Any: []AllOf{way(personal, 1), way(service, 2)}}, ReasonInsufficientScope, []ScopeID{2}},
		{"every scope", true, nil, Need{Any: []AllOf{way(service, 1, 2)}}, ReasonAllowed, nil},
		{"every scope, and the wrong kind", true, nil, Need{Any: []AllOf{way(personal, 1)}}, ReasonWrongKind, nil},
	} {
		reason, missing := Permit(KindServiceKey, c.all, c.held, &c.need, nil)
		if reason != c.reason || !slices.Equal(missing, c.missing) {
			t.Errorf("%s: %v %v, want %v %v", c.name, reason, missing, c.reason, c.missing)
		}
	}
}

// Whatever the facts are: allowed is only who presents the secret of a living
// credential that holds all scopes of a way that admits its kind.
func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Add(uint64(7), uint64(99))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		hashes := [][32]byte{{}, hashA, hashB, hashC}
		when := func() Micros { return []Micros{0, at(-1), at(0), at(0) + 1, at(1)}[r.IntN(5)] }
		c := Credential{Current: hashes[1+r.IntN(3)], Previous: hashes[r.IntN(4)], NotBefore: when(), ExpiresAt: when(), PreviousUntil: when(),
			Kind: Kind(1 + r.IntN(7)), Flags: Flags(r.IntN(64))}
		if r.IntN(2) == 0 {
			c.Flags = 0
		}
		var held []ScopeID
		for s := range ScopeID(6) {
			if r.IntN(2) == 0 {
				held = append(held, s)
			}
		}
		need := Need{Public: r.IntN(20) == 0}
		for range r.IntN(4) {
			w := AllOf{Kinds: Kinds(r.IntN(256))}
			for s := range ScopeID(6) {
				if r.IntN(3) == 0 {
					w.Scopes = append(w.Scopes, s)
				}
			}
			need.Any = append(need.Any, w)
		}
		facts := Facts{Presented: Presented{hashes[r.IntN(4)], hashes[r.IntN(4)]}, AccountSuspended: r.IntN(4) == 0, Held: held,
			RemoteIP: netip.MustParseAddr([]string{"10.0.0.1", "192.0.2.1", "::ffff:10.0.0.1"}[r.IntN(3)]), Need: &need, Now: at(0)}
		if r.IntN(2) == 0 {
			facts.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}
		reason, which, missing := Decide(&c, &facts)

		isCurrent := facts.Presented.AsCurrent == c.Current
		isPrevious := c.PreviousUntil != 0 && facts.Presented.AsPrevious == c.Previous
		works := isCurrent || isPrevious && facts.Now < c.PreviousUntil && c.Flags&FlagPreviousEnded == 0
		lives := c.Flags&^(FlagAllScopes|FlagPreviousEnded) == 0 && !facts.AccountSuspended && c.NotBefore <= facts.Now && (c.ExpiresAt == 0 || facts.Now < c.ExpiresAt)
		here := facts.Networks == nil || facts.RemoteIP != netip.MustParseAddr("192.0.2.1")
		may := false
		for _, w := range need.Any {
			ok := w.Kinds.Has(c.Kind)
			for _, s := range w.Scopes {
				ok = ok && (c.Flags&FlagAllScopes != 0 || slices.Contains(held, s))
			}
			may = may || ok
		}
		switch {
		case need.Public:
			if reason != ReasonPublic {
				t.Errorf("public, and %v", reason)
			}
		case (reason == ReasonAllowed) != (works && lives && here && may):
			t.Errorf("%v: works %v, lives %v, address %v, may %v\n%+v\n%+v", reason, works, lives, here, may, c, facts)
		case !isCurrent && !isPrevious && (reason != ReasonUnknownKey || which != WhichNone):
			t.Errorf("who lacks the secret learns %v of secret %d", reason, which)
		case (reason == ReasonInsufficientScope) != (len(missing) > 0):
			t.Errorf("%v with missing %v", reason, missing)
		}
	})
}

func TestReasons(t *testing.T) {
	for _, r := range Reasons() {
		got, ok := ParseReason(r.String())
		if !ok || got != r || r.String() == "" {
			t.Errorf("reason %d: %q is read as %v", r, r, got)
		}
		if s := r.Status(); s != 200 && (s < 400 || s > 503) {
			t.Errorf("%v says %d", r, s)
		}
	}
	if _, ok := ParseReason(""); ok {
		t.Error("no reason is read as one")
	}
}

func TestInNetworks(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}
	for ip, want := range map[string]bool{"10.1.2.3": true, "10.2.0.1": false, "::ffff:10.1.2.3": true, "2001:db8::1%eth0": true, "2001:db9::1": false} {
		if got := InNetworks(nets, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v, want %v", ip, got, want)
		}
	}
	if InNetworks(nets, netip.Addr{}) {
		t.Error("an unknown address is in a network")
	}
	if !InNetworks(nil, netip.Addr{}) {
		t.Error("no networks isn't anywhere")
	}
}

func TestState(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	later, before := now.Add(time.Second), now.Add(-time.Second)
	for _, c := range []struct {
		key  ServiceKey
		want State
	}{
		{ServiceKey{}, StateActive},
		{ServiceKey{Previous: SecretInfo{Generation: 1, EndsAt: later}}, StateRotating},
		{ServiceKey{Previous: SecretInfo{Generation: 1, EndsAt: now}}, StateActive},
		{ServiceKey{NotBefore: later}, StateScheduled},
		{ServiceKey{NotBefore: now}, StateActive},
		{ServiceKey{PausedAt: before, NotBefore: later}, StatePaused},
		{ServiceKey{ExpiresAt: now, PausedAt: before}, StateExpired},
		{ServiceKey{ExpiresAt: later}, StateActive},
		{ServiceKey{RevokedAt: before, ExpiresAt: before}, StateEnded},
		{ServiceKey{DeletedAt: before}, StateEnded},
	} {
		if got := c.key.State(now); got != c.want {
			t.Errorf("%+v: %s, want %s", c.key, got, c.want)
		}
	}
}
