package workbench

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/catalog"
)

// Item is one credential of an inventory: what it did, who did it with it, and what
// should become of it.
type Item struct {
	Fingerprint Fingerprint // empty where the log only names the credential
	Name        string      // what the log or the import calls it
	Look

	Calls     int64
	Refused   int64 // answered 401 or 403
	Limited   int64 // answered 429
	Failed    int64 // answered 5xx
	InAddress int64 // with the secret in the address
	First     time.Time
	Last      time.Time
	Days      int // on which it was used
	Rhythm    Rhythm

	Operations []OperationUse // by calls, most first
	Callers    []Caller       // by calls, most first
	// OtherOperations and OtherCallers are calls that were counted and not told apart.
	OtherOperations int64
	OtherCallers    int64

	// Scopes is the smallest set that permits all of Operations that a scope could permit.
	Scopes []postern.Scope
	Advice Path
}

// OperationUse is what a credential did of one operation.
type OperationUse struct {
	Upstream  postern.UpstreamID
	Operation string // its id in the catalog; empty where no catalog knows it
	Method    string
	Path      string // the template
	Calls     int64
	OK        int64 // answered below 400
	First     time.Time
	Last      time.Time
	Writes    bool
	// Ways are the sets of scopes each of which permits it to a service key.
	Ways [][]postern.Scope
	// Kinds are those that may do it at all.
	Kinds postern.Kinds
	// Public operations need nothing.
	Public bool
}

// Known reports whether a catalog has the operation.
func (o *OperationUse) Known() bool { return o.Upstream != "" }

// Caller is where calls came from.
type Caller struct {
	IP        netip.Addr
	UserAgent string
	Calls     int64
	Refused   int64
	First     time.Time
	Last      time.Time
}

// Inventory is all that a Collector found.
type Inventory struct {
	From, To  time.Time // of all calls with a credential
	Items     []Item    // by calls, most first
	Anonymous int64     // calls without a credential
	Beyond    int64     // calls of credentials beyond the bound
}

// Inventory puts together what the shards hold. Nothing may be added while it does,
// and nothing after it: the secrets that it knew until then are gone.
func (c *Collector) Inventory() *Inventory {
	inv := &Inventory{}
	all := map[string]*item{}
	for _, s := range c.shards {
		s.seen = nil
		inv.Anonymous += s.anonymous
		inv.Beyond += s.beyond
		for id, it := range s.items {
			if into, ok := all[id]; ok {
				into.merge(it)
			} else {
				all[id] = it
			}
		}
	}
	for _, it := range all {
		inv.From, inv.To = earlier(inv.From, it.first), later(inv.To, it.last)
	}
	for _, it := range all {
		i := c.report(it)
		i.Advice = Recommend(&i, inv.From, inv.To)
		inv.Items = append(inv.Items, i)
	}
	slices.SortFunc(inv.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Name, b.Name))
	})
	return inv
}

func (it *item) merge(o *item) {
	it.calls += o.calls
	it.refused += o.refused
	it.limited += o.limited
	it.failed += o.failed
	it.inAddress += o.inAddress
	it.opsBeyond += o.opsBeyond
	it.beyond += o.beyond
	it.first, it.last = earlier(it.first, o.first), later(it.last, o.last)
	it.rhythm.merge(&o.rhythm)
	it.name = cmp.Or(it.name, o.name)
	for k, n := range o.operations {
		m, ok := it.operations[k]
		switch {
		case ok:
			m.calls += n.calls
			m.ok += n.ok
			m.first, m.last = earlier(m.first, n.first), later(m.last, n.last)
		case len(it.operations) < maxOperations:
			it.operations[k] = n
		default:
			it.opsBeyond += n.calls
		}
	}
	for k, n := range o.callers {
		m, ok := it.callers[k]
		switch {
		case ok:
			m.calls += n.calls
			m.refused += n.refused
			m.first, m.last = earlier(m.first, n.first), later(m.last, n.last)
		case len(it.callers) < maxCallers:
			it.callers[k] = n
		default:
			it.beyond += n.calls
		}
	}
}

func (c *Collector) report(it *item) Item {
	i := Item{Fingerprint: it.fingerprint, Name: it.name, Look: it.look, Calls: it.calls, Refused: it.refused, Limited: it.limited, Failed: it.failed,
		InAddress: it.inAddress, First: it.first, Last: it.last, Days: len(it.rhythm.days), Rhythm: it.rhythm.say(),
		OtherOperations: it.opsBeyond, OtherCallers: it.beyond}
	var worked []advice.Op
	for k, n := range it.operations {
		u := c.use(k, n)
		i.Operations = append(i.Operations, u)
		if u.Operation != "" && u.OK > 0 {
			worked = append(worked, advice.Op{Upstream: u.Upstream, Name: u.Operation})
		}
	}
	i.Scopes = c.world.Smallest(worked)
	slices.SortFunc(i.Operations, func(a, b OperationUse) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Upstream, b.Upstream))
	})
	for k, n := range it.callers {
		i.Callers = append(i.Callers, Caller{IP: k.ip, UserAgent: k.agent, Calls: n.calls, Refused: n.refused, First: n.first, Last: n.last})
	}
	slices.SortFunc(i.Callers, func(a, b Caller) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), a.IP.Compare(b.IP), strings.Compare(a.UserAgent, b.UserAgent))
	})
	return i
}

func (c *Collector) use(k opKey, n *opCount) OperationUse {
	u := OperationUse{Upstream: k.upstream, Method: k.method, Path: k.path, Calls: n.calls, OK: n.ok, First: n.first, Last: n.last}
	if op := c.ops[k]; op != nil && k.upstream != "" {
		u.Operation = op.Name
		u.learn(op)
	}
	u.Writes = writes(u.Method, u.Path)
	return u
}

// learn notes what a catalog says of an operation.
func (u *OperationUse) learn(op *catalog.Operation) {
	u.Public, u.Kinds, u.Ways = op.Public, 0, nil
	for _, w := range op.Ways {
		u.Kinds |= w.Kinds
		if w.Kinds.Has(postern.KindServiceKey) {
			u.Ways = append(u.Ways, w.Scopes)
		}
	}
	u.Writes = writes(u.Method, u.Path)
}

func writes(method, path string) bool {
	return method != "GET" && method != "HEAD" && method != "OPTIONS" && !readsByPost(method, path)
}

// readsByPost knows the operations that only ask, though they do so with a body.
func readsByPost(method, path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return method == "POST" && (last == "search" || last == "read" || last == "query")
}
