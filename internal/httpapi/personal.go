package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

type personalOutput struct{ Body api.Page[api.PersonalKey] }

func (s *server) listPersonalKeys(ctx context.Context, _ *empty) (*personalOutput, error) {
	me := by(ctx)
	keys, err := s.kr.PersonalKeys(ctx, me)
	if err != nil {
		return nil, err
	}
	ids := make([]postern.KeyID, len(keys))
	for i := range keys {
		ids[i] = keys[i].Key
	}
	uses, err := s.activity.LastUsed(ctx, me.AccountID, ids)
	if err != nil {
		return nil, err
	}
	out := &personalOutput{api.Page[api.PersonalKey]{Items: make([]api.PersonalKey, len(keys))}}
	for i := range keys {
		out.Body.Items[i] = personalJSON(&keys[i], uses[keys[i].Key], me.KeyID)
	}
	return out, nil
}

type createPersonalInput struct{ Body api.NewPersonalKey }

type madePersonalOutput struct{ Body api.MadePersonalKey }

func (s *server) createPersonalKey(ctx context.Context, in *createPersonalInput) (*madePersonalOutput, error) {
	me := by(ctx)
	made, err := s.kr.CreatePersonalKey(ctx, me, keyring.NewPersonalKey{Name: in.Body.Name, Scopes: list[postern.Scope](in.Body.Scopes), ExpiresAt: cut(in.Body.ExpiresAt)})
	if err != nil {
		return nil, err
	}
	return &madePersonalOutput{api.MadePersonalKey{PersonalKey: personalJSON(&made.Key, postern.LastUse{}, me.KeyID), Secret: made.Secret.Reveal()}}, nil
}

type personalInput struct {
	ID string `path:"id" maxLength:"64" doc:"The key ID."`
}

func (s *server) revokePersonalKey(ctx context.Context, in *personalInput) (*empty, error) {
	return nil, s.kr.RevokePersonalKey(ctx, by(ctx), postern.KeyID(in.ID))
}
