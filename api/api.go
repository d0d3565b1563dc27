// Package api is the JSON of Postern's HTTP API: what its requests and answers
// hold. The server writes it, and the client package reads it.
//
// Members are lowerCamelCase, enumerated values snake_case, times RFC 3339 in
// UTC. What a thing doesn't have is left out: a key without expiresAt never
// expires. A request that changes something leaves out what shall stay as it is,
// and says null for what shall be none.
package api

import (
	"bytes"
	"encoding/json"
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false" doc:"The items of this page."`
	// NextCursor asks for the page after this one; empty where this is the last.
	NextCursor string `json:"nextCursor,omitempty" doc:"Give this as cursor to get the next page. Left out on the last page."`
}

// Optional is a member of a change: left out (the zero Optional), null, or a value.
type Optional[T any] struct {
	set   bool
	value *T
}

// Set is a value to change to.
func Set[T any](v T) Optional[T] { return Optional[T]{set: true, value: &v} }

// None is null: what was there shall be there no longer.
func None[T any]() Optional[T] { return Optional[T]{set: true} }

// IsZero reports whether the member is left out.
func (o Optional[T]) IsZero() bool { return !o.set }

// Get gives the value, the zero one for null, and whether the member was there at all.
func (o Optional[T]) Get() (v T, ok bool) {
	if o.value != nil {
		v = *o.value
	}
	return v, o.set
}

// Null reports whether the member is null.
func (o Optional[T]) Null() bool { return o.set && o.value == nil }

// MarshalJSON writes the value, or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.value) }

// UnmarshalJSON reads a value, or null.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.set, o.value = true, nil
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	return json.Unmarshal(b, &o.value)
}
