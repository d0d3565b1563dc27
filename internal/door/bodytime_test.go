package door_test

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
)

// A body that doesn't come ends the request, whether it is read or not, and one
// that came in time doesn't end an answer that lasts.
func TestBodiesWithin(t *testing.T) {
	const least = 50 * time.Millisecond
	srv := httptest.NewServer(door.BodiesWithin(least, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unread" {
			return
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "late", http.StatusBadRequest)
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(4 * least):
			_, _ = io.WriteString(w, "whole")
		}
	})))
	defer srv.Close()
	for _, c := range []struct{ path, length, body, want string }{
		{"/read", "9", "a", "400"}, {"/unread", "9", "a", "200"}, {"/read", "1", "a", "200"}, {"/read", "0", "", "200"},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "POST "+c.path+" HTTP/1.1\r\nHost: x\r\nContent-Length: "+c.length+"\r\n\r\n"+c.body); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, " "+c.want+" ") {
			t.Errorf("%s with %q of %s bytes: %q, %v; want %s", c.path, c.body, c.length, line, err, c.want)
		}
		conn.Close()
	}
}
