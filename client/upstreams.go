package client

import (
	"context"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

const upstreamsPath = "/v1/upstreams"

// Upstreams lists the APIs behind Postern.
func (c *Client) Upstreams(ctx context.Context) ([]api.Upstream, error) {
	return list[api.Upstream](ctx, c, upstreamsPath)
}

// PutUpstream adds an upstream, or changes all of one.
func (c *Client) PutUpstream(ctx context.Context, id string, in api.UpstreamSettings) (u api.Upstream, err error) {
	return u, c.call(ctx, http.MethodPut, upstreamPath(id), nil, in, &u)
}

// DeleteUpstream removes an upstream: its calls are refused from then on.
func (c *Client) DeleteUpstream(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, upstreamPath(id), nil, nil, nil)
}

// LoadCatalog puts OpenAPI documents in force as an upstream's catalog, or tells what that would do.
func (c *Client) LoadCatalog(ctx context.Context, upstream string, in api.CatalogLoad) (out api.CatalogLoaded, err error) {
	return out, c.call(ctx, http.MethodPost, upstreamPath(upstream)+"/catalog", nil, in, &out)
}

// Catalog reads a version of an upstream's catalog, or with 0 the one in force.
func (c *Client) Catalog(ctx context.Context, upstream string, version int64) (out api.Catalog, err error) {
	q := query{}
	q.number("version", version)
	return out, c.call(ctx, http.MethodGet, upstreamPath(upstream)+"/catalog", url.Values(q), nil, &out)
}

// CatalogVersions lists the versions of an upstream's catalog, newest first.
func (c *Client) CatalogVersions(ctx context.Context, upstream string) ([]api.CatalogVersion, error) {
	return list[api.CatalogVersion](ctx, c, upstreamPath(upstream)+"/catalog/versions")
}

func upstreamPath(id string) string { return upstreamsPath + "/" + segment(id) }
