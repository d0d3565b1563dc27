package docsite_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/docs"
	"postern.dev/postern/internal/docsite"
)

func site(t *testing.T) http.Handler {
	t.Helper()
	h, err := docsite.New()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// pages are the addresses of all pages.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := docs.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".md"); ok {
			out = append(out, docsite.Path+strings.TrimSuffix(name, "README"))
		}
	}
	if len(out) < 8 {
		t.Fatalf("found %d pages only", len(out))
	}
	return out
}

func TestPages(t *testing.T) {
	h := site(t)
	for _, p := range pages(t) {
		w := get(h, p)
		body := w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", p, w.Code, w.Header().Get("Content-Type"))
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", p, csp)
		}
		for _, no := range []string{"<script", "style=\"", "<style", "javascript:", "raw HTML omitted", "<no value>"} {
			if strings.Contains(body, no) {
				t.Errorf("%s has %q in it", p, no)
			}
		}
		if strings.Count(body, "<h1") != 1 {
			t.Errorf("%s has %d headings of the first level, want 1", p, strings.Count(body, "<h1"))
		}
		if !strings.Contains(body, `aria-current="page"`) {
			t.Errorf("%s does not show which of the pages it is", p)
		}
		seen := map[string]bool{}
		for _, m := range idForm.FindAllStringSubmatch(body, -1) {
			if seen[m[1]] {
				t.Errorf("%s has two places named %q", p, m[1])
			}
			seen[m[1]] = true
		}
	}
}

var (
	idForm   = regexp.MustCompile(` id="([^"]+)"`)
	linkForm = regexp.MustCompile(` (?:href|src)="([^"]+)"`)
)

// TestLinks follows every link of every page, to the very place it names.
func TestLinks(t *testing.T) {
	h := site(t)
	followed := 0
	for _, p := range pages(t) {
		from, _ := url.Parse("http://postern" + p)
		for _, m := range linkForm.FindAllStringSubmatch(get(h, p).Body.String(), -1) {
			to, err := from.Parse(m[1])
			if err != nil || to.Host != "postern" {
				t.Errorf("%s links to %s, away from the server", p, m[1])
				continue
			}
			w := get(h, to.Path)
			if w.Code != http.StatusOK {
				t.Errorf("%s links to %s: %d", p, m[1], w.Code)
			}
			if to.Fragment != "" && !strings.Contains(w.Body.String(), ` id="`+to.Fragment+`"`) {
				t.Errorf("%s links to %s, and there is no such place", p, m[1])
			}
			followed++
		}
	}
	if followed < 100 {
		t.Errorf("followed %d links only", followed)
	}
}

var failForm = regexp.MustCompile(`\.Fail\(.*http\.Status\w+, "([a-z_]+)"`)

// TestEveryProblemIsExplained: what a refusal's link names is on the page.
func TestEveryProblemIsExplained(t *testing.T) {
	body := get(site(t), docsite.Path+"problems").Body.String()
	want := func(name string) {
		if !strings.Contains(body, `<h3 id="`+name+`">`) {
			t.Errorf("docs/problems.md does not explain %s", name)
		}
	}
	for _, r := range postern.Reasons() {
		if r != postern.ReasonAllowed && r != postern.ReasonPublic {
			want(r.String())
		}
	}
	for _, c := range postern.Codes() {
		want(string(c))
	}
	found := 0
	for _, dir := range []string{"../gateway", "../httpapi"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range failForm.FindAllStringSubmatch(string(text), -1) {
				want(m[1])
				found++
			}
		}
	}
	if found < 3 {
		t.Errorf("found %d other problems only", found)
	}
}

func TestAddresses(t *testing.T) {
	h := site(t)
	for path, want := range map[string]string{
		"/docs": "docs/", "/docs/authentication": "problems#authentication", "/docs/scopes": "problems#scopes",
		"/docs/concepts.md": "concepts", "/docs/README.md": "./",
	} {
		if w := get(h, path); w.Code != http.StatusFound || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want 302 to %q", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	for _, path := range []string{"/docs/README", "/docs/nothing", "/docs/nothing.md", "/docs//example.org.md", "/docs/../go.mod", "/docs/docs.go", "/docs/examples"} {
		w := get(h, path)
		if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "There is no such page") {
			t.Errorf("%s: %d, want a page that says 404", path, w.Code)
		}
	}
	w := get(h, "/docs/postern.svg")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("the picture: %d %v", w.Code, w.Header())
	}
	if w := get(h, "/docs/examples/notes/openapi.yaml"); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("an example: %d %v", w.Code, w.Header())
	}
	r := httptest.NewRequest(http.MethodPost, "/docs/", nil)
	post := httptest.NewRecorder()
	h.ServeHTTP(post, r)
	if post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", post.Code, post.Header().Get("Allow"))
	}
}

func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	h := site(t)
	first := get(h, "/docs/problems")
	if w := get(h, "/docs/problems", "If-None-Match", first.Header().Get("Etag")); w.Code != http.StatusNotModified {
		t.Errorf("the same page again: %d, want 304", w.Code)
	}
	if w := get(h, "/docs/problems", "If-None-Match", `"other"`); w.Code != http.StatusOK {
		t.Errorf("another page: %d, want 200", w.Code)
	}
}

func TestPagesHaveAnIcon(t *testing.T) {
	h := site(t)
	if body := get(h, docsite.Path).Body.String(); !strings.Contains(body, `<link rel="icon" href="icon.svg"`) {
		t.Error("the first page names no icon")
	}
	if res := get(h, docsite.Path+"icon.svg"); res.Code != http.StatusOK || res.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the icon answers %d, %s", res.Code, res.Header().Get("Content-Type"))
	}
}
