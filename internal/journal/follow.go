package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

const (
	page      = 1000
	poll      = time.Second      // how often is looked for changes of other nodes
	markEvery = 15 * time.Minute // how often a journal without news says how far it is
)

// Patience is the longest that the answer of a change waits for the journal.
const Patience = 2 * time.Second

// Config is what a Follower needs.
type Config struct {
	DB     *store.DB
	Pepper *postern.Pepper
	Path   string
	Now    func() time.Time
	Log    *slog.Logger
}

// Follower writes a journal. Its methods may be called from many goroutines at once.
type Follower struct {
	cfg  Config
	wake chan struct{}
	ways map[string]string // of Run alone: what was written last of each member
	lost error             // of Run alone: why the file can't be believed any more

	mu      sync.Mutex
	state   State
	running bool
	moved   chan struct{} // closed and made anew whenever state changes
}

// State is how far a journal is.
type State struct {
	Path   string
	Feed   int64     // up to which change it holds everything
	At     time.Time // when it last said so
	Failed string    // why it isn't written; empty while it is
	// Lost is up to which change the journal knew a feed that went back since: no
	// backup that ends before it is covered. Zero where none did, or a restore came after.
	Lost   int64
	LostAt time.Time
}

// New makes a Follower. Nothing is opened before Run.
func New(cfg Config) *Follower {
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Follower{cfg: cfg, wake: make(chan struct{}, 1), ways: map[string]string{}, moved: make(chan struct{}), state: State{Path: cfg.Path}}
}

// State is how far the journal is now.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Poke says that there may be changes.
func (f *Follower) Poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Await returns once the journal holds a change and is synced, or with an error
// where that can't be soon. A follower that doesn't run yet will begin where the file
// ends, and so nobody waits for it.
func (f *Follower) Await(ctx context.Context, seq int64) error {
	f.Poke()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		f.mu.Lock()
		running, s, moved := f.running, f.state, f.moved
		f.mu.Unlock()
		switch {
		case !running || s.Feed >= seq:
			return nil
		case s.Failed != "":
			return errors.New(s.Failed)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the journal is at change %d: %w", s.Feed, ctx.Err())
		}
	}
}

func (f *Follower) set(change func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
	close(f.moved)
	f.moved = make(chan struct{})
}

// Run follows until ctx ends. What fails is told in the log and tried again.
func (f *Follower) Run(ctx context.Context) error {
	f.mu.Lock()
	f.running = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running = false
		f.mu.Unlock()
		f.set(func(*State) {})
	}()
	t := time.NewTicker(poll)
	defer t.Stop()
	var x *file
	defer func() {
		if x != nil {
			x.close()
		}
	}()
	for {
		x = f.step(ctx, x)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), Patience)
			defer cancel()
			x = f.step(last, x)
			return nil
		case <-t.C:
		case <-f.wake:
		}
	}
}

// step brings the journal up to now.
func (f *Follower) step(ctx context.Context, x *file) *file {
	err := func() (err error) {
		if f.lost != nil {
			return f.lost
		}
		if x == nil {
			if x, err = openFile(f.cfg.Path, f.cfg.Pepper); err != nil {
				return err
			}
		}
		return f.follow(ctx, x)
	}()
	if err != nil && ctx.Err() != nil {
		return x
	}
	if lost, ok := errors.AsType[*lostError](err); ok {
		f.lost = lost
	}
	if err != nil && x != nil {
		// What the file holds is read anew before anything is added to it.
		x.close()
		x = nil
	}
	was := f.State().Failed
	f.set(func(s *State) {
		s.Failed = ""
		if err != nil {
			s.Failed = err.Error()
			return
		}
		s.Feed, s.At, s.Lost = x.last.Feed, postern.Micros(x.last.At).Time(), x.from.LostFeed
		if s.Lost > 0 {
			s.LostAt = postern.Micros(x.from.LostAt).Time()
		}
	})
	switch now := f.State().Failed; {
	case now != "" && now != was:
		f.cfg.Log.ErrorContext(ctx, "the journal of revocations is not written: a backup restored without it could bring revoked keys back", "path", f.cfg.Path, "err", err)
	case now == "" && was != "":
		f.cfg.Log.InfoContext(ctx, "the journal of revocations is written again", "path", f.cfg.Path)
	}
	return x
}

