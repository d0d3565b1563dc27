package console

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

// TestListsHaveTheLatestCall: who made a call and then looks at Home or at the list
// of keys finds it there, however long calls are gathered before they are written.
func TestListsHaveTheLatestCall(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	dir := t.TempDir()
	w := newWorld(t, dir+"/postern.db", func(c *Config) {
		slow := must(activity.Open(ctx, activity.Config{Target: dir + "/slow.db", Delay: time.Hour, Now: c.Now}))(t)
		t.Cleanup(func() { slow.Close() })
		running.Go(func() { _ = slow.Run(ctx) })
		c.Activity = slow
	})
	t.Cleanup(func() { stop(); running.Wait() })
	k := w.createdKey("nightly", "deals.read").Key
	b := w.login()
	for i, path := range []string{"/keys", "/", "/keys"} {
		e := postern.Event{At: postern.ToMicros(w.now()), Door: postern.DoorGateway, Method: "GET", Path: "/deals", Status: 200}
		d := &e.Decision
		copy(d.Key[:], k.ID)
		d.Known, d.Account, d.Kind, d.Gen, d.At, d.Allowed = true, k.AccountID, postern.KindServiceKey, 1, e.At, true
		w.console.cfg.Activity.Record(&e)
		want := []string{"Read only 1 just now", "2worked", "Read only 3 just now"}[i]
		b.get(path).want(200, want)
	}
}
