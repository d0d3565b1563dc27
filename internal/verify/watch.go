package verify

import (
	"postern.dev/postern"
)

// watch is a narrowing that is tried: what it would refuse is allowed and told.
type watch struct {
	held             []postern.ScopeID
	networks         []network
	scoped, networky bool // whether there are scopes to try, and networks
}

// watchOf is a row's watch as decisions need it. What of it can't be understood
// would refuse: it is only told.
func (v *Verifier) watchOf(w *postern.Watch) *watch {
	if w == nil {
		return nil
	}
	out := &watch{scoped: w.Scopes != nil, networky: w.Networks != nil}
	if w.Scopes != nil {
		// Names that have no room are left out, as they are of what is held.
		out.held, _ = v.scopes.set(*w.Scopes)
	}
	if w.Networks != nil {
		for _, p := range *w.Networks {
			out.networks = append(out.networks, networkOf(p))
		}
	}
	return out
}

// watch keeps what is tried on a record, or forgets it. The caller holds the lock for writing.
func (s *shard) watch(c *postern.Credential, w *watch) {
	if w == nil || c.Flags&postern.FlagTampered != 0 {
		c.Flags &^= postern.FlagWatched
		delete(s.watches, c.Key)
		return
	}
	c.Flags |= postern.FlagWatched
	if s.watches == nil {
		s.watches = map[[postern.KeyIDLen]byte]*watch{}
	}
	s.watches[c.Key] = w
}

// brownout keeps when a record is refused, or forgets it. The caller holds the lock for writing.
func (s *shard) brownout(c *postern.Credential, spans []postern.Span) {
	if len(spans) == 0 || c.Flags&postern.FlagTampered != 0 {
		c.Flags &^= postern.FlagBrownouts
		delete(s.brownouts, c.Key)
		return
	}
	c.Flags |= postern.FlagBrownouts
	if s.brownouts == nil {
		s.brownouts = map[[postern.KeyIDLen]byte][]postern.Span{}
	}
	s.brownouts[c.Key] = spans
}

// tryNarrower judges an allowed call once more, by what is tried on its
// credential: in the order and by the rules of a decision that counts.
func (v *Verifier) tryNarrower(req *Request, d *postern.Decision, f *found) {
	w := f.watch
	if w.networky && !inNetworks(w.networks, req.RemoteIP) {
		d.Would = postern.ReasonAddressNotAllowed
		return
	}
	if !w.scoped {
		return
	}
	narrow := *f
	narrow.held = w.held
	try := postern.Decision{Kind: d.Kind}
	v.permit(req, &try, &narrow)
	if try.Reason != postern.ReasonAllowed {
		d.Would, d.Missing, d.NMissing = try.Reason, try.Missing, try.NMissing
	}
}
