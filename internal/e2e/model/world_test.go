package model_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/e2e/model"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

// berlin is where the second account's days begin.
var berlin = func() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return l
}()

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// lease is how long the verifier decides between two renewals.
const lease = time.Minute

// world is the real thing beside the model, and what in the one stands for what
// in the other.
type world struct {
	t      testing.TB
	m      *model.World
	clock  *clock
	db     *store.DB
	pepper *postern.Pepper
	own    *catalog.Catalog
	kr     *keyring.Keyring
	v      *verify.Verifier
	seq    int64 // the highest feed number that a change was given

	accounts map[*model.Account]postern.AccountID
	members  map[*model.Member]postern.MemberID
	roles    map[*model.Role]postern.RoleID
	keys     map[*model.Key]postern.KeyID
	personal map[*model.Personal]postern.KeyID
	secrets  map[*model.Secret]postern.Secret

	requests   []request // made with an Idempotency-Key
	emails     int
	leaseEnd   time.Time
	last       []string // what was done, the latest at the end
	everything bool     // keep all of it
	kind       string   // of the operation that is being done
	counts
}

// counts are events.
type counts struct {
	operations, changes, refused, verifications, allowed, readings int
	codes, reasons                                                 map[string]int
	kinds                                                          map[string]tally
}

// tally is how operations of one kind ended.
type tally struct{ asked, done int }

// clock is the one time of a world: the keyring's, the store's, and the node's,
// whose wall clock is off by a little.
type clock struct {
	now time.Time
}

const wallIsOff = 3 * time.Second

func (c *clock) Now() verify.Instant {
	since := int64(c.now.Sub(t0))
	return verify.Instant{Wall: c.now.Add(wallIsOff).UnixNano(), Mono: since, Boot: since}
}

// clockedStore is a store whose own time is the clock's.
type clockedStore struct {
	verify.Store
	clock *clock
}

func (s *clockedStore) RenewLease(context.Context, string, time.Duration) (time.Time, error) {
	return s.clock.now, nil
}

func (s *clockedStore) Leases(context.Context) ([]verify.Lease, time.Time, error) {
	return nil, s.clock.now, nil
}

// newWorld sets up a server with two accounts, of which the first is the
// operator's, a catalog, and a model that says the same.
func newWorld(t testing.TB, target string, seed uint64, bug model.Bug) *world {
	t.Helper()
	pepper, err := postern.ParsePepper(postern.NewPepper())
	must(t, err)
	w := &world{
		t: t, clock: &clock{t0}, db: storetest.Open(t, target), pepper: pepper,
		m:        &model.World{Now: t0, Own: ownCatalog, Bug: bug},
		accounts: map[*model.Account]postern.AccountID{}, members: map[*model.Member]postern.MemberID{},
		roles: map[*model.Role]postern.RoleID{}, keys: map[*model.Key]postern.KeyID{},
		personal: map[*model.Personal]postern.KeyID{}, secrets: map[*model.Secret]postern.Secret{},
		counts: counts{codes: map[string]int{}, reasons: map[string]int{}, kinds: map[string]tally{}},
	}
	w.own = parse(t, ownCatalog)
	w.kr = keyring.New(keyring.Config{
		DB: w.db, Pepper: pepper, Brand: postern.DefaultBrand, Now: func() time.Time { return w.clock.now },
		Builtin: []*catalog.Catalog{w.own}, Logger: slog.New(slog.DiscardHandler),
		Applied: func(ctx context.Context, seq int64) {
			w.seq = seq
			if w.v != nil {
				must(t, w.v.CatchUp(ctx, seq))
			}
		},
	})
	for _, r := range model.BuiltIn {
		w.roles[r] = postern.RoleID(r.ID)
	}
	w.setUp(seed)
	w.startVerifier()
	return w
}

