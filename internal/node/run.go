package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/verify"
)

// Listeners are the sockets of a node's doors. Gateway may be nil.
type Listeners struct{ Admin, Gateway net.Listener }

// drain is how long the last records may take to be written, once no more calls come.
const drain = 10 * time.Second

// Run decides and serves until ctx ends: then it takes no more calls, lets those
// under way end for at most stop, writes what they did, and closes everything.
// ready, where given, is called once calls are answered.
func (n *Node) Run(ctx context.Context, ls Listeners, stop time.Duration, ready ...func()) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	// What works behind the doors goes on until they are closed.
	behind, halt := context.WithCancelCause(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	work := func(name string, run func(context.Context) error) {
		workers.Go(func() {
			if err := run(behind); err != nil && behind.Err() == nil {
				n.Config.Log.Error("a part of the server stopped", "part", name, "err", err)
				halt(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	defer func() {
		halt(nil)
		workers.Wait()
	}()
	work("activity", func(ctx context.Context) error {
		// What waits on disk counts towards the day of its account, which verification knows.
		select {
		case <-n.Verifier.Ready():
			return n.Activity.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	work("verification", n.Verifier.Run)
	for name, run := range n.doors.workers {
		work(name, run)
	}
	select {
	case <-n.Verifier.Ready():
	case <-ctx.Done():
		return nil
	case <-behind.Done():
		return context.Cause(behind)
	}
	if err := n.loadUsage(ctx); err != nil {
		return err
	}
	servers, failed := n.serve(ls)
	n.Config.Log.Info("ready", "api", n.Config.PublicURL, "gateway", n.Config.GatewayURL, "node", n.Verifier.Node())
	for _, fn := range ready {
		fn()
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-behind.Done():
		err = context.Cause(behind)
	}
	n.Config.Log.Info("stopping")
	close(n.doors.stopping)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stop)
	defer cancel()
	var closing sync.WaitGroup
	for _, s := range servers {
		closing.Go(func() {
			if s.Shutdown(last) != nil {
				s.Close()
			}
		})
	}
	closing.Wait()
	// Every call that was answered is recorded before the databases close.
	flush, cancelFlush := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancelFlush()
	return errors.Join(err, n.Activity.Flush(flush))
}

// usage is how much of their day's calls the accounts used, as all nodes wrote it.
func (n *Node) usage(ctx context.Context) ([]verify.Usage, error) {
	counts, err := n.Activity.DayCounts(ctx, n.Config.Now().Add(-48*time.Hour))
	if err != nil {
		return nil, err
	}
	usage := make([]verify.Usage, len(counts))
	for i, c := range counts {
		usage[i] = verify.Usage{Account: c.Account, Day: c.Start.Time(), Calls: c.Calls}
	}
	return usage, nil
}

// loadUsage tells verification how much of their day's calls the accounts used
// before this start.
func (n *Node) loadUsage(ctx context.Context) error {
	usage, err := n.usage(ctx)
	if err == nil {
		n.Verifier.AddUsage(usage)
	}
	return err
}

// mergeEvery is how often the nodes' counts of a day are brought together.
const mergeEvery = 5 * time.Second

// countNodes tells verification how many nodes share the limits: those whose leases run.
func (n *Node) countNodes(ctx context.Context) error {
	leases, now, err := n.DB.Leases(ctx)
	if err != nil {
		return err
	}
	live := 0
	for _, l := range leases {
		if l.Until.After(now) {
			live++
		}
	}
	n.Verifier.ShareLimits(live)
	return nil
}

// mergeUsage brings the nodes' counts of the day together, so that a day's limit
// holds for all of them. Meanwhile, and while the database is away, each counts its own.
func (n *Node) mergeUsage(ctx context.Context) error {
	tick := time.NewTicker(mergeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n.DB.Engine == store.SQLite {
			continue // nobody else counts
		}
		err := errors.Join(n.countNodes(ctx), n.Verifier.MergeUsage(func() ([]verify.Usage, error) { return n.usage(ctx) }))
		if err != nil && ctx.Err() == nil {
			n.Config.Log.Debug("what the nodes share of limits can't be read", "err", err)
		}
	}
}

// serve answers on the listeners; a server that fails is told on the channel.
func (n *Node) serve(ls Listeners) ([]*http.Server, <-chan error) {
	failed := make(chan error, 2)
	var out []*http.Server
	start := func(l net.Listener, cfg door.ServerConfig) {
		if l == nil {
			return
		}
		cfg.Log = n.Config.Log
		s := door.Server(cfg)
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		out = append(out, s)
		l = door.Bounded(l, door.Bounds{Exempt: n.Config.Proxies})
		cert, key := n.Config.TLSCert, n.Config.TLSKey // a server that is stopped at once may still be about to begin
		go func() {
			var err error
			if cert != "" {
				err = s.ServeTLS(l, cert, key)
			} else {
				err = s.Serve(l)
			}
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		}()
	}
	start(ls.Admin, door.ServerConfig{Handler: door.BodiesWithin(10*time.Second, n.doors.door.ShortURLs(n.doors.admin, "/authorize/"))})
	start(ls.Gateway, door.ServerConfig{Handler: n.doors.gateway})
	return out, failed
}
