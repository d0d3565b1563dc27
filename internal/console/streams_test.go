package console

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"postern.dev/postern"
)

// TestStreamsAreBounded: four of a session and so many of a server; who closes one makes room.
func TestStreamsAreBounded(t *testing.T) {
	var s streams
	var open []func()
	more := func(session string, want bool) {
		t.Helper()
		closed, ok := s.open(session)
		if ok != want {
			t.Fatalf("open(%s) with %d open = %t, want %t", session, s.all, ok, want)
		}
		if ok {
			open = append(open, closed)
		}
	}
	for range streamsOfMost {
		more("a", true)
	}
	more("a", false)
	open[0]()
	open = open[1:]
	more("a", true)
	for s.all < streamsMost {
		more(postern.RandomText(8), true)
	}
	more("b", false)
	for _, closed := range open {
		closed()
	}
	if s.all != 0 || len(s.of) != 0 {
		t.Errorf("%d are open of %d sessions after all were closed", s.all, len(s.of))
	}
}

// stream opens a stream of events and waits for its first line; none where it was not let in.
func (b *browser) stream(ctx context.Context, path string) (*http.Response, *bufio.Reader) {
	b.w.t.Helper()
	res := must(b.c.Do(must(http.NewRequestWithContext(ctx, "GET", b.w.url+path, nil))(b.w.t)))(b.w.t)
	b.w.t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	if res.StatusCode == http.StatusOK {
		must(lines.ReadString('\n'))(b.w.t)
	}
	return res, lines
}

// TestStreamsOfASession: over its bound a page is told at once to ask again and again;
// what is open ends with the session.
func TestStreamsOfASession(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := w.createdKey("stream", "deals.read").Key
		events := "/keys/" + string(k.ID) + "/first-call/events"
		var open []*bufio.Reader
		for range streamsOfMost {
			res, lines := b.stream(t.Context(), events)
			if res.StatusCode != 200 {
				t.Fatalf("a stream = %d, want 200", res.StatusCode)
			}
			open = append(open, lines)
		}
		if res, _ := b.stream(t.Context(), events); res.StatusCode != http.StatusNoContent {
			t.Errorf("one stream too many = %d, want 204", res.StatusCode)
		}
		b.get("/keys/"+string(k.ID)+"/first-call.json").want(200, "waiting")
		b.get("/activity/live?after=1-1").want(200, `"pause":5`)
		// Another session has its own.
		ctx, stop := context.WithCancel(t.Context())
		if res, _ := w.login().stream(ctx, events); res.StatusCode != 200 {
			t.Errorf("a stream of another session = %d, want 200", res.StatusCode)
		}
		stop()
		// Only the head: at once, and without taking a place.
		for _, path := range []string{events, "/keys/" + string(k.ID) + "/first-call", "/activity/live?after=1-1"} {
			head := must(http.NewRequest("HEAD", w.url+path, nil))(t)
			if p := b.do(head); p.status != 200 || p.body != "" {
				t.Errorf("the head of %s = %d", path, p.status)
			}
		}
		b.post("/signout")
		for _, lines := range open {
			must(io.Copy(io.Discard, lines))(t) // to its end, within a look
		}
	})
}

// TestStreamsEndWithTheServer: at once, whoever waits.
func TestStreamsEndWithTheServer(t *testing.T) {
	stopping := make(chan struct{})
	w := newWorld(t, t.TempDir()+"/postern.db", func(c *Config) { c.Stopping = stopping })
	b := w.login()
	k := w.createdKey("stream", "deals.read").Key
	_, lines := b.stream(t.Context(), "/keys/"+string(k.ID)+"/first-call/events")
	began := time.Now()
	close(stopping)
	must(io.Copy(io.Discard, lines))(t)
	b.get("/activity/live?after=1-1").want(200, `"calls":[]`)
	if took := time.Since(began); took > liveWait/2 {
		t.Errorf("they ended after %s", took)
	}
}

// TestLiveCallsEndWithTheSession: nobody who was signed out is told of a call.
func TestLiveCallsEndWithTheSession(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	b := w.login()
	done := make(chan *page)
	x := must(w.signin.Session(t.Context(), b.cookieOf(cookieSession)))(t)
	go func() { done <- b.get("/activity/live?after=1-1") }()
	for waits := false; !waits; { // until it waits
		w.console.streams.mu.Lock()
		waits = w.console.streams.all == 1
		w.console.streams.mu.Unlock()
		runtime.Gosched()
	}
	if err := w.signin.SignOut(t.Context(), x, postern.Actor{}); err != nil {
		t.Fatal(err)
	}
	if p := <-done; p.status != http.StatusUnauthorized {
		t.Errorf("the live list of a session that ended = %d, want 401", p.status)
	}
}
