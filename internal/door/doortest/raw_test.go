package doortest_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
)

// TestRaw sends bytes that no client sends over one connection, and expects of
// each just the answers and the calls that follow: none is smuggled past a decision.
func TestRaw(t *testing.T) {
	w := doortest.New(t)
	got := make(chan string, 16)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			b = append(b, "…broken"...)
		}
		got <- r.Method + " " + r.RequestURI + " " + string(b)
	}))
	t.Cleanup(upstream.Close)
	g, err := gateway.New(gateway.Config{Door: w.Door, Identity: w.Identity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	for i := range w.Upstreams {
		w.Upstreams[i].URL = upstream.URL
	}
	if err := g.Set(w.Upstreams); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = door.Server(door.ServerConfig{Handler: g})
	server.Start()
	t.Cleanup(server.Close)
	secrets := w.Secrets(t)

	const get, post, auth, end = "GET /things HTTP/1.1\r\nHost: a\r\n", "POST /things HTTP/1.1\r\nHost: a\r\n", "Authorization: Bearer {writer}\r\n", "\r\n"
	const next = get + "Connection: close\r\n" + end // a second call, without a credential
	for _, tt := range []struct {
		name, send string
		statuses   string // of all answers
		calls      string // that the upstream got
	}{
		{"a good call", get + auth + "Connection: close\r\n" + end, "200", "GET /things "},
		{"a length and chunks: chunks count", post + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" + end + "1\r\nZ\r\n0\r\n\r\n" + next, "200 401", "POST /things Z"},
		{"a length that hides a call", post + auth + "Content-Length: 0\r\n" + end + next, "200 401", "POST /things "},
		{"equal lengths are one", post + auth + "Content-Length: 1\r\nContent-Length: 1\r\nConnection: close\r\n" + end + "Z", "200", "POST /things Z"},
		{"lengths that differ", post + auth + "Content-Length: 1\r\nContent-Length: 2\r\n" + end + "ZZ", "400", ""},
		{"a list of lengths", post + auth + "Content-Length: 1, 1\r\n" + end + "Z", "400", ""},
		{"a signed length", post + auth + "Content-Length: +1\r\n" + end + "Z", "400", ""},
		{"a negative length", post + auth + "Content-Length: -1\r\n" + end, "400", ""},
		{"an endless length", post + auth + "Content-Length: 99999999999999999999\r\n" + end, "400", ""},
		{"another coding", post + auth + "Transfer-Encoding: gzip, chunked\r\n" + end, "501", ""},
		{"chunked twice", post + auth + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + end, "501", ""},
		{"a coding with a tab", post + auth + "Transfer-Encoding: \x0bchunked\r\n" + end, "400", ""},
		{"chunks whose size is none", post + auth + "Transfer-Encoding: chunked\r\n" + end + "x\r\n", "400", "POST /things …broken"},
		{"a huge chunk size", post + auth + "Transfer-Encoding: chunked\r\n" + end + "fffffffffffffffff\r\n", "400", "POST /things …broken"},
		{"a header folded over lines is one line", get + "Authorization: Bearer\r\n {writer}\r\nConnection: close\r\n" + end, "200", "GET /things "},
		{"a folded first line", "GET /things HTTP/1.1\r\n Host: a\r\n" + end, "400", ""},
		{"a folded second credential", get + auth + " {good}\r\nConnection: close\r\n" + end, "401", ""},
		{"a blank before a colon", get + "Authorization : Bearer {writer}\r\n" + end, "400", ""},
		{"a header without a colon", get + "Authorization\r\n" + end, "400", ""},
		{"a NUL in a name", get + "X\x00: a\r\n" + end, "400", ""},
		{"a NUL in a value", get + "X: \x00\r\n" + end, "400", ""},
		{"a bare CR in a value", get + "X: a\rAuthorization: Bearer {writer}\r\n" + end, "400", ""},
		{"a NUL in the target", "GET /things\x00 HTTP/1.1\r\nHost: a\r\n" + auth + end, "400", ""},
		{"a blank in the target", "GET /things /open HTTP/1.1\r\nHost: a\r\n" + auth + end, "400", ""},
		{"no version", "GET /things\r\n" + end, "400", ""},
		{"a version to come", "GET /things HTTP/3.0\r\nHost: a\r\n" + auth + end, "505", ""},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", ""},
		{"two hosts", get + "Host: b\r\n" + auth + end, "400", ""},
		{"a host with a path", "GET /things HTTP/1.1\r\nHost: a/../b\r\n" + auth + end, "400", ""},
		{"the absolute form of another host", "GET http://hosted.example/things HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + auth + end, "200", "GET /things "},
		{"the absolute form without a path", "GET http://a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + auth + end, "404", ""},
		{"CONNECT to a host", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n" + auth + end, "400", ""},
		{"CONNECT to a path", "CONNECT /things HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + auth + end, "405", ""},
		{"OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + auth + end, "400", ""},
		{"a head that is too long", get + auth + "X: " + strings.Repeat("a", 40<<10) + "\r\n" + end, "431", ""},
		{"too many headers", get + auth + strings.Repeat("X: a\r\n", 8<<10) + end, "431", ""},
		{"a target that is too long", "GET /things?" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + auth + end, "414", ""},
		{"many credentials", get + strings.Repeat(auth, 50) + "Connection: close\r\n" + end, "400", ""},
		{"calls one after the other are decided one by one", get + auth + end + get + "Authorization: Bearer {revoked}\r\n" + end + post + auth + "Content-Length: 1\r\n" + end + "Z" + next, "200 401 200 401", "GET /things |POST /things Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			statuses := exchange(t, server.Listener.Addr().String(), doortest.Fill(tt.send, secrets))
			if statuses != tt.statuses {
				t.Errorf("the answers are %q, want %q", statuses, tt.statuses)
			}
			want := strings.Split(tt.calls, "|")
			if tt.calls == "" {
				want = nil
			}
			for _, call := range want {
				select {
				case g := <-got:
					if g != call {
						t.Errorf("the upstream got %q, want %q", g, call)
					}
				case <-time.After(10 * time.Second):
					t.Errorf("the upstream did not get %q", call)
				}
			}
			select {
			case g := <-got:
				t.Errorf("the upstream also got %q", g)
			default:
			}
		})
	}
}

// exchange sends bytes and gives the statuses of all answers, until the server hangs up.
func exchange(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.WriteString(c, text) // the answer may come before all is read
	}()
	in := bufio.NewReader(c)
	var statuses []string
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		statuses = append(statuses, res.Status[:3])
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			break
		}
		res.Body.Close()
		if res.Close {
			break
		}
	}
	<-written
	return strings.Join(statuses, " ")
}
