package crm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxBody is the largest request body that is read.
const maxBody = 3 << 20

var (
	stringType = reflect.TypeFor[string]()
	intType    = reflect.TypeFor[int64]()
)

// body decodes the request's JSON into v. It is called after the scopes are checked.
func (c *call) body(v any) error {
	if ct := c.r.Header.Get("Content-Type"); ct != "" {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
			return newFault(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
		}
	}
	raw, err := readBody(c.r)
	if err != nil {
		return err
	}
	return decode(raw, v)
}

func readBody(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, newFault(http.StatusRequestEntityTooLarge, catValidation, "The request body is larger than %d bytes.", maxBody)
		}
		return nil, invalid("The request body could not be read.")
	}
	return raw, nil
}

// decode reads one JSON value. Unknown members are ignored.
func decode(raw []byte, v any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return invalid("Invalid input JSON on line 1, column 1: the body is empty")
	}
	// PostgreSQL can't keep the character U+0000 in text.
	if i := findNUL(raw); i >= 0 {
		return badJSON(raw, int64(i), "the character U+0000 is not accepted")
	}
	err := json.Unmarshal(raw, v)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return badJSON(raw, e.Offset, e.Error())
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		what := "Cannot deserialize value of type `" + typeWord(e.Type) + "` from " + e.Value
		if e.Field != "" {
			what += " at " + strconv.Quote(e.Field)
		}
		return badJSON(raw, e.Offset, what)
	}
	return invalid("Invalid input JSON: %s", err)
}

// badJSON names the line and column at which reading stopped.
func badJSON(raw []byte, offset int64, what string) *fault {
	at := raw[:max(0, min(int(offset), len(raw)))]
	line := 1 + bytes.Count(at, []byte("\n"))
	column := len(at) - (bytes.LastIndexByte(at, '\n') + 1)
	return invalid("Invalid input JSON on line %d, column %d: %s", line, max(1, column), what)
}

func typeWord(t reflect.Type) string {
	if t == nil {
		return "value"
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	}
	return "string"
}

// findNUL gives the place of an escaped or bare U+0000, or -1.
func findNUL(raw []byte) int {
	for i := 0; i < len(raw); i++ {
		switch {
		case raw[i] == 0:
			return i
		case raw[i] != '\\':
		case bytes.HasPrefix(raw[i+1:], []byte("u0000")):
			return i
		default:
			i++ // what is escaped, a backslash perhaps
		}
	}
	return -1
}

// query is the request's query; a broken part of it is left out.
func (c *call) query() url.Values {
	if c.values == nil {
		c.values = c.r.URL.Query()
	}
	return c.values
}

// list reads a list that clients send by repetition, joined by commas, or both.
func (c *call) list(name string) []string { return splitList(c.query()[name]) }

func splitList(values []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" && !seen[part] {
				seen[part] = true
				out = append(out, part)
			}
		}
	}
	return out
}

// flag reads a boolean, in any case; absent or empty is false.
func (c *call) flag(name string) (bool, error) {
	switch strings.ToLower(c.query().Get(name)) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, invalid("%s must be true or false.", name)
}

// int reads a whole number between lo and hi.
func (c *call) int(name string, absent, lo, hi int) (int, error) {
	s := c.query().Get(name)
	if s == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, invalid("Invalid query parameter %s: Cannot deserialize value of type `integer` from %q", name, s)
	}
	return n, between(name, n, lo, hi)
}

func between(name string, n, lo, hi int) error {
	if n < lo || n > hi {
		return invalid("%s must be between %d and %d, and is %d.", name, lo, hi, n)
	}
	return nil
}

// after reads a cursor: the id that the page begins with.
func (c *call) after() (int64, error) {
	s := c.query().Get("after")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("Invalid cursor: Cannot deserialize value of type `integer` from %q", s)
	}
	return n, nil
}

// next is the pointer to the page that begins with after, as a link that a client may follow.
func (c *call) next(after string) *paging {
	q := url.Values{}
	for k, v := range c.query() {
		q[k] = slices.Clone(v)
	}
	q.Set("after", after)
	return &paging{Next: nextPage{After: after, Link: c.base() + c.r.URL.EscapedPath() + "?" + q.Encode()}}
}

// base is the origin that the client called.
func (c *call) base() string {
	if c.r.Host == "" {
		return c.s.uiBase
	}
	scheme := "http"
	if c.r.TLS != nil || c.r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// recordID reads the id of a record as a path or a body has it.
func recordID(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n > 0
}

func formatID(id int64) string { return strconv.FormatInt(id, 10) }
