package browser

import (
	"bytes"
	"encoding/json"
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
	"github.com/chromedp/chromedp/kb"
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

// axeRun holds what is shown, or what a selector finds of it, against rules: every one of
// WCAG 2.0 to 2.2, A and AA, and of best practice, or only those about colours.
const axeRun = `(async (within, rules) => (await axe.run(within ? { include: [...document.querySelectorAll(within)] } : document, { resultTypes: ['violations'], preload: false, ...rules }))
	.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + n.html.slice(0, 140) + ' [' + n.failureSummary.replace(/\s+/g, ' ').slice(0, 220) + ']').join(' | ')))`

const (
	everyRule = `{ runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'] }, rules: { 'target-size': { enabled: true } } }`
	// colourRules are those that a theme bears on. TestThemeIsColours holds that it changes
	// nothing else, so the others would find in the dark what they found in the light.
	colourRules = `{ runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } }`
)

// accessible checks what is shown now with axe.
func (b *tab) accessible(state string) {
	b.t.Helper()
	b.needAxe()
	b.audit(state, axeRun+`('', `+everyRule+`)`)
}

// needAxe puts axe into the page that is shown.
func (b *tab) needAxe() {
	b.t.Helper()
	src, err := axe()
	if err != nil {
		b.t.Fatalf("axe-core is missing (cd internal/e2e/node && npm ci): %v", err)
	}
	var there bool
	if b.js(`typeof axe === 'object'`, &there); !there {
		b.js(src, nil)
	}
}

// audit runs a script that gives what is wrong.
func (b *tab) audit(state, script string) {
	b.t.Helper()
	var found []string
	b.js(script, &found)
	for _, f := range found {
		b.t.Errorf("%s: %s", state, f)
	}
}

// inBoth runs a script that gives what is wrong in the light theme and in the dark one.
const inBoth = `(async (check) => {
	const out = [];
	for (const theme of ['dark', 'light']) {
		document.documentElement.dataset.theme = theme;
		out.push(...(await check(theme)).map((f) => theme + ': ' + f));
	}
	return out;
})`

// wide says what makes a page wider than the window.
const wide = `(() => { const w = document.documentElement.clientWidth; if (document.documentElement.scrollWidth <= w) return [];
	return ['wider than the window: ' + ([...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > w + 1).slice(0, 3).map((e) => e.tagName + '.' + e.className).join(', ') || 'something')]; })`

// thin takes out of a page what is there again and again: of neighbours that are made
// alike, down to their last child, three stay. What a rule finds in one row of thousands it
// finds in these, and it looks at each element of a page.
const thin = `(() => {
	const own = /^(id|name|value|href|title|for|action|style|datetime|data-.*|aria-(label|describedby|labelledby|controls)|d|x|y|width|height|points|transform)$/;
	const shapes = new Map();
	const shape = (e) => {
		let s = e.tagName + (e.textContent ? '' : '-');
		for (const a of e.attributes) s += own.test(a.name) ? ' ' + a.name : ' ' + a.name + '=' + a.value;
		for (const c of e.children) s += '(' + shape(c) + ')';
		return s;
	};
	for (const parent of document.querySelectorAll('main, main *')) {
		if (parent.children.length < 6 || !parent.isConnected || parent.closest('svg')) continue;
		const seen = new Map();
		for (const c of [...parent.children]) {
			const s = shape(c), n = (seen.get(s) ?? 0) + 1;
			seen.set(s, n);
			if (n > 3) c.remove();
		}
	}
})()`

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
	b.openedStates(seen)
	if blocked := b.str(`blocked.join('; ')`); blocked != "" {
		b.t.Errorf("the policy blocked %s", blocked)
	}
	b.needAxe()
	b.js(thin, nil)
	for _, s := range []size{desktop, phone} {
		b.resize(s)
		b.audit(s.name, inBoth+`((theme) => `+axeRun+`('', theme === 'dark' ? `+colourRules+` : `+everyRule+`))`)
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
		var got struct {
			Shift float64
			Why   []string
			Wide  []string
		}
		b.js(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => ({ Shift: shifted, Why: globalThis.why, Wide: `+wide+`() }))`, &got)
		if got.Shift > maxShift {
			b.t.Errorf("%s: the layout shifts by %.3f, want at most %.2f: %q", s.name, got.Shift, maxShift, got.Why)
		}
		for _, w := range got.Wide {
			b.t.Errorf("%s: %s", s.name, w)
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

// openedStates checks the dialogs, menus and drawer of a page while they are open, in
// both themes on both screens, those of the layout once.
func (b *tab) openedStates(seen *states) {
	b.t.Helper()
	var dialogs []string
	b.js(`[...document.querySelectorAll('dialog[id]')].map((d) => d.id)`, &dialogs)
	open := func(name, within, show, hide string) {
		b.needAxe()
		for _, s := range []size{desktop, phone} {
			b.resize(s)
			b.audit(name+" open on "+s.name, fmt.Sprintf(`(async () => { %s; const out = await %s(async () => [...%s(), ...await %s(%q, %s)]); %s; return out; })()`, show, inBoth, wide, axeRun, within, everyRule, hide))
		}
		b.resize(desktop)
	}
	for _, id := range dialogs {
		if seen.first(id) {
			open("dialog "+id, "#"+id, fmt.Sprintf(`document.getElementById(%q).showModal()`, id), fmt.Sprintf(`document.getElementById(%q).close()`, id))
		}
	}
	for _, menu := range []string{"header details.menu", "main details.menu", "main details:not(.menu)"} {
		var here string
		b.js(fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e && e.checkVisibility() ? e.className + e.innerText.replace(/[0-9]+/g, '').slice(0, 40) : ''; })()`, menu), &here)
		if here != "" && seen.first(menu+here) {
			open(menu, menu+"[open]", fmt.Sprintf(`for (const d of document.querySelectorAll(%q)) { d.open = true; if (d.matches('.menu')) break; }`, menu),
				fmt.Sprintf(`for (const d of document.querySelectorAll(%q)) d.open = false`, menu))
		}
	}
	if b.str(`document.querySelector('[data-nav-open]') !== null`) == "true" && seen.first("drawer") {
		b.resize(phone)
		b.click("[data-nav-open]")
		b.until(`document.body.classList.contains('nav-open')`)
		b.needAxe()
		b.audit("drawer open", inBoth+`(() => `+axeRun+`('', `+everyRule+`))`)
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

// A theme changes colours and nothing else: all that the sheets say of it is a scheme of
// colours, from which light-dark() takes its pick.
func TestThemeIsColours(t *testing.T) {
	files, err := filepath.Glob("../../console/assets/css/*.css")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	themes := 0
	for _, f := range files {
		css, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`([^{}]*(?:data-theme|prefers-color-scheme)[^{}]*)\{([^{}]*)`).FindAllStringSubmatch(string(css), -1) {
			themes++
			if !regexp.MustCompile(`^\s*color-scheme: (light|dark);?\s*$`).MatchString(m[2]) {
				t.Errorf("%s: a theme changes more than colours: %s{%s}", filepath.Base(f), strings.TrimSpace(m[1]), m[2])
			}
		}
	}
	if themes < 2 {
		t.Errorf("%d themes were found", themes)
	}
}
