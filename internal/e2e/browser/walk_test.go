package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	shots = flag.String("shots", "", "a folder to put pictures of every page in: desktop and phone, light and dark")
	small = flag.String("small", "", "a folder to put the small pictures of the documentation in")
)

func read(t testing.TB, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// axe is the source of axe-core, once.
var axe = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile(filepath.Join("..", "node", "node_modules", "axe-core", "axe.min.js"))
	return string(b), err
})

// axeAll is every rule of WCAG 2.0 to 2.2, A and AA, and of best practice; axeColours
// are those that depend on the theme.
const (
	axeAll     = `runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'] }, rules: { 'target-size': { enabled: true } }`
	axeColours = `runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] }`
	axeRun     = `axe.run(document, { resultTypes: ['violations'], %s })
	.then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + n.html.slice(0, 140) + ' [' + n.failureSummary.replace(/\s+/g, ' ').slice(0, 220) + ']').join(' | ')))`
)

// accessible checks what is shown now with axe.
func (b *tab) accessible(state string) { b.audit(state, axeAll) }

// colours checks only what a theme changes.
func (b *tab) colours(state string) { b.audit(state, axeColours) }

func (b *tab) audit(state, options string) {
	b.t.Helper()
	src, err := axe()
	if err != nil {
		b.t.Fatalf("axe-core is missing (cd internal/e2e/node && npm ci): %v", err)
	}
	var there bool
	if b.js(`typeof axe === 'object'`, &there); !there {
		b.js(src, nil)
	}
	var found []string
	b.js(fmt.Sprintf(axeRun, options), &found)
	for _, f := range found {
		b.t.Errorf("%s: axe: %s", state, f)
	}
}

// eachLook runs a check in both themes and on both screens.
func (b *tab) eachLook(check func(look string)) {
	b.t.Helper()
	for _, s := range []size{desktop, phone} {
		b.resize(s)
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			check(s.name + " " + theme)
		}
	}
	b.resize(desktop)
	b.theme("light")
}

// wide says what makes a page wider than the window.
const wide = `(() => { const w = document.documentElement.clientWidth; if (document.documentElement.scrollWidth <= w) return '';
	return [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > w + 1).slice(0, 3).map((e) => e.tagName + '.' + e.className).join(', ') || 'something'; })()`

// budget is what a page's first load may take (console.md section 11).
const (
	maxBytes = 150 << 10
	maxShift = 0.02
)

// policy is what the console answers with, and must stay.
var policy = []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"}

// walker goes through the places with a tab for each person.
type walker struct {
	d    *desk
	t    *testing.T
	tabs map[string]*tab
}

func (w *walker) at(t *testing.T, p place) *tab {
	t.Helper()
	b := w.tabs[p.who]
	if b == nil {
		switch p.who {
		case "-":
			b = w.d.stranger(w.t)
		case "":
			b = w.d.in(w.t, "Ada")
		default:
			b = w.d.in(w.t, p.who)
		}
		b.do(network.SetCacheDisabled(true))
		w.tabs[p.who] = b
	}
	b.t = t
	return b
}

type document struct{ Name, HTML string }

// Every page and state: accessible in both themes on both screens, valid, small,
// still, from one place, with no complaint of the browser.
func TestPages(t *testing.T) {
	d := office(t)
	all := d.places(t)
	var mu sync.Mutex
	var sources []document
	var most, asks load
	seen := &states{at: map[string]bool{}}
	t.Run("each", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				w := &walker{d, t, map[string]*tab{}}
				for i, p := range all {
					if i%shards != shard {
						continue
					}
					t.Run(p.name, func(t *testing.T) {
						b := w.at(t, p)
						got := b.measure(p)
						source := b.source()
						mu.Lock()
						if got.bytes > most.bytes {
							most = got
						}
						if got.requests > asks.requests {
							asks = got
						}
						sources = append(sources, document{p.name, source})
						mu.Unlock()
						if m := inline.FindString(source); m != "" {
							t.Errorf("inline code or style: %s", m)
						}
						b.check(seen)
					})
				}
			})
		}
	})
	t.Logf("the heaviest first load is %s: %d bytes in %d requests; most requests has %s: %d", most.name, most.bytes, most.requests, asks.name, asks.requests)
	validate(t, sources)
}

// shards are how many tabs go through the pages at once.
const shards = 2

// states are the opened states that were checked already: those of the layout are the same on each page.
type states struct {
	mu sync.Mutex
	at map[string]bool
}

// first reports whether a state is new.
func (s *states) first(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.at[name]
	s.at[name] = true
	return !was
}

// check holds the page that is shown against all that holds for every page.
func (b *tab) check(seen *states) {
	b.t.Helper()
	b.eachLook(func(look string) {
		if by := b.str(wide); by != "" {
			b.t.Errorf("%s: wider than the window: %s", look, by)
		}
		if strings.HasSuffix(look, "light") {
			b.accessible(look)
		} else {
			b.colours(look)
		}
	})
	b.openedStates(seen)
	if blocked := b.str(`blocked.join('; ')`); blocked != "" {
		b.t.Errorf("the policy blocked %s", blocked)
	}
}

var inline = regexp.MustCompile(`(?i)<script(?:\s+type="[^"]*")?>|<style|<[a-z][^>]*\s(?:style|on[a-z]+)=[^>]*>|javascript:`)

