package verify

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// Burst is the limit of a rate, with its state.
type Burst struct {
	b     burst
	state atomic.Int64
}

func NewBurst(r postern.Rate) *Burst { return &Burst{b: burstOf(r)} }

func (b *Burst) Take(now postern.Micros) (bool, postern.Micros, postern.LimitState) {
	var l postern.LimitState
	ok, retry := b.b.take(&b.state, now, &l)
	return ok, retry, l
}

// DayOf is the day of a time zone that holds a time.
func DayOf(t time.Time, loc *time.Location) (start, end time.Time) {
	d := dayOf(postern.ToMicros(t), loc)
	return d.start.Time(), d.end.Time()
}

// InNetworks is the index's own way to look an address up.
var InNetworks = inNetworks

// Network is the index's own form of a prefix.
type Network = network

var NetworkOf = networkOf

// Table is the index alone.
type Table struct{ x *index }

func NewTable() Table { return Table{newIndex()} }

func (t Table) Put(c postern.Credential, held []postern.ScopeID, nets []Network, anew bool) error {
	return t.x.put(&c, held, nets, nil, nil, anew)
}

func (t Table) Gone(key [postern.KeyIDLen]byte, now postern.Micros) { t.x.gone(&key, now) }
func (t Table) BeginSweep()                                         { t.x.beginSweep() }
func (t Table) EndSweep()                                           { t.x.endSweep(true) }
func (t Table) Keys() int64                                         { return t.x.keys.Load() }
func (t Table) Bytes() int64                                        { return t.x.bytes() }

func (t Table) Find(key [postern.KeyIDLen]byte) (postern.Credential, []postern.ScopeID, []Network, bool) {
	var f found
	ok := t.x.find(&key, &f)
	return f.cred, f.held, f.networks, ok
}

// DropExpired drops the tokens of every shard that expired before a time.
func (t Table) DropExpired(before postern.Micros) {
	for i := range t.x.shards {
		t.x.dropExpired(uint8(i), before)
	}
}

// Lists is how many lists of scopes and how many elements, dead ones too, are held.
func (t Table) Lists() (lists, elements int) {
	return t.x.sets.n, t.x.sets.live + t.x.sets.dead
}

// Fill puts n credentials into the index of a verifier without a store, as fast
// as it goes. Their secrets are made by text.
func Fill(v *Verifier, n int, account postern.AccountID, maker func(i int) (postern.Credential, string, []postern.Scope, []Network)) error {
	var p postern.Presented
	for i := range n {
		c, text, names, nets := maker(i)
		c.CurrentPepper = v.hashers.latest
		c.Account = v.accounts.number(postern.AccountID(fmt.Sprintf("%s%d", account, i%1000)))
		v.hashers.present(&c, text, &p)
		c.Current = p.AsCurrent
		held, err := v.scopes.set(names)
		if err != nil {
			return err
		}
		if err := v.index.put(&c, held, nets, nil, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// Baseline hashes a secret and looks its key up, and does nothing else.
func Baseline(v *Verifier, text string) bool {
	var f found
	var p postern.Presented
	key := [postern.KeyIDLen]byte([]byte(text[7 : 7+postern.KeyIDLen]))
	ok := v.index.find(&key, &f)
	v.hashers.present(&f.cred, text, &p)
	return ok && p.AsCurrent == f.cred.Current
}

// SetRandom sets what waits are spread by.
func SetRandom(v *Verifier, f func(below time.Duration) time.Duration) { v.random = f }

// TakeSteps has a node take the steps of a renewal in another order.
func TakeSteps(v *Verifier, names ...string) {
	known := map[string]step{"note": (*renewal).note, "write": (*renewal).write, "read": (*renewal).read, "extend": (*renewal).extend,
		"confirm": (*renewal).confirm, "confirm head": func(r *renewal, ctx context.Context) error {
			head, _, err := r.v.store.FeedHead(ctx)
			if err != nil {
				return err
			}
			return r.v.store.Confirm(ctx, r.v.node, head)
		}}
	v.order = nil
	for _, name := range names {
		v.order = append(v.order, known[name])
	}
}

// What a simulation looks at, cheaper than by Stats.

func Applied(v *Verifier) int64  { return v.feed.applied.Load() }
func Halted(v *Verifier) bool    { return v.feed.halted.Load() != nil }
func Renewals(v *Verifier) int64 { return v.counts.renewals.Load() }

// LeaseOf and SetLease take a node's lease and put it back.
func LeaseOf(v *Verifier) any     { return v.lease.Load() }
func SetLease(v *Verifier, l any) { v.lease.Store(l.(*lease)) }

// ForgetEnds makes a node forget which credentials were ended.
func ForgetEnds(v *Verifier) {
	for i := range v.index.shards {
		s := &v.index.shards[i]
		s.mu.Lock()
		for _, slot := range s.slots {
			if slot != 0 {
				s.at(slot&placeMask - 1).Flags &^= ended
			}
		}
		s.mu.Unlock()
	}
}
