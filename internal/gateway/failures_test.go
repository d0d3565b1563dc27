package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
)

// lines are what was logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestUpstreamFails: whatever an upstream does wrong, the caller gets a problem
// that tells nothing of it, once, and the record says what was answered.
func TestUpstreamFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		change func(*postern.Upstream)
		status int
		kind   string
	}{
		{"down", nil, func(u *postern.Upstream) { u.URL = "http://127.0.0.1:" + unused(t) }, 502, "upstream_unreachable"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			func(u *postern.Upstream) { u.Options.Timeout = 30 * time.Millisecond }, 504, "upstream_timeout"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, 502, "upstream_unreachable"},
		{"too large a head", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("a", 300<<10)) }, nil, 502, "upstream_unreachable"},
		{"not HTTP", speak("hello\r\n\r\n"), nil, 502, "upstream_unreachable"},
		{"two lengths", speak("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), nil, 502, "upstream_unreachable"},
		{"no status", speak("HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n"), nil, 502, "upstream_unreachable"},
		{"a secret in what is wrong", speak("HTTP/1.1 2x0 pst_sk_leak\r\n\r\n"), nil, 502, "upstream_unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var logged lines
			s := newSite(t, tt.h, options{
				up: func(u *postern.Upstream) {
					if tt.change != nil {
						tt.change(u)
					}
				},
				gateway: func(c *gateway.Config) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) },
			})
			secret := s.Key(t)
			res, body := s.get("/things", secret)
			if res.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, tt.status, body)
			}
			p := problem(t, res, body)
			if p["type"] != "https://postern.dev/problems/"+tt.kind || p["status"] != float64(tt.status) || p["instance"] != "urn:postern:request:"+res.Header.Get("Postern-Request-Id") {
				t.Errorf("the problem is %v", p)
			}
			if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "leak") {
				t.Errorf("the caller is told of the upstream: %s", body)
			}
			if e := s.event(); e.Status != tt.status || !e.Decision.Allowed || e.BytesOut != int64(len(body)) {
				t.Errorf("recorded with status %d, %v, %d bytes", e.Status, e.Decision.Reason, e.BytesOut)
			}
			res, body = s.get("/hs/things", secret)
			if m := object(t, body); res.StatusCode != tt.status || m["status"] != "error" || m["message"] == "" || m["category"] != nil {
				t.Errorf("in HubSpot's dialect: %d %s", res.StatusCode, body)
			}
			s.event()
			if got := s.g.Stats(); got.Failed != 2 || got.InFlight != 0 {
				t.Errorf("the figures are %+v", got)
			}
			if strings.Contains(logged.String(), secret.Reveal()) || !strings.Contains(logged.String(), "upstream") {
				t.Errorf("logged:\n%s", logged.String())
			}
		})
	}
}

// unused is a port where nobody listens.
func unused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// speak answers with bytes as they are.
func speak(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, text)
	}
}

// TestUpstreamBreaksOff: half an answer is never taken for the whole.
func TestUpstreamBreaksOff(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"in chunks": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"by length": speak("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\nhalf"),
	} {
		s := newSite(t, h)
		res, err := s.client.Do(s.request("GET", "/things", s.Key(t), nil))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || string(b) != "half" {
			t.Errorf("%s: the caller got %q, %v; want half and an error", name, b, err)
		}
		if e := s.event(); e.Status != 200 || e.BytesOut != 4 {
			t.Errorf("%s: recorded with status %d and %d bytes", name, e.Status, e.BytesOut)
		}
	}
}

// TestNoUpstreamYet: an upstream that the verifier knows and the gateway doesn't is not ready.
func TestNoUpstreamYet(t *testing.T) {
	s := newSite(t, mirror)
	if err := s.g.Set([]postern.Upstream{{ID: doortest.API, URL: "ftp://x"}, s.Upstreams[1]}); err == nil || !strings.Contains(err.Error(), "upstream api") {
		t.Errorf("a URL that can't be called: %v", err)
	}
	res, body := s.get("/things", s.Key(t))
	if p := problem(t, res, body); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || p["type"] != "https://postern.dev/problems/upstream_unavailable" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	s.event()
	if res, body := s.get("/hs/things", s.Key(t)); res.StatusCode != 200 {
		t.Errorf("the other upstream: %d %s", res.StatusCode, body)
	}
}

