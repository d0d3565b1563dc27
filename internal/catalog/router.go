package catalog

import (
	"net"
	"slices"
	"strings"

	"postern.dev/postern"
)

// Mount says where an upstream is: under a host, a path prefix, or both.
type Mount struct {
	Upstream    postern.UpstreamID
	Host        string // without port; empty for every host
	Prefix      string // whole segments: "/crm"; empty or "/" for every path
	StripPrefix bool   // the upstream's own paths begin after the prefix
	Matcher     *Matcher
}

// Router finds the upstream that a request is for. It is immutable.
type Router struct {
	mounts []Mount
	byHost map[string][]*Mount // "" holds those of every host; the longest prefix first
	hosted []*Mount            // all that have a host, the longest prefix first
}

// NewRouter makes a Router of mounts. Two of the same host and prefix are
// refused, since no request could be told to be for the one or the other.
func NewRouter(mounts []Mount) (*Router, error) {
	r := &Router{mounts: slices.Clone(mounts), byHost: make(map[string][]*Mount)}
	for i := range r.mounts {
		m := &r.mounts[i]
		m.Host = strings.ToLower(strings.TrimSuffix(withoutPort(m.Host), "."))
		m.Prefix = strings.TrimSuffix(m.Prefix, "/")
		if m.Prefix != "" {
			if c, err := Canonical(Escape(m.Prefix), PathOptions{}); err != nil || c != m.Prefix || strings.HasSuffix(c, "/") {
				return nil, postern.Errorf(postern.CodeInvalid, "The path prefix %q of the upstream %q is not a plain path such as \"/crm\".", m.Prefix, m.Upstream)
			}
		}
		for _, o := range r.byHost[m.Host] {
			if o.Prefix == m.Prefix {
				return nil, postern.Errorf(postern.CodeConflict, "The upstreams %q and %q are both mounted at %q.", o.Upstream, m.Upstream, m.Host+m.Prefix+"/")
			}
		}
		r.byHost[m.Host] = append(r.byHost[m.Host], m)
		if m.Host != "" {
			r.hosted = append(r.hosted, m)
		}
	}
	longest := func(a, b *Mount) int { return len(b.Prefix) - len(a.Prefix) }
	for _, list := range r.byHost {
		slices.SortStableFunc(list, longest)
	}
	slices.SortStableFunc(r.hosted, longest)
	return r, nil
}

// Mounts are all mounts, as given but for hosts in lower case and prefixes
// without a slash at the end. The list is shared: read it only.
func (r *Router) Mounts() []Mount { return r.mounts }

// Find finds the mount that a request is for, and the path to match in it. The
// mounts of the request's host come before those of every host; among them the
// longest prefix wins. A request that names no host is for a mount of every
// host or, where none fits, for one with a host if it is the only one that fits.
func (r *Router) Find(host, path string) (*Mount, string, bool) {
	if host != "" {
		if list, ok := r.ofHost(host); ok {
			if m := fit(list, path); m != nil {
				return m, m.inner(path), true
			}
		}
	}
	if m := fit(r.byHost[""], path); m != nil {
		return m, m.inner(path), true
	}
	if host == "" {
		if m := r.only(path); m != nil {
			return m, m.inner(path), true
		}
	}
	return nil, "", false
}

// ofHost finds the mounts of a host as a request writes it: in any case, with or
// without a port and a dot at the end.
func (r *Router) ofHost(host string) ([]*Mount, bool) {
	host = withoutPort(host)
	host = strings.TrimSuffix(host, ".")
	if list, ok := r.byHost[host]; ok && host != "" {
		return list, true
	}
	var buf [255]byte
	if len(host) > len(buf) || host == "" {
		return nil, false
	}
	for i := 0; i < len(host); i++ {
		c := host[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	list, ok := r.byHost[string(buf[:len(host)])]
	return list, ok
}

func withoutPort(host string) string {
	if strings.IndexByte(host, ':') < 0 {
		return host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// only finds the one mount with a host that fits a path, where there is one host
// only that has such.
func (r *Router) only(path string) (found *Mount) {
	for _, m := range r.hosted {
		switch {
		case !m.holds(path):
		case found == nil:
			found = m
		case m.Host != found.Host:
			return nil
		}
	}
	return found
}

func fit(list []*Mount, path string) *Mount {
	for _, m := range list {
		if m.holds(path) {
			return m
		}
	}
	return nil
}

func (m *Mount) holds(path string) bool {
	return strings.HasPrefix(path, m.Prefix) && (len(path) == len(m.Prefix) || path[len(m.Prefix)] == '/')
}

func (m *Mount) inner(path string) string {
	if !m.StripPrefix || m.Prefix == "" {
		return path
	}
	if path = path[len(m.Prefix):]; path == "" {
		return "/"
	}
	return path
}
