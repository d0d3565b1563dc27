// Package browser tests the console as people use it: in a real browser, with
// real clicks and keys, over a real server with a real API behind it.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"postern.dev/postern"
	"postern.dev/postern/internal/node"
)

// Bounds of what a test waits for. They are wide: the race detector and a busy
// machine are slow, and nothing here measures time.
const (
	tabTime  = 15 * time.Minute
	waitTime = 25 * time.Second
	pollTime = 15 * time.Millisecond
)

// shared is what all tests of a run use: one browser, and one server with the demo's data.
var shared struct {
	browser context.Context
	stop    []func()
	dir     string

	deskOnce sync.Once
	desk     *desk
	deskErr  error
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := 1
	func() {
		dir, err := os.MkdirTemp("", "postern-browser-")
		if err != nil {
			panic(err)
		}
		shared.dir = dir
		defer os.RemoveAll(dir)
		defer func() {
			for i := len(shared.stop) - 1; i >= 0; i-- {
				shared.stop[i]()
			}
		}()
		if err := startBrowser(); err != nil {
			fmt.Fprintf(os.Stderr, "Chromium does not start (apt-get install chromium): %v\n", err)
			return
		}
		code = m.Run()
	}()
	os.Exit(code)
}

func startBrowser() error {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(shared.dir, "profile")),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("lang", "en-GB"), chromedp.WSURLReadTimeout(time.Minute))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	shared.stop = append(shared.stop, stop)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it complains of events that it does not know
	shared.stop = append(shared.stop, stop)
	shared.browser = ctx
	return chromedp.Run(ctx)
}

// browserExecutor is for what is asked of the browser as a whole.
func browserExecutor() context.Context {
	return cdp.WithExecutor(shared.browser, chromedp.FromContext(shared.browser).Browser)
}

// newProfile makes a browser with cookies of its own, and a window in it: a headless
// Chromium opens no tab where there is no window.
func newProfile() (profile cdp.BrowserContextID, window target.ID, err error) {
	ctx := browserExecutor()
	if profile, err = target.CreateBrowserContext().Do(ctx); err != nil {
		return "", "", err
	}
	window, err = target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(ctx)
	return profile, window, err
}

// logBuffer keeps what a server logs.
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

// server is a running Postern.
type server struct {
	node    *node.Node
	dir     string
	url     string // of the console, by a name, since passkeys need one
	gateway string
	log     *logBuffer
}

// launch runs a server over an empty directory; fill puts records into it before it answers.
func launch(name string, fill func(context.Context, *node.Node) error, change ...func(*node.Config)) (*server, error) {
	s := &server{dir: filepath.Join(shared.dir, name), log: &logBuffer{}}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = fmt.Sprintf("http://localhost:%d", admin.Addr().(*net.TCPAddr).Port)
	s.gateway = "http://" + gateway.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	cfg := node.Config{Data: s.dir, PublicURL: s.url, GatewayURL: s.gateway, CRM: true, Version: "test",
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&cfg)
	}
	s.node, err = node.Open(ctx, cfg)
	if err != nil {
		stop()
		return nil, err
	}
	if err := fill(ctx, s.node); err != nil {
		stop()
		return nil, errors.Join(err, s.node.Close())
	}
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.node.Run(ctx, node.Listeners{Admin: admin, Gateway: gateway}, time.Second, func() { close(ready) })
	}()
	shared.stop = append(shared.stop, func() {
		stop()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "the server ended with", err)
		}
	})
	select {
	case <-ready:
		return s, nil
	case err := <-done:
		done <- err
		return nil, fmt.Errorf("the server ended: %w", err)
	case <-time.After(time.Minute):
		return nil, errors.New("the server is not ready")
	}
}

