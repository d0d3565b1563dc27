package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

var (
	errLost = errors.New("no answer: it is not known whether it was done")
	errDead = errors.New("the process is dead")
)

// call is a question of one node to the store.
type call struct {
	n      *simNode
	what   string
	serve  func(c *call, done func(any, error)) // at the store, when it gets there
	dice   *dice
	answer chan answer
	over   atomic.Bool // nobody waits for the answer any more
}

type answer struct {
	v   any
	err error
}

// wire is a node's way to the store.
type wire struct{ n *simNode }

// ask sends a question and waits for the answer: as long as ctx says, and no
// longer than patience.
func ask[T any](ctx context.Context, l *wire, what string, patience time.Duration, serve func(c *call, done func(any, error))) (out T, err error) {
	n := l.n
	if n.s.probing.Load() {
		return out, errDown
	}
	n.pass()
	select {
	case <-n.died:
		return out, errDead
	case <-ctx.Done():
		return out, ctx.Err() // too late before it was sent
	default:
	}
	c := &call{n: n, what: what, serve: serve, answer: make(chan answer, 1)}
	n.s.hand(n.no, what, func() { n.s.send(c) })
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-c.answer:
		if err = a.err; err == nil && a.v != nil {
			out = a.v.(T)
		}
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errLost
	case <-n.died:
		err = errDead
	}
	c.over.Store(true)
	n.pass()
	return out, err
}

// send decides what becomes of a question on its way, and of the answer on its way back.
func (s *sim) send(c *call) {
	n := c.n
	n.asked++
	c.dice = s.plan.dice(uint64(n.no), hashOf(c.what), uint64(n.asked))
	d := c.dice
	go1, back := d.span(100*time.Microsecond, 5*time.Millisecond), d.span(100*time.Microsecond, 5*time.Millisecond)
	if !s.healed {
		if s.now() < s.slow || d.below(40) == 0 {
			go1 += d.span(0, 1500*time.Millisecond)
			back += d.span(0, 1500*time.Millisecond)
		}
	}
	fate := d.below(100)
	if s.healed || s.now() >= s.lossy {
		fate = 99
	}
	s.after(go1, func() {
		switch {
		case fate < 15, s.now() < n.cutUntil:
			s.log("n%d %s: lost on its way", n.no, c.what)
			return
		case s.store.down:
			if d.below(2) == 0 {
				s.deliver(c, back, answer{nil, errDown}, false)
			}
			return
		}
		c.serve(c, func(v any, err error) { s.deliver(c, back, answer{v, err}, fate < 30) })
	})
}

func (s *sim) deliver(c *call, after time.Duration, a answer, lost bool) {
	n := c.n
	s.after(after, func() {
		switch {
		case c.over.Load() || n.gone:
		case lost || s.now() < n.cutUntil || s.now() < n.deafUntil:
			s.log("n%d %s: its answer is lost", n.no, c.what)
		default:
			if c.what != "leases" {
				s.log("n%d %s = %v %v", n.no, c.what, short(a.v), a.err)
			}
			s.touched[n] = s.touched[n] || strings.HasPrefix(c.what, "row") || strings.HasPrefix(c.what, "account")
			c.answer <- a
		}
	})
}

func short(v any) any {
	switch v := v.(type) {
	case postern.CredentialRow:
		return fmt.Sprintf("row rev %d", v.Revision)
	case []postern.CredentialRow, []verify.Lease:
		return "…"
	case []postern.Change:
		if len(v) > 0 {
			return fmt.Sprintf("changes %d to %d", v[0].Seq, v[len(v)-1].Seq)
		}
	case time.Time:
		return v.Format("15:04:05.000000")
	case leaseTable:
		return "…"
	}
	return v
}

const answerWait = 4 * time.Second

type feedEnd struct{ seq, epoch int64 }

func (l *wire) FeedHead(ctx context.Context) (int64, int64, error) {
	h, err := ask[feedEnd](ctx, l, "head", answerWait, func(_ *call, done func(any, error)) {
		done(feedEnd{l.n.s.store.is.head, l.n.s.store.is.epoch}, nil)
	})
	return h.seq, h.epoch, err
}

func (l *wire) Feed(ctx context.Context, after int64, max int) ([]postern.Change, error) {
	return ask[[]postern.Change](ctx, l, fmt.Sprint("feed after ", after), answerWait, func(_ *call, done func(any, error)) {
		var out []postern.Change
		for _, c := range l.n.s.store.is.feed {
			if c.Seq > after && len(out) < max {
				out = append(out, c)
			}
		}
		done(out, nil)
	})
}

func (l *wire) Wait(ctx context.Context, after int64) error {
	_, err := ask[any](ctx, l, "wait", 15*time.Second, func(c *call, done func(any, error)) {
		st := l.n.s.store
		if st.is.head > after {
			done(nil, nil)
			return
		}
		st.waiting = append(st.waiting, &waiter{c, done})
	})
	return err
}

func (l *wire) Accounts(ctx context.Context, yield func(*postern.Account) error) error {
	list, err := ask[[2]postern.Account](ctx, l, "accounts", answerWait, func(_ *call, done func(any, error)) { done(l.n.s.store.is.accounts, nil) })
	for i := range list {
		if err == nil {
			err = yield(&list[i])
		}
	}
	return err
}

