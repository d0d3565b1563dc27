package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	"postern.dev/postern/api"
)

// measure fills a place up to a size and measures it.
func (f *filling) measure(ctx context.Context, size, rounds int) (out []figure, err error) {
	began := time.Now()
	if err := f.fill(ctx, size); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%s: %s keys after %s\n", f.name, thousands(size), time.Since(began).Round(time.Second))
	var nodes []*child
	defer func() {
		for _, c := range nodes {
			c.stop()
		}
	}()
	for i := range f.nodes {
		c, err := f.spawn(ctx, i+1)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, c)
		if c.Keys < int64(size) {
			return nil, fmt.Errorf("a node knows %d keys, want %d", c.Keys, size)
		}
	}
	first := nodes[0]
	out = []figure{
		{"start-up to ready", first.Ready.Seconds(), "s", true},
		{"memory of the process", float64(first.RSS) / (1 << 20), "MiB", true},
		{"memory of the index, a key", float64(first.Index) / float64(first.Keys), "B", false},
	}
	b := &bench{ctx: ctx, nodes: nodes, filling: f, rounds: rounds}
	for _, step := range []func() ([]figure, error){b.verify, b.change, b.pages} {
		more, err := step()
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// bench is the client.
type bench struct {
	ctx     context.Context
	nodes   []*child
	filling *filling
	rounds  int
	made    int
	began   time.Time // when the last call went out, after any that came too soon
}

// ms gives the median and the 99th percentile of what was measured.
func ms(name string, list []time.Duration) []figure {
	slices.Sort(list)
	scale := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return []figure{{name + ", median", scale(median(list)), "ms", false}, {name + ", p99", scale(quantile(list, 0.99)), "ms", false}}
}

// verify verifies random keys, one after the other.
func (b *bench) verify() ([]figure, error) {
	var took, yardstick []time.Duration
	for i := range b.rounds * 10 {
		c := b.nodes[i%len(b.nodes)]
		began := time.Now()
		allowed, err := b.allowed(c, b.filling.secrets[rand.IntN(len(b.filling.secrets))])
		if err != nil || !allowed {
			return nil, fmt.Errorf("a live key is refused: %w", err)
		}
		took = append(took, time.Since(began))
		if err := b.call(c, "GET", "/healthz", nil, nil); err != nil {
			return nil, err
		}
		yardstick = append(yardstick, time.Since(b.began))
	}
	// Health has nothing to do with keys: where it grows, the machine was busy.
	return append(ms("health, the yardstick", yardstick), ms("verification over HTTP", took)...), nil
}

// change makes keys and ends them: how long each answer takes, and how long
// until all nodes accept the new one. A revocation's answer is its receipt.
func (b *bench) change() ([]figure, error) {
	var create, spread, revoke []time.Duration
	for range b.rounds {
		b.made++
		var k api.ChangedKey
		if err := b.call(b.nodes[0], "POST", "/v1/service-keys", api.NewServiceKey{Name: fmt.Sprintf("bench-%d-%d", b.filling.have, b.made), Scopes: []string{"things.read"}}, &k); err != nil {
			return nil, err
		}
		began := b.began
		create = append(create, time.Since(began))
		for _, c := range b.nodes {
			for {
				allowed, err := b.allowed(c, k.Secret)
				if err != nil {
					return nil, err
				}
				if allowed {
					break
				}
			}
		}
		spread = append(spread, time.Since(began))
		if err := b.call(b.nodes[0], "POST", "/v1/service-keys/"+k.ID+"/revoke", nil, &k); err != nil {
			return nil, err
		}
		revoke = append(revoke, time.Since(b.began))
		if k.Receipt == nil || k.Receipt.Effective != api.EffectiveEverywhere {
			return nil, fmt.Errorf("the receipt says %+v, want everywhere", k.Receipt)
		}
		for _, c := range b.nodes {
			if allowed, err := b.allowed(c, k.Secret); err != nil || allowed {
				return nil, fmt.Errorf("a revoked key is accepted after its receipt (%v)", err)
			}
		}
	}
	out := ms("create", create)
	out = append(out, ms("create until every node accepts the key", spread)...)
	return append(out, ms("revoke until every node refuses the key", revoke)...), nil
}

// pages asks for the console's and the API's list of keys.
func (b *bench) pages() ([]figure, error) {
	var console, list []time.Duration
	for range max(b.rounds/4, 20) {
		began := time.Now()
		if err := b.page("/keys"); err != nil {
			return nil, err
		}
		console = append(console, time.Since(began))
		began = time.Now()
		if err := b.call(b.nodes[0], "GET", "/v1/service-keys?limit=50", nil, nil); err != nil {
			return nil, err
		}
		list = append(list, time.Since(began))
	}
	return append(ms("the console's list of keys", console), ms("the API's list of keys", list)...), nil
}

func (b *bench) page(path string) error {
	req, err := http.NewRequestWithContext(b.ctx, "GET", b.nodes[0].API+path, nil)
	if err != nil {
		return err
	}
	req.AddCookie(&http.Cookie{Name: "postern_session", Value: b.nodes[0].Session})
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("integration-")) {
		return fmt.Errorf("%s = %d without keys in it", path, res.StatusCode)
	}
	return nil
}

func (b *bench) allowed(c *child, secret string) (bool, error) {
	var d struct{ Allowed bool }
	err := b.call(c, "POST", "/v1/verify", map[string]string{"secret": secret, "upstream": "things", "method": "GET", "path": "/things/42"}, &d)
	return d.Allowed, err
}

// call makes a call, which must succeed; one that came too soon is made again.
func (b *bench) call(c *child, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for {
		req, err := http.NewRequestWithContext(b.ctx, method, c.API+path, nil)
		if err != nil {
			return err
		}
		if body != nil {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			req.Header.Set("Content-Type", "application/json")
		}
		if path != "/v1/verify" {
			req.Header.Set("Authorization", "Bearer "+b.filling.admin)
		}
		b.began = time.Now()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		out, err := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case err != nil:
			return err
		case res.StatusCode == http.StatusTooManyRequests:
			time.Sleep(50 * time.Millisecond)
			continue
		case res.StatusCode/100 != 2:
			return fmt.Errorf("%s %s = %d %s", method, path, res.StatusCode, out)
		case into == nil:
			return nil
		}
		return json.Unmarshal(out, into)
	}
}
