package ledger

import (
	"context"
	"math/rand/v2"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

const (
	// failuresMost questions in a row without a good answer, and Redis is away. One
	// alone may be a hiccup.
	failuresMost = 3
	retryEvery   = 500 * time.Millisecond // while it is away
	lookEvery    = 5 * time.Second        // while it isn't, and nobody may be asking
)

// failed notes that a question had no good answer.
func (l *Ledger) failed(err error) {
	if l.failures.Add(1) >= failuresMost {
		l.leave(err)
	}
}

// leave does without Redis from now on.
func (l *Ledger) leave(err error) {
	l.moving.Lock()
	defer l.moving.Unlock()
	if !l.together.Swap(false) {
		return
	}
	why := l.words(err)
	l.mode.Store(&limit.State{Mode: l.cfg.Away, Since: l.cfg.Now(), Why: why})
	l.connect()
	l.cfg.Log.Warn("Redis is away: limits are not counted together", "meanwhile", string(l.cfg.Away), "why", why, "redis", l.options.Addr)
	l.changed()
	select {
	case l.gone <- struct{}{}:
	default:
	}
}

// comeBack counts in Redis again. What was known of keys is forgotten.
func (l *Ledger) comeBack() {
	l.moving.Lock()
	defer l.moving.Unlock()
	if l.together.Load() {
		return
	}
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		for _, s := range p.stocks {
			s.clear()
		}
		p.mu.Unlock()
	}
	now, was := l.cfg.Now(), l.mode.Load()
	l.failures.Store(0)
	l.mode.Store(&limit.State{Mode: limit.Together, Since: now})
	l.together.Store(true)
	l.cfg.Log.Info("Redis is back: limits are counted together", "after", now.Sub(was.Since).Round(time.Millisecond), "redis", l.options.Addr)
	l.changed()
}

func (l *Ledger) changed() {
	if l.cfg.Changed != nil {
		l.cfg.Changed()
	}
}

// Run looks whether Redis is there, also while nobody asks, until ctx ends.
func (l *Ledger) Run(ctx context.Context) error {
	swept := l.clock()
	for ctx.Err() == nil {
		wait := lookEvery
		if !l.together.Load() || l.failures.Load() > 0 {
			wait = retryEvery
		}
		timer := time.NewTimer(wait - rand.N(wait/5))
		select {
		case <-ctx.Done():
		case <-timer.C:
			l.look(ctx)
		case <-l.gone: // the next look is soon
		}
		timer.Stop()
		if now := l.clock(); now-swept > int64(forgetAfter) {
			l.sweep()
			swept = now
		}
	}
	return nil
}

// look notices that Redis went or came back.
func (l *Ledger) look(ctx context.Context) {
	err := l.probe(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		l.failures.Store(0)
		l.comeBack()
	case l.together.Load():
		l.failed(err)
	default:
		l.stay(err)
	}
}

// stay notes why Redis is still away, which may be for another reason than at first.
func (l *Ledger) stay(err error) {
	l.moving.Lock()
	defer l.moving.Unlock()
	if s := *l.mode.Load(); !l.together.Load() {
		s.Why = l.words(err)
		l.mode.Store(&s)
	}
}

// probe makes sure of a connection, and then that calls can be counted within the bound.
func (l *Ledger) probe(ctx context.Context) error {
	client := l.client.Load()
	connect, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	// The first may have to connect, and to send the script.
	if _, err := run(connect, client, probeKey, probeAsk, ""); err != nil {
		return err
	}
	quick, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	_, err := run(quick, client, probeKey, probeAsk, "")
	return err
}

// probeKey stands for no key: an ID has other letters.
const probeKey = "-probe"

var probeAsk = question{calls: 1000, window: int64(time.Second), want: 1, held: "0"}

// Look asks a Redis server, once, as a node would.
func Look(ctx context.Context, url string, timeout time.Duration) (took time.Duration, err error) {
	l, err := Open(ctx, Config{URL: url, Timeout: timeout})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	if s := l.State(); s.Why != "" {
		return 0, postern.Errorf(postern.CodeUnavailable, "%s", s.Why)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	if _, err = run(ctx, l.client.Load(), probeKey, probeAsk, ""); err != nil {
		return 0, postern.Errorf(postern.CodeUnavailable, "%s", l.words(err))
	}
	return time.Since(began), nil
}
