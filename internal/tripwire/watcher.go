package tripwire

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/store"
)

// Config is what a Watcher needs.
type Config struct {
	DB *store.DB
	// Activity tells what other nodes saw.
	Activity *activity.Log
	Keyring  *keyring.Keyring
	// Told is called when somebody should be told of something. May be nil.
	Told func()
	Now  func() time.Time
	Log  *slog.Logger
}

// Watcher watches calls. Its methods may be called from many goroutines at once.
type Watcher struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	pending map[postern.KeyID]*news
	dropped bool

	// What follows belongs to Look.
	look     sync.Mutex
	keys     map[postern.KeyID]*keyFacts
	policies map[postern.AccountID]postern.Tripwires // of one look
	fresh    map[postern.KeyID]postern.AccountID     // keys with a network that is new, watched until it isn't
	bursts   map[postern.KeyID]postern.AccountID     // keys whose refusals are to be counted a little later
}

// Bounds of what is held in memory.
const (
	mostPending = 1 << 14 // keys in one look
	mostKeys    = 1 << 16 // keys of which something is remembered
	mostNets    = 64      // networks of a key in one look, and that are remembered of it
	mostFresh   = 1 << 12 // keys that are watched
)

// again is how often what is not over is looked at once more.
const again = 2 * time.Second

// news is what calls with a key did since the last look.
type news struct {
	account postern.AccountID
	latest  activity.Seen // of whatever answer
	retired *activity.Seen
	nets    map[netip.Prefix]activity.Seen // allowed calls, by network
	refused int64                          // calls that the key may not make
}

// keyFacts is what is remembered of a key. All of it can be forgotten.
type keyFacts struct {
	service bool // a service key: the others aren't watched
	canary  bool
	nets    map[netip.Prefix]time.Time // where it is at home, and when that was last found
	fleet   time.Time                  // until when it is known to call from everywhere
	quiet   map[postern.TripKind]time.Time
	refused []tally
	asked   time.Time // when its refusals were last counted
}

// New makes a Watcher.
func New(cfg Config) *Watcher {
	if cfg.Told == nil {
		cfg.Told = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, wake: make(chan struct{}, 1), pending: map[postern.KeyID]*news{}, keys: map[postern.KeyID]*keyFacts{},
		fresh: map[postern.KeyID]postern.AccountID{}, bursts: map[postern.KeyID]postern.AccountID{}}
}

// Seen takes in what a batch held. It never blocks for long, and asks nothing.
func (w *Watcher) Seen(list []activity.Seen) {
	w.mu.Lock()
	for i := range list {
		w.add(&list[i])
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watcher) add(s *activity.Seen) {
	if s.Kind != postern.KindServiceKey {
		return
	}
	n := w.pending[s.Key]
	if n == nil {
		if len(w.pending) >= mostPending {
			w.dropped = true
			return
		}
		n = &news{account: s.Account}
		w.pending[s.Key] = n
	}
	n.latest = *s
	switch {
	case s.Allowed:
		net, ok := networkOf(s.IP)
		if !ok {
			return
		}
		if n.nets == nil {
			n.nets = map[netip.Prefix]activity.Seen{}
		}
		if _, there := n.nets[net]; there || len(n.nets) < mostNets {
			n.nets[net] = *s
		}
	case s.Reason == postern.ReasonRetired || s.Reason == postern.ReasonRevoked:
		one := *s
		n.retired = &one
	case probes(s.Reason):
		n.refused += s.Calls
	}
}

// Run looks at what is seen until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		var later <-chan time.Time
		if w.unfinished() {
			later = time.After(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-later:
		}
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Log.WarnContext(ctx, "tripwires are late", "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(again):
			}
		}
	}
}

func (w *Watcher) unfinished() bool {
	w.look.Lock()
	defer w.look.Unlock()
	return len(w.fresh)+len(w.bursts) > 0
}

