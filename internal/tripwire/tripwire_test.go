package tripwire_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/notify"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/tripwire"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// node is one of the servers over the same records.
type node struct {
	log *activity.Log
	w   *tripwire.Watcher
}

type world struct {
	*keyring.Keyring
	t      *testing.T
	db     *store.DB
	target string
	clock  atomic.Int64
	super  postern.Actor
	node   *node
	poked  atomic.Int64
	told   chan struct{} // gets one for each, as far as there is room
}

func (w *world) now() time.Time       { return time.UnixMicro(w.clock.Load()).UTC() }
func (w *world) pass(d time.Duration) { w.clock.Add(d.Microseconds()) }
func (w *world) fatal(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
func (w *world) do(err error) { w.t.Helper(); w.fatal(err) }

func run(t *testing.T, test func(t *testing.T, w *world)) {
	storetest.Targets(t, func(t *testing.T, target string) {
		w := &world{t: t, db: storetest.Open(t, target), target: target, told: make(chan struct{}, 1)}
		w.clock.Store(t0.UnixMicro())
		w.Keyring = keyring.New(keyring.Config{DB: w.db, Pepper: storetest.Pepper(t), Now: w.now})
		done, err := w.Setup(t.Context(), keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"})
		w.fatal(err)
		w.super = postern.Actor{AccountID: done.Account.ID, MemberID: done.Member.ID}
		w.node = w.another()
		test(t, w)
	})
}

// another is a further node. On SQLite there is one process, and two logs over one file stand for two nodes.
func (w *world) another() *node {
	w.t.Helper()
	file := w.target
	if !strings.Contains(file, "://") {
		file += ".activity"
	}
	n := &node{}
	var err error
	n.log, err = activity.Open(w.t.Context(), activity.Config{Target: file, Now: w.now, Seen: func(list []activity.Seen) { n.w.Seen(list) }})
	w.fatal(err)
	w.t.Cleanup(func() { n.log.Close() })
	n.w = tripwire.New(tripwire.Config{DB: w.db, Activity: n.log, Keyring: w.Keyring, Now: w.now, Told: func() {
		w.poked.Add(1)
		select {
		case w.told <- struct{}{}:
		default:
		}
	}})
	return n
}

// key makes a service key.
func (w *world) key(name string, canary bool) postern.ServiceKey {
	w.t.Helper()
	made, err := w.CreateKey(w.t.Context(), w.super, keyring.NewKey{Name: name, Canary: canary})
	w.fatal(err)
	return made.Key
}

// call is a number of calls with a secret of a key on a node, which then looks at them.
func (w *world) call(n *node, k *postern.ServiceKey, gen int64, ip string, reason postern.Reason, calls int) {
	w.t.Helper()
	for range calls {
		e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/deals", UserAgent: "sync/1.0", Status: reason.Status(), IP: netip.MustParseAddr(ip)}
		e.Decision = postern.Decision{Allowed: reason == postern.ReasonAllowed, Reason: reason, Kind: postern.KindServiceKey, Gen: uint32(gen), Known: true, Account: k.AccountID, At: e.At}
		copy(e.Decision.Key[:], k.ID)
		n.log.Record(&e)
	}
	w.do(n.log.Flush(w.t.Context()))
	w.do(n.w.Look(w.t.Context()))
}

// want checks which tripwires of a key were touched so far.
func (w *world) want(what string, k *postern.ServiceKey, kinds ...postern.TripKind) {
	w.t.Helper()
	list, err := w.Trips(w.t.Context(), w.super, k.ID, store.Cursor{}, 100)
	w.fatal(err)
	var got []postern.TripKind
	for _, t := range list {
		got = append(got, t.Kind)
	}
	slices.Sort(got) // two of the same look have the same time
	slices.Sort(kinds)
	if !slices.Equal(got, kinds) {
		w.t.Errorf("%s: touched %v, want %v", what, got, kinds)
	}
}

func (w *world) policy(set func(*postern.Tripwires)) {
	w.t.Helper()
	p, err := w.Policy(w.t.Context(), w.super)
	w.fatal(err)
	set(&p.Tripwires)
	_, err = w.SetPolicy(w.t.Context(), w.super, p)
	w.fatal(err)
}

func TestCanary(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		plain, bird, dead := w.key("plain", false), w.key("bird", true), w.key("dead", true)
		w.policy(func(p *postern.Tripwires) { p.Canary = postern.TripPause })
		w.call(w.node, &plain, 1, "203.0.113.7", postern.ReasonAllowed, 1)
		w.want("a key that is none", &plain)
		w.call(w.node, &bird, 1, "203.0.113.7", postern.ReasonInsufficientScope, 3)
		w.want("refused calls of a canary", &bird, postern.TripCanary)
		w.call(w.node, &bird, 1, "203.0.113.7", postern.ReasonPaused, 3)
		w.want("once an hour", &bird, postern.TripCanary)
		k, err := w.Key(t.Context(), w.super, bird.ID)
		if err != nil || k.PausedAt.IsZero() || !k.Canary {
			t.Errorf("the canary is %+v, %v; want it paused", k, err)
		}
		w.pass(postern.TripAgain)
		w.call(w.node, &bird, 1, "203.0.113.7", postern.ReasonPaused, 1)
		w.want("after the hour", &bird, postern.TripCanary, postern.TripCanary)
		if n := w.poked.Load(); n != 2 {
			t.Errorf("told %d times, want 2", n)
		}
		_, err = w.RevokeKey(t.Context(), w.super, dead.ID, "")
		w.fatal(err)
		w.call(w.node, &dead, 1, "203.0.113.7", postern.ReasonRevoked, 1)
		w.want("one that has ended", &dead, postern.TripCanary, postern.TripRetired)
	})
}

