package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

// Rotation tells how the change of a service key's secret stands, and who still uses the old one.
func (c *Client) Rotation(ctx context.Context, id string) (r api.Rotation, err error) {
	return r, c.call(ctx, http.MethodGet, keyPath(id)+"/rotation", nil, nil, &r)
}

// ExtendRotation lets the secret before the newest one work for longer.
func (c *Client) ExtendRotation(ctx context.Context, id string, in api.Extend, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/rotation/extend", nil, in, &k, opts...)
}

// TripQuery narrows the tripwires that were touched. What is zero narrows nothing.
type TripQuery struct {
	Key string
	Paging
}

// Trips reads a page of the tripwires that were touched, newest first.
func (c *Client) Trips(ctx context.Context, f TripQuery) (page api.Page[api.Trip], err error) {
	q := query{}
	q.text("key", f.Key)
	f.Paging.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/tripwires", url.Values(q), nil, &page)
}

// Policy reads what the account asks of its keys.
func (c *Client) Policy(ctx context.Context) (p api.Policy, err error) {
	return p, c.call(ctx, http.MethodGet, "/v1/policy", nil, nil, &p)
}

// EditPolicy changes what the account asks of its keys.
func (c *Client) EditPolicy(ctx context.Context, in api.EditPolicy, opts ...RequestOption) (p api.Policy, err error) {
	return p, c.call(ctx, http.MethodPatch, "/v1/policy", nil, in, &p, opts...)
}

// EachTrip goes through all tripwires that were touched, newest first.
func (c *Client) EachTrip(ctx context.Context, f TripQuery) iter.Seq2[api.Trip, error] {
	return each(ctx, f.Paging, func(ctx context.Context, p Paging) (api.Page[api.Trip], error) {
		f.Paging = p
		return c.Trips(ctx, f)
	})
}
