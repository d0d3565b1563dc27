package workbench

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/catalog"
)

// Window is how far back the traffic of an old credential is looked at.
const Window = 83 * 24 * time.Hour

// traffic is what activity tells of one credential.
type traffic struct {
	needs   []activity.Needed
	callers []activity.Caller
	hours   []activity.Point
}

// known finds operations as activity names them.
type known struct {
	world *advice.World
	ops   map[advice.Op]*catalog.Operation
}

func newKnown(cats []*catalog.Catalog) (*known, error) {
	w, err := advice.NewWorld(cats)
	if err != nil {
		return nil, err
	}
	k := &known{world: w, ops: map[advice.Op]*catalog.Operation{}}
	for _, c := range cats {
		for i := range c.Operations {
			k.ops[advice.Op{Upstream: c.Upstream, Name: c.Operations[i].Name}] = &c.Operations[i]
		}
	}
	return k, nil
}

// item is the inventory of one credential, as the traffic through Postern tells it.
func (k *known) item(t *traffic) Item {
	var i Item
	uses := map[advice.Op]*OperationUse{}
	for n := range t.needs {
		k.count(&i, uses, &t.needs[n])
	}
	for _, u := range uses {
		i.Operations = append(i.Operations, *u)
	}
	slices.SortFunc(i.Operations, func(a, b OperationUse) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Operation, b.Operation))
	})
	for _, c := range t.callers {
		ip, _ := netip.ParseAddr(c.IP)
		i.Callers = append(i.Callers, Caller{IP: ip, UserAgent: c.UserAgent, Calls: c.Calls, Refused: c.Refused, First: c.FirstAt, Last: c.LastAt})
		i.First, i.Last = earlier(i.First, c.FirstAt), later(i.Last, c.LastAt)
	}
	slices.SortFunc(i.Callers, func(a, b Caller) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), a.IP.Compare(b.IP), cmp.Compare(a.UserAgent, b.UserAgent))
	})
	var r rhythm
	for _, h := range t.hours {
		r.addHour(h.Start, h.Calls)
	}
	i.Days, i.Rhythm = len(r.days), r.say()
	k.mapScopes(&i)
	return i
}

func (k *known) count(i *Item, uses map[advice.Op]*OperationUse, n *activity.Needed) {
	i.Calls += n.Calls
	if !n.Allowed {
		i.Refused += n.Calls
	}
	if n.Operation == "" {
		return
	}
	at := advice.Op{Upstream: n.Upstream, Name: n.Operation}
	u := uses[at]
	if u == nil {
		u = &OperationUse{Operation: n.Operation, First: n.First}
		if op := k.ops[at]; op != nil {
			u.Upstream, u.Method, u.Path = n.Upstream, op.Method, op.Path
			u.learn(op)
		}
		uses[at] = u
	}
	u.Calls += n.Calls
	if n.Allowed {
		u.OK += n.Calls
	}
	u.First, u.Last = earlier(u.First, n.First), later(u.Last, n.Last)
}

// mapScopes finds the smallest set of scopes for what worked.
func (k *known) mapScopes(i *Item) {
	var worked []advice.Op
	for n := range i.Operations {
		if o := &i.Operations[n]; o.Known() && o.OK > 0 {
			worked = append(worked, advice.Op{Upstream: o.Upstream, Name: o.Operation})
		}
	}
	i.Scopes = k.world.Smallest(worked)
}

// join adds what an uploaded inventory saw to what traffic tells.
func (k *known) join(i *Item, up *Item) {
	if up == nil {
		return
	}
	if i.Calls == 0 {
		i.Rhythm, i.Days = up.Rhythm, up.Days
	}
	i.Calls, i.Refused, i.InAddress = i.Calls+up.Calls, i.Refused+up.Refused, i.InAddress+up.InAddress
	for n := range up.Operations {
		u := up.Operations[n]
		at := slices.IndexFunc(i.Operations, func(o OperationUse) bool {
			return o.Upstream == u.Upstream && o.Operation == u.Operation && o.Method == u.Method && o.Path == u.Path
		})
		if at >= 0 {
			o := &i.Operations[at]
			o.Calls, o.OK, o.First, o.Last = o.Calls+u.Calls, o.OK+u.OK, earlier(o.First, u.First), later(o.Last, u.Last)
			continue
		}
		if op := k.ops[advice.Op{Upstream: u.Upstream, Name: u.Operation}]; op != nil {
			u.learn(op)
		} else {
			u.Upstream = "" // no API of this server
		}
		i.Operations = append(i.Operations, u)
	}
	i.Callers = append(i.Callers, up.Callers...)
	i.First, i.Last = earlier(i.First, up.First), later(i.Last, up.Last)
	k.mapScopes(i)
}

// addHour adds the calls of an hour, of which the minute isn't known.
func (r *rhythm) addHour(start time.Time, calls int64) {
	if calls <= 0 {
		return
	}
	r.add(start)
	n := uint32(min(calls-1, 1<<24))
	at := start.UTC()
	r.ofDay[at.Sub(at.Truncate(24*time.Hour))/slot] += n
	r.ofWeek[at.Weekday()] += n
	r.ofMonth[at.Day()-1] += n
}
