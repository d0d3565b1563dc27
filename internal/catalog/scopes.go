package catalog

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern.dev/postern"
)

// scopeFacts are what the documents and the overlay say of a scope.
type scopeFacts struct {
	declared    bool
	declaredAt  Finding // where it is declared first
	used        bool    // by a requirement of some document, or by the overlay
	usedAt      Finding // where it is used first by a scheme whose scopes are to be declared
	needs       bool    // usedAt counts
	description string
	meta        scopeMeta
}

// scopeMeta is what people should know of a scope. What isn't set is derived.
type scopeMeta struct {
	group, words        string
	access              postern.Access
	sensitive, implicit *bool
}

// over is m, and what m leaves open as in under.
func (m scopeMeta) over(under scopeMeta) scopeMeta {
	if m.group == "" {
		m.group = under.group
	}
	if m.words == "" {
		m.words = under.words
	}
	if m.access == "" {
		m.access = under.access
	}
	if m.sensitive == nil {
		m.sensitive = under.sensitive
	}
	if m.implicit == nil {
		m.implicit = under.implicit
	}
	return m
}

// complaint is something wrong with a scope's metadata: an error in an overlay, a finding in a document.
type complaint struct {
	at   val
	text string
}

func readMeta(f fields) (m scopeMeta, wrong []complaint) {
	truth := func(e field) *bool {
		b, ok := e.boolean()
		if !ok {
			wrong = append(wrong, complaint{e.val, `"` + e.key + `" is true or false, and not ` + e.what() + "."})
			return nil
		}
		return &b
	}
	for _, e := range f {
		switch e.key {
		case "group":
			m.group = plainText(e.text(), maxName)
		case "words":
			m.words = plainText(e.text(), maxSummary)
		case "access":
			if m.access = postern.Access(e.text()); m.access != postern.AccessRead && m.access != postern.AccessWrite {
				wrong = append(wrong, complaint{e.val, `"access" is "read" or "write", and not ` + e.what() + "."})
				m.access = ""
			}
		case "sensitive":
			m.sensitive = truth(e)
		case "implicit", "x-postern-implicit":
			m.implicit = truth(e)
		default:
			wrong = append(wrong, complaint{e.val, `"` + clip(e.key) + `" is not known here.`})
		}
	}
	return m, wrong
}

// facts finds what is known of a scope, or makes room for it.
func (r *reader) facts(s postern.Scope, v val) (*scopeFacts, error) {
	f := r.scopes[s]
	if f == nil {
		if len(r.scopes) == maxScopes {
			return nil, at(r.doc.name, v.line(), postern.CodeTooLarge, "The upstream has more than %d scopes.", maxScopes)
		}
		f = &scopeFacts{}
		r.scopes[s] = f
	}
	return f, nil
}

// declare reads a scope of an OAuth flow: its name and what it is for.
func (r *reader) declare(e field) error {
	s := postern.Scope(e.key)
	if !s.Valid() {
		note(&r.report.Problems, r.doc.finding(e.val, "%q can't be the name of a scope, so it is passed over.", clip(e.key)))
		return nil
	}
	f, err := r.facts(s, e.val)
	if err != nil {
		return err
	}
	if !f.declared {
		f.declared, f.declaredAt = true, r.doc.finding(e.val, "")
	}
	if f.description == "" {
		f.description = plainText(e.text(), maxSummary)
	}
	return nil
}

func (r *reader) use(s postern.Scope, where Finding, needsDeclaring bool) error {
	f, err := r.facts(s, val{})
	if err != nil {
		return err
	}
	f.used = true
	if needsDeclaring && !f.needs {
		f.needs, f.usedAt = true, where
	}
	return nil
}

// scopeExtension reads x-postern-scopes.
func (r *reader) scopeExtension(v val) error {
	if v.is() && !v.isMap() {
		note(&r.report.Problems, r.doc.finding(v, "x-postern-scopes is %s and not an object.", v.what()))
	}
	list, err := r.doc.fieldsOf(v)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := r.declare(field{e.key, e.val}); err != nil {
			return err
		}
		f := r.scopes[postern.Scope(e.key)]
		if f == nil {
			continue
		}
		entries, err := r.doc.fieldsOf(e.val)
		if err != nil {
			return err
		}
		m, wrong := readMeta(entries)
		for _, w := range wrong {
			note(&r.report.Problems, r.doc.finding(w.at, "The scope %q: %s", clip(e.key), w.text))
		}
		f.meta = f.meta.over(m)
	}
	return nil
}

