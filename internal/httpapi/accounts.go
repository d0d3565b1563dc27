package httpapi

import (
	"context"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/keyring"
)

type accountOutput struct{ Body api.Account }

type accountsOutput struct{ Body api.Page[api.Account] }

func (s *server) readAccount(ctx context.Context, _ *empty) (*accountOutput, error) {
	a, err := s.kr.Account(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	return &accountOutput{accountJSON(&a)}, nil
}

type editAccountInput struct{ Body api.EditAccount }

func (s *server) editAccount(ctx context.Context, in *editAccountInput) (*accountOutput, error) {
	return s.changeAccount(ctx, by(ctx).AccountID, &in.Body)
}

type editAnyAccountInput struct {
	ID   string `path:"id" maxLength:"64" doc:"The account's id."`
	Body api.EditAccount
}

func (s *server) editAnyAccount(ctx context.Context, in *editAnyAccountInput) (*accountOutput, error) {
	return s.changeAccount(ctx, postern.AccountID(in.ID), &in.Body)
}

func (s *server) changeAccount(ctx context.Context, id postern.AccountID, b *api.EditAccount) (*accountOutput, error) {
	a, err := s.kr.EditAccount(ctx, by(ctx), id, keyring.AccountEdit{Name: b.Name, TimeZone: b.TimeZone, DailyLimit: b.DailyLimit, Suspended: b.Suspended})
	if err != nil {
		return nil, err
	}
	return &accountOutput{accountJSON(&a)}, nil
}

func (s *server) listAccounts(ctx context.Context, _ *empty) (*accountsOutput, error) {
	all, err := s.kr.Accounts(ctx, by(ctx))
	if err != nil {
		return nil, err
	}
	out := &accountsOutput{api.Page[api.Account]{Items: make([]api.Account, len(all))}}
	for i := range all {
		out.Body.Items[i] = accountJSON(&all[i])
	}
	return out, nil
}

type createAccountInput struct{ Body api.NewAccount }

type madeAccountOutput struct{ Body api.MadeAccount }

func (s *server) createAccount(ctx context.Context, in *createAccountInput) (*madeAccountOutput, error) {
	b := &in.Body
	a, inv, err := s.kr.CreateAccount(ctx, by(ctx), keyring.NewAccount{Name: b.Name, TimeZone: b.TimeZone, DailyLimit: b.DailyLimit, AdminEmail: b.AdminEmail, AdminName: b.AdminName})
	if err != nil {
		return nil, err
	}
	return &madeAccountOutput{api.MadeAccount{Account: accountJSON(&a), Invited: s.invitedJSON(&inv)}}, nil
}
