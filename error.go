package postern

import (
	"errors"
	"fmt"
)

// Code says of what sort a failure is that the caller may know of. A Code is an
// error itself, so that errors.Is(err, CodeConflict) asks for it.
type Code string

// The codes, in the order of their HTTP statuses.
const (
	CodeInvalid           Code = "invalid_request"       // the input is not what it should be
	CodeUnauthenticated   Code = "unauthenticated"       // no valid credential was presented
	CodeForbidden         Code = "forbidden"             // known, and not permitted
	CodeInsufficientScope Code = "insufficient_scope"    // a scope is missing that the act needs or hands out
	CodeNotFound          Code = "not_found"             // isn't there, or isn't the caller's to see
	CodeTimeout           Code = "request_timeout"       // the request did not come in time
	CodeConflict          Code = "conflict"              // clashes with the state that the thing is in
	CodeGone              Code = "gone"                  // was there, and has ended for good
	CodePrecondition      Code = "precondition_failed"   // changed by someone else in the meantime
	CodeTooLarge          Code = "too_large"             // more than a limit allows
	CodeUnsupportedMedia  Code = "unsupported_media"     // a content type that isn't read here
	CodePreconditionNeed  Code = "precondition_required" // a change that must name the version it changes
	CodeRateLimited       Code = "rate_limited"          // too many calls; try again later
	CodeUnavailable       Code = "unavailable"           // can't tell now; try again later
	CodeStorageFull       Code = "storage_full"          // no room to write; reads and decisions go on
	CodeInternal          Code = "internal"              // a failure of ours
)

// Codes lists every Code, for tables that must know them all.
func Codes() []Code {
	return []Code{CodeInvalid, CodeUnauthenticated, CodeForbidden, CodeInsufficientScope, CodeNotFound,
		CodeTimeout, CodeConflict, CodeGone, CodePrecondition, CodeTooLarge, CodeUnsupportedMedia, CodePreconditionNeed,
		CodeRateLimited, CodeUnavailable, CodeStorageFull, CodeInternal}
}

// Error says the code itself.
func (c Code) Error() string { return string(c) }

// Error is a failure that the caller may know of: a code, and a sentence for a
// person that says what is wrong and, where it can, what to do.
type Error struct {
	Code    Code
	Message string
	// Field names the member of the input that is at fault, as the API spells it; empty if none is.
	Field string
	// Scopes are the scopes that were missing, where Code is CodeInsufficientScope.
	Scopes []Scope
	// Err is the cause, for logs only; it is never shown to the caller.
	Err error
}

// Error is the sentence for a person.
func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Message
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the code of e.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Errorf makes an Error of a code and a sentence.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalidf makes an Error of CodeInvalid about one field of the input.
func Invalidf(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of err: that of the first Error in its tree, or CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
