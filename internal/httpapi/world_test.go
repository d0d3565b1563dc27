package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

const apiDoc = `
openapi: 3.1.0
info: {title: Test API, version: "1"}
paths:
  /deals: {get: {operationId: listDeals, security: [{keys: [deals.read]}]}, post: {operationId: makeDeal, security: [{keys: [deals.write]}]}}
  /contacts: {get: {operationId: listContacts, security: [{keys: [contacts.read]}]}, post: {operationId: makeContact, security: [{keys: [contacts.write]}]}}
components:
  securitySchemes:
    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {deals.read: Read deals, deals.write: Change deals, contacts.read: Read contacts, contacts.write: Change contacts}}}}
`

// world is a server that is set up, with one upstream, the real thing behind it,
// and a contract that every request through a client is held against.
type world struct {
	t        *testing.T
	db       *store.DB
	kr       *keyring.Keyring
	verifier *verify.Verifier
	activity *activity.Log
	auditor  *auditor.Auditor
	url      string
	log      *buffer
	contract *contract
	secret   string // the super admin's
	super    *client.Client
	account  postern.AccountID
	stop     context.CancelFunc
	target   string
	later    atomic.Int64 // by how much the keyring's clock is ahead
}

// buffer is a log that many goroutines write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// open starts a server on a fresh database, still without an account.
func open(t *testing.T, target string, change ...func(*httpapi.Config)) *world {
	t.Helper()
	return openWith(t, target, verify.Config{}, change...)
}

// openWith starts one whose verifier is set up in another way.
func openWith(t *testing.T, target string, vc verify.Config, change ...func(*httpapi.Config)) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &world{t: t, log: &buffer{}, stop: stop, target: target}
	now := func() time.Time {
		return time.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(w.later.Load()))
	}
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.db = storetest.Open(t, target)
	own := must(httpapi.OwnCatalog())(t)
	pepper := must(postern.ParsePepper(postern.NewPepper()))(t)
	file := target
	if !strings.Contains(target, "://") {
		file = target + ".activity"
	}
	w.activity = must(activity.Open(ctx, activity.Config{Target: file, Delay: 5 * time.Millisecond}))(t)
	vc.Store, vc.Pepper, vc.Sink, vc.Log = verifystore.Of(w.db, own), pepper, w.activity, log
	w.verifier = must(verify.New(vc))(t)
	w.kr = keyring.New(keyring.Config{DB: w.db, Pepper: pepper, Builtin: []*catalog.Catalog{own}, Logger: log, Now: now,
		Applied: func(ctx context.Context, seq int64) {
			if err := w.verifier.CatchUp(context.WithoutCancel(ctx), seq); err != nil {
				t.Errorf("catch up: %v", err)
			}
		}})
	w.auditor = must(auditor.New(ctx, auditor.Config{DB: w.db, Pepper: pepper, Now: now, Log: log}))(t)
	var running sync.WaitGroup
	running.Go(func() { _ = w.verifier.Run(ctx) })
	running.Go(func() { _ = w.activity.Run(ctx) })
	cfg := httpapi.Config{Keyring: w.kr, Verifier: w.verifier, Activity: w.activity, DB: w.db, Auditor: w.auditor, Log: log,
		Door: must(door.New(door.Config{Verifier: w.verifier, Log: log}))(t), WritesPerSecond: 1000, FailuresPerSecond: 1000, Now: now}
	cfg.Leaks = must(leaks.New(leaks.Config{Verifier: w.verifier, Keyring: w.kr, PerSecond: 1000, Log: log}))(t)
	for _, c := range change {
		c(&cfg)
	}
	mux := http.NewServeMux()
	mux.Handle("/", must(httpapi.New(cfg))(t))
	mux.Handle("/v1/verify", httpapi.VerifyHandler(cfg.Door))
	mux.Handle("/oauth/introspect", httpapi.IntrospectHandler(cfg.Door, ""))
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		stop()
		running.Wait()
		w.activity.Close()
	})
	w.url = srv.URL
	w.contract = newContract(t, w.url)
	select {
	case <-w.verifier.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("the verifier doesn't get ready")
	}
	return w
}

// newWorld starts a server and sets it up.
func newWorld(t *testing.T, target string, change ...func(*httpapi.Config)) *world {
	t.Helper()
	return open(t, target, change...).setUp()
}

// setUp makes the first account, and an upstream with a catalog.
func (w *world) setUp() *world {
	t := w.t
	t.Helper()
	done := must(w.kr.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"}))(t)
	w.secret, w.account = done.Secret.Reveal(), done.Account.ID
	w.super = w.client(w.secret)
	must(w.super.PutUpstream(t.Context(), "api", api.UpstreamSettings{URL: "http://127.0.0.1:1", Prefix: "/api"}))(t)
	must(w.super.LoadCatalog(t.Context(), "api", api.CatalogLoad{Documents: []api.Document{{Name: "api.yaml", Text: apiDoc}}}))(t)
	return w
}

// run runs a test on a server of each engine.
func run(t *testing.T, test func(t *testing.T, w *world), change ...func(*httpapi.Config)) {
	storetest.Targets(t, func(t *testing.T, target string) { test(t, newWorld(t, target, change...)) })
}

func (w *world) client(secret string) *client.Client {
	c, err := client.New(w.url, client.WithSecret(secret), client.WithHTTPClient(&http.Client{Transport: w.contract}), client.WithRetries(1, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// member invites someone and gives them a client.
func (w *world) member(email, role string, scopes ...string) (*client.Client, api.Joined) {
	w.t.Helper()
	in := api.NewMember{Email: email, Name: "Member " + email, RoleID: role}
	if scopes != nil {
		in.Scopes = &scopes
	}
	inv := must(w.super.InviteMember(w.t.Context(), in))(w.t)
	joined := must(w.client("").AcceptInvitation(w.t.Context(), inv.Invitation))(w.t)
	return w.client(joined.Secret), joined
}

// account makes another account and gives its super admin a client.
func (w *world) otherAccount(name string) (*client.Client, api.Joined) {
	w.t.Helper()
	made := must(w.super.CreateAccount(w.t.Context(), api.NewAccount{Name: name, AdminEmail: name + "@example.net", AdminName: "Admin of " + name}))(w.t)
	joined := must(w.client("").AcceptInvitation(w.t.Context(), made.Invited.Invitation))(w.t)
	return w.client(joined.Secret), joined
}

// answer is what a request got that no client makes.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) problem(t *testing.T) (p api.Problem) {
	t.Helper()
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("Content-Type = %q, want application/problem+json", kind)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return p
}

// send sends a request as it is.
func (w *world) send(method, path, secret, body string, header ...string) *answer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return &answer{res.StatusCode, res.Header, got}
}
