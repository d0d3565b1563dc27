package advice

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
)

var fleets = flag.Int("fleets", 12, "how many fleets of 20 integrations are simulated")

var t0 = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// real is a catalog of 353 operations that nobody here wrote.
var real = sync.OnceValues(func() (*catalog.Catalog, error) {
	files, err := filepath.Glob("../catalog/testdata/xero/*.yaml")
	if err != nil {
		return nil, err
	}
	var sources []catalog.Source
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		sources = append(sources, catalog.Source{Name: filepath.Base(f), Data: data})
	}
	c, _, err := catalog.Parse(context.Background(), sources, catalog.Options{Upstream: "books", ScopesAny: true})
	return c, err
})

func realWorld(t testing.TB) (*World, *catalog.Catalog) {
	t.Helper()
	c, err := real()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Operations) != 353 {
		t.Fatalf("the catalog has %d operations, want 353", len(c.Operations))
	}
	w, err := NewWorld([]*catalog.Catalog{c})
	if err != nil {
		t.Fatal(err)
	}
	return w, c
}

// habit is how an integration calls an operation.
type habit struct {
	op          Op
	every       time.Duration
	from, until time.Time // drift: not before, and not after
	offset      time.Duration
}

// integration is a simulated caller with known needs.
type integration struct {
	habits  []habit
	ips     []string
	granted []postern.Scope
	needed  []postern.Scope // the scopes that its habits go by, as its maker chose them
	made    time.Time
}

// random makes an integration: it works with a few groups of the catalog, mostly
// daily, some of it weekly or monthly, starts some things later and stops others;
// its maker granted what it goes by, and more.
func random(r *rand.Rand, w *World, c *catalog.Catalog) *integration {
	in := &integration{made: t0.AddDate(0, 0, -20-r.IntN(200))}
	writer := r.IntN(3) > 0
	var pool []*catalog.Operation
	for len(pool) < 3 {
		start := r.IntN(len(c.Operations))
		for i := range 6 + r.IntN(10) {
			op := &c.Operations[(start+i)%len(c.Operations)]
			if op.Satisfiable() && !op.Public && (writer || op.Method == "GET") {
				pool = append(pool, op)
			}
		}
	}
	picked := map[string]bool{}
	for range 2 + r.IntN(12) {
		op := pool[r.IntN(len(pool))]
		if picked[op.Name] {
			continue
		}
		picked[op.Name] = true
		h := habit{op: Op{op.Upstream, op.Name}, every: day, from: in.made, until: t0.AddDate(1, 0, 0), offset: time.Duration(r.Int64N(int64(day)))}
		switch r.IntN(10) {
		case 0, 1:
			h.every = 30 * day
			h.offset = time.Duration(r.Int64N(int64(30 * day)))
		case 2, 3:
			h.every = 7 * day
			h.offset = time.Duration(r.Int64N(int64(7 * day)))
		}
		switch r.IntN(8) {
		case 0:
			h.from = t0.AddDate(0, 0, -r.IntN(40))
		case 1:
			h.until = t0.AddDate(0, 0, -r.IntN(80))
		}
		in.habits = append(in.habits, h)
		ways := op.Ways
		way := ways[r.IntN(len(ways))]
		if op.Method == "GET" && r.IntN(4) > 0 {
			for _, other := range ways {
				if len(other.Scopes) == 1 && strings.HasSuffix(string(other.Scopes[0]), ".read") {
					way = other
				}
			}
		}
		for _, s := range way.Scopes {
			if !w.info[s].Implicit {
				in.needed = append(in.needed, s)
			}
		}
	}
	in.needed = postern.SortScopes(in.needed)
	in.granted = slices.Clone(in.needed)
	for range r.IntN(6) {
		s := c.Scopes[r.IntN(len(c.Scopes))]
		if !s.Implicit && w.opensOf(s.Name).len() > 0 {
			in.granted = append(in.granted, s.Name)
		}
	}
	in.granted = postern.SortScopes(in.granted)
	for i := range 1 + r.IntN(4) {
		in.ips = append(in.ips, fmt.Sprintf("203.0.%d.%d", r.IntN(3), 10+r.IntN(8)+i))
	}
	return in
}