// TestUpstreamMoves: calls go to where an upstream is now, and those on their way end where they began.
func TestUpstreamMoves(t *testing.T) {
	began, release := make(chan struct{}, 1), make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) { began <- struct{}{}; <-release; io.WriteString(w, "old") })
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "new") }))
	defer other.Close()
	secret := s.Key(t)
	answer := make(chan string, 1)
	go func() {
		_, body := s.get("/things", secret)
		answer <- body
	}()
	await(t, began, "the first call")
	for i := range s.Upstreams {
		s.Upstreams[i].URL = other.URL
	}
	if err := s.g.Set(s.Upstreams); err != nil {
		t.Fatal(err)
	}
	if _, body := s.get("/things", secret); body != "new" {
		t.Errorf("the next call came to the %s one", body)
	}
	close(release)
	if got := await(t, answer, "the first answer"); got != "old" {
		t.Errorf("the first call ended at the %s one", got)
	}
}

// TestStale: a node that lost its lease answers 503, whatever is presented, and
// passes nothing on.
func TestStale(t *testing.T) {
	s := newSite(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was passed on") })
	good := s.Key(t)
	s.Clock.Skip(2 * time.Minute) // the lease has run out, and nobody renews it
	for _, target := range []string{"/things", "/open", "/nothing", "/hs/things"} {
		for _, secret := range []postern.Secret{good, {}, postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID())} {
			res, body := s.get(target, secret)
			if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Www-Authenticate") != "" {
				t.Errorf("%s: %d %s", target, res.StatusCode, body)
			}
			if e := s.event(); e.Status != 503 || e.Decision.Reason != postern.ReasonUnavailable || e.Decision.Allowed {
				t.Errorf("%s: recorded %d, %v", target, e.Status, e.Decision.Reason)
			}
		}
	}
}

// TestPanic: a panic on the way is a 503, recorded, and kept to itself.
func TestPanic(t *testing.T) {
	for _, after := range []bool{false, true} {
		var logged lines
		s := newSite(t, nil, options{
			gateway: func(c *gateway.Config) {
				c.Builtin = map[string]http.Handler{"builtin:api": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if after {
						io.WriteString(w, "half")
						w.(http.Flusher).Flush()
					}
					panic("a secret")
				})}
			},
			up: func(u *postern.Upstream) { u.URL = "builtin:api" },
		})
		res, err := s.client.Do(s.request("GET", "/things", s.Key(t), nil))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		want := 503
		if after {
			want = 200
		}
		if res.StatusCode != want || (err != nil) != after || strings.Contains(string(b), "a secret") {
			t.Errorf("after the head %t: %d %q %v", after, res.StatusCode, b, err)
		}
		if e := s.event(); e.Status != want || e.Decision.Allowed {
			t.Errorf("after the head %t: recorded with status %d, allowed %t", after, e.Status, e.Decision.Allowed)
		}
		if strings.Contains(logged.String(), "a secret") {
			t.Error("the value of the panic was logged")
		}
	}
}

// TestCutOff: a call that lasts ends when its credential no longer permits it,
// within a second of the change, wherever it stands.
func TestCutOff(t *testing.T) {
	ending := map[string]func(*site, postern.Secret){
		"revoked": func(s *site, k postern.Secret) {
			s.Change(s.t, k, func(r *postern.CredentialRow) { r.RevokedAt = time.Now() })
		},
		"narrowed": func(s *site, k postern.Secret) { s.Change(s.t, k, func(r *postern.CredentialRow) { r.Scopes = nil }) },
		"paused": func(s *site, k postern.Secret) {
			s.Change(s.t, k, func(r *postern.CredentialRow) { r.PausedAt = time.Now() })
		},
		"suspended": func(s *site, _ postern.Secret) { s.Suspend(s.t, doortest.Account) },
		"expires":   func(s *site, k postern.Secret) {}, // by itself
	}
	for name, end := range ending {
		t.Run(name, func(t *testing.T) {
			gone := make(chan error, 1)
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "data: 1\n\n")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				gone <- context.Cause(r.Context())
			})
			secret, other := s.Key(t), s.Key(t, func(r *postern.CredentialRow) { r.AccountID = doortest.OtherAccount })
			if name == "expires" {
				secret = s.Key(t, func(r *postern.CredentialRow) { r.ExpiresAt = time.Now().Add(300 * time.Millisecond) })
			}
			stream := s.open(secret)
			bystander := s.open(other)
			end(s, secret)
			changed := time.Now()
			if rest, err := io.ReadAll(stream); err == nil || len(rest) > 0 {
				t.Errorf("the stream ended with %q, %v; want an aborted answer", rest, err)
			}
			limit := 15 * time.Second // a second where nothing else runs; more would be a stream that is never cut
			if name == "expires" {
				limit += 2 * time.Second // expiry holds within 2 s
			}
			if took := time.Since(changed); took > limit {
				t.Errorf("the stream went on for %v", took)
			}
			await(t, gone, "the upstream's end")
			if e := s.event(); e.Status != 200 || e.BytesOut != 9 {
				t.Errorf("recorded with status %d and %d bytes", e.Status, e.BytesOut)
			}
			if got := s.g.Stats(); got.CutOff != 1 || got.InFlight != 1 {
				t.Errorf("the figures are %+v; another account's stream must go on", got)
			}
			bystander.(io.Closer).Close()
			await(t, gone, "the other's end")
			s.event()
		})
	}
}

