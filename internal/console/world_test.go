package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/leaks"
	"postern.dev/postern/internal/signin"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
	"postern.dev/postern/internal/verifystore"
)

// t0 is when tests begin.
var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

const apiDoc = `
openapi: 3.1.0
info: {title: CRM, version: "1"}
paths:
  /deals: {get: {operationId: listDeals, summary: List deals, security: [{keys: [deals.read]}]}, post: {operationId: makeDeal, security: [{keys: [deals.write]}]}}
  /contacts: {get: {operationId: listContacts, security: [{keys: [contacts.read]}]}, post: {operationId: makeContact, security: [{keys: [contacts.write]}]}}
  /invoices: {get: {operationId: listInvoices, security: [{keys: [invoices.read]}]}}
components:
  securitySchemes:
    keys: {type: oauth2, flows: {clientCredentials: {tokenUrl: /x, scopes: {deals.read: Read deals, deals.write: Change deals, contacts.read: Read contacts, contacts.write: Change contacts, invoices.read: Read invoices}}}}
`

// world is a server that is set up, with one connected API, and a console over it.
type world struct {
	t        testing.TB
	db       *store.DB
	kr       *keyring.Keyring
	verifier *verify.Verifier
	activity *activity.Log
	signin   *signin.Service
	console  *Console
	auditor  *auditor.Auditor
	url      string
	log      *logBuffer
	clock    atomic.Int64 // microseconds
	super    postern.Actor
	account  postern.AccountID
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) now() time.Time { return time.UnixMicro(w.clock.Load()).UTC() }

// later moves the clock.
func (w *world) later(d time.Duration) { w.clock.Add(d.Microseconds()) }

// newWorld starts a console over a fresh database, set up.
func newWorld(t testing.TB, target string, change ...func(*Config)) *world {
	t.Helper()
	w := newBareWorld(t, target, change...)
	w.setUp()
	return w
}

// newBareWorld is newWorld before its first run.
func newBareWorld(t testing.TB, target string, change ...func(*Config)) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &world{t: t, log: &logBuffer{}}
	w.clock.Store(t0.UnixMicro())
	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.db = storetest.Open(t, target)
	pepper := must(postern.ParsePepper(postern.NewPepper()))(t)
	file := target
	if !strings.Contains(target, "://") {
		file = target + ".activity"
	}
	w.activity = must(activity.Open(ctx, activity.Config{Target: file, Delay: time.Millisecond, Now: w.now}))(t)
	w.verifier = must(verify.New(verify.Config{Store: verifystore.Of(w.db), Pepper: pepper, Sink: w.activity, Log: log}))(t)
	w.kr = keyring.New(keyring.Config{DB: w.db, Pepper: pepper, Now: w.now, Logger: log})
	w.signin = must(signin.New(signin.Config{DB: w.db, Pepper: pepper, Keyring: w.kr, PublicURL: "http://localhost", Now: w.now, Log: log}))(t)
	w.auditor = must(auditor.New(ctx, auditor.Config{DB: w.db, Pepper: pepper, Now: w.now, Log: log}))(t)
	var running sync.WaitGroup
	running.Go(func() { _ = w.activity.Run(ctx) })
	cfg := Config{Keyring: w.kr, Verifier: w.verifier, Activity: w.activity, DB: w.db, Signin: w.signin, Auditor: w.auditor, Now: w.now, Log: log, Refresh: time.Nanosecond, WritesPerSecond: 1000,
		Door: must(door.New(door.Config{Verifier: w.verifier, Log: log}))(t), GatewayURL: "https://api.example.com", Docs: "/docs/", Version: "test"}
	cfg.Leaks = must(leaks.New(leaks.Config{Verifier: w.verifier, Keyring: w.kr, PerSecond: 1000, Log: log}))(t)
	for _, c := range change {
		c(&cfg)
	}
	w.console = must(New(cfg))(t)
	srv := httptest.NewServer(w.console.Handler())
	w.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		stop()
		running.Wait()
		w.activity.Close()
	})
	return w
}

// setUp makes the account "Larkspur Outdoor" with its super admin, and connects the CRM.
func (w *world) setUp() {
	w.t.Helper()
	ctx := context.Background()
	done := must(w.kr.Setup(ctx, keyring.SetupInput{AccountName: "Larkspur Outdoor", Email: "maya@example.com", Name: "Maya Okafor",
		With: func(context.Context, *store.Tx, *postern.Member) error { return nil }}))(w.t)
	w.account = done.Account.ID
	w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID, IP: "192.0.2.1"}
	must(w.kr.PutUpstream(ctx, w.super, postern.Upstream{ID: "crm", Name: "CRM", URL: "http://127.0.0.1:9"}))(w.t)
	cat, _, err := catalog.Parse(ctx, []catalog.Source{{Name: "crm.yaml", Data: []byte(apiDoc)}}, catalog.Options{Upstream: "crm"})
	if err != nil {
		w.t.Fatal(err)
	}
	must(w.kr.LoadCatalog(ctx, w.super, "crm", cat, false))(w.t)
}