// follow writes what came since the file's last mark.
func (f *Follower) follow(ctx context.Context, x *file) error {
	feed, epoch, err := f.cfg.DB.FeedHead(ctx)
	if err != nil {
		return err
	}
	audit, err := f.cfg.DB.AuditHead(ctx)
	if err != nil {
		return err
	}
	if x.size == 0 || x.last.Epoch != epoch {
		if err := f.start(ctx, x, feed, audit.Entries, epoch); err != nil {
			return err
		}
	}
	if back, err := f.wentBack(ctx, x, feed, audit.Entries); err != nil {
		return err
	} else if back {
		if err := f.startAnew(ctx, x, feed, audit.Entries); err != nil {
			return err
		}
	}
	mark := Line{What: Mark, At: int64(postern.ToMicros(f.cfg.Now())), Epoch: epoch, Feed: feed, Audit: audit.Entries}
	lines, last, err := f.changes(ctx, x, feed)
	if err != nil {
		return err
	}
	mark.Last = last
	ways, err := f.waysLines(ctx, x.last.Audit, audit.Entries)
	if err != nil {
		return err
	}
	lines = append(lines, ways...)
	quiet := postern.Micros(mark.At).Time().Sub(postern.Micros(x.last.At).Time())
	if len(lines) == 0 && feed == x.last.Feed && quiet < markEvery {
		x.last.Audit = audit.Entries // nothing in them; a restart looks again
		return nil
	}
	if err := x.append(append(lines, mark)); err != nil {
		f.ways = map[string]string{}
		return err
	}
	return nil
}

// start begins the journal of this life of the database: where it began, if that
// was by a restore, or else now.
func (f *Follower) start(ctx context.Context, x *file, feed, audit, epoch int64) error {
	origin, _, err := f.cfg.DB.AuditNames(ctx)
	if err != nil {
		return err
	}
	if x.size > 0 && x.from.Origin != origin {
		return errors.New("the journal is that of another server: name a file of its own for this one")
	}
	born, err := f.cfg.DB.Restored(ctx)
	if err != nil {
		return err
	}
	if born.Epoch == epoch {
		feed, audit = born.Feed, born.Audit
	}
	last, err := f.changeAt(ctx, feed)
	if err != nil {
		return err
	}
	return x.append([]Line{{What: Start, At: int64(postern.ToMicros(f.cfg.Now())), Origin: origin, Epoch: epoch, Feed: feed, Audit: audit, Last: last}})
}

// changes are the lines of what the feed tells of, and the last change of them.
func (f *Follower) changes(ctx context.Context, x *file, until int64) (out []Line, last *Change, err error) {
	type thing struct {
		kind postern.ChangeKind
		id   string
	}
	seen := map[thing]bool{}
	last = x.last.Last
	for after := x.last.Feed; after < until; {
		list, err := f.readOn(ctx, after, last)
		if err != nil {
			return nil, nil, err
		}
		if len(list) == 0 || list[0].Seq != after+1 {
			// What is missing was removed for its age. From here on all is known again.
			gap := Line{What: Start, At: int64(postern.ToMicros(f.cfg.Now())), Origin: x.from.Origin, Epoch: x.last.Epoch, Feed: until, Audit: x.last.Audit,
				LostFeed: x.from.LostFeed, LostAudit: x.from.LostAudit, LostAt: x.from.LostAt}
			if len(list) == 0 {
				return append(out, gap), nil, nil
			}
			gap.Feed = list[0].Seq - 1
			out = append(out, gap)
		}
		for i := range list {
			c := &list[i]
			if after = c.Seq; after > until {
				break
			}
			last = changeOf(c)
			if k := (thing{c.Kind, c.ID}); seen[k] {
				continue
			} else {
				seen[k] = true
			}
			l, err := f.lineOf(ctx, c)
			if err != nil {
				return nil, nil, err
			}
			if l != nil {
				out = append(out, *l)
			}
		}
	}
	return out, last, nil
}

func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain fields always encode
	}
	return string(b)
}
