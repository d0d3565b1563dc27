package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// site is a gateway that runs, between a client and an upstream.
type site struct {
	*doortest.World
	t        *testing.T
	g        *gateway.Gateway
	addr     string // of the gateway
	upstream *httptest.Server
	client   *http.Client
}

// options says what is special about a site.
type options struct {
	world   []func(*door.Config)
	up      func(*postern.Upstream) // changes every upstream
	gateway func(*gateway.Config)
}

func newSite(t *testing.T, h http.HandlerFunc, with ...options) *site {
	t.Helper()
	var o options
	if len(with) > 0 {
		o = with[0]
	}
	s := &site{World: doortest.New(t, o.world...), t: t, upstream: httptest.NewServer(h)}
	t.Cleanup(s.upstream.Close)
	cfg := gateway.Config{Door: s.Door, Identity: s.Identity}
	if o.gateway != nil {
		o.gateway(&cfg)
	}
	var err error
	if s.g, err = gateway.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.g.Close)
	s.Applied = s.g.Applied
	for i := range s.Upstreams {
		s.Upstreams[i].URL = s.upstream.URL
		if o.up != nil {
			o.up(&s.Upstreams[i])
		}
	}
	if err := s.g.Set(s.Upstreams); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.g.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	server := httptest.NewUnstartedServer(nil)
	server.Config = door.Server(door.ServerConfig{Handler: s.g})
	server.Start()
	t.Cleanup(server.Close)
	s.addr = server.Listener.Addr().String()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// request makes a request to the gateway with a secret.
func (s *site) request(method, target string, secret postern.Secret, body io.Reader) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+target, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if !secret.Zero() {
		r.Header.Set("Authorization", "Bearer "+secret.Reveal())
	}
	return r
}

// do sends a request and reads its answer whole.
func (s *site) do(r *http.Request) (*http.Response, string) {
	s.t.Helper()
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(b)
}

func (s *site) get(target string, secret postern.Secret) (*http.Response, string) {
	s.t.Helper()
	return s.do(s.request("GET", target, secret, nil))
}

// writer is a key that may read and write things.
func (s *site) writer() postern.Secret {
	return s.Key(s.t, func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"things.read", "things.write"} })
}

// event is the one record of the one call since the last.
func (s *site) event() postern.Event {
	s.t.Helper()
	events := s.Sink.Await(s.t, 1)
	if len(events) != 1 {
		s.t.Fatalf("%d calls were recorded, want 1", len(events))
	}
	return events[0]
}

// dial opens a connection to the gateway, for what clients don't do.
func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// raw sends bytes as they are and reads one answer.
func (s *site) raw(text string) (*http.Response, string) {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	go io.WriteString(c, text) // an answer may come before all is read
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(b)
}

// await takes what a channel gives, or fails.
func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("in vain awaited: %s", what)
	}
	return v
}

// problem reads a refusal (RFC 9457).
func problem(t *testing.T, res *http.Response, body string) map[string]any {
	t.Helper()
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("the Content-Type is %q", ct)
	}
	return object(t, body)
}

func object(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return m
}
