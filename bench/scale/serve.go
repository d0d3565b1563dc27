package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/node"
)

// nodeFlags say that this process is a node, and which.
type nodeFlags struct{ data, database, pepper string }

// said is what a node says of itself once it answers.
type said struct {
	API     string
	Ready   time.Duration // from the start of the process's work
	RSS     int64         // bytes
	Index   int64         // bytes, as the index counts them
	Keys    int64
	Session string // of the console
}

// serve is a node in a process of its own.
func serve(ctx context.Context, f nodeFlags) error {
	began := time.Now()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, node.Config{Data: f.data, Database: f.database, PepperPath: f.pepper, PublicURL: "http://" + l.Addr().String(), Burst: postern.Rate{Calls: 1_000_000, Per: time.Second}})
	if err != nil {
		return err
	}
	return n.Run(ctx, node.Listeners{Admin: l}, 5*time.Second, func() {
		s := said{API: "http://" + l.Addr().String(), Ready: time.Since(began)}
		if s.Session, err = signIn(ctx, n); err != nil {
			fmt.Fprintln(os.Stderr, "sign in:", err)
		}
		debug.FreeOSMemory()
		stats := n.Verifier.Stats()
		s.Index, s.Keys, s.RSS = stats.Bytes, stats.Keys, resident()
		json.NewEncoder(os.Stdout).Encode(s)
	})
}

// signIn gives the text of a console session of the operator's super admin.
func signIn(ctx context.Context, n *node.Node) (string, error) {
	ms, err := n.DB.Members(ctx, "", false)
	if err != nil {
		return "", err
	}
	for _, m := range ms {
		if m.Email != "ada@example.org" {
			continue
		}
		link, _, err := n.Signin.Link(ctx, postern.Actor{System: "bench"}, m.ID)
		if err != nil {
			return "", err
		}
		in, err := n.Signin.UseLink(ctx, link.Reveal(), postern.Actor{})
		if err != nil {
			return "", err
		}
		return in.Text, nil
	}
	return "", fmt.Errorf("there is no such member among %d", len(ms))
}

// resident is how much memory this process holds.
func resident() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	var kib int64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib << 10
}

// child is a node's process.
type child struct {
	said
	cmd *exec.Cmd
}

// spawn starts the node with a number, and waits until it answers.
func (p place) spawn(ctx context.Context, number int) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, "-node", filepath.Join(p.dir, fmt.Sprint("node", number)), "-database", p.database, "-pepper", p.pepper())}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(out).Decode(&c.said); err != nil {
		c.stop()
		return nil, fmt.Errorf("node %d did not start: %w", number, err)
	}
	return c, nil
}

func (c *child) stop() {
	c.cmd.Process.Signal(os.Interrupt)
	c.cmd.Wait()
}
