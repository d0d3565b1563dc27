package verify

import (
	"context"
	"slices"

	"postern.dev/postern"
)

// Now is the time by which decisions are made: the store's.
func (v *Verifier) Now() postern.Micros { return v.storeTime(v.clock.Now()) }

// Still decides again about a call that was allowed and goes on: a stream, an
// upgraded connection. It takes nothing of any limit and counts nothing. It also
// authenticates whoever asks about others' credentials, whose own limit is for
// calls of the API and not for questions.
func (v *Verifier) Still(ctx context.Context, req *Request) (d postern.Decision) {
	defer func() {
		if p := recover(); p != nil {
			v.log.Error("a verification failed", "request_id", req.RequestID, "panic", p)
			d = postern.Decision{Reason: postern.ReasonUnavailable}
		}
	}()
	now, latest, alive := v.decidingAt(v.clock.Now())
	if !alive {
		d.Reason = postern.ReasonUnavailable
		return d
	}
	f := found{latest: latest}
	d.Reason = v.recognize(ctx, req, now, &d, &f)
	switch {
	case d.Reason == postern.ReasonAllowed && !inNetworks(f.networks, req.RemoteIP):
		d.Reason = postern.ReasonAddressNotAllowed
	case d.Reason == postern.ReasonAllowed:
		v.permit(req, &d, &f)
	}
	if d.Reason != postern.ReasonAllowed && req.Method != "" {
		if op, _ := v.routes.Load().match(req); op != nil && op.Need.Public {
			d.Reason, d.Operation = postern.ReasonPublic, &op.Operation
		}
	}
	d.Allowed = d.Reason == postern.ReasonAllowed || d.Reason == postern.ReasonPublic
	return d
}

// Admits gives the kinds of credentials that the operation of a request is open to.
func (v *Verifier) Admits(req *Request) (kinds postern.Kinds) {
	if op, _ := v.routes.Load().match(req); op != nil {
		for i := range op.Need.Any {
			kinds |= op.Need.Any[i].Kinds
		}
	}
	return kinds
}

// ScopesAt names every scope that the credential of a decision has at the
// upstream of its operation, sorted: those that it holds, those that every valid
// credential has there, and, where it holds every scope, all of that upstream's.
func (v *Verifier) ScopesAt(d *postern.Decision) []postern.Scope {
	out := v.HeldScopes(d)
	if d.Operation == nil {
		return out
	}
	if r := v.routes.Load().byID[d.Operation.Upstream]; r != nil {
		if postern.DataKinds.Has(d.Kind) {
			out = append(out, r.implicit...)
		}
		var f found
		if d.Known && v.index.find(&d.Key, &f) && f.cred.Flags&postern.FlagAllScopes != 0 {
			out = append(out, r.every...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Life says from when and until when the secret of a decision works, as things
// stand; 0 where it has no such bound.
func (v *Verifier) Life(d *postern.Decision) (from, until postern.Micros) {
	var f found
	if !d.Known || !v.index.find(&d.Key, &f) {
		return 0, 0
	}
	until = f.cred.ExpiresAt
	if d.Which == postern.WhichPrevious && (until == 0 || f.cred.PreviousUntil < until) {
		until = f.cred.PreviousUntil
	}
	return f.cred.NotBefore, until
}

// Refuse turns a decision into a refusal that the upstream made, for the record.
func (v *Verifier) Refuse(d *postern.Decision, reason postern.Reason, missing []postern.Scope) {
	d.Allowed, d.Reason, d.NMissing, d.Used = false, reason, 0, ""
	for _, s := range missing {
		if id := v.scopes.find(s); id != 0 && int(d.NMissing) < len(d.Missing) {
			d.Missing[d.NMissing] = id
			d.NMissing++
		}
	}
}
