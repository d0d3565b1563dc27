package node

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

// VerifyStore is the main records as verification needs them, with the catalogs
// that are compiled in: Postern's own API among them.
func VerifyStore(db *store.DB, builtin ...*catalog.Catalog) verify.Store {
	return &verifyStore{DB: db, builtin: builtin}
}

// verifyStore is VerifyStore for this node, which says more of itself than its name.
func (n *Node) verifyStore(builtin ...*catalog.Catalog) verify.Store {
	return &verifyStore{DB: n.DB, builtin: builtin, info: n.info}
}

type verifyStore struct {
	*store.DB
	builtin []*catalog.Catalog
	info    func() store.NodeInfo // nil: there is nothing to say
}

func (s *verifyStore) RenewLease(ctx context.Context, node string, ttl time.Duration) (time.Time, error) {
	if s.info == nil {
		return s.DB.RenewLease(ctx, node, ttl)
	}
	return s.DB.RenewLeaseOf(ctx, s.info(), ttl)
}

func (s *verifyStore) Accounts(ctx context.Context, yield func(*postern.Account) error) error {
	return each(s.DB.Accounts(ctx))(yield)
}

func (s *verifyStore) Account(ctx context.Context, id postern.AccountID) (*postern.Account, error) {
	return ptr(s.DB.Account(ctx, id))
}

func (s *verifyStore) Members(ctx context.Context, yield func(*postern.Member) error) error {
	return each(s.DB.Members(ctx, "", true))(yield)
}

func (s *verifyStore) Member(ctx context.Context, id postern.MemberID) (*postern.Member, error) {
	return ptr(s.DB.Member(ctx, id))
}

func (s *verifyStore) Credentials(ctx context.Context, yield func(*postern.CredentialRow) error) error {
	return s.EachCredential(ctx, yield)
}

func (s *verifyStore) Credential(ctx context.Context, id postern.KeyID) (*postern.CredentialRow, error) {
	return ptr(s.DB.Credential(ctx, id))
}

// Upstreams gives the upstreams that have a catalog, and the compiled-in ones,
// which are mounted nowhere: their doors name them.
func (s *verifyStore) Upstreams(ctx context.Context) ([]verify.Upstream, error) {
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
func (s *verifyStore) Catalog(ctx context.Context, id postern.UpstreamID, version int64) (*catalog.Catalog, error) {
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
		return nil, fmt.Errorf("node: catalog %s version %d: %w", id, version, err)
	}
	return c, nil
}

func (s *verifyStore) Confirm(ctx context.Context, node string, seq int64) error {
	return s.ConfirmFeed(ctx, node, seq)
}

func (s *verifyStore) Leases(ctx context.Context) ([]verify.Lease, time.Time, error) {
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
