package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern.dev/postern"
)

// A group is what bounds a commit on SQLite: changes that wait for the writer at
// the same time are made durable by one sync. No change waits for company: a group
// takes those that are waiting, up to groupMost of them, and none after groupWork.
const (
	groupMost = 64
	groupWork = 10 * time.Millisecond
)

// Statements are what a change may do in a transaction.
type Statements interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// WriteGrouped is Write for small changes. On SQLite those that wait at the same
// time run one after another in one transaction, each in a savepoint of its own,
// and each is answered once all of it is committed: what one of them does wrong is
// undone alone, and where the commit fails it fails for all. fn runs on the
// caller's goroutine, and again where the whole transaction was undone through
// another's fault, so it must have no effect outside tx and read through tx alone.
func (p *Pool) WriteGrouped(ctx context.Context, fn func(tx Statements) error) error {
	if p.groups == nil {
		return p.Write(ctx, func(tx *sql.Tx) error { return fn(tx) })
	}
	return p.groups.write(ctx, fn)
}

// groups gathers the changes of one SQLite file.
type groups struct {
	pool *Pool

	mu      sync.Mutex
	waiting []*member
	driven  bool // a goroutine runs groups until nobody waits
	sizes   GroupSizes
}

// member is one change that is in a group or waits for one.
type member struct {
	ctx  context.Context
	turn chan *groupTx // its turn to run
	ran  chan outcome  // how it ran
	told chan error    // what became of it in the end
}

// outcome is how a member ran.
type outcome struct {
	err  error
	left bool // it panicked, and nobody waits for an answer
}

func (g *groups) write(ctx context.Context, fn func(tx Statements) error) error {
	m := &member{ctx: ctx, turn: make(chan *groupTx), ran: make(chan outcome, 1), told: make(chan error, 1)}
	g.join(m)
	for gone := ctx.Done(); ; {
		select {
		case <-gone:
			if g.leave(m) {
				return ctx.Err()
			}
			gone = nil // its turn has come, or what it did is being committed
		case tx := <-m.turn:
			m.run(tx, fn)
		case err := <-m.told:
			return err
		}
	}
}

// run runs a change on its own goroutine, so that a panic goes where it belongs.
func (m *member) run(tx *groupTx, fn func(tx Statements) error) {
	o := outcome{left: true}
	defer func() { m.ran <- o }()
	err := m.ctx.Err()
	if err == nil {
		err = fn(tx)
	}
	if err == nil {
		err = m.ctx.Err() // whoever is gone by now has changed nothing
	}
	o = outcome{err: err}
}

func (g *groups) join(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if !g.driven {
		g.driven = true
		go g.drive()
	}
}

// leave takes back a change whose turn hasn't come.
func (g *groups) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// next takes the change that waits longest.
func (g *groups) next() *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return nil
	}
	m := g.waiting[0]
	g.waiting = slices.Delete(g.waiting, 0, 1)
	return m
}

// again lets changes wait once more, before all others.
func (g *groups) again(all []*member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.Insert(g.waiting, 0, all...)
}

// drive runs one group after another until nobody waits.
func (g *groups) drive() {
	for {
		g.mu.Lock()
		now := slices.Clone(g.waiting)
		g.driven = len(now) > 0
		g.mu.Unlock()
		if len(now) == 0 {
			return
		}
		// Where not even a transaction can be had, those who waited for it hear so.
		if err := g.pool.retry(context.Background(), g.group); err != nil {
			for _, m := range now {
				if g.leave(m) {
					m.told <- err
				}
			}
		}
	}
}

