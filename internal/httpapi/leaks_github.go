package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/limit"
)

// GitHubConfig is what GitHubLeaksHandler needs.
type GitHubConfig struct {
	Door    *door.Door
	Leaks   *leaks.Intake
	Signers *leaks.Signers
	// FailuresPerSecond is how many reports with a wrong signature an address may send: 5 unless set.
	FailuresPerSecond int
}

const (
	githubTime  = 20 * time.Second // to read a report
	githubAhead = 8                // reports that are taken at once
	githubEach  = 2                // of these, from one address: who sends slowly keeps others out of no more
)

// GitHubLeaksHandler answers POST /leaks/github: a report of GitHub's secret
// scanning, in its partner protocol. Whoever sends one is known by the signature
// over its very bytes, and by nothing else.
func GitHubLeaksHandler(cfg GitHubConfig) http.Handler {
	if cfg.FailuresPerSecond <= 0 {
		cfg.FailuresPerSecond = 5
	}
	return cfg.Door.Recover(&githubHandler{cfg: cfg, failures: limit.NewThrottle(cfg.FailuresPerSecond), places: limit.NewPlaces(githubAhead, githubEach)})
}

type githubHandler struct {
	cfg      GitHubConfig
	failures *limit.Throttle
	places   *limit.Places // of reports that are being taken, by address
}

func (h *githubHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := h.cfg.Door.ReadOwn(r, keyring.ReservedUpstream, postern.DoorAPI)
	head := w.Header()
	head.Set(door.RequestIDHeader, call.RequestID)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	out, status := h.answer(w, r, call)
	if status != http.StatusOK {
		if status == http.StatusMethodNotAllowed {
			head.Set("Allow", http.MethodPost)
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			head.Set("Retry-After", "60")
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	head.Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

func (h *githubHandler) answer(w http.ResponseWriter, r *http.Request, call *door.Call) ([]leaks.Feedback, int) {
	from := limit.Network(call.RemoteIP)
	switch {
	case r.Method != http.MethodPost:
		return nil, http.StatusMethodNotAllowed
	case r.ContentLength > leaks.MaxGitHubBody:
		return nil, http.StatusRequestEntityTooLarge
	case h.failures.Spent(from):
		return nil, http.StatusTooManyRequests
	}
	leave, how := h.places.Enter(r.Context(), from, 0)
	if how != limit.Entered {
		return nil, http.StatusServiceUnavailable
	}
	defer leave()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(githubTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, leaks.MaxGitHubBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, http.StatusBadRequest
	}
	defer clear(body)
	id, sig := r.Header["Github-Public-Key-Identifier"], r.Header["Github-Public-Key-Signature"]
	if len(id) != 1 || len(sig) != 1 {
		h.failures.Take(from)
		return nil, http.StatusUnauthorized
	}
	switch err := h.cfg.Signers.Check(r.Context(), id[0], sig[0], body); {
	case errors.Is(err, leaks.ErrNoKeys):
		return nil, http.StatusServiceUnavailable
	case err != nil:
		h.failures.Take(from)
		return nil, http.StatusUnauthorized
	}
	matches, err := leaks.Matches(body)
	if err != nil {
		return nil, github(err)
	}
	out, err := h.cfg.Leaks.GitHub(r.Context(), matches, postern.Actor{IP: call.RemoteIP.String(), RequestID: call.RequestID})
	if err != nil {
		return nil, github(err)
	}
	return out, http.StatusOK
}

// github is the status of what went wrong behind a true signature.
func github(err error) int {
	if how, ok := table[postern.CodeOf(err)]; ok {
		return how.status
	}
	return http.StatusInternalServerError
}
