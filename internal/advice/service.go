package advice

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/limit"
)

// Service gives advice on the keys of an account.
type Service struct {
	kr  *keyring.Keyring
	log *activity.Log
	now func() time.Time

	mu      sync.Mutex
	edition string
	world   *World
	seen    map[seenKey]*seen
	reads   atomic.Int64 // keys whose calls were read
	replays *limit.Places
}

// What was read of a key's calls is kept for a while, and of so many keys at most.
const (
	keepSeen = 10 * time.Minute
	mostSeen = 5000
)

type seenKey struct {
	account postern.AccountID
	key     postern.KeyID
}

// seen is what a key's calls tell.
type seen struct {
	at      time.Time
	needs   []Need
	callers []Caller
	moments []Moment
	partial bool
	last    time.Time
}

// NewService makes a Service. now is UTC.
func NewService(kr *keyring.Keyring, log *activity.Log, now func() time.Time) *Service {
	return &Service{kr: kr, log: log, now: now, seen: map[seenKey]*seen{}, replays: limit.NewPlaces(replaysAtOnce, replaysEach)}
}

// ground is what the advice on all keys of an account rests on.
type ground struct {
	*keyring.Grounds
	world     *World
	dismissed map[postern.KeyID]map[Kind]Dismissal
	now       time.Time
}

func (s *Service) ground(ctx context.Context, by postern.Actor, key postern.KeyID) (*ground, error) {
	if err := s.kr.MayReadActivity(ctx, by); err != nil {
		return nil, err
	}
	g, err := s.kr.Grounds(ctx, by)
	if err != nil {
		return nil, err
	}
	out := &ground{Grounds: g, dismissed: map[postern.KeyID]map[Kind]Dismissal{}, now: s.now()}
	if out.world, err = s.worldOf(g); err != nil {
		return nil, err
	}
	list, err := s.kr.Dismissals(ctx, by, key)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if out.dismissed[d.Key] == nil {
			out.dismissed[d.Key] = map[Kind]Dismissal{}
		}
		out.dismissed[d.Key][Kind(d.Kind)] = Dismissal{At: d.At, By: d.By, What: d.What}
	}
	return out, nil
}

// worldOf gives the world of the catalogs in force, which is made anew when one changed.
func (s *Service) worldOf(g *keyring.Grounds) (*World, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world == nil || s.edition != g.Edition {
		w, err := NewWorld(g.Catalogs)
		if err != nil {
			return nil, err
		}
		s.world, s.edition = w, g.Edition
	}
	return s.world, nil
}

// Key gives the advice on one key.
func (s *Service) Key(ctx context.Context, by postern.Actor, id postern.KeyID) (*Report, error) {
	g, err := s.ground(ctx, by, id)
	if err != nil {
		return nil, err
	}
	k, err := s.kr.Key(ctx, by, id)
	if err != nil {
		return nil, err
	}
	s.forget(by.AccountID, id)
	return s.report(ctx, by, g, &k)
}

// report makes the report on a key.
func (s *Service) report(ctx context.Context, by postern.Actor, g *ground, k *postern.ServiceKey) (*Report, error) {
	got, err := s.read(ctx, by.AccountID, k.ID, g.now)
	if err != nil {
		return nil, err
	}
	f := &Facts{Key: *k, Now: g.now, Since: g.now.AddDate(0, 0, -Window), Needs: got.needs, Callers: got.callers, Moments: got.moments, Partial: got.partial,
		LastUse: got.last, Unheld: g.Unheld(k.Scopes), Policy: g.Policy, Dismissed: g.dismissed[k.ID]}
	fresh := g.now.AddDate(0, 0, -FairHistory)
	if k.UpdatedAt.After(fresh) && k.CreatedAt.Before(fresh) {
		if f.Granted, err = s.kr.GrantedSince(ctx, by, k.ID, fresh); err != nil {
			return nil, err
		}
	}
	return Look(g.world, f), nil
}

func (s *Service) forget(a postern.AccountID, id postern.KeyID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, seenKey{a, id})
}

