package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

const secret = "pst_pak_0123456789abcdef_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGabcdef"

func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, client.WithSecret(secret+"\n"), client.WithRetries(3, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(w http.ResponseWriter, status int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func TestRequest(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := []string{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(body)}
		want := []string{"PATCH", "/v1/service-keys/a%2Fb", "Bearer " + secret, `"7"`, "application/json", `{"expiresAt":null,"paused":true}`}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		answer(w, 200, "application/json", `{"id":"a/b","revision":8,"receipt":{"effective":"everywhere"}}`)
	})
	yes := true
	k, err := c.EditServiceKey(t.Context(), "a/b", api.EditServiceKey{Paused: &yes, ExpiresAt: api.None[time.Time]()}, client.IfRevision(7))
	if err != nil || k.Revision != 8 || k.Receipt == nil || k.Receipt.Effective != api.EffectiveEverywhere {
		t.Fatalf("EditServiceKey = %+v, %v", k, err)
	}
}

func TestProblem(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, 403, "application/problem+json", `{"type":"https://postern.dev/problems/insufficient_scope","title":"A scope is missing","status":403,
			"detail":"You don't hold crm.deals.write.","instance":"urn:postern:request:req1","field":"scopes","missingScopes":["crm.deals.write"]}`)
	})
	_, err := c.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "x"})
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("err = %v, want *client.Error", err)
	}
	want := &client.Error{Status: 403, Code: "insufficient_scope", Message: "You don't hold crm.deals.write.", Field: "scopes",
		MissingScopes: []string{"crm.deals.write"}, RequestID: "req1", RetryAfter: -1}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
	if !client.IsCode(fmt.Errorf("wrapped: %w", err), "insufficient_scope") {
		t.Error("IsCode doesn't see through a wrapped error")
	}
}

// A request is sent again where doing it twice is the same as once, and where the server says when.
func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		after  string
		do     func(*client.Client) error
		want   int32
	}{
		{"read", 503, "0", func(c *client.Client) error { _, err := c.Account(t.Context()); return err }, 3},
		{"limited", 429, "0", func(c *client.Client) error { _, err := c.Account(t.Context()); return err }, 3},
		{"server names no time", 503, "", func(c *client.Client) error { _, err := c.Account(t.Context()); return err }, 1},
		{"too long", 503, "3600", func(c *client.Client) error { _, err := c.Account(t.Context()); return err }, 1},
		{"other failure", 500, "0", func(c *client.Client) error { _, err := c.Account(t.Context()); return err }, 1},
		{"create", 503, "0", func(c *client.Client) error {
			_, err := c.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "x"})
			return err
		}, 1},
		{"create with a key", 503, "0", func(c *client.Client) error {
			_, err := c.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "x"}, client.IdempotencyKey("k1"))
			return err
		}, 3},
		{"delete", 503, "0", func(c *client.Client) error { _, err := c.DeleteServiceKey(t.Context(), "x"); return err }, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				answer(w, tt.status, "application/problem+json", `{"detail":"No."}`)
			})
			if err := tt.do(c); err == nil {
				t.Error("no error")
			}
			if got := calls.Load(); got != tt.want {
				t.Errorf("sent %d times, want %d", got, tt.want)
			}
		})
	}
}

// A redirect may lead anywhere; the secret must not go there.
func TestRedirectsAreRefused(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Account(t.Context())
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != 307 {
		t.Errorf("err = %v, want a refused redirect", err)
	}
	if elsewhere.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hj, _, _ := w.(http.Hijacker).Hijack()
		hj.Close()
	})
	_, err := c.Account(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", c, c), fmt.Sprintf("%+v", err)} {
		if strings.Contains(text, "0123456789abcdefghijkl") {
			t.Errorf("the secret is in %q", text)
		}
	}
	bad, err := client.New("https://user:"+secret+"@example.org", client.WithSecret(secret))
	if bad != nil || err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("New = %v, %v", bad, err)
	}
	c, _ = client.New("http://127.0.0.1:1", client.WithSecret("two\nlines "+secret))
	if _, err := c.Account(t.Context()); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("err = %v", err)
	}
}

func TestPages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("cursor") {
		case "":
			answer(w, 200, "application/json", `{"items":[{"name":"a"},{"name":"b"}],"nextCursor":"2"}`)
		case "2":
			answer(w, 200, "application/json", `{"items":[{"name":"c"}],"nextCursor":"3"}`)
		default:
			answer(w, 200, "application/json", `{"items":[{"name":"d"}]}`)
		}
	})
	var got []string
	for s, err := range c.EachScope(t.Context(), client.ScopeQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Name)
	}
	if d := cmp.Diff([]string{"a", "b", "c", "d"}, got); d != "" {
		t.Error(d)
	}
}

func TestOtherServers(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, "text/html", "<p>Hello</p>") })
	if _, err := c.Account(t.Context()); err == nil || !strings.Contains(err.Error(), "no JSON") {
		t.Errorf("err = %v", err)
	}
}
