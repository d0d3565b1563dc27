package verify_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

// memStore keeps its promises to the letter, in memory, with a clock of its own.
type memStore struct {
	now func() time.Time

	mu       sync.Mutex
	down     error // what every call fails with
	changed  chan struct{}
	epoch    int64
	first    int64 // the number before the oldest change that is kept
	feed     []postern.Change
	accounts map[postern.AccountID]postern.Account
	members  map[postern.MemberID]postern.Member
	rows     map[postern.KeyID]postern.CredentialRow
	ups      []verify.Upstream
	catalogs map[postern.UpstreamID]*catalog.Catalog
	leases   map[string]verify.Lease
	reads    int // of single credentials
	confirms int
}

var errDown = errors.New("the store is away")

func newMemStore(now func() time.Time) *memStore {
	return &memStore{now: now, changed: make(chan struct{}), accounts: map[postern.AccountID]postern.Account{},
		members: map[postern.MemberID]postern.Member{}, rows: map[postern.KeyID]postern.CredentialRow{},
		catalogs: map[postern.UpstreamID]*catalog.Catalog{}, leases: map[string]verify.Lease{}}
}

// commit makes a change under the next number of the feed.
func (m *memStore) commit(kind postern.ChangeKind, id string, change func()) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if change != nil {
		change()
	}
	seq := m.first + int64(len(m.feed)) + 1
	m.feed = append(m.feed, postern.Change{Seq: seq, At: m.now(), Kind: kind, ID: id})
	close(m.changed)
	m.changed = make(chan struct{})
	return seq
}

func (m *memStore) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memStore) FeedHead(context.Context) (int64, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first + int64(len(m.feed)), m.epoch, m.down
}

func (m *memStore) Feed(_ context.Context, after int64, max int) ([]postern.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := min(int(maxOf(after-m.first, 0)), len(m.feed))
	return slices.Clone(m.feed[from:min(from+max, len(m.feed))]), m.down
}

func maxOf(a, b int64) int64 { return max(a, b) }

func (m *memStore) Wait(ctx context.Context, after int64) error {
	m.mu.Lock()
	changed, head, down := m.changed, m.first+int64(len(m.feed)), m.down
	m.mu.Unlock()
	if head > after || down != nil {
		return down
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memStore) Accounts(_ context.Context, yield func(*postern.Account) error) error {
	return each(m, func() []postern.Account { return slices.Collect(maps.Values(m.accounts)) }, yield)
}

func (m *memStore) Members(_ context.Context, yield func(*postern.Member) error) error {
	return each(m, func() []postern.Member { return slices.Collect(maps.Values(m.members)) }, yield)
}

func (m *memStore) Credentials(_ context.Context, yield func(*postern.CredentialRow) error) error {
	return each(m, func() []postern.CredentialRow { return slices.Collect(maps.Values(m.rows)) }, yield)
}

func each[T any](m *memStore, list func() []T, yield func(*T) error) error {
	m.mu.Lock()
	all, down := list(), m.down
	m.mu.Unlock()
	if down != nil {
		return down
	}
	for i := range all {
		if err := yield(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func one[K comparable, T any](m *memStore, from map[K]T, k K) (*T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := from[k]
	switch {
	case m.down != nil:
		return nil, m.down
	case !ok:
		return nil, postern.Errorf(postern.CodeNotFound, "It is not there.")
	}
	return &v, nil
}

func (m *memStore) Account(_ context.Context, id postern.AccountID) (*postern.Account, error) {
	return one(m, m.accounts, id)
}

func (m *memStore) Member(_ context.Context, id postern.MemberID) (*postern.Member, error) {
	return one(m, m.members, id)
}

func (m *memStore) Credential(_ context.Context, key postern.KeyID) (*postern.CredentialRow, error) {
	m.set(func() { m.reads++ })
	return one(m, m.rows, key)
}

func (m *memStore) CredentialsOf(_ context.Context, keys []postern.KeyID) (out []postern.CredentialRow, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	for _, k := range keys {
		if row, ok := m.rows[k]; ok {
			out = append(out, row)
		}
	}
	return out, m.down
}

func (m *memStore) Upstreams(context.Context) ([]verify.Upstream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ups), m.down
}

func (m *memStore) Catalog(_ context.Context, id postern.UpstreamID, _ int64) (*catalog.Catalog, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.catalogs[id], m.down
}

func (m *memStore) RenewLease(_ context.Context, node string, ttl time.Duration) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return time.Time{}, m.down
	}
	l := m.leases[node]
	l.Node, l.Expires = node, m.now().Add(ttl)
	m.leases[node] = l
	return m.now(), nil
}

func (m *memStore) Confirm(_ context.Context, node string, seq int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	m.confirms++
	if l, ok := m.leases[node]; ok {
		l.Confirmed = max(l.Confirmed, seq)
		m.leases[node] = l
	}
	return nil
}

func (m *memStore) DropLease(_ context.Context, node string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leases, node)
	return m.down
}

func (m *memStore) Leases(context.Context) ([]verify.Lease, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.leases)), m.now(), m.down
}

// link is one node's way to the store, which can be cut.
type link struct {
	*memStore
	cut bool
}

func (l *link) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return errDown
	}
	return nil
}

func (l *link) setCut(cut bool) { l.set(func() { l.cut = cut }) }

func (l *link) FeedHead(ctx context.Context) (int64, int64, error) {
	if err := l.broken(); err != nil {
		return 0, 0, err
	}
	return l.memStore.FeedHead(ctx)
}

func (l *link) Feed(ctx context.Context, after int64, max int) ([]postern.Change, error) {
	if err := l.broken(); err != nil {
		return nil, err
	}
	return l.memStore.Feed(ctx, after, max)
}

func (l *link) RenewLease(ctx context.Context, node string, ttl time.Duration) (time.Time, error) {
	if err := l.broken(); err != nil {
		return time.Time{}, err
	}
	return l.memStore.RenewLease(ctx, node, ttl)
}

func (l *link) Confirm(ctx context.Context, node string, seq int64) error {
	if err := l.broken(); err != nil {
		return err
	}
	return l.memStore.Confirm(ctx, node, seq)
}
