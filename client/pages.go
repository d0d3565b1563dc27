package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"

	"postern.dev/postern/api"
)

// Paging says which page of a list is asked for.
type Paging struct {
	Cursor string // of the page before; empty for the first
	Limit  int    // at most 200; 0 is 50
}

func (p Paging) into(q query) {
	q.text("cursor", p.Cursor)
	q.number("limit", int64(p.Limit))
}

// each goes through all pages of a list.
func each[T any](ctx context.Context, at Paging, page func(context.Context, Paging) (api.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			p, err := page(ctx, at)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			// A server that gives the same cursor again would go on for ever.
			if p.NextCursor == "" || p.NextCursor == at.Cursor {
				return
			}
			at.Cursor = p.NextCursor
		}
	}
}

// query collects the parameters that are set.
type query url.Values

func (q query) text(name, v string) {
	if v != "" {
		url.Values(q).Set(name, v)
	}
}

func (q query) number(name string, v int64) {
	if v != 0 {
		q.text(name, strconv.FormatInt(v, 10))
	}
}

func (q query) yes(name string, v bool) {
	if v {
		q.text(name, "true")
	}
}

func (q query) maybe(name string, v *bool) {
	if v != nil {
		q.text(name, strconv.FormatBool(*v))
	}
}

func (q query) time(name string, t time.Time) {
	if !t.IsZero() {
		q.text(name, t.UTC().Format(time.RFC3339Nano))
	}
}

// segment is one segment of a path.
func segment(s string) string { return url.PathEscape(s) }
