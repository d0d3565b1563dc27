package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern.dev/postern"
)

// TestAnswerStreams: each part of an answer reaches the caller before the
// upstream makes the next.
func TestAnswerStreams(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "application/octet-stream"} {
		next := make(chan struct{})
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				<-next
			}
		})
		res, err := s.client.Do(s.request("GET", "/things", s.Key(t), nil))
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := in.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%s: part %d is %q, %v", kind, i, line, err)
			}
			in.ReadString('\n')
			next <- struct{}{}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%s: after the end: %v", kind, err)
		}
		res.Body.Close()
		if e := s.event(); e.Status != 200 || e.BytesOut != 27 {
			t.Errorf("%s: recorded with status %d and %d bytes, want 200 and 27", kind, e.Status, e.BytesOut)
		}
	}
}

// TestUploadStreams: each part of a body reaches the upstream before the caller
// sends the next, and the answer may begin before the body ends.
func TestUploadStreams(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, "got "+line)
			w.(http.Flusher).Flush()
		}
	})
	r, w := io.Pipe()
	answers := make(chan *http.Response, 1)
	go func() {
		res, err := s.client.Do(s.request("POST", "/things", s.writer(), r))
		if err != nil {
			t.Error(err)
			close(answers)
			return
		}
		answers <- res
	}()
	io.WriteString(w, "0\n")
	res := await(t, answers, "the head of the answer")
	if res == nil {
		return
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for i := range 3 {
		if line, err := in.ReadString('\n'); line != fmt.Sprintf("got %d\n", i) {
			t.Fatalf("part %d came back as %q, %v", i, line, err)
		}
		fmt.Fprintf(w, "%d\n", i+1)
	}
	in.ReadString('\n')
	w.Close()
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if e := s.event(); e.BytesIn != 8 || e.BytesOut != 24 {
		t.Errorf("recorded with %d bytes in and %d out, want 8 and 24", e.BytesIn, e.BytesOut)
	}
}

// TestBigBodies: what is far larger than any buffer passes whole, both ways.
func TestBigBodies(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		io.CopyN(w, zeros{}, n)
	})
	const size = 64 << 20
	req := s.request("POST", "/things", s.writer(), io.LimitReader(zeros{}, size))
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("%d bytes came back, %v; want %d", n, err, size)
	}
	if e := s.event(); e.BytesIn != size || e.BytesOut != size {
		t.Errorf("recorded with %d bytes in and %d out", e.BytesIn, e.BytesOut)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func trailing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum, Postern-Account")
	io.Copy(w, r.Body)
	w.Header().Set("X-Sum", "7")
	w.Header().Set("Postern-Account", "forged")
	w.Header().Set(http.TrailerPrefix+"X-Late", "8")
	w.Header().Set(http.TrailerPrefix+"Postern-Late", "forged")
}

func TestTrailers(t *testing.T) {
	for _, on := range []bool{false, true} {
		got := make(chan http.Header, 1)
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) { trailing(w, r); got <- r.Trailer },
			options{up: func(u *postern.Upstream) { u.Options.Trailers = on }})
		req := s.request("POST", "/things", s.writer(), io.MultiReader(strings.NewReader("ab"), strings.NewReader("cd")))
		req.Trailer = http.Header{"X-Check": {"9"}, "Postern-Account": {"forged"}, "X-Forwarded-For": {"192.0.2.1"}, "Authorization": {"Bearer x"}, "X_original_url": {"/"}}
		res, body := s.do(req)
		sent := await(t, got, "the call")
		if body != "abcd" {
			t.Errorf("the body came back as %q", body)
		}
		want, wantSent := "map[]", "map[]"
		if on {
			want, wantSent = "map[X-Late:[8] X-Sum:[7]]", "map[X-Check:[9]]"
		}
		for name, v := range res.Trailer {
			if v == nil {
				delete(res.Trailer, name) // announced, and then left out
			}
		}
		if fmt.Sprint(res.Trailer) != want {
			t.Errorf("trailers on %t: the caller got %v, want %s", on, res.Trailer, want)
		}
		if fmt.Sprint(sent) != wantSent {
			t.Errorf("trailers on %t: the upstream got %v, want %s", on, sent, wantSent)
		}
		if res.Trailer != nil && !on || res.Header.Get("Trailer") != "" {
			t.Errorf("trailers on %t: announced %v", on, res.Trailer)
		}
	}
}