// collectScopes makes the catalog's scopes of what was found, and reports on them.
func (r *reader) collectScopes() error {
	type opened struct {
		names   []string
		changes bool   // it opens something else than GET and HEAD
		removes string // an operation it opens that surely changes something
	}
	opens := make(map[postern.Scope]*opened)
	for i := range r.cat.Operations {
		op := &r.cat.Operations[i]
		for _, w := range op.Ways {
			for _, s := range w.Scopes {
				o := opens[s]
				if o == nil {
					o = &opened{}
					opens[s] = o
				}
				if n := len(o.names); n > 0 && o.names[n-1] == op.Name {
					continue
				}
				o.names = append(o.names, op.Name)
				o.changes = o.changes || op.Method != "GET" && op.Method != "HEAD"
				if op.Method == "DELETE" || op.Method == "PUT" || op.Method == "PATCH" {
					o.removes = op.label()
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.scopes)) {
		f, o := r.scopes[name], opens[name]
		if o == nil {
			o = &opened{}
		}
		m := r.overlay.metas[name].over(f.meta)
		info := postern.ScopeInfo{Name: name, Upstream: r.opts.Upstream, Group: m.group, Access: m.access, Words: m.words,
			Sensitive: m.sensitive != nil && *m.sensitive, Implicit: m.implicit != nil && *m.implicit, Opens: slices.Compact(slices.Sorted(slices.Values(o.names)))}
		base, access := splitAccess(name)
		if info.Access == "" {
			info.Access = access
			if access == "" {
				info.Access = postern.AccessRead
				if o.changes {
					info.Access = postern.AccessWrite
				}
			}
			if access == postern.AccessRead && o.removes != "" {
				r.noteScope(&r.report.Warnings, f.declaredAt, name, "The scope "+string(name)+" reads by its name, and opens "+o.removes+".")
			}
		}
		if info.Group == "" {
			info.Group = title(base)
		}
		if info.Words == "" {
			info.Words = words(f.description, base, info.Access)
		}
		r.cat.Scopes = append(r.cat.Scopes, info)
		switch {
		case f.used && !f.declared && f.needs:
			r.noteScope(&r.report.Undeclared, f.usedAt, name, "The scope "+string(name)+" is used, and declared nowhere.")
		case f.declared && len(o.names) == 0:
			r.noteScope(&r.report.Unused, f.declaredAt, name, "The scope "+string(name)+" is declared, and opens nothing.")
		}
	}
	r.report.Scopes = len(r.cat.Scopes)
	return nil
}

func (r *reader) noteScope(list *[]Finding, f Finding, s postern.Scope, text string) {
	f.Scope, f.Text = s, text
	note(list, f)
}

// splitAccess takes the word that says read or write off a scope's name:
// "crm.objects.deals.read", "repo:write", "read_products".
func splitAccess(s postern.Scope) (base string, a postern.Access) {
	name := string(s)
	separator := func(r rune) bool { return r == '.' || r == ':' || r == '/' || r == '_' || r == '-' }
	if i := strings.LastIndexFunc(name, separator); i > 0 {
		if a := accessWords[strings.ToLower(name[i+1:])]; a != "" {
			return name[:i], a
		}
	}
	if i := strings.IndexFunc(name, separator); i > 0 && i+1 < len(name) {
		if a := accessWords[strings.ToLower(name[:i])]; a != "" {
			return name[i+1:], a
		}
	}
	return name, ""
}

var accessWords = map[string]postern.Access{
	"read": postern.AccessRead, "readonly": postern.AccessRead, "view": postern.AccessRead, "list": postern.AccessRead,
	"write": postern.AccessWrite, "readwrite": postern.AccessWrite, "edit": postern.AccessWrite, "manage": postern.AccessWrite,
	"admin": postern.AccessWrite, "create": postern.AccessWrite, "update": postern.AccessWrite, "delete": postern.AccessWrite,
}

// title is what a scope is shown under: the last part of its name, as a title.
func title(base string) string {
	if i := strings.LastIndexAny(base, ".:/"); i >= 0 && i+1 < len(base) {
		base = base[i+1:]
	}
	base = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return ' '
		}
		return r
	}, base)
	r, n := utf8.DecodeRuneInString(base)
	return string(unicode.ToUpper(r)) + base[n:]
}

func words(description, base string, a postern.Access) string {
	if description != "" {
		return description
	}
	verb := "Read "
	if a == postern.AccessWrite {
		verb = "Change "
	}
	return verb + strings.ToLower(title(base))
}
