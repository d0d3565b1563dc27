package verify

import (
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/limit"
)

// counts are what a Verifier counts. Decisions are counted in stripes, so that
// cores rarely write to the same line of memory.
type counts struct {
	decisions      [16]stripe
	badRows        atomic.Int64
	asks           atomic.Int64
	asksFound      atomic.Int64
	asksRefused    atomic.Int64
	applied        atomic.Int64
	loads          atomic.Int64
	renewals       atomic.Int64
	renewalsFailed atomic.Int64
}

type stripe [32]atomic.Int64 // by reason

func (v *Verifier) count(d *postern.Decision) {
	v.counts.decisions[d.Key[postern.KeyIDLen-1]%16][d.Reason%32].Add(1)
}

// Stats are the figures of a Verifier, for metrics and health.
type Stats struct {
	Node         string
	Keys         int64
	Bytes        int64 // memory of the index, scope and network lists included
	ScopeNames   int
	Accounts     int
	Applied      int64 // the feed number that is in force here
	Lag          int64 // changes that are known of and not in force here
	Alive        bool  // it decides
	LeaseLeft    time.Duration
	Offset       time.Duration // by how much the store's clock is ahead of this machine's
	Halted       string        // why no lease is renewed; empty while one is
	Tampered     int64         // credentials that deny because their rows were tampered with
	Broken       []postern.UpstreamID
	BadRows      int64 // rows that could not be trusted, as often as one was read
	StaleRows    int64 // rows that were older than what was known
	Loads        int64 // how often everything was read
	Changes      int64 // changes applied one by one
	Renewals     int64
	RenewalsLost int64
	Asks         int64 // questions to the store about unknown keys
	AsksFound    int64
	AsksRefused  int64 // questions that were not put for their number
	Receipts     Receipts
	Decisions    map[postern.Reason]int64
	Limits       *limit.State // nil where each node counts for itself
}

// ClockAlarm reports whether this machine's clock is too far from the store's.
func (s *Stats) ClockAlarm() bool { return s.Offset.Abs() > offsetAlarm }

// Offset is by how much the store's clock is ahead of this machine's.
func (v *Verifier) Offset() time.Duration {
	if l := v.lease.Load(); l != nil {
		return l.offset
	}
	return 0
}

// Stats gives the figures now.
func (v *Verifier) Stats() Stats {
	c := &v.counts
	now, l := v.clock.Now(), v.lease.Load()
	s := Stats{
		Node: v.node, Keys: v.index.keys.Load(), Bytes: v.index.bytes(), ScopeNames: v.scopes.count(),
		Accounts: len(*v.accounts.list.Load()) - 1, Applied: v.feed.applied.Load(),
		Tampered: v.index.tampered.Load(), Broken: v.routes.Load().broken, BadRows: c.badRows.Load(),
		StaleRows: v.index.stale.Load(), Loads: c.loads.Load(), Changes: c.applied.Load(),
		Renewals: c.renewals.Load(), RenewalsLost: c.renewalsFailed.Load(), Asks: c.asks.Load(),
		AsksFound: c.asksFound.Load(), AsksRefused: c.asksRefused.Load(), Decisions: map[postern.Reason]int64{}, Receipts: v.receipts.counts(),
	}
	s.Lag = max(0, v.feed.head.Load()-s.Applied)
	if l != nil {
		s.Alive, s.LeaseLeft, s.Offset = l.alive(now), l.left(now), l.offset
	}
	if v.ledger != nil {
		state := v.ledger.State()
		s.Limits = &state
	}
	if why := v.feed.halted.Load(); why != nil {
		s.Halted = *why
	}
	for _, r := range postern.Reasons() {
		for i := range c.decisions {
			if n := c.decisions[i][r%32].Load(); n > 0 {
				s.Decisions[r] += n
			}
		}
	}
	return s
}