// group runs one group. An error means that none was begun.
func (g *groups) group() error {
	ctx := context.Background() // nobody's own: one who goes away takes no other along
	conn, t, err := g.pool.begin(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer t.Rollback() // after a commit it does nothing
	run := &groupRun{g: g, tx: &groupTx{tx: t}}
	if !run.all(ctx) {
		return nil
	}
	if run.made == 0 {
		t.Rollback()
		run.tell(nil)
		return nil
	}
	err = g.pool.note(g.pool.commit(conn, t))
	if err == nil {
		g.count(run.made)
	}
	run.tell(err)
	return nil
}

// groupRun is one group while it runs.
type groupRun struct {
	g    *groups
	tx   *groupTx
	ran  []*member // in their order, but for those that are answered
	errs []error   // their own
	made int       // those without one
}

// all runs changes until nobody waits or a bound is reached. It reports whether
// the transaction is still there.
func (r *groupRun) all(ctx context.Context) bool {
	for began := time.Now(); len(r.ran) < groupMost && time.Since(began) < groupWork; {
		m := r.g.next()
		if m == nil {
			break
		}
		o, whole := r.one(ctx, m)
		switch {
		case !whole:
			// Through this one's fault the others are undone too: they run again, and what was told to nobody yet is forgotten.
			r.g.again(r.ran)
			if !o.left {
				m.told <- r.g.pool.note(o.err)
			}
			return false
		case o.left:
		default:
			r.ran, r.errs = append(r.ran, m), append(r.errs, r.g.pool.note(o.err))
			if o.err == nil {
				r.made++
			}
		}
	}
	return true
}

// one runs one change in its savepoint, and reports whether the transaction is
// still there.
func (r *groupRun) one(ctx context.Context, m *member) (o outcome, whole bool) {
	if _, err := r.tx.tx.ExecContext(ctx, "savepoint change"); err != nil {
		return outcome{err: err}, false
	}
	m.turn <- r.tx
	o = <-m.ran
	if broken := r.tx.broken; broken != nil && !errors.Is(o.err, broken) {
		o.err = errors.Join(broken, o.err)
	}
	if o.err != nil || o.left {
		if _, err := r.tx.tx.ExecContext(ctx, "rollback to change"); err != nil {
			// SQLite has undone it all, and so what this one was refused for may not be so.
			if _, refused := errors.AsType[*postern.Error](o.err); refused {
				o.err = fmt.Errorf("store: undo a change: %w", err)
			}
			return o, false
		}
		r.tx.broken = nil
	}
	if _, err := r.tx.tx.ExecContext(ctx, "release change"); err != nil {
		o.err = errors.Join(o.err, err)
		return o, false
	}
	return o, true
}

// tell answers all: with what became of the commit, and where that went well with
// what became of each. What a change was refused for may be what one before it did,
// so a refusal too is said only when that is certain.
func (r *groupRun) tell(err error) {
	for i, m := range r.ran {
		if err != nil {
			m.told <- err
		} else {
			m.told <- r.errs[i]
		}
	}
}

// groupTx is a transaction that several changes share. What one of them does is
// not interrupted: SQLite would undo the whole transaction. Whoever goes away is
// noticed at their next statement.
type groupTx struct {
	tx     *sql.Tx
	broken error // of a statement after which SQLite may have undone the transaction; nothing runs after it
}

// ended is a context that is over.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// begin gives what a statement runs under.
func (t *groupTx) begin(ctx context.Context) context.Context {
	if t.broken != nil {
		return ended
	}
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// note keeps an error after which nothing may run any more: without a transaction
// each statement would be committed by itself.
func (t *groupTx) note(err error) error {
	if t.broken != nil {
		return t.broken
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY:
			t.broken = err
		}
	}
	return err
}

func (t *groupTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := t.tx.ExecContext(t.begin(ctx), query, args...)
	return res, t.note(err)
}

func (t *groupTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := t.tx.QueryContext(t.begin(ctx), query, args...)
	return rows, t.note(err)
}

func (t *groupTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := t.tx.QueryRowContext(t.begin(ctx), query, args...)
	_ = t.note(row.Err())
	return row
}

// errMany is for us, and not for whoever asks.
var errMany = errors.New("store: a change that prepares statements for many rows must be made by WriteAlone")

// PrepareContext refuses: what runs a prepared statement isn't seen here, so one that is
// interrupted, or for which there is no room, would let the next run outside of the transaction.
func (t *groupTx) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, errMany }

// GroupBounds are the upper bounds of GroupSizes.
var GroupBounds = [...]int{1, 2, 4, 8, 16, 32, 64}

// GroupSizes counts commits by how many changes each made durable.
type GroupSizes struct {
	UpTo             [len(GroupBounds)]uint64 // commits of as many changes as the bound or fewer
	Commits, Changes uint64
}

func (g *groups) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, most := range GroupBounds {
		if n <= most {
			g.sizes.UpTo[i]++
		}
	}
	g.sizes.Commits++
	g.sizes.Changes += uint64(n)
}

// GroupSizes are the commits of an SQLite file since it was opened; of PostgreSQL none are counted.
func (p *Pool) GroupSizes() GroupSizes {
	if p.groups == nil {
		return GroupSizes{}
	}
	p.groups.mu.Lock()
	defer p.groups.mu.Unlock()
	return p.groups.sizes
}

var errStopped = postern.Errorf(postern.CodeUnavailable, "Changes are stopped after a storage error; restart the server once the disk is sound.")