func (w *world) setUp(seed uint64) {
	ctx := w.t.Context()
	done, err := w.kr.Setup(ctx, keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	must(w.t, err)
	acme := w.join(&model.Account{Operator: true, Zone: time.UTC}, done)
	super := postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	_, inv, err := w.kr.CreateAccount(ctx, super, keyring.NewAccount{Name: "Beta", TimeZone: berlin.String(), AdminEmail: "bo@example.org", AdminName: "Bo"})
	must(w.t, err)
	accepted, err := w.kr.AcceptInvitation(ctx, inv.Invitation.Reveal(), postern.Actor{})
	must(w.t, err)
	w.join(&model.Account{Zone: berlin}, accepted)
	_, err = w.kr.PutUpstream(ctx, super, postern.Upstream{ID: "api", URL: "http://127.0.0.1:1"})
	must(w.t, err)
	must(w.t, w.load(model.Actor{Account: acme.Account, Member: acme}, randomCatalog(random(seed, -1))))
}

// join puts an account and its first super admin, with their key, into the model.
func (w *world) join(a *model.Account, done keyring.SetupDone) *model.Member {
	m := a.Join(done.Member.Email, done.Member.Name, model.BuiltIn[0])
	p := m.Own(model.NewPersonal{})
	w.m.Accounts = append(w.m.Accounts, a)
	w.accounts[a], w.members[m], w.secrets[p.Secret] = done.Account.ID, done.Member.ID, done.Secret
	parsed, err := postern.ParseSecret(postern.DefaultBrand, done.Secret.Reveal())
	must(w.t, err)
	w.personal[p] = parsed.KeyID()
	return m
}

// startVerifier starts a verifier that knows nothing but what the store holds,
// and how often accounts were called on their day.
func (w *world) startVerifier() {
	var usage []verify.Usage
	if w.v != nil {
		usage = w.v.Usage()
	}
	v, err := verify.New(verify.Config{
		Store:  &clockedStore{verifystore.Of(w.db, w.own), w.clock},
		Pepper: w.pepper, Brand: postern.DefaultBrand, Lease: lease, Clock: w.clock, Log: slog.New(slog.DiscardHandler),
	})
	must(w.t, err)
	w.v = v
	w.renew()
	w.v.AddUsage(usage)
	w.m.ForgetBursts()
}

func (w *world) renew() {
	must(w.t, w.v.Renew(w.t.Context()))
	w.leaseEnd = w.clock.now.Add(lease)
}

// actor is the real one for the model's.
func (w *world) actor(by model.Actor) postern.Actor {
	a := postern.Actor{AccountID: w.accounts[by.Account], MemberID: w.members[by.Member]}
	if by.With != nil {
		a.KeyID = w.personal[by.With]
	}
	return a
}

// system reads what nobody could hide.
func (w *world) system(a *model.Account) postern.Actor {
	return postern.Actor{AccountID: w.accounts[a], System: "model"}
}

// note keeps what was done, for a report.
func (w *world) note(format string, args ...any) {
	w.last = append(w.last, w.clock.now.Format("01-02 15:04:05.000000 ")+fmt.Sprintf(format, args...))
	if len(w.last) > 40 && !w.everything {
		w.last = w.last[20:]
	}
}

func (w *world) name(by model.Actor) string {
	account := "acme"
	if !by.Account.Operator {
		account = "beta"
	}
	switch {
	case by.Member == nil:
		return "nobody in " + account
	case by.Member.Account != by.Account:
		return "stranger " + by.Member.Email + " in " + account
	}
	role, with := by.Member.Role, ""
	if by.With != nil {
		with = fmt.Sprintf(", by means of %s for %v", by.With.Name, by.With.Scopes)
	}
	return fmt.Sprintf("%s in %s (%s%s, holds %s%s)", by.Member.Email, account, role.ID, role.Name, held(by.Member), with)
}

func held(m *model.Member) string {
	if m.Narrowed {
		return "only " + strings.Join(m.Scopes, " ")
	}
	return strings.Join(m.Role.Grants, " ")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
