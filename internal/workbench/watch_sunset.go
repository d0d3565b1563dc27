package workbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern.dev/postern/internal/store"
)

// sunsetSteps are how long before a sunset it is told of; after it, what still works
// is told of every week, sunsetWeeks times.
var sunsetSteps = []time.Duration{30 * aDay, 7 * aDay, aDay, 0}

const sunsetWeeks = 8

// chase tells of the old credentials that work on although their sunset is near or
// over: of all of an account's that have it on one day at once, however many those
// are. They are looked for every hour.
func (w *Watcher) chase(ctx context.Context) error {
	now := w.cfg.Now()
	if now.Sub(w.chasedAt) < time.Hour && !w.chasedAt.IsZero() {
		return nil
	}
	list, err := w.cfg.DB.LegacySunsets(ctx, now, now.Add(sunsetSteps[0]+aDay)) // all of the day
	if err != nil {
		return err
	}
	var errs []error
	for i := range list {
		if n, ok := sunsetNews(&list[i], now); ok {
			errs = append(errs, w.cfg.Tell(ctx, n))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w.chasedAt = now
	return nil
}

// sunsetNews is what is told of a sunset at a time: pure.
func sunsetNews(s *store.LegacySunset, now time.Time) (n News, ok bool) {
	step := 0
	for _, before := range sunsetSteps {
		if !now.Before(s.At.Add(-before)) {
			step++
		}
	}
	over := now.Sub(s.At)
	if step == 0 || over >= sunsetWeeks*7*aDay {
		return n, false
	}
	if over > 0 {
		step += int(over / (7 * aDay))
	}
	what, works := s.Name, "works"
	if s.N > 1 {
		what, works = count(s.N, "old credential"), "work"
	}
	day := date(s.At)
	n = News{Account: s.Account, Waits: true, Dedupe: fmt.Sprintf("sunset:%s:%d", s.At.UTC().Format(time.DateOnly), step), Link: "/migration"}
	if over >= 0 {
		n.Subject = fmt.Sprintf("%s still %s after the sunset on %s", what, works, day)
		n.Words = "A sunset ends nothing by itself. Move what still calls, then switch it off; or set a later date, since callers are told of it."
		return n, true
	}
	n.Subject = fmt.Sprintf("%s: the sunset is on %s", what, day)
	n.Words = "Their callers are told that date with each answer. Move them before it. The board says what to do next."
	if s.N == 1 {
		n.Words = "Its callers are told that date with each answer. Move them before it. The board says what to do next."
	}
	return n, true
}
