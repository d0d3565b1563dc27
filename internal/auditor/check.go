package auditor

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/store"
)

const (
	settingCheck = "audit.check"     // what the latest check found
	settingDue   = "audit.check_due" // when the next one is

	// A check is made this often, or less often where the log is so long that it
	// would take more than a five-hundredth of the time.
	checkEvery = time.Hour
	share      = 500
)

// found is a check as it is kept.
type found struct {
	At     time.Time       `json:"at"`
	Took   time.Duration   `json:"took"`
	Report auditlog.Report `json:"report"`
}

// recall reads what the latest check found, on whichever node.
func (a *Auditor) recall(ctx context.Context) error {
	text, err := a.db.Setting(ctx, settingCheck)
	if err != nil || text == "" {
		return err
	}
	var f found
	if json.Unmarshal([]byte(text), &f) != nil {
		return nil // altered, or of another version: the next check writes it anew
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// What this node found broken stays so until a check of its own finds it sound.
	if f.At.After(a.state.At) && (a.state.Sound() || !f.Report.Sound) {
		a.state.At, a.state.Took, a.state.Report = f.At, f.Took, f.Report
	}
	return nil
}

// checkIfDue checks the log, unless some node did lately. What that one found is
// read when the time of the next check has moved.
func (a *Auditor) checkIfDue(ctx context.Context) error {
	now := a.cfg.Now()
	due, err := a.due(ctx, a.db)
	if err != nil {
		return err
	}
	if now.Before(due) || !a.leads() {
		if due.Equal(a.dueSeen) {
			return nil
		}
		if err := a.recall(ctx); err != nil {
			return err
		}
		a.dueSeen = due
		return nil
	}
	claimed := false
	_, err = a.db.Write(ctx, func(tx *store.Tx) error {
		due, err := a.due(ctx, tx)
		if claimed = err == nil && !now.Before(due); !claimed {
			return err
		}
		return setDue(ctx, tx, now.Add(checkEvery))
	})
	if err != nil || !claimed {
		return err
	}
	await(ctx, a.Begin(ctx))
	return nil
}

func (a *Auditor) due(ctx context.Context, from interface {
	Setting(ctx context.Context, name string) (string, error)
}) (time.Time, error) {
	text, err := from.Setting(ctx, settingDue)
	n, _ := strconv.ParseInt(text, 10, 64)
	return postern.Micros(n).Time(), err
}

func setDue(ctx context.Context, tx *store.Tx, at time.Time) error {
	return tx.SetSetting(ctx, settingDue, strconv.FormatInt(int64(postern.ToMicros(at)), 10))
}

// Begin checks the whole log now, or joins the check that runs. The channel is
// closed at its end. Whoever asked may go away; it ends with ctx alone.
func (a *Auditor) Begin(ctx context.Context) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running != nil {
		return a.running
	}
	done := make(chan struct{})
	a.running = done
	a.state.Running, a.state.Done, a.state.Total = true, 0, 0
	go func() {
		defer close(done)
		a.check(ctx)
	}()
	return done
}

func (a *Auditor) check(ctx context.Context) {
	began := time.Now()
	report, err := a.db.VerifyAudit(ctx, auditlog.Options{Keys: a.Keys(), Progress: func(done, total int64) {
		a.mu.Lock()
		a.state.Done, a.state.Total = done, total
		a.mu.Unlock()
	}})
	f := found{At: a.cfg.Now(), Took: time.Since(began), Report: report}
	a.mu.Lock()
	a.running, a.state.Running = nil, false
	if a.state.Failed = err != nil; err == nil {
		a.state.At, a.state.Took, a.state.Report = f.At, f.Took, f.Report
	}
	a.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			a.log.ErrorContext(ctx, "the audit log could not be checked", "err", err)
		}
		return
	}
	if first := report.First(); !report.Sound {
		a.alarm(ctx, first.Entry, first.Why)
	}
	if err := a.keep(ctx, &f); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "what the check of the audit log found could not be kept", "err", err)
	}
}

func (a *Auditor) keep(ctx context.Context, f *found) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = a.db.Write(ctx, func(tx *store.Tx) error {
		if err := setDue(ctx, tx, f.At.Add(max(checkEvery, share*f.Took))); err != nil {
			return err
		}
		return tx.SetSetting(ctx, settingCheck, string(text))
	})
	return err
}
