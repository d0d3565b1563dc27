package workbench

import (
	"cmp"
	"context"
	"slices"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

// Board is the whole migration of an account.
type Board struct {
	Items    []*View // those that need someone most come first within their stage
	Off, All int
	Full     int // of those that are left, may do everything
	// Stops is when the first of the old credentials that are left is to stop; zero where none is.
	Stops time.Time
	// Finish is when it ends at the pace so far; zero where there is none to tell.
	Finish   time.Time
	Calendar []Dated
	// Partial is how many items there was no time to look at in full.
	Partial int
	More    bool // there are more old credentials than a board shows
	Now     time.Time
}

// mostItems is how many old credentials a board shows; boardTime how long it looks at their calls.
const (
	mostItems = 2000
	boardTime = 1500 * time.Millisecond
)

// Of gives the items of a stage.
func (b *Board) Of(s Stage) (out []*View) {
	for _, v := range b.Items {
		if v.Stage == s {
			out = append(out, v)
		}
	}
	return out
}

// Left is how many are not switched off.
func (b *Board) Left() int { return b.All - b.Off }

// Board gives all items of an account.
func (s *Service) Board(ctx context.Context, by postern.Actor) (*Board, error) {
	g, err := s.ground(ctx, by)
	if err != nil {
		return nil, err
	}
	items, err := s.cfg.Keyring.MigrationItems(ctx, by)
	if err != nil {
		return nil, err
	}
	b := &Board{Now: g.now}
	decided := map[postern.KeyID]*store.MigrationItem{}
	for k := range items {
		if items[k].Key != "" {
			decided[items[k].Key] = &items[k]
		}
	}
	stop := time.Now().Add(boardTime)
	add := func(i store.MigrationItem, l *postern.LegacyCredential) error {
		whole := time.Now().Before(stop) && i.EndedAt.IsZero() && (l == nil || l.State(g.now) != postern.LegacyEnded)
		f, err := s.facts(ctx, g, i, l, whole)
		if err != nil {
			return err
		}
		v := Stand(f)
		if v.Partial && v.Stage != SwitchedOff {
			b.Partial++
		}
		b.Items = append(b.Items, v)
		return nil
	}
	list, more, err := s.legacy(ctx, by)
	if err != nil {
		return nil, err
	}
	b.More = more
	for k := range list {
		l := &list[k]
		i := store.MigrationItem{AccountID: by.AccountID, Key: l.ID, Name: l.Name, CreatedAt: l.CreatedAt}
		if d := decided[l.ID]; d != nil {
			i = *d
		}
		if err := add(i, l); err != nil {
			return nil, err
		}
	}
	for k := range items {
		if items[k].Key == "" {
			if err := add(items[k], nil); err != nil {
				return nil, err
			}
		}
	}
	b.sum()
	return b, nil
}

func (s *Service) legacy(ctx context.Context, by postern.Actor) (out []postern.LegacyCredential, more bool, err error) {
	var after store.Cursor
	for len(out) < mostItems {
		const page = 500
		list, err := s.cfg.Keyring.LegacyList(ctx, by, store.LegacyFilter{}, after, page)
		if err != nil {
			return nil, false, err
		}
		out = append(out, list...)
		if len(list) < page {
			return out, false, nil
		}
		last := &list[len(list)-1]
		after = store.Cursor{At: int64(postern.ToMicros(last.CreatedAt)), ID: string(last.ID)}
	}
	return out, true, nil
}

// sum puts the items in order and adds them up.
func (b *Board) sum() {
	slices.SortStableFunc(b.Items, func(a, c *View) int {
		return cmp.Or(cmp.Compare(urgency(c), urgency(a)), cmp.Compare(c.Week, a.Week), cmp.Compare(a.Item.Name, c.Item.Name), cmp.Compare(a.ID, c.ID))
	})
	var first, last time.Time
	for _, v := range b.Items {
		b.All++
		if v.Stage == SwitchedOff {
			b.Off++
			at := v.Item.ArchivedAt
			if at.IsZero() && v.Legacy != nil {
				at = v.Legacy.RevokedAt
			}
			if !at.IsZero() {
				first, last = earlier(first, at), later(last, at)
			}
			continue
		}
		if v.Full {
			b.Full++
		}
		if v.Legacy != nil {
			for _, at := range []time.Time{v.Legacy.SunsetAt, v.Legacy.ExpiresAt} {
				if !at.IsZero() {
					b.Stops = earlier(b.Stops, at)
				}
			}
		}
	}
	b.Finish = forecast(b.Off, b.Left(), first, b.Now)
	b.Calendar = calendar(b.Items)
	slices.SortStableFunc(b.Calendar, func(a, c Dated) int { return a.From.Compare(c.From) })
}

// urgency has full access and keys in addresses come first.
func urgency(v *View) (n int) {
	if v.InAddress {
		n += 2
	}
	if v.Full {
		n += 2
	}
	if v.Seen.Weak {
		n++
	}
	return n
}

// forecast is when the rest is done at the pace so far. Of fewer than two that are
// done, or a pace of less than a day, nothing can be told.
func forecast(done, left int, first, now time.Time) time.Time {
	span := now.Sub(first)
	if done < 2 || left == 0 || first.IsZero() || span < aDay {
		return time.Time{}
	}
	return now.Add(span / time.Duration(done) * time.Duration(left))
}