// TestUpgrade: a connection changes its protocol where the upstream may, and
// nowhere else, whatever the upstream says.
func TestUpgrade(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" && r.URL.Query().Get("force") == "" {
			io.WriteString(w, "plain")
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nPostern-Account: forged\r\n\r\n")
		io.Copy(c, rw)
	}
	head := func(s *site, target, upgrade string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + s.Key(t).Reveal() +
			"\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
	}
	t.Run("off", func(t *testing.T) {
		s := newSite(t, echo)
		if res, body := s.raw(head(s, "/things", "websocket")); res.StatusCode != 200 || body != "plain" {
			t.Errorf("asked for in vain: %d %s", res.StatusCode, body)
		}
		s.event()
		if res, _ := s.raw(head(s, "/things", "wébsocket")); res.StatusCode != 200 {
			t.Errorf("a bad name: %d", res.StatusCode)
		}
		s.event()
		if res, _ := s.raw(head(s, "/things?force=1", "websocket")); res.StatusCode != 502 {
			t.Errorf("the upstream changes it all the same: %d, want 502", res.StatusCode)
		}
		if e := s.event(); e.Status != 502 {
			t.Errorf("recorded with status %d", e.Status)
		}
	})
	t.Run("on", func(t *testing.T) {
		s := newSite(t, echo, options{up: func(u *postern.Upstream) { u.Options.Upgrades = true }})
		c := s.dial()
		io.WriteString(c, head(s, "/things", "websocket"))
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" {
			t.Fatalf("no upgrade: %v %v", res, err)
		}
		if got := res.Header.Values("Postern-Account"); len(got) > 0 {
			t.Errorf("the answer speaks for the gateway: %q", got)
		}
		for _, line := range []string{"one\n", "two\n"} {
			io.WriteString(c, line)
			if got, err := in.ReadString('\n'); got != line {
				t.Fatalf("%q came back as %q, %v", line, got, err)
			}
		}
		c.Close()
		if e := s.event(); e.Status != 101 || !e.Decision.Allowed {
			t.Errorf("recorded with status %d", e.Status)
		}
	})
}

// TestCallerGoesAway: the upstream's work ends when nobody waits for it.
func TestCallerGoesAway(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.client.Do(s.request("GET", "/things", s.Key(t), nil).WithContext(ctx))
		gone <- err
	}()
	await(t, began, "the call")
	leave()
	if err := await(t, ended, "the end of the upstream's work"); err != context.Canceled {
		t.Errorf("the upstream's work ended with %v", err)
	}
	if await(t, gone, "the client") == nil {
		t.Error("the client got an answer")
	}
	if e := s.event(); e.Status != 499 || !e.Decision.Allowed {
		t.Errorf("recorded with status %d, %v", e.Status, e.Decision.Reason)
	}
}

// TestBrokenBody: a body that breaks off is the caller's fault, and is not taken for a whole one.
func TestBrokenBody(t *testing.T) {
	read := make(chan error, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	})
	head := "POST /things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + s.writer().Reveal() + "\r\n"
	res, _ := s.raw(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnothex\r\n")
	if res.StatusCode != 400 {
		t.Errorf("bad chunks: status %d, want 400", res.StatusCode)
	}
	if err := await(t, read, "the upstream's end"); err == nil {
		t.Error("the upstream took half a body for the whole")
	}
	if e := s.event(); e.Status != 400 || e.BytesIn != 3 {
		t.Errorf("recorded with status %d and %d bytes", e.Status, e.BytesIn)
	}
}

// TestContinue: who is refused is told so before sending a body.
func TestContinue(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, tt := range []struct {
		secret postern.Secret
		first  string
	}{{s.Key(t), "HTTP/1.1 403 "}, {s.writer(), "HTTP/1.1 100 "}} {
		c := s.dial()
		fmt.Fprintf(c, "POST /things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", tt.secret.Reveal())
		line, err := bufio.NewReader(c).ReadString('\n')
		if !strings.HasPrefix(line, tt.first) {
			t.Errorf("the first line is %q, %v; want %q", line, err, tt.first)
		}
		c.Close()
		s.event()
	}
}

// TestHints: what an upstream sends before its answer passes, without headers that only the gateway sets.
func TestHints(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.Header().Set("Postern-Account", "forged")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "done")
	})
	c := s.dial()
	fmt.Fprintf(c, "GET /things HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", s.Key(t).Reveal())
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(all), "\r\n")
	if lines[0] != "HTTP/1.1 103 Early Hints" || !slices.Contains(lines, "HTTP/1.1 200 OK") || strings.Contains(string(all), "forged") {
		t.Errorf("the answers are\n%s", all)
	}
	if e := s.event(); e.Status != 200 || e.BytesOut != 4 {
		t.Errorf("recorded with status %d and %d bytes", e.Status, e.BytesOut)
	}
}
