package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern.dev/postern/api"
)

// load is the clients: those that verify, and those that make and end keys.
type load struct {
	*ledger
	urls  []string
	admin string
	http  *http.Client
	n     atomic.Int64
}

func newLoad(urls []string, admin string) *load {
	return &load{ledger: newLedger(), urls: urls, admin: admin, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}}
}

// changers is how many clients make and end keys.
const changers = 4

// start starts all clients; halt stops them and waits for them.
func (l *load) start(ctx context.Context, loops int, pace time.Duration) (halt func()) {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range changers {
		all.Go(func() {
			for ctx.Err() == nil {
				l.change(ctx, i)
			}
		})
	}
	for i := range loops {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				l.verifyOne(ctx, l.urls[n%len(l.urls)])
				pause(ctx, pace/2+rand.N(pace))
			}
		})
	}
	return func() { stop(); all.Wait() }
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// change makes a key, waits until all nodes know it, and ends another.
func (l *load) change(ctx context.Context, i int) {
	idem := fmt.Sprintf("failover-%d-%d", i, l.n.Add(1))
	asked := time.Now()
	var made api.ChangedKey
	// The same request goes on until it is answered, each time at another node: what
	// became of the first one is told by its Idempotency-Key.
	if !l.until(ctx, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: idem, Scopes: []string{"crm.objects.deals.read"}}, idem) {
		return
	}
	k := &key{id: made.ID, secret: made.Secret}
	l.made(k, asked, time.Now())
	if k.secret == "" {
		l.shownBefore.Add(1) // it was made, its answer was lost, and its secret is not told twice
	} else if l.known(ctx, k) {
		l.live(k)
	}
	if old := l.takeOne(); old != nil {
		var ended api.ChangedKey
		if !l.until(ctx, &ended, "POST", "/v1/service-keys/"+old.id+"/revoke", nil, "") {
			return
		}
		if ended.Receipt == nil {
			// The database went between the commit and the reading of leases: no receipt
			// was given, and nothing is promised before one is.
			l.receiptsLate.Add(1)
			ended.Receipt = &api.Receipt{}
			if !l.until(ctx, ended.Receipt, "GET", "/v1/service-keys/"+old.id+"/receipt", nil, "") {
				return
			}
		}
		dead := time.Now()
		if r := ended.Receipt; r.Effective != api.EffectiveEverywhere && r.EffectiveBy.After(dead) {
			dead = r.EffectiveBy
			l.receiptsBy.Add(1)
		}
		l.ended(old, dead)
	}
}

// until makes a change until it is answered with success.
func (l *load) until(ctx context.Context, into any, method, path string, body any, idem string) bool {
	for try := rand.IntN(len(l.urls)); ctx.Err() == nil; try++ {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		began := time.Now()
		status, out, err := l.call(ask, l.urls[try%len(l.urls)], method, path, body, idem)
		cancel()
		switch {
		case err != nil:
			l.refused("no answer")
		case status/100 == 2:
			if err := json.Unmarshal(out, into); err != nil {
				l.fault("an answer that isn't JSON: %s", out)
				return false
			}
			return true
		case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
			l.refused(fmt.Sprint(status))
		default:
			l.refused(fmt.Sprint(status))
			l.fault("%s: %s %s = %d %s", began.Format("15:04:05.000"), method, path, status, out)
		}
		pause(ctx, 100*time.Millisecond)
	}
	return false
}

// known waits until all nodes accept a key.
func (l *load) known(ctx context.Context, k *key) bool {
	began := time.Now()
	for _, url := range l.urls {
		for {
			if allowed, _, err := l.ask(ctx, url, k.secret); err == nil && allowed {
				break
			}
			if ctx.Err() != nil {
				return false
			}
			if time.Since(began) > 2*time.Minute {
				l.fault("an acknowledged key is not known after two minutes: %s", k.id)
				return false
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
	l.spread(time.Since(began))
	return true
}

// verifyOne verifies one secret: mostly a live one, at times one that was ended.
func (l *load) verifyOne(ctx context.Context, url string) {
	k := l.pick()
	if k == nil {
		return
	}
	was, began := l.state(k), time.Now()
	allowed, reason, err := l.ask(context.WithoutCancel(ctx), url, k.secret)
	l.judge(k, was, began, allowed, reason, err)
}

// ask verifies a secret at one node.
func (l *load) ask(ctx context.Context, url, secret string) (allowed bool, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, out, err := l.call(ctx, url, "POST", "/v1/verify", map[string]string{"secret": secret, "upstream": "crm", "method": "GET", "path": "/crm/v3/objects/deals"}, "")
	if err != nil {
		return false, "", err
	}
	if status != http.StatusOK {
		return false, "", fmt.Errorf("%d %s", status, out)
	}
	var d struct {
		Allowed bool
		Reason  string
	}
	err = json.Unmarshal(out, &d)
	return d.Allowed, d.Reason, err
}

func (l *load) call(ctx context.Context, url, method, path string, body any, idem string) (int, []byte, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url+path, in)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if path != "/v1/verify" {
		req.Header.Set("Authorization", "Bearer "+l.admin)
	}
	if idem != "" {
		req.Header.Set("Idempotency-Key", idem)
	}
	res, err := l.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return res.StatusCode, out, err
}

// checkAll looks, at the end, for every change that was acknowledged.
func (l *load) checkAll(ctx context.Context) {
	for _, k := range l.all() {
		var is api.ServiceKey
		if !l.until(ctx, &is, "GET", "/v1/service-keys/"+k.id, nil, "") {
			l.fault("key %s can't be read at the end", k.id)
			continue
		}
		was := l.state(k)
		if want := map[state]string{live: "active", young: "active", over: "ended"}[was]; want != "" && is.State != want {
			l.lose("key %s is %s, and was acknowledged as %s", k.id, is.State, want)
		}
		for _, url := range l.urls {
			if k.secret == "" {
				continue
			}
			began := time.Now()
			allowed, reason, err := l.ask(ctx, url, k.secret)
			l.judge(k, was, began, allowed, reason, err)
		}
	}
}

// line is how it goes, in a line.
func (l *load) line() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d verifications, %d failed; %d keys made, %d ended", l.verified, l.failed, l.keysMade, l.keysEnded)
}

// report is how it went.
func (l *load) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "verifications: %d, failed: %d\n", l.verified, l.failed)
	fmt.Fprintf(&b, "changes acknowledged: %d keys made, %d ended; lost: %d\n", l.keysMade, l.keysEnded, l.lost)
	fmt.Fprintf(&b, "verifications of an ended key after its receipt: %d, accepted: %d\n", l.verifiedDead, l.accepted)
	fmt.Fprintf(&b, "keys whose secret was lost with its answer: %d; receipts with a time instead of everywhere: %d; that had to be asked for again: %d\n", l.shownBefore.Load(), l.receiptsBy.Load(), l.receiptsLate.Load())
	fmt.Fprintf(&b, "from the answer of a create until all nodes accept the key: median %s, longest %s\n", l.median(), slices.Max(append(l.spreads, 0)).Round(time.Millisecond))
	fmt.Fprintf(&b, "changes that were tried again, by answer: %v\n", l.refusals)
	for _, f := range l.faults[:min(10, len(l.faults))] {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	return b.String()
}