// open begins a stream and gives what follows its first part.
func (s *site) open(secret postern.Secret) io.Reader {
	s.t.Helper()
	res, err := s.client.Do(s.request("GET", "/things", secret, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		s.t.Fatalf("status %d", res.StatusCode)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 9)); err != nil {
		s.t.Fatal(err)
	}
	return res.Body
}

// TestCutOffBeforeTheAnswer: who waits for an answer that hasn't begun is told why there is none.
func TestCutOffBeforeTheAnswer(t *testing.T) {
	began := make(chan struct{})
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) { close(began); <-r.Context().Done() })
	secret := s.Key(t)
	type answer struct {
		res  *http.Response
		body string
	}
	got := make(chan answer, 1)
	go func() {
		res, body := s.get("/things", secret)
		got <- answer{res, body}
	}()
	await(t, began, "the call")
	s.Change(t, secret, func(r *postern.CredentialRow) { r.RevokedAt = time.Now() })
	a := await(t, got, "the answer")
	if p := problem(t, a.res, a.body); a.res.StatusCode != 401 || p["reason"] != "revoked" {
		t.Errorf("%d %s", a.res.StatusCode, a.body)
	}
	if e := s.event(); e.Status != 401 || e.Decision.Reason != postern.ReasonRevoked || e.Decision.Allowed {
		t.Errorf("recorded with status %d, %v", e.Status, e.Decision.Reason)
	}
}

// TestCutOffStuck: neither an upload that stalls, nor a caller who doesn't read,
// nor a connection that was upgraded holds a call open.
func TestCutOffStuck(t *testing.T) {
	for _, name := range []string{"upload", "no reader", "upgraded"} {
		t.Run(name, func(t *testing.T) {
			began := make(chan struct{}, 1)
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				switch name {
				case "upload":
					began <- struct{}{}
					io.Copy(io.Discard, r.Body)
				case "no reader":
					began <- struct{}{}
					io.Copy(w, zeros{})
				case "upgraded":
					c, rw, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
					began <- struct{}{}
					io.Copy(c, rw)
				}
			}, options{up: func(u *postern.Upstream) { u.Options.Upgrades = true }})
			secret := s.writer()
			c := s.dial()
			method, more := "GET", ""
			switch name {
			case "upload":
				method, more = "POST", "Content-Length: 1000\r\n"
			case "upgraded":
				more = "Connection: Upgrade\r\nUpgrade: x\r\n"
			}
			fmt.Fprintf(c, "%s /things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%s\r\n", method, secret.Reveal(), more)
			await(t, began, "the call")
			changed := time.Now()
			s.Change(t, secret, func(r *postern.CredentialRow) { r.RevokedAt = time.Now() })
			e := s.event()
			if took := time.Since(changed); took > 15*time.Second {
				t.Errorf("the call went on for %v", took)
			}
			if name == "upload" {
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || res.StatusCode != 401 || e.Status != 401 {
					t.Errorf("the answer is %v, %v, recorded with status %d; want 401", res, err, e.Status)
				}
			}
			if got := s.g.Stats(); got.CutOff != 1 {
				t.Errorf("the figures are %+v", got)
			}
		})
	}
}
