package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/store"
)

// auditCheck shows what is known of the audit log, and checks it when somebody asks.
type auditCheck struct{ c *Console }

// checkView is what a page says of the log.
type checkView struct{ auditor.State }

// checkMoment is how long a page waits for a check to end before it shows its progress.
const checkMoment = time.Second

func (k *auditCheck) view() checkView { return checkView{k.c.cfg.Auditor.State()} }

// FirstBad is the entry at which the log is broken; 0 where all is well.
func (s checkView) FirstBad() int64 {
	entry, _ := s.Broken()
	return entry
}

// Why is what is wrong there.
func (s checkView) Why() string {
	_, why := s.Broken()
	return why
}

// Kind is the colour of the badge.
func (s checkView) Kind() string {
	switch {
	case s.Running:
		return "info"
	case s.FirstBad() != 0:
		return "bad"
	case s.Failed:
		return "warn"
	case s.At.IsZero():
		return ""
	}
	return "ok"
}

// begin checks now.
func (k *auditCheck) begin(v *visit) error {
	// Whoever asked may go away; the check goes on, and the server's end ends it.
	ctx, stop := k.c.untilStopping(context.WithoutCancel(v.r.Context()))
	done := k.c.cfg.Auditor.Begin(ctx)
	go func() {
		<-done
		stop()
	}()
	wait(v.r.Context(), done, checkMoment)
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

// proof is what to keep of a check: what it found, the newest checkpoint, and, of a
// broken log, the account's entries around the first bad one as they read now.
func (k *auditCheck) proof(v *visit) error {
	s := k.view()
	if s.At.IsZero() && s.FirstBad() == 0 {
		return postern.Errorf(postern.CodeNotFound, "The log was not checked yet. Open the audit log and choose Check now.")
	}
	at := s.At
	if at.IsZero() {
		at = v.now
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="audit-check-`+at.UTC().Format("2006-01-02T150405Z")+`.json"`)
	out := map[string]any{"checkedAt": at.UTC(), "entries": s.Report.Entries, "unbroken": s.FirstBad() == 0,
		"origin": k.c.cfg.Auditor.Origin(), "keys": k.c.cfg.Auditor.Keys()}
	if s.Report.Root != "" {
		out["root"] = s.Report.Root
	}
	if c, err := k.c.cfg.DB.AuditCheckpoint(v.r.Context(), 1<<62); err == nil {
		out["checkpoint"] = c.Note
	}
	if s.FirstBad() != 0 {
		out["firstBad"], out["why"], out["faults"] = s.FirstBad(), s.Why(), s.Report.Faults
		entries, err := k.c.kr.Audit(v.r.Context(), v.by, store.AuditFilter{}, s.FirstBad()+2, 3)
		if err == nil {
			near := []api.AuditEntry{}
			for _, e := range entries {
				row := auditRowOf(e, nil, auditFilter{})
				near = append(near, entryJSON(&row))
			}
			out["asItReadsNow"] = near
		}
	}
	return v.sayJSON(http.StatusOK, out)
}

// checkpoint is the newest, to be kept elsewhere.
func (k *auditCheck) checkpoint(v *visit) error {
	c, err := k.c.cfg.DB.AuditCheckpoint(v.r.Context(), 1<<62)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="audit-checkpoint-`+strconv.FormatInt(c.Number, 10)+`.txt"`)
	return v.send(http.StatusOK, []byte(c.Note))
}
