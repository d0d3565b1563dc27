package verify

import (
	"context"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// Store is what a node needs of the database. Every method reads or writes the
// primary, never a replica: replicas may show commits in another order. A method
// that fails returns an error and has no partial result that matters; the caller
// tries again. Neither side changes a value that it was given or gave.
//
// The contracts that the promise of revocation rests on:
//
//   - A change's number comes from one counter row that its own transaction
//     updates. So the feed has no gaps, and once number n is visible so is every
//     smaller one, together with what it changed.
//   - What a method reads was committed at or before its return, and includes all
//     that was committed before it was called.
//   - RenewLease has committed when it returns.
type Store interface {
	// FeedHead gives the number of the latest change, 0 where there is none, and
	// the feed's epoch. The epoch stays the same for the life of a database and is
	// another after a restore from a backup.
	FeedHead(ctx context.Context) (seq, epoch int64, err error)

	// Feed gives up to max changes with numbers above after, in their order. Old
	// changes may be gone; then the first one's number is higher than after+1.
	Feed(ctx context.Context, after int64, max int) ([]postern.Change, error)

	// Wait blocks until a change above after may exist, or ctx ends. It is a hint:
	// it may return early, and a caller must not count on it to return at all.
	Wait(ctx context.Context, after int64) error

	// Accounts calls yield with every account, suspended ones too, and stops at its error.
	Accounts(ctx context.Context, yield func(*postern.Account) error) error
	// Account reads one account; CodeNotFound if there is none.
	Account(ctx context.Context, id postern.AccountID) (*postern.Account, error)

	// Members calls yield with every member and their role, removed ones too as
	// long as they have credentials, and stops at its error.
	Members(ctx context.Context, yield func(*postern.Member) error) error
	// Member reads one member and their role; CodeNotFound if there is none.
	Member(ctx context.Context, id postern.MemberID) (*postern.Member, error)

	// Credentials calls yield with every row that may still be presented: revoked,
	// paused and expired ones too, so that the holder can be told; deleted ones may
	// be left out. It stops at yield's error. It may read in several transactions.
	Credentials(ctx context.Context, yield func(*postern.CredentialRow) error) error
	// Credential reads one row; CodeNotFound if it is gone for good.
	Credential(ctx context.Context, key postern.KeyID) (*postern.CredentialRow, error)

	// CredentialsOf reads the rows of some keys, in any order; those that are gone for good are left out.
	CredentialsOf(ctx context.Context, keys []postern.KeyID) ([]postern.CredentialRow, error)

	// Upstreams gives every upstream that has a catalog, and where it is mounted.
	Upstreams(ctx context.Context) ([]Upstream, error)
	// Catalog reads a version of an upstream's catalog. It is asked once a version.
	Catalog(ctx context.Context, id postern.UpstreamID, version int64) (*catalog.Catalog, error)

	// RenewLease writes node's lease, which ends ttl after the store's time, and
	// gives that time. It leaves the number that node confirmed as it was.
	RenewLease(ctx context.Context, node string, ttl time.Duration) (storeNow time.Time, err error)
	// Confirm notes that node refuses all that the changes up to seq refuse. A
	// smaller number than before changes nothing.
	Confirm(ctx context.Context, node string, seq int64) error
	// DropLease removes the lease of a node that has stopped deciding.
	DropLease(ctx context.Context, node string) error
	// Leases gives the lease of every node, ended ones too unless they are long
	// over, and the store's time, all read together.
	Leases(ctx context.Context) (leases []Lease, storeNow time.Time, err error)
}

// Lease is a node's permission to decide, as the store keeps it.
type Lease struct {
	Node      string
	Expires   time.Time // by the store's time
	Confirmed int64     // the highest feed number that the node confirmed
}

// Upstream is an API behind Postern: where it is reached, and the version of its catalog.
type Upstream struct {
	ID          postern.UpstreamID
	Catalog     int64  // the version in force
	Host        string // without port; empty for every host
	Prefix      string // whole segments: "/crm"; empty for every path
	StripPrefix bool   // the catalog's own paths begin after the prefix
	Preflight   bool   // CORS preflights of known paths are public
	// Unmounted upstreams are found by their id only, never by host and path:
	// Postern's own API is one.
	Unmounted bool
}
