package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

// routes are the catalogs in force. They are immutable; a change makes new ones.
type routes struct {
	router *catalog.Router
	byID   map[postern.UpstreamID]*route
	broken []postern.UpstreamID
}

type route struct {
	Upstream
	matcher  *catalog.Matcher
	implicit []postern.Scope // every valid credential has them
	every    []postern.Scope // all that the catalog knows
}

var noRoutes = func() *routes {
	router, _ := catalog.NewRouter(nil) // nothing can clash with nothing
	return &routes{router: router}
}()

// match finds the operation that a request names, or why there is none. The
// reason is for whoever has shown a valid credential.
func (rs *routes) match(req *Request) (*catalog.Op, postern.Reason) {
	m, path := rs.matcher(req)
	if m == nil {
		return nil, postern.ReasonUnknownOperation
	}
	var op *catalog.Op
	var result catalog.Result
	if req.Preflight != "" && req.Method == "OPTIONS" {
		op, result = m.MatchPreflight(path, req.Preflight)
	} else {
		op, result = m.Match(req.Method, path)
	}
	switch result {
	case catalog.Found:
		return op, postern.ReasonNone
	case catalog.NoMethod:
		return nil, postern.ReasonMethodNotAllowed
	}
	return nil, postern.ReasonUnknownOperation
}

func (rs *routes) matcher(req *Request) (*catalog.Matcher, string) {
	if req.Upstream != "" {
		if r := rs.byID[req.Upstream]; r != nil {
			return r.matcher, req.Path
		}
		return nil, ""
	}
	if m, path, ok := rs.router.Find(req.Host, req.Path); ok {
		return m.Matcher, path
	}
	return nil, ""
}

// Route finds the upstream that a host and a canonical path are for, and the
// path within it. A Request then names both.
func (v *Verifier) Route(host, path string) (upstream postern.UpstreamID, within string, ok bool) {
	m, within, ok := v.routes.Load().router.Find(host, path)
	if !ok {
		return "", "", false
	}
	return m.Upstream, within, true
}

// Allow lists the methods of a request's path, for the Allow header. Only whoever
// has shown a valid credential is told.
func (v *Verifier) Allow(req *Request) []string {
	if m, path := v.routes.Load().matcher(req); m != nil {
		return m.Allow(path)
	}
	return nil
}

// loadRoutes reads what upstreams there are and compiles the catalogs that are
// new. An upstream whose catalog can't be used is left without operations, so
// that what an older version of it allowed is not allowed any longer.
func (v *Verifier) loadRoutes(ctx context.Context) error {
	ups, err := v.store.Upstreams(ctx)
	if err != nil {
		return fmt.Errorf("verify: read upstreams: %w", err)
	}
	old := v.routes.Load()
	next := &routes{byID: make(map[postern.UpstreamID]*route, len(ups))}
	var mounts []catalog.Mount
	for _, u := range ups {
		r := &route{Upstream: u}
		if was := old.byID[u.ID]; was != nil && was.Catalog == u.Catalog && was.Preflight == u.Preflight {
			r.matcher, r.implicit, r.every = was.matcher, was.implicit, was.every
		} else {
			c, err := v.store.Catalog(ctx, u.ID, u.Catalog)
			if err != nil {
				return fmt.Errorf("verify: read version %d of the catalog of %s: %w", u.Catalog, u.ID, err)
			}
			if r.matcher, err = v.compile(c, u.Preflight); err != nil {
				v.log.Error("a catalog can't be used; its operations are denied", "upstream", u.ID, "version", u.Catalog, "err", err)
			}
			for i := range c.Scopes {
				r.every = append(r.every, c.Scopes[i].Name)
				if c.Scopes[i].Implicit {
					r.implicit = append(r.implicit, c.Scopes[i].Name)
				}
			}
		}
		if r.matcher == nil {
			next.broken = append(next.broken, u.ID)
			continue
		}
		next.byID[u.ID] = r
		if !u.Unmounted {
			mounts = append(mounts, catalog.Mount{Upstream: u.ID, Host: u.Host, Prefix: u.Prefix, StripPrefix: u.StripPrefix, Matcher: r.matcher})
		}
	}
	if next.router, err = catalog.NewRouter(mounts); err != nil {
		v.log.Error("the upstreams' places clash; only those named by id are served", "err", err)
		next.router = noRoutes.router
		for _, m := range mounts {
			next.broken = append(next.broken, m.Upstream)
		}
	}
	v.routes.Store(next)
	return nil
}

func (v *Verifier) compile(c *catalog.Catalog, preflight bool) (*catalog.Matcher, error) {
	var opts []catalog.MatchOption
	if preflight {
		opts = append(opts, catalog.AllowPreflight())
	}
	var full error
	m, err := catalog.Compile(c, func(s postern.Scope) postern.ScopeID {
		id, err := v.scopes.id(s)
		if err != nil {
			full = err
		}
		return id
	}, opts...)
	if err == nil {
		err = full
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// HeldScopes names the scopes that the credential of a decision holds now:
// sorted, and for a personal access key those that its member may use.
func (v *Verifier) HeldScopes(d *postern.Decision) []postern.Scope {
	out := []postern.Scope{}
	v.eachHeld(d, func(s postern.Scope) { out = append(out, s) })
	slices.Sort(out)
	return out
}

// AppendScopes appends the names of HeldScopes to b, with blanks between, and
// allocates nothing beyond b. They come in no particular order.
func (v *Verifier) AppendScopes(b []byte, d *postern.Decision) []byte {
	start := len(b)
	v.eachHeld(d, func(s postern.Scope) {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, s...)
	})
	return b
}

func (v *Verifier) eachHeld(d *postern.Decision, yield func(postern.Scope)) {
	var f found
	if !d.Known || !v.index.find(&d.Key, &f) {
		return
	}
	var room [maxPermissions]postern.ScopeID
	for _, id := range v.effective(&f, room[:0]) {
		yield(v.scopes.name(id))
	}
}

// effective gives the scopes that a credential holds at this moment.
func (v *Verifier) effective(f *found, room []postern.ScopeID) []postern.ScopeID {
	if f.cred.Kind != postern.KindPersonal {
		return f.held
	}
	m := v.members.at(f.cred.Subject)
	return both(room, f.held, m.may)
}

// MissingScopes names the scopes that a decision found missing.
func (v *Verifier) MissingScopes(req *Request, d *postern.Decision) (out []postern.Scope) {
	for _, id := range d.Missing[:d.NMissing] {
		out = append(out, v.scopes.name(id))
	}
	// Scopes that were asked for and that nobody ever heard of have no number.
	if d.Reason == postern.ReasonInsufficientScope && req.Method == "" {
		for _, s := range req.Scopes {
			if v.scopes.find(s) == 0 {
				out = append(out, s)
			}
		}
	}
	return out
}

// sortedScopes names scopes that were asked for, each once. It is on the path of
// decisions: one alone, the usual, is not copied.
func sortedScopes(list []postern.Scope) string {
	if len(list) == 1 {
		return string(list[0])
	}
	return joinScopes(postern.SortScopes(slices.Clone(list)))
}

func joinScopes(list []postern.Scope) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(s))
	}
	return b.String()
}
