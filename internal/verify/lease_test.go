package verify_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

func TestLease(t *testing.T) {
	type step func(w *world)
	add := func(d time.Duration) step { return func(w *world) { w.clock.add(d) } }
	tests := []struct {
		name  string
		steps []step
		want  postern.Reason
	}{
		{"fresh", nil, postern.ReasonAllowed},
		{"at its last moment", []step{add(time.Minute - time.Nanosecond)}, postern.ReasonAllowed},
		{"run out", []step{add(time.Minute)}, postern.ReasonUnavailable},
		{"renewed in time", []step{add(40 * time.Second), (*world).renew, add(40 * time.Second)}, postern.ReasonAllowed},
		{"renewed late", []step{add(time.Hour), (*world).renew}, postern.ReasonAllowed},
		{"the machine slept", []step{func(w *world) { w.clock.paused = time.Hour }, add(time.Hour)}, postern.ReasonUnavailable},
		{"paused with all its clocks but the wall's", []step{func(w *world) { w.clock.paused, w.clock.asleep = time.Hour, time.Hour }, add(time.Hour)}, postern.ReasonUnavailable},
		{"slept, and the wall clock was set back", []step{func(w *world) { w.clock.paused, w.clock.ahead = time.Hour, -2*time.Hour }, add(time.Hour)}, postern.ReasonUnavailable},
		{"the wall clock jumps a day ahead", []step{func(w *world) { w.clock.ahead = 24 * time.Hour }}, postern.ReasonUnavailable},
		{"and the lease is renewed", []step{func(w *world) { w.clock.ahead = 24 * time.Hour }, (*world).renew}, postern.ReasonAllowed},
		{"the wall clock jumps a day back", []step{func(w *world) { w.clock.ahead = -24 * time.Hour }}, postern.ReasonAllowed},
		{"and time runs out all the same", []step{func(w *world) { w.clock.ahead = -24 * time.Hour }, add(time.Minute)}, postern.ReasonUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			secret, _ := w.key()
			for _, f := range tt.steps {
				f(w)
			}
			w.want(get(secret, "GET", "/deals"), tt.want)
			if alive := w.v.Alive(); alive != (tt.want == postern.ReasonAllowed) {
				t.Errorf("Alive = %v", alive)
			}
		})
	}
}

func TestNoLeaseNoDecision(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.key()
	v := w.node()
	for _, req := range []*verify.Request{get(secret, "GET", "/deals"), get(postern.Secret{}, "GET", "/ping"), get(postern.SecretOf("x"), "GET", "/deals")} {
		if d := verifyWith(t, v, req); d.Reason != postern.ReasonUnavailable || d.Allowed {
			t.Errorf("without a lease Verify = %v", d.Reason)
		}
	}
	w.store.set(func() { w.store.down = errDown })
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	if err := w.v.Renew(context.Background()); !errors.Is(err, errDown) {
		t.Errorf("Renew = %v", err)
	}
	w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
	w.clock.add(time.Minute)
	w.want(get(secret, "GET", "/deals"), postern.ReasonUnavailable)
}

// Expiry holds by the store's time, whatever this machine's clock says.
func TestExpiryByStoreTime(t *testing.T) {
	for _, ahead := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour} {
		w := newWorld(t)
		w.clock.ahead = ahead
		w.renew()
		secret, _ := w.key(func(r *postern.CredentialRow) { r.ExpiresAt = t0.Add(30 * time.Second) })
		w.clock.add(28 * time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
		// Set again between two renewals, without the lease ending by it.
		w.clock.set(func() { w.clock.ahead -= time.Hour })
		w.clock.add(4 * time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonExpired)
		s := w.v.Stats()
		if s.Offset != -ahead || s.ClockAlarm() != (ahead != 0) {
			t.Errorf("Stats: offset %v, alarm %v, with a clock that is %v ahead", s.Offset, s.ClockAlarm(), ahead)
		}
	}
}

