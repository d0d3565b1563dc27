package workbench

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/workbench/accesslog"
)

// The bounds of a Collector. What is beyond them is counted and not told apart.
const (
	maxItems      = 20_000 // credentials
	maxOperations = 1_000  // operations of a credential
	maxCallers    = 200    // callers of a credential
	maxText       = 200    // bytes of a user agent, a name or a path template
)

// API is an API whose calls are looked at, and where it is.
type API struct {
	Catalog *catalog.Catalog
	Host    string // without port; empty for every host
	Prefix  string // "/crm"; empty for every path
	Strip   bool   // the API's own paths begin after the prefix
}

// Collector groups calls by credential. Each goroutine has a Shard of its own.
type Collector struct {
	router *catalog.Router
	world  *advice.World
	ops    map[opKey]*catalog.Operation
	shards []*Shard
}

// NewCollector makes a Collector of so many shards. Operations of the APIs are known
// by their names, and others told apart by their paths, with what looks like an id
// left out. It gives an error where catalogs or their places contradict each other.
func NewCollector(apis []API, shards int) (*Collector, error) {
	c := &Collector{ops: map[opKey]*catalog.Operation{}}
	var mounts []catalog.Mount
	var cats []*catalog.Catalog
	for _, a := range apis {
		numbers := map[postern.Scope]postern.ScopeID{}
		m, err := catalog.Compile(a.Catalog, func(s postern.Scope) postern.ScopeID {
			if _, ok := numbers[s]; !ok {
				numbers[s] = postern.ScopeID(len(numbers) + 1)
			}
			return numbers[s]
		})
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, catalog.Mount{Upstream: a.Catalog.Upstream, Host: a.Host, Prefix: a.Prefix, StripPrefix: a.Strip, Matcher: m})
		cats = append(cats, a.Catalog)
		for i := range a.Catalog.Operations {
			op := &a.Catalog.Operations[i]
			c.ops[opKey{a.Catalog.Upstream, op.Method, op.Path}] = op
		}
	}
	var err error
	if len(mounts) > 0 {
		if c.router, err = catalog.NewRouter(mounts); err != nil {
			return nil, err
		}
	}
	if c.world, err = advice.NewWorld(cats); err != nil {
		return nil, err
	}
	for range shards {
		c.shards = append(c.shards, &Shard{c: c, items: map[string]*item{}, seen: map[string]*item{}, agents: map[string]string{}})
	}
	return c, nil
}

// Shard is the part of a Collector that one goroutine fills.
func (c *Collector) Shard(n int) *Shard { return c.shards[n] }

// Shard collects for one goroutine.
type Shard struct {
	c     *Collector
	items map[string]*item // by id
	// seen finds an item by the secret itself, while the log is read and no longer: it
	// spares a hash for each call. It is dropped by Items.
	seen      map[string]*item
	agents    map[string]string
	anonymous int64 // calls without a credential
	beyond    int64 // calls of credentials beyond the bound
	buf       []byte
}

// item is what is known of one credential.
type item struct {
	fingerprint Fingerprint // empty where the log only names it
	name        string
	look        Look
	calls       int64
	refused     int64 // 401 and 403
	limited     int64 // 429
	failed      int64 // 5xx
	inAddress   int64
	first, last time.Time
	operations  map[opKey]*opCount
	opsBeyond   int64
	callers     map[callerKey]*callerCount
	beyond      int64 // calls of callers beyond the bound
	rhythm      rhythm
}

// opKey is an operation: of a catalog, or of none, and then a method and the path without what looks like an id.
type opKey struct {
	upstream     postern.UpstreamID
	method, path string
}

type opCount struct {
	calls, ok   int64
	first, last time.Time
}

type callerKey struct {
	ip    netip.Addr
	agent string
}

type callerCount struct {
	calls, refused int64
	first, last    time.Time
}

