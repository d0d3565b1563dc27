package docsite

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// page is one document.
type page struct {
	Name    string // of its file, without ".md"
	Address string // under Path
	Title   string
	Body    template.HTML
	Parts   []part // its headings of the second level
}

// Link is the address as other pages write it.
func (p page) Link() string {
	if p.Address == "" {
		return "./"
	}
	return p.Address
}

type part struct{ ID, Title string }

// markdown is CommonMark with tables. HTML in a document is left out.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// read reads all pages, in the order in which they are listed.
func read(from fs.FS) ([]page, error) {
	names, err := fs.Glob(from, "*.md")
	if err != nil {
		return nil, err
	}
	rank := func(name string) int {
		if i := slices.Index(order, strings.TrimSuffix(name, ".md")); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var out []page
	for _, name := range names {
		source, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		p, err := render(strings.TrimSuffix(name, ".md"), source)
		if err != nil {
			return nil, fmt.Errorf("docsite: %s: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// render makes a page of Markdown.
func render(name string, source []byte) (page, error) {
	p := page{Name: name, Address: addressOf(name)}
	doc := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(anchors{}))))
	dropComments(doc)
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			n.Destination = []byte(linkTo(string(n.Destination)))
		case *ast.Heading:
			id, _ := n.AttributeString("id")
			title := plain(n, source)
			switch {
			case n.Level == 1 && p.Title == "":
				p.Title = title
			case n.Level == 2 && id != nil:
				p.Parts = append(p.Parts, part{string(id.([]byte)), title})
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return p, err
	}
	if p.Title == "" {
		p.Title = name
	}
	var b bytes.Buffer
	err = markdown.Renderer().Render(&b, source, doc)
	p.Body = template.HTML(b.String()) // of documents that are compiled in, without HTML of their own
	return p, err
}

// dropComments takes out what a document says to its editors.
func dropComments(doc ast.Node) {
	for n := doc.FirstChild(); n != nil; {
		next := n.NextSibling()
		if h, ok := n.(*ast.HTMLBlock); ok && h.HTMLBlockType == ast.HTMLBlockType2 {
			doc.RemoveChild(doc, n)
		}
		n = next
	}
}

// plain is the text of a node and of what is in it.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Segment.Value(source))
		case *ast.String:
			b.Write(c.Value)
		default:
			b.WriteString(plain(c, source))
		}
	}
	return b.String()
}

// addressOf is the address of a page under Path.
func addressOf(name string) string {
	if name == "README" {
		return ""
	}
	return name
}

// linkTo is the address for a link of a document: to another document it leads
// to that one's page, everything else stays as it is.
func linkTo(to string) string {
	file, anchor, has := strings.Cut(to, "#")
	if strings.Contains(file, ":") || strings.Contains(file, "/") || path.Ext(file) != ".md" {
		return to
	}
	out := page{Address: addressOf(strings.TrimSuffix(file, ".md"))}.Link()
	if has {
		out += "#" + anchor
	}
	return out
}

// anchors names headings by their text, as GitHub does. Two headings of a page
// with the same text share the name: a test finds them.
type anchors struct{}

func (anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	var b strings.Builder
	for _, r := range strings.ToLower(string(value)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return []byte(b.String())
}

func (anchors) Put([]byte) {}
