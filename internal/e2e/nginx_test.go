package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nginxConfig asks Postern before each call, as the documentation says: what
// isn't answered with 2xx, 401 or 403 is a failure, and denies.
const nginxConfig = `
daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log info;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    merge_slashes off;
    location / {
      auth_request /postern;
      auth_request_set $account $upstream_http_postern_account;
      auth_request_set $key $upstream_http_postern_key;
      auth_request_set $scopes $upstream_http_postern_scopes;
      auth_request_set $jwt $upstream_http_postern_jwt;
      auth_request_set $status_wanted $upstream_http_postern_status;
      auth_request_set $missing $upstream_http_www_authenticate;
      error_page 403 = @refused;
      proxy_set_header Postern-Account $account;
      proxy_set_header Postern-Key $key;
      proxy_set_header Postern-Scopes $scopes;
      proxy_set_header Postern-Jwt $jwt;
      proxy_set_header Authorization "";
      proxy_pass %[3]s;
    }
    location @refused {
      add_header Postern-Status $status_wanted always;
      return 403;
    }
    location = /postern {
      internal;
      proxy_pass %[4]s/authorize?statuses=nginx;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Method "";
      proxy_set_header X-Forwarded-Uri "";
      proxy_set_header X-Forwarded-Host "";
      proxy_set_header X-Original-URL "";
      proxy_set_header X-Original-Host "";
    }
  }
}
`

// startNginx runs the real nginx before an upstream, and gives its URL.
func startNginx(t *testing.T, postern, upstream string) string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		bin = "/usr/sbin/nginx" // Debian's place, not in everyone's path
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, dir, addr, upstream, postern), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx: %v", err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-done })
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return "http://" + addr
		}
		select {
		case <-done:
			t.Fatalf("nginx ended:\n%s", &out)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen:\n%s", &out)
		}
	}
}

// TestNginx: with auth_request in front of an API, nginx lets through what
// Postern allows, and nothing else; nothing at all when Postern is gone.
func TestNginx(t *testing.T) {
	d := startDemo(t)
	got := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		io.WriteString(w, "from the API")
	}))
	defer upstream.Close()
	front := startNginx(t, d.API, upstream.URL)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	call := func(method, target, secret string, header ...string) (int, http.Header, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, front+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
		for _, h := range header {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Add(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header, string(body)
	}
	forged := []string{"Postern-Account: forged", "Postern-Scopes: *", "X-Original-URI: /oauth/whatever", "X-Original-Method: POST",
		"X-Forwarded-Uri: /x", "X-Forwarded-Method: POST", "X-Forwarded-Host: evil.example", "X-Original-URL: http://evil.example/", "X-Forwarded-For: 192.0.2.1"}
	const deals = "/crm/v3/objects/deals"
	for _, headers := range [][]string{nil, forged} {
		status, _, body := call("GET", deals+"?limit=1", d.key, headers...)
		if status != 200 || body != "from the API" {
			t.Fatalf("an allowed call: %d %s", status, body)
		}
		h := <-got
		if !strings.HasPrefix(h.Get("Postern-Account"), "acc_") || h.Get("Postern-Key") == "" || h.Get("Postern-Scopes") == "*" || strings.Count(h.Get("Postern-Jwt"), ".") != 2 {
			t.Errorf("the API got the identity %v", h)
		}
		if h.Get("Authorization") != "" {
			t.Error("the API got the credential")
		}
	}
	for _, tt := range []struct {
		name, method, target, secret string
		status                       int
		wanted                       string // the status that Postern would say itself
	}{
		{"no credential", "GET", deals, "", 401, ""},
		{"an unknown key", "GET", deals, strings.Replace(d.key, "pst_sk_", "pst_sk_0", 1), 401, ""},
		{"a missing scope", "GET", "/crm/v3/objects/contacts", d.key, 403, "403"},
		{"no such path", "GET", "/nothing", d.key, 403, "404"},
		{"no such method", "TRACE", deals, d.key, 405, ""}, // nginx itself
		{"dot segments", "GET", "/crm/v3/objects/contacts/%2e%2e/deals", d.key, 403, "400"},
		{"an escaped slash", "GET", "/crm/v3%2Fobjects/deals", d.key, 403, "400"},
		{"empty segments", "GET", "/crm//v3/objects/deals", d.key, 403, "400"},
		{"a credential in the query", "GET", deals + "?hapikey=" + d.key, "", 401, ""},
	} {
		status, h, body := call(tt.method, tt.target, tt.secret)
		if status != tt.status || h.Get("Postern-Status") != tt.wanted {
			t.Errorf("%s: %d, Postern-Status %q; want %d and %q: %s", tt.name, status, h.Get("Postern-Status"), tt.status, tt.wanted, body)
		}
		if status == 401 && !strings.HasPrefix(h.Get("Www-Authenticate"), "Bearer ") {
			t.Errorf("%s: the challenge is %q", tt.name, h.Get("Www-Authenticate"))
		}
	}
	d.kill()
	if status, _, body := call("GET", deals, d.key); status != 500 {
		t.Errorf("with Postern gone: %d %s, want 500", status, body)
	}
	select {
	case h := <-got:
		t.Errorf("a refused call came through: %v", h)
	default:
	}
}
