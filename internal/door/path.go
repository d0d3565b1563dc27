package door

import (
	"errors"
	"net/http"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// target is where a call goes: the upstream, if one is mounted there, and the
// canonical path within it.
type target struct {
	upstream *postern.Upstream
	id       postern.UpstreamID
	path     string
}

// rawTarget gives the path and the query of a request as they were received.
// net/http's own fields have been decoded and encoded again.
func rawTarget(r *http.Request) (path, query string) {
	if r.RequestURI == "" { // made in this process
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	return splitTarget(r.RequestURI)
}

// splitTarget parts a request target, of the origin form or the absolute form
// (RFC 9112 section 3.2), whose host is told elsewhere.
func splitTarget(t string) (path, query string) {
	if t != "" && t[0] != '/' {
		_, rest, ok := strings.Cut(t, "://")
		if !ok {
			return t, ""
		}
		switch i := strings.IndexAny(rest, "/?"); {
		case i < 0:
			t = "/"
		case rest[i] == '?':
			t = "/" + rest[i:]
		default:
			t = rest[i:]
		}
	}
	path, query, _ = strings.Cut(t, "?")
	return path, query
}

// find finds where a call to a host and a path, escaped as received, goes. An
// upstream may allow in its paths what is refused elsewhere, but which upstream
// it is follows from the path: so the path is read as strictly as can be, and
// only if that fails as the upstream allows that it then leads to. An error is
// what Canonical says; the target then has the upstream in whose dialect to say so.
func (d *Door) find(host, raw string) (target, error) {
	path, err := catalog.Canonical(raw, catalog.PathOptions{})
	if err == nil {
		return d.route(host, path), nil
	}
	loose, looseErr := catalog.Canonical(raw, catalog.PathOptions{AllowSemicolon: true, CollapseLeadingSlashes: true})
	if looseErr != nil {
		// Refused anyhow. The path up to the first odd character finds the dialect.
		if i := strings.IndexAny(raw, "%;\\"); i > 0 {
			raw = raw[:i]
		}
		t := d.route(host, raw)
		return target{upstream: t.upstream}, err
	}
	at := d.route(host, loose)
	if at.upstream == nil {
		return at, err
	}
	if path, err = catalog.Canonical(raw, pathOptions(at.upstream)); err != nil {
		return target{upstream: at.upstream}, err
	}
	t := d.route(host, path)
	if t.id != at.id {
		return target{upstream: at.upstream}, postern.Errorf(postern.CodeInvalid, "The path of the request can be read in two ways.")
	}
	return t, nil
}

func (d *Door) route(host, path string) target {
	id, within, ok := d.v.Route(host, path)
	if !ok {
		return target{path: path}
	}
	return target{upstream: d.Upstream(id), id: id, path: within}
}

// tooLong reports whether an error of Canonical is about length.
func tooLong(err error) bool { return errors.Is(err, postern.CodeTooLarge) }
