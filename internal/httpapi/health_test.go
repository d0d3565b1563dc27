package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

func (w *world) health(path string) (int, api.Health) {
	w.t.Helper()
	a := w.send("GET", path, "", "")
	var h api.Health
	if err := json.Unmarshal(a.body, &h); err != nil {
		w.t.Fatalf("%s = %d %s", path, a.status, a.body)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		w.t.Errorf("%s says 503 without Retry-After", path)
	}
	return a.status, h
}

// A server whose database is gone lives, and isn't ready.
func TestNotReadyWithoutItsDatabase(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.db.Close()
		if status, h := w.health("/readyz"); status != http.StatusServiceUnavailable || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], "database") {
			t.Errorf("readyz = %d %v", status, h)
		}
		if status, h := w.health("/readyz?for=decisions"); status != http.StatusOK || h.Status != "ok" {
			t.Errorf("readyz for decisions = %d %v, want 200: the lease lasts", status, h)
		}
		if status, h := w.health("/healthz"); status != http.StatusOK || h.Status != "ok" {
			t.Errorf("healthz = %d %v", status, h)
		}
	})
}

// What a commit survives is told by health and metrics: a file's by itself, and a
// single PostgreSQL server's as degraded, with the reasons.
func TestDurabilityIsTold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		if _, err := w.db.CheckDurability(t.Context(), store.StandbyNone); err != nil {
			t.Fatal(err)
		}
		want, warnings, metric := "full", 0, 0.0
		if w.db.Engine == store.Postgres {
			want, warnings, metric = "degraded", len(w.db.Durability().Reasons), 1
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, h := w.health(path); status != http.StatusOK || h.Durability != want || len(h.Warnings) != warnings {
				t.Errorf("%s = %d %+v, want durability %s and %d warnings", path, status, h, want, warnings)
			}
		}
		m, _ := w.scrape()
		if got := m["postern_durability_degraded"].GetMetric()[0].GetGauge().GetValue(); got != metric {
			t.Errorf("postern_durability_degraded = %v, want %v", got, metric)
		}
	})
}

// lag is a clock that tests put forward, beside the system's.
type lag struct {
	clock verify.Clock
	by    atomic.Int64
}

func (l *lag) Now() verify.Instant {
	i, by := l.clock.Now(), l.by.Load()
	return verify.Instant{Wall: i.Wall + by, Mono: i.Mono + by, Boot: i.Boot + by}
}

// A server whose lease has run out isn't ready, and can't tell whom it may answer.
func TestNotReadyWithoutItsLease(t *testing.T) {
	clock := &lag{clock: verify.SystemClock()}
	w := openWith(t, t.TempDir()+"/postern.db", verify.Config{Clock: clock})
	if status, h := w.health("/readyz"); status != http.StatusOK || h.Status != "ok" {
		t.Fatalf("readyz = %d %v", status, h)
	}
	w.stop() // nobody renews it any more
	clock.by.Store(int64(2 * time.Minute))
	for _, path := range []string{"/readyz", "/readyz?for=decisions"} {
		if status, h := w.health(path); status != http.StatusServiceUnavailable || len(h.Reasons) == 0 || !strings.Contains(h.Reasons[0], "lease") {
			t.Errorf("%s = %d %v", path, status, h)
		}
	}
	a := w.send("GET", "/v1/members/me", "pst_pak_x", "")
	if a.status == http.StatusOK || a.status == http.StatusForbidden {
		t.Errorf("a request without a lease = %d %s", a.status, a.body)
	}
}

// What waits is answered once the server stops, and goes on from there elsewhere.
func TestStopping(t *testing.T) {
	stopping := make(chan struct{})
	w := newWorld(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) { c.Stopping = stopping })
	if err := w.activity.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := w.send("GET", "/v1/activity?follow=true&wait=0s", w.secret, "")
	var page api.Calls
	if err := json.Unmarshal(first.body, &page); err != nil || first.status != http.StatusOK {
		t.Fatalf("follow = %d %s", first.status, first.body)
	}
	got, began := make(chan *answer, 1), time.Now()
	// Nothing that happens matches, so that only stopping can end the wait.
	go func() { got <- w.send("GET", "/v1/activity?follow=true&wait=1m&key=0000000000000000", w.secret, "") }()
	close(stopping)
	select {
	case a := <-got:
		var page api.Calls
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK || len(page.Items) != 0 || page.NextCursor == "" {
			t.Errorf("a wait that stopping ended = %d %s", a.status, a.body)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the wait goes on after %s", time.Since(began))
	}
	if status, h := w.health("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(strings.Join(h.Reasons, " "), "stopping") {
		t.Errorf("readyz = %d %v", status, h)
	}
	// One that comes while it stops learns where it stands all the same.
	late := w.send("GET", "/v1/activity?follow=true&wait=1m&key=0000000000000000", w.secret, "")
	page = api.Calls{}
	if err := json.Unmarshal(late.body, &page); err != nil || late.status != http.StatusOK || page.NextCursor == "" {
		t.Errorf("a wait begun while stopping = %d %s", late.status, late.body)
	}
	// Whoever is served already is served to the end.
	if a := w.send("GET", "/v1/members/me", w.secret, ""); a.status != http.StatusOK {
		t.Errorf("a request while stopping = %d %s", a.status, a.body)
	}
}