// TestRetired: only a whole true secret that was ended counts, and many nodes tell once.
func TestRetired(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := w.key("nightly", false)
		other := w.another()
		w.call(w.node, &k, 1, "203.0.113.7", postern.ReasonUnknownKey, 5)
		w.want("a wrong secret", &k)
		w.call(w.node, &k, 1, "203.0.113.7", postern.ReasonRetired, 5)
		w.call(other, &k, 1, "203.0.113.7", postern.ReasonRetired, 5)
		w.want("on two nodes", &k, postern.TripRetired)
		list, err := w.Trips(t.Context(), w.super, k.ID, store.Cursor{}, 1)
		if err != nil || !strings.Contains(list[0].Words, "sync at 203.0.113.7 presents a secret of this key that was rotated away (the 1st)") || list[0].Generation != 1 || list[0].Paused {
			t.Errorf("trip = %+v, %v", list, err)
		}
		k2 := w.key("off", false)
		w.policy(func(p *postern.Tripwires) { p.Retired = postern.TripOff })
		w.call(w.node, &k2, 1, "203.0.113.7", postern.ReasonRetired, 5)
		w.want("off", &k2)

		// A key ID alone raises no alarm: who has no secret is a stranger.
		w.policy(func(p *postern.Tripwires) { p.Retired = postern.TripNotify })
		e := postern.Event{At: postern.ToMicros(w.now()), Decision: postern.Decision{Reason: postern.ReasonRetired, Kind: postern.KindServiceKey, Gen: 1, Account: k2.AccountID}}
		copy(e.Decision.Key[:], k2.ID)
		w.node.log.Record(&e)
		w.do(w.node.log.Flush(t.Context()))
		w.do(w.node.w.Look(t.Context()))
		w.want("without the secret", &k2)
	})
}

