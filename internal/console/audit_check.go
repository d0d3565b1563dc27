package console

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"postern.dev/postern/internal/store"
)

// auditCheck checks the whole audit log when somebody asks, one check at a time,
// and remembers what the latest found. It runs on beside the pages, since a long
// log takes a while.
type auditCheck struct {
	c *Console

	mu      sync.Mutex
	running chan struct{} // closed at its end; nil while none runs
	done    int64
	total   int64
	at      time.Time
	verdict store.AuditVerdict
	err     error
}

// checkView is what a page says of the check.
type checkView struct {
	At          time.Time
	Verdict     store.AuditVerdict
	Failed      bool // it could not be made
	Running     bool
	Done, Total int64
}

// checkMoment is how long a page waits for a check to end before it shows its progress.
const checkMoment = time.Second

func (k *auditCheck) view() checkView {
	k.mu.Lock()
	defer k.mu.Unlock()
	return checkView{At: k.at, Verdict: k.verdict, Failed: k.err != nil, Running: k.running != nil, Done: k.done, Total: k.total}
}

// Kind is the colour of the badge.
func (s checkView) Kind() string {
	switch {
	case s.Running:
		return "info"
	case s.Failed:
		return "warn"
	case s.At.IsZero():
		return ""
	case s.Verdict.FirstBad != 0:
		return "bad"
	}
	return "ok"
}

// start begins a check, or joins the one that runs.
func (k *auditCheck) start(ctx context.Context) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running != nil {
		return k.running
	}
	done := make(chan struct{})
	k.running, k.done, k.total = done, 0, 0
	// Whoever asked may go away; the check goes on, and the server's end ends it.
	ctx, stop := k.c.untilStopping(context.WithoutCancel(ctx))
	go func() {
		defer stop()
		verdict, err := k.c.cfg.DB.VerifyAudit(ctx, func(done, total int64) {
			k.mu.Lock()
			k.done, k.total = done, total
			k.mu.Unlock()
		})
		if err != nil {
			k.c.log.ErrorContext(ctx, "the audit log could not be checked", "err", err)
		} else if verdict.FirstBad != 0 {
			k.c.log.ErrorContext(ctx, "the audit log is broken", "entry", verdict.FirstBad, "why", verdict.Why)
		}
		k.mu.Lock()
		k.running = nil
		if k.err = err; err == nil {
			k.at, k.verdict = k.c.now(), verdict
		}
		k.mu.Unlock()
		close(done)
	}()
	return done
}

// begin checks now.
func (k *auditCheck) begin(v *visit) error {
	wait(v.r.Context(), k.start(v.r.Context()), checkMoment)
	back := v.r.PostForm.Get("next")
	if path, _, _ := strings.Cut(back, "?"); path != "/audit" {
		back = "/audit"
	}
	return v.redirect(back)
}

// tell says to a script how far the check is.
func (k *auditCheck) tell(v *visit) error {
	s := k.view()
	return v.sayJSON(http.StatusOK, map[string]any{"running": s.Running, "done": s.Done, "total": s.Total})
}
