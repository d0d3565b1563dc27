package journal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"postern.dev/postern"
)

// History is what journals say, of one server or of several nodes of it.
type History struct {
	Origin string
	Files  int
	Lines  int       // in all
	Until  time.Time // the latest time at which one of them said that it holds everything
	Torn   bool      // a file ends in a line that was not written whole, and that nobody was told of

	segments [][]segment // of each file
	lost     Line        // the latest start after the feed went back, of the latest epoch
	last     map[thing]*kept
}

// segment is a stretch without gaps of one life of the database: of backups that
// hold change from, and the entry audit of the audit log.
type segment struct{ epoch, from, through, audit int64 }

type thing struct {
	what What
	id   string
}

type kept struct {
	Line
	epoch int64
}

// Read reads journals. Each must be whole, authentic, and of the same server.
func Read(p *postern.Pepper, paths ...string) (*History, error) {
	h := &History{last: map[thing]*kept{}}
	for _, path := range paths {
		if err := h.add(p, path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return h, nil
}

func (h *History) add(p *postern.Pepper, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer f.Close()
	var segments []segment
	_, _, torn, err := read(f, p, func(l *Line) error {
		h.Lines++
		switch l.What {
		case Start:
			if h.Origin != "" && h.Origin != l.Origin {
				return errors.New("it is of another server than the others, or than the lines before")
			}
			h.Origin = l.Origin
			if l.LostFeed > 0 || l.Epoch > h.lost.Epoch {
				h.lost = *l
			}
			segments = append(segments, segment{l.Epoch, max(l.Feed, l.LostFeed), l.Feed, l.LostAudit})
			return nil
		case Mark:
			h.Until = latest(h.Until, postern.Micros(l.At).Time())
		}
		if len(segments) == 0 {
			return errors.New("it has no beginning")
		}
		now := &segments[len(segments)-1]
		if l.What == Mark {
			now.through = max(now.through, l.Feed)
			return nil
		}
		h.keep(&kept{*l, now.epoch})
		return nil
	})
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return errors.New("it is empty")
	}
	h.Files++
	h.Torn = h.Torn || torn
	h.segments = append(h.segments, segments)
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// keep holds on to how a thing went last. What ended stays ended.
func (h *History) keep(l *kept) {
	k := thing{l.What, l.ID}
	was := h.last[k]
	if was == nil {
		h.last[k] = l
		return
	}
	if compare(was, l) > 0 {
		was, l = l, was
	}
	if c, o := l.Credential, was.Credential; c != nil && o != nil {
		c.Gone = c.Gone || o.Gone
		c.Revoked, c.Deleted = cmp.Or(c.Revoked, o.Revoked), cmp.Or(c.Deleted, o.Deleted)
	}
	if m, o := l.Member, was.Member; m != nil && o != nil {
		m.Removed = cmp.Or(m.Removed, o.Removed)
	}
	h.last[k] = l
}

func compare(a, b *kept) int {
	return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.Feed, b.Feed), cmp.Compare(a.Audit, b.Audit))
}

// Epoch and Feed are the greatest that a journal names.
func (h *History) Epoch() (out int64) {
	for s := range h.all() {
		out = max(out, s.epoch)
	}
	return out
}

// Feed is the greatest number of a change that a journal names.
func (h *History) Feed() (out int64) {
	for s := range h.all() {
		out = max(out, s.through)
	}
	return out
}

func (h *History) all() func(func(segment) bool) {
	return func(yield func(segment) bool) {
		for _, file := range h.segments {
			for _, s := range file {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// Lost says up to which change, and to which entry of the audit log, the journals
// knew a feed that went back since, and when that was seen; zero where none did in
// the latest life of the database.
func (h *History) Lost() (feed, audit int64, at time.Time) {
	if h.lost.LostFeed == 0 {
		return 0, 0, time.Time{}
	}
	return h.lost.LostFeed, h.lost.LostAudit, postern.Micros(h.lost.LostAt).Time()
}

// Covers says why the journals don't hold every change since a backup; nil where
// they do. A backup of before the feed went back is of a history that the journal
// lost sight of, whatever its numbers.
func (h *History) Covers(epoch, feed, audit int64) error {
	var why error
	for _, file := range h.segments {
		i := len(file) - 1
		for i >= 0 && file[i].epoch != epoch {
			i--
		}
		switch {
		case i < 0:
			why = cmp.Or(why, errors.New("no journal is of the time of this backup"))
		case file[i].from > feed:
			why = fmt.Errorf("the journal begins, or goes on after a gap, at change %d, and the backup ends at %d", file[i].from, feed)
		case file[i].audit > audit:
			why = fmt.Errorf("the database forgot changes, and the journal begins anew at entry %d of the audit log; the backup ends at %d", file[i].audit, audit)
		case file[i].through < feed:
			why = fmt.Errorf("the journal ends at change %d, before the backup does at %d", file[i].through, feed)
		default:
			return nil
		}
	}
	return cmp.Or(why, errors.New("there is no journal"))
}

// After are the lines about what changed after a backup, each thing once, in the order of their changes.
func (h *History) After(epoch, feed, audit int64) (out []Line) {
	var list []*kept
	for _, l := range h.last {
		later := l.Feed > feed
		if l.What == WaysLine {
			later = l.Audit > audit
		}
		if l.epoch > epoch || l.epoch == epoch && later {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *kept) int {
		return cmp.Or(compare(a, b), cmp.Compare(a.What, b.What), cmp.Compare(a.ID, b.ID))
	})
	for _, l := range list {
		out = append(out, l.Line)
	}
	return out
}