// A virtual machine stood still, and only its wall clock tells: what expires
// meanwhile is not let pass, and what doesn't expire is.
func TestExpiryAfterAFreeze(t *testing.T) {
	for _, stood := range []time.Duration{500 * time.Millisecond, 20 * time.Second} {
		w := newWorld(t)
		w.renew()
		lasting, _ := w.key()
		ending, _ := w.key(func(r *postern.CredentialRow) { r.ExpiresAt = t0.Add(10 * time.Second) })
		far, _ := w.key(func(r *postern.CredentialRow) { r.ExpiresAt = t0.Add(time.Hour) })
		w.clock.set(func() { w.clock.paused, w.clock.asleep = stood, stood })
		w.clock.add(stood)
		w.want(get(lasting, "GET", "/deals"), postern.ReasonAllowed)
		w.want(get(far, "GET", "/deals"), postern.ReasonAllowed)
		if stood < time.Second {
			w.want(get(ending, "GET", "/deals"), postern.ReasonAllowed)
			continue
		}
		w.want(get(ending, "GET", "/deals"), postern.ReasonUnavailable)
		if d := w.v.Still(t.Context(), get(ending, "GET", "/deals")); d.Allowed || d.Reason != postern.ReasonUnavailable {
			t.Errorf("Still = %v", d.Reason)
		}
		w.renew()
		w.want(get(ending, "GET", "/deals"), postern.ReasonExpired)
	}
}

func TestFeedThatIsNotWhatItWas(t *testing.T) {
	tests := []struct {
		name string
		do   func(m *memStore)
	}{
		{"goes back", func(m *memStore) { m.feed = m.feed[:len(m.feed)-1] }},
		{"another epoch", func(m *memStore) { m.epoch++ }},
		{"another change under the last number", func(m *memStore) { m.feed[len(m.feed)-1].ID = "another" }},
		{"another change under the last number, and more", func(m *memStore) {
			m.feed[len(m.feed)-1].ID = "another"
			m.feed = append(m.feed, postern.Change{Seq: m.first + int64(len(m.feed)) + 1, Kind: postern.ChangeCatalog})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			ctx := context.Background()
			live, _ := w.key()
			dead, row := w.key()
			row.RevokedAt = t0
			w.put(row)
			w.want(get(dead, "GET", "/deals"), postern.ReasonRevoked)

			// A standby takes over that never heard of the revocation.
			w.store.set(func() {
				row.RevokedAt = time.Time{}
				row.Revision++
				row.Seal(w.pepper)
				w.store.rows[row.Key] = row
				tt.do(w.store)
			})
			if err := w.v.Renew(ctx); !errors.Is(err, verify.ErrHalted) {
				t.Fatalf("Renew = %v, want ErrHalted", err)
			}
			if w.v.Stats().Halted == "" {
				t.Error("Stats tells of no alarm")
			}
			w.want(get(live, "GET", "/deals"), postern.ReasonAllowed)
			w.clock.add(time.Minute)
			if err := w.v.Renew(ctx); !errors.Is(err, verify.ErrHalted) {
				t.Fatalf("Renew = %v, want ErrHalted", err)
			}
			w.want(get(live, "GET", "/deals"), postern.ReasonUnavailable)

			if err := w.v.Accept(ctx); err != nil {
				t.Fatal(err)
			}
			w.renew()
			w.want(get(live, "GET", "/deals"), postern.ReasonAllowed)
			w.want(get(dead, "GET", "/deals"), postern.ReasonRevoked)
			if w.v.Stats().Halted != "" {
				t.Error("Stats still tells of the alarm")
			}
		})
	}
}

// A node that saw more than the store has left vouches for no change that gets a
// number anew, neither before it noticed nor after.
func TestNumberGivenTwice(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	live, lost := w.key()
	_, row := w.key()
	row.RevokedAt = t0
	w.put(row)
	w.store.set(func() { w.store.feed = w.store.feed[:len(w.store.feed)-1] })
	lost.RevokedAt = t0
	lost.Revision++
	lost.Seal(w.pepper)
	seq := w.store.commit(postern.ChangeCredential, string(lost.Key), func() { w.store.rows[lost.Key] = lost })
	for range 2 {
		if err := w.v.CatchUp(ctx, seq); !errors.Is(err, verify.ErrHalted) {
			t.Fatalf("CatchUp = %v, want ErrHalted", err)
		}
		if r, err := w.v.Receipt(ctx, seq, 0); err != nil || r.Everywhere || len(r.Awaited) != 1 {
			t.Errorf("Receipt = %+v, %v: this node decides by what was before", r, err)
		}
	}
	w.want(get(live, "GET", "/deals"), postern.ReasonAllowed)
	if err := w.v.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	w.want(get(live, "GET", "/deals"), postern.ReasonRevoked)
}

