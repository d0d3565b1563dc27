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

// past records what the keys did in the days before now: the same for the same
// day, up to the latest whole hour.
func past(ctx context.Context, n *node.Node, a postern.Account, now time.Time) error {
	today := now.UTC().Truncate(24 * time.Hour)
	rnd := rand.New(rand.NewPCG(uint64(today.Unix()), pastDays))
	for i := range habits {
		h := &habits[i]
		rec, err := n.DB.KeyNamed(ctx, a.ID, h.key)
		if errors.Is(err, postern.CodeNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		e := postern.Event{Door: postern.DoorGateway, Method: h.method, Path: h.path, UserAgent: h.agent, IP: netip.MustParseAddr(h.ip)}
		e.Decision = postern.Decision{Kind: postern.KindServiceKey, Gen: 1, Known: true, Account: a.ID, AccountNo: a.Number,
			Operation: &postern.Operation{Upstream: "crm", Name: h.operation, Method: h.method, Path: h.path}}
		copy(e.Decision.Key[:], rec.Key.ID)
		for day := today.AddDate(0, 0, -pastDays); !day.After(today); day = day.AddDate(0, 0, 1) {
			if quiet := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday; quiet && !h.weekends {
				continue
			}
			for minute := h.from * 60; minute < h.to*60; minute += h.minutes {
				h.record(n, &e, day.Add(time.Duration(minute)*time.Minute), now.Truncate(time.Hour), rnd)
			}
		}
		// Between two keys, so that the buffer never is full.
		if err := n.Activity.Flush(ctx); err != nil {
			return fmt.Errorf("demo: record the past: %w", err)
		}
	}
	return nil
}

// record records one call of a habit, at about a time.
func (h *habit) record(n *node.Node, e *postern.Event, at, until time.Time, rnd *rand.Rand) {
	at = at.Add(time.Duration(rnd.Int64N(int64(50 * time.Second)))).Truncate(time.Microsecond)
	e.Decision.Allowed, e.Decision.Reason, e.Missing, e.Status = true, postern.ReasonAllowed, "", 200
	e.Decision.Used = h.scope
	e.Duration = h.late/2 + time.Duration(rnd.Int64N(int64(h.late)))
	e.BytesOut = 2_000 + rnd.Int64N(60_000)
	e.RequestID = fmt.Sprintf("%08x-0000-4000-8000-%012x", rnd.Uint32(), rnd.Uint64()>>16)
	if rnd.Float64() < h.wrong {
		e.Decision.Allowed, e.Decision.Reason, e.Missing, e.Status = false, h.reason, h.missing, h.reason.Status()
		e.Duration, e.BytesOut = time.Millisecond, 400
	}
	if at.Before(until) {
		e.At = postern.ToMicros(at)
		n.Activity.Record(e)
	}
}
