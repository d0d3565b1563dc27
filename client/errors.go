package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"postern.dev/postern/api"
)

// Error is a failure that the server told of.
type Error struct {
	Status        int
	Code          string // "conflict", "insufficient_scope"; empty where something other than Postern answered
	Message       string // for a person
	Field         string // the member of the request that is at fault
	Reason        string // why the credential was refused
	MissingScopes []string
	RequestID     string        // what to look for in the server's log
	RetryAfter    time.Duration // negative where the server names none
}

// Error is the sentence for a person.
func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}

// IsCode reports whether err is a failure of this code.
func IsCode(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// errorOf makes an Error of an answer that is none of success.
func errorOf(r *request, res *http.Response, kind string, body []byte) *Error {
	e := &Error{Status: res.StatusCode, RetryAfter: retryAfter(res), RequestID: res.Header.Get("Postern-Request-Id")}
	var p api.Problem
	if kind == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Detail != "" {
		e.Message, e.Field, e.Reason, e.MissingScopes = p.Detail, p.Field, p.Reason, p.MissingScopes
		e.Code = p.Code
		if e.Code == "" {
			e.Code = strings.TrimPrefix(p.Type, api.ProblemBase)
		}
		if id, ok := strings.CutPrefix(p.Instance, api.InstancePrefix); ok {
			e.RequestID = id
		}
		return e
	}
	if e.Status >= 300 && e.Status < 400 {
		e.Message = fmt.Sprintf("The server answered %s %s with a redirect (%d), which is not followed. Is the address right?", r.method, r.path, e.Status)
		return e
	}
	e.Message = fmt.Sprintf("The server answered %s %s with %d %s.", r.method, r.path, e.Status, http.StatusText(e.Status))
	return e
}
