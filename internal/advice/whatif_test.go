package advice_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
)

var narrowings = flag.Int("narrowings", 60, "random narrowings that what-if is asked about, on each engine")

var t0 = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const books = postern.UpstreamID("books")

// records is the main database as verification needs it, by a clock that the test moves.
type records struct {
	*store.DB
	now func() time.Time
}

func (s *records) Accounts(ctx context.Context, yield func(*postern.Account) error) error {
	list, err := s.DB.Accounts(ctx)
	return eachOf(list, err, yield)
}

func (s *records) Account(ctx context.Context, id postern.AccountID) (*postern.Account, error) {
	a, err := s.DB.Account(ctx, id)
	return &a, err
}

func (s *records) Members(ctx context.Context, yield func(*postern.Member) error) error {
	list, err := s.DB.Members(ctx, "", true)
	return eachOf(list, err, yield)
}

func (s *records) Member(ctx context.Context, id postern.MemberID) (*postern.Member, error) {
	m, err := s.DB.Member(ctx, id)
	return &m, err
}

func (s *records) Credentials(ctx context.Context, yield func(*postern.CredentialRow) error) error {
	return s.EachCredential(ctx, yield)
}

func (s *records) Credential(ctx context.Context, id postern.KeyID) (*postern.CredentialRow, error) {
	r, err := s.DB.Credential(ctx, id)
	return &r, err
}

func (s *records) Upstreams(ctx context.Context) (out []verify.Upstream, err error) {
	list, err := s.DB.Upstreams(ctx)
	for _, u := range list {
		out = append(out, verify.Upstream{ID: u.ID, Catalog: u.CatalogVersion, Host: u.Host, Prefix: u.Prefix})
	}
	return out, err
}

func (s *records) Catalog(ctx context.Context, id postern.UpstreamID, version int64) (*catalog.Catalog, error) {
	row, err := s.DB.Catalog(ctx, id, version)
	if err != nil {
		return nil, err
	}
	return catalog.Unmarshal([]byte(row.Body))
}

func (s *records) RenewLease(context.Context, string, time.Duration) (time.Time, error) {
	return s.now(), nil
}
func (s *records) Confirm(context.Context, string, int64) error { return nil }
func (s *records) Leases(context.Context) ([]verify.Lease, time.Time, error) {
	return nil, s.now(), nil
}

func eachOf[T any](list []T, err error, yield func(*T) error) error {
	for i := range list {
		if err == nil {
			err = yield(&list[i])
		}
	}
	return err
}

// server is everything from the records to what is recorded, at a time that the test sets.
type server struct {
	*keyring.Keyring
	t      *testing.T
	mu     sync.Mutex
	at     time.Time
	v      *verify.Verifier
	log    *activity.Log
	advice *advice.Service
	super  postern.Actor
	cat    *catalog.Catalog
}

