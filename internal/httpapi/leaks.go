package httpapi

import (
	"context"
	"strconv"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/store"
)

const listLeaks = "l"

type foundInput struct{ Body api.FoundSecret }

type foundOutput struct{ Body api.FoundAnswer }

func (s *server) checkFound(ctx context.Context, in *foundInput) (*foundOutput, error) {
	return s.found(ctx, in, func(secret postern.Secret, _ leaks.Place) (leaks.Found, error) { return s.cfg.Leaks.Look(ctx, secret) })
}

func (s *server) reportFound(ctx context.Context, in *foundInput) (*foundOutput, error) {
	return s.found(ctx, in, func(secret postern.Secret, at leaks.Place) (leaks.Found, error) {
		return s.cfg.Leaks.Report(ctx, secret, at)
	})
}

func (s *server) revokeFound(ctx context.Context, in *foundInput) (*foundOutput, error) {
	return s.found(ctx, in, func(secret postern.Secret, at leaks.Place) (leaks.Found, error) {
		return s.cfg.Leaks.End(ctx, secret, at)
	})
}

// found answers whoever presents a secret that was found. It is the only proof that
// is asked for: nobody has to sign in to say that something is out.
func (s *server) found(ctx context.Context, in *foundInput, do func(postern.Secret, leaks.Place) (leaks.Found, error)) (*foundOutput, error) {
	st := stateOf(ctx)
	if s.cfg.Leaks == nil {
		return nil, postern.Errorf(postern.CodeUnavailable, "This server takes no reports.")
	}
	if err := s.cfg.Leaks.Allow(st.call.RemoteIP); err != nil {
		return nil, err
	}
	from := postern.Actor{IP: st.call.RemoteIP.String(), UserAgent: clip(st.call.UserAgent, maxAgent), RequestID: st.call.RequestID}
	f, err := do(leaks.Presented(in.Body.Secret), leaks.Place{Source: postern.LeakFromFinder, URL: in.Body.URL, From: from})
	if err != nil {
		return nil, err
	}
	out := api.FoundAnswer{State: string(f.State), KeyID: string(f.Key), Kind: f.Kind.String(), Reported: f.Reported, Did: string(f.Did),
		Revoked: f.Ended, Kept: f.Kept, Detail: f.Words()}
	if f.Seq != 0 {
		out.Everywhere = s.cfg.Leaks.Settle(ctx, f.Seq)
	}
	return &foundOutput{out}, nil
}

type listLeaksInput struct {
	Key string `query:"key" maxLength:"64" doc:"A key ID."`
	Paging
}

type leaksOutput struct{ Body api.Page[api.Leak] }

func (s *server) listLeaks(ctx context.Context, in *listLeaksInput) (*leaksOutput, error) {
	at, err := readCursor(listLeaks, in.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var after store.Cursor
	if at != nil {
		if after.At, err = strconv.ParseInt(at[0], 10, 64); err != nil {
			return nil, errCursor
		}
		after.ID = at[1]
	}
	rows, err := s.kr.Leaks(ctx, by(ctx), postern.KeyID(in.Key), after, in.n()+1)
	if err != nil {
		return nil, err
	}
	out := &leaksOutput{api.Page[api.Leak]{Items: []api.Leak{}}}
	for _, l := range rows[:min(in.n(), len(rows))] {
		out.Body.Items = append(out.Body.Items, api.Leak{ID: l.ID, KeyID: string(l.Key), Kind: l.Kind.String(), Name: l.Name, Generation: l.Generation,
			LastFour: l.LastFour, Source: l.Source, URL: l.URL, Did: string(l.Did), At: l.At, Live: l.Live})
	}
	if len(rows) > in.n() {
		last := rows[in.n()-1]
		out.Body.NextCursor = writeCursor(listLeaks, strconv.FormatInt(int64(postern.ToMicros(last.At)), 10), last.ID)
	}
	return out, nil
}
