package journal

import (
	"context"
	"errors"

	"postern.dev/postern"
)

// A standby that takes over late, or a disk that is set back, forgets changes, and
// their numbers are given to others. What the journal says up to a number is then
// of changes that nobody made: it begins anew, and covers no backup from before.

var errBack = errors.New("the feed went back while it was read")

// wentBack says whether the feed isn't the one any more that was followed so far.
func (f *Follower) wentBack(ctx context.Context, x *file, feed, audit int64) (bool, error) {
	if feed < x.last.Feed || audit < x.last.Audit {
		return true, nil
	}
	_, err := f.readFrom(ctx, x.last.Feed, x.last.Last, 1)
	if errors.Is(err, errBack) {
		return true, nil
	}
	return false, err
}

// startAnew begins the journal again after the feed went back.
func (f *Follower) startAnew(ctx context.Context, x *file, feed, audit int64) error {
	last, err := f.changeAt(ctx, feed)
	if err != nil {
		return err
	}
	at := int64(postern.ToMicros(f.cfg.Now()))
	l := Line{What: Start, At: at, Origin: x.from.Origin, Epoch: x.last.Epoch, Feed: feed, Audit: audit, Last: last,
		LostFeed: max(x.last.Feed, x.from.LostFeed, feed), LostAudit: max(x.last.Audit, x.from.LostAudit, audit), LostAt: at}
	f.cfg.Log.ErrorContext(ctx, "the feed went back: the database forgot changes that the journal holds; make a backup once it is past the change named here as lost, because none that ends before it can be restored without the chance that a revoked key comes back",
		"path", f.cfg.Path, "lost", l.LostFeed, "feed", feed)
	clear(f.ways)
	return x.append([]Line{l})
}

// readOn reads the changes after one, and that one too, to see that it is still the same.
func (f *Follower) readOn(ctx context.Context, after int64, last *Change) ([]postern.Change, error) {
	return f.readFrom(ctx, after, last, page)
}

func (f *Follower) readFrom(ctx context.Context, after int64, last *Change, n int) ([]postern.Change, error) {
	list, err := f.cfg.DB.Feed(ctx, max(after-1, 0), n)
	if err != nil || after == 0 || len(list) == 0 || list[0].Seq != after {
		return list, err
	}
	if last != nil && *changeOf(&list[0]) != *last {
		return nil, errBack
	}
	return list[1:], nil
}

// changeAt is the change with a number; nil where it was removed for its age.
func (f *Follower) changeAt(ctx context.Context, seq int64) (*Change, error) {
	list, err := f.cfg.DB.Feed(ctx, max(seq-1, 0), 1)
	if err != nil || len(list) == 0 || list[0].Seq != seq {
		return nil, err
	}
	return changeOf(&list[0]), nil
}
