package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/store"
)

// said is how a code is said in HTTP.
type said struct {
	status int
	title  string
}

// table says every code.
var table = map[postern.Code]said{
	postern.CodeInvalid:           {http.StatusBadRequest, "The request is not what it should be"},
	postern.CodeUnauthenticated:   {http.StatusUnauthorized, "No valid credential"},
	postern.CodeForbidden:         {http.StatusForbidden, "Not permitted"},
	postern.CodeInsufficientScope: {http.StatusForbidden, "A scope is missing"},
	postern.CodeNotFound:          {http.StatusNotFound, "Not found"},
	postern.CodeTimeout:           {http.StatusRequestTimeout, "The request came too slowly"},
	postern.CodeConflict:          {http.StatusConflict, "Conflict with the present state"},
	postern.CodeGone:              {http.StatusGone, "Ended for good"},
	postern.CodePrecondition:      {http.StatusPreconditionFailed, "Changed in the meantime"},
	postern.CodeTooLarge:          {http.StatusRequestEntityTooLarge, "Too large"},
	postern.CodeUnsupportedMedia:  {http.StatusUnsupportedMediaType, "Content type not read here"},
	postern.CodePreconditionNeed:  {http.StatusPreconditionRequired, "A version must be named"},
	postern.CodeRateLimited:       {http.StatusTooManyRequests, "Too many requests"},
	postern.CodeUnavailable:       {http.StatusServiceUnavailable, "Not possible right now"},
	postern.CodeStorageFull:       {http.StatusInsufficientStorage, "No room to write"},
	postern.CodeInternal:          {http.StatusInternalServerError, "Internal error"},
}

// problem is an api.Problem on its way out. Its Go name is that of its schema.
type problem struct{ api.Problem }

// Error is what the problem says.
func (p *problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is that of RFC 9457.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// problemOf makes the problem that tells of an error, and keeps for the log what
// it doesn't tell.
func (s *server) problemOf(st *state, err error) *problem {
	e, known := errors.AsType[*postern.Error](err)
	switch {
	case !known && store.Lost(err):
		st.err = err
		e = postern.Errorf(postern.CodeUnavailable, "The database can't be reached. Try again in a moment.")
	case !known:
		st.err = err
		e = postern.Errorf(postern.CodeInternal, "Internal error. The request id finds what happened in the server's log.")
	case e.Err != nil:
		st.err = err
	}
	how, ok := table[e.Code]
	if !ok {
		how = table[postern.CodeInternal]
	}
	p := &problem{api.Problem{Type: api.ProblemBase + string(e.Code), Title: how.title, Status: how.status, Detail: postern.HideSecrets(e.Message),
		Instance: api.InstancePrefix + st.call.RequestID, Code: string(e.Code), Field: postern.HideSecrets(e.Field)}}
	for _, sc := range e.Scopes {
		p.MissingScopes = append(p.MissingScopes, string(sc))
	}
	return p
}

// fail answers a request with an error.
func (s *server) fail(w http.ResponseWriter, st *state, err error) {
	p := s.problemOf(st, err)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Link", s.help(p))
	retryLater(w.Header(), p.Status)
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p.Problem) // whoever went away reads no problem
}

// help is a link to what a problem means and what to do.
func (s *server) help(p *problem) string {
	return "<" + s.cfg.PublicURL + "/docs/problems#" + p.Code + `>; rel="help"`
}

// retryLater says when to come back, where coming back may help.
func retryLater(h http.Header, status int) {
	if (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1")
	}
}

// useProblems makes huma say its own errors as problems too, never with the
// value that was rejected. huma keeps these in variables of its package, and
// this one is the only package that uses it.
func useProblems() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return &problem{api.Problem{Status: status, Detail: msg}}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		st := stateOf(ctx.Context())
		err := fromHuma(status, errs)
		if err == nil && msg == bodyRequired {
			err = postern.Errorf(postern.CodeInvalid, "The request needs a JSON body.")
		}
		if err == nil {
			err = fmt.Errorf("httpapi: huma answered %d", status)
		}
		p := st.server.problemOf(st, err)
		ctx.SetHeader("Link", st.server.help(p))
		if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
			ctx.SetHeader("Retry-After", "1")
		}
		return p
	}
}

// bodyRequired is what huma says where there is no body. It is the one thing
// that it says without an error of its own.
const bodyRequired = "request body is required"

// fromHuma makes an error of ours of what huma found: of a handler's error that
// error itself, of a rejected request a sentence about the first thing that is wrong.
func fromHuma(status int, errs []error) error {
	var details []*huma.ErrorDetail
	for _, err := range errs {
		if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			details = append(details, d)
		} else if err != nil {
			return err
		}
	}
	code, ok := codeOfStatus[status]
	if !ok || len(details) == 0 {
		return nil
	}
	// What there shouldn't be says more than what is missing because of it.
	slices.SortStableFunc(details, func(a, b *huma.ErrorDetail) int { return rank(b) - rank(a) })
	field, sentence := describe(details[0])
	return &postern.Error{Code: code, Field: field, Message: sentence}
}

var codeOfStatus = map[int]postern.Code{
	http.StatusBadRequest:            postern.CodeInvalid,
	http.StatusUnprocessableEntity:   postern.CodeInvalid,
	http.StatusUnsupportedMediaType:  postern.CodeUnsupportedMedia,
	http.StatusRequestEntityTooLarge: postern.CodeTooLarge,
}

func rank(d *huma.ErrorDetail) int {
	if strings.HasPrefix(d.Message, "unexpected") || strings.HasPrefix(d.Message, "unknown") {
		return 1
	}
	return 0
}

// describe says in words what huma found wrong, and where.
func describe(d *huma.ErrorDetail) (field, sentence string) {
	field = d.Location
	for _, where := range []string{"body.", "query.", "path.", "header."} {
		field = strings.TrimPrefix(field, where)
	}
	if field == "body" {
		field = ""
	}
	field = fieldName(field)
	switch msg := d.Message; {
	case msg == "unexpected property":
		return field, "There is no such field here."
	case msg == "unknown query parameter":
		return field, "There is no such query parameter here."
	case strings.HasPrefix(msg, "expected required property "):
		name := strings.TrimSuffix(strings.TrimPrefix(msg, "expected required property "), " to be present")
		if field != "" {
			name = field + "." + name
		}
		return name, "This is missing."
	case msg == "":
		return field, "This is not what is expected here."
	default:
		if name, rest, ok := strings.Cut(msg, ": "); ok && d.Location == "body" { // of decode's own
			field, msg = name, rest
		}
		msg = strings.TrimSuffix(msg, ".")
		return field, strings.ToUpper(msg[:1]) + msg[1:] + "."
	}
}

// fieldName is the name of a member as it may be said again: it was sent to us,
// and anything may stand in it.
func fieldName(s string) string {
	if len(s) > 80 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "(a name that can't be shown)"
	}
	return s
}
