package node_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/node"
)

// TestHeadsAreBounded: a head of more than 32 KiB is 431 and a URL that is too
// long 414, on both listeners. Clients of the CRM put much into a URL.
func TestHeadsAreBounded(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	n, err := node.Open(ctx, node.Config{Data: t.TempDir(), CRM: true})
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	admin, gate := listen(), listen()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- n.Run(ctx, node.Listeners{Admin: admin, Gateway: gate}, time.Second, func() { close(ready) })
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what   string
		at     net.Listener
		path   string
		url    int // how long the URL is
		head   int // how long the head is with it, at least
		status int
		says   string
	}{
		{"a usual call", gate, "/crm/v3/objects/deals", 100, 200, 401, ""},
		{"a full head", gate, "/crm/v3/objects/deals", 100, 31 << 10, 401, ""},
		{"a head that is too long", gate, "/crm/v3/objects/deals", 100, 33 << 10, 431, ""},
		{"a head of 40 KB", gate, "/crm/v3/objects/deals", 100, 40_000, 431, ""},
		{"a long URL of the CRM", gate, "/crm/v3/objects/deals", 20 << 10, 21 << 10, 401, ""},
		{"one beyond what it takes", gate, "/crm/v3/objects/deals", 25 << 10, 26 << 10, 414, ""},
		{"a usual page", admin, "/healthz", 100, 200, 200, ""},
		{"a head that is too long", admin, "/healthz", 100, 33 << 10, 431, ""},
		{"a long URL of the API", admin, "/v1/service-keys", 9 << 10, 10 << 10, 414, "application/problem+json"},
		{"a long URL of nothing", admin, "/v1/nothing", 9 << 10, 10 << 10, 414, "application/problem+json"},
		{"a long URL of the console", admin, "/signin", 9 << 10, 10 << 10, 414, "application/problem+json"},
		{"a URL of the API that is just short enough", admin, "/healthz", 8 << 10, 9 << 10, 200, ""},
	} {
		url := tt.path + "?x="
		url += strings.Repeat("a", tt.url-len(url))
		head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Fill: ", url)
		head += strings.Repeat("b", max(tt.head-len(head)-4, 0)) + "\r\n\r\n"
		res, err := send(tt.at.Addr().String(), head)
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		if res.StatusCode != tt.status || tt.says != "" && res.Header.Get("Content-Type") != tt.says {
			t.Errorf("%s: %d %s, want %d %s", tt.what, res.StatusCode, res.Header.Get("Content-Type"), tt.status, tt.says)
		}
	}
}

// send sends a head as it is, and reads the head of the answer.
func send(address, head string) (*http.Response, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, head); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		res.Body.Close()
	}
	return res, err
}
