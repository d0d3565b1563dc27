// Package gateway is the reverse proxy in front of upstreams: it decides every
// call, passes on those that are allowed, and records each exactly once.
//
// It promises that the upstream gets the very request that was decided: the path
// that was matched, no credential, no header by which a caller could speak for
// the gateway, and who is calling in headers that only the gateway sets. Bodies
// stream both ways and are never held. A call that lasts is decided again when
// its credential changes, and cut off when it is no longer allowed.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/identity"
	"postern.dev/postern/internal/verify"
)

// Config is what a Gateway needs. Door and Identity have no default.
type Config struct {
	Door     *door.Door
	Identity *identity.Issuer
	// Builtin are the APIs that are compiled in, by the whole URL of their upstream:
	// "builtin:crm". They are called in process and trust the identity headers.
	Builtin map[string]http.Handler
	// IdlePerHost is how many idle connections to an upstream are kept: 256 unless set.
	IdlePerHost int
	// Recheck is how often calls that last are decided again: 400 ms unless set.
	Recheck time.Duration
	Log     *slog.Logger
}

// Gateway is the reverse proxy. Run must be running for calls that last to be
// cut off in time.
type Gateway struct {
	door     *door.Door
	v        *verify.Verifier
	identity *identity.Issuer
	builtin  map[string]http.Handler
	idle     int
	recheck  time.Duration
	log      *slog.Logger
	targets  atomic.Pointer[map[postern.UpstreamID]*target]
	streams  streams
	counts   counts
}

// New makes a Gateway without upstreams; Set gives it some.
func New(c Config) (*Gateway, error) {
	if c.Door == nil || c.Identity == nil {
		return nil, errors.New("gateway: a door and an identity issuer are needed")
	}
	g := &Gateway{door: c.Door, v: c.Door.Verifier(), identity: c.Identity, builtin: c.Builtin,
		idle: c.IdlePerHost, recheck: c.Recheck, log: c.Log}
	if g.idle <= 0 {
		g.idle = 256
	}
	if g.recheck <= 0 {
		g.recheck = 400 * time.Millisecond
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.streams.init()
	g.targets.Store(&map[postern.UpstreamID]*target{})
	return g, nil
}

// exchange is one call on its way through the gateway and back.
type exchange struct {
	g      *Gateway
	call   door.Call
	target *target
	w      writer
	body   body
	began  time.Time
	cancel context.CancelCauseFunc
	ctx    context.Context // nil until the call is passed on
	link   link
}

// ServeHTTP decides a call and passes it on.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{g: g, began: time.Now()}
	x.w.ResponseWriter = w
	defer x.end()
	g.door.ReadInto(&x.call, r, postern.DoorGateway)
	if !g.door.Judge(r.Context(), &x.call) {
		g.door.Refuse(&x.w, &x.call)
		return
	}
	if x.target = (*g.targets.Load())[x.call.Upstream]; x.target == nil {
		// The verifier knows the upstream a moment before this does.
		g.counts.failed.Add(1)
		g.door.Fail(&x.w, &x.call, http.StatusServiceUnavailable, "upstream_unavailable", "Upstream unavailable", "The API is not ready. Try again.")
		return
	}
	x.forward(r)
}

// forward passes an allowed call on.
func (x *exchange) forward(r *http.Request) {
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), exchangeKey{}, x))
	x.ctx, x.cancel = ctx, cancel
	defer cancel(nil)
	x.g.streams.add(x)
	defer x.g.streams.remove(x)
	x.w.head = x.answered
	r = r.WithContext(ctx)
	if up := r.Header["Upgrade"]; up != nil && (!x.target.Options.Upgrades || len(up) != 1 || !printable(up[0])) {
		delete(r.Header, "Upgrade") // not passed on; httputil would blame the upstream for a bad one
	}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		x.body.ReadCloser, x.body.length = r.Body, r.ContentLength
		x.w.body = &x.body
		r.Body = &x.body
		// Else net/http reads what is left of a body before the answer goes out: an
		// upstream that answers while it is called would wait for its caller for ever.
		_ = http.NewResponseController(x.w.ResponseWriter).EnableFullDuplex() // no need where it isn't HTTP/1
	}
	if x.target.handler != nil {
		x.target.handler.ServeHTTP(&x.w, x.inside(r))
	} else {
		x.target.proxy.ServeHTTP(&x.w, r)
	}
	if x.target.Options.Trailers {
		x.w.cleanTrailers()
	} else {
		x.w.dropTrailers()
	}
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// end finishes and records a call, whatever became of it.
func (x *exchange) end() {
	p := recover()
	abort := p != nil
	switch {
	case x.w.cut.Load():
		abort = x.refuseLate()
	case p != nil && x.g.door.Recovered(&x.call, p) && x.w.status == 0:
		x.w.head = nil
		x.g.door.Refuse(&x.w, &x.call)
		abort = false
	case x.w.status == 0 && !abort:
		x.w.WriteHeader(http.StatusOK) // a handler that wrote nothing
	}
	status := x.w.status
	if status == 0 {
		status = statusClientGone
	}
	if x.call.Method == http.MethodHead {
		x.w.bytes = 0
	}
	x.g.door.Done(&x.call, verify.Outcome{Status: status, Duration: time.Since(x.began), BytesIn: x.body.n.Load(), BytesOut: x.w.bytes})
	if abort {
		// The answer is cut off, so that nobody takes a half for the whole.
		panic(http.ErrAbortHandler)
	}
}

// refuseLate refuses a call that was cut off, if no answer had begun; if one had,
// it reports that the answer is to be aborted.
func (x *exchange) refuseLate() (abort bool) {
	if x.w.status != 0 {
		return true
	}
	if why, ok := errors.AsType[*cutOff](context.Cause(x.ctx)); ok {
		x.call.Decision = why.d
	}
	x.w.cut.Store(false)
	x.w.head = nil
	h := x.w.Header()
	clear(h)
	h["Connection"] = []string{"close"} // its deadlines are near
	x.g.door.Refuse(&x.w, &x.call)
	return false
}

// statusClientGone is recorded for a call that was aborted before an answer
// began: its caller went away. It is never sent.
const statusClientGone = 499

// answered is called with the head of the upstream's answer before it is sent.
func (x *exchange) answered(h http.Header) {
	refused, missing := stripAnswer(h)
	if reason, ok := postern.ParseReason(refused); ok && reason.Status() >= 400 {
		x.g.v.Refuse(&x.call.Decision, reason, missing)
	}
	h[door.RequestIDHeader] = []string{x.call.RequestID}
	x.g.door.Limits(h, &x.call)
	x.g.door.Retire(h, &x.call)
}

// Stats are the figures of a gateway.
type Stats struct {
	InFlight int64 // calls that are on their way
	CutOff   int64 // calls that were allowed, lasted, and were no longer allowed
	Failed   int64 // calls whose upstream failed
}

type counts struct{ cut, failed atomic.Int64 }

// Stats gives the figures now.
func (g *Gateway) Stats() Stats {
	return Stats{InFlight: g.streams.count(), CutOff: g.counts.cut.Load(), Failed: g.counts.failed.Load()}
}

// Applied tells of changes that came into force; none at all means that anything
// may have changed. It is what verify.Config.Applied is for, and does not block.
func (g *Gateway) Applied(changes []postern.Change) {
	g.identity.Applied(changes)
	g.streams.hurry()
}
