package verify

import (
	"net/netip"
	"sync"
	"time"

	"postern.dev/postern"
)

// Request is what a door knows of a call.
type Request struct {
	Secret postern.Secret // zero where none was presented
	// Imported says that the secret came in a place where only imported credentials
	// may: in an address, or in a header for them.
	Imported bool

	// What the call is for: a Method with a Path, or the Scopes that it needs. With
	// neither, the question is only whether the credential is valid.
	Method   string
	Host     string             // where the Upstream isn't known
	Upstream postern.UpstreamID // where it is known; Path is then that within it
	Path     string             // canonical, as catalog.Canonical gives it
	Scopes   []postern.Scope
	// Preflight is Access-Control-Request-Method, where this is a CORS preflight.
	Preflight string

	RemoteIP  netip.Addr
	UserAgent string
	RequestID string
	Door      string // one of postern's Door constants
}

// Outcome is how a call ended, as its door saw it.
type Outcome struct {
	Status   int
	Duration time.Duration
	BytesIn  int64
	BytesOut int64
}

// Sink takes what was decided. Record is on the path of every call: it copies
// what it keeps, since the event is used again, and it never blocks.
type Sink interface{ Record(*postern.Event) }

var events = sync.Pool{New: func() any { return new(postern.Event) }}

// Done records a call. A door calls it exactly once for each, when the call has
// ended, with the decision that Verify gave or its own.
func (v *Verifier) Done(req *Request, d *postern.Decision, o Outcome) {
	if v.sink == nil {
		return
	}
	e := events.Get().(*postern.Event)
	if e.At = d.At; e.At == 0 { // the door's own
		e.At = v.storeTime(v.clock.Now())
	}
	e.Decision = *d
	e.Door, e.Method, e.Path = req.Door, req.Method, req.Path
	e.UserAgent, e.RequestID, e.IP = req.UserAgent, req.RequestID, req.RemoteIP
	e.Status, e.Duration, e.BytesIn, e.BytesOut = o.Status, o.Duration, o.BytesIn, o.BytesOut
	if d.Reason == postern.ReasonInsufficientScope || d.Would == postern.ReasonInsufficientScope {
		e.Missing = joinScopes(v.MissingScopes(req, d))
	}
	v.sink.Record(e)
	*e = postern.Event{}
	events.Put(e)
}
