package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/door/identity"
	"postern.dev/postern/internal/gateway"
)

// mirror answers with the headers, host and target that it got.
func mirror(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Got-Host", r.Host)
	r.Header.Set("Got-Target", r.RequestURI)
	r.Header.Set("Got-Method", r.Method)
	w.Header().Set("Got-Method", r.Method)
	json.NewEncoder(w).Encode(r.Header)
}

func mirrored(t *testing.T, body string) (h http.Header) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return h
}

// TestRequestHeaders: what reaches the upstream, and what doesn't.
func TestRequestHeaders(t *testing.T) {
	s := newSite(t, mirror)
	secret := s.Key(t)
	pass := []string{"Accept: text/x", "Cookie: a=b", "X-Custom: 1", "X-Custom: 2", "Range: bytes=0-1", "If-None-Match: \"x\"", "Traceparent: 00-x"}
	drop := []string{"Keep-Alive: 5", "Proxy-Connection: x", "Proxy-Authorization: Basic x", "TE: trailers", "Upgrade: h2c", "HTTP2-Settings: x",
		"X-Named: 1", "Postern-Account: acc_x", "Postern-Key: x", "Postern-Scopes: *", "Postern-Jwt: x", "Postern-Anything: x", "postern_account: x", "pOsTeRn-account-number: 9",
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /x", "X_Forwarded_For: 192.0.2.1", "X-Forwarded-User: root",
		"Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
		"Proxy: http://192.0.2.1", "True-Client-IP: 192.0.2.1", "True_Client_Ip: 192.0.2.1", "CF-Connecting-IP: 192.0.2.1", "CF-Connecting-IPv6: 2001:db8::1", "X-Client-IP: 192.0.2.1",
		"X-Cluster-Client-IP: 192.0.2.1", "X_Cluster_Client_IP: 192.0.2.1", "Client-IP: 192.0.2.1", "Fastly-Client-IP: 192.0.2.1", "Fly-Client-IP: 192.0.2.1"}
	text := "GET /things?a=1&a=%2F;b HTTP/1.1\r\nHost: api.example:81\r\nAuthorization: Bearer " + secret.Reveal() + "\r\n" +
		strings.Join(append(pass, drop...), "\r\n") + "\r\nConnection: close, X-Named, Postern-Account , x-forwarded-for\r\n\r\n"
	res, body := s.raw(text)
	if res.StatusCode != 200 {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	h := mirrored(t, body)
	if got := h["Authorization"]; len(got) > 0 {
		t.Error("the credential went on to the upstream")
	}
	for _, line := range pass {
		name, value, _ := strings.Cut(line, ": ")
		if !slices.Contains(h[http.CanonicalHeaderKey(name)], value) {
			t.Errorf("%s did not reach the upstream", line)
		}
	}
	row := s.event()
	want := map[string]string{"Postern-Account": string(doortest.Account), "Postern-Account-Number": "4242", "Postern-Key": string(row.Decision.KeyID()), "Postern-Scopes": "oauth things.read",
		"Postern-Request-Id": res.Header.Get("Postern-Request-Id"), "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "api.example:81", "X-Forwarded-Proto": "http",
		"Got-Host": strings.TrimPrefix(s.upstream.URL, "http://"), "Got-Target": "/things?a=1&a=%2F;b", "Got-Method": "GET"}
	for name, v := range want {
		if !slices.Equal(h[name], []string{v}) {
			t.Errorf("%s is %q, want %q", name, h[name], v)
		}
	}
	known := []string{"Accept", "Cookie", "X-Custom", "Range", "If-None-Match", "Traceparent", "Postern-Jwt"}
	for name := range h {
		if _, ok := want[name]; !ok && !slices.Contains(known, name) {
			t.Errorf("the upstream got %s: %q", name, h[name])
		}
	}
	if h["User-Agent"] != nil {
		t.Errorf("a user agent was made up: %q", h["User-Agent"])
	}
}

func TestKeepCredential(t *testing.T) {
	s := newSite(t, mirror, options{up: func(u *postern.Upstream) { u.Options.KeepCredential = true }})
	secret := s.Key(t)
	_, body := s.get("/things", secret)
	if got := mirrored(t, body).Get("Authorization"); got != "Bearer "+secret.Reveal() {
		t.Error("the credential did not reach the upstream that is to have it")
	}
}

// TestTrustedProxy: only a listed peer's word on the caller counts.
func TestTrustedProxy(t *testing.T) {
	trusted := options{world: []func(*door.Config){func(c *door.Config) { c.TrustedProxies = doortest.Loopback }}}
	s := newSite(t, mirror, trusted)
	for _, tt := range []struct {
		name, says string
		status     int
		ip, proto  string
	}{
		{"one address", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https", 200, "203.0.113.7", "https"},
		{"the caller says one too", "X-Forwarded-For: 192.0.2.1, 203.0.113.7", 200, "203.0.113.7", "http"},
		{"trusted proxies in between", "X-Forwarded-For: 192.0.2.1, 203.0.113.7, 127.0.0.9", 200, "203.0.113.7", "http"},
		{"nothing said", "X-Forwarded-Proto: gopher", 200, "127.0.0.1", "http"},
		{"the other header does not count", "Forwarded: for=203.0.113.7", 200, "127.0.0.1", "http"},
		{"IPv6 with a port", "X-Forwarded-For: [2001:db8::7]:99", 200, "2001:db8::7", "http"},
		{"IPv4 in IPv6", "X-Forwarded-For: ::ffff:203.0.113.7", 200, "203.0.113.7", "http"},
		{"twice", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 203.0.113.8", 400, "", ""},
		{"no address", "X-Forwarded-For: unknown", 400, "", ""},
		{"an empty element", "X-Forwarded-For: 203.0.113.7,", 400, "", ""},
		{"a zone", "X-Forwarded-For: fe80::1%eth0", 400, "", ""},
		{"too many", "X-Forwarded-For: " + strings.Repeat("127.0.0.1,", 40) + "127.0.0.1", 400, "", ""},
	} {
		res, body := s.raw("GET /things HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + s.Key(t).Reveal() + "\r\n" + tt.says + "\r\n\r\n")
		e := s.event()
		if res.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, res.StatusCode, tt.status, body)
			continue
		}
		if tt.status != 200 {
			continue
		}
		if h := mirrored(t, body); h.Get("X-Forwarded-For") != tt.ip || h.Get("X-Forwarded-Proto") != tt.proto || e.IP.String() != tt.ip {
			t.Errorf("%s: the upstream got %q and %q, recorded was %s; want %s and %s", tt.name, h["X-Forwarded-For"], h["X-Forwarded-Proto"], e.IP, tt.ip, tt.proto)
		}
	}
}

// TestAnswerHeaders: an upstream speaks for itself, not for the gateway.
func TestAnswerHeaders(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, name := range []string{"Postern-Account", "Postern-Request-Id", "Postern-Key", "Connection", "Keep-Alive", "Proxy-Authenticate", "Te", "X-Named"} {
			h.Set(name, "forged")
		}
		h.Set("Connection", "X-Named")
		h["postern_account"] = []string{"forged"}
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Location", "http://elsewhere.example/")
		h.Set("X-Custom", "1")
		w.WriteHeader(302)
	})
	res, _ := s.get("/things", s.Key(t))
	if res.StatusCode != 302 || res.Header.Get("Location") != "http://elsewhere.example/" || len(res.Header["Set-Cookie"]) != 2 || res.Header.Get("X-Custom") != "1" {
		t.Errorf("the answer is changed: %d %v", res.StatusCode, res.Header)
	}
	for name, v := range res.Header {
		if slices.Contains(v, "forged") {
			t.Errorf("the caller got %s: %q", name, v)
		}
	}
	if id := res.Header["Postern-Request-Id"]; len(id) != 1 || len(id[0]) != 36 || id[0] != s.event().RequestID {
		t.Errorf("the request's id is %q", id)
	}
}

