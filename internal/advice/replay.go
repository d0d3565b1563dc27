package advice

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// Settings are what of a key a call is judged by.
type Settings struct {
	Scopes    []postern.Scope
	Networks  []netip.Prefix
	ExpiresAt time.Time
}

// SettingsOf are those of a key as it is.
func SettingsOf(k *postern.ServiceKey) Settings { return Settings{k.Scopes, k.Networks, k.ExpiresAt} }

// Proposal is what may become of a key, or of what its calls need. Nil stays as it is.
type Proposal struct {
	Scopes    *[]postern.Scope
	Networks  *[]netip.Prefix
	ExpiresAt *time.Time // zero: never
	// Catalogs, where set, are in the place of those in force.
	Catalogs []*catalog.Catalog
}

// Of gives the settings after a proposal.
func (p *Proposal) Of(s Settings) Settings {
	if p.Scopes != nil {
		s.Scopes = postern.SortScopes(slices.Clone(*p.Scopes))
	}
	if p.Networks != nil {
		s.Networks = *p.Networks
	}
	if p.ExpiresAt != nil {
		s.ExpiresAt = *p.ExpiresAt
	}
	return s
}

// Refusal is calls of one operation by one caller that would be refused for one reason.
type Refusal struct {
	Key       postern.KeyID
	Upstream  postern.UpstreamID
	Operation string
	Method    string
	Reason    postern.Reason
	Missing   []postern.Scope
	IP        string
	UserAgent string
	Calls     int64
	First     time.Time
	Last      time.Time
}

// Replay is what calls that were made would meet. Each is judged as if it came
// again as long after its time as the calls reach back: the traffic of the last
// seven days stands for that of the next seven. Calls that were refused are
// only counted.
type Replay struct {
	From, To time.Time // of the calls that were asked for
	Looked   int64     // calls so far
	Refused  int64     // of them, refused when they were made
	Already  int64     // allowed then, and refused by the settings of now
	Fails    int64     // allowed by the settings of now, and refused by the proposed ones
	Unjudged int64     // calls of which the record says too little to tell
	Refusals []Refusal // most calls first
	Others   int64     // calls that would fail of more operations and callers than are told apart
	// Complete is whether all calls were looked at; if not, After is where to go on.
	Complete bool
	After    int64
	Reached  time.Time // of the latest call that was looked at
}

// maxRefusals is how many operations, callers and reasons a replay tells apart.
const maxRefusals = 500

// replayer judges one call after the other; what it keeps is bounded.
type replayer struct {
	was, then *World
	pairs     map[postern.KeyID]*pair
	shift     time.Duration
	out       Replay
	groups    map[group]*Refusal
}

// pair judges the calls of one key, by what it is and by what is proposed.
type pair struct{ now, then judge }

type group struct {
	Op
	key       postern.KeyID
	method    string
	reason    postern.Reason
	missing   string
	ip, agent string
}

// judge decides about recorded calls by some settings.
type judge struct {
	world *World
	cred  postern.Credential
	facts postern.Facts
}

func newJudge(w *World, s Settings) judge {
	w = w.with(s.Scopes)
	j := judge{world: w, cred: postern.Credential{Kind: kind, ExpiresAt: postern.ToMicros(s.ExpiresAt)}}
	j.facts = postern.Facts{Networks: s.Networks, Held: w.held(s.Scopes)}
	return j
}

