package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"postern.dev/postern/api"
)

// followWait is how long one request waits for new activity.
const followWait = 25 * time.Second

// ActivityQuery narrows activity. What is zero narrows nothing.
type ActivityQuery struct {
	Key         string
	Generation  int64
	Upstream    string
	Operation   string
	Method      string
	Status      int
	StatusClass int // 4 for 400 to 499
	Reason      string
	Allowed     *bool
	WouldRefuse bool // only allowed calls that a narrowing which was being tried would have refused
	Door        string
	NotDoor     string // leaves out what came in here
	IP          string
	UserAgent   string // a part of it
	PathPrefix  string
	RequestID   string
	Scope       string // that let the call through, or that it lacked
	Since       time.Time
	Until       time.Time
	Paging
}

func (f *ActivityQuery) query() query {
	q := query{}
	q.text("key", f.Key)
	q.number("generation", f.Generation)
	q.text("upstream", f.Upstream)
	q.text("operation", f.Operation)
	q.text("method", f.Method)
	q.number("status", int64(f.Status))
	q.number("statusClass", int64(f.StatusClass))
	q.text("reason", f.Reason)
	q.maybe("allowed", f.Allowed)
	if f.WouldRefuse {
		q.text("wouldRefuse", "true")
	}
	q.text("door", f.Door)
	q.text("notDoor", f.NotDoor)
	q.text("ip", f.IP)
	q.text("userAgent", f.UserAgent)
	q.text("pathPrefix", f.PathPrefix)
	q.text("requestId", f.RequestID)
	q.text("scope", f.Scope)
	q.time("since", f.Since)
	q.time("until", f.Until)
	f.Paging.into(q)
	return q
}

// Activity reads a page of what the account's credentials did, newest first. A
// page may be short, or empty, and have a next.
func (c *Client) Activity(ctx context.Context, f ActivityQuery) (page api.Calls, err error) {
	return page, c.call(ctx, http.MethodGet, "/v1/activity", url.Values(f.query()), nil, &page)
}

// EachCall goes through all activity that passes a query, newest first.
func (c *Client) EachCall(ctx context.Context, f ActivityQuery) iter.Seq2[api.Call, error] {
	return each(ctx, f.Paging, func(ctx context.Context, p Paging) (api.Page[api.Call], error) {
		f.Paging = p
		page, err := c.Activity(ctx, f)
		return api.Page[api.Call](page), err
	})
}

// ExportCalls goes through all activity that passes a query and was written before,
// in the order of its numbers, in one request. It goes on after the call with a
// number; 0 begins. Where the connection breaks it ends with an error, and may be
// called again with the number of the last call that it gave.
func (c *Client) ExportCalls(ctx context.Context, f ActivityQuery, after int64) iter.Seq2[api.Call, error] {
	return func(yield func(api.Call, error) bool) {
		q := f.query()
		q.text("format", "jsonl")
		q.number("after", after)
		r := &request{method: http.MethodGet, path: "/v1/activity/export", query: url.Values(q), header: http.Header{}}
		var stopped error
		r.stream = func(body io.Reader) error {
			for dec := json.NewDecoder(body); ; {
				var call api.Call
				switch err := dec.Decode(&call); {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return fmt.Errorf("client: GET %s: the connection broke: %w", r.path, err)
				}
				if !yield(call, nil) {
					stopped = context.Canceled
					return stopped
				}
			}
		}
		if _, err := c.send(ctx, r, nil); err != nil && stopped == nil {
			yield(api.Call{}, err)
		}
	}
}

// Follow goes through activity as it happens, oldest first, until ctx ends. It
// starts now, or after f.Cursor where that came from an earlier Follow.
func (c *Client) Follow(ctx context.Context, f ActivityQuery) iter.Seq2[api.Call, error] {
	return func(yield func(api.Call, error) bool) {
		for ctx.Err() == nil {
			q := f.query()
			q.yes("follow", true)
			q.text("wait", followWait.String())
			var page api.Calls
			if err := c.call(ctx, http.MethodGet, "/v1/activity", url.Values(q), nil, &page); err != nil {
				if ctx.Err() == nil {
					yield(api.Call{}, err)
				}
				return
			}
			f.Cursor = page.NextCursor
			for _, call := range page.Items {
				if !yield(call, nil) {
					return
				}
			}
		}
	}
}

// AuditQuery narrows the audit log. What is zero narrows nothing.
type AuditQuery struct {
	Action string
	Object string
	Actor  string // the id of a member or a key
	Result string // ok or refused
	Since  time.Time
	Until  time.Time
	Paging
}

// Audit reads a page of the account's audit log, newest first.
func (c *Client) Audit(ctx context.Context, f AuditQuery) (page api.Page[api.AuditEntry], err error) {
	q := query{}
	q.text("action", f.Action)
	q.text("object", f.Object)
	q.text("actor", f.Actor)
	q.text("result", f.Result)
	q.time("since", f.Since)
	q.time("until", f.Until)
	f.Paging.into(q)
	return page, c.call(ctx, http.MethodGet, "/v1/audit", url.Values(q), nil, &page)
}

// EachAuditEntry goes through all audit entries that pass a query, newest first.
func (c *Client) EachAuditEntry(ctx context.Context, f AuditQuery) iter.Seq2[api.AuditEntry, error] {
	return each(ctx, f.Paging, func(ctx context.Context, p Paging) (api.Page[api.AuditEntry], error) {
		f.Paging = p
		return c.Audit(ctx, f)
	})
}

// health asks without a credential, and once: that the server can't now is an answer.
func (c *Client) health(ctx context.Context, path string) (h api.Health, err error) {
	u := *c.base
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return h, fmt.Errorf("client: GET %s: %w", path, err)
	}
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return h, fmt.Errorf("client: GET %s: %w", path, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&h); err != nil {
		return h, &Error{Status: res.StatusCode, RetryAfter: -1, Message: "The server's answer is no Postern health report. Is the address right?"}
	}
	if res.StatusCode != http.StatusOK {
		return h, &Error{Status: res.StatusCode, Code: "unavailable", RetryAfter: -1, Message: "The server can't do its work now."}
	}
	return h, nil
}
