// Package ledger counts the calls of keys for all nodes together, in Redis or
// Valkey. It promises that a call never waits for it longer than a bound, and
// not at all while it is away: then what was chosen for that case holds.
//
// A node takes calls of a key from Redis in small chunks and ahead of need, so
// that most calls of a busy key are decided without asking; a key that has few
// calls, or few of them left, is asked for each. What was taken must be used
// within a fortieth of the limit's window, and is given back otherwise. So however
// many nodes there are, they never allow more than the algorithm does in a window
// that is a twentieth longer.
package ledger

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// Config is what a Ledger needs.
type Config struct {
	URL     string        // redis://, rediss:// or unix://
	Away    limit.Mode    // what holds while Redis is away: limit.Shared unless set
	Timeout time.Duration // how long a call may wait: DefaultTimeout unless set
	Changed func()        // told after Redis went or came back; it must not block
	Now     func() time.Time
	Log     *slog.Logger
}

// DefaultTimeout is how long a call waits for Redis at most, unless told otherwise.
const DefaultTimeout = 25 * time.Millisecond

// Ledger counts calls in Redis. Its methods may be called at the same time.
type Ledger struct {
	cfg     Config
	options redis.Options
	clock   func() int64 // nanoseconds, monotonic
	at      func() any   // the time for Redis; nil, but in tests
	seed    maphash.Seed
	parts   [64]part // by the hash of the key

	client    atomic.Pointer[redis.Client]
	together  atomic.Bool
	mode      atomic.Pointer[limit.State]
	moving    sync.Mutex // held while the mode changes
	failures  atomic.Int64
	asked     atomic.Int64
	askFailed atomic.Int64
	gone      chan struct{} // signalled when Redis went away
}

// part holds some of the keys.
type part struct {
	mu     sync.Mutex
	stocks map[[postern.KeyIDLen]byte]*stock
}

// Open reaches for Redis, for a second at most. Where it is away, that is logged,
// and Run tries again.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	options, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Away == "" {
		cfg.Away = limit.Shared
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	quiet()
	start := time.Now()
	l := &Ledger{cfg: cfg, options: *options, seed: maphash.MakeSeed(), gone: make(chan struct{}, 1),
		clock: func() int64 { return int64(time.Since(start)) }, at: func() any { return "" }}
	for i := range l.parts {
		l.parts[i].stocks = map[[postern.KeyIDLen]byte]*stock{}
	}
	l.connect()
	l.mode.Store(&limit.State{Mode: limit.Together, Since: cfg.Now()})
	l.together.Store(true)
	if err := l.probe(ctx); err != nil {
		l.leave(err)
	}
	return l, nil
}

// Close gives the connections back.
func (l *Ledger) Close() error { return l.client.Load().Close() }

// State is how the limits are held now.
func (l *Ledger) State() limit.State {
	s := *l.mode.Load()
	s.Asked, s.Failed = l.asked.Load(), l.askFailed.Load()
	return s
}

// whileAway is the answer that nobody has to ask for.
func (l *Ledger) whileAway() limit.Taken {
	return limit.Taken{Mode: l.cfg.Away, Retry: retryAway}
}

// retryAway is when a call that is refused because Redis is away may come again.
const retryAway = 2 * time.Second

// Take takes one call of a key's limit: so many calls in a window of nanoseconds.
func (l *Ledger) Take(key [postern.KeyIDLen]byte, calls, window int64) limit.Taken {
	if !l.together.Load() {
		return l.whileAway()
	}
	p := &l.parts[maphash.Bytes(l.seed, key[:])%uint64(len(l.parts))]
	p.mu.Lock()
	now := l.clock()
	s := p.stock(key, calls, window)
	s.seen = now
	if s.use(now) {
		t := s.within(now)
		if s.low() && !s.asking {
			s.asking = true
			go l.refill(p, key, s)
		}
		p.mu.Unlock()
		return t
	}
	if now < s.spent {
		t := s.beyond(now)
		p.mu.Unlock()
		return t
	}
	w := make(chan limit.Taken, 1)
	s.waits = append(s.waits, w)
	if !s.asking {
		s.asking = true
		go l.refill(p, key, s)
	}
	p.mu.Unlock()
	return l.await(p, s, w)
}

// await waits for an answer, and no longer than the bound.
func (l *Ledger) await(p *part, s *stock, w chan limit.Taken) limit.Taken {
	timer := time.NewTimer(l.cfg.Timeout)
	defer timer.Stop()
	select {
	case t := <-w:
		return t
	case <-timer.C:
	}
	p.mu.Lock()
	left := s.forget(w)
	p.mu.Unlock()
	if !left {
		return <-w // it came this moment
	}
	return l.whileAway()
}

// refill asks Redis for calls of a key until nobody waits for one.
func (l *Ledger) refill(p *part, key [postern.KeyIDLen]byte, s *stock) {
	for {
		p.mu.Lock()
		sent := l.clock()
		q := s.question(sent)
		p.mu.Unlock()
		a, err := l.ask(&key, q)
		p.mu.Lock()
		if err != nil {
			s.asking = false
			s.release(l.whileAway())
			p.mu.Unlock()
			return
		}
		if q.calls == s.calls && q.window == s.window { // else the limit was changed meanwhile
			s.fill(q, a, sent, l.clock())
		}
		if len(s.waits) == 0 {
			s.asking = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// stock finds what is known of a key's limit; of another limit nothing is.
func (p *part) stock(key [postern.KeyIDLen]byte, calls, window int64) *stock {
	s := p.stocks[key]
	if s == nil {
		s = &stock{chunk: 1}
		p.stocks[key] = s
	}
	s.of(calls, window)
	return s
}

// sweep forgets keys that weren't called for a while; Redis knows what must be known.
func (l *Ledger) sweep() {
	old := l.clock() - int64(forgetAfter)
	for i := range l.parts {
		p := &l.parts[i]
		p.mu.Lock()
		for k, s := range p.stocks {
			if s.seen < old && !s.asking {
				delete(p.stocks, k)
			}
		}
		p.mu.Unlock()
	}
}

const forgetAfter = 10 * time.Second
