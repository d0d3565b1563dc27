package activity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lastTries is how long Run goes on trying to write what is left, once it is told to stop.
	lastTries = 10 * time.Second
	// loadRows is about the most calls that one transaction writes where many wait: totals
	// then take far less than frame by frame.
	loadRows = 1 << 16
	// syncEvery is how often the disk is told to write what is spooled: what a power cut can cost.
	syncEvery = time.Second
)

// Run writes what is recorded until ctx is done, and then what is left; meanwhile
// it merges small blocks and removes what is too old. While the database is away
// it tries again, ever more slowly, and the spool holds what comes.
func (l *Log) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.tidy(ctx) })
	wg.Go(func() { l.runDrain(ctx) })
	if l.spool != nil {
		wg.Go(func() { l.runSync(ctx) })
	}
	wait := l.cfg.Delay
	for {
		now := l.load
		if wait > l.cfg.Delay {
			now = nil // the database is away: a full buffer is no reason to hurry
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTries)
			defer cancel()
			return l.finish(last)
		case <-now:
		case <-time.After(wait):
		}
		if err := l.loadAll(ctx); err == nil {
			wait = l.cfg.Delay
		} else if ctx.Err() == nil {
			if wait == l.cfg.Delay {
				l.cfg.Logger.Error("activity: can't write; holding what fits", "err", err)
			}
			wait = min(2*wait, max(5*time.Second, l.cfg.Delay))
		}
	}
}

func (l *Log) runSync(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(syncEvery):
		}
		if err := l.spool.sync(); err != nil {
			l.cfg.Logger.Error("activity: the disk doesn't take the spool", "err", err)
		}
	}
}

// finish writes what is left, trying until ctx is done. What then is in the spool
// waits for the next process.
func (l *Log) finish(ctx context.Context) error {
	for {
		err := l.Flush(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if l.spool != nil && l.queue.loose() == nil {
				return l.spool.sync()
			}
			st := l.Stats()
			return fmt.Errorf("activity: %d calls are not written: %w", st.Buffered, err)
		case <-time.After(l.cfg.Delay):
		}
	}
}

// Flush writes everything that was recorded before it was called.
func (l *Log) Flush(ctx context.Context) error {
	for {
		_, took, err := l.drain(ctx)
		if err != nil {
			return err
		}
		if err := l.loadAll(ctx); err != nil {
			return err
		}
		// Else there was no room for what is buffered, and now there is.
		if took {
			return nil
		}
	}
}

// loadAll writes all frames that wait.
func (l *Log) loadAll(ctx context.Context) error {
	select {
	case l.loading <- struct{}{}:
		defer func() {
			l.tried.tell()
			<-l.loading
		}()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		frames := l.queue.head(loadRows)
		if len(frames) == 0 {
			return nil
		}
		if err := l.loadSome(ctx, frames); err != nil {
			l.status.failed(err, l.cfg.Now())
			return err
		}
		l.grown.tell()
	}
}

// loadSome writes frames. Where the database refuses what is in them, it finds
// the record that is at fault and counts it as lost: one bad record must not hold
// up all others.
func (l *Log) loadSome(ctx context.Context, frames []*frame) error {
	bodies, err := l.bodies(frames)
	if err != nil {
		return err
	}
	err = l.write(ctx, frames, bodies)
	if err != nil && permanent(err) {
		if len(frames) > 1 {
			for i := range frames {
				if err := l.loadSome(ctx, frames[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		}
		err = l.writeSound(ctx, frames[0], bodies[0])
	}
	if err != nil {
		return err
	}
	l.queue.drop(len(frames), l.writer)
	n := int64(0)
	for _, fr := range frames {
		n += fr.calls
		if l.spool != nil {
			l.spool.done(fr)
		}
	}
	l.status.wrote(int(n), l.cfg.Now())
	return nil
}

// bodies are what frames hold, read from the spool where that is all that has it.
// What can't be read is empty, and its segment is set aside.
func (l *Log) bodies(frames []*frame) ([]*body, error) {
	out := make([]*body, len(frames))
	for i, fr := range frames {
		l.queue.mu.Lock()
		out[i] = fr.body
		l.queue.mu.Unlock()
		if out[i] != nil {
			continue
		}
		b, err := l.spool.read(fr)
		if err != nil {
			if !errors.Is(err, errBroken) {
				return nil, err
			}
			l.cfg.Logger.Error("activity: calls in the spool can't be read and are left out", "calls", fr.calls, "err", err)
			l.spool.mark(fr)
			b = &body{at: fr.oldest}
		}
		out[i] = b
	}
	return out, nil
}

// broadcast wakes all who wait for the next batch.
type broadcast struct{ c atomic.Pointer[chan struct{}] }

func (b *broadcast) open() {
	c := make(chan struct{})
	b.c.Store(&c)
}

// next is closed when something happens after the call.
func (b *broadcast) next() <-chan struct{} { return *b.c.Load() }

func (b *broadcast) tell() {
	c := make(chan struct{})
	close(*b.c.Swap(&c))
}

var errEmptyAccount = errors.New("activity: an account must be named")
