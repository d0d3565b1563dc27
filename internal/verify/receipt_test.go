package verify_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/verify"
)

func TestReceiptAlone(t *testing.T) {
	w := newWorld(t)
	secret, row := w.key()
	row.RevokedAt = t0
	row.Revision++
	row.Seal(w.pepper)
	seq := w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = row })
	r, err := w.v.Receipt(context.Background(), seq, 0)
	if err != nil || !r.Everywhere || r.Seq != seq || !r.EffectiveBy.IsZero() || len(r.Awaited) != 0 {
		t.Fatalf("Receipt = %+v, %v", r, err)
	}
	w.want(get(secret, "GET", "/deals"), postern.ReasonRevoked)
	w.store.set(func() { w.store.down = errDown })
	// Nobody can be asked: what holds is that every lease that can have stood is over by then.
	now := w.v.Now().Time()
	r, err = w.v.Receipt(context.Background(), seq, 0)
	if err == nil || r.Everywhere || r.EffectiveBy.Before(now.Add(time.Minute)) || r.EffectiveBy.After(now.Add(70*time.Second)) {
		t.Errorf("without the store Receipt = %+v, %v at %s", r, err, now)
	}
}

// Three nodes share a store. One of them is cut off from it, and goes on with
// what it knows until its lease ends.
func TestReceiptOfThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, pepper: pepperOf(t, pepper1)}
		w.store = newMemStore(time.Now)
		w.store.accounts[account] = postern.Account{ID: account, Revision: 1}
		w.store.ups = []verify.Upstream{{ID: crm, Catalog: 1}}
		w.store.catalogs[crm] = dealsCatalog()
		ctx, stop := context.WithCancel(context.Background())
		nodes, links := map[string]*verify.Verifier{}, map[string]*link{}
		stopped := make(chan error, 3)
		for _, name := range []string{"a", "b", "c"} {
			links[name] = &link{memStore: w.store}
			v := w.node(func(c *verify.Config) {
				c.Clock, c.Node, c.Shared, c.Store = bubbleClock{}, name, true, links[name]
			})
			nodes[name] = v
			go func() { stopped <- v.Run(ctx) }()
			<-v.Ready()
		}
		w.v = nodes["a"]
		live, row := w.key()
		dead, deadRow := w.key()
		time.Sleep(2 * time.Second)
		for name, v := range nodes {
			if d := verifyWith(t, v, get(dead, "GET", "/deals")); !d.Allowed {
				t.Errorf("%s: Verify = %v", name, d.Reason)
			}
		}
		end := func(row postern.CredentialRow) int64 {
			row.RevokedAt = time.Now()
			row.Revision++
			row.Seal(w.pepper)
			return w.store.commit(postern.ChangeCredential, string(row.Key), func() { w.store.rows[row.Key] = row })
		}

		seq := end(row)
		r, err := nodes["a"].Receipt(ctx, seq, 2*time.Second)
		if err != nil || !r.Everywhere || !slices.Equal(r.Confirmed, []string{"a", "b", "c"}) {
			t.Fatalf("Receipt = %+v, %v", r, err)
		}
		for name, v := range nodes {
			if d := verifyWith(t, v, get(live, "GET", "/deals")); d.Reason != postern.ReasonRevoked {
				t.Errorf("%s: after the receipt Verify = %v", name, d.Reason)
			}
		}

		links["c"].setCut(true)
		seq = end(deadRow)
		r, err = nodes["a"].Receipt(ctx, seq, 2*time.Second)
		if err != nil || r.Everywhere || len(r.Awaited) != 1 || r.Awaited[0].Node != "c" || r.EffectiveBy != r.Awaited[0].Until {
			t.Fatalf("Receipt = %+v, %v", r, err)
		}
		if left := time.Until(r.EffectiveBy); left <= 0 || left > 61*time.Second {
			t.Errorf("EffectiveBy is in %v", left)
		}
		if d := verifyWith(t, nodes["c"], get(dead, "GET", "/deals")); !d.Allowed {
			t.Errorf("c, cut off: Verify = %v; this test then proves nothing", d.Reason)
		}
		time.Sleep(time.Until(r.EffectiveBy))
		if d := verifyWith(t, nodes["c"], get(dead, "GET", "/deals")); d.Allowed || d.Reason != postern.ReasonUnavailable {
			t.Errorf("c, after EffectiveBy: Verify = %v", d.Reason)
		}
		// Asked for again, by another node.
		if r, err = nodes["b"].Receipt(ctx, seq, time.Second); err != nil || !r.Everywhere {
			t.Errorf("Receipt = %+v, %v", r, err)
		}
		links["c"].setCut(false)
		time.Sleep(15 * time.Second)
		if d := verifyWith(t, nodes["c"], get(dead, "GET", "/deals")); d.Reason != postern.ReasonRevoked {
			t.Errorf("c, back again: Verify = %v", d.Reason)
		}
		stop()
		for range nodes {
			<-stopped
		}
	})
}
