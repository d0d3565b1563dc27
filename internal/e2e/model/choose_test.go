package model_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/e2e/model"
)

const day = 24 * time.Hour

var (
	patternPool = append([]string{"*", "**", "*", "deals.*", "deals.*", "deals.bulk.*", "contacts.*", "health.*"}, scopePool...)
	networkPool = prefixes("10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/25", "10.0.0.0/8", "10.0.1.0/24", "192.168.7.9/32",
		"2001:db8::/32", "2001:db8::/33", "2001:db8:8000::/33", "0.0.0.0/0", "::/0")
	addressPool = []string{"10.0.0.1", "10.0.0.127", "10.0.0.128", "10.0.0.255", "10.0.1.0", "11.0.0.0", "192.168.7.9",
		"192.168.7.10", "2001:db8::1", "2001:db8:8000::", "2001:db9::", "::ffff:10.0.0.1", "::ffff:11.0.0.0", ""}
	ratePool = []model.Rate{{}, {}, {}, {Calls: 1_000_000, Per: time.Second}, {Calls: 500_000, Per: time.Second}, {Calls: 2, Per: time.Minute},
		{Calls: 5, Per: time.Hour}, {Calls: 4, Per: 20 * time.Second}, {Calls: 1_000_000, Per: time.Hour}}
	wrongRatePool = []model.Rate{{Calls: 1_000_001, Per: time.Second}, {Calls: 1, Per: time.Hour + time.Second}, {Calls: 1, Per: time.Millisecond},
		{Calls: 1, Per: 1500 * time.Millisecond}, {Per: time.Second}, {Calls: -1, Per: time.Second}}
	gracePool = []time.Duration{0, 0, time.Microsecond, time.Hour, time.Hour, 7 * day, model.MaxGrace, model.MaxGrace + time.Microsecond, -time.Second}
	spanPool  = []time.Duration{time.Microsecond, time.Second, 10 * time.Minute, time.Hour, day, 7 * day, 40 * day}
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// someone chooses who asks: mostly a super admin or another member, now and then
// somebody who was removed, is of another account, or is nobody.
func (w *world) someone(r *rand.Rand) model.Actor {
	a := w.m.Accounts[0]
	other := w.m.Accounts[1]
	odds := 0.45
	if other.Suspended {
		odds = 0.06
	}
	if chance(r, odds) {
		a, other = other, a
	}
	live := slices.DeleteFunc(slices.Clone(a.Members), func(m *model.Member) bool { return m.Removed })
	by := model.Actor{Account: a}
	switch x := r.Float64(); {
	case x < 0.65:
		supers := slices.DeleteFunc(slices.Clone(live), func(m *model.Member) bool { return m.Role.ID != "super_admin" })
		if len(supers) == 0 { // only where the model is wrong on purpose
			supers = live
		}
		by.Member = pick(r, supers)
	case x < 0.95:
		by.Member = pick(r, live)
	case x < 0.97:
		by.Member = pick(r, a.Members)
	case x < 0.99:
		by.Member = pick(r, other.Members)
	}
	if by.Member != nil && chance(r, 0.2) {
		by.With = w.aWay(r, by.Member)
	}
	return by
}

// aWay chooses one of a member's personal keys to act by means of; now and then
// one that has ended, or is somebody else's.
func (w *world) aWay(r *rand.Rand, m *model.Member) *model.Personal {
	if chance(r, 0.01) {
		return pick(r, m.Account.Personal)
	}
	ended := chance(r, 0.05)
	var own []*model.Personal
	for _, p := range m.Account.Personal {
		if p.Member == m && (ended || !p.Ended) {
			own = append(own, p)
		}
	}
	if len(own) == 0 {
		return nil
	}
	return pick(r, own)
}

func aRate(r *rand.Rand) model.Rate {
	if chance(r, 0.04) {
		return pick(r, wrongRatePool)
	}
	return pick(r, ratePool)
}

// aKey chooses a key to act on: mostly one that works, often enough one that is
// live all the same, now and then one that ended, one of another account, or none.
func (w *world) aKey(r *rand.Rand, a *model.Account) *model.Key {
	x := r.Float64()
	switch {
	case x < 0.01:
		return nil
	case x < 0.04:
		a = w.otherThan(a)
	}
	from := a.Keys
	if x < 0.93 {
		from = slices.DeleteFunc(slices.Clone(a.Keys), func(k *model.Key) bool {
			state := w.m.State(k)
			return state == "ended" || x < 0.75 && state != "active" && state != "rotating"
		})
	}
	if len(from) == 0 {
		return nil
	}
	return pick(r, from[max(0, len(from)-40):])
}

// aRotatingKey chooses a key with two secrets that work, where there is one.
func (w *world) aRotatingKey(r *rand.Rand, a *model.Account) *model.Key {
	from := slices.DeleteFunc(slices.Clone(a.Keys), func(k *model.Key) bool { return w.m.State(k) != "rotating" })
	if len(from) == 0 {
		return w.aKey(r, a)
	}
	return pick(r, from)
}

func (w *world) otherThan(a *model.Account) *model.Account {
	if a == w.m.Accounts[0] {
		return w.m.Accounts[1]
	}
	return w.m.Accounts[0]
}

// keyID is the real id for the model's key; an id that nobody has for none.
func (w *world) keyID(k *model.Key) postern.KeyID {
	if k == nil {
		return "0000000000000000"
	}
	return w.keys[k]
}

// aMember chooses a member to act on.
func (w *world) aMember(r *rand.Rand, a *model.Account) *model.Member {
	x := r.Float64()
	switch {
	case x < 0.02:
		return nil
	case x < 0.06:
		a = w.otherThan(a)
	case x < 0.95:
		return pick(r, slices.DeleteFunc(slices.Clone(a.Members), func(m *model.Member) bool { return m.Removed }))
	}
	return pick(r, a.Members)
}

func (w *world) memberID(m *model.Member) postern.MemberID {
	if m == nil {
		return "mem_0000000000000000"
	}
	return w.members[m]
}

// aRole chooses a role to give or to change.
func (w *world) aRole(r *rand.Rand, a *model.Account) *model.Role {
	x := r.Float64()
	switch {
	case x < 0.02:
		return nil
	case x < 0.04:
		a = w.otherThan(a)
	case x < 0.5:
		return pick(r, model.BuiltIn)
	}
	if len(a.Roles) == 0 {
		return pick(r, model.BuiltIn)
	}
	return pick(r, a.Roles[max(0, len(a.Roles)-5):])
}

func (w *world) roleID(role *model.Role) postern.RoleID {
	if role == nil {
		return "rol_0000000000000000"
	}
	return w.roles[role]
}

// someScopes chooses scopes for a key: mostly few, mostly ones that exist.
func someScopes(r *rand.Rand) []string {
	s := some(r, scopePool[:len(scopePool)-1], 0.25)
	switch x := r.Float64(); {
	case x < 0.02:
		s = append(s, "nope.read")
	case x < 0.03:
		s = append(s, "postern.keys.write")
	case x < 0.05:
		s = append(s, "oauth")
	case x < 0.08 && len(s) > 0:
		s = append(s, s[0])
	}
	return s
}

// somePatterns chooses grants; nil now and then where that means something.
func somePatterns(r *rand.Rand) []string {
	s := some(r, patternPool, 0.12)
	if chance(r, 0.02) {
		s = append(s, "deals*")
	}
	if s == nil {
		s = []string{}
	}
	return s
}

func someNetworks(r *rand.Rand) []netip.Prefix {
	if chance(r, 0.5) {
		return nil
	}
	return some(r, networkPool, 0.2)
}

// anEnd chooses an expiry, and aStart when a life begins: among them wrong ones.
func (w *world) anEnd(r *rand.Rand) time.Time {
	switch x := r.Float64(); {
	case x < 0.6:
		return time.Time{}
	case x < 0.96:
		return w.clock.now.Add(pick(r, spanPool))
	case x < 0.98:
		return w.clock.now
	}
	return w.clock.now.Add(-time.Hour)
}

func (w *world) aStart(r *rand.Rand) time.Time {
	switch x := r.Float64(); {
	case x < 0.7:
		return time.Time{}
	case x < 0.95:
		return w.clock.now.Add(pick(r, spanPool))
	case x < 0.98:
		return w.clock.now
	}
	return w.clock.now.Add(-time.Hour)
}

// aRevision chooses the revision that an editor saw: mostly none, or the right one.
func aRevision(r *rand.Rand, is int64) int64 {
	switch x := r.Float64(); {
	case x < 0.8:
		return 0
	case x < 0.95:
		return is
	}
	return is + 1
}

func aName(r *rand.Rand) string {
	switch x := r.Float64(); {
	case x < 0.005:
		return ""
	case x < 0.01:
		return fmt.Sprintf("%0101d", 1)
	}
	return fmt.Sprintf("sync-%02d", r.IntN(24))
}

// deadlines are the times to come at which an answer may change.
func (w *world) deadlines() (out []time.Time) {
	add := func(t time.Time) {
		if t.After(w.clock.now) {
			out = append(out, t)
		}
	}
	for _, a := range w.m.Accounts {
		for _, zone := range []*time.Location{a.Zone, time.UTC} {
			if y, m, d := w.clock.now.In(zone).Date(); a.Daily > 0 {
				add(time.Date(y, m, d+1, 0, 0, 0, 0, zone))
			}
		}
		for _, k := range a.Keys {
			if k.RevokedAt.IsZero() && !k.Deleted {
				add(k.NotBefore)
				add(k.ExpiresAt)
				add(k.PreviousUntil)
			}
		}
		for _, p := range a.Personal {
			if !p.Ended {
				add(p.ExpiresAt)
			}
		}
	}
	for _, req := range w.requests {
		add(req.at.Add(model.Remembered))
		add(req.at.Add(model.Recoverable))
	}
	return out
}
