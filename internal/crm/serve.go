package crm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
)

// call is one request on its way through a handler.
type call struct {
	s      *Service
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	params map[string]string
	who    caller
	acct   int64
	began  time.Time
	values url.Values
}

func (c *call) ctx() context.Context { return c.r.Context() }

// typ resolves a path parameter that names an object type.
func (c *call) typ(param string) (*objectType, error) {
	return c.s.typeOf(c.ctx(), c.s.db.Read(), c.acct, c.who.number, c.params[param])
}

// dated reports whether the call came by a date-versioned path, where ids of
// associated records are strings; under v4 they are numbers.
func (c *call) dated() bool { return c.params["apiVersion"] != "" }

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	correlation := newUUID()
	w.Header().Set("X-Hubspot-Correlation-Id", correlation)
	status, body, err := s.answer(w, r)
	if err != nil {
		f := s.fault(r, err)
		f.Correlation = correlation
		maps.Copy(w.Header(), f.header)
		status, body = f.HTTP, f
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		s.log.ErrorContext(r.Context(), "crm: encode an answer", "method", r.Method, "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	text := buf.String()
	if err != nil {
		text = postern.HideSecrets(text) // errors quote what was sent, and are logged by those who get them
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// answer checks in the order that callers rely on: route, identity, rate, scope,
// and in the handler content type, body, values, existence, conflicts.
func (s *Service) answer(w http.ResponseWriter, r *http.Request) (int, any, error) {
	methods, params := s.router.find(r.URL.EscapedPath())
	if methods == nil {
		return 0, nil, newFault(http.StatusNotFound, "", "No resource answers to this path.")
	}
	rt := methods[r.Method]
	if rt == nil && r.Method == http.MethodHead {
		rt = methods[http.MethodGet]
	}
	if rt == nil {
		f := newFault(http.StatusMethodNotAllowed, "", "The method %s is not allowed here.", r.Method)
		f.header = http.Header{"Allow": {strings.Join(slices.Sorted(maps.Keys(methods)), ", ")}}
		return 0, nil, f
	}
	c := &call{s: s, w: w, r: r, route: rt, params: params, began: s.now()}
	if rt.need.public {
		return rt.serve(c)
	}
	var ok bool
	if c.who, ok = callerOf(r.Header); !ok {
		return 0, nil, s.unauthenticated()
	}
	if rt.need.search && !s.search.allow(c.who.account) {
		return 0, nil, tooManySearches()
	}
	if len(rt.need.scopes) > 0 {
		if err := c.require(rt.need.scopes); err != nil {
			return 0, nil, err
		}
	}
	if strings.ContainsRune(r.URL.RawQuery, 0) || strings.Contains(r.URL.RawQuery, "%00") {
		return 0, nil, invalid("The query holds the character U+0000, which is not accepted.")
	}
	var err error
	if c.acct, err = s.acct(c.ctx(), c.who.account); err != nil {
		return 0, nil, err
	}
	return rt.serve(c)
}

// fault turns any error into what the caller is told; what is ours is logged, once.
func (s *Service) fault(r *http.Request, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		c := *f
		return &c
	}
	switch {
	case errors.Is(err, context.Canceled):
		return newFault(http.StatusServiceUnavailable, "", "The request was canceled.")
	case errors.Is(err, context.DeadlineExceeded):
		return newFault(http.StatusGatewayTimeout, "", "The request took too long.")
	case errors.Is(err, postern.CodeStorageFull):
		return newFault(http.StatusInsufficientStorage, "", "%s", err)
	case errors.Is(err, postern.CodeUnavailable):
		return newFault(http.StatusServiceUnavailable, "", "%s", err)
	}
	// The path without its parameters: one of them may be a secret.
	s.log.ErrorContext(r.Context(), "crm: request failed", "method", r.Method, "err", err)
	return newFault(http.StatusInternalServerError, "", "Internal error")
}

// newUUID makes a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
