package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
)

type joinedOutput struct{ Body api.Joined }

type setUpInput struct{ Body api.Setup }

func (s *server) setUp(ctx context.Context, in *setUpInput) (*joinedOutput, error) {
	b := &in.Body
	done, err := s.useLink(ctx, func(from postern.Actor) (keyring.SetupDone, error) {
		return s.kr.UseSetupLink(ctx, b.Link, from, keyring.SetupInput{AccountName: b.Account, TimeZone: b.TimeZone, Email: b.Email, Name: b.Name})
	})
	if err != nil {
		return nil, err
	}
	return &joinedOutput{joinedJSON(&done)}, nil
}

type acceptInput struct{ Body api.AcceptInvitation }

func (s *server) acceptInvitation(ctx context.Context, in *acceptInput) (*joinedOutput, error) {
	done, err := s.useLink(ctx, func(from postern.Actor) (keyring.SetupDone, error) {
		return s.kr.AcceptInvitation(ctx, in.Body.Invitation, from)
	})
	if err != nil {
		return nil, err
	}
	return &joinedOutput{joinedJSON(&done)}, nil
}

// useLink uses a single-use secret. One that isn't valid counts as a refused
// credential of the address that it came from.
func (s *server) useLink(ctx context.Context, use func(postern.Actor) (keyring.SetupDone, error)) (keyring.SetupDone, error) {
	st := stateOf(ctx)
	from := limit.Network(st.call.RemoteIP)
	if s.failures.Spent(from) {
		return keyring.SetupDone{}, postern.Errorf(postern.CodeRateLimited, "Too many links that are not valid came from this address. Try again in a moment.")
	}
	done, err := use(postern.Actor{IP: st.call.RemoteIP.String(), UserAgent: clip(st.call.UserAgent, maxAgent), RequestID: st.call.RequestID})
	if postern.CodeOf(err) == postern.CodeUnauthenticated && err != nil {
		s.failures.Take(from)
	}
	return done, err
}

func joinedJSON(d *keyring.SetupDone) api.Joined {
	return api.Joined{Account: accountJSON(&d.Account), Member: memberJSON(&d.Member), Secret: d.Secret.Reveal()}
}
