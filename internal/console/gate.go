package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
)

// policy is the Content-Security-Policy of every page (console.md section 11).
// Scripts set text, never markup, so no Trusted Types policy is needed either.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

const defaultMaxBody = 1 << 20

// noted is an answer that was begun, with its status.
type noted struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *noted) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that an answer has begun.
func (w *noted) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *noted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type visitKey struct{}

// observe gives a request its visit, answers where it panicked, and logs it.
func (c *Console) observe(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		started, w := time.Now(), &noted{ResponseWriter: rw}
		call := c.cfg.Door.ReadOwn(r, keyring.ReservedUpstream, postern.DoorAPI)
		h := w.Header()
		h.Set(door.RequestIDHeader, call.RequestID)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=63072000")
		}
		v := &visit{c: c, w: w, id: call.RequestID, now: c.now()}
		v.by = postern.Actor{IP: addr(call), UserAgent: call.UserAgent, RequestID: call.RequestID}
		v.r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
		v.zone = zoneOf(r)
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				// The value of a panic may hold anything, a secret too: its type has to do.
				v.err = fmt.Errorf("console: panic (%T)", p)
				c.log.ErrorContext(r.Context(), "a page failed", "request_id", v.id, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
				if w.status == 0 {
					v.fail(v.err)
				}
			}
			c.finish(v, w.status, time.Since(started))
			if p == http.ErrAbortHandler {
				panic(p)
			}
		}()
		if err := cross.Check(r); err != nil {
			v.fail(postern.Errorf(postern.CodeForbidden, "A page of another site asked for this, which is refused. Open the console itself and do it there."))
			return
		}
		next.ServeHTTP(w, v.r)
	})
}

func addr(call *door.Call) string {
	if !call.RemoteIP.IsValid() {
		return ""
	}
	return call.RemoteIP.String()
}

// finish tells of a request that has ended. Never its path, which may hold a link
// that works once.
func (c *Console) finish(v *visit, status int, took time.Duration) {
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("method", methodOf(v.r.Method)), slog.String("route", v.rt.Pattern), slog.Int("status", status),
		slog.Duration("duration", took), slog.String("request_id", v.id)}
	if v.session != nil {
		attrs = append(attrs, slog.String("account_id", string(v.session.AccountID)), slog.String("member_id", string(v.session.Member.ID)))
	}
	if v.err != nil {
		attrs = append(attrs, slog.Any("err", v.err))
	}
	c.log.LogAttrs(v.r.Context(), level, "page", attrs...)
}

// methodOf is a method from a closed set: anybody may send any.
func methodOf(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// gate is what holds before a route's page: who it is, whether they may, whether
// the form is ours.
func (c *Console) gate(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := r.Context().Value(visitKey{}).(*visit)
		v.w, v.r, v.rt = w, r, rt
		w.Header().Set("Cache-Control", "private, no-cache")
		limit := rt.MaxBody
		if limit == 0 {
			limit = defaultMaxBody
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		if err := c.pass(v); err != nil {
			v.drain()
			v.fail(err)
		}
	})
}

func (c *Console) pass(v *visit) error {
	find := c.cfg.Signin.Session
	if v.rt.Quiet {
		find = c.cfg.Signin.Look
	}
	x, err := find(v.r.Context(), v.cookie(cookieSession))
	switch {
	case err == nil:
		v.enter(x)
	case errors.Is(err, postern.CodeUnauthenticated):
		if !v.rt.Public {
			return v.askWho()
		}
	case !v.rt.Public || ours(err):
		return err
	}
	return v.run()
}

// run serves a visit whose session is known.
func (v *visit) run() error {
	if err := v.permitted(); err != nil {
		return err
	}
	if v.rt.Fresh && !v.c.cfg.Signin.IsFresh(v.session) {
		return v.askAgain()
	}
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead || v.rt.Raw {
		return v.rt.Serve(v)
	}
	if v.session != nil && !v.mayWrite() {
		return postern.Errorf(postern.CodeRateLimited, "You are making more than %d changes a second. Slow down.", v.c.cfg.WritesPerSecond)
	}
	if v.rt.Streams {
		return v.runUpload()
	}
	// The visit's request is a copy, so the server doesn't remove what an upload left on disk.
	defer func() {
		if m := v.r.MultipartForm; m != nil {
			_ = m.RemoveAll()
		}
	}()
	if err := v.readForm(); err != nil {
		return err
	}
	if v.session == nil || v.rt.Anew {
		return v.rt.Serve(v) // there is nothing that a second sending could do twice
	}
	return v.answerOnce()
}

// mayWrite counts one change of the member's, and reports whether there may be one more now.
func (v *visit) mayWrite() bool { return v.c.writes.Take(string(v.session.Member.ID)) }

// permitted checks the route's permissions, and notes a refusal in the audit log.
func (v *visit) permitted() error {
	if len(v.rt.Need) == 0 || v.session == nil || slices.ContainsFunc(v.rt.Need, v.can) {
		return nil
	}
	err := denied(v.rt.Need...)
	if !v.mayWrite() {
		return err
	}
	v.c.kr.NoteRefusal(v.r.Context(), v.by, "console.visit", v.rt.Pattern, postern.Errorf(postern.CodeForbidden, "Needs %s.", v.rt.Need[0]))
	return err
}

// readForm reads a form and checks that a page of ours, shown in this session, sent it.
func (v *visit) readForm() error {
	var err error
	if strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/form-data") {
		err = v.r.ParseMultipartForm(1 << 20)
	} else {
		err = v.r.ParseForm()
	}
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return postern.Errorf(postern.CodeTooLarge, "That is more than this page takes. Send at most %s.", bytesWords(tooBig.Limit))
	}
	if err != nil {
		return postern.Errorf(postern.CodeInvalid, "The form could not be read. Go back and send it again.")
	}
	if v.session == nil {
		return nil
	}
	once, ok := v.c.checkFormToken(v.session.ID, v.r.PostForm.Get(formToken))
	if !ok {
		return postern.Errorf(postern.CodeForbidden, "This form was not made for this session. Open the page again and repeat what you did.")
	}
	v.once = once
	return nil
}

// zoneOf is the reader's time zone, which a script puts into a cookie.
func zoneOf(r *http.Request) *time.Location {
	k, err := r.Cookie(cookieZone)
	if err != nil || len(k.Value) > 64 {
		return time.UTC
	}
	name, err := url.QueryUnescape(k.Value)
	if err != nil || name == "Local" {
		return time.UTC
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return loc
}