// Look looks at all that was seen since the last look, and tells what is to be told.
// What fails is looked at again.
func (w *Watcher) Look(ctx context.Context) error {
	w.look.Lock()
	defer w.look.Unlock()
	w.mu.Lock()
	todo, dropped := w.pending, w.dropped
	w.pending, w.dropped = map[postern.KeyID]*news{}, false
	w.mu.Unlock()
	if dropped {
		w.cfg.Log.WarnContext(ctx, "more keys called at once than tripwires look at", "keys", mostPending)
	}
	w.policies = map[postern.AccountID]postern.Tripwires{}
	var errs []error
	for key, n := range todo {
		if err := w.judge(ctx, key, n); err != nil {
			errs = append(errs, err)
			w.putBack(key, n)
		}
	}
	for key, account := range w.fresh {
		if todo[key] == nil {
			errs = append(errs, w.far(ctx, key, account, nil))
		}
	}
	for key, account := range w.bursts {
		if f := w.keys[key]; f == nil {
			delete(w.bursts, key)
		} else if todo[key] == nil {
			errs = append(errs, w.refusals(ctx, key, f, account, 0))
		}
	}
	return errors.Join(errs...)
}

// putBack keeps what could not be looked at for the next time.
func (w *Watcher) putBack(key postern.KeyID, n *news) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if newer := w.pending[key]; newer != nil {
		if newer.retired == nil {
			newer.retired = n.retired
		}
		newer.refused += n.refused
		return
	}
	w.pending[key] = n
}

// judge looks at what calls with one key did.
func (w *Watcher) judge(ctx context.Context, key postern.KeyID, n *news) error {
	f, err := w.factsOf(ctx, key, n.account)
	if err != nil || !f.service {
		return err
	}
	var errs []error
	if f.canary {
		errs = append(errs, w.trip(ctx, f, postern.TripCanary, &n.latest, canaryWords(&n.latest)))
	}
	if n.retired != nil {
		errs = append(errs, w.trip(ctx, f, postern.TripRetired, n.retired, retiredWords(n.retired)))
	}
	if len(n.nets) > 0 {
		errs = append(errs, w.far(ctx, key, n.account, n.nets))
	}
	if n.refused > 0 {
		errs = append(errs, w.refusals(ctx, key, f, n.account, n.refused))
	}
	return errors.Join(errs...)
}

// factsOf are what is remembered of a key; of one that is new here, its record is read.
func (w *Watcher) factsOf(ctx context.Context, key postern.KeyID, account postern.AccountID) (*keyFacts, error) {
	if f := w.keys[key]; f != nil {
		return f, nil
	}
	rec, ok, err := w.cfg.DB.AnyKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(w.keys) >= mostKeys {
		clear(w.keys) // the records are asked again
	}
	f := &keyFacts{service: ok && rec.Key.AccountID == account, canary: rec.Key.Canary, nets: map[netip.Prefix]time.Time{}, quiet: map[postern.TripKind]time.Time{}}
	w.keys[key] = f
	return f, nil
}

func (w *Watcher) policy(ctx context.Context, a postern.AccountID) (postern.Tripwires, error) {
	if t, ok := w.policies[a]; ok {
		return t, nil
	}
	p, err := w.cfg.DB.Policy(ctx, a)
	if err == nil {
		w.policies[a] = p.Tripwires
	}
	return p.Tripwires, err
}

// trip tells that a tripwire was touched, unless that was told of lately.
func (w *Watcher) trip(ctx context.Context, f *keyFacts, kind postern.TripKind, s *activity.Seen, words string) error {
	now := w.cfg.Now()
	if now.Before(f.quiet[kind]) {
		return nil
	}
	p, err := w.policy(ctx, s.Account)
	if err != nil || p.Action(kind) == postern.TripOff {
		return err
	}
	told, err := w.cfg.Keyring.Trip(ctx, postern.Trip{AccountID: s.Account, Key: s.Key, Kind: kind, Generation: s.Generation, IP: s.IP, UserAgent: s.UserAgent, Words: words})
	if err != nil {
		return err
	}
	f.quiet[kind] = now.Add(time.Minute) // another node told of it, and that may be nearly an hour ago
	if told {
		f.quiet[kind] = now.Add(postern.TripAgain)
		w.cfg.Log.WarnContext(ctx, "a tripwire was touched", "tripwire", kind, "key_id", s.Key, "account_id", s.Account)
		w.cfg.Told()
	}
	return nil
}
