package doortest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
	"postern.dev/postern/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// doors are the doors of one world, each behind a server.
type doors struct {
	*doortest.World
	secrets                    map[string]string
	gateway, verify, authorize string
	got                        chan *http.Request // what the upstream got
	legacyHeader               bool               // X-Api-Key is for imported credentials
}

func open(t *testing.T, configure ...func(*door.Config)) *doors {
	d := &doors{World: doortest.New(t, configure...), got: make(chan *http.Request, 1)}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.got <- r.Clone(r.Context())
		w.Write([]byte("done"))
	}))
	t.Cleanup(upstream.Close)
	g, err := gateway.New(gateway.Config{Door: d.Door, Identity: d.Identity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	for i := range d.Upstreams {
		d.Upstreams[i].URL = upstream.URL
	}
	if err := g.Set(d.Upstreams); err != nil {
		t.Fatal(err)
	}
	authorize, err := httpapi.AuthorizeHandler(httpapi.AuthorizeConfig{Door: d.Door, Identity: d.Identity})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(h http.Handler) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.DisableGeneralOptionsHandler = true
		s.Start()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	d.gateway, d.verify, d.authorize = serve(g), serve(httpapi.VerifyHandler(d.Door)), serve(authorize)
	d.secrets = d.Secrets(t)
	return d
}

// send writes lines to a server as they are, and reads an answer.
func send(t *testing.T, addr, method string, lines ...string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// TestVectors takes every attack to every door.
func TestVectors(t *testing.T) {
	open(t).vectors(t, doortest.Vectors())
}

// TestLegacyVectors takes old credentials to every door, where the operator lets
// them in besides as bearers, and where not.
func TestLegacyVectors(t *testing.T) {
	t.Run("switched on", func(t *testing.T) {
		d := open(t, func(c *door.Config) {
			c.LegacyHeader, c.LegacyQuery = "x-api-key", []string{string(doortest.API), string(doortest.HubSpot)}
		})
		d.legacyHeader = true
		d.vectors(t, doortest.LegacyVectors(true))
	})
	t.Run("switched off", func(t *testing.T) { open(t).vectors(t, doortest.LegacyVectors(false)) })
}

func (d *doors) vectors(t *testing.T, list []doortest.Vector) {
	for _, v := range list {
		v = v.Defaults()
		t.Run(v.Name, func(t *testing.T) {
			d.atGateway(t, v)
			d.atAuthorize(t, v)
			if !v.Header {
				d.atVerify(t, v)
			}
		})
	}
}

func (d *doors) lines(v doortest.Vector) (out []string) {
	for _, a := range v.Auth {
		out = append(out, "Authorization: "+doortest.Fill(a, d.secrets))
	}
	for _, h := range v.Headers {
		out = append(out, doortest.Fill(h, d.secrets))
	}
	return out
}

func (d *doors) atGateway(t *testing.T, v doortest.Vector) {
	lines := append([]string{v.Method + " " + doortest.Fill(v.Target, d.secrets) + " HTTP/1.1", "Host: " + v.Host}, d.lines(v)...)
	res, body := send(t, d.gateway, v.Method, lines...)
	if res.StatusCode != v.Status {
		t.Errorf("gateway: status %d, want %d: %s", res.StatusCode, v.Status, body)
	}
	d.silent(t, "gateway", res, body)
	if v.Server {
		return
	}
	e := d.recorded(t, "gateway", v)
	if !e.Decision.Allowed {
		select {
		case r := <-d.got:
			t.Errorf("gateway: the upstream got %s", r.RequestURI)
		default:
		}
		return
	}
	r := <-d.got
	d.forwarded(t, v, r, e)
}

// forwarded checks that what the upstream got is what was decided, and nothing
// by which the caller speaks for the gateway.
func (d *doors) forwarded(t *testing.T, v doortest.Vector, r *http.Request, e postern.Event) {
	if r.RequestURI != v.Forward || r.Method != v.Method {
		t.Errorf("the upstream got %s %s, want %s %s", r.Method, r.RequestURI, v.Method, v.Forward)
	}
	if r.URL.Path != e.Path {
		t.Errorf("the upstream got the path %q, and %q was decided", r.URL.Path, e.Path)
	}
	account, key := "", ""
	if v.Want == postern.ReasonAllowed {
		account, key = string(e.Decision.Account), string(e.Decision.KeyID())
	}
	for name, want := range map[string]string{"Postern-Account": account, "Postern-Key": key, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"} {
		if got := r.Header[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("the upstream got %s: %q, want %q", name, got, want)
		}
	}
	if jwt := r.Header["Postern-Jwt"]; len(jwt) != 1 || (jwt[0] != "") != (account != "") {
		t.Errorf("the upstream got the JWT %q", jwt)
	}
	if host := r.Header.Get("X-Forwarded-Host"); host != v.Host {
		t.Errorf("the upstream got the host %q, want %q", host, v.Host)
	}
	known := []string{"Postern-Account", "Postern-Account-Number", "Postern-Key", "Postern-Scopes", "Postern-Jwt", "Postern-Request-Id",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Accept-Encoding", "User-Agent", "Origin", "Access-Control-Request-Method", "Content-Length"}
	if !d.legacyHeader {
		known = append(known, "X-Api-Key") // then it is the upstream's own
	}
	for name := range r.Header {
		if !slices.Contains(known, name) {
			t.Errorf("the upstream got the header %s: %q", name, r.Header[name])
		}
	}
}

func (d *doors) atAuthorize(t *testing.T, v doortest.Vector) {
	if v.Server && !strings.HasPrefix(v.Target, "/") || strings.Contains(v.Target, "://") ||
		slices.ContainsFunc(v.Headers, func(h string) bool { return speaks(h) }) {
		return // what a proxy says itself, or would never say
	}
	lines := append([]string{"GET /authorize HTTP/1.1", "Host: " + v.Host, "X-Original-Method: " + v.Method,
		"X-Original-URI: " + doortest.Fill(v.Target, d.secrets), "X-Forwarded-For: 203.0.113.7"}, d.lines(v)...)
	res, body := send(t, d.authorize, "GET", lines...)
	if res.StatusCode != v.Status {
		t.Errorf("authorize: status %d, want %d: %s", res.StatusCode, v.Status, body)
	}
	d.silent(t, "authorize", res, body)
	e := d.recorded(t, "authorize", v)
	if e.Decision.Allowed {
		if got := res.Header["Postern-Account"]; len(got) != 1 || (got[0] != "") != (v.Want == postern.ReasonAllowed) {
			t.Errorf("authorize: the account %q", got)
		}
		if e.IP.String() != "203.0.113.7" {
			t.Errorf("authorize: the address %s", e.IP)
		}
	}
}

// speaks reports whether a header is one that a proxy sets itself.
func speaks(line string) bool {
	name, _, _ := strings.Cut(strings.ToLower(line), ":")
	return strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-original-")
}

func (d *doors) atVerify(t *testing.T, v doortest.Vector) {
	secret, ok := v.Bearer()
	if !ok {
		t.Fatalf("the vector is about a header: %q", v.Auth)
	}
	in := api.VerifyRequest{Secret: doortest.Fill(secret, d.secrets), Method: v.Method, Host: v.Host,
		Path: doortest.Fill(v.Target, d.secrets), RemoteIP: "203.0.113.7"}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post("http://"+d.verify+"/v1/verify", "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out api.VerifyAnswer
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("verify: %v: %s", err, body)
	}
	if res.StatusCode != 200 || out.Status != v.Status || out.Reason != v.Want.String() || out.Allowed != (v.Status == 200) {
		t.Errorf("verify: %d %s, want %d %s", res.StatusCode, body, v.Status, v.Want)
	}
	d.silent(t, "verify", res, string(body))
	d.recorded(t, "verify", v)
	http.DefaultClient.CloseIdleConnections()
}

// recorded checks that the call was recorded, once and as it was decided.
func (d *doors) recorded(t *testing.T, at string, v doortest.Vector) postern.Event {
	t.Helper()
	events := d.Sink.Await(t, 1)
	e := events[0]
	if len(events) != 1 || e.Decision.Reason != v.Want || e.Door != at {
		t.Errorf("%s: recorded %d times, as %v at %s; want once, as %v", at, len(events), e.Decision.Reason, e.Door, v.Want)
	}
	for name, s := range d.secrets {
		if len(s) > 30 && (strings.Contains(e.Path, s) || strings.Contains(e.UserAgent, s)) {
			t.Errorf("%s: the record holds the secret %q", at, name)
		}
	}
	return e
}

// silent checks that an answer holds no secret, and has what every answer has.
func (d *doors) silent(t *testing.T, at string, res *http.Response, body string) {
	t.Helper()
	var head strings.Builder
	res.Header.Write(&head)
	for name, s := range d.secrets {
		if len(s) > 30 && strings.Contains(head.String()+body, s) {
			t.Errorf("%s: the answer holds the secret %q", at, name)
		}
	}
}

// Callers with an old credential are told at every door that it goes, when, and
// where to read more, whether they are let through or not; others are told nothing.
func TestCallersAreToldOfTheSunset(t *testing.T) {
	d := open(t, func(c *door.Config) { c.LegacyQuery, c.LegacyPage = []string{"*"}, "https://acme.example/keys" })
	proxied := func(target string) []string {
		return []string{"GET /authorize HTTP/1.1", "Host: a", "X-Original-Method: GET", "X-Original-URI: " + target}
	}
	check := func(at, target, secret string, retiring bool, addr string, lines []string) *http.Response {
		t.Helper()
		res, body := send(t, addr, "GET", append(lines, "Authorization: Bearer "+d.secrets[secret])...)
		d.Sink.Await(t, 1)
		links := strings.Join(res.Header["Link"], ", ")
		dep, sun := res.Header["Deprecation"], res.Header["Sunset"]
		if retiring && (!slices.Equal(dep, []string{"@1767323045"}) || !slices.Equal(sun, []string{"Sat, 02 Jan 2027 03:04:05 GMT"}) ||
			!strings.Contains(links, `<https://acme.example/keys>; rel="deprecation"; type="text/html"`) || !strings.Contains(links, `rel="sunset"`)) {
			t.Errorf("%s %s with %s: %d, Deprecation %q, Sunset %q, Link %q: %s", at, target, secret, res.StatusCode, dep, sun, links, body)
		}
		if !retiring && (dep != nil || sun != nil || strings.Contains(links, "sunset")) {
			t.Errorf("%s %s with %s: Deprecation %q, Sunset %q, Link %q; want none", at, target, secret, dep, sun, links)
		}
		return res
	}
	for _, c := range []struct {
		target, secret string
		retiring       bool
	}{{"/things", "old key", true}, {"/things", "old ended", true}, {"/hs/nothing", "old token", true}, {"/things", "good", false},
		{"/things", "unknown", false}, {"/things", "revoked", false}} {
		if res := check("gateway", c.target, c.secret, c.retiring, d.gateway, []string{"GET " + c.target + " HTTP/1.1", "Host: a"}); res.StatusCode == 200 {
			<-d.got
		}
		check("authorize", c.target, c.secret, c.retiring, d.authorize, proxied(c.target))
	}
	// What is left of a query, for proxies that have to take the credential out.
	res, _ := send(t, d.authorize, "GET", proxied("/things?a=1&hapikey="+d.secrets["old key"]+"&b=2")...)
	d.Sink.Await(t, 1)
	if got := res.Header["Postern-Query"]; res.StatusCode != 200 || !slices.Equal(got, []string{"a=1&b=2"}) {
		t.Errorf("authorize: %d, Postern-Query %q", res.StatusCode, got)
	}
	body := `{"secret":"` + d.secrets["old key"] + `","method":"GET","path":"/things"}`
	answer, err := http.Post("http://"+d.verify, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var out api.VerifyAnswer
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil || out.DeprecatedAt != "2026-01-02T03:04:05Z" || out.SunsetAt != "2027-01-02T03:04:05Z" {
		t.Errorf("verify: %+v, %v", out, err)
	}
	d.Sink.Await(t, 1)
	http.DefaultClient.CloseIdleConnections()
}

// TestKeyInTheRefererGoesNoFurther: browsers send the address of the page that they
// come from, and the API and its logs have no use for the credential in it.
func TestKeyInTheRefererGoesNoFurther(t *testing.T) {
	d := open(t, func(c *door.Config) { c.LegacyQuery = []string{"*"} })
	for _, c := range []struct{ referer, want string }{
		{"https://app.example/page?a=1&hapikey=" + d.secrets["old key"], ""}, {"https://app.example/page?%48apiKey=x", ""}, {"https://app.example/page?a=1", "https://app.example/page?a=1"},
	} {
		res, _ := send(t, d.gateway, "GET", "GET /things?a=1&hapikey="+d.secrets["old key"]+" HTTP/1.1", "Host: a", "Referer: "+c.referer)
		d.Sink.Await(t, 1)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("with %s: %d", c.referer, res.StatusCode)
		}
		if got := (<-d.got).Header.Get("Referer"); got != c.want {
			t.Errorf("the Referer %q arrives as %q, want %q", c.referer, got, c.want)
		}
	}
}

// TestNothingToGuess: an unknown key and a wrong secret, of whatever key, get the
// same answer to the last byte.
func TestNothingToGuess(t *testing.T) {
	d := open(t)
	answer := func(addr string, lines ...string) string {
		res, body := send(t, addr, "GET", lines...)
		id := res.Header.Get("Postern-Request-Id")
		if id == "" {
			id = res.Header.Get("X-Hubspot-Correlation-Id")
		}
		var b strings.Builder
		res.Header.Del("Date")
		res.Header.Write(&b)
		d.Sink.Await(t, 1)
		if i := strings.Index(body, `"requestId":"`); i >= 0 {
			id = body[i+len(`"requestId":"`):][:36]
		}
		return res.Status + "\n" + strings.ReplaceAll(b.String()+body, id, "ID")
	}
	ask := map[string]func(secret string) string{
		"gateway": func(s string) string {
			return answer(d.gateway, "GET /things HTTP/1.1", "Host: a", "Authorization: Bearer "+s)
		},
		"gateway, hubspot": func(s string) string {
			return answer(d.gateway, "GET /hs/things HTTP/1.1", "Host: a", "Authorization: Bearer "+s)
		},
		"authorize": func(s string) string {
			return answer(d.authorize, "GET / HTTP/1.1", "Host: a", "X-Original-Method: GET", "X-Original-URI: /things", "Authorization: Bearer "+s)
		},
		"verify": func(s string) string {
			body := `{"secret":"` + s + `","method":"GET","path":"/things"}`
			res, err := http.Post("http://"+d.verify, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			res.Header.Del("Date")
			var h strings.Builder
			res.Header.Write(&h)
			d.Sink.Await(t, 1)
			i := strings.Index(string(b), `"requestId":"`) + len(`"requestId":"`)
			return res.Status + h.String() + string(b[:i]) + string(b[i+36:])
		},
	}
	for at, f := range ask {
		want := f(d.secrets["unknown"])
		for _, name := range []string{"not good", "not revoked", "not expired", "not paused", "not previous", "not foreign", "tampered"} {
			if got := f(d.secrets[name]); got != want {
				t.Errorf("%s: %s gets\n%s\nan unknown key gets\n%s", at, name, got, want)
			}
		}
		if f(d.secrets["revoked"]) == want && at != "gateway, hubspot" {
			t.Errorf("%s: the holder of a revoked secret is not told so", at)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestServerRefuses: what net/http refuses itself, it refuses before anyone decides.
func TestServerRefuses(t *testing.T) {
	d := open(t)
	good := "Authorization: Bearer " + d.secrets["good"]
	for name, lines := range map[string][]string{
		"two hosts":               {"GET /things HTTP/1.1", "Host: a", "Host: b", good},
		"no host":                 {"GET /things HTTP/1.1", good},
		"two lengths":             {"POST /things HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 2", good},
		"a length and chunks":     {"POST /things HTTP/1.1", "Host: a", "Content-Length: x", "Transfer-Encoding: chunked", good},
		"a blank before a colon":  {"GET /things HTTP/1.1", "Host: a", "Authorization : Bearer x"},
		"a NUL in a header":       {"GET /things HTTP/1.1", "Host: a", "X: a\x00b"},
		"a control in the target": {"GET /thi\x01ngs HTTP/1.1", "Host: a", good},
	} {
		res, body := send(t, d.gateway, "GET", lines...)
		if res.StatusCode != 400 {
			t.Errorf("%s: status %d, want 400: %s", name, res.StatusCode, body)
		}
	}
	if n := len(d.Sink.Take()); n != 0 {
		t.Errorf("%d calls were decided", n)
	}
}
