package console

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"postern.dev/postern"
)

//go:embed templates
var templateFiles embed.FS

// Common is what every view embeds: what the layout shows, and what forms need.
type Common struct {
	Title   string
	Menu    string // the address of the menu item that is current
	Trail   []crumb
	Wide    bool     // the page has no left bar: signing in
	Scripts []string // modules beside app.js: "keys.js"
	Styles  []string // sheets of assets/css/pages that this page alone needs: "migration.css"
	Error   bool     // the form on the page was not taken

	Shell shell
	v     *visit
}

// crumb is a step of the trail on top; the last one is the page itself.
type crumb struct{ Name, Link string }

// shell is the layout's own part of a view.
type shell struct {
	Theme    string
	Name     string // of the member
	Email    string
	Initials string
	Account  string
	Mark     string // its initials
	Number   int64
	Menus    []menuGroup
	Here     string // the address of this page, to come back to
	Flash    *flash
	Live     bool   // somebody is in
	IdleSecs int64  // until the session ends without a request
	IdleMins int64  // how long a session lasts without one
	Search   string // where the search box leads, empty where there is none
	Notices  string // where the bell leads
	Unread   int    // what the bell counts, up to 100
	Own      []menuItem
	Choose   bool // whether "Help me choose" is there
	Docs     string
	Version  string
}

type menuGroup struct {
	Name  string
	Items []menuItem
}

type menuItem struct {
	Name, Link, Icon string
	Current          bool
}

func (c *Common) base() *Common { return c }

// view is the data of a page: a pointer to a struct that embeds Common.
type view interface{ base() *Common }

// common starts a view. menu is the address of the menu item that the page
// belongs to; trail are the steps before the page itself.
func (v *visit) common(title, menu string, trail ...crumb) Common {
	return Common{Title: title, Menu: menu, Trail: trail, v: v}
}

// Form gives a form its token: every form that posts starts with {{.Form}}.
func (c *Common) Form() template.HTML {
	if c.v == nil || c.v.session == nil {
		return ""
	}
	// Both parts are base62 or base64url, which HTML takes as they are.
	return template.HTML(`<input type="hidden" name="` + formToken + `" value="` + c.v.c.newFormToken(c.v.session.ID) + `">`) //nolint:gosec
}

// Can reports whether the reader has a permission, by its name.
func (c *Common) Can(p string) bool { return c.v != nil && c.v.can(postern.Permission(p)) }

// Has reports whether the console has a page: "GET /audit".
func (c *Common) Has(pattern string) bool { return c.v != nil && c.v.c.known[pattern] }

// Time shows a time in the reader's zone: relative under 7 days, the date after that.
func (c *Common) Time(t time.Time) template.HTML {
	return timeHTML(t, c.now(), c.zone(), ago(t, c.now(), c.zone()))
}

// Said shows a time in words of one's own.
func (c *Common) Said(t time.Time, words string) template.HTML {
	return timeHTML(t, c.now(), c.zone(), words)
}

// Exact shows a time with its clock.
func (c *Common) Exact(t time.Time) template.HTML {
	return timeHTML(t, c.now(), c.zone(), t.In(c.zone()).Format("2 Jan 2006, 15:04"))
}

// Day shows the date of a time.
func (c *Common) Day(t time.Time) template.HTML {
	return timeHTML(t, c.now(), c.zone(), t.In(c.zone()).Format("2 Jan 2006"))
}

// LastDay shows the last day before an end.
func (c *Common) LastDay(end time.Time) template.HTML {
	return timeHTML(end, c.now(), c.zone(), lastMoment(end, c.zone()).Format("2 Jan 2006"))
}

func (c *Common) now() time.Time {
	if c.v == nil {
		return time.Time{}
	}
	return c.v.now
}

func (c *Common) zone() *time.Location {
	if c.v == nil || c.v.zone == nil {
		return time.UTC
	}
	return c.v.zone
}

// pages are the templates: a set for each page, of the layout, the components and itself.
type pages struct{ by map[string]*template.Template }

func loadPages(a *assets) (*pages, error) {
	root, err := template.New("").Funcs(funcs(a)).ParseFS(templateFiles, "templates/shell.html", "templates/parts/*.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{by: map[string]*template.Template{}}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "shell" {
			continue
		}
		t, err := template.Must(root.Clone()).ParseFS(templateFiles, file)
		if err != nil {
			return nil, err
		}
		if t.Lookup("main") == nil {
			return nil, fmt.Errorf("%s defines no main", file)
		}
		p.by[name] = t
	}
	return p, nil
}

// names are the pages, sorted.
func (p *pages) names() []string {
	var out []string
	for name := range p.by {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// render shows a page.
func (v *visit) render(name string, page view) error { return v.show(http.StatusOK, name, page) }

// show shows a page with a status. The layout is filled in here. Where a page
// fails halfway nothing of it is sent.
func (v *visit) show(status int, name string, page view) error {
	t, ok := v.c.pages.by[name]
	if !ok {
		return fmt.Errorf("console: there is no page %q", name)
	}
	v.dress(page.base())
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := t.ExecuteTemplate(b, "shell", page); err != nil {
		return fmt.Errorf("console: page %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if v.secret {
		h.Set("Cache-Control", "no-store")
	}
	return v.send(status, b.Bytes())
}

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed+2)
	return w
}}

// send writes a body, compressed where the browser takes that. Pages that show a
// secret are not: their length would tell of it.
func (v *visit) send(status int, body []byte) error {
	h := v.w.Header()
	h.Add("Vary", "Accept-Encoding")
	if v.secret || len(body) < 1400 || !acceptsGzip(v.r) {
		v.w.WriteHeader(status)
		if v.r.Method == http.MethodHead {
			return nil
		}
		_, err := v.w.Write(body)
		return err
	}
	h.Set("Content-Encoding", "gzip")
	v.w.WriteHeader(status)
	if v.r.Method == http.MethodHead {
		return nil
	}
	z := gzips.Get().(*gzip.Writer)
	defer gzips.Put(z)
	z.Reset(v.w)
	if _, err := z.Write(body); err != nil {
		return err
	}
	return z.Close()
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
