package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"postern.dev/postern/api"
)

// nodes are the servers that are looked at.
type nodes struct{ list []*node }

type node struct {
	cmd *exec.Cmd
	url string
}

func (n *nodes) urls() (out []string) {
	for _, one := range n.list {
		out = append(out, one.url)
	}
	return out
}

func (n *nodes) stop() {
	for _, one := range n.list {
		one.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, one := range n.list {
		one.cmd.Wait()
	}
}

// startNodes starts three nodes, of which two know all database servers and one
// HAProxy, and gives the personal access key of the super admin.
func startNodes(ctx context.Context, binary, dir string, db *databases) (*nodes, string, error) {
	ns := &nodes{}
	pepper := filepath.Join(dir, "pepper")
	setup := exec.CommandContext(ctx, binary, "setup", "--data", filepath.Join(dir, "node1"), "--pepper-path", pepper, "--account", "Acme", "--email", "ada@example.org", "--name", "Ada", "--json")
	setup.Env = append(os.Environ(), "POSTERN_DATABASE="+db.direct())
	setup.Stderr = os.Stderr
	out, err := setup.Output()
	if err != nil {
		return ns, "", fmt.Errorf("setup: %w\n%s", err, out)
	}
	var done struct{ Secret string }
	if err := json.Unmarshal(out, &done); err != nil {
		return ns, "", err
	}
	for i, target := range []string{db.direct(), db.direct(), db.proxied()} {
		n, err := startNode(binary, filepath.Join(dir, fmt.Sprintf("node%d", i+1)), pepper, target)
		if err != nil {
			return ns, "", err
		}
		ns.list = append(ns.list, n)
		if err := durable(ctx, n.url); err != nil {
			return ns, "", err
		}
	}
	return ns, done.Secret, nil
}

var readyLine = regexp.MustCompile(`msg=ready api=(\S+)`)

func startNode(binary, data, pepper, target string) (*node, error) {
	cmd := exec.Command(binary, "serve", "--crm", "--data", data, "--pepper-path", pepper, "--burst-calls", "0", "--listen", "127.0.0.1:0", "--gateway", "off")
	cmd.Env = append(os.Environ(), "POSTERN_DATABASE="+target, "POSTERN_STANDBY=required")
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	log, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(said, log))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		close(ready)
		log.Close()
	}()
	select {
	case url, ok := <-ready:
		if ok {
			return &node{cmd, url}, nil
		}
		err = errors.New("it ended")
	case <-time.After(time.Minute):
		err = errors.New("it is not ready")
	}
	cmd.Process.Kill()
	cmd.Wait()
	text, _ := os.ReadFile(data + ".log")
	return nil, fmt.Errorf("a node: %w\n%s", err, text)
}

// durable expects a node to say that what it acknowledges is kept by two servers.
func durable(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var h api.Health
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		return err
	}
	if h.Durability != "full" || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz = %d %+v, want durability full", url, res.StatusCode, h)
	}
	return nil
}

// verifyAudit runs "postern audit verify" on the database.
func verifyAudit(ctx context.Context, binary, dir, target string) (string, error) {
	cmd := exec.CommandContext(ctx, binary, "audit", "verify", "--data", filepath.Join(dir, "node1"), "--pepper-path", filepath.Join(dir, "pepper"))
	cmd.Env = append(os.Environ(), "POSTERN_DATABASE="+target)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("audit verify: %w\n%s", err, out)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}
