//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { startInNamespace = namespaced }

// namespace is a network of its own, with one link to this one that can be taken
// down. What runs in it then reaches nobody, and hears from nobody.
type namespace struct {
	t          *testing.T
	name, link string
	here       net.IP
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a network namespace can only be made by root: run this as root")
	}
	n := &namespace{t: t, name: fmt.Sprint("postern-", os.Getpid()), link: fmt.Sprint("pst", os.Getpid()), here: net.IPv4(198, 18, 77, 1)}
	n.ip("netns", "add", n.name)
	t.Cleanup(func() { exec.Command("ip", "netns", "delete", n.name).Run() })
	n.ip("link", "add", n.link, "type", "veth", "peer", "name", "up0", "netns", n.name)
	n.ip("addr", "add", n.here.String()+"/30", "dev", n.link)
	n.ip("link", "set", n.link, "up")
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", "198.18.77.2/30", "dev", "up0"}, {"link", "set", "up0", "up"}} {
		n.ip(append([]string{"-n", n.name}, args...)...)
	}
	return n
}

func (n *namespace) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

func (n *namespace) hold()    { n.ip("link", "set", n.link, "down") }
func (n *namespace) release() { n.ip("link", "set", n.link, "up") }

// dial connects to an address within the namespace.
func (n *namespace) dial(to string) (net.Conn, error) {
	// A thread that could not go back is left to end with its goroutine.
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(home)
	there, err := unix.Open("/run/netns/"+n.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	runtime.UnlockOSThread()
	return c, err
}

// namespaced starts a node in a network namespace. It reaches the database by the
// link; what it is asked goes another way, which stays.
func namespaced(c *cluster, args ...string) (*server, cutter) {
	c.t.Helper()
	n := newNamespace(c.t)
	u, err := url.Parse(c.database)
	if err != nil {
		c.t.Fatal(err)
	}
	database := u.Host
	door := newWireAt(c.t, n.here.String()+":0", func() (net.Conn, error) { return net.Dial("tcp", database) })
	u.Host = door.l.Addr().String()
	s := &server{t: c.t, Data: c.t.TempDir(), ready: make(chan []string, 1), done: make(chan struct{})}
	s.cmd = exec.Command("ip", append([]string{"netns", "exec", n.name, binary, "serve", "--database", u.String(), "--pepper-path", filepath.Join(c.home, "pepper"),
		"--burst-calls", "0", "--gateway", "off", "--data", s.Data, "--listen", "127.0.0.1:0", "--log-format", "text"}, args...)...)
	s.cmd.Env = append(os.Environ(), "HOME="+s.Data, "XDG_CONFIG_HOME="+filepath.Join(s.Data, "config"))
	s.run()
	s.answers("in a namespace")
	inside, err := url.Parse(s.API)
	if err != nil {
		c.t.Fatal(err)
	}
	ask := newWireAt(c.t, "127.0.0.1:0", func() (net.Conn, error) { return n.dial(inside.Host) })
	s.API = "http://" + ask.l.Addr().String()
	c.nodes = append(c.nodes, s)
	return s, n
}
