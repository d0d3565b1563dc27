// Package doortest is what tests of doors share: a small world with a real
// verifier over a store in memory, and the attacks that every door has to take alike.
package doortest

import (
	"context"
	_ "embed"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/identity"
	"postern.dev/postern/internal/verify"
)

// The accounts of a World.
const (
	Account      postern.AccountID = "acc_0000000000000001"
	OtherAccount postern.AccountID = "acc_0000000000000002"
)

// The upstreams of a World: the same document four times.
const (
	API     postern.UpstreamID = "api"     // at every path, as strict as can be
	HubSpot postern.UpstreamID = "hubspot" // under /hs, in that dialect, leading slashes collapsed
	Lax     postern.UpstreamID = "lax"     // under /lax, with ";" in its paths
	Hosted  postern.UpstreamID = "hosted"  // at hosted.example, with everything public that is public elsewhere
)

const pepper = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=\n"

//go:embed api.yaml
var document []byte

// World is a store with two accounts and four upstreams, a node that decides,
// and a door.
type World struct {
	Store     *Store
	Pepper    *postern.Pepper
	V         *verify.Verifier
	Door      *door.Door
	Identity  *identity.Issuer
	Sink      *Sink
	Clock     *Clock
	Upstreams []postern.Upstream
	// Applied is called with the changes that came into force, if it is set before any is made.
	Applied func([]postern.Change)
}

