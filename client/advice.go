package client

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"postern.dev/postern/api"
)

// Advice reads what could be better about the account's keys.
func (c *Client) Advice(ctx context.Context) (a api.AccountAdvice, err error) {
	return a, c.call(ctx, http.MethodGet, "/v1/advice", nil, nil, &a)
}

// KeyAdvice reads which scopes a key needs, and what could be better about it.
func (c *Client) KeyAdvice(ctx context.Context, id string) (a api.KeyAdvice, err error) {
	return a, c.call(ctx, http.MethodGet, keyPath(id)+"/advice", nil, nil, &a)
}

// ApplyAdvice makes the fix of advice on a key.
func (c *Client) ApplyAdvice(ctx context.Context, id, kind string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, advicePath(id, kind)+"/apply", nil, nil, &k, opts...)
}

// DismissAdvice puts advice on a key aside, or takes it up again.
func (c *Client) DismissAdvice(ctx context.Context, id, kind string, takeUp bool, opts ...RequestOption) error {
	return c.call(ctx, http.MethodPost, advicePath(id, kind)+"/dismiss", nil, api.Dismiss{TakeUp: takeUp}, nil, opts...)
}

func advicePath(id, kind string) string { return keyPath(id) + "/advice/" + url.PathEscape(kind) }

// Narrow takes something away from a key, or tries that first.
func (c *Client) Narrow(ctx context.Context, id string, in api.Narrow, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/narrow", nil, in, &k, opts...)
}

// EnforceWatch makes what is being tried on a key count.
func (c *Client) EnforceWatch(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/watch/enforce", nil, nil, &k, opts...)
}

// EndWatch ends what is being tried on a key.
func (c *Client) EndWatch(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/watch/end", nil, nil, &k, opts...)
}

// UndoNarrowing takes back a key's latest narrowing.
func (c *Client) UndoNarrowing(ctx context.Context, id string, opts ...RequestOption) (k api.ChangedKey, err error) {
	return k, c.call(ctx, http.MethodPost, keyPath(id)+"/undo", nil, nil, &k, opts...)
}

// WhatIf asks which calls a change of a key would have refused: one answer, which may not be complete.
func (c *Client) WhatIf(ctx context.Context, id string, in api.WhatIf) (r api.Replay, err error) {
	return r, c.call(ctx, http.MethodPost, keyPath(id)+"/what-if", nil, in, &r)
}

// CatalogWhatIf asks which calls of the account's keys a new catalog would refuse: one answer, which may not be complete.
func (c *Client) CatalogWhatIf(ctx context.Context, upstream string, in api.CatalogWhatIf) (r api.Replay, err error) {
	return r, c.call(ctx, http.MethodPost, "/v1/upstreams/"+url.PathEscape(upstream)+"/catalog/what-if", nil, in, &r)
}

// Watched reads what a narrowing that is being tried would have refused: one answer, which may not be complete.
func (c *Client) Watched(ctx context.Context, id string, after int64) (r api.Replay, err error) {
	q := query{}
	q.number("after", after)
	return r, c.call(ctx, http.MethodGet, keyPath(id)+"/watch", url.Values(q), nil, &r)
}

// WholeReplay asks until an answer is complete, and adds all of them up. ask gets
// where to go on; progress, where not nil, sees the sum after each answer.
func WholeReplay(ask func(after int64) (api.Replay, error), progress func(api.Replay)) (sum api.Replay, err error) {
	at := map[failingKey]int{}
	for after := int64(0); ; after = sum.Next {
		r, err := ask(after)
		if err != nil {
			return sum, err
		}
		if after == 0 {
			sum.From, sum.Until = r.From, r.Until
		}
		sum.Looked, sum.Refused, sum.Already, sum.Fails = sum.Looked+r.Looked, sum.Refused+r.Refused, sum.Already+r.Already, sum.Fails+r.Fails
		sum.Unjudged, sum.Others, sum.Complete, sum.Next = sum.Unjudged+r.Unjudged, sum.Others+r.Others, r.Complete, r.Next
		if !r.Reached.IsZero() {
			sum.Reached = r.Reached
		}
		for i := range r.Items {
			add(&sum, at, &r.Items[i])
		}
		if progress != nil {
			progress(sum)
		}
		if r.Complete || r.Next <= after {
			slices.SortStableFunc(sum.Items, func(a, b api.Failing) int { return int(b.Calls - a.Calls) })
			return sum, nil
		}
	}
}

// failingKey is what tells one group of failing calls from another.
type failingKey struct{ key, upstream, operation, method, reason, missing, ip, agent string }

// mostFailing is how many groups are told apart.
const mostFailing = 2000

func add(sum *api.Replay, at map[failingKey]int, f *api.Failing) {
	k := failingKey{f.KeyID, f.Upstream, f.Operation, f.Method, f.Reason, "", f.IP, f.UserAgent}
	for _, s := range f.MissingScopes {
		k.missing += s + " "
	}
	i, ok := at[k]
	switch {
	case !ok && len(sum.Items) >= mostFailing:
		sum.Others += f.Calls
	case !ok:
		at[k] = len(sum.Items)
		sum.Items = append(sum.Items, *f)
	default:
		to := &sum.Items[i]
		to.Calls += f.Calls
		if f.First.Before(to.First) {
			to.First = f.First
		}
		if f.Last.After(to.Last) {
			to.Last = f.Last
		}
	}
}
