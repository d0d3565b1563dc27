package catalog

import (
	"fmt"
	"net/url"
	"strings"
)

// base is the base path that a list of servers names, or the inherited one where
// there is no such list. Several servers are several homes of the same API, so
// the first one counts; that another has a different path is worth a warning.
func (r *reader) base(v val, inherited string) (string, error) {
	switch {
	case r.basePath != "":
		return strings.TrimSuffix(r.basePath, "/"), nil
	case !v.is():
		return inherited, nil
	case !v.isList():
		note(&r.report.Problems, r.doc.finding(v, "The servers are %s and not a list, so they are passed over.", v.what()))
		return inherited, nil
	}
	list, err := r.doc.items(v)
	if err != nil {
		return "", err
	}
	base, found := "", false
	for _, s := range list {
		path, why, err := r.serverPath(s)
		switch {
		case err != nil:
			return "", err
		case why != "":
			note(&r.report.Problems, r.doc.finding(s, "The server %s, so it is passed over.", why))
		case !found:
			base, found = path, true
		case path != base:
			note(&r.report.Warnings, r.doc.finding(s, "The server's base path is %q, and that of the first is %q, which counts.", clip(path), clip(base)))
		}
	}
	return base, nil
}

func (r *reader) serverPath(v val) (path, why string, err error) {
	f, err := r.doc.fieldsOf(v)
	if err != nil {
		return "", "", err
	}
	text, ok := f.get("url").str()
	if !ok {
		return "", "has no URL", nil
	}
	vars, err := r.doc.fieldsOf(f.get("variables"))
	if err != nil {
		return "", "", err
	}
	if text, why = expand(text, vars); why != "" {
		return "", why, nil
	}
	u, uerr := url.Parse(text)
	if uerr != nil {
		return "", fmt.Sprintf("has %q for a URL", clip(text)), nil
	}
	path = strings.TrimRight(u.EscapedPath(), "/")
	if path != "" && path[0] != '/' {
		path = "/" + path // relative to where the document is
	}
	if path == "" {
		return "", "", nil
	}
	if _, terr := parseTemplate(path); terr != nil {
		return "", fmt.Sprintf("has the base path %q, which can't be matched", clip(path)), nil
	}
	return path, "", nil
}

// expand puts the defaults of server variables in their places.
func expand(text string, vars fields) (out, why string) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok || b.Len() > maxTemplate {
			return b.String(), ""
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok {
			return "", "has a brace that is not matched"
		}
		value := vars.get(name).child("default")
		if !value.is() {
			return "", fmt.Sprintf("has a variable %q without a default", clip(name))
		}
		b.WriteString(value.text())
		text = after
	}
}
