package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"postern.dev/postern/api"
)

// key is one that was acknowledged.
type key struct {
	id, secret string
	asked      bool // its end was asked for
	ended      bool // and acknowledged
}

// machine is a server and the disk under it.
type machine struct {
	result
	binary, mnt, admin string
	disk               *disk
	rnd                *rand.Rand

	mu   sync.Mutex
	keys []*key
	n    int
}

// cutServer cuts the power of the real server while keys are made and ended.
func cutServer(ctx context.Context, binary, mnt string, cuts int, rnd *rand.Rand, life time.Duration) (*result, error) {
	m := &machine{result: result{name: "the server"}, binary: binary, mnt: mnt, disk: newDisk(rnd.Uint64()), rnd: rnd}
	if err := m.setup(ctx); err != nil {
		return nil, err
	}
	for i := range cuts {
		if err := m.round(ctx, i, life); err != nil {
			return nil, fmt.Errorf("cut %d: %w", i+1, err)
		}
	}
	return &m.result, m.last(ctx)
}

func (m *machine) data() string { return filepath.Join(m.mnt, "data") }

func (m *machine) setup(ctx context.Context) error {
	unmount, err := m.disk.mount(m.mnt)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, m.binary, "setup", "--data", m.data(), "--account", "Acme", "--email", "ada@example.org", "--name", "Ada", "--json").CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("setup: %w\n%s", err, out), unmount())
	}
	var done struct{ Secret string }
	if err := json.Unmarshal(out, &done); err != nil {
		return errors.Join(err, unmount())
	}
	m.admin = done.Secret
	// The power is cut right after set-up said that it is done.
	m.disk = m.disk.cut(0)
	return unmount()
}

var readyLine = regexp.MustCompile(`msg=ready api=(\S+)`)

// start starts the server and gives where it answers.
func (m *machine) start(ctx context.Context) (cmd *exec.Cmd, url string, err error) {
	cmd = exec.CommandContext(ctx, m.binary, "serve", "--crm", "--burst-calls", "0", "--data", m.data(), "--listen", "127.0.0.1:0", "--gateway", "off")
	cmd.Env = append(os.Environ(), "HOME=/")
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	lines := bufio.NewScanner(said)
	var all strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&all, lines.Text())
		if got := readyLine.FindStringSubmatch(lines.Text()); got != nil {
			go io.Copy(io.Discard, said)
			return cmd, got[1], nil
		}
	}
	cmd.Wait()
	return nil, "", fmt.Errorf("the server does not start after a cut:\n%s", all.String())
}

// round starts the server, looks at what is left, changes things, and cuts the power.
func (m *machine) round(ctx context.Context, i int, life time.Duration) error {
	unmount, err := m.disk.mount(m.mnt)
	if err != nil {
		return err
	}
	cmd, url, err := m.start(ctx)
	if err != nil {
		return errors.Join(err, unmount())
	}
	m.look(ctx, url)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for range writers {
		clients.Go(func() { m.change(ctx, url, over) })
	}
	time.Sleep(20*time.Millisecond + time.Duration(m.rnd.Int64N(int64(life)))) // the life of this round is what is random
	next := m.disk.cut(keepOf(i, m.rnd))
	cmd.Process.Kill()
	close(over)
	clients.Wait()
	cmd.Wait()
	m.disk = next
	m.cuts, m.syncs, m.forgotten = i+1, next.syncs, next.forgotten
	return unmount()
}

// last looks at everything once more, and verifies the audit log.
func (m *machine) last(ctx context.Context) error {
	unmount, err := m.disk.mount(m.mnt)
	if err != nil {
		return err
	}
	cmd, url, err := m.start(ctx)
	if err != nil {
		return errors.Join(err, unmount())
	}
	m.look(ctx, url)
	cmd.Process.Kill()
	cmd.Wait()
	if out, err := exec.CommandContext(ctx, m.binary, "audit", "verify", "--data", m.data()).CombinedOutput(); err != nil {
		m.unreadable = fmt.Sprintf("audit verify: %v: %s", err, out)
	}
	return unmount()
}

// look compares what the server knows with what was acknowledged.
func (m *machine) look(ctx context.Context, url string) {
	for _, k := range m.keys {
		var d struct {
			Allowed bool
			Reason  string
		}
		if err := m.call(ctx, url, "POST", "/v1/verify", map[string]string{"secret": k.secret, "upstream": "crm", "method": "GET", "path": "/crm/v3/objects/deals"}, &d); err != nil {
			m.lose("key %s can't be verified: %v", k.id, err)
			continue
		}
		switch {
		case k.ended && d.Allowed:
			m.revokedWorked++
			m.lose("key %s is accepted after its end", k.id)
		case !k.asked && !d.Allowed:
			m.lose("key %s is refused: %s", k.id, d.Reason)
			k.asked = true // counted once
		}
	}
}

func (m *machine) lose(format string, args ...any) {
	m.lost++
	if m.firstLoss == "" {
		m.firstLoss = fmt.Sprintf("after cut %d: ", m.cuts) + fmt.Sprintf(format, args...)
	}
}

// change makes keys and ends some, until the power is cut.
func (m *machine) change(ctx context.Context, url string, over chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		m.mu.Lock()
		m.n++
		name := fmt.Sprintf("key-%d", m.n)
		m.mu.Unlock()
		var made api.ChangedKey
		if m.call(ctx, url, "POST", "/v1/service-keys", api.NewServiceKey{Name: name, Scopes: []string{"crm.objects.deals.read"}}, &made) != nil {
			continue
		}
		k := &key{id: made.ID, secret: made.Secret}
		m.mu.Lock()
		m.keys = append(m.keys, k)
		m.acknowledged++
		var old *key
		if n := rand.IntN(len(m.keys)); !m.keys[n].asked && n%2 == 0 {
			old = m.keys[n]
			old.asked = true
		}
		m.mu.Unlock()
		if old == nil {
			continue
		}
		if m.call(ctx, url, "POST", "/v1/service-keys/"+old.id+"/revoke", nil, &made) == nil {
			m.mu.Lock()
			old.ended = true
			m.acknowledged++
			m.revoked++
			m.mu.Unlock()
		}
	}
}

func (m *machine) call(ctx context.Context, url, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, method, url+path, nil)
		if err != nil {
			return err
		}
		if body != nil {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			req.Header.Set("Content-Type", "application/json")
		}
		if path != "/v1/verify" {
			req.Header.Set("Authorization", "Bearer "+m.admin)
		}
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
			time.Sleep(20 * time.Millisecond)
			continue
		case res.StatusCode/100 != 2:
			return fmt.Errorf("%d %s", res.StatusCode, out)
		}
		return json.Unmarshal(out, into)
	}
}