func (l *wire) Account(ctx context.Context, id postern.AccountID) (*postern.Account, error) {
	a, err := ask[postern.Account](ctx, l, "account "+string(id), answerWait, func(_ *call, done func(any, error)) {
		for _, a := range l.n.s.store.is.accounts {
			if a.ID == id {
				done(a, nil)
				return
			}
		}
		done(nil, postern.Errorf(postern.CodeNotFound, "It is not there."))
	})
	return &a, err
}

func (l *wire) Members(context.Context, func(*postern.Member) error) error { return nil }

func (l *wire) Member(context.Context, postern.MemberID) (*postern.Member, error) {
	return nil, postern.Errorf(postern.CodeNotFound, "It is not there.")
}

// Credentials reads all rows, a few at a time: later ones are newer.
func (l *wire) Credentials(ctx context.Context, yield func(*postern.CredentialRow) error) error {
	for from := 0; from < simKeys; from += 4 {
		list, err := ask[[]postern.CredentialRow](ctx, l, fmt.Sprint("rows from ", from), answerWait, func(_ *call, done func(any, error)) {
			var out []postern.CredentialRow
			for k := from; k < from+4; k++ {
				if row, ok := l.n.s.store.is.rows[k]; ok {
					out = append(out, row)
				}
			}
			done(out, nil)
		})
		if err != nil {
			return err
		}
		for i := range list {
			if err := yield(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *wire) Credential(ctx context.Context, id postern.KeyID) (*postern.CredentialRow, error) {
	row, err := ask[postern.CredentialRow](ctx, l, "row "+simKeyName(id), answerWait, func(_ *call, done func(any, error)) {
		for _, row := range l.n.s.store.is.rows {
			if row.Key == id {
				done(row, nil)
				return
			}
		}
		done(nil, postern.Errorf(postern.CodeNotFound, "It is not there."))
	})
	return &row, err
}

func (l *wire) CredentialsOf(ctx context.Context, keys []postern.KeyID) ([]postern.CredentialRow, error) {
	return ask[[]postern.CredentialRow](ctx, l, fmt.Sprint("rows of ", len(keys)), answerWait, func(_ *call, done func(any, error)) {
		var out []postern.CredentialRow
		for k := range simKeys {
			if row, ok := l.n.s.store.is.rows[k]; ok && slices.Contains(keys, row.Key) {
				out = append(out, row)
			}
		}
		done(out, nil)
	})
}

func (l *wire) Upstreams(context.Context) ([]verify.Upstream, error) {
	return []verify.Upstream{{ID: crm, Catalog: 1}}, nil
}

var simCatalog = dealsCatalog()

func (l *wire) Catalog(context.Context, postern.UpstreamID, int64) (*catalog.Catalog, error) {
	return simCatalog, nil
}

// RenewLease reads the store's clock and commits a little later: others see the row then.
func (l *wire) RenewLease(ctx context.Context, node string, ttl time.Duration) (time.Time, error) {
	n := l.n
	sent := n.s.now()
	now, err := ask[time.Time](ctx, l, "renew", answerWait, func(c *call, done func(any, error)) {
		st := n.s.store
		now := st.now()
		hold := time.Duration(0)
		if !n.s.healed && c.dice.below(20) == 0 {
			hold = c.dice.span(time.Millisecond, 2*time.Second)
		}
		st.commit(hold, func(x *state) {
			row := x.leases[node]
			row.Node = node
			if end := now.Add(ttl); end.After(row.Expires) {
				row.Expires = end
			}
			x.leases[node] = row
		}, func(ok bool) {
			if !ok {
				done(nil, errDown)
				return
			}
			n.leased = max(n.leased, sent)
			done(now, nil)
		})
	})
	if err == nil {
		n.answered.Store(int64(sent))
	}
	return now, err
}

func (l *wire) Confirm(ctx context.Context, node string, seq int64) error {
	_, err := ask[any](ctx, l, fmt.Sprint("confirm ", seq), answerWait, func(_ *call, done func(any, error)) {
		l.n.s.store.commit(0, func(x *state) {
			if row, ok := x.leases[node]; ok {
				row.Confirmed = max(row.Confirmed, seq)
				x.leases[node] = row
			}
		})
		done(nil, nil)
	})
	return err
}

func (l *wire) DropLease(ctx context.Context, node string) error {
	_, err := ask[any](ctx, l, "drop", answerWait, func(_ *call, done func(any, error)) {
		l.n.s.store.commit(0, func(x *state) { delete(x.leases, node) })
		done(nil, nil)
	})
	return err
}

type leaseTable struct {
	leases []verify.Lease
	now    time.Time
}

func (l *wire) Leases(ctx context.Context) ([]verify.Lease, time.Time, error) {
	t, err := ask[leaseTable](ctx, l, "leases", answerWait, func(_ *call, done func(any, error)) {
		st := l.n.s.store
		table := st.is.leases
		if l.n.s.plan.bug == bugLeasesBefore && st.before != nil {
			table, st.before = st.before, nil
		}
		done(leaseTable{slices.SortedFunc(maps.Values(table), func(a, b verify.Lease) int { return compareTexts(a.Node, b.Node) }), st.now()}, nil)
	})
	return t.leases, t.now, err
}
