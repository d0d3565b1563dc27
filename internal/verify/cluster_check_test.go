package verify_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

// history knows every version of every key and account, and from which change on
// each is promised to be in force.
type history struct {
	keys     [simKeys]*simKey
	accounts [2][]version
	// floor is the last change that is promised to be in force on every node that
	// decides: by a receipt that said everywhere, or by one whose time has come.
	floor      int64
	rolledBack int           // how often the store lost its latest commits
	rolledAt   time.Duration // and when it last did
}

type simKey struct {
	no       int
	secret   postern.Secret
	first    postern.CredentialRow
	versions []version
	// tainted keys had a change that the store lost: what they may do is as unsure
	// as that; only an end that a node has seen counts.
	tainted bool
}

// version is what a key or an account was from a change on.
type version struct {
	seq       int64
	row       *postern.CredentialRow // nil: it is gone, or this is an account
	suspended bool
	lost      bool
}

var simPepper = sync.OnceValue(func() *postern.Pepper {
	p, err := postern.ParsePepper(pepper1)
	if err != nil {
		panic(err)
	}
	return p
})

// simSecrets are made once: making them is most of what a run would cost.
var simSecrets = sync.OnceValue(func() (out [simKeys]simKey) {
	for i := range out {
		k := &out[i]
		id := postern.NewKeyID()
		k.no, k.secret = i, postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, id)
		h, v := simPepper().Hash(k.secret)
		// The first key's account is never touched; the others' is, as they are.
		k.first = postern.CredentialRow{Key: id, AccountID: simAccount(min(i, 1)), Kind: postern.KindServiceKey, Scopes: []postern.Scope{"deals.read"},
			Current: postern.SecretHash{Hash: h, Pepper: v, Generation: 1, LastFour: k.secret.LastFour()}, Revision: 1}
		k.first.Seal(simPepper())
	}
	return out
})

func simKeyName(id postern.KeyID) string {
	for i, k := range simSecrets() {
		if k.first.Key == id {
			return fmt.Sprint("k", i)
		}
	}
	return "?"
}

func newHistory() *history {
	h := &history{}
	for i, k := range simSecrets() {
		h.keys[i] = &k
	}
	for i := range h.accounts {
		h.accounts[i] = []version{{}}
	}
	return h
}

func (k *simKey) made() postern.CredentialRow { return k.first }

func (h *history) row(k int, seq int64, row *postern.CredentialRow) {
	h.keys[k].versions = append(h.keys[k].versions, version{seq: seq, row: row})
}

// note keeps what a change made: of a key, or, where it is negative, of an account.
func (h *history) note(key int, seq int64, is *state) {
	if key < 0 {
		a := is.accounts[-1-key]
		h.accounts[-1-key] = append(h.accounts[-1-key], version{seq: seq, suspended: !a.SuspendedAt.IsZero()})
		return
	}
	if row, ok := is.rows[key]; ok {
		h.row(key, seq, &row)
	} else {
		h.row(key, seq, nil)
	}
}

func (h *history) words(key int, is *state) string {
	if key < 0 {
		return fmt.Sprintf("account %d suspended %t", -1-key, !is.accounts[-1-key].SuspendedAt.IsZero())
	}
	row, ok := is.rows[key]
	if !ok {
		return fmt.Sprintf("k%d is gone", key)
	}
	return fmt.Sprintf("k%d revision %d revoked %t deleted %t paused %t scopes %v expires %v", key, row.Revision, !row.RevokedAt.IsZero(), !row.DeletedAt.IsZero(),
		!row.PausedAt.IsZero(), row.Scopes, !row.ExpiresAt.IsZero())
}

// build makes a client's change out of what the store holds, by the rules that
// changes keep: what is ended stays so.
func (h *history) build(a act, st *simStore) (int, postern.Change, func(*state)) {
	now := st.now()
	if a.kind == actSuspend {
		acct := st.is.accounts[1]
		if acct.SuspendedAt.IsZero() {
			acct.SuspendedAt = now
		} else {
			acct.SuspendedAt = time.Time{}
		}
		acct.Revision++
		return -2, postern.Change{Kind: postern.ChangeAccount, ID: string(acct.ID)}, func(x *state) { x.accounts[1] = acct }
	}
	k, row, ok := h.pick(a, st)
	if !ok {
		return 0, postern.Change{}, nil
	}
	c := postern.Change{Kind: postern.ChangeCredential, ID: string(row.Key), AccountID: row.AccountID}
	switch a.kind {
	case actCreate:
		return k, c, func(x *state) { x.rows[k] = row }
	case actPurge:
		return k, c, func(x *state) { delete(x.rows, k) }
	case actRevoke:
		row.RevokedAt = now
	case actDelete:
		row.DeletedAt = now
	case actPause:
		if row.PausedAt.IsZero() {
			row.PausedAt = now
		} else {
			row.PausedAt = time.Time{}
		}
	case actNarrow:
		if row.Scopes[0] == "deals.read" {
			row.Scopes = []postern.Scope{"contacts.read"}
		} else {
			row.Scopes = []postern.Scope{"deals.read"}
		}
	case actExpire:
		row.ExpiresAt = now.Add(a.span)
	}
	row.Revision++
	row.Seal(simPepper())
	return k, c, func(x *state) { x.rows[k] = row }
}