// run runs a test on both engines.
func run(t *testing.T, test func(t *testing.T, w *world), change ...func(*Config)) {
	t.Helper()
	storetest.Targets(t, func(t *testing.T, target string) { test(t, newWorld(t, target, change...)) })
}

// member invites someone with a role and gives back who they are.
func (w *world) member(email, name string, role postern.RoleID) postern.Actor {
	w.t.Helper()
	inv := must(w.kr.InviteMember(context.Background(), w.super, keyring.NewMember{Email: email, Name: name, RoleID: role}))(w.t)
	return postern.Actor{AccountID: w.account, MemberID: inv.Member.ID, IP: "192.0.2.2"}
}

// called records calls with a key, at a time, with an answer: 403 is one refused for want of a scope.
func (w *world) called(k postern.ServiceKey, at time.Time, n int, status int) {
	w.t.Helper()
	for i := range n {
		e := postern.Event{At: postern.ToMicros(at), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "python-requests/2.32",
			RequestID: fmt.Sprintf("req_%d", i), Status: status, Duration: 12 * time.Millisecond}
		d := &e.Decision
		copy(d.Key[:], k.ID)
		d.Known, d.Account, d.Kind, d.Gen, d.At = true, k.AccountID, postern.KindServiceKey, uint32(k.Current.Generation), postern.ToMicros(at)
		d.Allowed, d.Reason = status < 400, postern.ReasonAllowed
		if status == 403 {
			d.Reason, e.Missing = postern.ReasonInsufficientScope, "deals.write"
		}
		w.activity.Record(&e)
	}
	if err := w.activity.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// browser is someone's browser: its cookies, and no redirect followed unless asked.
type browser struct {
	w *world
	c *http.Client
}

// stranger is a browser where nobody is in.
func (w *world) stranger() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// login is a browser where the super admin is in, or another member.
func (w *world) login(who ...postern.Actor) *browser {
	w.t.Helper()
	m := w.super
	if len(who) > 0 {
		m = who[0]
	}
	ctx := context.Background()
	secret, _, err := w.signin.Link(ctx, postern.Actor{System: "test"}, m.MemberID)
	if err != nil {
		w.t.Fatal(err)
	}
	signed := must(w.signin.UseLink(ctx, secret.Reveal(), postern.Actor{IP: "127.0.0.1"}))(w.t)
	b := w.stranger()
	u, _ := url.Parse(w.url)
	b.c.Jar.SetCookies(u, []*http.Cookie{{Name: cookieSession, Value: signed.Text, Path: "/"}})
	return b
}

// page is an answer.
type page struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

func (b *browser) do(req *http.Request) *page {
	b.w.t.Helper()
	res, err := b.c.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	body := must(io.ReadAll(res.Body))(b.w.t)
	return &page{b.w.t, res.StatusCode, res.Header, string(body)}
}

// get asks for a page.
func (b *browser) get(path string) *page {
	b.w.t.Helper()
	return b.do(must(http.NewRequest("GET", b.w.url+path, nil))(b.w.t))
}

var formTokenIn = regexp.MustCompile(`name="_form" value="([^"]+)"`)

// token is a fresh form token of the browser's session.
func (b *browser) token() string {
	b.w.t.Helper()
	m := formTokenIn.FindStringSubmatch(b.get("/keys").body)
	if m == nil {
		m = formTokenIn.FindStringSubmatch(b.get("/nowhere").body)
	}
	if m == nil {
		b.w.t.Fatal("no page with a form token")
	}
	return m[1]
}

// post sends a form with a fresh token; a pair "_form" sends another one.
func (b *browser) post(path string, pairs ...string) *page {
	b.w.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	if !v.Has(formToken) {
		v.Set(formToken, b.token())
	}
	req := must(http.NewRequest("POST", b.w.url+path, strings.NewReader(v.Encode())))(b.w.t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

// want checks an answer: its status, and texts that are in it.
func (p *page) want(status int, texts ...string) *page {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("status = %d, want %d: %.600s", p.status, status, text(p.body))
	}
	for _, s := range texts {
		if !strings.Contains(text(p.body), s) && !strings.Contains(p.body, s) {
			p.t.Errorf("the page lacks %q: %.1500s", s, text(p.body))
		}
	}
	return p
}

// not checks that texts are not in an answer.
func (p *page) not(texts ...string) *page {
	p.t.Helper()
	for _, s := range texts {
		if strings.Contains(text(p.body), s) || strings.Contains(p.body, s) {
			p.t.Errorf("the page has %q", s)
		}
	}
	return p
}

// to checks that an answer leads on.
func (p *page) to(where string) *page {
	p.t.Helper()
	if p.status != http.StatusSeeOther || p.header.Get("Location") != where {
		p.t.Errorf("answer = %d to %q, want 303 to %q: %.400s", p.status, p.header.Get("Location"), where, text(p.body))
	}
	return p
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
)

// text is what a page says, without its markup.
func text(html string) string {
	s := strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(tags.ReplaceAllString(html, ""))
	return strings.TrimSpace(blanks.ReplaceAllString(s, " "))
}

func newRequest(url string) (*http.Request, error) { return http.NewRequest("GET", url, nil) }
