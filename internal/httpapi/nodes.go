package httpapi

import (
	"context"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

type nodesOutput struct{ Body api.Page[api.Node] }

func (s *server) listNodes(ctx context.Context, _ *empty) (*nodesOutput, error) {
	all, err := s.kr.Nodes(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &nodesOutput{api.Page[api.Node]{Items: make([]api.Node, len(all.List))}}
	for i := range all.List {
		out.Body.Items[i] = nodeJSON(&all, &all.List[i], s.verifier.Node())
	}
	return out, nil
}

func nodeJSON(all *keyring.Nodes, l *store.Lease, here string) api.Node {
	n := api.Node{ID: l.Node, Name: l.Name, Version: l.Version, Address: l.Address, StartedAt: l.Started.UTC(), LeaseUntil: l.Until.UTC(),
		Confirmed: l.Confirmed, Lag: max(0, all.Head-l.Confirmed), ClockOffsetMs: int64(l.Offset / time.Millisecond), Leads: l.Leads, Answers: l.Node == here}
	n.Limits, n.LimitsSince = api.NodeLimits(l.Limits), l.LimitsAt
	n.State = api.NodeState(all.State(l))
	return n
}
