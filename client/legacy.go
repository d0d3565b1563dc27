package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"postern.dev/postern/api"
)

// LegacyQuery narrows a list of imported credentials. Zero members narrow nothing.
type LegacyQuery struct {
	Name   string
	State  string
	Kind   string
	Import string
	Weak   bool
	Paging
}

// LegacyCredentials reads a page of the account's imported credentials, newest first.
func (c *Client) LegacyCredentials(ctx context.Context, in LegacyQuery) (page api.Page[api.LegacyCredential], err error) {
	q := query{}
	q.text("name", in.Name)
	q.text("state", in.State)
	q.text("kind", in.Kind)
	q.text("import", in.Import)
	q.yes("weak", in.Weak)
	in.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/legacy-credentials", url.Values(q), nil, &page)
}

// EachLegacyCredential goes through all of them, newest first.
func (c *Client) EachLegacyCredential(ctx context.Context, in LegacyQuery) iter.Seq2[api.LegacyCredential, error] {
	return each(ctx, in.Paging, func(ctx context.Context, p Paging) (api.Page[api.LegacyCredential], error) {
		in.Paging = p
		return c.LegacyCredentials(ctx, in)
	})
}

// LegacyCredential reads one.
func (c *Client) LegacyCredential(ctx context.Context, id string) (out api.LegacyCredential, err error) {
	return out, c.call(ctx, http.MethodGet, "/v1/legacy-credentials/"+segment(id), nil, nil, &out)
}

// EditLegacyCredential changes its name, its note, its sunset or its end.
func (c *Client) EditLegacyCredential(ctx context.Context, id string, in api.EditLegacy, opts ...RequestOption) (out api.ChangedLegacy, err error) {
	return out, c.call(ctx, http.MethodPatch, "/v1/legacy-credentials/"+segment(id), nil, in, &out, opts...)
}

// PauseLegacyCredential stops it until it is resumed.
func (c *Client) PauseLegacyCredential(ctx context.Context, id string) (out api.ChangedLegacy, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/legacy-credentials/"+segment(id)+"/pause", nil, nil, &out)
}

// ResumeLegacyCredential lets it work again.
func (c *Client) ResumeLegacyCredential(ctx context.Context, id string) (out api.ChangedLegacy, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/legacy-credentials/"+segment(id)+"/resume", nil, nil, &out)
}

// EndLegacyCredential ends it for good.
func (c *Client) EndLegacyCredential(ctx context.Context, id, reason string) (out api.ChangedLegacy, err error) {
	return out, c.call(ctx, http.MethodPost, "/v1/legacy-credentials/"+segment(id)+"/end", nil, api.Revoke{Reason: reason}, &out)
}

// lines is a body that is no JSON.
type lines struct {
	kind string
	data []byte
}

// ImportLegacy imports old credentials: lines of a format, "csv" or "jsonl", of
// at most 50 MiB. The same again imports nothing twice.
func (c *Client) ImportLegacy(ctx context.Context, format string, data []byte, dryRun, all bool) (out api.LegacyImport, err error) {
	q := query{}
	q.yes("dryRun", dryRun)
	if all {
		q.text("report", "all")
	}
	kind := "text/csv"
	if format == "jsonl" {
		kind = "application/jsonl"
	}
	return out, c.call(ctx, http.MethodPost, "/v1/legacy-credentials/import", url.Values(q), &lines{kind, data}, &out)
}
