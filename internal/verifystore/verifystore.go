// Package verifystore shows the main records as verification reads them.
package verifystore

import (
	"context"
	"fmt"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// Store is the main records as verification needs them.
type Store struct {
	*store.DB
	// Info says what a node tells of itself with each lease; nil where there is nothing to say.
	Info    func() store.NodeInfo
	builtin []*catalog.Catalog
}

// Of gives the records of a database, with the catalogs that are compiled in:
// Postern's own API among them.
func Of(db *store.DB, builtin ...*catalog.Catalog) *Store {
	return &Store{DB: db, builtin: builtin}
}

var _ verify.Store = (*Store)(nil)

func (s *Store) RenewLease(ctx context.Context, node string, ttl time.Duration) (time.Time, error) {
	if s.Info == nil {
		return s.DB.RenewLease(ctx, node, ttl)
	}
	return s.DB.RenewLeaseOf(ctx, s.Info(), ttl)
}

// Accounts are what is read first by one who reads everything, instead of change
// after change. That mustn't hide a change of a kind which only a newer version
// knows: what it forbids can't be seen in what this one reads.
func (s *Store) Accounts(ctx context.Context, yield func(*postern.Account) error) error {
	if kind, err := s.UnknownChange(ctx); err != nil {
		return err
	} else if kind != "" {
		return fmt.Errorf("a change of the kind %q is not known here: start a newer binary", kind)
	}
	return each(s.DB.Accounts(ctx))(yield)
}

func (s *Store) Account(ctx context.Context, id postern.AccountID) (*postern.Account, error) {
	return ptr(s.DB.Account(ctx, id))
}

func (s *Store) Members(ctx context.Context, yield func(*postern.Member) error) error {
	return each(s.DB.Members(ctx, "", true))(yield)
}

func (s *Store) Member(ctx context.Context, id postern.MemberID) (*postern.Member, error) {
	return ptr(s.DB.Member(ctx, id))
}

func (s *Store) Credentials(ctx context.Context, yield func(*postern.CredentialRow) error) error {
	return s.EachCredential(ctx, yield)
}

func (s *Store) Credential(ctx context.Context, id postern.KeyID) (*postern.CredentialRow, error) {
	return ptr(s.DB.Credential(ctx, id))
}

// Upstreams gives the upstreams that have a catalog, and the compiled-in ones,
// which are mounted nowhere: their doors name them.
func (s *Store) Upstreams(ctx context.Context) ([]verify.Upstream, error) {
	var out []verify.Upstream
	for _, c := range s.builtin {
		out = append(out, verify.Upstream{ID: c.Upstream, Catalog: builtinVersion, Unmounted: true})
	}
	ups, err := s.DB.Upstreams(ctx)
	for _, u := range ups {
		if u.CatalogVersion != 0 && u.ID != keyring.ReservedUpstream {
			out = append(out, verify.Upstream{ID: u.ID, Catalog: u.CatalogVersion, Host: u.Host, Prefix: u.Prefix,
				StripPrefix: u.Options.StripPrefix, Preflight: u.Options.Preflight})
		}
	}
	return out, err
}

// builtinVersion is the version of a catalog that is compiled in: one for the life of a process.
const builtinVersion = 1

// Catalog reads a version of an upstream's catalog.
func (s *Store) Catalog(ctx context.Context, id postern.UpstreamID, version int64) (*catalog.Catalog, error) {
	for _, c := range s.builtin {
		if c.Upstream == id {
			return c, nil
		}
	}
	row, err := s.DB.Catalog(ctx, id, version)
	if err != nil {
		return nil, err
	}
	c, err := catalog.Unmarshal([]byte(row.Body))
	if err != nil {
		return nil, fmt.Errorf("verifystore: catalog %s version %d: %w", id, version, err)
	}
	return c, nil
}

func (s *Store) Confirm(ctx context.Context, node string, seq int64) error {
	return s.ConfirmFeed(ctx, node, seq)
}

func (s *Store) Leases(ctx context.Context) ([]verify.Lease, time.Time, error) {
	rows, now, err := s.DB.Leases(ctx)
	out := make([]verify.Lease, len(rows))
	for i, l := range rows {
		out[i] = verify.Lease{Node: l.Node, Expires: l.Until, Confirmed: l.Confirmed}
	}
	return out, now, err
}

func ptr[T any](v T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func each[T any](list []T, err error) func(func(*T) error) error {
	return func(yield func(*T) error) error {
		if err != nil {
			return err
		}
		for i := range list {
			if err := yield(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
}