// load is what the first load of a page took.
type load struct {
	name     string
	bytes    int
	requests int
}

// measure opens a page on a phone and then on a desktop, with nothing in the cache,
// and holds it against the budget.
func (b *tab) measure(p place) (out load) {
	b.t.Helper()
	want := p.status
	if want == 0 {
		want = 200
	}
	out.name = p.name
	for _, s := range []size{phone, desktop} {
		b.resize(s)
		b.open(p.path)
		// Two frames later what moves has moved.
		b.js(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil)
		var shift float64
		if b.js(`shifted`, &shift); shift > maxShift {
			b.t.Errorf("%s: the layout shifts by %.3f, want at most %.2f", s.name, shift, maxShift)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status != want {
		b.t.Errorf("answered %d, want %d", b.status, want)
	}
	out.bytes, out.requests = 0, 0
	for _, l := range b.loaded {
		if out.requests++; l.done {
			out.bytes += int(l.bytes)
		}
	}
	if out.bytes > maxBytes {
		b.t.Errorf("a first load takes %d bytes, want at most %d", out.bytes, maxBytes)
	}
	csp, _ := b.header["Content-Security-Policy"].(string)
	for _, want := range policy {
		if !strings.Contains(csp, want) {
			b.t.Errorf("the policy %q lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		b.t.Errorf("the policy %q is loose", csp)
	}
	return out
}

// openedStates checks a page with its dialogs, menus and drawer open, those of the
// layout once.
func (b *tab) openedStates(seen *states) {
	b.t.Helper()
	var dialogs []string
	b.js(`[...document.querySelectorAll('dialog[id]')].map((d) => d.id)`, &dialogs)
	open := func(name, show, hide string) {
		for _, look := range []struct {
			s     size
			theme string
		}{{desktop, "light"}, {phone, "dark"}} {
			b.resize(look.s)
			b.theme(look.theme)
			b.js(show, nil)
			if by := b.str(wide); by != "" {
				b.t.Errorf("%s open on %s: wider than the window: %s", name, look.s.name, by)
			}
			b.accessible(name + " open on " + look.s.name + " " + look.theme)
			b.js(hide, nil)
		}
		b.resize(desktop)
		b.theme("light")
	}
	for _, id := range dialogs {
		if seen.first(id) {
			open("dialog "+id, fmt.Sprintf(`document.getElementById(%q).showModal()`, id), fmt.Sprintf(`document.getElementById(%q).close()`, id))
		}
	}
	for _, menu := range []string{"header details.menu", "main details.menu", "main details:not(.menu)"} {
		var here string
		b.js(fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e && e.checkVisibility() ? e.className + e.innerText.replace(/[0-9]+/g, '').slice(0, 40) : ''; })()`, menu), &here)
		if here != "" && seen.first(menu+here) {
			open(menu, fmt.Sprintf(`for (const d of document.querySelectorAll(%q)) { d.open = true; if (d.matches('.menu')) break; }`, menu),
				fmt.Sprintf(`for (const d of document.querySelectorAll(%q)) d.open = false`, menu))
		}
	}
	if b.str(`document.querySelector('[data-nav-open]') !== null`) == "true" && seen.first("drawer") {
		b.resize(phone)
		b.click("[data-nav-open]")
		b.until(`document.body.classList.contains('nav-open')`)
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			b.accessible("drawer open " + theme)
		}
		if b.str(`document.querySelector('.body').inert`) != "true" {
			b.t.Error("the page behind the open drawer can be reached")
		}
		b.press(kb.Escape)
		b.until(`!document.body.classList.contains('nav-open') && document.activeElement.matches('[data-nav-open]')`)
	}
}

// validate holds pages against the HTML standard.
func validate(t *testing.T, docs []document) {
	t.Helper()
	in, err := json.Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "validate.mjs")
	cmd.Dir = filepath.Join("..", "node")
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("validate.mjs: %v\n%s", err, errs.String())
	}
	var found []string
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// TestShots takes pictures of every page in every look: -shots says where to.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	w := &walker{office(t), t, map[string]*tab{}}
	for _, p := range w.d.places(t) {
		b := w.at(t, p)
		b.open(p.path)
		b.js(`document.fonts.ready`, nil)
		b.eachLook(func(look string) {
			var png []byte
			b.do(chromedp.FullScreenshot(&png, 100))
			if err := os.WriteFile(filepath.Join(*shots, p.name+"-"+strings.ReplaceAll(look, " ", "-")+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSmallShots takes the pictures that the documentation shows: -small says where to.
func TestSmallShots(t *testing.T) {
	if *small == "" {
		return
	}
	w := &walker{office(t), t, map[string]*tab{}}
	theme := map[string]string{"keys": "light", "create-scopes": "light", "rotate-watch": "dark", "call": "light"}
	for _, p := range w.d.places(t) {
		if theme[p.name] == "" {
			continue
		}
		b := w.at(t, p)
		b.open(p.path)
		b.theme(theme[p.name])
		b.do(chromedp.ActionFunc(func(ctx context.Context) error {
			webp, err := page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatWebp).WithQuality(80).
				WithClip(&page.Viewport{Width: float64(desktop.w), Height: float64(desktop.h), Scale: 900 / float64(desktop.w)}).Do(ctx)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(*small, p.name+".webp"), webp, 0o644)
		}))
	}
}