func (w *world) scrape() (map[string]*dto.MetricFamily, []byte) {
	w.t.Helper()
	a := w.send("GET", "/metrics", "", "")
	p := expfmt.NewTextParser(model.LegacyValidation)
	m, err := p.TextToMetricFamilies(bytes.NewReader(a.body))
	if err != nil || a.status != http.StatusOK {
		w.t.Fatalf("metrics = %d, %v\n%s", a.status, err, a.body)
	}
	return m, a.body
}

func series(m map[string]*dto.MetricFamily) (n int) {
	for _, f := range m {
		n += len(f.GetMetric())
	}
	return n
}

// Metrics are well-formed, hold no secret and no id, and don't grow with what is sent.
func TestMetrics(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	ctx := t.Context()
	round := func(n int) {
		k := must(w.super.CreateServiceKey(ctx, api.NewServiceKey{Name: fmt.Sprintf("key %d", n), Scopes: []string{"deals.read"}}))(t)
		must(w.super.ServiceKey(ctx, k.ID))(t)
		if _, err := w.super.ServiceKey(ctx, fmt.Sprintf("%016d", n)); !client.IsCode(err, "not_found") {
			t.Error(err)
		}
		w.send("GET", fmt.Sprintf("/nothing/%d", n), "", "")
		w.send("GET", fmt.Sprintf("/v1/nothing/%d", n), w.secret, "")
		w.send("POST", "/v1/setup", "", fmt.Sprintf(`{"link":"link%d"}`, n))
		w.send("GET", "/v1/members/me", fmt.Sprintf("pst_pak_%d", n), "")
		w.send(fmt.Sprintf("METHOD%d", n), "/v1/service-keys", w.secret, "")
		w.send(fmt.Sprintf("METHOD%d", n), "/", "", "")
	}
	round(0)
	before, _ := w.scrape()
	for n := 1; n < 40; n++ {
		round(n)
	}
	after, text := w.scrape()
	if a, b := series(before), series(after); b > a+5 || b > 500 {
		t.Errorf("%d series became %d", a, b)
	}
	for _, name := range []string{"postern_http_requests_total", "postern_http_request_duration_seconds", "postern_decisions_total", "postern_index_credentials",
		"postern_lease_held", "postern_feed_applied", "postern_activity_recorded_total", "postern_build_info", "go_goroutines"} {
		if after[name] == nil || after[name].GetHelp() == "" {
			t.Errorf("there is no %s", name)
		}
	}
	if got := after["postern_index_credentials"].GetMetric()[0].GetGauge().GetValue(); got != 41 {
		t.Errorf("postern_index_credentials = %v, want 41", got)
	}
	if got := after["postern_lease_held"].GetMetric()[0].GetGauge().GetValue(); got != 1 {
		t.Errorf("postern_lease_held = %v", got)
	}
	keys := must(w.super.ServiceKeys(ctx, client.KeyQuery{}))(t).Items
	for _, no := range []string{"pst_", w.secret, keys[0].ID, keys[0].MadeBy, string(w.account), "127.0.0.1", "METHOD", "link1", "nothing"} {
		if bytes.Contains(text, []byte(no)) {
			t.Errorf("the metrics hold %q", no)
		}
	}
	for _, no := range []string{w.secret, "link1", "METHOD1"} {
		if strings.Contains(w.log.String(), no) {
			t.Errorf("the log holds %q", no)
		}
	}
}

// A flood of requests doesn't keep a key alive: what ends keys has its own lane.
func TestEndingHasItsOwnLane(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db", func(c *httpapi.Config) { c.InFlight = 1 })
	k := must(w.super.CreateServiceKey(t.Context(), api.NewServiceKey{Name: "sync"}))(t)
	release := w.takePlace()
	defer release()
	if a := w.send("GET", "/v1/service-keys", w.secret, ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.problem(t).Code != "unavailable" {
		t.Fatalf("a request beyond the limit = %d %s", a.status, a.body)
	}
	if a := w.send("POST", "/v1/service-keys/"+k.ID+"/revoke", w.secret, ""); a.status != http.StatusOK {
		t.Errorf("revoking under load = %d %s", a.status, a.body)
	}
	if status, _ := w.health("/healthz"); status != http.StatusOK {
		t.Errorf("health under load = %d", status)
	}
}

// takePlace makes a request take a place among those being served, and keep it
// until it is released: the server asks for its body, and the body doesn't come.
// A request before it may still be leaving when its answer is here, so it tries
// until it is let in.
func (w *world) takePlace() (release func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	c := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	body, end := io.Pipe()
	served, answered := make(chan struct{}), make(chan struct{}, 1)
	var gone sync.WaitGroup
	try := func() {
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { close(served) }})
		req, err := http.NewRequestWithContext(traced, "POST", w.url+"/v1/service-keys", io.NopCloser(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.secret)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Expect", "100-continue")
		gone.Go(func() {
			if res, err := c.Do(req); err == nil {
				res.Body.Close()
			}
			answered <- struct{}{}
		})
	}
	release = func() {
		cancel()
		end.Close()
		gone.Wait()
	}
	for try(); ; try() {
		select {
		case <-served:
			return release
		case <-answered:
		case <-time.After(10 * time.Second):
			release()
			w.t.Fatal("no request was let in")
		}
	}
}
