package activity

import (
	"net/netip"
	"slices"
	"strings"

	"postern.dev/postern"
)

// shape is all of a call that many calls have in common, ready to be stored.
type shape struct {
	account                                     postern.AccountID
	member                                      postern.MemberID
	key                                         postern.KeyID
	upstream                                    postern.UpstreamID
	operation, method, missing, door, ip, agent string
	used                                        string
	generation                                  int64
	status                                      int
	kind                                        postern.Kind
	reason, would                               postern.Reason
	allowed                                     bool
}

// facts is a shape that calls share, with the place of it in what is being made
// of them. It is looked up once a call; after that, a pointer tells it.
type facts struct {
	shape
	network string // of a stranger; empty for the others
	counts  bool   // towards the account's daily limit
	hides   bool   // its operation's path has parameters that are secrets

	cell         *cell  // the latest that was made of it
	block, index uint64 // in which block of its packer it is, as which entry
}

func (f *facts) stranger() bool { return f.account == "" }

// complete tells of facts that were read what isn't stored of them.
func (f *facts) complete() {
	if f.stranger() {
		ip, _ := netip.ParseAddr(f.ip)
		f.network = network(ip)
	}
	f.counts = !f.stranger() && Counts(f.reason)
}

// path is a path of a call of these facts, as it may be stored.
func (f *facts) path(brand, path string, op *postern.Operation) string {
	if !f.hides {
		op = nil
	}
	return cleanPath(brand, path, op)
}

// activity is what calls of this shape look like.
func (f *shape) activity() postern.Activity {
	return postern.Activity{AccountID: f.account, KeyID: f.key, Kind: f.kind, Generation: f.generation, MemberID: f.member,
		Upstream: f.upstream, Operation: f.operation, Method: f.method, Status: f.status, Allowed: f.allowed,
		Reason: f.reason, Would: f.would, Missing: splitScopes(f.missing), Used: splitScopes(f.used), Door: f.door, IP: f.ip, UserAgent: f.agent}
}

// clone is a shape whose texts are no parts of longer ones.
func (f *shape) clone() shape {
	c := *f
	c.account, c.member, c.key = postern.AccountID(strings.Clone(string(f.account))), postern.MemberID(strings.Clone(string(f.member))), postern.KeyID(strings.Clone(string(f.key)))
	c.upstream = postern.UpstreamID(strings.Clone(string(f.upstream)))
	for _, s := range []*string{&c.operation, &c.method, &c.missing, &c.used, &c.door, &c.ip, &c.agent} {
		*s = strings.Clone(*s)
	}
	return c
}

// rawShape is what the facts of a call are made of, as it was recorded.
type rawShape struct {
	account                postern.AccountID
	member                 postern.MemberID
	operation              *postern.Operation
	door                   string
	ip                     netip.Addr
	key                    [postern.KeyIDLen]byte
	status                 uint16
	generation             uint32
	kind                   postern.Kind
	reason, would          postern.Reason
	allowed, known         bool
	method, agent, missing string
	used                   string
}

// factory makes facts, one for all calls that have the same. It belongs to the drain.
type factory struct {
	made   map[rawShape]*facts
	raw    rawShape // the latest
	latest *facts
}

// forget lets go of what was made.
func (fa *factory) forget() {
	if len(fa.made) > 4096 {
		fa.made = nil
	}
	clear(fa.made)
	fa.raw, fa.latest = rawShape{}, nil
}

func (fa *factory) of(brand string, s *slot, method, agent, missing, used string) *facts {
	raw := rawShape{s.account, s.member, s.operation, s.door, s.ip, s.key, s.status, s.generation, s.kind, s.reason, s.would, s.allowed, s.known,
		method, agent, missing, used}
	if fa.latest != nil && raw == fa.raw {
		return fa.latest
	}
	f := fa.made[raw]
	if f == nil {
		if fa.made == nil {
			fa.made = map[rawShape]*facts{}
		}
		f = factsOf(brand, &raw)
		fa.made[raw] = f
	}
	fa.raw, fa.latest = raw, f
	return f
}

// scopes are the names of what calls of this shape needed: what let them through,
// or what they lacked.
func (f *shape) scopes() string {
	if f.allowed {
		return f.used
	}
	return f.missing
}

func scopesText(s string) string {
	return strings.Join(slices.Collect(strings.FieldsSeq(printable(s))), " ")
}

// factsOf are the facts of a call: bounded, printable, without secrets.
func factsOf(brand string, raw *rawShape) *facts {
	d := postern.Decision{Key: raw.key}
	f := &facts{shape: shape{key: d.KeyID(), kind: raw.kind, generation: int64(raw.generation), status: int(raw.status),
		allowed: raw.allowed, reason: raw.reason, method: clean(brand, raw.method, rawMethod), door: clean(brand, raw.door, maxName),
		agent: clean(brand, raw.agent, maxAgent), missing: scopesText(raw.missing)}}
	if raw.allowed {
		f.used, f.would = scopesText(raw.used), raw.would
	}
	ip := raw.ip.Unmap().WithZone("")
	if ip.IsValid() {
		f.ip = ip.String()
	}
	if raw.operation != nil {
		f.upstream = postern.UpstreamID(clean(brand, string(raw.operation.Upstream), maxName))
		f.operation = clean(brand, raw.operation.Name, maxOperation)
		f.hides = hidesParameters(raw.operation.Path)
	}
	// Only who presented a whole true secret acts in its account. A key ID alone
	// is public: whoever knows one must not be able to write into its history.
	if raw.known && raw.account != "" {
		f.account, f.member = raw.account, raw.member
	}
	f.shape = f.shape.clone() // the texts are parts of a whole buffer's
	return f
}
