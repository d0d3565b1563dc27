package verify

import (
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// Config is what a Verifier needs. Only Store and Pepper have no default.
type Config struct {
	Store  Store
	Pepper *postern.Pepper
	Brand  string // of the secrets; postern.DefaultBrand
	// Node names this process among all that share the store. It must be new at
	// each start; made at random where empty.
	Node string
	// Shared says that other nodes may share the store. Alone, a node confirms
	// nothing in the store, and knows that a key it has not heard of does not exist.
	Shared bool
	// Lease is how long a node decides without the store, and so the longest that
	// a revocation can take: 60 s unless set.
	Lease time.Duration
	// Poll is how often the feed is read, hints aside: 500 ms unless set.
	Poll time.Duration
	// MaxBehind is how many changes a node applies one by one; when there are more
	// it reads everything anew: 100,000 unless set.
	MaxBehind int64
	// Burst is the limit of a key that has none of its own; zero is no limit.
	Burst postern.Rate
	// Ledger, where set, counts limits in seconds for all nodes together.
	Ledger Ledger
	Sink   Sink
	// Applied, where set, is told of changes after they came into force here; none
	// at all means that anything may have changed. It must not block. Doors end
	// streams whose credential no longer works.
	Applied func([]postern.Change)
	// Proved, where set, is told of secrets that were found by their slow hash.
	Proved Proved
	Clock  Clock // SystemClock unless set
	Log    *slog.Logger
}

// Verifier decides, on one node. Its methods may be called at the same time.
type Verifier struct {
	store     Store
	sink      Sink
	clock     Clock
	log       *slog.Logger
	brand     string
	node      string
	shared    bool
	ttl       time.Duration
	poll      time.Duration
	maxBehind int64
	burst     burst
	ledger    Ledger // nil where each node counts for itself
	onApplied func([]postern.Change)
	onProved  Proved

	index    *index
	scopes   *scopes
	accounts *accounts
	members  *members
	hashers  *hashers
	retiring retiring
	routes   atomic.Pointer[routes]
	nobody   postern.Credential // compared with where a key isn't known

	order    []step                                  // of a renewal
	random   func(below time.Duration) time.Duration // what waits are spread by
	lease    atomic.Pointer[lease]
	renewing sync.Mutex
	ready    chan struct{}
	readied  sync.Once

	feed     feed
	asks     asks
	reads    leaseReads
	sharers  atomic.Int64 // nodes that share the limits
	commits  commits
	receipts receipts
	counts   counts
}

// New makes a Verifier. It decides nothing before Run or Renew has got it a lease.
func New(c Config) (*Verifier, error) {
	if c.Store == nil || c.Pepper == nil {
		return nil, errors.New("verify: a store and a pepper are needed")
	}
	if c.Node == "" {
		c.Node = "node_" + postern.RandomText(8)
	}
	v := &Verifier{
		store: c.Store, sink: c.Sink, clock: c.Clock, log: c.Log, brand: c.Brand, node: c.Node, shared: c.Shared,
		ttl: c.Lease, poll: c.Poll, maxBehind: c.MaxBehind, burst: burstOf(c.Burst), ledger: c.Ledger, onApplied: c.Applied, onProved: c.Proved,
		index: newIndex(), scopes: newScopes(), accounts: newAccounts(), members: newMembers(), hashers: newHashers(c.Pepper),
		ready: make(chan struct{}), order: inOrder, random: mathrand.N[time.Duration],
	}
	if v.clock == nil {
		v.clock = SystemClock()
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if v.brand == "" {
		v.brand = postern.DefaultBrand
	}
	if v.ttl <= 0 {
		v.ttl = time.Minute
	}
	if v.poll <= 0 {
		v.poll = 500 * time.Millisecond
	}
	if v.maxBehind <= 0 {
		v.maxBehind = 100_000
	}
	v.reads = leaseReads{store: v.store, patience: v.patience()}
	v.retiring.init()
	v.feed.turn = make(chan struct{}, 1)
	v.asks.waiting = map[[postern.KeyIDLen]byte]chan struct{}{}
	v.routes.Store(noRoutes)
	v.accounts.number("") // the account of nobody
	for _, p := range postern.Permissions() {
		if _, err := v.scopes.id(p); err != nil {
			return nil, err
		}
	}
	v.nobody.CurrentPepper, v.nobody.PreviousPepper = v.hashers.latest, v.hashers.latest
	rand.Read(v.nobody.Current[:])
	rand.Read(v.nobody.Previous[:])
	return v, nil
}

// Node is the name of this node in the table of leases.
func (v *Verifier) Node() string { return v.node }

// Ready is closed once the node decides for the first time.
func (v *Verifier) Ready() <-chan struct{} { return v.ready }