// New makes a World.
func New(t testing.TB, configure ...func(*door.Config)) *World {
	t.Helper()
	p, err := postern.ParsePepper(pepper)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Store: newStore(), Pepper: p, Sink: &Sink{}, Clock: &Clock{Clock: verify.SystemClock()}}
	w.Store.accounts[Account] = postern.Account{ID: Account, Number: 4242, TimeZone: "Europe/Berlin", Revision: 1}
	w.Store.accounts[OtherAccount] = postern.Account{ID: OtherAccount, Number: 77, TimeZone: "UTC", Revision: 1}
	cat, _, err := catalog.Parse(t.Context(), []catalog.Source{{Name: "api.yaml", Data: document}}, catalog.Options{Upstream: API})
	if err != nil {
		t.Fatal(err)
	}
	w.Upstreams = []postern.Upstream{
		{ID: API, Options: postern.UpstreamOptions{Preflight: true}},
		{ID: HubSpot, Prefix: "/hs", Options: postern.UpstreamOptions{StripPrefix: true, Errors: postern.ErrorsHubSpot, CollapseLeadingSlash: true}},
		{ID: Lax, Prefix: "/lax", Options: postern.UpstreamOptions{StripPrefix: true, AllowSemicolon: true}},
		{ID: Hosted, Host: "hosted.example"},
	}
	for _, u := range w.Upstreams {
		w.Store.ups = append(w.Store.ups, verify.Upstream{ID: u.ID, Catalog: 1, Host: u.Host, Prefix: u.Prefix,
			StripPrefix: u.Options.StripPrefix, Preflight: u.Options.Preflight})
		c := *cat
		c.Upstream = u.ID
		c.Operations = slices.Clone(cat.Operations)
		for i := range c.Operations {
			c.Operations[i].Upstream = u.ID
		}
		w.Store.catalogs[u.ID] = &c
	}
	w.V, err = verify.New(verify.Config{Store: w.Store, Pepper: p, Sink: w.Sink, Clock: w.Clock, Applied: func(changes []postern.Change) {
		if w.Applied != nil {
			w.Applied(changes)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.V.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := door.Config{Verifier: w.V, DocsURL: "https://crm.example.net/docs"}
	for _, f := range configure {
		f(&c)
	}
	if w.Door, err = door.New(c); err != nil {
		t.Fatal(err)
	}
	w.Door.Set(w.Upstreams)
	if w.Identity, err = identity.New(identity.Config{Verifier: w.V, Pepper: p, Issuer: "https://postern.example"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// Key makes a service key of Account that holds things.read; change says what is
// special about it.
func (w *World) Key(t testing.TB, change ...func(*postern.CredentialRow)) postern.Secret {
	t.Helper()
	return w.KeyOf(t, postern.SecretServiceKey, postern.KindServiceKey, change...)
}

// KeyOf makes a credential of a kind.
func (w *World) KeyOf(t testing.TB, typ postern.SecretType, kind postern.Kind, change ...func(*postern.CredentialRow)) postern.Secret {
	t.Helper()
	id := postern.NewKeyID()
	secret := postern.NewSecret(postern.DefaultBrand, typ, id)
	row := postern.CredentialRow{Key: id, AccountID: Account, Kind: kind, Scopes: []postern.Scope{"things.read"}, Current: w.Hash(secret, 1)}
	for _, f := range change {
		f(&row)
	}
	w.Put(t, row)
	return secret
}

// Hash is what is stored of a secret.
func (w *World) Hash(s postern.Secret, generation int64) postern.SecretHash {
	h, v := w.Pepper.Hash(s)
	return postern.SecretHash{Hash: h, Pepper: v, Generation: generation, LastFour: s.LastFour()}
}

// Put seals and writes a row, and has the node apply it.
func (w *World) Put(t testing.TB, row postern.CredentialRow) {
	t.Helper()
	row.Revision++
	row.Seal(w.Pepper)
	w.CatchUp(t, w.Store.Commit(postern.ChangeCredential, string(row.Key), func(s *Store) { s.rows[row.Key] = row }))
}

// Change changes the row of a credential.
func (w *World) Change(t testing.TB, secret postern.Secret, change func(*postern.CredentialRow)) {
	t.Helper()
	p, err := postern.ParseSecret(postern.DefaultBrand, secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	row, err := w.Store.Credential(t.Context(), p.KeyID())
	if err != nil {
		t.Fatal(err)
	}
	change(row)
	w.Put(t, *row)
}

// CatchUp has the node apply a change.
func (w *World) CatchUp(t testing.TB, seq int64) {
	t.Helper()
	if err := w.V.CatchUp(context.WithoutCancel(t.Context()), seq); err != nil {
		t.Fatal(err)
	}
}

// Suspend suspends an account.
func (w *World) Suspend(t testing.TB, id postern.AccountID) {
	t.Helper()
	w.CatchUp(t, w.Store.Commit(postern.ChangeAccount, string(id), func(s *Store) {
		a := s.accounts[id]
		a.SuspendedAt = s.Now()
		a.Revision++
		s.accounts[id] = a
	}))
}

// LimitDay sets an account's daily limit.
func (w *World) LimitDay(t testing.TB, id postern.AccountID, calls int64) {
	t.Helper()
	w.CatchUp(t, w.Store.Commit(postern.ChangeAccount, string(id), func(s *Store) {
		a := s.accounts[id]
		a.DailyLimit = calls
		a.Revision++
		s.accounts[id] = a
	}))
}

// Clock is the machine's clock, which a test can set forward.
type Clock struct {
	verify.Clock
	ahead atomic.Int64
}

// Skip sets the clock forward.
func (c *Clock) Skip(d time.Duration) { c.ahead.Add(int64(d)) }

// Now is the moment.
func (c *Clock) Now() verify.Instant {
	i, ahead := c.Clock.Now(), c.ahead.Load()
	return verify.Instant{Wall: i.Wall + ahead, Mono: i.Mono + ahead, Boot: i.Boot + ahead}
}

// Sink keeps what was recorded.
type Sink struct {
	mu      sync.Mutex
	events  []postern.Event
	discard bool
}

// Discard has the sink keep only the latest record, for benchmarks.
func (s *Sink) Discard() { s.discard, s.events = true, make([]postern.Event, 1) }

// Record keeps a copy.
func (s *Sink) Record(e *postern.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.discard {
		s.events[0] = *e
		return
	}
	s.events = append(s.events, *e)
}

// Last is the latest record.
func (s *Sink) Last() postern.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[len(s.events)-1]
}

// Take gives what was recorded, and forgets it.
func (s *Sink) Take() []postern.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.events
	s.events = nil
	return out
}

// Await gives what was recorded once there are n records, or fails.
func (s *Sink) Await(t testing.TB, n int) []postern.Event {
	t.Helper()
	for range 500 {
		s.mu.Lock()
		got := len(s.events)
		s.mu.Unlock()
		if got >= n {
			return s.Take()
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d calls were recorded, want %d", len(s.Take()), n)
	return nil
}

// Loopback is this machine.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
