package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// keyLists holds the service keys of the accounts that are looked at, so that a
// list of 10,000 keys can be sorted, searched and counted at once by what the
// records say and by what activity says, which are two databases. Before each
// use the feed tells which keys changed; what activity says is at most
// Config.Refresh old.
type keyLists struct {
	mu sync.Mutex
	by map[postern.AccountID]*keyList
}

// maxLists is how many accounts' lists are held.
const maxLists = 64

// feedAtOnce is how many changes are followed one by one; beyond it all is read anew.
const feedAtOnce = 500

// keyList is what is held of an account.
type keyList struct {
	mu    sync.Mutex
	used  time.Time // by the wall clock, for making room
	head  int64     // of the feed
	epoch int64
	keys  map[postern.KeyID]*postern.ServiceKey

	scopesAt int64 // the feed's head when they were read; -1 makes them read again
	scopes   map[postern.Scope]*postern.ScopeInfo

	usesAt time.Time // by the wall clock
	uses   map[postern.KeyID]activity.Use
	hour   map[postern.KeyID]activity.KeyCalls

	snap *keySnap
}

// keySnap is an account's keys at a moment. Nothing of it changes any more.
type keySnap struct {
	Checked time.Time
	keys    []*postern.ServiceKey
	used    []*activity.Use // of keys, in their order
	uses    map[postern.KeyID]activity.Use
	hour    map[postern.KeyID]activity.KeyCalls
	scopes  map[postern.Scope]*postern.ScopeInfo
	policy  postern.Policy
	plans   map[postern.KeyID]postern.RotationPlan // of rotations that don't simply end at their deadline
	granted []postern.Scope                        // that some key has, in their order
}

// snapshot gives the keys of an account as they are. Whoever calls it has checked
// that the reader may see them.
func (c *Console) snapshot(ctx context.Context, account postern.AccountID) (*keySnap, error) {
	l := c.lists.of(account)
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, err := c.follow(ctx, account, l)
	if err != nil {
		return nil, fmt.Errorf("console: the list of keys: %w", err)
	}
	policy, err := c.cfg.DB.Policy(ctx, account)
	if err != nil {
		return nil, err
	}
	plans, err := c.rotationPlans(ctx, account)
	if err != nil {
		return nil, err
	}
	if changed || l.snap != nil && (!maps.Equal(plans, l.snap.plans) || l.snap.policy.Revision != policy.Revision || l.snap.policy.Altered != policy.Altered) {
		l.snap = nil
	}
	if l.snap != nil && time.Since(l.usesAt) < c.cfg.Refresh {
		return l.snap, nil
	}
	if time.Since(l.usesAt) >= c.cfg.Refresh {
		now := c.now()
		c.cfg.Activity.Settle(ctx)
		if l.uses, err = c.cfg.Activity.AllUses(ctx, account); err != nil {
			return nil, err
		}
		if l.hour, err = c.cfg.Activity.CallsByKey(ctx, account, now.Add(-time.Hour)); err != nil {
			return nil, err
		}
		l.usesAt = time.Now()
	}
	s := &keySnap{policy: policy, plans: plans, Checked: c.now(), uses: l.uses, hour: l.hour, scopes: l.scopes,
		keys: make([]*postern.ServiceKey, 0, len(l.keys)), used: make([]*activity.Use, 0, len(l.keys))}
	for id, k := range l.keys {
		use := l.uses[id]
		s.keys, s.used = append(s.keys, k), append(s.used, &use)
	}
	s.granted = grantedOf(s.keys)
	l.snap = s
	return s, nil
}

