package keyring

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// scopeSet is every scope that the catalogs in force declare.
type scopeSet struct {
	byName   map[postern.Scope]postern.ScopeInfo
	sorted   []postern.ScopeInfo
	catalogs []*catalog.Catalog
	edition  string // names the versions that it is made of
}

// sensitive reports whether holding a scope counts only by its exact name. What
// no catalog declares is treated as sensitive: doubt is denial.
func (s *scopeSet) sensitive(name postern.Scope) bool {
	i, ok := s.byName[name]
	return !ok || i.Sensitive
}

// grantable reports why a scope can't be put on a key, or nil.
func (s *scopeSet) grantable(name postern.Scope) error {
	i, ok := s.byName[name]
	switch {
	case !ok:
		return postern.Invalidf("scopes", "There is no scope %q in the catalog. See the scopes that exist with: postern scopes", string(name))
	case strings.HasPrefix(string(name), postern.OwnScopes) && name != postern.PermVerify:
		return postern.Invalidf("scopes", "A service key can't have %q: it can't administer Postern. Use a personal access key for that.", string(name))
	case i.Implicit:
		return postern.Invalidf("scopes", "Every key has the scope %q; it can't be granted.", string(name))
	}
	return nil
}

// scopeCache keeps the scopes of the catalog versions in force, by their versions.
type scopeCache struct {
	mu       sync.Mutex
	versions map[postern.UpstreamID]int64
	set      *scopeSet
}

// of gives the scopes of some versions, or nil.
func (c *scopeCache) of(versions map[postern.UpstreamID]int64) *scopeSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil || !mapsEqual(c.versions, versions) {
		return nil
	}
	return c.set
}

func (c *scopeCache) keep(versions map[postern.UpstreamID]int64, set *scopeSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions, c.set = versions, set
}

type catalogReader interface {
	Upstreams(context.Context) ([]postern.Upstream, error)
	Catalog(context.Context, postern.UpstreamID, int64) (store.CatalogVersion, error)
}

// known gives the scopes that the catalogs in force declare, as the transaction
// or the database sees them now.
func (kr *Keyring) known(ctx context.Context, q catalogReader) (*scopeSet, error) {
	ups, err := q.Upstreams(ctx)
	if err != nil {
		return nil, err
	}
	versions := map[postern.UpstreamID]int64{}
	for _, u := range ups {
		if u.CatalogVersion != 0 {
			versions[u.ID] = u.CatalogVersion
		}
	}
	if set := kr.scopes.of(versions); set != nil {
		return set, nil
	}
	// Not while holding the cache: whoever waits for it may have the connection, or
	// the writer's place, that reading needs.
	set := &scopeSet{byName: map[postern.Scope]postern.ScopeInfo{}}
	for _, cat := range kr.cfg.Builtin {
		set.add(cat)
	}
	for _, u := range ups {
		if u.CatalogVersion == 0 {
			continue
		}
		row, err := q.Catalog(ctx, u.ID, u.CatalogVersion)
		if err != nil {
			return nil, err
		}
		cat, err := catalog.Unmarshal([]byte(row.Body))
		if err != nil {
			return nil, fmt.Errorf("keyring: catalog %s version %d: %w", u.ID, u.CatalogVersion, err)
		}
		set.add(cat)
	}
	for _, s := range set.byName {
		set.sorted = append(set.sorted, s)
	}
	slices.SortFunc(set.sorted, func(a, b postern.ScopeInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for _, u := range ups {
		set.edition += fmt.Sprintf("%s:%d ", u.ID, u.CatalogVersion)
	}
	kr.scopes.keep(versions, set)
	return set, nil
}

func (set *scopeSet) add(cat *catalog.Catalog) {
	set.catalogs = append(set.catalogs, cat)
	for _, s := range cat.Scopes {
		if old, dup := set.byName[s.Name]; dup {
			// One name in two catalogs is one scope, and the stricter marks hold.
			s.Sensitive = s.Sensitive || old.Sensitive
			s.Implicit = s.Implicit && old.Implicit
			s.Opens = append(slices.Clone(old.Opens), s.Opens...)
		}
		set.byName[s.Name] = s
	}
}

func mapsEqual(a, b map[postern.UpstreamID]int64) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// ScopeRow is a scope and whether whoever asks may grant it.
type ScopeRow struct {
	postern.ScopeInfo
	Grantable bool
}

// Scopes lists the scopes that can be put on a key, by name, and says of each
// whether the member may grant it.
func (kr *Keyring) Scopes(ctx context.Context, by postern.Actor) ([]ScopeRow, error) {
	m, err := kr.readMember(ctx, kr.db, by, postern.PermCatalogRead)
	if err != nil {
		return nil, err
	}
	set, err := kr.known(ctx, kr.db)
	if err != nil {
		return nil, err
	}
	out := make([]ScopeRow, 0, len(set.sorted))
	for _, s := range set.sorted {
		if !s.Implicit {
			may := set.grantable(s.Name) == nil && len(postern.MayGrant(m, []postern.Scope{s.Name}, set.sensitive)) == 0
			out = append(out, ScopeRow{s, may})
		}
	}
	return out, nil
}
