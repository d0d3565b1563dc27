package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// target is an upstream as calls are passed on to it.
type target struct {
	postern.Upstream
	handler   http.Handler // of one that is compiled in
	url       *url.URL
	base      string // the path that its own paths begin under, decoded
	rawBase   string // and escaped
	proxy     *httputil.ReverseProxy
	transport *http.Transport
}

const (
	dialTimeout    = 5 * time.Second
	defaultTimeout = 30 * time.Second
	maxAnswerHead  = 256 << 10
)

// Set says what upstreams there are, to the gateway and its door. Connections to
// those that stay as they are stay open. One that can't be reached as it is
// written is left out, and named in the error.
func (g *Gateway) Set(upstreams []postern.Upstream) error {
	old := *g.targets.Load()
	next := make(map[postern.UpstreamID]*target, len(upstreams))
	var failed []error
	for _, u := range upstreams {
		t, err := g.newTarget(u, old[u.ID])
		if err != nil {
			failed = append(failed, fmt.Errorf("gateway: upstream %s: %w", u.ID, err))
			continue
		}
		next[u.ID] = t
	}
	g.door.Set(upstreams)
	g.targets.Store(&next)
	for id, t := range old {
		if now := next[id]; t.transport != nil && (now == nil || now.transport != t.transport) {
			t.transport.CloseIdleConnections()
		}
	}
	return errors.Join(failed...)
}

// Close closes the idle connections to all upstreams.
func (g *Gateway) Close() {
	for _, t := range *g.targets.Load() {
		if t.transport != nil {
			t.transport.CloseIdleConnections()
		}
	}
}

func (g *Gateway) newTarget(u postern.Upstream, was *target) (*target, error) {
	t := &target{Upstream: u}
	if h, ok := g.builtin[u.URL]; ok {
		t.handler = h
		return t, nil
	}
	var err error
	if t.url, err = url.Parse(u.URL); err != nil {
		return nil, errors.New("its URL can't be read")
	}
	if t.url.Scheme != "http" && t.url.Scheme != "https" || t.url.Host == "" || t.url.User != nil || t.url.RawQuery != "" || t.url.Fragment != "" {
		return nil, errors.New("its URL is not one of http or https with a host and no more than a path")
	}
	t.base = strings.TrimSuffix(t.url.Path, "/")
	t.rawBase = catalog.Escape(t.base)
	if was != nil && was.transport != nil && was.URL == u.URL && was.Options.Timeout == u.Options.Timeout &&
		was.Options.InsecureSkipTLSVerify == u.Options.InsecureSkipTLSVerify {
		t.transport = was.transport
	} else {
		t.transport = g.newTransport(&u)
	}
	t.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: t.transport, BufferPool: copyBuffers,
		ModifyResponse: t.modify, ErrorHandler: failed, ErrorLog: log.New(debugLog{g.log}, "", 0),
	}
	return t, nil
}

// newTransport makes connections of an upstream's own, so that a slow one can't
// use up another's. Proxies that the environment names are not used.
func (g *Gateway) newTransport(u *postern.Upstream) *http.Transport {
	timeout := u.Options.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: u.Options.InsecureSkipTLSVerify},
		TLSHandshakeTimeout:    2 * dialTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    g.idle,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxAnswerHead,
		// What the caller asked for is passed on, and so is what comes back.
		DisableCompression: true,
	}
}
