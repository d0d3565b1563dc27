package gateway_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door/doortest"
)

// TestLimitsAreExact: of many calls at once just as many pass as the limit has,
// and each of them is recorded once.
func TestLimitsAreExact(t *testing.T) {
	const limit, calls = 40, 160
	for _, name := range []string{"burst", "daily"} {
		t.Run(name, func(t *testing.T) {
			var passed atomic.Int64
			s := newSite(t, func(http.ResponseWriter, *http.Request) { passed.Add(1) })
			keys := []postern.Secret{s.Key(t), s.Key(t)}
			want := postern.ReasonDailyLimit
			if name == "burst" {
				// An hour, so that nothing comes back while the test runs.
				keys = []postern.Secret{s.Key(t, func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: limit, Per: time.Hour} })}
				want = postern.ReasonRateLimited
			} else {
				s.LimitDay(t, doortest.Account, limit)
			}
			var ok, refused atomic.Int64
			var all sync.WaitGroup
			for i := range calls {
				all.Go(func() {
					r := s.request("GET", "/things", keys[i%len(keys)], nil)
					res, err := s.client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
					switch res.StatusCode {
					case 200:
						ok.Add(1)
					case 429:
						refused.Add(1)
					}
				})
			}
			all.Wait()
			if ok.Load() != limit || refused.Load() != calls-limit || passed.Load() != limit {
				t.Errorf("%d passed, %d were refused and the upstream got %d; want %d, %d and %d", ok.Load(), refused.Load(), passed.Load(), limit, calls-limit, limit)
			}
			n := map[postern.Reason]int{}
			for _, e := range s.Sink.Await(t, calls) {
				n[e.Decision.Reason]++
			}
			if n[postern.ReasonAllowed] != limit || n[want] != calls-limit || len(n) != 2 {
				t.Errorf("recorded: %v", n)
			}
		})
	}
}

// TestLimitHeaders: every answer says what is left, and a refusal when to come again.
func TestLimitHeaders(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("RateLimit", "forged") })
	secret := s.Key(t, func(r *postern.CredentialRow) { r.Rate = postern.Rate{Calls: 2, Per: 10 * time.Second} })
	s.LimitDay(t, doortest.Account, 1000)
	for _, target := range []string{"/things", "/hs/things", "/hs/things", "/things"} {
		res, body := s.get(target, secret)
		h := res.Header
		want := `"burst";q=2;w=10, "daily";q=1000;w=86400`
		if res.StatusCode != 200 {
			want = `"burst";q=2;w=10` // refused before the day was looked at
		}
		if got := h.Get("Ratelimit-Policy"); got != want {
			t.Errorf("%s: the policy is %q", target, got)
		}
		if got := h["Ratelimit"]; len(got) != 1 || !strings.HasPrefix(got[0], `"burst";r=`) {
			t.Errorf("%s: what is left is %q", target, got)
		}
		hubspot := strings.HasPrefix(target, "/hs")
		if got := h.Get("X-HubSpot-RateLimit-Max"); (got == "2") != hubspot {
			t.Errorf("%s: HubSpot's limit is %q", target, got)
		}
		if hubspot && (h.Get("X-HubSpot-RateLimit-Interval-Milliseconds") != "10000" || res.StatusCode == 200 && h.Get("X-HubSpot-RateLimit-Daily") != "1000") {
			t.Errorf("%s: HubSpot's headers are %v", target, h)
		}
		if res.StatusCode == 200 {
			continue
		}
		if n, err := strconv.Atoi(h.Get("Retry-After")); res.StatusCode != 429 || err != nil || n < 1 || n > 10 {
			t.Errorf("%s: status %d, Retry-After %q", target, res.StatusCode, h.Get("Retry-After"))
		}
		if hubspot {
			m := object(t, body)
			if m["errorType"] != "RATE_LIMIT" || m["policyName"] != "TEN_SECONDLY_ROLLING" || m["message"] != "You have reached your ten_secondly_rolling limit." || m["correlationId"] == "" {
				t.Errorf("%s: %s", target, body)
			}
		} else if p := problem(t, res, body); p["reason"] != "rate_limited" {
			t.Errorf("%s: %s", target, body)
		}
	}
}

// TestDialects: each refusal, as a problem and as HubSpot's clients read it.
func TestDialects(t *testing.T) {
	s := newSite(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was passed on") })
	ended := time.Now().Add(-90 * time.Minute)
	for _, tt := range []struct {
		name             string
		secret           postern.Secret
		method, target   string
		status           int
		reason, category string
		challenge        string
	}{
		{"no credential", postern.Secret{}, "GET", "/things", 401, "no_credential", "INVALID_AUTHENTICATION", `Bearer realm="postern"`},
		{"malformed", postern.SecretOf("pst_sk_x"), "GET", "/things", 401, "malformed", "INVALID_AUTHENTICATION", `error="invalid_token"`},
		{"expired", s.Key(t, func(r *postern.CredentialRow) { r.ExpiresAt = ended }), "GET", "/things", 401, "expired", "EXPIRED_AUTHENTICATION", `error="invalid_token"`},
		{"revoked", s.Key(t, func(r *postern.CredentialRow) { r.RevokedAt = ended }), "GET", "/things", 401, "revoked", "INVALID_AUTHENTICATION", `error="invalid_token"`},
		{"missing scope", s.Key(t), "POST", "/things", 403, "insufficient_scope", "MISSING_SCOPES", `scope="things.write"`},
		{"no such path", s.Key(t), "GET", "/nothing", 404, "unknown_operation", "", ""},
		{"bad path", s.Key(t), "GET", "/things/%2e%2e", 400, "bad_request", "VALIDATION_ERROR", `error="invalid_request"`},
	} {
		res, body := s.do(s.request(tt.method, tt.target, tt.secret, nil))
		p := problem(t, res, body)
		if res.StatusCode != tt.status || p["reason"] != tt.reason || p["detail"] == "" || p["title"] == "" {
			t.Errorf("%s: %d %s", tt.name, res.StatusCode, body)
		}
		if got := res.Header.Get("Www-Authenticate"); !strings.Contains(got, tt.challenge) || (got == "") != (tt.challenge == "") {
			t.Errorf("%s: the challenge is %q", tt.name, got)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: it may be cached", tt.name)
		}
		res, body = s.do(s.request(tt.method, "/hs"+tt.target, tt.secret, nil))
		m := object(t, body)
		category, _ := m["category"].(string)
		if res.StatusCode != tt.status || m["status"] != "error" || category != tt.category || m["correlationId"] != res.Header.Get("X-Hubspot-Correlation-Id") {
			t.Errorf("%s, in HubSpot's dialect: %d %s", tt.name, res.StatusCode, body)
		}
		if strings.Contains(body, "things.read") {
			t.Errorf("%s: the caller learns what the key holds: %s", tt.name, body)
		}
	}
}
