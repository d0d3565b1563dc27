package door

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

// Call is one request on its way through a door.
type Call struct {
	verify.Request
	Decision postern.Decision
	Peer     netip.Addr // the other end of the socket
	Trusted  bool       // whose word counts
	// Status is what the caller is answered; 0 is what the reason says.
	Status int
	// Why is, in a sentence, what is wrong with a request that can't be judged.
	Why string
	// In is the upstream that the call is for: in its dialect a refusal is said.
	In *postern.Upstream
	// InAddress says that the credential came in the query. Query is then what is
	// left of it, and what goes to the upstream.
	InAddress bool
	Query     string
	// judged says that there is a decision.
	judged bool
}

// Read reads a request to an upstream. What can't be judged is refused already.
func (d *Door) Read(r *http.Request, name string) *Call {
	c := &Call{}
	d.ReadInto(c, r, name)
	return c
}

// ReadInto is Read into a Call that is the caller's own.
func (d *Door) ReadInto(c *Call, r *http.Request, name string) {
	path, query := d.readCaller(c, r, name)
	d.readLegacyHeader(c, r.Header)
	c.Host = r.Host
	d.readPath(c, path, len(r.RequestURI))
	d.checkQuery(c, query)
}

// readPath reads where a call goes, from a path as it was received, in a target
// of a length. The upstream may be known already.
func (d *Door) readPath(c *Call, path string, length int) {
	var t target
	var err error
	if c.Upstream == "" {
		t, err = d.find(c.Host, path)
		c.In, c.Upstream, c.Path = t.upstream, t.id, t.path
	} else {
		c.In = d.Upstream(c.Upstream)
		c.Path, err = catalog.Canonical(path, pathOptions(c.In))
	}
	if length > d.maxURL && (length > d.maxLong || !c.hubspot()) || tooLong(err) {
		c.refuse(http.StatusRequestURITooLong, postern.ReasonBadRequest, "The URL is too long.")
	} else if err != nil {
		c.refuse(0, postern.ReasonBadRequest, sentence(err))
	}
}

// ReadOwn reads a request to Postern's own API, whose operations are those of an
// upstream that is nowhere mounted. Its path is the canonical one of the request.
func (d *Door) ReadOwn(r *http.Request, own postern.UpstreamID, name string) *Call {
	c := &Call{}
	path, query := d.readCaller(c, r, name)
	c.Upstream = own
	d.readPath(c, path, len(r.RequestURI))
	d.checkQuery(c, query)
	return c
}

// readCaller reads who calls, with what, from where.
func (d *Door) readCaller(c *Call, r *http.Request, name string) (path, query string) {
	c.Door = name
	c.Method = r.Method
	c.Peer = Peer(r)
	c.Trusted = trusts(d.trusted, c.Peer)
	c.RequestID = requestID(r.Header, c.Trusted)
	if ua := r.Header["User-Agent"]; len(ua) > 0 {
		c.UserAgent = ua[0]
	}
	if r.Method == http.MethodOptions && r.Header["Origin"] != nil {
		c.Preflight = r.Header.Get("Access-Control-Request-Method")
	}
	var why string
	if c.RemoteIP, why = d.client(r, c.Peer); why != "" {
		c.refuse(0, postern.ReasonBadRequest, why)
	}
	var ok bool
	if c.Secret, ok = Bearer(r.Header); !ok {
		c.refuse(0, postern.ReasonBadRequest, "There is more than one Authorization header.")
	}
	return rawTarget(r)
}

// refuse refuses a call before anyone decides; the first cause counts.
func (c *Call) refuse(status int, reason postern.Reason, why string) {
	if !c.judged {
		c.judged, c.Status, c.Why = true, status, why
		c.Decision = postern.Decision{Reason: reason}
	}
}

// Refuse refuses a call as one that can't be judged: why says it in a sentence.
func (c *Call) Refuse(why string) { c.refuse(0, postern.ReasonBadRequest, why) }

// Judge decides a call that isn't refused already, and reports whether it is allowed.
func (d *Door) Judge(ctx context.Context, c *Call) bool {
	if c.judged {
		return false
	}
	c.judged = true
	var err error
	if c.Decision, err = d.v.Verify(ctx, &c.Request); err != nil {
		c.Decision.Allowed, c.Decision.Reason = false, postern.ReasonUnavailable
	}
	d.noteInAddress(c)
	return c.Decision.Allowed
}

// StatusOf is the status that says the decision of a call.
func (c *Call) StatusOf() int {
	if c.Status != 0 {
		return c.Status
	}
	return c.Decision.Reason.Status()
}

// Done records a call; a door does it once for each.
func (d *Door) Done(c *Call, o verify.Outcome) { d.v.Done(&c.Request, &c.Decision, o) }

// Recovered makes the decision of a call whose handling panicked: a denial. It
// returns false for the panic by which handlers abort an answer, which is to go on.
func (d *Door) Recovered(c *Call, p any) bool {
	if p == http.ErrAbortHandler {
		return false
	}
	// The value of a panic may hold anything, a secret too: its type has to do.
	d.log.Error("a request failed", "request_id", c.RequestID, "door", c.Door, "panic", fmt.Sprintf("%T", p), "at", panicAt())
	c.judged, c.Status, c.Why = true, 0, ""
	c.Decision.Allowed, c.Decision.Reason = false, postern.ReasonUnavailable
	return true
}

func (c *Call) hubspot() bool { return c.In != nil && c.In.Options.Errors == postern.ErrorsHubSpot }

// sentence is the message of an error that the caller may know of.
func sentence(err error) string {
	if s := err.Error(); strings.HasSuffix(s, ".") {
		return s
	}
	return "The path of the request can't be read."
}
