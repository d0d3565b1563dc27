package workbench

import (
	"context"

	"postern.dev/postern"
)

// Standing is an old name of scopes with the scopes of today's catalogs that it stands for.
type Standing struct {
	ScopeName
	Now        []postern.Scope
	Everything bool // it stands for all scopes, those to come too
}

// Names is the table of old names, each with what it comes to in the catalogs in force.
func (s *Service) Names(ctx context.Context, by postern.Actor) ([]Standing, error) {
	t, err := s.Table(ctx, by)
	if err != nil {
		return nil, err
	}
	_, cats, err := s.cfg.Keyring.LegacyNames(ctx)
	if err != nil {
		return nil, err
	}
	tr := newTranslator(t, cats)
	list := t.List()
	out := make([]Standing, len(list))
	for i, n := range list {
		out[i] = Standing{ScopeName: n, Now: tr.match(n.Scopes)}
		for _, p := range n.Scopes {
			out[i].Everything = out[i].Everything || p == "*"
		}
	}
	return out, nil
}
