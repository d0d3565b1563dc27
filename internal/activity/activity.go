// Package activity records what credentials did, without ever blocking a decision.
//
// Record copies a call into a bounded buffer and returns. Run writes what is
// buffered in batches: the calls themselves, packed in blocks, and in the same
// transaction their totals by hour, when each secret was last used, who calls
// with it, and what counts towards daily limits. So totals always equal the calls
// they were made of, and a crash loses at most what a batch waits for.
//
// What it promises: a full buffer or an absent database costs records, never a
// call; what is lost is counted, by reason, and the count is kept; a refused call
// is never a use; every read is of one account and bounded in rows and time; and
// nothing that looks like a secret is stored.
//
// Calls that belong to no account (strangers: unknown keys, malformed secrets,
// public operations) are counted by network and hour, so that a flood of them
// can't fill the disk.
package activity

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/store"
)

//go:embed migrations
var migrations embed.FS

// Config says where activity is kept and how. Target is needed; every other
// field has a good zero value.
type Config struct {
	// Target is the path of an SQLite file, or the URL of the PostgreSQL database that holds the records too.
	Target string
	Now    func() time.Time
	// Leads, where set, says whether this process merges and removes what others wrote too.
	Leads  func() bool
	Logger *slog.Logger
	// Brand is the first part of this server's secrets, which are cut out of paths and user agents.
	Brand string
	// Spool is a directory where calls wait for the database, which this process alone
	// uses. Without one they wait in memory, and are lost with the process. SpoolMax is
	// how many bytes may wait there: 256 MiB unless set.
	Spool    string
	SpoolMax int64
	// Capacity is how many calls can wait to be written: 16,384 unless set.
	Capacity int
	// Delay is how long a call waits for its batch: 100 ms unless set. A crash loses that
	// much, and a quarter of it where there is a spool.
	Delay time.Duration
	// KeepCalls is how long single calls are kept (30 days unless set), KeepTotals everything made from them (400 days).
	KeepCalls, KeepTotals time.Duration
	// DayStart is when the day began that a time is in, for an account's daily limit:
	// midnight UTC unless set. Days begin at a quarter of an hour.
	DayStart func(postern.AccountID, postern.Micros) postern.Micros
	// Seen is told of each batch once it is written, by what its calls have in common. It must not block. May be nil.
	Seen func([]Seen)
}

