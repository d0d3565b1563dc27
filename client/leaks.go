package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

// CheckFound tells what a secret that was found can do. It needs no credential, and changes nothing.
func (c *Client) CheckFound(ctx context.Context, in api.FoundSecret) (out api.FoundAnswer, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/found-secrets/check", nil, in, &out)
}

// ReportFound tells those who look after a secret that it was found.
func (c *Client) ReportFound(ctx context.Context, in api.FoundSecret) (out api.FoundAnswer, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/found-secrets/report", nil, in, &out)
}

// RevokeFound ends a secret that was found, where its account lets finders do that, and reports it.
func (c *Client) RevokeFound(ctx context.Context, in api.FoundSecret) (out api.FoundAnswer, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/found-secrets/revoke", nil, in, &out)
}

// Leaks reads a page of the reports of secrets of the account that were found,
// newest first: those of one key where one is named.
func (c *Client) Leaks(ctx context.Context, keyID string, p Paging) (page api.Page[api.Leak], err error) {
	q := query{}
	q.text("key", keyID)
	p.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/leaks", url.Values(q), nil, &page)
}

// EachLeak goes through all reports, newest first.
func (c *Client) EachLeak(ctx context.Context, keyID string) iter.Seq2[api.Leak, error] {
	return each(ctx, Paging{}, func(ctx context.Context, p Paging) (api.Page[api.Leak], error) { return c.Leaks(ctx, keyID, p) })
}
