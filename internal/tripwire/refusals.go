package tripwire

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// countMost is how many of the latest calls are looked at.
const countMost = 500

// nodes is over how many nodes a burst may be spread and still be seen by one of them.
const nodes = 16

// tally is how many refused calls this node saw about some time.
type tally struct {
	at time.Time
	n  int64
}

// probes reports whether a refusal says that a key tried what it may not do. Limits,
// pauses and ends say nothing of that kind.
func probes(r postern.Reason) bool {
	switch r {
	case postern.ReasonInsufficientScope, postern.ReasonAddressNotAllowed, postern.ReasonUncovered, postern.ReasonUnknownOperation,
		postern.ReasonMethodNotAllowed, postern.ReasonWrongKind:
		return true
	}
	return false
}

// refusals looks whether calls with a key are refused in a burst. This node's own
// calls say when to look; what all nodes saw is counted.
func (w *Watcher) refusals(ctx context.Context, key postern.KeyID, f *keyFacts, account postern.AccountID, more int64) error {
	delete(w.bursts, key)
	p, err := w.policy(ctx, account)
	if err != nil {
		return err
	}
	now, span := w.cfg.Now(), time.Duration(p.RefusedMinutes)*time.Minute
	if more > 0 {
		f.refused = append(f.refused, tally{now, more})
		if len(f.refused) > 64 { // two of them become one
			f.refused[1].n += f.refused[0].n
			f.refused = slices.Delete(f.refused, 0, 1)
		}
	}
	f.refused = slices.DeleteFunc(f.refused, func(t tally) bool { return now.Sub(t.at) >= span })
	own := int64(0)
	for _, t := range f.refused {
		own += t.n
	}
	if p.Refused == postern.TripOff || own == 0 || own*nodes < int64(p.RefusedCalls) || now.Before(f.quiet[postern.TripRefused]) {
		return nil
	}
	if now.Sub(f.asked) < again {
		w.bursts[key] = account // counted a little later: a flood of refusals asks no flood of questions
		return nil
	}
	f.asked = now
	all, refused, latest, err := w.count(ctx, account, key, now.Add(-span))
	if err != nil || latest == nil || refused < p.RefusedCalls || refused*100 < all*p.RefusedPercent {
		return err
	}
	s := activity.Seen{Account: account, Key: key, Generation: latest.Generation, IP: latest.IP, UserAgent: latest.UserAgent}
	return w.trip(ctx, f, postern.TripRefused, &s, fmt.Sprintf("%d of the last %d calls, all within %d minutes, were refused: the key may not do what was asked for. The latest was %s, refused for %s.",
		refused, all, p.RefusedMinutes, callWords(latest.Method, latest.Operation), latest.Reason))
}

// count counts the latest calls of a key since a time, and those of them that were refused.
func (w *Watcher) count(ctx context.Context, account postern.AccountID, key postern.KeyID, since time.Time) (all, refused int, latest *postern.Activity, err error) {
	var after activity.Cursor
	for all < countMost {
		var page []postern.Activity
		page, after, err = w.cfg.Activity.Query(ctx, activity.Filter{Account: account, Key: key, Since: since}, after, 200)
		if err != nil {
			return 0, 0, nil, err
		}
		for i := range page {
			if all++; probes(page[i].Reason) {
				if refused++; latest == nil {
					latest = &page[i]
				}
			}
		}
		if after.Zero() {
			break
		}
	}
	return all, refused, latest, nil
}