// session signs a member in without a browser, and gives the text of the session's cookie.
func (s *server) session(t testing.TB, m postern.MemberID) string {
	t.Helper()
	ctx := context.Background()
	link, _, err := s.node.Signin.Link(ctx, postern.Actor{System: "test"}, m)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.node.Signin.UseLink(ctx, link.Reveal(), postern.Actor{IP: "127.0.0.1", UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Text
}

// call makes one call through the gateway with a secret, as a program would, and gives its status.
func (s *server) call(t testing.TB, secret, path, agent string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.gateway+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("User-Agent", agent)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// size is that of a screen.
type size struct {
	name string
	w, h int64
}

var (
	desktop = size{"desktop", 1440, 900}
	phone   = size{"phone", 390, 844}
)

// tab is a tab in a browser of its own, with what went wrong in it.
type tab struct {
	t   testing.TB
	ctx context.Context
	s   *server

	profile        cdp.BrowserContextID
	clicks, fields int

	mu       sync.Mutex
	wrong    []string
	document network.RequestID // of the page that is shown
	status   int64
	header   network.Headers
	loaded   map[network.RequestID]*loaded // since the last open
	called   []string                      // what scripts said through the binding "ran"
	leaving  bool                          // whether the page asked before it was left
}

// loaded is one thing that a page asked for.
type loaded struct {
	url   string
	bytes float64
	done  bool
}

// stranger is a tab where nobody is in.
func (s *server) stranger(t testing.TB) *tab {
	t.Helper()
	profile, window, err := newProfile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(profile).Do(browserExecutor()) })
	ctx, stop := chromedp.NewContext(shared.browser, chromedp.WithTargetID(window))
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, tabTime)
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx, s: s, profile: profile, loaded: map[network.RequestID]*loaded{}}
	chromedp.ListenTarget(ctx, b.hear)
	err = chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable(), page.Enable(),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "prefers-color-scheme", Value: "light"}}),
		emulation.SetTimezoneOverride("Europe/London"), runtime.AddBinding("ran"))
	if err != nil {
		t.Fatal(err)
	}
	b.onEveryPage(`globalThis.shifted = 0; globalThis.why = []; globalThis.blocked = [];
		new PerformanceObserver((l) => { for (const e of l.getEntries()) if (!e.hadRecentInput) { shifted += e.value; why.push(e.value.toFixed(4) + ': ' + e.sources.map((x) => (x.node?.outerHTML ?? x.node?.nodeValue ?? '?').slice(0, 90) + ' ' + [x.previousRect, x.currentRect].map((r) => [r.x, r.y, r.width, r.height].map(Math.round)).join(' to ')).join(' | ')); } }).observe({ type: 'layout-shift', buffered: true });
		document.addEventListener('securitypolicyviolation', (e) => blocked.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));`)
	b.resize(desktop)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.wrong {
			t.Errorf("the browser complains: %s", w)
		}
	})
	return b
}

// login is a tab where a member is in.
func (s *server) login(t testing.TB, m postern.MemberID) *tab {
	t.Helper()
	b := s.stranger(t)
	b.setCookie("postern_session", s.session(t, m))
	return b
}

func (b *tab) setCookie(name, value string) {
	b.t.Helper()
	b.do(network.SetCookie(name, value).WithURL(b.s.url).WithPath("/").WithHTTPOnly(true))
}

func (b *tab) complain(format string, args ...any) {
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// hear notes what the browser tells of a tab.
func (b *tab) hear(e any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case *log.EventEntryAdded:
		// A page that says what is wrong has such a status, and the browser notes each.
		if e.Entry.Level == log.LevelError && !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of 4") {
			b.complain("%s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			words := []string{}
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.complain("console.%s: %s", e.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		b.complain("a script failed: %s", e.ExceptionDetails.Error())
	case *runtime.EventBindingCalled:
		b.called = append(b.called, e.Payload)
	case *page.EventJavascriptDialogOpening:
		switch e.Type {
		case page.DialogTypeBeforeunload:
			b.leaving = true
		default:
			b.called = append(b.called, "dialog: "+e.Message)
		}
		go func() { _ = chromedp.Run(b.ctx, page.HandleJavaScriptDialog(true)) }()
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Scheme+"://"+u.Host != b.s.url {
			b.complain("asks %s, which is another origin", e.Request.URL)
		}
		if e.Type == network.ResourceTypeDocument {
			b.loaded = map[network.RequestID]*loaded{}
		}
		b.loaded[e.RequestID] = &loaded{url: e.Request.URL}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			b.document, b.status, b.header = e.RequestID, e.Response.Status, e.Response.Headers
		}
	case *network.EventLoadingFinished:
		if l := b.loaded[e.RequestID]; l != nil {
			l.bytes, l.done = e.EncodedDataLength, true
		}
	}
}

// do runs actions, which must work.
func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("%v", err)
	}
}

// onEveryPage runs a script in each page before its own.
func (b *tab) onEveryPage(script string) {
	b.t.Helper()
	b.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	}))
}

func (b *tab) resize(s size) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(s.w, s.h, 1, s == phone))
}

// theme shows the page in a theme, as the button for it does.
func (b *tab) theme(name string) {
	b.t.Helper()
	b.js(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, name), nil)
}

// open goes to a page of the server and waits until it is there.
func (b *tab) open(path string) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, chromedp.Navigate(b.s.url+path)); err != nil {
		b.t.Fatalf("open %s: %v", path, err)
	}
}

// js evaluates an expression in the page, and waits where it is a promise.
func (b *tab) js(expr string, into any) {
	b.t.Helper()
	if err := b.try(expr, into); err != nil {
		b.t.Fatalf("%.300s: %v", expr, err)
	}
}

func (b *tab) try(expr string, into any) error {
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	if into == nil {
		var drop *runtime.RemoteObject
		return chromedp.Run(b.ctx, chromedp.Evaluate(expr, &drop, await))
	}
	return chromedp.Run(b.ctx, chromedp.Evaluate(expr, into, await))
}

// str evaluates an expression that is a text.
func (b *tab) str(expr string) (out string) {
	b.t.Helper()
	b.js(`String(`+expr+`)`, &out)
	return out
}

// until waits until an expression is true. A page that is just being replaced
// can't be asked, and is asked again.
func (b *tab) until(expr string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, waitTime)
	defer stop()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	var err error
	for {
		var ok bool
		if err = chromedp.Run(ctx, chromedp.Evaluate(`Boolean(`+expr+`)`, &ok)); err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("never true: %s (%v)\n%s", expr, err, b.where())
		case <-tick.C:
		}
	}
}

