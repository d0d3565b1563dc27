package advice

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/limit"
)

// Span says which recorded calls to replay, and how long one answer may take.
type Span struct {
	From, To time.Time
	After    int64 // where an answer that wasn't complete went on to
	Within   time.Duration
}

// MaxSpan is how far back single calls can be replayed; MaxWithin the longest that one answer takes.
const (
	MaxSpan   = 90 * day
	MaxWithin = 30 * time.Second
)

// A replay reads and decides call by call, for up to half a minute: so many run at
// once, and of one account no more than half, so that nobody keeps all others waiting.
const (
	replaysAtOnce = 4
	replaysEach   = 2
	replayWait    = 2 * time.Second // for a place
)

// enter takes a place for a replay, or says why there is none.
func (s *Service) enter(ctx context.Context, a postern.AccountID) (leave func(), err error) {
	switch leave, how := s.replays.Enter(ctx, string(a), replayWait); how {
	case limit.Entered:
		return leave, nil
	case limit.Share:
		return nil, postern.Errorf(postern.CodeRateLimited, "%d replays of your account's calls are running. Try again when one has ended.", replaysEach)
	}
	return nil, postern.Errorf(postern.CodeUnavailable, "The server is replaying calls for others. Try again in a moment.")
}

func (sp *Span) check(now time.Time) error {
	if sp.To.IsZero() || sp.To.After(now) {
		sp.To = now
	}
	if sp.From.IsZero() {
		sp.From = sp.To.AddDate(0, 0, -7)
	}
	if !sp.From.Before(sp.To) || sp.To.Sub(sp.From) > MaxSpan {
		return postern.Invalidf("days", "Calls of 1 to %d days can be replayed.", int(MaxSpan/day))
	}
	if sp.Within <= 0 {
		sp.Within = time.Second
	}
	sp.Within = min(sp.Within, MaxWithin)
	return nil
}

// WhatIf replays the recorded calls of a key, or of every key of the account
// where none is named, against a proposal.
func (s *Service) WhatIf(ctx context.Context, by postern.Actor, id postern.KeyID, p *Proposal, sp Span) (*Replay, error) {
	g, err := s.ground(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if err := sp.check(g.now); err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx, by.AccountID)
	if err != nil {
		return nil, err
	}
	defer leave()
	then := g.world
	if p.Catalogs != nil {
		if then, err = NewWorld(g.instead(p.Catalogs)); err != nil {
			return nil, err
		}
	}
	r := newReplayer(g.world, then, sp.To.Sub(sp.From))
	add := func(k *postern.ServiceKey) error {
		is := SettingsOf(k)
		r.add(k.ID, is, p.Of(is))
		return nil
	}
	if id == "" {
		err = s.kr.EachKey(ctx, by, add)
	} else {
		var k postern.ServiceKey
		if k, err = s.kr.Key(ctx, by, id); err == nil {
			err = add(&k)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.stream(ctx, activity.Filter{Account: by.AccountID, Key: id, Since: sp.From, Until: sp.To}, sp, r)
}

// instead gives the catalogs in force with some in the place of those of their upstreams.
func (g *ground) instead(list []*catalog.Catalog) []*catalog.Catalog {
	out := slices.Clone(g.Catalogs)
	for _, c := range list {
		i := slices.IndexFunc(out, func(o *catalog.Catalog) bool { return o.Upstream == c.Upstream })
		if i < 0 {
			out = append(out, c)
		} else {
			out[i] = c
		}
	}
	return out
}

var errTime = errors.New("the time of one answer is over")

// stream reads calls one by one, for as long as one answer may take.
func (s *Service) stream(ctx context.Context, f activity.Filter, sp Span, r *replayer) (*Replay, error) {
	stop := time.Now().Add(sp.Within)
	n := 0
	r.out.From, r.out.To, r.out.After = f.Since, f.Until, sp.After
	err := s.log.EachAfter(ctx, f, sp.After, func(a *postern.Activity) error {
		if n++; n%256 == 0 {
			if time.Now().After(stop) {
				return errTime
			}
			if err := ctx.Err(); err != nil {
				return err // nobody waits for the answer
			}
		}
		r.look(a)
		r.out.After = a.Seq
		return nil
	})
	r.out.Complete = err == nil
	if err != nil && !errors.Is(err, errTime) {
		return nil, err
	}
	return r.result(), nil
}

// Watched tells what the narrowing that is being tried on a key would have refused since it is.
func (s *Service) Watched(ctx context.Context, by postern.Actor, id postern.KeyID, sp Span) (*Replay, error) {
	if err := s.kr.MayReadActivity(ctx, by); err != nil {
		return nil, err
	}
	k, err := s.kr.Key(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if k.Watch == nil {
		return nil, postern.Errorf(postern.CodeConflict, "Nothing is being tried on the key %q.", k.Name)
	}
	sp.From, sp.To = k.Watch.Since, s.now()
	if sp.Within <= 0 {
		sp.Within = time.Second
	}
	leave, err := s.enter(ctx, by.AccountID)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := newReplayer(nil, nil, 0)
	stop := time.Now().Add(min(sp.Within, MaxWithin))
	f := activity.Filter{Account: by.AccountID, Key: id, Since: sp.From}
	r.out.From, r.out.To, r.out.After = sp.From, sp.To, sp.After
	err = s.log.EachAfter(ctx, f, sp.After, func(a *postern.Activity) error {
		if r.out.Looked%256 == 255 {
			if time.Now().After(stop) {
				return errTime
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		r.watched(a)
		return nil
	})
	r.out.Complete = err == nil
	if err != nil && !errors.Is(err, errTime) {
		return nil, err
	}
	return r.result(), nil
}

// watched counts one call of a key on which something is tried.
func (r *replayer) watched(a *postern.Activity) {
	o := &r.out
	o.Looked, o.After, o.Reached = o.Looked+1, a.Seq, later(o.Reached, a.At)
	switch {
	case !a.Allowed:
		o.Refused++
	case a.Would != postern.ReasonNone:
		o.Fails++
		r.note(a, a.Would, a.Missing)
	}
}