func (c *Config) fill() {
	if c.Now == nil {
		c.Now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Brand == "" {
		c.Brand = postern.DefaultBrand
	}
	if c.Capacity <= 0 {
		c.Capacity = 16384
	}
	if c.SpoolMax <= 0 {
		c.SpoolMax = 256 << 20
	}
	if c.Delay <= 0 {
		c.Delay = 100 * time.Millisecond
	}
	if c.KeepCalls <= 0 {
		c.KeepCalls = 30 * 24 * time.Hour
	}
	if c.KeepTotals <= 0 {
		c.KeepTotals = 400 * 24 * time.Hour
	}
	if c.DayStart == nil {
		c.DayStart = func(_ postern.AccountID, at postern.Micros) postern.Micros { return at - at%day }
	}
}

// Spans of time in microseconds.
const (
	hour postern.Micros = 3_600_000_000
	day                 = 24 * hour
)

// Log records calls and answers questions about them. Its methods may be called
// from many goroutines at once.
type Log struct {
	cfg    Config
	pool   *store.Pool
	writer string // names this process among those that write

	shards   []shard
	mask     uint32
	capacity int
	wake     chan struct{} // holds one token when a buffer is half full
	load     chan struct{} // holds one token when what waits shall be written at once
	lost     losses

	// draining holds one token while someone drains; what follows belongs to its holder.
	draining  chan struct{}
	order     []place // of what is taken out, by time
	records   []record
	facts     factory
	packer    packer
	batch     int64 // number of the next frame
	strangers ring

	spool    *spool // nil where there is none
	spooling atomic.Bool
	queue    queue

	// loading holds one token while someone writes; what follows belongs to its holder.
	loading  chan struct{}
	networks *bound
	callers  *bound
	days     days

	status status
	grown  broadcast
	tried  broadcast // when someone has tried to write

	trace func(query string, args []any) // sees every read; for tests
}

// Open opens the activity of a server. Nothing is written before Run or Flush.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	cfg.fill()
	pool, err := store.Open(ctx, store.PoolConfig{Target: cfg.Target, Migrations: mustSub(), Table: "activity_migrations",
		Relaxed: true, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("activity: %w", err)
	}
	n := 1 << bits.Len(uint(2*runtime.GOMAXPROCS(0)-1))
	for n > 1 && cfg.Capacity/n < 64 {
		n /= 2
	}
	l := &Log{cfg: cfg, pool: pool, writer: postern.NewID("wri"), shards: make([]shard, n), mask: uint32(n - 1), capacity: n * max(1, cfg.Capacity/n),
		wake: make(chan struct{}, 1), load: make(chan struct{}, 1), draining: make(chan struct{}, 1), loading: make(chan struct{}, 1), batch: 1,
		networks: newBound(4096, 4096), callers: newBound(256, 1<<20)}
	for i := range l.shards {
		l.shards[i].open(max(1, cfg.Capacity/n))
	}
	l.grown.open()
	l.tried.open()
	l.spooling.Store(true)
	if cfg.Spool != "" {
		if err := l.openSpool(); err != nil {
			pool.Close()
			return nil, fmt.Errorf("activity: %w", err)
		}
	}
	return l, nil
}

// openSpool opens the spool, and has what other processes left there wait for the database.
func (l *Log) openSpool() error {
	s, left, err := openSpool(l.cfg.Spool, l.cfg.SpoolMax, l.writer)
	if err != nil {
		return err
	}
	l.spool = s
	calls := int64(0)
	for _, fr := range left {
		l.queue.add(fr, false)
		calls += fr.calls
	}
	if len(left) > 0 || s.damaged > 0 {
		l.cfg.Logger.Info("activity: the spool holds calls of a process that ended before", "calls", calls, "damaged_frames", s.damaged, "torn_ends", s.torn)
	}
	return nil
}

// Close closes the database. Call it after Run has returned.
func (l *Log) Close() error {
	if l.spool != nil {
		l.spool.close()
	}
	return l.pool.Close()
}

// Ping asks whether the database answers.
func (l *Log) Ping(ctx context.Context) error { return l.pool.Ping(ctx) }

// Stats is how recording fares, for metrics and health.
type Stats struct {
	Recorded uint64 // calls taken into the buffer since the start
	Written  uint64 // calls that are in the database, or counted there
	Buffered int    // calls that wait
	Capacity int    // calls that can wait
	Dropped  map[postern.Reason]uint64
	// Lag is the age of the oldest call that waits; more than a second means that writing can't keep up.
	Lag         time.Duration
	LastWrite   time.Time // of the latest batch; zero before the first
	LastError   string    // of the latest try, empty once a batch is written again
	LastErrorAt time.Time
	Spool       SpoolStats
}

// SpoolStats is how the spool fares; all is zero where there is none.
type SpoolStats struct {
	Bytes, Max    int64 // on disk, and how many there may be
	Full          bool  // the latest that came had no room on it
	DamagedFrames int64 // found unreadable, and left out
	SetAside      int64 // segments with such frames, which are kept beside as *.damaged
	TornEnds      int64 // ends of segments that a killed process left half written
}

// Stats tells how recording fares at this moment.
func (l *Log) Stats() Stats {
	st := Stats{Capacity: l.capacity, Dropped: l.lost.byReason()}
	waiting, oldest := l.queue.look()
	st.Buffered = int(waiting)
	for i := range l.shards {
		recorded, waiting, first := l.shards[i].look()
		st.Recorded += recorded
		st.Buffered += waiting
		if first != 0 && (oldest == 0 || first < oldest) {
			oldest = first
		}
	}
	if l.spool != nil {
		st.Spool = l.spool.stats()
	}
	if oldest != 0 {
		st.Lag = max(0, l.cfg.Now().Sub(oldest.Time()))
	}
	l.status.fill(&st)
	return st
}

// status is what the drain tells of itself.
type status struct {
	written     atomic.Uint64
	mu          sync.Mutex
	lastWrite   time.Time
	lastError   string
	lastErrorAt time.Time
}

func (s *status) wrote(n int, at time.Time) {
	s.written.Add(uint64(n))
	s.mu.Lock()
	s.lastWrite, s.lastError = at, ""
	s.mu.Unlock()
}

func (s *status) failed(err error, at time.Time) {
	s.mu.Lock()
	s.lastError, s.lastErrorAt = err.Error(), at
	s.mu.Unlock()
}

func (s *status) fill(st *Stats) {
	st.Written = s.written.Load()
	s.mu.Lock()
	st.LastWrite, st.LastError, st.LastErrorAt = s.lastWrite, s.lastError, s.lastErrorAt
	s.mu.Unlock()
}
