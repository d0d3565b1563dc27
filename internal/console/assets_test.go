package console

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPackCSS: only what readers need goes; what browsers read stays.
func TestPackCSS(t *testing.T) {
	for in, want := range map[string]string{
		"/* all */\na > b , c {\n  color: red;\n  margin: 0 auto;\n}\n":           "a>b,c{color:red;margin:0 auto}",
		`.x :hover, .y::before { content: "; } : "; }`:                            `.x :hover,.y::before{content:"; } : "}`,
		"@media (max-width: 860px) and (hover) { a { width: calc(1px + 2px); } }": "@media (max-width:860px) and (hover){a{width:calc(1px + 2px)}}",
		"a { background: url('data:a b') } /* open":                               "a{background:url('data:a b')}",
	} {
		if got := string(packCSS([]byte(in))); got != want {
			t.Errorf("packCSS(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestSheetHasOnlyWhatPagesUse: each class and id that the sheet of all pages names is in a template,
// in a script or in the code. What one page alone needs has a sheet of its own in css/pages.
func TestSheetHasOnlyWhatPagesUse(t *testing.T) {
	used := map[string]bool{}
	name := regexp.MustCompile(`[A-Za-z][A-Za-z0-9_-]*`)
	for _, pattern := range []string{"templates/*.html", "templates/parts/*.html", "assets/js/*.js", "*.go"} {
		files := must(filepath.Glob(pattern))(t)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, n := range name.FindAllString(string(must(os.ReadFile(file))(t)), -1) {
				used[n] = true
			}
		}
	}
	a := must(loadAssets())(t)
	sheet := string(a.by[path.Base(a.url("postern.css"))].body)
	seen := 0
	for _, rule := range regexp.MustCompile(`([^{}]+)\{`).FindAllStringSubmatch(sheet, -1) {
		for _, m := range regexp.MustCompile(`[.#]([A-Za-z][A-Za-z0-9_-]*)`).FindAllStringSubmatch(rule[1], -1) {
			if seen++; !used[m[1]] {
				t.Errorf("nothing uses %s", m[0])
			}
		}
	}
	if seen < 500 {
		t.Errorf("only %d names were looked at", seen)
	}
}

// TestSheetsOfPages: what stands in css/pages is served, and not in the sheet of all pages.
func TestSheetsOfPages(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	page := &failView{Heading: "x", Icon: "key"}
	rt := route{Pattern: "GET /styled", Serve: func(v *visit) error {
		page.Common = v.common("x", "")
		page.Styles = []string{"migration.css"}
		return v.render("fail", page)
	}}
	w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
	b := w.login()
	url := w.console.assets.url("migration.css")
	b.get("/styled").want(200, `<link rel="stylesheet" href="`+url+`">`)
	b.get(url).want(200, ".board{")
	b.get("/keys").not(url)
	b.get(w.console.assets.url("postern.css")).want(200, ".card").not(".board{")
}
