// Package docsite shows the documentation as web pages, from within the binary:
// what an error links to is there wherever the server is.
//
// It promises that every page stands alone: one style sheet from the same place,
// no script, nothing from elsewhere; and that what is not one of the files that
// are compiled in is not found.
package docsite

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"postern.dev/postern/docs"
)

// Path is where the handler is to stand.
const Path = "/docs/"

// order is that in which the pages are listed; a page that isn't here comes after them.
var order = []string{"README", "quick-start", "concepts", "catalog", "configuration", "cli", "http-api", "problems", "activity", "audit", "operating", "security-model", "crm"}

// moved are addresses that stay good although what they name is part of a page.
// Refusals in HubSpot's dialect link to both.
var moved = map[string]string{"authentication": "problems#authentication", "scopes": "problems#scopes"}

// The policies: of pages, and of pictures and files that are looked at alone.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	filePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed icon.svg
	iconSVG []byte
	//go:embed style.css
	styleCSS []byte

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
)

// file is one thing that is served.
type file struct {
	body                  []byte
	mediaType, policy, at string // at is its ETag
}

type handler struct {
	files   map[string]file // by what follows Path
	missing file
}

// New makes the handler of everything under Path.
func New() (http.Handler, error) {
	return newHandler(docs.Files)
}

func newHandler(from fs.FS) (http.Handler, error) {
	pages, err := read(from)
	if err != nil {
		return nil, err
	}
	h := &handler{files: map[string]file{"style.css": newFile(styleCSS, "text/css; charset=utf-8", filePolicy), "icon.svg": newFile(iconSVG, "image/svg+xml", filePolicy)}}
	for i := range pages {
		body, err := show(pages, &pages[i])
		if err != nil {
			return nil, err
		}
		h.files[pages[i].Address] = newFile(body, "text/html; charset=utf-8", pagePolicy)
	}
	nowhere := page{Title: "Not found", Body: "<h1>Not found</h1>\n<p>There is no such page. The list has all there are.</p>"}
	body, err := show(pages, &nowhere)
	if err != nil {
		return nil, err
	}
	h.missing = newFile(body, "text/html; charset=utf-8", pagePolicy)
	return h, h.readOthers(from)
}

// readOthers takes what the pages show and link to.
func (h *handler) readOthers(from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".md" {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		mediaType := "text/plain; charset=utf-8"
		if path.Ext(name) == ".svg" {
			mediaType = "image/svg+xml"
		} else if path.Ext(name) == ".webp" {
			mediaType = "image/webp"
		}
		h.files[name] = newFile(body, mediaType, filePolicy)
		return nil
	})
}

func newFile(body []byte, mediaType, policy string) file {
	sum := sha256.Sum256(body)
	return file{body, mediaType, policy, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// show makes the whole of a page.
func show(pages []page, p *page) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		*page
		Pages []page
	}{p, pages})
	if err != nil {
		return nil, fmt.Errorf("docsite: page %s: %w", p.Name, err)
	}
	return b.Bytes(), nil
}

// ServeHTTP answers with a page, or with what one shows.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Content-Security-Policy", pagePolicy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "Pages are read with GET.", http.StatusMethodNotAllowed)
		return
	}
	name, under := strings.CutPrefix(r.URL.Path, Path)
	// Where this stands under a path of its own, only a relative address is right.
	if !under {
		redirect(w, strings.Trim(Path, "/")+"/")
		return
	}
	if to, ok := moved[name]; ok {
		redirect(w, to)
		return
	}
	if doc, ok := strings.CutSuffix(name, ".md"); ok {
		if p := (page{Address: addressOf(doc)}); h.files[p.Address].body != nil {
			redirect(w, p.Link())
			return
		}
	}
	f, ok := h.files[name]
	if !ok {
		head.Set("Content-Type", h.missing.mediaType)
		w.WriteHeader(http.StatusNotFound)
		w.Write(h.missing.body)
		return
	}
	head.Set("Content-Type", f.mediaType)
	head.Set("Content-Security-Policy", f.policy)
	head.Set("Cache-Control", "no-cache") // the ETag says whether it is still so
	head.Set("Etag", f.at)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// redirect sends to an address beside the one that was asked for.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}
