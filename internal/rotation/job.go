package rotation

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// Config is what a Job needs.
type Config struct {
	DB       *store.DB
	Activity *activity.Log
	Keyring  *keyring.Keyring
	// Node is this node's lease, where there may be others; empty: there are none.
	Node string
	// Told is called when somebody should be told of something. May be nil.
	Told func()
	// Tell tells people of a campaign. May be nil.
	Tell func(ctx context.Context, n News) error
	Now  func() time.Time
	Log  *slog.Logger
}

// Job brings rotations to their ends.
type Job struct{ cfg Config }

// NewJob makes a Job.
func NewJob(cfg Config) *Job {
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	if cfg.Tell == nil {
		cfg.Tell = func(context.Context, News) error { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Job{cfg}
}

const (
	every   = time.Minute
	setting = "rotations_at"
)

// Run looks at the pending rotations each minute until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if err := j.IfDue(ctx); err != nil && ctx.Err() == nil {
			j.cfg.Log.WarnContext(ctx, "rotations are looked at late", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// IfDue looks at the pending rotations, unless some node did within the last minute.
func (j *Job) IfDue(ctx context.Context) error {
	now, due := j.cfg.Now(), false
	// Where nothing is planned, nothing is written.
	plans, err := j.cfg.DB.Rotations(ctx, "")
	if err != nil {
		return err
	}
	open, err := j.cfg.DB.OpenCampaigns(ctx, "", 1)
	if err != nil || len(plans)+len(open) == 0 {
		return err
	}
	_, err = j.cfg.DB.Write(ctx, func(tx *store.Tx) error {
		text, err := tx.Setting(ctx, setting)
		if err != nil {
			return err
		}
		last, _ := strconv.ParseInt(text, 10, 64)
		// Tickers of nodes aren't in step, and none of them is exact.
		if due = store.Due(postern.Micros(last).Time(), now, every-5*time.Second); !due {
			return nil
		}
		return tx.SetSetting(ctx, setting, strconv.FormatInt(int64(postern.ToMicros(now)), 10))
	})
	if err != nil || !due {
		return err
	}
	return errors.Join(j.campaigns(ctx), j.Settle(ctx))
}

// Settle looks at all pending rotations that have a plan, and does what is due.
func (j *Job) Settle(ctx context.Context) error {
	if st := j.cfg.Activity.Stats(); st.LastError != "" {
		// Silence would be ours, not the callers'.
		return errors.New("rotation: activity can't be written, so nobody knows who calls: " + st.LastError)
	}
	plans, err := j.cfg.DB.Rotations(ctx, "")
	if err != nil {
		return err
	}
	if len(plans) == 0 {
		return nil
	}
	// Before any use is read: what a node wrote before it said so is in what is read after.
	all, err := j.cluster(ctx, j.cfg.Now())
	if err != nil {
		return err
	}
	var errs []error
	for i := range plans {
		errs = append(errs, j.settle(ctx, &plans[i], &all))
	}
	return errors.Join(errs...)
}

func (j *Job) settle(ctx context.Context, p *postern.RotationPlan, all *cluster) error {
	if p.Altered {
		return nil
	}
	rec, ok, err := j.cfg.DB.AnyKey(ctx, p.Key)
	if err != nil {
		return err
	}
	uses, err := j.cfg.Activity.Uses(ctx, p.AccountID, p.Key)
	if err != nil {
		return err
	}
	use := postern.RotationUse{Known: all.known(p.BeganAt)}
	for _, u := range uses {
		switch u.Generation {
		case p.Generation:
			use.Old = u.LastAt
		case rec.Key.Current.Generation:
			use.Fresh = u.FirstAt
		}
	}
	now := j.cfg.Now()
	pending := ok && rec.Key.Rotating(now) && !rec.Key.Ended()
	if pending && p.Step(&rec.Key, use, now) == postern.RotationWaits {
		return nil
	}
	step, err := j.cfg.Keyring.SettleRotation(ctx, p.AccountID, p.Key, use)
	if err != nil {
		return err
	}
	switch step {
	case postern.RotationOver:
		j.cfg.Log.InfoContext(ctx, "an old secret ended: nobody used it", "key_id", p.Key, "account_id", p.AccountID)
		j.cfg.Told()
	case postern.RotationAsks:
		j.cfg.Log.InfoContext(ctx, "an old secret is still used at its deadline: it is held, and its people are asked", "key_id", p.Key, "account_id", p.AccountID)
		j.cfg.Told()
	}
	return nil
}
