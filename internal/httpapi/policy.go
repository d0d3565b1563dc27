package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
)

type policyOutput struct {
	ETag string `header:"ETag"`
	Body api.Policy
}

func (s *server) readPolicy(ctx context.Context, _ *empty) (*policyOutput, error) {
	p, err := s.kr.Policy(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	return &policyOutput{etag(p.Revision), policyJSON(&p)}, nil
}

type editPolicyInput struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that you saw. If it is another by now, the answer is 412 and nothing changes; left out, or *: whatever it is."`
	Body    api.EditPolicy
}

func (s *server) editPolicy(ctx context.Context, in *editPolicyInput) (*policyOutput, error) {
	revision := int64(-1)
	if in.IfMatch != `"0"` { // of a policy that nobody ever set
		n, err := ifMatch(in.IfMatch)
		if err != nil {
			return nil, err
		}
		revision = n
	}
	p, err := s.kr.Policy(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	if b := &in.Body; p.Altered && (b.RequireExpiry == nil || b.LongestLife == nil || b.WriteNetworks == nil) {
		// Nothing of it is believed, and what is left out must not be taken for no.
		return nil, postern.Errorf(postern.CodeConflict, "The account's security policy was altered outside of Postern. Say requireExpiry, longestLife and writeNetworks anew, all three.")
	}
	switch revision {
	case 0: // whatever it is
	case -1:
		p.Revision = 0
	default:
		p.Revision = revision
	}
	b := &in.Body
	change(&p.RequireExpiry, b.RequireExpiry)
	change(&p.LongestLife, b.LongestLife)
	change(&p.WriteNetworks, b.WriteNetworks)
	change(&p.RemindExpiry, b.RemindExpiry)
	change(&p.RemindAge, b.RemindAge)
	change(&p.IdleAfter, b.IdleAfter)
	if b.Tripwires != nil {
		editTripwires(&p.Tripwires, b.Tripwires)
	}
	if b.Leaks != nil {
		change(&p.Leaks.FindersEnd, b.Leaks.FindersEnd)
		if b.Leaks.Do != nil {
			p.Leaks.Do = postern.LeakAction(*b.Leaks.Do)
		}
	}
	if p, err = s.kr.SetPolicy(ctx, by(ctx), p); err != nil {
		return nil, err
	}
	return &policyOutput{etag(p.Revision), policyJSON(&p)}, nil
}

// change sets what is given.
func change[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func editTripwires(t *postern.Tripwires, b *api.EditTripwires) {
	for _, f := range []struct {
		to   *postern.TripAction
		from *string
	}{{&t.Retired, b.RetiredSecret}, {&t.Far, b.FarNetworks}, {&t.Canary, b.Canary}, {&t.Refused, b.Refusals}} {
		if f.from != nil {
			*f.to = postern.TripAction(*f.from)
		}
	}
	change(&t.FarMinutes, b.FarMinutes)
	change(&t.FarFleet, b.FarFleet)
	change(&t.FarLearnHours, b.FarLearnHours)
	change(&t.RefusedCalls, b.RefusedCalls)
	change(&t.RefusedMinutes, b.RefusedMinutes)
	change(&t.RefusedPercent, b.RefusedPercent)
}

func policyJSON(p *postern.Policy) api.Policy {
	t := &p.Tripwires
	out := api.Policy{RequireExpiry: p.RequireExpiry, LongestLife: p.LongestLife, WriteNetworks: p.WriteNetworks, RemindExpiry: p.RemindExpiry,
		RemindAge: p.RemindAge, IdleAfter: p.IdleAfter, ChangedAt: p.ChangedAt, ChangedBy: string(p.ChangedBy), Altered: p.Altered, Revision: p.Revision,
		Tripwires: api.Tripwires{RetiredSecret: string(t.Retired), FarNetworks: string(t.Far), Canary: string(t.Canary), Refusals: string(t.Refused),
			FarMinutes: t.FarMinutes, FarFleet: t.FarFleet, FarLearnHours: t.FarLearnHours,
			RefusedCalls: t.RefusedCalls, RefusedMinutes: t.RefusedMinutes, RefusedPercent: t.RefusedPercent}}
	out.Leaks = api.LeakPolicy{Do: string(p.Leaks.Do), FindersEnd: p.Leaks.FindersEnd}
	if out.RemindExpiry == nil {
		out.RemindExpiry = []int{}
	}
	return out
}