// TestFar: two far networks at once are told of where one of them is new; neighbours,
// moves long after, both families of one host, listed networks, fleets and the first
// day of a key are not.
func TestFar(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		other := w.another()
		allowed := postern.ReasonAllowed
		start := func(name string, homes ...string) *postern.ServiceKey {
			k := w.key(name, false)
			for _, ip := range homes {
				w.call(w.node, &k, 1, ip, allowed, 1)
			}
			return &k
		}
		steady, moves, dual, young0 := start("steady", "198.51.7.1"), start("moves", "198.51.7.1"), start("dual", "198.51.7.1"), start("gap", "198.51.7.1")
		fleet := start("fleet", "198.51.7.1", "203.0.7.1", "192.0.2.1", "100.1.1.1", "100.2.1.1")
		two, inside, listed := start("two nodes", "198.51.7.1"), start("inside", "198.51.7.1"), start("listed", "198.51.7.1")
		nets := []netip.Prefix{netip.MustParsePrefix("198.51.0.0/16"), netip.MustParsePrefix("203.0.113.0/24")}
		_, err := w.EditKey(t.Context(), w.super, listed.ID, keyring.KeyEdit{Networks: &nets})
		w.fatal(err)
		w.pass(30 * time.Hour)
		young := start("young", "198.51.7.1", "203.0.113.9")
		w.want("the first day of a key", young)

		w.call(w.node, steady, 1, "198.51.8.1", allowed, 1)
		w.want("a neighbour", steady)
		w.call(w.node, steady, 1, "203.0.113.9", postern.ReasonUnknownKey, 9)
		w.want("a wrong secret from elsewhere", steady)
		w.call(w.node, steady, 1, "203.0.113.9", allowed, 1)
		w.want("from two networks at once", steady, postern.TripFar)
		w.call(w.node, dual, 1, "198.51.7.1", allowed, 1)
		w.call(w.node, dual, 1, "2001:db8::1", allowed, 1)
		w.want("the other family of one host", dual)
		w.call(w.node, fleet, 1, "198.51.7.1", allowed, 1)
		w.call(w.node, fleet, 1, "203.9.113.9", allowed, 1)
		w.want("a fleet", fleet)
		w.call(w.node, inside, 1, "198.51.7.1", allowed, 1)
		w.call(w.node, inside, 1, "10.9.0.1", allowed, 1)
		w.want("a private address", inside)
		w.call(w.node, listed, 1, "198.51.7.1", allowed, 1)
		w.call(w.node, listed, 1, "203.0.113.9", allowed, 1)
		w.want("a network that the IP list names", listed)
		w.call(w.node, moves, 1, "203.0.113.9", allowed, 1) // the old place was silent for 30 hours
		w.pass(11 * time.Minute)
		w.do(w.node.w.Look(t.Context()))
		w.call(w.node, moves, 1, "198.51.7.1", allowed, 1)
		w.want("one that moved, and is back later", moves)

		// The new network on one node, the old one on the other, a little later.
		w.call(w.node, two, 1, "203.0.113.9", allowed, 1)
		w.want("alone so far", two)
		w.pass(3 * time.Minute)
		w.call(other, two, 1, "198.51.7.1", allowed, 1)
		w.do(w.node.w.Look(t.Context()))
		w.want("at once, on two nodes", two, postern.TripFar)

		// Another secret of the same key is another caller.
		w.call(w.node, young0, 1, "198.51.7.1", allowed, 1)
		w.call(w.node, young0, 2, "203.0.113.9", allowed, 1)
		w.want("another secret", young0)
	})
}

func TestRefusals(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		other := w.another()
		a, b, c, d := w.key("a", false), w.key("b", false), w.key("c", false), w.key("d", false)
		no := postern.ReasonInsufficientScope
		w.call(w.node, &a, 1, "203.0.113.7", no, 49)
		w.want("too few", &a)
		w.pass(3 * time.Second)
		w.call(w.node, &a, 1, "203.0.113.7", no, 1)
		w.want("a burst", &a, postern.TripRefused)
		w.call(w.node, &b, 1, "203.0.113.7", postern.ReasonAllowed, 60)
		w.call(w.node, &b, 1, "203.0.113.7", no, 50)
		w.want("less than half of the calls", &b)
		w.call(w.node, &c, 1, "203.0.113.7", postern.ReasonRateLimited, 400)
		w.call(w.node, &c, 1, "203.0.113.7", postern.ReasonPaused, 400)
		w.want("limits and pauses", &c)
		// Half on each of two nodes, and the count put off since it was asked just before.
		w.call(w.node, &d, 1, "203.0.113.7", no, 25)
		w.call(other, &d, 1, "203.0.113.7", no, 24)
		w.want("not yet", &d)
		w.call(other, &d, 1, "203.0.113.7", no, 1)
		w.want("asked just before", &d)
		w.pass(3 * time.Second)
		w.do(other.w.Look(t.Context()))
		w.want("on two nodes together", &d, postern.TripRefused)
		w.pass(2 * time.Hour)
		w.call(w.node, &d, 1, "203.0.113.7", no, 10)
		w.want("long after", &d, postern.TripRefused)
	})
}

