package doortest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/doortest"
	"postern.dev/postern/internal/gateway"
	"postern.dev/postern/internal/httpapi"
)

// inside are the doors of one world without a network between.
type inside struct {
	*doortest.World
	gateway, verify http.Handler
	good            string
	passed          string // the target that the upstream got; empty where it got none
}

func openInside(f *testing.F) *inside {
	d := &inside{World: doortest.New(f)}
	g, err := gateway.New(gateway.Config{Door: d.Door, Identity: d.Identity, Builtin: map[string]http.Handler{
		"builtin:x": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { d.passed = r.URL.EscapedPath() })}})
	if err != nil {
		f.Fatal(err)
	}
	for i := range d.Upstreams {
		d.Upstreams[i].URL = "builtin:x"
	}
	if err := g.Set(d.Upstreams); err != nil {
		f.Fatal(err)
	}
	d.gateway, d.verify, d.good = g, httpapi.VerifyHandler(d.Door), d.Key(f).Reveal()
	d.Sink.Discard()
	return d
}

// atGateway gives the status and the decision of a call.
func (d *inside) atGateway(method, target string, authorization []string) (int, postern.Event) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Method, r.RequestURI, r.Host = method, target, "api.example"
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	d.passed = ""
	w := httptest.NewRecorder()
	d.gateway.ServeHTTP(w, r)
	return w.Code, d.Sink.Last()
}

// FuzzTarget: verify and gateway decide the same about every target, and the
// upstream gets no path but the one that was decided.
func FuzzTarget(f *testing.F) {
	d := openInside(f)
	for _, v := range doortest.Vectors() {
		v = v.Defaults()
		f.Add(v.Method, v.Target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		if !utf8.ValidString(target) || !utf8.ValidString(method) || method == "" || target == "" || method == "OPTIONS" {
			return // JSON can't say it, or it is no call
		}
		body, err := json.Marshal(api.VerifyRequest{Secret: d.good, Method: method, Host: "api.example", Path: target})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/v1/verify", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.verify.ServeHTTP(w, r)
		var said api.VerifyAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
			t.Fatalf("verify: %d %s", w.Code, w.Body)
		}
		if w.Code != 200 {
			return // too long a question, or no text of a method
		}
		status, e := d.atGateway(method, target, []string{"Bearer " + d.good})
		if status != said.Status || e.Decision.Reason.String() != said.Reason {
			t.Errorf("%q %q: the gateway says %d %v, verify %d %s", method, target, status, e.Decision.Reason, said.Status, said.Reason)
		}
		if (d.passed != "") != said.Allowed {
			t.Errorf("%q %q: allowed %t, and the upstream got %q", method, target, said.Allowed, d.passed)
		}
		for _, bad := range []string{"//", "\\", "%2f", "%2F", "%5c", "%5C", "%00", "\x00", "%2e", "%2E"} {
			if strings.Contains(d.passed, bad) || strings.Contains(d.passed+"/", "/./") || strings.Contains(d.passed+"/", "/../") {
				t.Errorf("%q %q: the upstream got %q", method, target, d.passed)
			}
		}
	})
}

// FuzzCredential: only the one true form of a live secret opens anything, and
// the other doors take no other.
func FuzzCredential(f *testing.F) {
	d := openInside(f)
	for _, v := range doortest.Vectors() {
		for _, a := range v.Auth {
			f.Add(a, "")
		}
		if len(v.Auth) == 2 {
			f.Add(v.Auth[0], v.Auth[1])
		}
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		values := []string{strings.ReplaceAll(one, "{good}", d.good)}
		if two != "" {
			values = append(values, strings.ReplaceAll(two, "{good}", d.good))
		}
		status, e := d.atGateway("GET", "/things", values)
		whole := len(values) == 1 && len(values[0]) == len("bearer ")+len(d.good) &&
			strings.EqualFold(values[0][:len("bearer ")], "bearer ") && values[0][len("bearer "):] == d.good
		if (status == 200) != whole || e.Decision.Allowed != whole || (d.passed != "") != whole {
			t.Errorf("%q: status %d, %v", values, status, e.Decision.Reason)
		}
	})
}

// FuzzForwarded: a caller's address is the socket's, or one that a trusted peer
// wrote, or the call is refused.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "1.2.3.4, 203.0.113.7", "[2001:db8::1]:80", "fe80::1%eth0", "unknown", "", ",", "for=203.0.113.7", `for="[2001:db8::7]:1";proto=https, for=_x`,
		"for=1.2.3.4;for=1.2.3.5", "::ffff:127.0.0.1", "127.0.0.1, 127.0.0.1"} {
		f.Add(s, true, true)
		f.Add(s, true, false)
		f.Add(s, false, true)
	}
	worlds := map[string]*doortest.World{}
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		worlds[header] = doortest.New(f, func(c *door.Config) { c.TrustedProxies, c.AddressHeader = doortest.Loopback, header })
	}
	f.Fuzz(func(t *testing.T, value string, peer, plain bool) {
		header := "Forwarded"
		if plain {
			header = "X-Forwarded-For"
		}
		r := httptest.NewRequest("GET", "/things", nil)
		r.RequestURI = "/things"
		r.RemoteAddr = "198.51.100.1:1"
		if peer {
			r.RemoteAddr = "127.0.0.1:1"
		}
		r.Header[header] = []string{value}
		c := worlds[header].Door.Read(r, postern.DoorGateway)
		socket := netip.MustParseAddrPort(r.RemoteAddr).Addr()
		switch {
		case !peer && (c.RemoteIP != socket || c.Why != ""):
			t.Errorf("%q of a stranger: the address is %v, %q", value, c.RemoteIP, c.Why)
		case peer && c.Why == "" && c.RemoteIP.IsValid() && (c.RemoteIP.Zone() != "" || c.RemoteIP.Is4In6()):
			t.Errorf("%q: the address is %v", value, c.RemoteIP)
		case peer && c.Why == "" && c.RemoteIP.Is4() && !strings.Contains(value, c.RemoteIP.String()) && !strings.Contains(value, ":"):
			t.Errorf("%q: the address %v is made up", value, c.RemoteIP)
		}
	})
}

// FuzzQuestion: a question is answered only if it is one JSON object of known
// members, each once, and then as it would be decided whoever read the JSON.
func FuzzQuestion(f *testing.F) {
	d := openInside(f)
	for _, s := range []string{`{}`, `{"secret":"{good}","method":"GET","path":"/things"}`, `{"secret":"{good}","secret":"x"}`, `{"Secret":"x"}`, `{"secret":null}`,
		`{"secret":"\u0000","scopes":["a","b"]}`, `{"scopes":[]} x`, `[`, `{"secret":"\ud800"}`, "{\"secret\":\"\xff\"}", `{"remoteIp":"::1%x"}`, `{"a":{}}`, `{"secret":1}`, `{,}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body = bytes.ReplaceAll(body, []byte("{good}"), []byte(d.good))
		r := httptest.NewRequest("POST", "/v1/verify", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.verify.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%q: the answer is no JSON: %s", body, w.Body)
		}
		if w.Code == 400 {
			return
		}
		if w.Code == 413 && len(body) > 64<<10 {
			return
		}
		var in api.VerifyRequest
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			t.Fatalf("%q was answered with %d, and is no question: %v", body, w.Code, err)
		}
		var said api.VerifyAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code != 200 {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if said.Allowed && said.Reason == "allowed" && in.Secret != d.good {
			t.Errorf("%q is allowed", body)
		}
	})
}