func TestTooFarBehind(t *testing.T) {
	for name, cut := range map[string]func(m *memStore){
		"many changes": func(*memStore) {},
		"old changes are gone": func(m *memStore) {
			n := len(m.feed) - 3
			m.first, m.feed = m.first+int64(n), m.feed[n:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *verify.Config) { c.MaxBehind = 15 })
			secret, row := w.key()
			gone, goneRow := w.key()
			var last int64
			for range 10 {
				last = w.store.commit(postern.ChangeCredential, string(row.Key), func() {
					row.PausedAt = t0
					row.Revision++
					row.Seal(w.pepper)
					w.store.rows[row.Key] = row
				})
			}
			for range 10 {
				last = w.store.commit(postern.ChangeCredential, string(goneRow.Key), func() { delete(w.store.rows, goneRow.Key) })
			}
			w.store.set(func() { cut(w.store) })
			w.renew()
			w.want(get(secret, "GET", "/deals"), postern.ReasonPaused)
			w.want(get(gone, "GET", "/deals"), postern.ReasonUnknownKey)
			if s := w.v.Stats(); s.Applied != last || s.Loads != 2 || s.Lag != 0 {
				t.Errorf("Stats: applied %d of %d, loads %d, lag %d", s.Applied, last, s.Loads, s.Lag)
			}
		})
	}
}

func TestAskStore(t *testing.T) {
	w := newWorld(t, func(c *verify.Config) { c.Shared = true })
	_, row := w.key()
	// Another node makes a key; the feed has not reached this one.
	fresh := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID())
	p, _ := postern.ParseSecret(postern.DefaultBrand, fresh.Reveal())
	row.Key, row.AccountID, row.Current = p.KeyID(), account, w.hash(fresh, 1)
	row.Seal(w.pepper)
	w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = row })
	w.want(get(fresh, "GET", "/deals"), postern.ReasonAllowed)

	w.store.set(func() { w.store.reads = 0 })
	for range 1000 {
		w.want(get(postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID()), "GET", "/deals"), postern.ReasonUnknownKey)
	}
	if w.store.reads > 50 {
		t.Errorf("1,000 unknown keys in no time made %d reads, want at most 50", w.store.reads)
	}
	if s := w.v.Stats(); s.AsksFound != 1 || s.AsksRefused < 950 {
		t.Errorf("Stats: %d found, %d refused", s.AsksFound, s.AsksRefused)
	}
}

func TestAloneNobodyIsAsked(t *testing.T) {
	w := newWorld(t)
	w.want(get(postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, postern.NewKeyID()), "GET", "/deals"), postern.ReasonUnknownKey)
	if w.store.reads != 0 || w.store.confirms != 0 {
		t.Errorf("%d reads and %d confirmations, want none", w.store.reads, w.store.confirms)
	}
}

// bubbleClock tells the time of a synctest bubble in all three ways.
type bubbleClock struct{}

func (bubbleClock) Now() verify.Instant {
	n := time.Now().UnixNano()
	return verify.Instant{Wall: n, Mono: n, Boot: n}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, pepper: pepperOf(t, pepper1)}
		w.store = newMemStore(time.Now)
		w.store.accounts[account] = postern.Account{ID: account, Revision: 1}
		w.store.ups = []verify.Upstream{{ID: crm, Catalog: 1}}
		w.store.catalogs[crm] = dealsCatalog()
		var told atomic.Int64
		w.v = w.node(func(c *verify.Config) {
			c.Clock, c.Node = bubbleClock{}, "a"
			c.Applied = func(list []postern.Change) { told.Add(int64(len(list))) }
		})
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.v.Run(ctx) }()
		<-w.v.Ready()
		id := postern.NewKeyID()
		secret := postern.NewSecret(postern.DefaultBrand, postern.SecretServiceKey, id)
		row := postern.CredentialRow{Key: id, AccountID: account, Kind: postern.KindServiceKey, Scopes: []postern.Scope{"deals.read"},
			Current: w.hash(secret, 1), Revision: 1}
		row.Seal(w.pepper)
		w.store.commit(postern.ChangeCredential, string(id), func() { w.store.rows[id] = row })
		time.Sleep(time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
		if n := told.Load(); n != 1 {
			t.Errorf("Applied was told of %d changes, want 1", n)
		}

		// An outage: decisions go on for the length of a lease, and are refused then.
		w.store.set(func() { w.store.down = errDown })
		time.Sleep(39 * time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
		time.Sleep(21 * time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonUnavailable)
		w.store.set(func() { w.store.down = nil })
		time.Sleep(15 * time.Second)
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)
		time.Sleep(time.Hour)
		w.want(get(secret, "GET", "/deals"), postern.ReasonAllowed)

		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		w.want(get(secret, "GET", "/deals"), postern.ReasonUnavailable)
		if len(w.store.leases) != 0 {
			t.Errorf("the lease was not given back: %v", w.store.leases)
		}
	})
}
