package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern/api"
)

const keysPath = "/v1/service-keys"

// KeyQuery narrows a list of service keys. What is zero narrows nothing.
type KeyQuery struct {
	Name        string // a part of the name, whatever its case
	Scope       string
	State       string // one of api's State constants
	MadeBy      string // a member's id
	Flagged     bool
	UsedSince   time.Time
	UnusedSince time.Time // never used ones too
	Paging
}

// ServiceKeys reads a page of the account's service keys, newest first.
func (c *Client) ServiceKeys(ctx context.Context, f KeyQuery) (page api.Page[api.ServiceKey], err error) {
	q := query{}
	q.text("name", f.Name)
	q.text("scope", f.Scope)
	q.text("state", f.State)
	q.text("madeBy", f.MadeBy)
	q.yes("flagged", f.Flagged)
	q.time("usedSince", f.UsedSince)
	q.time("unusedSince", f.UnusedSince)
	f.Paging.into(q)
	return page, c.call(ctx, http.MethodGet, keysPath, url.Values(q), nil, &page)
}

// EachServiceKey goes through all service keys that pass a query.
func (c *Client) EachServiceKey(ctx context.Context, f KeyQuery) iter.Seq2[api.ServiceKey, error] {
	return each(ctx, f.Paging, func(ctx context.Context, p Paging) (api.Page[api.ServiceKey], error) {
		f.Paging = p
		return c.ServiceKeys(ctx, f)
	})
}

// ServiceKey reads a service key.
func (c *Client) ServiceKey(ctx context.Context, id string) (k api.ServiceKey, err error) {
	return k, c.call(ctx, http.MethodGet, keyPath(id), nil, nil, &k)
}

// ServiceKeyNamed finds the live service key of a name.
func (c *Client) ServiceKeyNamed(ctx context.Context, name string) (api.ServiceKey, error) {
	for k, err := range c.EachServiceKey(ctx, KeyQuery{Name: name, Paging: Paging{Limit: 200}}) {
		if err != nil {
			return api.ServiceKey{}, err
		}
		if k.Name == name && k.State != api.StateEnded {
			return k, nil
		}
	}
	return api.ServiceKey{}, &Error{Status: http.StatusNotFound, Code: "not_found", RetryAfter: -1,
		Message: fmt.Sprintf("There is no live service key named %q.", strings.TrimSpace(name))}
}

// CreateServiceKey makes a service key. Its secret is in the answer, this once.
func (c *Client) CreateServiceKey(ctx context.Context, in api.NewServiceKey, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keysPath, nil, in, &k, opts...)
}

// EditServiceKey changes a service key.
func (c *Client) EditServiceKey(ctx context.Context, id string, in api.EditServiceKey, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPatch, keyPath(id), nil, in, &k, opts...)
}

// PauseServiceKey makes a service key stop working until it is resumed.
func (c *Client) PauseServiceKey(ctx context.Context, id string, opts ...RequestOption) (api.ChangedKey, error) {
	yes := true
	return c.EditServiceKey(ctx, id, api.EditServiceKey{Paused: &yes}, opts...)
}

// ResumeServiceKey lets a paused service key work again.
func (c *Client) ResumeServiceKey(ctx context.Context, id string, opts ...RequestOption) (api.ChangedKey, error) {
	no := false
	return c.EditServiceKey(ctx, id, api.EditServiceKey{Paused: &no}, opts...)
}

// RotateServiceKey gives a service key a new secret, which is in the answer, this once.
func (c *Client) RotateServiceKey(ctx context.Context, id string, in api.Rotate, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/rotate", nil, in, &k, opts...)
}

// FinishRotation ends the secret before the newest one now.
func (c *Client) FinishRotation(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/rotation/finish", nil, nil, &k, opts...)
}

// CancelRotation voids the newest secret; the one before it stays.
func (c *Client) CancelRotation(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/rotation/cancel", nil, nil, &k, opts...)
}

// RevokeServiceKey ends a service key for good. The answer's receipt says where that is in force.
func (c *Client) RevokeServiceKey(ctx context.Context, id, reason string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/revoke", nil, api.Revoke{Reason: reason}, &k, opts...)
}

// DeleteServiceKey revokes a service key and takes it off the lists.
func (c *Client) DeleteServiceKey(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodDelete, keyPath(id), nil, nil, &k, opts...)
}

// Receipt asks again where the latest change of a service key is in force.
func (c *Client) Receipt(ctx context.Context, id string) (r api.Receipt, err error) {
	return r, c.call(ctx, http.MethodGet, keyPath(id)+"/receipt", nil, nil, &r)
}

func keyPath(id string) string { return keysPath + "/" + segment(id) }

// ScopeQuery narrows the list of scopes. What is zero narrows nothing.
type ScopeQuery struct {
	Q         string // a part of the name, the group or the words
	Upstream  string
	Group     string
	Grantable *bool
	Paging
}

// Scopes reads a page of the scopes that the catalogs declare, by name.
func (c *Client) Scopes(ctx context.Context, f ScopeQuery) (page api.Page[api.Scope], err error) {
	q := query{}
	q.text("q", f.Q)
	q.text("upstream", f.Upstream)
	q.text("group", f.Group)
	q.maybe("grantable", f.Grantable)
	f.Paging.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/scopes", url.Values(q), nil, &page)
}

// EachScope goes through all scopes that pass a query.
func (c *Client) EachScope(ctx context.Context, f ScopeQuery) iter.Seq2[api.Scope, error] {
	return each(ctx, f.Paging, func(ctx context.Context, p Paging) (api.Page[api.Scope], error) {
		f.Paging = p
		return c.Scopes(ctx, f)
	})
}
