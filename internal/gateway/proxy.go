package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"postern.dev/postern/internal/catalog"
)

// rewrite makes the call to an upstream: the path is the one that was matched,
// and the headers are made from none.
func rewrite(pr *httputil.ProxyRequest) {
	x := exchangeOf(pr.In.Context())
	t, out := x.target, pr.Out
	out.URL = &url.URL{Scheme: t.url.Scheme, Host: t.url.Host, RawQuery: x.query(pr.In), ForceQuery: pr.In.URL.ForceQuery}
	out.URL.Path = t.base + x.call.Path
	out.URL.RawPath = t.rawBase + catalog.Escape(x.call.Path)
	out.Host = ""
	h := x.outgoing(pr.In)
	if up := out.Header["Upgrade"]; t.Options.Upgrades && len(up) == 1 {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, up
	}
	if t.Options.Trailers {
		if te := out.Header["Te"]; te != nil {
			h["Te"] = te
		}
		out.Trailer = x.trailers(pr.In)
	} else {
		out.Trailer = nil
	}
	out.Header = h
}

// query is the query of a call as the upstream gets it: without a credential.
func (x *exchange) query(r *http.Request) string {
	if x.call.InAddress {
		return x.call.Query
	}
	return r.URL.RawQuery
}

// inside makes the call to an API that is compiled in. It gets the same that one
// elsewhere would get.
func (x *exchange) inside(r *http.Request) *http.Request {
	out := *r
	out.URL = &url.URL{Path: x.call.Path, RawPath: catalog.Escape(x.call.Path), RawQuery: x.query(r)}
	out.RequestURI = out.URL.RequestURI()
	out.Header = x.outgoing(r)
	out.Trailer = nil
	return &out
}

var (
	errUpgrade = errors.New("the upstream wants to change the protocol, and may not")
	errAnswer  = errors.New("the upstream's answer has a status that is none")
)

// modify judges an upstream's answer before it is passed on.
func (t *target) modify(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	if res.StatusCode == http.StatusSwitchingProtocols {
		if !t.Options.Upgrades {
			return errUpgrade
		}
		// The connection is taken over: this head doesn't come by the writer.
		x.answered(res.Header)
		x.w.status = res.StatusCode
		return nil
	}
	if res.StatusCode < 200 || res.StatusCode > 999 {
		return errAnswer
	}
	if !t.Options.Trailers {
		res.Trailer = nil
	}
	return nil
}

// failed answers a call that an upstream could not be brought to answer.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	x := exchangeOf(ctx)
	x.w.head = nil // what is said now is the gateway's own
	g := x.g
	var timeout net.Error
	switch {
	case x.w.cut.Load():
		// It is said when the call has left the ring.
	case ctx.Err() != nil:
		// Nobody is there to be told.
		panic(http.ErrAbortHandler)
	case x.body.failed.Load():
		g.door.Fail(w, &x.call, http.StatusBadRequest, "bad_body", "Bad request", "The body of the request could not be read.")
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		g.counts.failed.Add(1)
		g.log.Warn("an upstream did not answer in time", "upstream", x.target.ID, "request_id", x.call.RequestID)
		g.door.Fail(w, &x.call, http.StatusGatewayTimeout, "upstream_timeout", "Upstream timeout", "The API behind this gateway did not answer in time.")
	default:
		g.counts.failed.Add(1)
		g.log.Warn("an upstream can't be reached", "upstream", x.target.ID, "request_id", x.call.RequestID, "err", err)
		g.door.Fail(w, &x.call, http.StatusBadGateway, "upstream_unreachable", "Upstream unreachable", "The API behind this gateway could not be reached.")
	}
}

// copyBuffers are what bodies are copied through.
var copyBuffers = bufferPool{}

type bufferPool struct{}

const copyBuffer = 32 << 10

var copyPool = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

func (bufferPool) Get() []byte  { return copyPool.Get().(*[copyBuffer]byte)[:] }
func (bufferPool) Put(b []byte) { copyPool.Put((*[copyBuffer]byte)(b)) }

// debugLog takes what httputil says of bodies that broke off: their callers and
// upstreams cause it, as often as they like.
type debugLog struct{ log *slog.Logger }

func (l debugLog) Write(b []byte) (int, error) {
	l.log.Debug("proxy", "text", strings.TrimSpace(string(b)))
	return len(b), nil
}
