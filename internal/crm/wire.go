package crm

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// timestamp is a time in microseconds that is written as RFC 3339 in UTC with
// milliseconds, which are left out where they are zero.
type timestamp int64

// String is the time as it goes over the wire.
func (t timestamp) String() string {
	at := fromMicros(int64(t))
	if at.Nanosecond()/1e6 == 0 {
		return at.Format("2006-01-02T15:04:05Z")
	}
	return at.Format("2006-01-02T15:04:05.000Z")
}

// MarshalJSON writes the time as a JSON string.
func (t timestamp) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, t.String()), nil }

// scalar is a value that clients send as a string, a number or a boolean alike. It
// is the empty string for null.
type scalar string

// UnmarshalJSON reads any JSON scalar, a number as it was written.
func (v *scalar) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || bytes.Equal(b, []byte("null")):
		*v = ""
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = scalar(s)
	case b[0] == '{' || b[0] == '[':
		return &json.UnmarshalTypeError{Value: string(map[byte]string{'{': "object", '[': "array"}[b[0]]), Type: stringType}
	default:
		*v = scalar(b)
	}
	return nil
}

// integer is a whole number that clients send as a number or a digit string alike.
type integer struct {
	n   int64
	set bool
}

// UnmarshalJSON reads a JSON number or a string of digits; null and "" are unset.
func (v *integer) UnmarshalJSON(b []byte) error {
	var s scalar
	if err := s.UnmarshalJSON(b); err != nil {
		return err
	}
	if s == "" {
		*v = integer{}
		return nil
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "value " + strconv.Quote(string(s)), Type: intType}
	}
	*v = integer{n: n, set: true}
	return nil
}

// paging tells where the next page begins. It is left out on the last one.
type paging struct {
	Next nextPage `json:"next"`
}

type nextPage struct {
	After string `json:"after"`
	Link  string `json:"link,omitempty"`
}

// page is a part of a list.
type page struct {
	Total   *int64  `json:"total,omitempty"`
	Results any     `json:"results"`
	Paging  *paging `json:"paging,omitempty"`
}

// all is a list that is never paged.
func all[T any](list []T) page {
	if list == nil {
		list = []T{}
	}
	return page{Results: list}
}

// batch is the answer to a batch.
type batch struct {
	Status      string       `json:"status"`
	Results     any          `json:"results"`
	NumErrors   int          `json:"numErrors,omitempty"`
	Errors      []batchError `json:"errors,omitempty"`
	RequestedAt timestamp    `json:"requestedAt"`
	StartedAt   timestamp    `json:"startedAt"`
	CompletedAt timestamp    `json:"completedAt"`
}

// batchReply is the answer to a batch with its status: 207 where something went wrong.
func (c *call) batchReply(status int, results any, errs []batchError) (int, any, error) {
	if len(errs) > 0 {
		status = 207
	}
	at := timestamp(micros(c.began))
	return status, batch{Status: "COMPLETE", Results: results, NumErrors: len(errs), Errors: errs,
		RequestedAt: at, StartedAt: at, CompletedAt: timestamp(micros(c.s.now()))}, nil
}

// parseTime reads the ways in which clients write a time: milliseconds since 1970,
// or ISO 8601 with or without an offset, or a date alone.
func parseTime(s string) (time.Time, bool) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		if ms < -maxMillis || ms > maxMillis {
			return time.Time{}, false
		}
		return time.UnixMilli(ms).UTC(), true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Millisecond), true
		}
	}
	return time.Time{}, false
}

// maxMillis is the last millisecond of the year 9999, beyond which RFC 3339 has no years.
const maxMillis = 253402300799999