func (s *server) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *server) set(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// Now is the machine's clock.
func (s *server) Now() verify.Instant {
	at := s.time()
	return verify.Instant{Wall: at.UnixNano(), Mono: int64(at.Sub(t0) + 1000*time.Hour), Boot: int64(at.Sub(t0) + 1000*time.Hour)}
}

func realCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	files, err := filepath.Glob("../catalog/testdata/xero/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var sources []catalog.Source
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, catalog.Source{Name: filepath.Base(f), Data: data})
	}
	c, _, err := catalog.Parse(t.Context(), sources, catalog.Options{Upstream: books, ScopesAny: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newServer(t *testing.T, target string) *server {
	t.Helper()
	ctx := t.Context()
	s := &server{t: t, at: t0.AddDate(0, 0, -30), cat: realCatalog(t)}
	db := storetest.Open(t, target)
	pepper := storetest.Pepper(t)
	log, err := activity.Open(ctx, activity.Config{Target: activityTarget(t, db, target), Now: s.time, Capacity: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s.log = log
	s.v, err = verify.New(verify.Config{Store: &records{db, s.time}, Pepper: pepper, Clock: s, Sink: log, Lease: 100 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.Keyring = keyring.New(keyring.Config{DB: db, Pepper: pepper, Now: s.time})
	s.advice = advice.NewService(s.Keyring, log, s.time)
	done, err := s.Setup(ctx, keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	s.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
	if _, err := s.PutUpstream(ctx, s.super, postern.Upstream{ID: books, URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadCatalog(ctx, s.super, books, s.cat, false); err != nil {
		t.Fatal(err)
	}
	if err := s.v.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// activityTarget is a place for the calls beside the records.
func activityTarget(t *testing.T, db *store.DB, target string) string {
	if db.Engine == store.SQLite {
		return filepath.Join(t.TempDir(), "activity.db")
	}
	return target
}

// catchUp has the node apply what was changed.
func (s *server) catchUp(seq int64) {
	s.t.Helper()
	if err := s.v.CatchUp(s.t.Context(), seq); err != nil {
		s.t.Fatal(err)
	}
}

// call is one request of a key.
type call struct {
	key    int
	secret postern.Secret
	at     time.Time
	verify.Request
}

// do has the call decided, at a time.
func (s *server) do(c *call, at time.Time, record bool) postern.Decision {
	s.t.Helper()
	s.set(at)
	req := c.Request
	req.Secret = c.secret
	d, err := s.v.Verify(s.t.Context(), &req)
	if err != nil {
		s.t.Fatal(err)
	}
	if record {
		status := 200
		if !d.Allowed {
			status = 403
		}
		s.v.Done(&req, &d, verify.Outcome{Status: status})
	}
	return d
}

func (s *server) flush() {
	s.t.Helper()
	if err := s.log.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

var agents = []string{"etl/1.2", "curl/8.5", ""}

// fleet is some keys, each with calls in the last week.
type fleet struct {
	ids      []postern.KeyID
	scopes   [][]postern.Scope
	networks [][]netip.Prefix
	calls    []call
}

// fleet makes keys with random scopes and lists, and has them call all over the
// catalog, mostly what they may.
func (s *server) fleet(r *rand.Rand, n int) *fleet {
	s.t.Helper()
	f := &fleet{}
	var seq int64
	for i := range n {
		var scopes []postern.Scope
		for range 1 + r.IntN(8) {
			if sc := &s.cat.Scopes[r.IntN(len(s.cat.Scopes))]; !sc.Implicit {
				scopes = append(scopes, sc.Name)
			}
		}
		var nets []netip.Prefix
		if r.IntN(3) == 0 {
			nets = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		}
		made, err := s.CreateKey(s.t.Context(), s.super, keyring.NewKey{Name: fmt.Sprintf("k%d-%s", i, postern.NewKeyID()), Scopes: scopes, Networks: nets})
		if err != nil {
			s.t.Fatal(err)
		}
		seq = made.Seq
		f.ids, f.scopes, f.networks = append(f.ids, made.Key.ID), append(f.scopes, made.Key.Scopes), append(f.networks, made.Key.Networks)
		var mine []*catalog.Operation
		for j := range s.cat.Operations {
			op := &s.cat.Operations[j]
			if slices.ContainsFunc(op.Ways, func(w catalog.Way) bool {
				return slices.ContainsFunc(w.Scopes, func(s postern.Scope) bool { return slices.Contains(made.Key.Scopes, s) })
			}) {
				mine = append(mine, op)
			}
		}
		for range 4 + r.IntN(10) {
			c := call{key: i, secret: made.Secret, at: t0.Add(-time.Duration(1+r.Int64N(int64(7*24*time.Hour-2))) / 1000 * 1000)}
			c.RemoteIP = netip.AddrFrom4([4]byte{203, 0, byte(112 + r.IntN(2)), byte(r.IntN(4))})
			if r.IntN(5) == 0 {
				c.RemoteIP = netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::%d", r.IntN(2), r.IntN(3)))
			}
			c.UserAgent, c.Door = agents[r.IntN(len(agents))], postern.DoorGateway
			switch {
			case r.IntN(8) == 0: // asks by scopes
				c.Door, c.Request.Scopes = postern.DoorVerify, []postern.Scope{made.Key.Scopes[r.IntN(len(made.Key.Scopes))]}
				if r.IntN(4) == 0 {
					c.Request.Scopes = nil // only whether it is valid
				}
			default:
				op := &s.cat.Operations[r.IntN(len(s.cat.Operations))]
				if len(mine) > 0 && r.IntN(6) > 0 {
					op = mine[r.IntN(len(mine))]
				}
				c.Method, c.Upstream, c.Path = op.Method, books, parameter.ReplaceAllString(op.Path, fmt.Sprint(r.IntN(5)))
				if c.Method == "GET" && r.IntN(10) == 0 {
					c.Method = "HEAD"
				}
			}
			f.calls = append(f.calls, c)
		}
	}
	s.catchUp(seq)
	slices.SortFunc(f.calls, func(a, b call) int { return a.at.Compare(b.at) })
	for i := range f.calls {
		s.do(&f.calls[i], f.calls[i].at, true)
	}
	s.set(t0)
	s.flush()
	return f
}

// outcome is refused calls of one kind, as both sides name it.
type outcome struct {
	key             postern.KeyID
	method          string
	reason          postern.Reason
	missing, ip, ua string
}

func (s *server) outcomeOf(f *fleet, c *call, d *postern.Decision, reason postern.Reason) outcome {
	o := outcome{key: f.ids[c.key], method: c.Method, reason: reason, ip: c.RemoteIP.String(), ua: c.UserAgent}
	if reason == postern.ReasonInsufficientScope {
		o.missing = fmt.Sprint(postern.SortScopes(s.v.MissingScopes(&c.Request, d)))
	}
	return o
}

func outcomesOf(r *advice.Replay) map[outcome]int64 {
	out := map[outcome]int64{}
	for _, x := range r.Refusals {
		o := outcome{key: x.Key, method: x.Method, reason: x.Reason, ip: x.IP, ua: x.UserAgent}
		if x.Reason == postern.ReasonInsufficientScope {
			o.missing = fmt.Sprint(x.Missing)
		}
		out[o] += x.Calls
	}
	return out
}

func compare(t *testing.T, what string, predicted, met map[outcome]int64) (disagree int) {
	t.Helper()
	if maps.Equal(predicted, met) {
		return 0
	}
	for o, n := range predicted {
		if met[o] != n {
			disagree++
			t.Errorf("%s: predicted %d refusals of %+v, met %d", what, n, o, met[o])
		}
	}
	for o, n := range met {
		if predicted[o] == 0 {
			disagree++
			t.Errorf("%s: %d refusals of %+v were not predicted", what, n, o)
		}
	}
	return disagree
}

// proposal is a random narrowing of a key.
func (s *server) proposal(r *rand.Rand, f *fleet, i int) advice.Proposal {
	var p advice.Proposal
	for p.Scopes == nil && p.Networks == nil && p.ExpiresAt == nil {
		if r.IntN(3) > 0 {
			scopes := slices.DeleteFunc(slices.Clone(f.scopes[i]), func(postern.Scope) bool { return r.IntN(2) == 0 })
			if sc := &s.cat.Scopes[r.IntN(len(s.cat.Scopes))]; r.IntN(4) == 0 && !sc.Implicit {
				scopes = append(scopes, sc.Name) // another in the place of some
			}
			scopes = postern.SortScopes(scopes)
			p.Scopes = &scopes
		}
		if r.IntN(3) == 0 {
			all := []string{"203.0.113.0/24", "203.0.112.0/31", "2001:db8::/48", "203.0.113.2/32"}
			nets := []netip.Prefix{netip.MustParsePrefix(all[r.IntN(len(all))])}
			p.Networks = &nets
		}
		if r.IntN(4) == 0 {
			end := t0.Add(time.Duration(1+r.Int64N(int64(7*24*time.Hour))) / 1000 * 1000)
			p.ExpiresAt = &end
		}
	}
	return p
}

// What-if predicts exactly what is refused once the change counts, call by call,
// with the reason and the scopes that are missing; and so does trying it first.
func TestWhatIfPredictsRefusals(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		ctx := t.Context()
		s := newServer(t, target)
		r := rand.New(rand.NewPCG(11, 1))
		f := s.fleet(r, *narrowings)
		proposals := make([]advice.Proposal, *narrowings)
		predicted, tried := map[outcome]int64{}, map[outcome]int64{}
		var total advice.Replay
		var seq int64
		for i, id := range f.ids {
			proposals[i] = s.proposal(r, f, i)
			p := &proposals[i]
			got, err := s.advice.WhatIf(ctx, s.super, id, p, advice.Span{From: t0.AddDate(0, 0, -7), To: t0, Within: advice.MaxWithin})
			if err != nil {
				t.Fatal(err)
			}
			if !got.Complete || got.Unjudged > 0 || got.Already > 0 || got.Others > 0 {
				t.Fatalf("what-if = %+v", got)
			}
			maps.Copy(predicted, outcomesOf(got))
			total.Looked, total.Refused, total.Fails = total.Looked+got.Looked, total.Refused+got.Refused, total.Fails+got.Fails
			if p.ExpiresAt == nil {
				made, err := s.NarrowKey(ctx, s.super, id, keyring.Narrowing{Scopes: p.Scopes, Networks: p.Networks, Watch: true})
				if err != nil {
					t.Fatal(err)
				}
				maps.Copy(tried, outcomesOf(got))
				seq = max(seq, made.Seq)
			}
		}
		if total.Looked != int64(len(f.calls)) {
			t.Errorf("%d calls were looked at, of %d", total.Looked, len(f.calls))
		}
		// Tried: the same calls a week later are allowed as before, and say what would refuse them.
		s.catchUp(seq)
		would := map[outcome]int64{}
		was := make([]bool, len(f.calls))
		for i := range f.calls {
			c := &f.calls[i]
			d := s.do(c, c.at.AddDate(0, 0, 7), false)
			if was[i] = d.Allowed; d.Would != postern.ReasonNone {
				would[s.outcomeOf(f, c, &d, d.Would)]++
			}
		}
		compare(t, "tried", tried, would)
		// Enforced: exactly those are refused.
		s.set(t0)
		for i, id := range f.ids {
			p := &proposals[i]
			made, err := s.NarrowKey(ctx, s.super, id, keyring.Narrowing{Scopes: p.Scopes, Networks: p.Networks, ExpiresAt: p.ExpiresAt})
			if err != nil {
				t.Fatal(err)
			}
			seq = max(seq, made.Seq)
		}
		s.catchUp(seq)
		met, refused := map[outcome]int64{}, 0
		for i := range f.calls {
			c := &f.calls[i]
			if d := s.do(c, c.at.AddDate(0, 0, 7), false); !d.Allowed && was[i] {
				refused++
				met[s.outcomeOf(f, c, &d, d.Reason)]++
			}
		}
		bad := compare(t, "enforced", predicted, met)
		t.Logf("%d narrowings over %d calls: %d refusals predicted, %d met, %d disagreements", *narrowings, len(f.calls), total.Fails, refused, bad)
		if refused == 0 || int64(refused) != total.Fails {
			t.Errorf("%d refusals were met, %d predicted", refused, total.Fails)
		}
	})
}

// A new version of a catalog is judged the same way, over all keys of the account.
func TestWhatIfOfACatalog(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		ctx := t.Context()
		s := newServer(t, target)
		r := rand.New(rand.NewPCG(12, 1))
		f := s.fleet(r, 25)
		next := *s.cat
		next.Operations, next.Scopes = nil, slices.Clone(s.cat.Scopes)
		for i := range next.Scopes {
			next.Scopes[i].Opens = nil // only for people to read
		}
		alike := map[string]int{}
		for _, op := range s.cat.Operations {
			alike[op.Method+parameter.ReplaceAllString(op.Path, "x")]++
		}
		for _, op := range s.cat.Operations {
			what := r.IntN(10)
			if alike[op.Method+parameter.ReplaceAllString(op.Path, "x")] > 1 {
				what = -1 // operations of one path must go on agreeing
			}
			switch what {
			case 0:
				continue // no longer there
			case 1:
				op.Ways = slices.Clone(op.Ways)
				for j := range op.Ways {
					op.Ways[j].Scopes = []postern.Scope{s.cat.Scopes[r.IntN(len(s.cat.Scopes))].Name}
				}
			case 2:
				op.Ways, op.Uncovered, op.Public = nil, true, false
			}
			next.Operations = append(next.Operations, op)
		}
		got, err := s.advice.WhatIf(ctx, s.super, "", &advice.Proposal{Catalogs: []*catalog.Catalog{&next}},
			advice.Span{From: t0.AddDate(0, 0, -7), To: t0, Within: advice.MaxWithin})
		if err != nil {
			t.Fatal(err)
		}
		was := make([]bool, len(f.calls))
		for i := range f.calls {
			d := s.do(&f.calls[i], t0, false)
			was[i] = d.Allowed
		}
		if _, err := s.LoadCatalog(ctx, s.super, books, &next, false); err != nil {
			t.Fatal(err)
		}
		if err := s.v.Renew(ctx); err != nil {
			t.Fatal(err)
		}
		met := map[outcome]int64{}
		for i := range f.calls {
			if d := s.do(&f.calls[i], t0, false); !d.Allowed && was[i] {
				met[s.outcomeOf(f, &f.calls[i], &d, d.Reason)]++
			}
		}
		bad := compare(t, "a new catalog", outcomesOf(got), met)
		t.Logf("a new catalog over %d calls of %d keys: %d refusals predicted, %d disagreements, %d unjudged", got.Looked, len(f.ids), got.Fails, bad, got.Unjudged)
		if got.Fails == 0 || got.Unjudged > 0 {
			t.Errorf("what-if = %+v", got)
		}
	})
}

// Whoever goes on where an answer ended gets each call once, and the same in all.
func TestWhatIfGoesOn(t *testing.T) {
	storetest.Targets(t, func(t *testing.T, target string) {
		s := newServer(t, target)
		s.fleet(rand.New(rand.NewPCG(13, 1)), 40)
		none := []postern.Scope{}
		ask := func(after int64, within time.Duration) *advice.Replay {
			got, err := s.advice.WhatIf(t.Context(), s.super, "", &advice.Proposal{Scopes: &none}, advice.Span{To: t0, After: after, Within: within})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		whole := ask(0, advice.MaxWithin)
		sum := map[outcome]int64{}
		var looked, fails int64
		answers := 0
		for after := int64(0); ; {
			part := ask(after, time.Nanosecond)
			answers++
			looked, fails = looked+part.Looked, fails+part.Fails
			for o, n := range outcomesOf(part) {
				sum[o] += n
			}
			if part.Complete {
				break
			}
			after = part.After
		}
		if looked != whole.Looked || fails != whole.Fails || !maps.Equal(sum, outcomesOf(whole)) || answers < 2 {
			t.Errorf("%d answers tell of %d calls and %d refusals, one of %d and %d", answers, looked, fails, whole.Looked, whole.Fails)
		}
	})
}
