package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"postern.dev/postern/api"
)

// AuditKeys reads what the audit log's checkpoints are verified with.
func (c *Client) AuditKeys(ctx context.Context) (k api.AuditKeys, err error) {
	return k, c.call(ctx, http.MethodGet, "/v1/audit/key", nil, nil, &k)
}

// AuditCheckpoints reads a page of the audit log's signed checkpoints, newest first.
func (c *Client) AuditCheckpoints(ctx context.Context, p Paging) (page api.Page[api.AuditCheckpoint], err error) {
	q := query{}
	p.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/audit/checkpoints", url.Values(q), nil, &page)
}

// AuditCheckpoint reads the newest checkpoint.
func (c *Client) AuditCheckpoint(ctx context.Context) (p api.AuditCheckpoint, err error) {
	return p, c.call(ctx, http.MethodGet, "/v1/audit/checkpoints/latest", nil, nil, &p)
}

// AuditProof reads the proof that an entry is in the tree of the first size
// entries; 0: of those that the newest checkpoint is over.
func (c *Client) AuditProof(ctx context.Context, seq, size int64) (p api.AuditProof, err error) {
	q := query{}
	q.number("size", size)
	return p, c.call(ctx, http.MethodGet, "/v1/audit/"+strconv.FormatInt(seq, 10)+"/proof", url.Values(q), nil, &p)
}

// AuditConsistency reads the proof that the first to entries hold the first from as they were.
func (c *Client) AuditConsistency(ctx context.Context, from, to int64) (p api.AuditConsistency, err error) {
	q := query{}
	q.number("from", from)
	q.number("to", to)
	return p, c.call(ctx, http.MethodGet, "/v1/audit/consistency", url.Values(q), nil, &p)
}

// ExportAudit writes the account's audit log, oldest first, as the server streams
// it, and says how many entries there were and which was the last.
func (c *Client) ExportAudit(ctx context.Context, w io.Writer, format string, after int64, f AuditQuery) (entries, last int64, err error) {
	q := query{}
	q.text("format", format)
	q.number("after", after)
	q.text("action", f.Action)
	q.text("object", f.Object)
	q.text("actor", f.Actor)
	q.text("result", f.Result)
	q.time("since", f.Since)
	q.time("until", f.Until)
	const path = "/v1/audit/export"
	u := *c.base
	u.Path += path
	u.RawQuery = url.Values(q).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, 0, fmt.Errorf("client: GET %s: can't make the request", path)
	}
	req.Header.Set("User-Agent", c.agent)
	if s := c.secret(); s != "" && printable(s) {
		req.Header.Set("Authorization", "Bearer "+s)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return 0, 0, fmt.Errorf("client: GET %s: %w", path, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
		return 0, 0, errorOf(&request{method: http.MethodGet, path: path}, res, kind, body)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return 0, 0, fmt.Errorf("client: GET %s: %w", path, err)
	}
	entries, err1 := strconv.ParseInt(res.Trailer.Get("Postern-Entries"), 10, 64)
	last, err2 := strconv.ParseInt(res.Trailer.Get("Postern-Last-Entry"), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("client: GET %s: the server ended the export before its end", path)
	}
	return entries, last, nil
}
