package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"postern.dev/postern/api"
)

// pingEvery is how long the answer of the database is believed, so that asking
// for health can't burden it.
const pingEvery = time.Second

// readiness remembers whether the database answered.
type readiness struct {
	mu      sync.Mutex
	asked   time.Time
	reasons []string
}

// healthz answers while the process lives.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) { s.health(w, nil) }

// readyz answers whether requests should come here. With ?for=decisions it is about
// verifications and calls of the gateway alone, which need no database for as
// long as the lease lasts: what spreads those must not take every node away when
// the database is.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	var reasons []string
	select {
	case <-s.cfg.Stopping:
		reasons = append(reasons, "The server is stopping.")
	default:
	}
	stats := s.verifier.Stats()
	select {
	case <-s.verifier.Ready():
		if !stats.Alive {
			reasons = append(reasons, "The lease has run out: the database could not be reached for too long.")
		}
	default:
		reasons = append(reasons, "The index of credentials is not loaded yet.")
	}
	if stats.Halted != "" {
		reasons = append(reasons, "The lease is not renewed until an operator decides: "+stats.Halted)
	}
	if r.URL.Query().Get("for") != "decisions" {
		reasons = append(reasons, s.databases(r.Context())...)
	}
	s.health(w, reasons)
}

// databases says which of them don't answer.
func (s *server) databases(ctx context.Context) []string {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	if time.Since(s.ready.asked) < pingEvery {
		return s.ready.reasons
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	var reasons []string
	if err := s.cfg.DB.Ping(ctx); err != nil {
		reasons = append(reasons, "The database does not answer.")
		s.log.WarnContext(ctx, "not ready: the database does not answer", "err", err)
	}
	s.ready.reasons, s.ready.asked = reasons, time.Now()
	return reasons
}

func (s *server) health(w http.ResponseWriter, reasons []string) {
	d := s.cfg.DB.Durability()
	h, status := api.Health{Status: "ok", Durability: string(d.Level), Warnings: d.Reasons}, http.StatusOK
	if audit := s.cfg.Auditor.State(); !audit.Sound() {
		h.Warnings = append(slices.Clip(h.Warnings), "The audit log is broken. The log and the console say where.")
	}
	if s.cfg.Warnings != nil {
		h.Warnings = append(slices.Clip(h.Warnings), s.cfg.Warnings()...)
	}
	if len(reasons) > 0 {
		h.Status, h.Reasons, status = "unavailable", reasons, http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h)
}