// need finds what a call needs here: by its path, as the call would be matched
// today, or by its name where the record of the path isn't enough.
func (j *judge) need(was *World, a *postern.Activity) (need *postern.Need, reason postern.Reason, ok bool) {
	if a.Operation == "" {
		var way postern.AllOf
		way.Kinds = postern.AllKinds
		// What was asked for and let through is what it needs.
		j.world = j.world.with(a.Used)
		for _, s := range a.Used {
			way.Scopes = append(way.Scopes, j.world.ids[s])
		}
		slices.Sort(way.Scopes)
		return &postern.Need{Any: []postern.AllOf{way}}, 0, true
	}
	if old := was.upstreams[a.Upstream]; old != nil {
		if op, _ := old.Match(a.Method, a.Path); op != nil && op.Name == a.Operation {
			m := j.world.upstreams[a.Upstream]
			if m == nil {
				return nil, postern.ReasonUnknownOperation, true
			}
			op, result := m.Match(a.Method, a.Path)
			switch result {
			case catalog.Found:
				return &op.Need, 0, true
			case catalog.NoMethod:
				return nil, postern.ReasonMethodNotAllowed, true
			}
			return nil, postern.ReasonUnknownOperation, true
		}
	}
	if list := j.world.ops[Op{a.Upstream, a.Operation}]; len(list) == 1 {
		return list[0], 0, true
	}
	return nil, 0, false
}

// decide gives the reason that a recorded call would meet, by the rule that every call is decided by.
func (j *judge) decide(was *World, a *postern.Activity, at time.Time) (reason postern.Reason, missing []postern.Scope, ok bool) {
	need, reason, ok := j.need(was, a)
	if !ok {
		return 0, nil, false
	}
	f := j.facts
	f.Need, f.Now = need, postern.ToMicros(at)
	f.RemoteIP, _ = netip.ParseAddr(a.IP)
	if need == nil {
		// What the catalog doesn't have is refused to whoever would be let in.
		f.Need = &postern.Need{Any: []postern.AllOf{{Kinds: postern.AllKinds}}}
	}
	got, _, miss := postern.Decide(&j.cred, &f)
	if need == nil && got == postern.ReasonAllowed {
		got = reason
	}
	return got, j.world.scopes(miss), true
}

func newReplayer(was, then *World, shift time.Duration) *replayer {
	return &replayer{was: was, then: then, pairs: map[postern.KeyID]*pair{}, shift: shift, groups: map[group]*Refusal{}}
}

// add has the calls of a key judged.
func (r *replayer) add(key postern.KeyID, is, will Settings) {
	r.pairs[key] = &pair{newJudge(r.was, is), newJudge(r.then, will)}
}

// look judges one call.
func (r *replayer) look(a *postern.Activity) {
	p := r.pairs[a.KeyID]
	if p == nil {
		return
	}
	o := &r.out
	o.Looked, o.Reached = o.Looked+1, later(o.Reached, a.At)
	if !a.Allowed {
		o.Refused++
		return
	}
	at := a.At.Add(r.shift)
	before, _, ok := p.now.decide(r.was, a, at)
	after, missing, sure := p.then.decide(r.was, a, at)
	switch {
	case !ok || !sure:
		o.Unjudged++
	case !lets(before):
		o.Already++
	case !lets(after):
		o.Fails++
		r.note(a, after, missing)
	}
}

func lets(r postern.Reason) bool { return r == postern.ReasonAllowed || r == postern.ReasonPublic }

func (r *replayer) note(a *postern.Activity, reason postern.Reason, missing []postern.Scope) {
	k := group{Op{a.Upstream, a.Operation}, a.KeyID, a.Method, reason, names(missing), a.IP, a.UserAgent}
	g := r.groups[k]
	if g == nil {
		if len(r.groups) >= maxRefusals {
			r.out.Others++
			return
		}
		g = &Refusal{Key: a.KeyID, Upstream: a.Upstream, Operation: a.Operation, Method: a.Method, Reason: reason, Missing: missing, IP: a.IP, UserAgent: a.UserAgent, First: a.At}
		r.groups[k] = g
	}
	g.Calls++
	if a.At.Before(g.First) {
		g.First = a.At
	}
	g.Last = later(g.Last, a.At)
}

func (r *replayer) result() *Replay {
	out := r.out
	for _, g := range r.groups {
		out.Refusals = append(out.Refusals, *g)
	}
	SortRefusals(out.Refusals)
	return &out
}

// SortRefusals puts those with most calls first.
func SortRefusals(list []Refusal) {
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.IP, b.IP), cmp.Compare(a.UserAgent, b.UserAgent), cmp.Compare(a.Reason, b.Reason))
	})
}
