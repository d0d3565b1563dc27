package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/verify"
)

// state is what is known of one request while it is served.
type state struct {
	server  *server
	call    *door.Call
	judged  bool // the call was decided on, and is recorded as activity
	w       *recorder
	route   string // the template, for logs and metrics
	actor   postern.Actor
	err     error // what the answer doesn't tell
	started time.Time
	bytesIn int64
	// Of an import, whose body is read as it comes.
	format string
	body   io.Reader
}

type stateKey struct{}

// stateOf finds the state of the request that ctx belongs to.
func stateOf(ctx context.Context) *state { return ctx.Value(stateKey{}).(*state) }

// by is the member who makes the request that ctx belongs to. Between reading
// the request and calling the keyring, huma leaves no other way to pass it on.
func by(ctx context.Context) postern.Actor { return stateOf(ctx).actor }

// recorder notes what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// counted counts what is read of a body.
type counted struct {
	io.ReadCloser
	n *int64
}

// Read counts the bytes.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	*c.n += int64(n)
	return n, err
}

// observe gives a request its state, and ends it: with a log line, figures, a
// record of activity where a decision was made, and an answer where it panicked.
func (s *server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		st := &state{server: s, w: &recorder{ResponseWriter: rw}, started: time.Now()}
		st.call = s.door.ReadOwn(r, keyring.ReservedUpstream, postern.DoorAPI)
		rw.Header().Set(door.RequestIDHeader, st.call.RequestID)
		if r.Body != nil {
			r.Body = counted{r.Body, &st.bytesIn}
		}
		r = r.WithContext(context.WithValue(r.Context(), stateKey{}, st))
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				s.finish(r, st)
				panic(p)
			}
			if p != nil {
				// The value of a panic may hold anything, a secret too: its type has to do.
				st.err = fmt.Errorf("httpapi: panic (%T)", p)
				s.log.ErrorContext(r.Context(), "a request failed", "request_id", st.call.RequestID, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
				if st.w.status == 0 {
					s.fail(st.w, st, st.err)
				}
			}
			s.finish(r, st)
		}()
		next.ServeHTTP(st.w, r)
	})
}

// finish tells of a request that has ended.
func (s *server) finish(r *http.Request, st *state) {
	took, status := time.Since(st.started), st.w.status
	if status == 0 {
		status = http.StatusOK
	}
	if st.route == "" {
		st.route = routeOf(r)
	}
	s.metrics.request(st.route, r.Method, status, took)
	if st.judged {
		s.door.Done(st.call, verify.Outcome{Status: status, Duration: took, BytesIn: st.bytesIn, BytesOut: st.w.bytes})
	}
	level := slog.LevelInfo
	if status >= 500 && r.Context().Err() == nil { // not where the client went away
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("method", methodOf(r.Method)), slog.String("route", st.route), slog.Int("status", status),
		slog.Duration("duration", took), slog.String("request_id", st.call.RequestID)}
	if st.judged {
		d := &st.call.Decision
		attrs = append(attrs, slog.String("account_id", string(d.Account)), slog.String("key_id", string(d.KeyID())),
			slog.Bool("decision", d.Allowed), slog.String("reason", d.Reason.String()))
	}
	if st.err != nil {
		attrs = append(attrs, slog.Any("err", st.err))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// routeOf is the template that a request matched: never its path, which may hold
// a set-up link.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	for i := range len(r.Pattern) {
		if r.Pattern[i] == '/' {
			return r.Pattern[i:]
		}
	}
	return r.Pattern
}

// methodOf is a method from a closed set.
func methodOf(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
