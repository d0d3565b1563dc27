package advice

import (
	"context"
	"errors"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// Shadow judges the recorded calls of one credential, of whatever kind, by the
// settings of a service key that is to take its place: what would break, before it does.
func (s *Service) Shadow(ctx context.Context, by postern.Actor, old postern.KeyID, will Settings, sp Span) (*Replay, error) {
	g, err := s.ground(ctx, by, "")
	if err != nil {
		return nil, err
	}
	if err := sp.check(g.now); err != nil {
		return nil, err
	}
	r := newReplayer(g.world, g.world, 0)
	then := newJudge(g.world, will)
	stop, n := time.Now().Add(sp.Within), 0
	r.out.From, r.out.To, r.out.After = sp.From, sp.To, sp.After
	err = s.log.EachAfter(ctx, activity.Filter{Account: by.AccountID, Key: old, Since: sp.From, Until: sp.To}, sp.After, func(a *postern.Activity) error {
		if n++; n%256 == 0 && time.Now().After(stop) {
			return errTime
		}
		r.shadow(a, &then, g.now)
		r.out.After = a.Seq
		return nil
	})
	r.out.Complete = err == nil
	if err != nil && !errors.Is(err, errTime) {
		return nil, err
	}
	return r.result(), nil
}

// shadow judges one call that another credential made.
func (r *replayer) shadow(a *postern.Activity, then *judge, at time.Time) {
	o := &r.out
	o.Looked, o.Reached = o.Looked+1, later(o.Reached, a.At)
	if !a.Allowed {
		o.Refused++
		return
	}
	switch reason, missing, ok := then.decide(r.was, a, at); {
	case !ok:
		o.Unjudged++
	case !lets(reason):
		o.Fails++
		r.note(a, reason, missing)
	}
}