// TestPeopleAreTold: through the bell and by mail, with the name of the key and never a secret.
func TestPeopleAreTold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		n := notify.New(notify.Config{DB: w.db, Activity: w.node.log, Now: w.now})
		w.do(n.Events(t.Context()))
		k := w.key("bird", true)
		w.call(w.node, &k, 1, "203.0.113.7", postern.ReasonInsufficientScope, 1)
		w.do(n.Events(t.Context()))
		list, err := w.db.Notifications(t.Context(), w.super.MemberID, true, store.Cursor{}, 10)
		if err != nil || len(list) != 1 || list[0].Kind != notify.Tripwire || list[0].Subject != "bird is a canary, and was used" || list[0].Link != "/keys/"+string(k.ID) {
			t.Errorf("told %+v, %v", list, err)
		}
	})
}

// TestWithinSeconds: with the workers running, a touched tripwire is there within five seconds of its call.
func TestWithinSeconds(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- w.node.log.Run(ctx) }()
		go func() { ended <- w.node.w.Run(ctx) }()
		defer func() {
			stop()
			for range 2 {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}()
		k := w.key("bird", true)
		e := postern.Event{At: postern.ToMicros(w.now()), IP: netip.MustParseAddr("203.0.113.7")}
		e.Decision = postern.Decision{Reason: postern.ReasonInsufficientScope, Kind: postern.KindServiceKey, Gen: 1, Known: true, Account: k.AccountID}
		copy(e.Decision.Key[:], k.ID)
		begun := time.Now()
		w.node.log.Record(&e)
		select {
		case <-w.told:
			t.Logf("after %v", time.Since(begun).Round(time.Millisecond))
		case <-time.After(5 * time.Second):
			t.Error("nothing was told of within 5 seconds")
		}
		w.want("with the workers running", &k, postern.TripCanary)
	})
}

// TestMemoryIsBounded: a flood of keys costs no more memory than its bound, and what is left out is told.
func TestMemoryIsBounded(t *testing.T) {
	w := tripwire.New(tripwire.Config{})
	list := make([]activity.Seen, 0, 1000)
	for i := range 40_000 {
		list = append(list, activity.Seen{Account: "a", Key: postern.KeyID(fmt.Sprint(i)), Kind: postern.KindServiceKey, Allowed: true, IP: "203.0.113.7"})
		if len(list) == 1000 {
			w.Seen(list)
			list = list[:0]
		}
	}
	if n := w.Pending(); n != 1<<14 {
		t.Errorf("%d keys wait, want the bound %d", n, 1<<14)
	}
}

// TestNetworksAreForgotten: where a key is at home is remembered of so many networks and
// for a day; then the log of calls is asked again, which forgets after a month.
func TestNetworksAreForgotten(t *testing.T) {
	net := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i / 200), byte(i % 200), 0, 0}), 16)
	}
	known := map[netip.Prefix]time.Time{}
	var many []netip.Prefix
	for i := range 500 {
		many = append(many, net(i))
	}
	if n := tripwire.AtHome(known, many, t0); n != 64 {
		t.Errorf("%d networks are remembered, want 64", n)
	}
	if n := tripwire.AtHome(known, many[:1], t0.Add(23*time.Hour)); n != 64 {
		t.Errorf("%d networks are remembered within the day, want 64", n)
	}
	if n := tripwire.AtHome(known, nil, t0.Add(24*time.Hour)); n != 1 {
		t.Errorf("%d networks are remembered after a day, want the one that was found since", n)
	}

	run(t, func(t *testing.T, w *world) {
		k := w.key("sync", false)
		for _, ip := range []string{"203.0.113.7", "198.51.100.7"} {
			w.call(w.node, &k, 1, ip, postern.ReasonAllowed, 1)
		}
		w.pass(25 * time.Hour)
		w.call(w.node, &k, 1, "203.0.113.7", postern.ReasonAllowed, 1)
		w.call(w.node, &k, 1, "198.51.100.7", postern.ReasonAllowed, 1)
		w.want("both are known", &k)
		for range 32 { // a month from one of them alone
			w.pass(24 * time.Hour)
			w.call(w.node, &k, 1, "203.0.113.7", postern.ReasonAllowed, 1)
		}
		w.call(w.node, &k, 1, "198.51.100.7", postern.ReasonAllowed, 1)
		w.want("the other is new again", &k, postern.TripFar)
	})
}
