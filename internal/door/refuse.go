package door

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"postern.dev/postern"
)

// problemBase is how the type of every problem starts; its name follows.
const problemBase = "https://postern.dev/problems/"

// refusal is a refusal as it is about to be said, in whatever dialect.
type refusal struct {
	call    *Call
	status  int
	kind    string // what the type of the problem ends in
	title   string
	detail  string
	missing []postern.Scope
	allow   string
	retry   int64 // seconds; 0 where none is named
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Refuse says the refusal of a call, in the dialect of its upstream.
func (d *Door) Refuse(w http.ResponseWriter, c *Call) {
	f := refusal{call: c, status: c.StatusOf(), kind: c.Decision.Reason.String(), title: titles[c.Decision.Reason]}
	f.missing = d.Missing(c)
	f.detail = d.Detail(c, f.missing)
	switch f.status {
	case http.StatusMethodNotAllowed:
		f.allow = strings.Join(d.v.Allow(&c.Request), ", ")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.retry = d.RetryAfter(c)
	}
	if c.Decision.Reason == postern.ReasonBrownout {
		f.retry = d.RetryAfter(c)
	}
	d.Limits(w.Header(), c)
	d.say(w, &f)
}

// Fail says that an allowed call could not be carried out: what is a word for
// the type of the problem, and detail a sentence.
func (d *Door) Fail(w http.ResponseWriter, c *Call, status int, what, title, detail string) {
	f := refusal{call: c, status: status, kind: what, title: title, detail: detail}
	if status == http.StatusServiceUnavailable {
		f.retry = 2
	}
	d.Limits(w.Header(), c)
	d.say(w, &f)
}

// RetryAfter is in how many seconds a refused call may come again; 0 where that can't be said.
func (d *Door) RetryAfter(c *Call) int64 {
	switch r := c.Decision.Reason; {
	case r.Status() == http.StatusServiceUnavailable:
		return 2
	case r == postern.ReasonBrownout && c.Decision.RetryAt != 0:
	case r.Status() != http.StatusTooManyRequests:
		return 0
	case c.Decision.RetryAt == 0:
		return 1
	}
	now := c.Decision.At
	if now == 0 {
		now = d.v.Now()
	}
	return max(1, (int64(c.Decision.RetryAt-now)+999_999)/1_000_000)
}

// say writes the head and the body of a refusal.
func (d *Door) say(w http.ResponseWriter, f *refusal) {
	h := w.Header()
	h["Cache-Control"] = []string{"no-store"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h[RequestIDHeader] = []string{f.call.RequestID}
	if challenge := d.challenge(f); challenge != "" {
		h["Www-Authenticate"] = []string{challenge}
	}
	// What it means and what to do stands there (RFC 8288).
	h["Link"] = []string{"<" + d.docs + "/problems#" + f.kind + `>; rel="help"`}
	d.Retire(h, f.call)
	if f.allow != "" {
		h["Allow"] = []string{f.allow}
	}
	if f.retry > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(f.retry, 10)}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := (*buf)[:0]
	if f.call.hubspot() {
		h["Content-Type"] = []string{"application/json;charset=utf-8"}
		h["X-Hubspot-Correlation-Id"] = []string{f.call.RequestID}
		if f.status == http.StatusUnauthorized {
			h["X-Hubspot-Auth-Failure"] = []string{"401 Unauthorized"}
		}
		b = d.appendHubSpot(b, f)
	} else {
		h["Content-Type"] = []string{"application/problem+json"}
		b = appendProblem(b, f)
	}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(f.status)
	w.Write(b) // net/http keeps it from a caller who asked for the head
	*buf = b
}

// appendProblem appends a problem (RFC 9457).
func appendProblem(b []byte, f *refusal) []byte {
	b = append(b, `{"type":"`+problemBase...)
	b = append(b, f.kind...)
	b = append(b, '"')
	b = appendMember(b, "title", f.title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(f.status), 10)
	b = appendMember(b, "detail", f.detail)
	b = appendMember(b, "instance", "urn:postern:request:"+f.call.RequestID)
	b = appendMember(b, "code", string(codeOf(f.status, f.call.Decision.Reason)))
	d := &f.call.Decision
	if !d.Allowed {
		b = appendMember(b, "reason", d.Reason.String())
	}
	if len(f.missing) > 0 {
		b = append(b, `,"missingScopes":`...)
		b = appendScopes(b, f.missing)
	}
	if d.Known && d.Operation != nil {
		b = appendMember(b, "operation", d.Operation.Name)
	}
	return append(b, '}', '\n')
}

// challenge is the WWW-Authenticate header (RFC 6750 section 3), empty where
// another credential would not help. Without a credential it names no error.
func (d *Door) challenge(f *refusal) string {
	code := ""
	switch f.call.Decision.Reason {
	case postern.ReasonNoCredential:
		return `Bearer realm="` + d.realm + `"`
	case postern.ReasonBadRequest:
		code = "invalid_request"
	case postern.ReasonInsufficientScope, postern.ReasonWrongKind:
		code = "insufficient_scope"
	default:
		if f.status != http.StatusUnauthorized {
			return ""
		}
		code = "invalid_token"
	}
	if f.call.Decision.Allowed {
		return ""
	}
	var b strings.Builder
	b.WriteString(`Bearer realm="` + d.realm + `", error="` + code + `", error_description="`)
	// RFC 6750 gives the description printable ASCII without quotes and backslashes.
	for _, c := range f.detail {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			c = '\''
		}
		b.WriteRune(c)
	}
	b.WriteByte('"')
	if len(f.missing) > 0 {
		b.WriteString(`, scope="` + join(f.missing, " ") + `"`)
	}
	return b.String()
}
