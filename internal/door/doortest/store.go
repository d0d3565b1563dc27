package doortest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

// Store is a verify.Store in memory, for one node. It keeps the contracts of
// that interface: each change is visible with its number or not at all.
type Store struct {
	Now func() time.Time

	mu       sync.Mutex
	changed  chan struct{}
	feed     []postern.Change
	accounts map[postern.AccountID]postern.Account
	members  map[postern.MemberID]postern.Member
	rows     map[postern.KeyID]postern.CredentialRow
	ups      []verify.Upstream
	catalogs map[postern.UpstreamID]*catalog.Catalog
	leases   map[string]verify.Lease
}

func newStore() *Store {
	return &Store{Now: time.Now, changed: make(chan struct{}), accounts: map[postern.AccountID]postern.Account{},
		members: map[postern.MemberID]postern.Member{}, rows: map[postern.KeyID]postern.CredentialRow{},
		catalogs: map[postern.UpstreamID]*catalog.Catalog{}, leases: map[string]verify.Lease{}}
}

// Commit makes a change under the next number of the feed, and gives the number.
func (s *Store) Commit(kind postern.ChangeKind, id string, change func(*Store)) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
	seq := int64(len(s.feed)) + 1
	s.feed = append(s.feed, postern.Change{Seq: seq, At: s.Now(), Kind: kind, ID: id})
	close(s.changed)
	s.changed = make(chan struct{})
	return seq
}

// FeedHead gives the number of the latest change.
func (s *Store) FeedHead(context.Context) (seq, epoch int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.feed)), 1, nil
}

// Feed gives changes after a number.
func (s *Store) Feed(_ context.Context, after int64, most int) ([]postern.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := min(int(after), len(s.feed))
	return slices.Clone(s.feed[from:min(from+most, len(s.feed))]), nil
}

// Wait blocks until there is a change after a number.
func (s *Store) Wait(ctx context.Context, after int64) error {
	s.mu.Lock()
	changed, head := s.changed, int64(len(s.feed))
	s.mu.Unlock()
	if head > after {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accounts yields every account.
func (s *Store) Accounts(_ context.Context, yield func(*postern.Account) error) error {
	return each(s, s.accounts, yield)
}

// Members yields every member.
func (s *Store) Members(_ context.Context, yield func(*postern.Member) error) error {
	return each(s, s.members, yield)
}

// Credentials yields every row.
func (s *Store) Credentials(_ context.Context, yield func(*postern.CredentialRow) error) error {
	return each(s, s.rows, yield)
}

func each[K comparable, T any](s *Store, from map[K]T, yield func(*T) error) error {
	s.mu.Lock()
	all := slices.Collect(maps.Values(from))
	s.mu.Unlock()
	for i := range all {
		if err := yield(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

func one[K comparable, T any](s *Store, from map[K]T, k K) (*T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := from[k]
	if !ok {
		return nil, postern.Errorf(postern.CodeNotFound, "It is not there.")
	}
	return &v, nil
}

// Account reads an account.
func (s *Store) Account(_ context.Context, id postern.AccountID) (*postern.Account, error) {
	return one(s, s.accounts, id)
}

// Member reads a member.
func (s *Store) Member(_ context.Context, id postern.MemberID) (*postern.Member, error) {
	return one(s, s.members, id)
}

// Credential reads a row.
func (s *Store) Credential(_ context.Context, key postern.KeyID) (*postern.CredentialRow, error) {
	return one(s, s.rows, key)
}

// CredentialsOf reads the rows of some keys.
func (s *Store) CredentialsOf(_ context.Context, keys []postern.KeyID) (out []postern.CredentialRow, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if row, ok := s.rows[k]; ok {
			out = append(out, row)
		}
	}
	return out, nil
}

// Upstreams gives the upstreams.
func (s *Store) Upstreams(context.Context) ([]verify.Upstream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ups), nil
}

// Catalog reads a catalog.
func (s *Store) Catalog(_ context.Context, id postern.UpstreamID, _ int64) (*catalog.Catalog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalogs[id], nil
}

// RenewLease renews a lease.
func (s *Store) RenewLease(_ context.Context, node string, ttl time.Duration) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	s.leases[node] = verify.Lease{Node: node, Expires: now.Add(ttl), Confirmed: s.leases[node].Confirmed}
	return now, nil
}

// Confirm notes what a node confirmed.
func (s *Store) Confirm(_ context.Context, node string, seq int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[node]
	l.Confirmed = max(l.Confirmed, seq)
	s.leases[node] = l
	return nil
}

// DropLease removes a lease.
func (s *Store) DropLease(_ context.Context, node string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, node)
	return nil
}

// Leases gives the leases.
func (s *Store) Leases(context.Context) ([]verify.Lease, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.leases)), s.Now(), nil
}