// pick finds the key that an act is about: the first that fits, from a random one on.
func (h *history) pick(a act, st *simStore) (int, postern.CredentialRow, bool) {
	for i := range simKeys - 1 {
		k := 1 + (int(a.b)+i)%(simKeys-1)
		row, there := st.is.rows[k]
		ended := there && (!row.RevokedAt.IsZero() || !row.DeletedAt.IsZero())
		switch a.kind {
		case actCreate:
			if len(h.keys[k].versions) == 0 {
				return k, h.keys[k].made(), true
			}
		case actPurge:
			if ended {
				return k, row, true
			}
		default:
			if there && !ended {
				return k, row, true
			}
		}
	}
	return 0, postern.CredentialRow{}, false
}

// may reports whether a node may give a key an answer: one that a version of it
// justifies which is not older than what the node has applied, and what is promised.
func (h *history) may(n *simNode, k int, got postern.Reason, floor int64) bool {
	key := h.keys[k]
	if key.tainted {
		return true
	}
	now := n.s.store.now()
	doubt := n.parted > n.renewed
	accounts := since(h.accounts[min(k, 1)], floor)
	rows := since(key.versions, floor)
	if len(key.versions) == 0 || key.versions[0].seq > floor {
		if got == postern.ReasonUnknownKey {
			return true
		}
	}
	for i := range rows {
		for j := range accounts {
			if fits(&rows[i], accounts[j].suspended, doubt, now, got) {
				return true
			}
		}
	}
	return false
}

// since gives the version that was in force at a change, and all later ones.
func since(list []version, seq int64) []version {
	from := 0
	for i := range list {
		if list[i].seq <= seq && !list[i].lost {
			from = i
		}
	}
	return list[from:]
}

// clockError is by how much an expiry may be early or late.
const clockError = 2 * time.Second

// fits says what a row decides, by the documents and not by the code. Where a node
// can't know what time it is, it doesn't let an expiry pass that may have come.
func fits(v *version, suspended, doubt bool, now time.Time, got postern.Reason) bool {
	row := v.row
	if row == nil {
		return got == postern.ReasonUnknownKey || got == postern.ReasonRevoked
	}
	rest := postern.ReasonAllowed
	switch {
	case suspended:
		rest = postern.ReasonAccountSuspended
	case !row.PausedAt.IsZero():
		rest = postern.ReasonPaused
	case row.Scopes[0] != "deals.read":
		rest = postern.ReasonInsufficientScope
	}
	switch {
	case !row.RevokedAt.IsZero() || !row.DeletedAt.IsZero():
		return got == postern.ReasonRevoked
	case doubt && !row.ExpiresAt.IsZero() && got != postern.ReasonAllowed:
		return got == rest || got == postern.ReasonExpired || got == postern.ReasonUnavailable
	case row.ExpiresAt.IsZero() || now.Before(row.ExpiresAt.Add(-clockError)):
		return got == rest
	case now.After(row.ExpiresAt.Add(clockError)):
		return got == postern.ReasonExpired
	}
	return got == rest || got == postern.ReasonExpired
}

// receipt notes what a receipt promises.
func (s *sim) receipt(n *simNode, r verify.Receipt, err error, rolled int) {
	h := s.history
	switch {
	case err != nil:
		s.count.Unknown++
	case rolled != h.rolledBack:
		// What it is about may be lost.
	case r.Everywhere:
		s.log("n%d receipt of %d: everywhere, by %v", n.no, r.Seq, r.Confirmed)
		s.count.Everywhere++
		if h.sound(s, r.Confirmed) {
			s.raise(r.Seq)
		}
	default:
		s.log("n%d receipt of %d: awaits %v until %s", n.no, r.Seq, r.Awaited, r.EffectiveBy.Format("15:04:05.000"))
		s.count.Awaiting++
		if h.sound(s, nil) {
			s.when(r.EffectiveBy, func() {
				if h.rolledBack == rolled {
					s.raise(r.Seq)
				}
			})
		}
	}
}

// sound reports whether the table of leases can be relied upon. Right after the
// store lost its latest commits it can't: leases were among them. A receipt that
// all nodes confirmed rests on no lease.
func (h *history) sound(s *sim, confirmed []string) bool {
	if h.rolledBack == 0 || s.now() > h.rolledAt+simLease*21/20 {
		return true
	}
	for _, n := range s.nodes {
		if !n.gone && !slices.Contains(confirmed, n.v.Node()) {
			return false
		}
	}
	return true
}

