package client

import (
	"context"
	"net/http"

	"postern.dev/postern/api"
)

// Me tells who the presented personal access key belongs to.
func (c *Client) Me(ctx context.Context) (me api.Me, err error) {
	return me, c.call(ctx, http.MethodGet, "/v1/members/me", nil, nil, &me)
}

// Members lists the members of the account.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	return list[api.Member](ctx, c, "/v1/members")
}

// Member reads a member.
func (c *Client) Member(ctx context.Context, id string) (m api.Member, err error) {
	return m, c.call(ctx, http.MethodGet, "/v1/members/"+segment(id), nil, nil, &m)
}

// InviteMember adds a member. The invitation is in the answer, this once.
func (c *Client) InviteMember(ctx context.Context, in api.NewMember) (out api.Invited, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/members", nil, in, &out)
}

// ReinviteMember makes a new invitation for a member; the ones before it are void.
func (c *Client) ReinviteMember(ctx context.Context, id string) (out api.Invited, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/members/"+segment(id)+"/reinvite", nil, nil, &out)
}

// EditMember changes a member.
func (c *Client) EditMember(ctx context.Context, id string, in api.EditMember, opts ...RequestOption) (m api.Member, err error) {
	return m, c.call(ctx, http.MethodPatch, "/v1/members/"+segment(id), nil, in, &m, opts...)
}

// RemoveMember ends a membership.
func (c *Client) RemoveMember(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/members/"+segment(id), nil, nil, nil)
}

// Roles lists the roles that a member can have.
func (c *Client) Roles(ctx context.Context) ([]api.Role, error) {
	return list[api.Role](ctx, c, "/v1/roles")
}

// CreateRole adds a role to the account.
func (c *Client) CreateRole(ctx context.Context, in api.NewRole) (r api.Role, err error) {
	return r, c.call(ctx, http.MethodPost, "/v1/roles", nil, in, &r)
}

// EditRole changes a role that the account added.
func (c *Client) EditRole(ctx context.Context, id string, in api.EditRole, opts ...RequestOption) (r api.Role, err error) {
	return r, c.call(ctx, http.MethodPatch, "/v1/roles/"+segment(id), nil, in, &r, opts...)
}

// DeleteRole removes a role that nobody has.
func (c *Client) DeleteRole(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/roles/"+segment(id), nil, nil, nil)
}

// PersonalKeys lists your personal access keys.
func (c *Client) PersonalKeys(ctx context.Context) ([]api.PersonalKey, error) {
	return list[api.PersonalKey](ctx, c, "/v1/personal-keys")
}

// CreatePersonalKey makes a personal access key for you. Its secret is in the answer, this once.
func (c *Client) CreatePersonalKey(ctx context.Context, in api.NewPersonalKey) (k api.MadePersonalKey, err error) {
	return k, c.call(ctx, http.MethodPost, "/v1/personal-keys", nil, in, &k)
}

// RevokePersonalKey ends a personal access key.
func (c *Client) RevokePersonalKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/personal-keys/"+segment(id), nil, nil, nil)
}

// list reads a list that comes in one page.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var page api.Page[T]
	err := c.call(ctx, http.MethodGet, path, nil, nil, &page)
	return page.Items, err
}