// calls are those that were allowed in a time.
func (in *integration) calls(since, until time.Time, yield func(op Op, at time.Time, ip string)) {
	n := 0
	for _, h := range in.habits {
		for at := in.made.Add(h.offset); at.Before(until); at = at.Add(h.every) {
			if !at.Before(since) && !at.Before(h.from) && at.Before(h.until) {
				yield(h.op, at, in.ips[n%len(in.ips)])
				n++
			}
		}
	}
}

// facts are what the store would tell of it at t0.
func (in *integration) facts(r *rand.Rand) *Facts {
	f := &Facts{Now: t0, Since: t0.AddDate(0, 0, -Window)}
	f.Key = postern.ServiceKey{ID: "k", Name: "k", Scopes: in.granted, CreatedAt: in.made, Current: postern.SecretInfo{MadeAt: in.made}}
	f.Policy = postern.DefaultPolicy("acc")
	if r.IntN(2) == 0 {
		f.Key.ExpiresAt = t0.AddDate(0, 3, 0)
	}
	if r.IntN(4) == 0 {
		f.Key.FlaggedAt, f.Key.FlaggedWhy = t0, "Its maker left."
	}
	if r.IntN(4) == 0 && len(in.granted) > 0 {
		f.Unheld = in.granted[:1]
	}
	ops, ips := map[Op]*Need{}, map[string]*Caller{}
	in.calls(f.Since, t0, func(op Op, at time.Time, ip string) {
		n := ops[op]
		if n == nil {
			n = &Need{Op: op, First: at}
			ops[op] = n
		}
		n.Calls++
		n.First, n.Last, n.Days = earlier(n.First, at), later(n.Last, at), append(n.Days, at)
		c := ips[ip]
		if c == nil {
			c = &Caller{IP: ip, First: at}
			ips[ip] = c
		}
		c.Calls++
		c.First, c.Last = earlier(c.First, at), later(c.Last, at)
	})
	for _, h := range in.habits {
		if n := ops[h.op]; n != nil {
			f.Needs = append(f.Needs, *n)
		}
	}
	for _, ip := range in.ips {
		if c := ips[ip]; c != nil {
			f.Callers = append(f.Callers, *c)
			delete(ips, ip)
		}
	}
	return f
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// permits reports whether settings let a call through, by the rule that every call is decided by.
func permits(w *World, scopes []postern.Scope, nets []netip.Prefix, op Op, ip string) bool {
	j := newJudge(w, Settings{Scopes: scopes, Networks: nets})
	reason, _, ok := j.decide(w, &postern.Activity{Upstream: op.Upstream, Operation: op.Name, Method: "?", Allowed: true, IP: ip}, t0)
	return ok && lets(reason)
}

// What is said to be unused is, of the simulated needs, nearly all of what is and
// nearly nothing else; and nothing that was done in the window stops working.
func TestFleets(t *testing.T) {
	w, c := realWorld(t)
	byHistory := []struct {
		name           string
		most           int // days
		right, wrong   int
		truth, found   int
		keys, findings int
	}{{name: "14 to 69 days", most: 70}, {name: "70 days and more", most: 1 << 30}}
	broken := 0
	for seed := range *fleets {
		r := rand.New(rand.NewPCG(7, uint64(seed)))
		for range 20 {
			in := random(r, w, c)
			f := in.facts(r)
			rep := Look(w, f)
			if rep.Calls == 0 || rep.Wait {
				continue
			}
			b := &byHistory[0]
			if rep.Days >= b.most {
				b = &byHistory[1]
			}
			b.keys++
			// By construction, needed explains all that it ever does; what of it others make superfluous, the rules may find too.
			removed := map[postern.Scope]bool{}
			for _, x := range rep.Findings {
				if x.Fix.Kind != FixNarrow || x.Fix.Scopes == nil && x.Fix.Networks == nil {
					continue
				}
				b.findings++
				scopes, nets := in.granted, f.Key.Networks
				if x.Fix.Scopes != nil {
					scopes = *x.Fix.Scopes
				}
				if x.Fix.Networks != nil {
					nets = *x.Fix.Networks
				}
				in.calls(f.Since, t0, func(op Op, at time.Time, ip string) {
					if !permits(w, scopes, nets, op, ip) {
						broken++
						t.Errorf("fleet %d: following %s breaks %s from %s at %v", seed, x.Kind, op.Name, ip, at)
					}
				})
				if x.Kind == KindUnused || x.Kind == KindWrite {
					for _, s := range x.Fix.Remove {
						removed[s] = true
					}
				}
			}
			for _, s := range in.granted {
				without := slices.DeleteFunc(slices.Clone(in.granted), func(o postern.Scope) bool { return removed[o] && o != s || o == s })
				needed := slices.ContainsFunc(in.habits, func(h habit) bool { return h.until.After(t0) && !permits(w, without, nil, h.op, "") })
				switch {
				case removed[s] && needed:
					b.wrong++
				case removed[s]:
					b.right++
				}
				if !slices.Contains(in.needed, s) && !needed {
					b.truth++
					if removed[s] {
						b.found++
					}
				}
			}
		}
	}
	for _, b := range byHistory {
		precision, recall := float64(b.right)/float64(max(1, b.right+b.wrong)), float64(b.found)/float64(max(1, b.truth))
		t.Logf("%s of history: %d keys, %d findings; unused scopes: precision %.3f (%d right, %d wrong), recall %.3f (%d of %d)",
			b.name, b.keys, b.findings, precision, b.right, b.wrong, recall, b.found, b.truth)
		if b.most > 70 && (precision < 0.98 || recall < 0.9) || precision < 0.8 {
			t.Errorf("%s: precision %.3f, recall %.3f", b.name, precision, recall)
		}
	}
	t.Logf("%d fleets of 20 integrations over %d operations: %d calls of the window broken", *fleets, len(c.Operations), broken)
}

// Following a fix raises the score by exactly its points, whatever else is wrong
// with the key, and the fixes together bring it to 100.
func TestFixesAreWorthTheirPoints(t *testing.T) {
	w, c := realWorld(t)
	seen := map[Kind]int{}
	for seed := range uint64(*fleets * 25) {
		r := rand.New(rand.NewPCG(8, seed))
		in := random(r, w, c)
		f := in.facts(r)
		if r.IntN(8) == 0 {
			f.Needs, f.Callers = nil, nil // an idle one
		}
		rep := Look(w, f)
		if s := rep.Score(); s < 0 || s > 100 {
			t.Fatalf("seed %d: a score of %d", seed, s)
		}
		for _, x := range rep.Findings {
			seen[x.Kind]++
			after := Look(w, follow(f, &x))
			if after.Score() != rep.Score()+x.Points {
				t.Errorf("seed %d: following %s took the score from %d to %d, want %d points more\n before %+v\n after %+v",
					seed, x.Kind, rep.Score(), after.Score(), x.Points, rep.Findings, after.Findings)
			}
		}
		left := f
		for range Kinds() {
			if rep := Look(w, left); len(rep.Findings) > 0 {
				left = follow(left, &rep.Findings[r.IntN(len(rep.Findings))])
			}
		}
		if s := Look(w, left).Score(); s != 100 {
			t.Errorf("seed %d: with every fix followed the score is %d", seed, s)
		}
	}
	for _, k := range Kinds() {
		t.Logf("%-18s %d", k, seen[k])
		if seen[k] == 0 {
			t.Errorf("no key had the finding %s", k)
		}
	}
}

// follow gives what is known of a key after a fix was made.
func follow(f *Facts, x *Finding) *Facts {
	after := *f
	switch x.Fix.Kind {
	case FixNarrow:
		if x.Fix.Scopes != nil {
			after.Key.Scopes = *x.Fix.Scopes
		}
		if x.Fix.Networks != nil {
			after.Key.Networks = *x.Fix.Networks
		}
		if !x.Fix.ExpiresAt.IsZero() {
			after.Key.ExpiresAt = x.Fix.ExpiresAt
		}
	case FixPause:
		after.Key.PausedAt = f.Now
	case FixRotate:
		after.Key.Current.MadeAt = f.Now
	case FixReview:
		after.Key.FlaggedAt, after.Key.FlaggedWhy = time.Time{}, ""
	case FixPeople:
		after.Unheld = slices.DeleteFunc(slices.Clone(f.Unheld), func(s postern.Scope) bool { return slices.Contains(x.Fix.Add, s) })
	}
	return &after
}