// read reads what the calls of a key tell, or remembers it.
func (s *Service) read(ctx context.Context, a postern.AccountID, id postern.KeyID, now time.Time) (*seen, error) {
	key := seenKey{a, id}
	s.mu.Lock()
	got := s.seen[key]
	s.mu.Unlock()
	if got != nil && now.Sub(got.at) < keepSeen {
		return got, nil
	}
	got, err := s.readNow(ctx, a, id, now)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) >= mostSeen {
		clear(s.seen)
	}
	s.seen[key] = got
	return got, nil
}

// maxRows is more than an answer of the activity log has rows; where it has as
// many, there may be more.
const (
	maxNeeds   = 20_000
	maxCallers = 500
)

func (s *Service) readNow(ctx context.Context, a postern.AccountID, id postern.KeyID, now time.Time) (*seen, error) {
	s.reads.Add(1)
	since := now.AddDate(0, 0, -Window)
	rows, err := s.log.Needs(ctx, a, id, since, time.Time{})
	if err != nil {
		return nil, err
	}
	days, err := s.log.OperationDays(ctx, a, id, since)
	if err != nil {
		return nil, err
	}
	callers, err := s.log.Callers(ctx, a, id, 0, since)
	if err != nil {
		return nil, err
	}
	last, err := s.log.LastUsed(ctx, a, []postern.KeyID{id})
	if err != nil {
		return nil, err
	}
	scopes, err := s.log.ScopeUses(ctx, a, id)
	if err != nil {
		return nil, err
	}
	got := &seen{at: now, needs: needsOf(rows, days), partial: len(rows) >= maxNeeds, last: last[id].At}
	for i := range scopes {
		if u := &scopes[i]; u.Allowed {
			got.moments = append(got.moments, Moment{Scope: u.Scope, Op: Op{u.Upstream, u.Operation}, First: u.FirstAt, Last: u.LastAt})
		}
	}
	for _, c := range callers {
		if n := c.Calls - c.Refused; n > 0 {
			got.callers = append(got.callers, Caller{IP: c.IP, First: c.FirstAt, Last: c.LastAt, Calls: n})
		}
	}
	if len(callers) >= maxCallers {
		got.callers = append(got.callers, Caller{}) // one that isn't told apart: no short list holds all
	}
	return got, nil
}

// needsOf puts together what was allowed: one need for each operation, and one
// for each set of scopes that was asked for without one.
func needsOf(rows []activity.Needed, days []activity.OperationDay) []Need {
	at := map[string]int{}
	var out []Need
	for i := range rows {
		r := &rows[i]
		if !r.Allowed {
			continue
		}
		n := Need{Op: Op{r.Upstream, r.Operation}, First: r.First, Last: r.Last, Calls: r.Calls}
		key := string(r.Upstream) + "\x00" + r.Operation
		if r.Operation == "" {
			n.Asked = postern.SortScopes(slices.Clone(r.Scopes))
			for _, s := range n.Asked {
				key += "\x00" + string(s)
			}
		}
		j, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, n)
			continue
		}
		o := &out[j]
		if n.First.Before(o.First) {
			o.First = n.First
		}
		o.Last, o.Calls = later(o.Last, n.Last), o.Calls+n.Calls
	}
	for _, d := range days {
		if j, ok := at[string(d.Upstream)+"\x00"+d.Operation]; ok {
			out[j].Days = append(out[j].Days, d.Last)
		}
	}
	return out
}

// Todo is a finding of one of the account's keys.
type Todo struct {
	Key   postern.ServiceKey
	Score int // of the key
	Finding
	// Worth is what the fix adds to the account's score.
	Worth float64
}

// Overview is the advice on a whole account.
type Overview struct {
	Score Score
	Todos []Todo // most points first; those that were put aside come last
	Keys  int    // live keys of the account
	// Complete is whether all of them were looked at; if not, asking again goes on.
	Complete bool
	Waiting  int // keys of which there is too little history
	// Unrecorded is how many calls of the window could not be recorded, on this server as a whole.
	Unrecorded uint64
}

