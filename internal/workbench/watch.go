package workbench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// News is something that people should be told of an item, once for each Dedupe.
type News struct {
	Account postern.AccountID
	Owner   postern.MemberID
	Waits   bool // somebody has to do something, and nothing happened
	Dedupe  string
	Subject string
	Words   string
	Link    string
}

// WatchConfig is what a Watcher needs.
type WatchConfig struct {
	DB       *store.DB
	Activity *activity.Log
	Keyring  *keyring.Keyring
	// Tell tells people. May be nil.
	Tell func(ctx context.Context, n News) error
	// Leads, where set, says whether this node does what is done once in a cluster.
	Leads func() bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Watcher ends brownouts that break too much, names the callers that they met, ends
// what was switched off for long enough, and reminds of what waits. What it does is
// done once, however many nodes run; no decision about a call waits for it.
type Watcher struct {
	cfg  WatchConfig
	wake chan struct{}

	chasedAt time.Time // only Settle looks at it

	mu      sync.Mutex
	pending map[postern.KeyID]postern.AccountID
}

// NewWatcher makes a Watcher.
func NewWatcher(cfg WatchConfig) *Watcher {
	if cfg.Tell == nil {
		cfg.Tell = func(context.Context, News) error { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, wake: make(chan struct{}, 1), pending: map[postern.KeyID]postern.AccountID{}}
}

// Seen takes in what a batch of activity held. It never blocks for long, and asks nothing.
func (w *Watcher) Seen(list []activity.Seen) {
	some := false
	w.mu.Lock()
	for i := range list {
		if s := &list[i]; s.Reason == postern.ReasonBrownout {
			w.pending[s.Key], some = s.Account, true
		}
	}
	w.mu.Unlock()
	if some {
		w.poke()
	}
}

func (w *Watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		err := w.Look(ctx)
		if err == nil && (w.cfg.Leads == nil || w.cfg.Leads()) {
			err = w.Settle(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.cfg.Log.WarnContext(ctx, "the migration is looked at late", "err", err)
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
				waiting = false
			case <-w.wake:
				if err := w.Look(ctx); err != nil && ctx.Err() == nil {
					w.cfg.Log.WarnContext(ctx, "brownouts are looked at late", "err", err)
				}
			}
		}
	}
}

// Look judges the brownouts that refused something since the last look.
func (w *Watcher) Look(ctx context.Context) error {
	w.mu.Lock()
	todo := w.pending
	w.pending = map[postern.KeyID]postern.AccountID{}
	w.mu.Unlock()
	var errs []error
	for key, account := range todo {
		if err := w.judge(ctx, account, key); err != nil {
			errs = append(errs, err)
			w.mu.Lock()
			w.pending[key] = account
			w.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}

// judge looks at what a credential's latest brownout refused.
func (w *Watcher) judge(ctx context.Context, account postern.AccountID, key postern.KeyID) error {
	i, ok, err := w.cfg.DB.MigrationOf(ctx, key)
	if err != nil || !ok {
		return err
	}
	rec, err := w.cfg.DB.Legacy(ctx, account, key)
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	var window postern.Window
	for _, b := range rec.Legacy.Brownouts {
		if !now.Before(b.From) && b.From.After(window.From) {
			window = b
		}
	}
	if window.From.IsZero() {
		return nil // they were stopped
	}
	calls, who, err := w.refused(ctx, account, key, window)
	if err != nil || calls == 0 {
		return err
	}
	by := postern.Actor{AccountID: account, System: "migration"}
	if calls >= i.Budget.Calls || int64(len(who)) >= i.Budget.Callers {
		why := fmt.Sprintf("%s of %s refused, which is as many as its budget allows: %s.", count(calls, "call"), count(int64(len(who)), "caller")+" "+verbs(int(calls), "was", "were"), strings.Join(who[:min(3, len(who))], ", "))
		if _, _, err := w.cfg.Keyring.StopBrownouts(ctx, by, i.ID, why, who); err != nil {
			if errors.Is(err, postern.CodeConflict) {
				return nil // another node was faster
			}
			return err
		}
		w.cfg.Log.WarnContext(ctx, "a brownout broke too much and was stopped", "key_id", key, "account_id", account, "calls", calls, "callers", len(who))
		return w.cfg.Tell(ctx, News{Account: account, Owner: i.Owner, Dedupe: fmt.Sprintf("brownout_stop:%s:%d", i.ID, postern.ToMicros(window.From)),
			Subject: "The brownouts of " + i.Name + " were stopped", Words: why + " Nothing is refused any more. Give them the new secret, then schedule brownouts again.", Link: "/migration/" + i.ID})
	}
	if !slices.ContainsFunc(who, func(name string) bool { return !slices.Contains(i.Forgotten, name) }) {
		return nil
	}
	if _, err := w.cfg.Keyring.EditMigration(ctx, by, i.ID, "migration.forgotten", func(i *store.MigrationItem) error {
		for _, name := range who {
			if !slices.Contains(i.Forgotten, name) && len(i.Forgotten) < 50 {
				i.Forgotten = append(i.Forgotten, name)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return w.cfg.Tell(ctx, News{Account: account, Owner: i.Owner, Dedupe: fmt.Sprintf("brownout_met:%s:%d", i.ID, postern.ToMicros(window.From)),
		Subject: who[0] + " still uses " + i.Name, Words: "A brownout refused its calls. Give it the new secret.", Link: "/migration/" + i.ID})
}

// refused counts what a brownout refused on all nodes, and names whose calls those were.
func (w *Watcher) refused(ctx context.Context, account postern.AccountID, key postern.KeyID, in postern.Window) (calls int64, who []string, err error) {
	var after activity.Cursor
	for calls < keyring.MaxBudget.Calls {
		var page []postern.Activity
		page, after, err = w.cfg.Activity.Query(ctx, activity.Filter{Account: account, Key: key, Reason: postern.ReasonBrownout, Since: in.From}, after, 200)
		if err != nil {
			return 0, nil, err
		}
		for k := range page {
			calls++
			if name := callerName(page[k].UserAgent, page[k].IP); !slices.Contains(who, name) && int64(len(who)) < keyring.MaxBudget.Callers {
				who = append(who, name)
			}
		}
		if after.Zero() {
			break
		}
	}
	return calls, who, nil
}

// How long before it a brownout is told of, and how often of what waits.
const (
	tellBefore  = aDay
	remindAfter = 14 * aDay
	remindEvery = 7 * aDay
)

// Settle does what is due about the items of all accounts.
func (w *Watcher) Settle(ctx context.Context) error {
	errs := []error{w.chase(ctx)}
	for after := ""; ; {
		const page = 500
		list, err := w.cfg.DB.MigrationItems(ctx, "", true, after, page)
		if err != nil {
			return err
		}
		for i := range list {
			errs = append(errs, w.settle(ctx, &list[i]))
		}
		if len(list) < page {
			return errors.Join(errs...)
		}
		after = list[len(list)-1].ID
	}
}

func (w *Watcher) settle(ctx context.Context, i *store.MigrationItem) error {
	now, by := w.cfg.Now(), postern.Actor{AccountID: i.AccountID, System: "migration"}
	if i.Key == "" {
		return w.link(ctx, by, i)
	}
	rec, err := w.cfg.DB.Legacy(ctx, i.AccountID, i.Key)
	if err != nil {
		return err
	}
	l := &rec.Legacy
	switch {
	case l.State(now) == postern.LegacyEnded:
		return nil
	case !i.ArchivedAt.IsZero():
		if l.PausedAt.IsZero() {
			return w.resumed(ctx, by, i)
		}
		if now.Before(i.UndoUntil) {
			return nil
		}
		if _, _, err = w.cfg.Keyring.EndMigration(ctx, by, i.ID); errors.Is(err, postern.CodeConflict) {
			return nil // another node was faster
		}
		return err
	}
	for _, b := range l.Brownouts {
		if now.Before(b.From) && b.From.Sub(now) <= tellBefore {
			if err := w.cfg.Tell(ctx, News{Account: i.AccountID, Owner: i.Owner, Dedupe: fmt.Sprintf("brownout_soon:%s:%d", i.ID, postern.ToMicros(b.From)),
				Subject: "A brownout of " + i.Name + " begins on " + b.From.UTC().Format("2 January at 15:04 MST"),
				Words:   "Its calls are refused until " + b.Until.UTC().Format("15:04 MST") + ", so that whoever still uses it finds out. It can be stopped at any time.", Link: "/migration/" + i.ID}); err != nil {
				return err
			}
		}
	}
	since := later(later(i.PathAt, i.ScopesAt), later(later(i.KeyMadeAt, i.BrownedFrom), i.SignedAt))
	if since.IsZero() || now.Sub(since) < remindAfter {
		return nil
	}
	week := int64(now.Sub(since) / remindEvery)
	return w.cfg.Tell(ctx, News{Account: i.AccountID, Owner: i.Owner, Waits: true, Dedupe: fmt.Sprintf("migration_waits:%s:%d", i.ID, week), Subject: i.Name + " still waits to be moved",
		Words: fmt.Sprintf("Nothing was decided about it for %d days. Its page says what to do next.", int(now.Sub(since)/aDay)), Link: "/migration/" + i.ID})
}

// resumed notes that a credential that was switched off works again, since somebody
// resumed it: it must not end by itself.
func (w *Watcher) resumed(ctx context.Context, by postern.Actor, i *store.MigrationItem) error {
	_, err := w.cfg.Keyring.EditMigration(ctx, by, i.ID, "migration.resumed", func(i *store.MigrationItem) error {
		i.ArchivedAt, i.ArchivedBy, i.UndoUntil, i.PausedBefore = time.Time{}, "", time.Time{}, time.Time{}
		i.SignedAt, i.SignedBy, i.SignedNote = time.Time{}, "", ""
		return nil
	})
	return err
}

// link finds the credential of an item that an inventory made, once that is imported.
func (w *Watcher) link(ctx context.Context, by postern.Actor, i *store.MigrationItem) error {
	list, err := w.cfg.Keyring.LegacyByFingerprint(ctx, by, i.Fingerprint)
	if err != nil || len(list) == 0 {
		return err
	}
	err = w.cfg.Keyring.AddMigrations(ctx, by, []keyring.MigrationSeen{{Key: list[0].ID, Fingerprint: i.Fingerprint, Name: i.Name, Seen: i.Seen}})
	return err
}