// when does something once the store's clock says so.
func (s *sim) when(at time.Time, do func()) {
	if wait := at.Sub(s.store.now()); wait > 0 {
		s.after(wait, func() { s.when(at, do) })
		return
	}
	do()
}

// raise notes that a change is in force everywhere from now on.
func (s *sim) raise(seq int64) {
	if seq > s.history.floor {
		s.history.floor = seq
		for _, n := range s.nodes {
			s.touched[n] = true
		}
	}
}

// rolledBack notes that the store has lost its latest commits.
func (s *sim) rolledBack() {
	h, head := s.history, s.store.is.head
	h.rolledBack++
	h.rolledAt = s.now()
	h.floor = min(h.floor, head)
	lose := func(list []version) (lost bool) {
		for i := range list {
			if list[i].seq > head && !list[i].lost {
				list[i].lost, lost = true, true
			}
		}
		return lost
	}
	for _, k := range h.keys {
		k.tainted = lose(k.versions) || k.tainted
	}
	if lose(h.accounts[1]) {
		for _, k := range h.keys[1:] {
			k.tainted = true
		}
	}
	for _, n := range s.nodes {
		if n.stale < 0 || head < n.stale {
			n.stale = head
		}
	}
}

// check looks at the nodes to which something happened.
func (s *sim) check() {
	for _, n := range s.nodes {
		if all, touched := s.touched[n]; touched {
			s.checkNode(n, all)
		}
	}
	clear(s.touched)
}

// checkNode looks at a node, and asks it for every key; for two of them where
// nothing happened that any answer could change by.
func (s *sim) checkNode(n *simNode, all bool) {
	if n.gone || n.held != nil || s.wrong != "" {
		return
	}
	s.probing.Store(true)
	defer s.probing.Store(false)
	if n.halted() && !n.haltedOnce {
		n.haltedOnce = true
		s.count.Halts++
		s.log("n%d halts", n.no)
		if s.history.rolledBack == 0 {
			s.fail("n%d halts although the store never lost anything", n.no)
		}
		s.after(5*time.Second, n.accept)
	}
	alive := n.v.Alive()
	s.checkLease(n, alive)
	applied := n.applied()
	all = all || alive != n.was.alive || applied != n.was.applied
	n.was.alive, n.was.applied = alive, applied
	n.was.asked++
	floor := max(applied, s.history.floor)
	if n.stale >= 0 {
		floor = min(floor, n.stale)
	}
	for k := range simKeys {
		if !all && k > 0 && k != n.was.asked%simKeys {
			continue
		}
		if len(s.history.keys[k].versions) == 0 && n.was.asked%8 > 0 {
			continue // nobody has made it yet; a node asks for such keys, and not often
		}
		d, err := n.v.Verify(noTime, get(s.history.keys[k].secret, "GET", "/deals"))
		if s.plan.bug == bugWrongRefusal && d.Reason == postern.ReasonUnavailable {
			d.Reason = postern.ReasonUnknownKey
		}
		s.count.Probes++
		switch {
		case err != nil:
			s.fail("n%d: Verify(k%d): %v", n.no, k, err)
		case d.Allowed != (d.Reason == postern.ReasonAllowed):
			s.fail("n%d: k%d: allowed is %t with the reason %v", n.no, k, d.Allowed, d.Reason)
		case !alive:
			s.count.Unavailable++
			if d.Reason != postern.ReasonUnavailable {
				s.fail("n%d has no lease and answers %v for k%d", n.no, d.Reason, k)
			}
		case d.Allowed && n.told[k]:
			s.fail("n%d lets k%d pass, which it once refused as ended", n.no, k)
		case !s.history.may(n, k, d.Reason, floor):
			s.fail("n%d answers %v for k%d; it has applied %d, and %d is promised everywhere", n.no, d.Reason, k, n.applied(), s.history.floor)
		}
		n.told[k] = n.told[k] || d.Reason == postern.ReasonRevoked
	}
}

// noTime is for a question that must be answered at once.
var noTime = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// checkLease looks whether a node decides neither too long nor too short.
func (s *sim) checkLease(n *simNode, alive bool) {
	const drift = simLease / 100
	if r := verify.Renewals(n.v); r > n.renewals {
		n.renewals = r
		n.renewed = time.Duration(n.answered.Load())
		if sent := n.renewed; sent > n.jumped {
			n.decides = sent + simLease - drift
		}
	}
	switch {
	case alive && s.now() > n.leased+simLease+drift && s.plan.bug != bugSlowClock:
		s.fail("n%d decides %v after it asked for its lease", n.no, s.now()-n.leased)
	case !alive && s.now() < n.decides && n.ctx.Err() == nil && s.plan.bug != bugReadsFirst: // that one is to be found by what it does wrong
		s.fail("n%d doesn't decide %v after it asked for its lease", n.no, s.now()-time.Duration(n.answered.Load()))
	}
}