// grantedOf are the scopes that some of the keys have.
func grantedOf(keys []*postern.ServiceKey) []postern.Scope {
	seen := map[postern.Scope]bool{}
	for _, k := range keys {
		for _, sc := range k.Scopes {
			seen[sc] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// of finds the list of an account, or makes one, in the place of the one that was
// longest not used.
func (ls *keyLists) of(account postern.AccountID) *keyList {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.by == nil {
		ls.by = map[postern.AccountID]*keyList{}
	}
	l := ls.by[account]
	if l == nil {
		if len(ls.by) >= maxLists {
			var oldest postern.AccountID
			for a, other := range ls.by {
				if oldest == "" || other.used.Before(ls.by[oldest].used) {
					oldest = a
				}
			}
			delete(ls.by, oldest)
		}
		l = &keyList{scopesAt: -1}
		ls.by[account] = l
	}
	l.used = time.Now()
	return l
}

// follow brings a list to the head of the feed.
func (c *Console) follow(ctx context.Context, account postern.AccountID, l *keyList) (changed bool, err error) {
	db := c.cfg.DB
	head, epoch, err := db.FeedHead(ctx)
	if err != nil {
		return false, err
	}
	if l.keys == nil || epoch != l.epoch || head < l.head || head-l.head > feedAtOnce {
		// The head is read before the keys: what changes meanwhile is read once more.
		keys, err := c.readKeys(ctx, account)
		if err != nil {
			return false, err
		}
		l.keys, l.snap = keys, nil
		l.head, l.epoch, changed, l.scopesAt = head, epoch, true, -1
	}
	if head > l.head {
		changes, err := db.Feed(ctx, l.head, feedAtOnce)
		if err != nil {
			return false, err
		}
		for _, ch := range changes {
			switch {
			case ch.Kind == postern.ChangeCatalog:
				l.scopesAt = -1
			case ch.AccountID == account && ch.Kind == postern.ChangeCredential:
				if err := l.reread(ctx, db, account, postern.KeyID(ch.ID)); err != nil {
					return false, err
				}
				changed, l.snap = true, nil
			case ch.AccountID == account:
				// A member who lost scopes leaves keys that are flagged.
				keys, err := c.readKeys(ctx, account)
				if err != nil {
					return false, err
				}
				l.keys, l.snap, changed = keys, nil, true
			}
			l.head = ch.Seq
		}
	}
	if l.scopesAt < 0 {
		if l.scopes, err = c.readScopes(ctx); err != nil {
			return false, err
		}
		l.scopesAt, l.snap, changed = head, nil, true
	}
	return changed, nil
}

// reread reads one key; it may be gone, or be no service key.
func (l *keyList) reread(ctx context.Context, db *store.DB, account postern.AccountID, id postern.KeyID) error {
	rec, err := db.Key(ctx, account, id)
	if errors.Is(err, postern.CodeNotFound) {
		delete(l.keys, id)
		return nil
	}
	if err == nil {
		l.keys[id] = &rec.Key
	}
	return err
}

func (c *Console) readKeys(ctx context.Context, account postern.AccountID) (map[postern.KeyID]*postern.ServiceKey, error) {
	recs, err := c.cfg.DB.KeysPage(ctx, account, store.KeyFilter{}, c.now(), store.Cursor{}, postern.MaxKeysPerAccount+1)
	if err != nil {
		return nil, err
	}
	keys := make(map[postern.KeyID]*postern.ServiceKey, len(recs))
	for i := range recs {
		k := recs[i].Key
		keys[k.ID] = &k
	}
	return keys, nil
}

// readScopes reads what scopes mean, from the catalogs that are in force.
func (c *Console) readScopes(ctx context.Context) (map[postern.Scope]*postern.ScopeInfo, error) {
	ups, err := c.cfg.DB.Upstreams(ctx)
	if err != nil {
		return nil, err
	}
	out := map[postern.Scope]*postern.ScopeInfo{}
	for _, u := range ups {
		if u.CatalogVersion == 0 {
			continue
		}
		row, err := c.cfg.DB.Catalog(ctx, u.ID, u.CatalogVersion)
		if err != nil {
			return nil, err
		}
		cat, err := catalog.Unmarshal([]byte(row.Body))
		if err != nil {
			return nil, fmt.Errorf("the catalog of %s: %w", u.ID, err)
		}
		for i := range cat.Scopes {
			out[cat.Scopes[i].Name] = &cat.Scopes[i]
		}
	}
	return out, nil
}

// keyState is the state of a key as the list says it: of several that hold, the
// worst (console.md section 5).
type keyState struct {
	Rank   int    // 0 is the worst
	Kind   string // of the pill
	Words  string
	Detail string
}

// The ranks of states, from the worst.
const (
	rankFailing = iota
	rankHeld    // an old secret past its deadline
	rankExpires
	rankUnused
	rankRotating
	rankPaused
	rankEnded
	rankNew
	rankActive
)

const (
	failingShare = 5  // percent refused in the last hour
	failingCalls = 20 // and at least so many calls
	expiresSoon  = 14 * 24 * time.Hour
)

// rank finds which state a key is in. It makes no words: it is asked of every key of
// a list, and the words are shown of a page of them.
func (s *keySnap) rank(k *postern.ServiceKey, plain postern.State, used, now time.Time) int {
	if plain == postern.StateEnded || plain == postern.StateExpired {
		return rankEnded
	}
	h := s.hour[k.ID]
	// A paused key refuses all and is not used, as its admin wants: that is no news.
	if plain != postern.StatePaused && h.Calls >= failingCalls && h.Refused*100 >= failingShare*h.Calls {
		return rankFailing
	}
	if _, ok := s.held(k, now); ok {
		return rankHeld
	}
	if !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(now) <= expiresSoon {
		return rankExpires
	}
	if n, _ := s.policy.Idle(k, used, now); n > 0 {
		return rankUnused
	}
	switch {
	case plain == postern.StateRotating:
		return rankRotating
	case plain == postern.StatePaused:
		return rankPaused
	case plain == postern.StateScheduled, used.IsZero():
		return rankNew
	}
	return rankActive
}

// state finds the state of a key, in words.
func (s *keySnap) state(k *postern.ServiceKey, now time.Time, zone *time.Location) keyState {
	plain, used := k.State(now), s.uses[k.ID].LastAt
	st := keyState{Rank: s.rank(k, plain, used, now)}
	switch st.Rank {
	case rankEnded:
		st.Words, st.Detail = "Ended", "expired "+lastMoment(k.ExpiresAt, zone).Format("2 Jan 2006")
		if plain == postern.StateEnded {
			st.Detail = "on " + k.RevokedAt.In(zone).Format("2 Jan 2006")
		}
	case rankFailing:
		h := s.hour[k.ID]
		st.Kind, st.Words, st.Detail = "bad", "Failing", fmt.Sprintf("%d%% refused in the last hour", h.Refused*100/h.Calls)
	case rankHeld:
		st.Kind, st.Words, st.Detail = "warn", "Rotating", "old secret held until "+s.plans[k.ID].Latest.In(zone).Format("2 Jan")
	case rankExpires:
		st.Kind, st.Words = "warn", "Expires today"
		if d := daysLeft(now, k.ExpiresAt); d > 0 {
			st.Words = "Expires in " + count(d, "day", "days")
		}
	case rankUnused:
		n, _ := s.policy.Idle(k, used, now)
		st.Kind, st.Words = "warn", "Unused "+count(n, "day", "days")
	case rankRotating:
		st.Kind, st.Words, st.Detail = "info", "Rotating", "old secret off "+inWords(k.Previous.EndsAt, now)
	case rankPaused:
		st.Words = "Paused"
	case rankNew:
		st.Words, st.Detail = "New", "no call yet"
		if plain == postern.StateScheduled {
			st.Words, st.Detail = "Starts "+k.NotBefore.In(zone).Format("2 Jan 2006"), ""
		}
	default:
		st.Kind, st.Words = "ok", "Active"
	}
	return st
}

// inWords says how long until a time: "in 2 days".
func inWords(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d >= 48*time.Hour:
		return "in " + count(daysLeft(now, t), "day", "days")
	case d >= time.Hour:
		return fmt.Sprintf("in %d h", d.Round(time.Hour)/time.Hour)
	}
	return fmt.Sprintf("in %d min", max(1, d.Round(time.Minute)/time.Minute))
}

// access says in words what scopes open: the groups, and whether they change anything.
func (s *keySnap) access(scopes []postern.Scope) (what, how string) {
	if len(scopes) == 0 {
		return "Nothing yet", "No scopes"
	}
	var groups []string
	read, write := false, false
	for _, name := range scopes {
		group := string(name)
		if info := s.scopes[name]; info != nil {
			if info.Group != "" {
				group = info.Group
			}
			read, write = read || info.Access == postern.AccessRead, write || info.Access == postern.AccessWrite
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	what = groups[0]
	for _, g := range groups[1:min(3, len(groups))] {
		what += ", " + g
	}
	if more := len(groups) - 3; more > 0 {
		what += fmt.Sprintf(" +%d", more)
	}
	switch {
	case read && write:
		how = "Read and write"
	case write:
		how = "Write only"
	case read:
		how = "Read only"
	}
	return what, how
}