// TestIdentity: the JWT holds for whoever has the public keys, says what was
// decided, and is good at one upstream for a minute.
func TestIdentity(t *testing.T) {
	s := newSite(t, mirror)
	jwks := httptest.NewServer(s.Identity.JWKS())
	defer jwks.Close()
	res, err := s.client.Get(jwks.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&keys); err != nil || len(keys.Keys) != 2 {
		t.Fatalf("%d public keys, %v; want one of each pepper", len(keys.Keys), err)
	}
	for _, k := range keys.Keys {
		if !k.IsPublic() || k.Use != "sig" || k.Algorithm != "EdDSA" || k.KeyID == "" {
			t.Errorf("a key is %+v", k)
		}
	}
	claims := func(target string, secret postern.Secret) (c identity.Claims, std jwt.Claims, h http.Header) {
		t.Helper()
		_, body := s.get(target, secret)
		h = mirrored(t, body)
		tok, err := jwt.ParseSigned(h.Get("Postern-Jwt"), []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if typ := tok.Headers[0].ExtraHeaders["typ"]; typ != identity.TokenType {
			t.Errorf("the JWT is a %v", typ)
		}
		if err := tok.Claims(&keys, &std); err != nil {
			t.Fatal(err)
		}
		if err := tok.Claims(&keys, &c); err != nil {
			t.Fatal(err)
		}
		return c, std, h
	}
	secret := s.writer()
	c, std, h := claims("/things/1", secret)
	if err := std.ValidateWithLeeway(jwt.Expected{Issuer: "https://postern.example", AnyAudience: jwt.Audience{string(doortest.API)}, Time: time.Now()}, time.Second); err != nil {
		t.Error(err)
	}
	if c.Expires-c.IssuedAt > 60 || c.Account != doortest.Account || c.AccountNumber != 4242 || c.Scope != "oauth things.read things.write" ||
		c.Kind != "service_key" || c.Operation != "readThing" || string(c.Subject) != h.Get("Postern-Key") || c.ID == "" {
		t.Errorf("the claims are %+v", c)
	}
	if other, _, _ := claims("/lax/things/1", secret); other.Audience != doortest.Lax {
		t.Errorf("at another upstream the audience is %q", other.Audience)
	}
	s.Change(t, secret, func(r *postern.CredentialRow) { r.Scopes = []postern.Scope{"things.read"} })
	if narrowed, _, _ := claims("/things/1", secret); narrowed.Scope != "oauth things.read" {
		t.Errorf("after its scopes were narrowed the JWT says %q", narrowed.Scope)
	}
	for _, secret := range []postern.Secret{{}, secret} {
		_, body := s.get("/open", secret)
		h := mirrored(t, body)
		for _, name := range identity.Headers() {
			if !slices.Equal(h[name], []string{""}) {
				t.Errorf("of a public call the upstream gets %s: %q", name, h[name])
			}
		}
	}
}

// TestWhere: which upstream a call goes to, and with what path.
func TestWhere(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) }, options{up: func(u *postern.Upstream) {
		switch u.ID {
		case doortest.Lax:
			u.URL += "/base path/v1/"
		case doortest.Hosted:
			u.URL += "/hosted"
		}
	}})
	for _, tt := range []struct{ host, target, want string }{
		{"any.example", "/things", "/things"},
		{"any.example", "/things?", "/things?"},
		{"any.example", "/things?x=%zz&y;z", "/things?x=%zz&y;z"},
		{"any.example", "/lax/things/1", "/base%20path/v1/things/1"},
		{"any.example", "/lax/things/%E2%82%AC", "/base%20path/v1/things/%E2%82%AC"},
		{"any.example", "/lax/things/a;b", "/base%20path/v1/things/a;b"},
		{"any.example", "/hs/things", "/things"},
		{"any.example", "//hs/things", "/things"},
		{"hosted.example", "/things", "/hosted/things"},
		{"Hosted.Example.:8080", "/things", "/hosted/things"},
		{"hosted.example.evil.example", "/things", "/things"},
	} {
		res, body := s.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", tt.target, tt.host, s.Key(t).Reveal()))
		if res.StatusCode != 200 || body != tt.want {
			t.Errorf("%s %s: the upstream got %q (status %d), want %q", tt.host, tt.target, body, res.StatusCode, tt.want)
		}
		s.event()
	}
}

