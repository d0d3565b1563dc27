package verify

import (
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
)

// accounts gives each account a number, and holds what deciding needs of it.
type accounts struct {
	mu   sync.Mutex
	ids  map[postern.AccountID]uint32
	list atomic.Pointer[[]*account] // by number; only ever appended to
	// zones are shared, so that an account doesn't cost a table of clock changes.
	zones map[string]*time.Location
}

type account struct {
	id    postern.AccountID
	facts atomic.Pointer[accountFacts] // nil while nothing is known: it denies
	day   atomic.Pointer[day]
}

type accountFacts struct {
	number     int64
	revision   int64
	dailyLimit int64
	zone       *time.Location
	suspended  bool
}

func newAccounts() *accounts {
	a := &accounts{ids: map[postern.AccountID]uint32{}, zones: map[string]*time.Location{}}
	a.list.Store(&[]*account{})
	return a
}

func (a *accounts) at(n uint32) *account { return (*a.list.Load())[n] }

func (a *accounts) find(id postern.AccountID) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, ok := a.ids[id]; ok {
		return a.at(n)
	}
	return nil
}

// number gives an account's number, a new one where it has none.
func (a *accounts) number(id postern.AccountID) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.ids[id]
	if !ok {
		list := *a.list.Load()
		n = uint32(len(list))
		// Readers of the shorter list never look behind its end.
		list = append(list, &account{id: id})
		a.list.Store(&list)
		a.ids[id] = n
	}
	return n
}

// put notes what is known of an account; an older revision than is known is passed over.
func (a *accounts) put(acct *postern.Account, anew bool) {
	f := &accountFacts{
		number: acct.Number, revision: acct.Revision, dailyLimit: acct.DailyLimit,
		suspended: !acct.SuspendedAt.IsZero(), zone: a.zone(acct.TimeZone),
	}
	to := a.at(a.number(acct.ID))
	for {
		old := to.facts.Load()
		if acct.Altered {
			// It counts as suspended; its revision is as little to be trusted as the rest.
			if f.revision = 0; old != nil {
				f.revision = old.revision
			}
		}
		if old != nil && old.revision > f.revision && !anew {
			return
		}
		if to.facts.CompareAndSwap(old, f) {
			return
		}
	}
}

// gone tells that there is no such account any more: its credentials are refused.
func (a *accounts) gone(id postern.AccountID) {
	if acct := a.find(id); acct != nil {
		acct.facts.Store(nil)
	}
}

// zone finds a time zone; one that isn't known is UTC.
func (a *accounts) zone(name string) *time.Location {
	a.mu.Lock()
	defer a.mu.Unlock()
	loc, ok := a.zones[name]
	if !ok {
		var err error
		if loc, err = time.LoadLocation(name); err != nil {
			loc = time.UTC
		}
		a.zones[name] = loc
	}
	return loc
}
