package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/workbench/wire"
)

// maxAgent is how much of a user agent is kept with a change.
const maxAgent = 300

// authenticate lets requests through that their credential may make, each to
// the operation that the catalog of this API has for it, with a body that was
// read whole and strictly.
func (s *server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := stateOf(r.Context())
		from := limit.Network(st.call.RemoteIP)
		if s.failures.Spent(from) {
			s.fail(w, st, postern.Errorf(postern.CodeRateLimited, "Too many refused credentials came from this address. Try again in a moment."))
			return
		}
		st.judged = true
		allowed := s.door.Judge(r.Context(), st.call)
		d := &st.call.Decision
		if d.Operation != nil {
			st.route = d.Operation.Path
		}
		if d.Known {
			st.actor = postern.Actor{AccountID: d.Account, MemberID: d.Member, KeyID: d.KeyID(), IP: st.call.RemoteIP.String(),
				UserAgent: clip(st.call.UserAgent, maxAgent), RequestID: st.call.RequestID}
		} else {
			st.actor = postern.Actor{IP: st.call.RemoteIP.String(), UserAgent: clip(st.call.UserAgent, maxAgent), RequestID: st.call.RequestID}
		}
		if !allowed {
			if st.call.StatusOf() == http.StatusUnauthorized {
				s.failures.Take(from)
			}
			s.noteRefusal(r, st)
			s.door.Refuse(w, st.call)
			return
		}
		if err := s.admit(w, r, st); err != nil {
			s.fail(w, st, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxBrackets bounds the objects and lists of an inventory before it is read: each
// takes far more room than its two bytes.
const maxBrackets = 1_000_000

// admit checks what concerns the request and not its credential, and reads the body.
func (s *server) admit(w http.ResponseWriter, r *http.Request, st *state) error {
	if changes(r) && st.actor.MemberID != "" {
		throttle := s.writes
		if isEnding(r) {
			throttle = s.endings
		}
		if !throttle.Take(string(st.actor.MemberID)) {
			return postern.Errorf(postern.CodeRateLimited, "You are making more than %d changes a second. Slow down.", s.cfg.WritesPerSecond)
		}
	}
	for name, values := range r.URL.Query() {
		if len(values) > 1 {
			return postern.Invalidf(fieldName(name), "This query parameter is there twice.")
		}
	}
	if op := st.call.Decision.Operation; op != nil && op.Name == importLegacy {
		var err error
		st.format, st.body, err = openImport(w, r)
		return err
	}
	most, within := int64(maxBody), bodyTime
	if op := st.call.Decision.Operation; op != nil && (op.Name == loadCatalog || op.Name == whatIfCatalog || op.Name == uploadInventory) {
		most, within = maxDocuments, documentTime
		if op.Name == uploadInventory {
			most = wire.MaxBytes
		}
	}
	body, err := readBody(w, r, most, within)
	if err != nil {
		return err
	}
	if most == wire.MaxBytes && bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) > maxBrackets {
		return postern.Errorf(postern.CodeTooLarge, "The inventory has too many operations and callers to be read at once. Send it in parts.")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	return nil
}

// noteRefusal writes an audit entry of a change that was not permitted to
// someone who is known: the keyring, which does so for its own refusals, never
// hears of it.
func (s *server) noteRefusal(r *http.Request, st *state) {
	d := &st.call.Decision
	if !changes(r) || !d.Known || d.Operation == nil || d.Reason.Status() != http.StatusForbidden || !s.writes.Take(string(d.KeyID())) {
		return
	}
	e := postern.Errorf(postern.CodeForbidden, "Refused: %s.", d.Reason)
	if d.Reason == postern.ReasonInsufficientScope {
		e.Code, e.Scopes = postern.CodeInsufficientScope, s.verifier.MissingScopes(&st.call.Request, d)
	}
	s.kr.NoteRefusal(r.Context(), st.actor, "api."+d.Operation.Name, lastID(r.URL.Path), e)
}

// lastID is the id in a path of this API, for the audit log; empty where there is none.
func lastID(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	if len(parts) < 2 {
		return ""
	}
	return clip(parts[1], 64)
}

// sameOperation makes sure that the operation which is about to be carried out
// is the one that was decided on: two routers have read the path.
func (s *server) sameOperation(ctx huma.Context, next func(huma.Context)) {
	st := stateOf(ctx.Context())
	op := st.call.Decision.Operation
	if !st.call.Decision.Allowed || op == nil || op.Upstream != keyring.ReservedUpstream || op.Name != ctx.Operation().OperationID {
		r := fmt.Errorf("httpapi: decided on another operation than %s", ctx.Operation().OperationID)
		s.fail(st.w, st, r)
		return
	}
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}

// changes reports whether a request may change something.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// isEnding reports whether a request is to end a key, by its method and path alone.
func isEnding(r *http.Request) bool {
	const keys, personal = "/v1/service-keys/", "/v1/personal-keys/"
	switch {
	case r.Method == http.MethodDelete:
		return strings.HasPrefix(r.URL.Path, keys) || strings.HasPrefix(r.URL.Path, personal)
	case r.Method == http.MethodPost:
		return strings.HasPrefix(r.URL.Path, keys) && (strings.HasSuffix(r.URL.Path, "/revoke") || strings.HasSuffix(r.URL.Path, "/rotation/finish"))
	}
	return false
}

// clip cuts a text that was sent to us, and leaves out what isn't printable.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return -1
		}
		return r
	}, s)
	for i := range s {
		if i >= n {
			return s[:i]
		}
	}
	return s
}