// TestMethods: HEAD follows GET and carries no body; a preflight goes through
// where the upstream wants it, any other OPTIONS does not.
func TestMethods(t *testing.T) {
	s := newSite(t, mirror)
	res, body := s.do(s.request("HEAD", "/things", s.Key(t), nil))
	if res.StatusCode != 200 || body != "" || res.Header.Get("Got-Method") != "HEAD" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
	if e := s.event(); e.BytesOut != 0 || e.Method != "HEAD" || e.Decision.Operation == nil {
		t.Errorf("HEAD: recorded %s with %d bytes", e.Method, e.BytesOut)
	}
	res, body = s.do(s.request("HEAD", "/things", postern.Secret{}, nil))
	if res.StatusCode != 401 || body != "" {
		t.Errorf("HEAD without a credential: %d %q", res.StatusCode, body)
	}
	s.event()
	preflight := func(target string) int {
		r := s.request("OPTIONS", target, postern.Secret{}, nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "GET")
		res, _ := s.do(r)
		s.event()
		return res.StatusCode
	}
	if got := preflight("/things"); got != 200 {
		t.Errorf("a preflight where it passes: %d", got)
	}
	if got := preflight("/lax/things"); got != 401 {
		t.Errorf("a preflight where it does not pass: %d", got)
	}
	res, _ = s.do(s.request("OPTIONS", "/things", s.Key(t), nil))
	if res.StatusCode != 405 || !strings.Contains(res.Header.Get("Allow"), "GET") {
		t.Errorf("OPTIONS that is no preflight: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

// TestBuiltin: an API that is compiled in gets what one elsewhere would get.
func TestBuiltin(t *testing.T) {
	s := newSite(t, mirror, options{
		gateway: func(c *gateway.Config) { c.Builtin = map[string]http.Handler{"builtin:api": http.HandlerFunc(mirror)} },
		up: func(u *postern.Upstream) {
			if u.ID == doortest.HubSpot {
				u.URL = "builtin:api"
			}
		},
	})
	secret := s.Key(t)
	r := s.request("GET", "/hs/things/a%20b?q=1", secret, nil)
	r.Header.Set("Postern-Account", "forged")
	_, body := s.do(r)
	h := mirrored(t, body)
	if h.Get("Postern-Account") != string(doortest.Account) || h.Get("Got-Target") != "/things/a%20b?q=1" || h.Get("Authorization") != "" || h.Get("Postern-Jwt") == "" {
		t.Errorf("it got %v", h)
	}
	if e := s.event(); e.Status != 200 || e.BytesOut == 0 {
		t.Errorf("recorded with status %d and %d bytes", e.Status, e.BytesOut)
	}
}
