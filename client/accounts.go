package client

import (
	"context"
	"net/http"

	"postern.dev/postern/api"
)

// Setup makes the first account of a server with the secret of its set-up link.
func (c *Client) Setup(ctx context.Context, in api.Setup) (out api.Joined, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/setup", nil, in, &out)
}

// AcceptInvitation uses an invitation up and gives a personal access key.
func (c *Client) AcceptInvitation(ctx context.Context, invitation string) (out api.Joined, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/invitations/accept", nil, api.AcceptInvitation{Invitation: invitation}, &out)
}

// Account reads your account.
func (c *Client) Account(ctx context.Context) (a api.Account, err error) {
	return a, c.call(ctx, http.MethodGet, "/v1/account", nil, nil, &a)
}

// EditAccount changes your account.
func (c *Client) EditAccount(ctx context.Context, in api.EditAccount) (a api.Account, err error) {
	return a, c.call(ctx, http.MethodPatch, "/v1/account", nil, in, &a)
}

// Accounts lists all accounts of the server, for those who operate it.
func (c *Client) Accounts(ctx context.Context) ([]api.Account, error) {
	return list[api.Account](ctx, c, "/v1/accounts")
}

// CreateAccount adds an account to the server and invites its first super admin.
func (c *Client) CreateAccount(ctx context.Context, in api.NewAccount) (out api.MadeAccount, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/accounts", nil, in, &out)
}

// EditAnyAccount changes an account of the server, for those who operate it.
func (c *Client) EditAnyAccount(ctx context.Context, id string, in api.EditAccount) (a api.Account, err error) {
	return a, c.call(ctx, http.MethodPatch, "/v1/accounts/"+segment(id), nil, in, &a)
}

// Ready asks whether the server can do its work. Where it can't, err is an *Error
// of status 503 and the Health says why.
func (c *Client) Ready(ctx context.Context) (api.Health, error) {
	return c.health(ctx, "/readyz")
}

// Healthy asks whether the server runs at all.
func (c *Client) Healthy(ctx context.Context) (api.Health, error) {
	return c.health(ctx, "/healthz")
}
