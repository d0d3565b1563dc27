package outgoing_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"postern.dev/postern/internal/outgoing"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"140.82.112.3": true, "1.1.1.1": true, "2606:50c0:8000::153": true, "64:ff9b::140.82.112.3": true, "2002:8c52:7003::1": true, "::ffff:140.82.112.3": true,
		"127.0.0.1": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "100.64.0.1": false,
		"169.254.169.254": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false,
		"255.255.255.255": false, "240.0.0.1": false, "::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "fec0::1": false,
		"::ffff:127.0.0.1": false, "::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2002:a00:1::": false, "2001::1": false,
		"2001:db8::1": false, "2001:10::1": false, "3fff::1": false, "2606::5efe:127.0.0.1": false, "2606::200:5efe:10.0.0.1": false, "2606:50c0::1%eth0": false,
		"100::1": false, "5f00::1": false, "192.88.99.1": false,
	} {
		if got := outgoing.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("Public(%s) = %v, want %v", text, got, want)
		}
	}
	if outgoing.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestGet(t *testing.T) {
	var calls atomic.Int64
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/fine", http.StatusFound)
		case "/long":
			w.Write(make([]byte, outgoing.MaxAnswer+1))
		default:
			w.Write([]byte("hello"))
		}
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	open := outgoing.Config{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Ports: []string{u.Port()}, Roots: roots}
	b, err := outgoing.New(open).Get(t.Context(), srv.URL+"/fine", nil)
	if err != nil || string(b) != "hello" {
		t.Fatalf("Get = %q, %v", b, err)
	}
	for path, says := range map[string]string{"/moved": "302", "/long": "too long"} {
		if _, err := outgoing.New(open).Get(t.Context(), srv.URL+path, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
	calls.Store(0)
	for _, spelt := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"} {
		shut := open
		shut.Networks = nil
		if _, err := outgoing.New(shut).Get(t.Context(), "https://"+spelt+":"+u.Port()+"/", nil); err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: %v, want it refused", spelt, err)
		}
	}
	for _, bad := range []string{"http://example.org/", "https://u:p@example.org/", "https://example.org:22/", "https:///x", "file:///etc/passwd", "://", "https:example.org"} {
		if _, err := outgoing.New(outgoing.Config{}).Get(t.Context(), bad, nil); err == nil {
			t.Errorf("%s is allowed", bad)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls came in, want none", n)
	}
}
