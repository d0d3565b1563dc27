package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"postern.dev/postern"
)

// Source is a document to read. The name is for messages.
type Source struct {
	Name string
	Data []byte
}

// Options say how documents are read.
type Options struct {
	Upstream postern.UpstreamID
	// ScopesAny takes the scopes inside one security requirement as alternatives,
	// though the standard means all of them. A document can say so for itself, and
	// the overlay has the last word.
	ScopesAny bool
	// BasePath stands for the paths of all servers that the documents name, at
	// every level; "/" for none. Empty: as the documents say.
	BasePath string
	// Overlay is what the operator adds and overrules; nil for nothing.
	Overlay *Overlay
}

// The bounds of reading. They leave room for the largest API descriptions that
// are published, and make hostile ones fail early.
const (
	maxDocument     = 32 << 20 // bytes
	maxDocuments    = 500
	maxDepth        = 256       // brackets and indentation together
	maxMarks        = 2_000_000 // signs that begin a value: about what 32 MB of ordinary YAML have
	maxVisits       = 2_000_000 // entries looked at, aliases and references followed each time
	maxOperations   = 20_000    // of all documents of an upstream
	maxWays         = 64        // alternatives of one operation
	maxRequirements = 256       // security requirements of one operation, before doubles are removed
	maxScopes       = 20_000    // of an upstream
	maxRefs         = 32        // references that lead to one another
	maxMergeDepth   = 16        // YAML merge keys inside one another
	maxName         = 200       // bytes of a name or a title
	maxSummary      = 500       // bytes of a summary or a description
)

// Parse reads the documents of one upstream into one catalog. What can't be
// understood about an operation closes that operation and is a finding of the
// report; an error is for what leaves no catalog: a document that is too large,
// isn't well formed, isn't OpenAPI 3, or gives a key twice. Errors name file and
// line. Templates that can't be told apart are in the report as conflicts, so
// that all are seen at once; Compile refuses them.
func Parse(ctx context.Context, sources []Source, opts Options) (*Catalog, *Report, error) {
	switch {
	case len(sources) == 0:
		return nil, nil, postern.Errorf(postern.CodeInvalid, "There is no document to read.")
	case len(sources) > maxDocuments:
		return nil, nil, postern.Errorf(postern.CodeTooLarge, "There are %d documents, and at most %d are read for one upstream.", len(sources), maxDocuments)
	}
	base, err := checkBasePath(opts.BasePath, opts.Overlay)
	if err != nil {
		return nil, nil, err
	}
	r := &reader{
		ctx: ctx, opts: opts, basePath: base, overlay: opts.Overlay,
		cat: &Catalog{Upstream: opts.Upstream}, report: &Report{},
		scopes: make(map[postern.Scope]*scopeFacts), usedSchemes: make(map[string]bool),
	}
	if r.overlay == nil {
		r.overlay = &Overlay{}
	}
	for _, src := range sources {
		if err := r.document(src); err != nil {
			return nil, nil, err
		}
	}
	if err := r.finish(); err != nil {
		return nil, nil, err
	}
	return r.cat, r.report, nil
}

// checkBasePath finds the base path that overrules the documents': "/…" or "/"
// with no slash at the end, or "" for none.
func checkBasePath(option string, o *Overlay) (string, error) {
	base, file, line := option, "", 0
	if o != nil && o.basePath != "" {
		base, file, line = o.basePath, o.name, o.basePathLine
	}
	if base == "" {
		return "", nil
	}
	if _, err := parseTemplate(base); err != nil || strings.Contains(base, "//") {
		return "", at(file, line, postern.CodeInvalid, "The base path %q is not a path such as \"/api/v2\".", clip(base))
	}
	if base = strings.TrimRight(base, "/"); base == "" {
		base = "/"
	}
	return base, nil
}

// A reader reads documents, one after the other, into a catalog.
type reader struct {
	ctx         context.Context
	opts        Options
	basePath    string // overrules the documents' where it isn't empty
	overlay     *Overlay
	cat         *Catalog
	report      *Report
	scopes      map[postern.Scope]*scopeFacts
	usedSchemes map[string]bool // schemes of the overlay that some document has or uses
	drafts      []draft

	// Of the document that is being read.
	doc         *document
	schemes     map[string]*scheme
	scopesAny   bool
	docSecurity val // of the document; none where it has none
}

// A draft is an operation with what is needed of it until all documents are read.
type draft struct {
	Operation
	admits postern.Kinds // by its security schemes
	forms  []string      // of the template's segments, in case it has a twin
	omit   bool          // by the overlay
}

func (r *reader) document(src Source) error {
	d, err := load(r.ctx, src)
	if err != nil {
		return err
	}
	r.doc = d
	root, err := d.fields(d.top())
	if err != nil {
		return err
	}
	version, err := r.version(root)
	if err != nil {
		return err
	}
	info, err := d.fieldsOf(root.get("info"))
	if err != nil {
		return err
	}
	dr := DocumentReport{Name: src.Name, Title: plainText(info.get("title").text(), maxName),
		Version: plainText(info.get("version").text(), maxName), OpenAPI: version}
	if len(r.cat.Documents) == 0 {
		r.cat.Title, r.cat.Version = dr.Title, dr.Version
	}
	sum := sha256.Sum256(src.Data)
	r.cat.Documents = append(r.cat.Documents, Document{Name: src.Name, SHA256: hex.EncodeToString(sum[:])})

	if err := r.scopeRule(root.get("x-postern-scope-rule")); err != nil {
		return err
	}
	if err := r.readSchemes(root); err != nil {
		return err
	}
	if err := r.scopeExtension(root.get("x-postern-scopes")); err != nil {
		return err
	}
	r.docSecurity = root.get("security")
	before := len(r.drafts)
	if err := r.paths(root); err != nil {
		return err
	}
	dr.Operations = len(r.drafts) - before
	r.report.Documents = append(r.report.Documents, dr)
	return nil
}

// version accepts what is OpenAPI 3.0 or 3.1. A later one may change what the
// words mean that access depends on, so it is refused rather than guessed at.
func (r *reader) version(root fields) (string, error) {
	v := root.get("openapi").text()
	switch {
	case v == "3.0" || v == "3.1" || strings.HasPrefix(v, "3.0.") || strings.HasPrefix(v, "3.1."):
		return v, nil
	case v != "":
		return "", r.doc.errorf(root.get("openapi"), "This is OpenAPI %q; the versions 3.0 and 3.1 are read.", clip(v))
	case root.get("swagger").is():
		return "", r.doc.errorf(root.get("swagger"), "This is a Swagger 2.0 document; convert it to OpenAPI 3.0 or 3.1 first.")
	}
	return "", r.doc.errorf(r.doc.top(), `This is no OpenAPI document: it has no "openapi" that says which version it is.`)
}

func (r *reader) scopeRule(v val) error {
	r.scopesAny = r.opts.ScopesAny
	switch v.text() {
	case "any":
		r.scopesAny = true
	case "all":
		r.scopesAny = false
	default:
		if v.is() {
			return r.doc.errorf(v, `x-postern-scope-rule is "any" or "all".`)
		}
	}
	switch r.overlay.scopeRule {
	case "any":
		r.scopesAny = true
	case "all":
		r.scopesAny = false
	}
	return nil
}
