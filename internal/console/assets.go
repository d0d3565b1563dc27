package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// assets are the static files, by names that change with their content, so that
// browsers may keep them for a year.
type assets struct {
	by   map[string]*asset // by hashed name
	urls map[string]string // by plain name
}

type asset struct {
	kind   string
	body   []byte
	packed []byte
}

// first are the style sheets that others build on, in their order.
var first = []string{"tokens.css", "base.css", "shell.css", "components.css"}

func loadAssets() (*assets, error) {
	a := &assets{by: map[string]*asset{}, urls: map[string]string{}}
	sheets, err := fs.Glob(assetFiles, "assets/css/*.css")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sheets, func(x, y string) int {
		i, j := slices.Index(first, path.Base(x)), slices.Index(first, path.Base(y))
		if i < 0 {
			i = len(first)
		}
		if j < 0 {
			j = len(first)
		}
		if i != j {
			return i - j
		}
		return strings.Compare(x, y)
	})
	var css bytes.Buffer
	var small bytes.Buffer // what holds for small screens comes last, as it overrules
	for _, name := range sheets {
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if path.Base(name) == "zz-small.css" {
			small.Write(b)
			continue
		}
		css.Write(b)
	}
	css.Write(small.Bytes())
	if err := a.add("postern.css", "text/css; charset=utf-8", packCSS(css.Bytes())); err != nil {
		return nil, err
	}
	alone, err := fs.Glob(assetFiles, "assets/css/pages/*.css") // of pages that ask for them
	if err != nil {
		return nil, err
	}
	for _, name := range alone {
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := a.add(path.Base(name), "text/css; charset=utf-8", packCSS(b)); err != nil {
			return nil, err
		}
	}
	for pattern, kind := range map[string]string{"assets/js/*.js": "text/javascript; charset=utf-8", "assets/*.svg": "image/svg+xml"} {
		names, err := fs.Glob(assetFiles, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := assetFiles.ReadFile(name)
			if err != nil {
				return nil, err
			}
			if err := a.add(path.Base(name), kind, b); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// packCSS takes out of a style sheet what only its readers need: comments and
// blanks around brackets, colons and commas. Quoted text stays as it is.
func packCSS(in []byte) []byte {
	const tight = "{};,>"
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '/' && i+1 < len(in) && in[i+1] == '*':
			end := bytes.Index(in[i+2:], []byte("*/"))
			if end < 0 {
				return out
			}
			i += end + 3
		case c == '"' || c == '\'':
			end := bytes.IndexByte(in[i+1:], c)
			if end < 0 {
				return append(out, in[i:]...)
			}
			out = append(out, in[i:i+end+2]...)
			i += end + 1
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			// A blank before a colon is a selector's, and one after it is not.
			if n := len(out); n > 0 && out[n-1] != ' ' && out[n-1] != ':' && !strings.ContainsRune(tight, rune(out[n-1])) {
				out = append(out, ' ')
			}
		default:
			if n := len(out); n > 0 && out[n-1] == ' ' && strings.ContainsRune(tight, rune(c)) {
				out = out[:n-1]
			}
			if n := len(out); c == '}' && n > 0 && out[n-1] == ';' {
				out = out[:n-1]
			}
			out = append(out, c)
		}
	}
	return out
}

func (a *assets) add(name, kind string, body []byte) error {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(body); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	a.by[hashed] = &asset{kind: kind, body: body, packed: b.Bytes()}
	a.urls[name] = "/assets/" + hashed
	return nil
}

// url is where a file is, by its plain name. An unknown one is a mistake of ours.
func (a *assets) url(name string) string {
	u, ok := a.urls[name]
	if !ok {
		panic(fmt.Sprintf("console: there is no asset %q", name))
	}
	return u
}

// ServeHTTP answers with a file.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.by[strings.TrimPrefix(r.URL.Path, "/assets/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.body
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.packed
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