// Add counts a call of a log.
func (s *Shard) Add(c *accesslog.Call) {
	it := s.item(c)
	if it == nil {
		return
	}
	it.calls++
	ok := false
	switch {
	case c.Status == 401 || c.Status == 403:
		it.refused++
	case c.Status == 429:
		it.limited++
	case c.Status >= 500:
		it.failed++
	default:
		ok = c.Status < 400
	}
	if c.In == accesslog.InQuery {
		it.inAddress++
	}
	it.first, it.last = earlier(it.first, c.At), later(it.last, c.At)
	it.rhythm.add(c.At)
	s.operation(it, c, ok)
	s.caller(it, c)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// item finds whose call it is; nil where nobody can tell.
func (s *Shard) item(c *accesslog.Call) *item {
	switch {
	case len(c.Secret) > 0:
		if it, ok := s.seen[string(c.Secret)]; ok {
			return it
		}
		fp := FingerprintOf(c.Secret)
		it := s.get(string(fp), func() *item {
			return &item{fingerprint: fp, look: LookAt(c.Secret, c.In == accesslog.InQuery), name: short(c.Name)}
		})
		if it != nil {
			s.seen[string(c.Secret)] = it
		}
		return it
	case len(c.Name) > 0:
		name := short(c.Name)
		return s.get("name "+name, func() *item { return &item{name: name} })
	}
	s.anonymous++
	return nil
}

func (s *Shard) get(id string, make func() *item) *item {
	if it, ok := s.items[id]; ok {
		return it
	}
	if len(s.items) >= maxItems {
		s.beyond++
		return nil
	}
	it := make()
	it.operations, it.callers = map[opKey]*opCount{}, map[callerKey]*callerCount{}
	s.items[id] = it
	return it
}

// short is a text that may be kept: without secrets of ours, and of bounded length.
func short(b []byte) string {
	return clip(postern.HideSecrets(strings.ToValidUTF8(string(b[:min(len(b), maxText)]), "")))
}

func clip(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

func (s *Shard) operation(it *item, c *accesslog.Call, ok bool) {
	key := s.find(c)
	n, known := it.operations[key]
	if !known {
		if len(it.operations) >= maxOperations {
			it.opsBeyond++
			return
		}
		n = &opCount{}
		it.operations[key] = n
	}
	n.calls++
	if ok {
		n.ok++
	}
	n.first, n.last = earlier(n.first, c.At), later(n.last, c.At)
}

// find is the operation of a call.
func (s *Shard) find(c *accesslog.Call) opKey {
	method := string(c.Method)
	if s.c.router != nil {
		if canonical, err := catalog.Canonical(string(c.Path), catalog.PathOptions{CollapseLeadingSlashes: true}); err == nil {
			if mount, path, ok := s.c.router.Find(hostOf(c.Host), canonical); ok {
				if op, result := mount.Matcher.Match(method, path); result == catalog.Found {
					return opKey{mount.Upstream, op.Method, op.Path}
				}
			}
		}
	}
	s.buf = template(s.buf[:0], c.Path, c.Secret)
	return opKey{method: method, path: string(s.buf)}
}

func hostOf(h []byte) string {
	host, _, _ := strings.Cut(string(h), ":")
	return strings.ToLower(host)
}

func (s *Shard) caller(it *item, c *accesslog.Call) {
	key := callerKey{ip: c.IP, agent: s.agent(c)}
	n, known := it.callers[key]
	if !known {
		if len(it.callers) >= maxCallers {
			it.beyond++
			return
		}
		n = &callerCount{}
		it.callers[key] = n
	}
	n.calls++
	if c.Status == 401 || c.Status == 403 {
		n.refused++
	}
	n.first, n.last = earlier(n.first, c.At), later(n.last, c.At)
}

// agent keeps each user agent once.
func (s *Shard) agent(c *accesslog.Call) string {
	ua := c.UserAgent[:min(len(c.UserAgent), maxText)]
	if kept, ok := s.agents[string(ua)]; ok {
		return kept
	}
	if len(s.agents) >= maxItems {
		return ""
	}
	text := string(ua)
	if len(c.Secret) > 0 {
		text = strings.ReplaceAll(text, string(c.Secret), postern.Hidden)
	}
	kept := short([]byte(text))
	if len(c.Secret) == 0 || kept == string(ua) {
		s.agents[string(ua)] = kept
	}
	return kept
}

// template leaves out of a path what looks like an id, and whatever could be a secret.
func template(out, path, secret []byte) []byte {
	for len(path) > 0 && len(out) < maxText {
		path = path[1:] // the slash
		end := slices.Index(path, '/')
		if end < 0 {
			end = len(path)
		}
		seg := path[:end]
		path = path[end:]
		out = append(out, '/')
		if isID(seg) || len(secret) > 0 && string(seg) == string(secret) {
			out = append(out, "{id}"...)
		} else {
			out = append(out, clip(strings.ToValidUTF8(string(seg), "�"))...)
		}
	}
	if len(out) == 0 {
		out = append(out, '/')
	}
	return out
}

// isID reports whether a segment names one thing out of many: a number, something
// with several digits, a long word, an address.
func isID(seg []byte) bool {
	digits := 0
	for _, b := range seg {
		if b >= '0' && b <= '9' {
			digits++
		}
		if b == '@' || b == '%' || b == '_' && digits > 3 {
			return true
		}
	}
	switch {
	case digits == len(seg):
		return digits > 0
	case len(seg) > 32:
		return true
	}
	return digits >= 4 && !isVersion(seg)
}

// isVersion knows "2026-03" and "v3.1": part of an API's address.
func isVersion(seg []byte) bool {
	return len(seg) >= 7 && len(seg) <= 12 && seg[0] == '2' && seg[4] == '-' || seg[0] == 'v'
}
