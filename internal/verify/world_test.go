package verify_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/verify"
)

var t0 = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// clock is a machine's clock that a test moves. True time goes on for all; a
// machine may be ahead, be paused, or sleep.
type clock struct {
	mu     sync.Mutex
	now    time.Time     // true time
	ahead  time.Duration // of the wall clock
	paused time.Duration // by which monotonic time stood still
	asleep time.Duration // and boot time too
}

func newClock() *clock { return &clock{now: t0} }

func (c *clock) Now() verify.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.now.Sub(t0.Add(-time.Hour))
	return verify.Instant{Wall: c.now.Add(c.ahead).UnixNano(), Mono: int64(since - c.paused), Boot: int64(since - c.asleep)}
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) { c.set(func() { c.now = c.now.Add(d) }) }

func (c *clock) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func pepperOf(t testing.TB, text string) *postern.Pepper {
	t.Helper()
	p, err := postern.ParsePepper(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	pepper1 = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
	pepper2 = pepper1 + "2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=\n"
)

// world is a store with an account, a member, an API, and one node.
type world struct {
	t      testing.TB
	clock  *clock
	store  *memStore
	pepper *postern.Pepper
	v      *verify.Verifier
	sink   *counter
}

const (
	account = postern.AccountID("acc_0000000000000001")
	member  = postern.MemberID("mem_0000000000000001")
	crm     = postern.UpstreamID("crm")
)

// counter is a Sink that keeps copies.
type counter struct {
	mu   sync.Mutex
	n    int
	last postern.Event
}

func (c *counter) Record(e *postern.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.last = *e
}

func dealsCatalog() *catalog.Catalog {
	op := func(method, path string, ways ...catalog.Way) catalog.Operation {
		return catalog.Operation{Operation: postern.Operation{Upstream: crm, Name: method + " " + path, Method: method, Path: path},
			Ways: ways, Uncovered: len(ways) == 0}
	}
	way := func(scopes ...postern.Scope) catalog.Way {
		return catalog.Way{Scopes: scopes, Kinds: postern.DataKinds}
	}
	public := op("GET", "/ping")
	public.Public, public.Uncovered = true, false
	keys := op("GET", "/keys", catalog.Way{Scopes: []postern.Scope{postern.PermKeysRead}, Kinds: postern.KindsOf(postern.KindPersonal)})
	return &catalog.Catalog{Upstream: crm, Operations: []catalog.Operation{
		op("GET", "/deals", way("deals.read"), way("crm.all")),
		op("POST", "/deals", way("deals.read", "deals.write")),
		op("GET", "/secret"), public, keys,
		op("POST", "/keys", catalog.Way{Scopes: []postern.Scope{postern.PermKeysWrite}, Kinds: postern.KindsOf(postern.KindPersonal)}),
	}}
}

func newWorld(t testing.TB, configure ...func(*verify.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), pepper: pepperOf(t, pepper1), sink: &counter{}}
	w.store = newMemStore(w.clock.time)
	w.store.accounts[account] = postern.Account{ID: account, Number: 101, TimeZone: "Europe/Berlin", Revision: 1}
	role, _ := postern.BuiltinRole(postern.RoleKeyManager)
	w.store.members[member] = postern.Member{ID: member, AccountID: account, Role: role, Revision: 1}
	w.store.ups = []verify.Upstream{{ID: crm, Catalog: 1, Prefix: "/crm", StripPrefix: true, Preflight: true}}
	w.store.catalogs[crm] = dealsCatalog()
	w.v = w.node(configure...)
	w.renew()
	return w
}

func (w *world) node(configure ...func(*verify.Config)) *verify.Verifier {
	w.t.Helper()
	c := verify.Config{Store: w.store, Pepper: w.pepper, Clock: w.clock, Sink: w.sink}
	for _, f := range configure {
		f(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) renew() {
	w.t.Helper()
	if err := w.v.Renew(context.Background()); err != nil {
		w.t.Fatalf("Renew: %v", err)
	}
}

// key makes a service key; change says what is special about it.
func (w *world) key(change ...func(*postern.CredentialRow)) (postern.Secret, postern.CredentialRow) {
	w.t.Helper()
	return w.keyOf(postern.SecretServiceKey, postern.KindServiceKey, change...)
}

func (w *world) keyOf(typ postern.SecretType, kind postern.Kind, change ...func(*postern.CredentialRow)) (postern.Secret, postern.CredentialRow) {
	w.t.Helper()
	id := postern.NewKeyID()
	secret := postern.NewSecret(postern.DefaultBrand, typ, id)
	row := postern.CredentialRow{Key: id, AccountID: account, Kind: kind, Scopes: []postern.Scope{"deals.read"},
		Current: w.hash(secret, 1)}
	for _, f := range change {
		f(&row)
	}
	return secret, w.put(row)
}

func (w *world) hash(s postern.Secret, generation int64) postern.SecretHash {
	h, v := w.pepper.Hash(s)
	return postern.SecretHash{Hash: h, Pepper: v, Generation: generation, LastFour: s.LastFour()}
}

// put seals and writes a row, and has the node apply it.
func (w *world) put(row postern.CredentialRow) postern.CredentialRow {
	w.t.Helper()
	row.Revision++
	row.Seal(w.pepper)
	seq := w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = row })
	w.catchUp(seq)
	return row
}

func (w *world) catchUp(seq int64) {
	w.t.Helper()
	if err := w.v.CatchUp(context.Background(), seq); err != nil {
		w.t.Fatalf("CatchUp(%d): %v", seq, err)
	}
}

var home = netip.MustParseAddr("203.0.113.7")

func get(s postern.Secret, method, path string) *verify.Request {
	return &verify.Request{Secret: s, Method: method, Upstream: crm, Path: path, RemoteIP: home, Door: postern.DoorGateway}
}

func verifyWith(t testing.TB, v *verify.Verifier, req *verify.Request) postern.Decision {
	t.Helper()
	d, err := v.Verify(context.Background(), req)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return d
}

func (w *world) want(req *verify.Request, want postern.Reason) postern.Decision {
	w.t.Helper()
	d := verifyWith(w.t, w.v, req)
	if d.Reason != want {
		w.t.Fatalf("Verify(%s %s, %v) = %v, want %v", req.Method, req.Path, req.Secret, d.Reason, want)
	}
	if allow := want == postern.ReasonAllowed || want == postern.ReasonPublic; d.Allowed != allow {
		w.t.Fatalf("Verify: Allowed is %v with the reason %v", d.Allowed, d.Reason)
	}
	return d
}

func operationsCatalog(n int) *catalog.Catalog {
	c := &catalog.Catalog{Upstream: crm}
	methods := []string{"GET", "POST", "PATCH", "DELETE"}
	for i := range n {
		m := methods[i%4]
		path := fmt.Sprintf("/v%d/group%d/objects%d/{id}/parts/{part}", i%3, i%37, i/4)
		c.Operations = append(c.Operations, catalog.Operation{
			Operation: postern.Operation{Upstream: crm, Name: fmt.Sprint("op", i), Method: m, Path: path},
			Ways:      []catalog.Way{{Scopes: []postern.Scope{postern.Scope(fmt.Sprintf("group%d.%s", i%37, m))}, Kinds: postern.DataKinds}},
		})
	}
	return c
}