// accountTime is how long one answer about a whole account may take.
const accountTime = 1500 * time.Millisecond

// Account gives the advice on all live keys of an account.
func (s *Service) Account(ctx context.Context, by postern.Actor) (*Overview, error) {
	g, err := s.ground(ctx, by, "")
	if err != nil {
		return nil, err
	}
	out := &Overview{Complete: true}
	stop := time.Now().Add(accountTime)
	reads := s.reads.Load()
	err = s.kr.EachKey(ctx, by, func(k *postern.ServiceKey) error {
		if out.Keys++; !k.ExpiresAt.IsZero() && !g.now.Before(k.ExpiresAt) {
			return nil
		}
		// Each answer reads of one key more at least, so that asking again gets to the end.
		if !out.Complete || time.Now().After(stop) && s.reads.Load() > reads {
			out.Complete = false
			return nil
		}
		r, err := s.report(ctx, by, g, k)
		if err != nil {
			return err
		}
		if out.Score.Keys++; r.Wait {
			out.Waiting++
		}
		out.Score.Lost += r.Lost()
		for _, f := range r.Findings {
			out.Todos = append(out.Todos, Todo{Key: *k, Score: r.Score(), Finding: f})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range out.Todos {
		out.Todos[i].Worth = out.Score.Part(out.Todos[i].Points)
	}
	slices.SortStableFunc(out.Todos, func(a, b Todo) int {
		return cmp.Or(boolOrder(!a.Dismissed.IsZero(), !b.Dismissed.IsZero()), cmp.Compare(b.Points, a.Points),
			slices.Index(Kinds(), a.Kind)-slices.Index(Kinds(), b.Kind), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	losses, err := s.log.Losses(ctx, g.now.AddDate(0, 0, -Window))
	if err != nil {
		return nil, err
	}
	for _, l := range losses {
		out.Unrecorded += uint64(l.Calls)
	}
	return out, nil
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// Apply makes the fix of a finding, as it is told now.
func (s *Service) Apply(ctx context.Context, by postern.Actor, id postern.KeyID, k Kind, revision int64) (keyring.Made, error) {
	f, rev, err := s.finding(ctx, by, id, k)
	if err != nil {
		return keyring.Made{}, err
	}
	if revision == 0 {
		revision = rev
	}
	in := keyring.Narrowing{IfRevision: revision, Why: "advice: " + string(k)}
	switch f.Fix.Kind {
	case FixNarrow:
		in.Scopes, in.Networks = f.Fix.Scopes, f.Fix.Networks
		if !f.Fix.ExpiresAt.IsZero() {
			in.ExpiresAt = &f.Fix.ExpiresAt
		}
	case FixPause:
		in.Pause = true
	case FixReview:
		in.Reviewed = true
	case FixRotate:
		return keyring.Made{}, postern.Errorf(postern.CodeConflict, "A new secret must be put in place by someone. Rotate the key: postern keys rotate")
	default:
		return keyring.Made{}, postern.Errorf(postern.CodeConflict, "This is put right by giving a member a role: %s", f.FixWords)
	}
	return s.kr.NarrowKey(ctx, by, id, in)
}

func (s *Service) finding(ctx context.Context, by postern.Actor, id postern.KeyID, k Kind) (*Finding, int64, error) {
	r, err := s.Key(ctx, by, id)
	if err != nil {
		return nil, 0, err
	}
	f, ok := r.Finding(k)
	if !ok {
		return nil, 0, postern.Errorf(postern.CodeNotFound, "There is no such advice on the key %q any more.", r.Key.Name)
	}
	return f, r.Key.Revision, nil
}

// Dismiss puts a finding aside, or takes it up again.
func (s *Service) Dismiss(ctx context.Context, by postern.Actor, id postern.KeyID, k Kind, aside bool) error {
	if !aside {
		return s.kr.DismissAdvice(ctx, by, id, string(k), "")
	}
	f, _, err := s.finding(ctx, by, id, k)
	if err != nil {
		return err
	}
	return s.kr.DismissAdvice(ctx, by, id, string(k), f.What())
}