// where tells of the page that is shown.
func (b *tab) where() (out string) {
	_ = b.try(`location.pathname + location.search + '\n' + document.title + '\n' + document.querySelector('main')?.innerText.slice(0, 1500)`, &out)
	return out
}

// says waits until the page shows a text.
func (b *tab) says(texts ...string) {
	b.t.Helper()
	for _, s := range texts {
		b.until(fmt.Sprintf(`document.body && document.body.innerText.replace(/\s+/g, ' ').includes(%s)`, quote(s)))
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// find is a script that finds what is seen: by a selector, or by its words after "=".
const find = `(sel) => {
	const words = (e) => (e.innerText || '').replace(/\s+/g, ' ').trim();
	const all = sel.startsWith('=') ? [...document.querySelectorAll('a, button, summary, label')].filter((e) => words(e) === sel.slice(1)) : [...document.querySelectorAll(sel)];
	const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('[inert]') && e.getClientRects().length > 0;
	return all.find((e) => seen(e) && (!document.querySelector('dialog[open]:modal') || e.closest('dialog[open]'))) ?? null;
}`

// click presses the mouse on something, once it is there and nothing covers it.
func (b *tab) click(sel string) {
	b.t.Helper()
	b.clicks++
	var at struct{ X, Y float64 }
	ctx, stop := context.WithTimeout(b.ctx, waitTime)
	defer stop()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	expr := fmt.Sprintf(`(() => { const e = (%s)(%s); if (!e || e.disabled || document.readyState !== 'complete') return null;
		e.scrollIntoView({ block: 'center', behavior: 'instant' });
		const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2, top = document.elementFromPoint(x, y);
		return top && (e.contains(top) || top.contains(e) || top.closest('label')?.control === e) ? { x, y } : null; })()`, find, quote(sel))
	for {
		var got *struct{ X, Y float64 }
		err := chromedp.Run(ctx, chromedp.Evaluate(expr, &got))
		if err == nil && got != nil {
			at = *got
			break
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("nothing to click: %s (%v)\n%s", sel, err, b.where())
		case <-tick.C:
		}
	}
	b.do(chromedp.MouseClickXY(at.X, at.Y))
}

// go on clicks what leads to another page, and waits until that is there.
func (b *tab) follow(sel string) {
	b.t.Helper()
	b.leave(func() { b.click(sel) })
}

// leave waits until another page is there after doing something.
func (b *tab) leave(do func()) {
	b.t.Helper()
	b.js(`document.here = true`, nil)
	do()
	b.until(`!document.here && document.readyState === 'complete'`)
}

// fill types into a field. Where it has not got the focus, that takes a click.
func (b *tab) fill(sel, text string) {
	b.t.Helper()
	b.fields++
	var there bool
	b.js(fmt.Sprintf(`document.activeElement !== null && document.activeElement === (%s)(%s)`, find, quote(sel)), &there)
	if !there {
		b.click(sel)
	}
	b.js(fmt.Sprintf(`(%s)(%s).select?.()`, find, quote(sel)), nil)
	b.do(input.InsertText(text))
}

// press presses a key.
func (b *tab) press(key string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(key))
}

// tabTo moves the focus with the Tab key until it is on what a selector or words find.
func (b *tab) tabTo(sel string) {
	b.t.Helper()
	on := fmt.Sprintf(`(() => { const e = document.activeElement, s = %s; if (!e || e === document.body) return false;
		return s.startsWith('=') ? (e.innerText || '').replace(/\s+/g, ' ').trim() === s.slice(1) : e.matches(s); })()`, quote(sel))
	for range 400 {
		var there bool
		if b.js(on, &there); there {
			return
		}
		b.press(kb.Tab)
	}
	b.t.Fatalf("Tab does not lead to %s\n%s", sel, b.where())
}

// source is the page as the server sent it.
func (b *tab) source() string {
	b.t.Helper()
	b.mu.Lock()
	id := b.document
	b.mu.Unlock()
	var body []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		body, err = network.GetResponseBody(id).Do(ctx)
		return err
	}))
	return string(body)
}

// noScripts switches the scripts of pages off.
func (b *tab) noScripts() {
	b.t.Helper()
	b.do(emulation.SetScriptExecutionDisabled(true))
}

// letCopy lets pages write to the clipboard, which asks in a real window.
func (b *tab) letCopy() {
	b.t.Helper()
	b.do(browser.SetPermission(&browser.PermissionDescriptor{Name: "clipboard-write"}, browser.PermissionSettingGranted).WithOrigin(b.s.url).
		WithBrowserContextID(b.profile),
		emulation.SetFocusEmulationEnabled(true))
}

// copied waits until a page says that it copied.
func (b *tab) copied() {
	b.t.Helper()
	b.until(`[...document.querySelectorAll('[data-copy] span')].some((s) => s.textContent === 'Copied')`)
}
