package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/node"
)

// pastDays is for how many days before its first start the demo has calls.
const pastDays = 14

// habit is how an integration calls: when, what, and from where.
type habit struct {
	key       string
	agent, ip string
	minutes   int // between two calls
	from, to  int // the hours of the day in which it calls
	weekends  bool
	method    string
	path      string
	operation string
	scope     string        // that lets its calls through
	late      time.Duration // its usual duration
	wrong     float64       // the part of its calls that is refused
	reason    postern.Reason
	missing   string
	began     time.Duration // before now; as far back as the demo goes, where it is zero
	ended     time.Duration // before now
}

var habits = []habit{
	{key: keyName, agent: "python-requests/2.32.3", ip: "198.51.100.24", minutes: 5, from: 2, to: 3, weekends: true,
		method: "GET", path: "/crm/v3/objects/deals", operation: "listDeals", scope: "crm.objects.deals.read", late: 38 * time.Millisecond},
	{key: "power-bi-sales", agent: "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)", ip: "203.0.113.80", minutes: 30, from: 7, to: 19,
		method: "POST", path: "/crm/v3/objects/deals/search", operation: "searchDeals", scope: "crm.objects.deals.read", late: 61 * time.Millisecond},
	{key: "power-bi-sales", agent: "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)", ip: "203.0.113.80", minutes: 30, from: 7, to: 19,
		method: "GET", path: "/crm/v3/objects/companies", operation: "listCompanies", scope: "crm.objects.companies.read", late: 29 * time.Millisecond},
	{key: "stock-levels-to-erp", agent: "erp-bridge/4.1", ip: "203.0.113.5", minutes: 60, from: 0, to: 24, weekends: true,
		method: "POST", path: "/crm/v3/objects/products/batch/update", operation: "batchUpdateProducts", scope: "crm.objects.products.write", late: 120 * time.Millisecond,
		wrong: 0.03, reason: postern.ReasonRateLimited},
	{key: "support-bot", agent: "support-bot/0.9 node/22", ip: "198.51.100.77", minutes: 20, from: 8, to: 18,
		method: "GET", path: "/crm/v3/objects/contacts", operation: "listContacts", scope: "crm.objects.contacts.read", late: 24 * time.Millisecond},
	{key: "support-bot", agent: "support-bot/0.9 node/22", ip: "198.51.100.77", minutes: 240, from: 9, to: 17,
		method: "GET", path: "/crm/v3/objects/deals", operation: "listDeals", scope: "crm.objects.deals.read", late: time.Millisecond,
		wrong: 1, reason: postern.ReasonInsufficientScope, missing: "crm.objects.deals.read"},
}

// caller is a habit with the credential that it calls with.
type caller struct {
	habit
	event *postern.Event
	rnd   *rand.Rand
}

// past are the callers of the service keys.
func past(ctx context.Context, n *node.Node, a postern.Account) (out []*caller, err error) {
	for i := range habits {
		rec, err := n.DB.KeyNamed(ctx, a.ID, habits[i].key)
		if errors.Is(err, postern.CodeNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, habits[i].with(a, rec.Key.ID, postern.KindServiceKey))
	}
	return out, nil
}

// with is the habit of a caller who has a credential.
func (h habit) with(a postern.Account, id postern.KeyID, kind postern.Kind) *caller {
	e := &postern.Event{Door: postern.DoorGateway, Method: h.method, Path: h.path, UserAgent: h.agent, IP: netip.MustParseAddr(h.ip)}
	e.Decision = postern.Decision{Kind: kind, Gen: 1, Known: true, Account: a.ID, AccountNo: a.Number,
		Operation: &postern.Operation{Upstream: "crm", Name: h.operation, Method: h.method, Path: h.path}}
	copy(e.Decision.Key[:], id)
	return &caller{habit: h, event: e}
}

// recordAll records what callers did in the days before now: the same for the same day,
// up to the latest whole hour, and hour by hour, as the calls would have come.
func recordAll(ctx context.Context, n *node.Node, callers []*caller, now time.Time) error {
	today := now.UTC().Truncate(24 * time.Hour)
	for i, c := range callers {
		c.rnd = rand.New(rand.NewPCG(uint64(today.Unix()), uint64(i)))
	}
	for d := -pastDays; d <= 0; d++ {
		day := today.AddDate(0, 0, d)
		for hour := range 24 {
			for _, c := range callers {
				c.hour(n, day, hour, now)
			}
		}
		// Now and then, so that the buffer never is full.
		if d%2 == 0 {
			if err := n.Activity.Flush(ctx); err != nil {
				return fmt.Errorf("demo: record the past: %w", err)
			}
		}
	}
	return nil
}

// hour records the calls of one hour.
func (c *caller) hour(n *node.Node, day time.Time, hour int, now time.Time) {
	if rest := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday; rest && !c.weekends || hour < c.from || hour >= c.to {
		return
	}
	until := now.Truncate(time.Hour).Add(-c.ended)
	for minute := hour * 60; minute < hour*60+60; minute++ {
		if (minute-c.from*60)%c.minutes != 0 {
			continue
		}
		if at := day.Add(time.Duration(minute) * time.Minute); c.began == 0 || !at.Before(now.Add(-c.began)) {
			c.record(n, at, until)
		}
	}
}

// record records one call, at about a time.
func (c *caller) record(n *node.Node, at, until time.Time) {
	e, rnd := c.event, c.rnd
	at = at.Add(time.Duration(rnd.Int64N(int64(50 * time.Second)))).Truncate(time.Microsecond)
	e.Decision.Allowed, e.Decision.Reason, e.Missing, e.Status = true, postern.ReasonAllowed, "", 200
	e.Decision.Used = c.scope
	e.Duration = c.late/2 + time.Duration(rnd.Int64N(int64(c.late)))
	e.BytesOut = 2_000 + rnd.Int64N(60_000)
	e.RequestID = fmt.Sprintf("%08x-0000-4000-8000-%012x", rnd.Uint32(), rnd.Uint64()>>16)
	if rnd.Float64() < c.wrong {
		e.Decision.Allowed, e.Decision.Reason, e.Missing, e.Status = false, c.reason, c.missing, c.reason.Status()
		e.Duration, e.BytesOut = time.Millisecond, 400
	}
	if at.Before(until) {
		e.At = postern.ToMicros(at)
		n.Activity.Record(e)
	}
}
