package storetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Server is a PostgreSQL server of a test's own, which it may stop. It writes to
// the disk as a real one does.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	Port int
}

// NewServer makes and starts one; it is gone with the test. It is for tests for
// which Env names a server, and so PostgreSQL is installed.
func NewServer(t testing.TB) *Server {
	t.Helper()
	return newServer(t, func(s *Server) *exec.Cmd {
		return s.command("initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "--no-sync")
	})
}

// Standby makes and starts a server that follows this one, until it is promoted.
func (s *Server) Standby() *Server {
	s.t.Helper()
	return newServer(s.t, func(n *Server) *exec.Cmd {
		return n.command("pg_basebackup", "-D", n.data(), "-R", "--no-sync", "--checkpoint=fast", "-d", s.URL())
	})
}

// Promote makes a standby take writes. Nobody tells the server that it followed.
func (s *Server) Promote() {
	s.t.Helper()
	s.must(s.command("pg_ctl", "-D", s.data(), "-w", "promote"))
}

func newServer(t testing.TB, fill func(*Server) *exec.Cmd) *Server {
	t.Helper()
	if os.Getenv(Env) == "" {
		t.Skipf("%s names no server; scripts/test starts one", Env)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL's server is not installed")
	}
	s := &Server{t: t, bin: filepath.Dir(slices.Max(found)), Port: freePort(t)}
	var err error
	// Short, since a socket lies in it, and open for the user that the server runs as.
	if s.dir, err = os.MkdirTemp("", "pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if os.Getuid() == 0 {
		s.must(exec.Command("chown", "postgres", s.dir))
	}
	s.must(fill(s))
	s.Start()
	t.Cleanup(func() {
		if err := s.command("pg_ctl", "-D", s.data(), "-m", "immediate", "stop").Run(); err != nil {
			t.Logf("stop PostgreSQL: %v", err) // it was stopped by the test
		}
	})
	return s
}

// URL is its database.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.Port)
}

// Start starts it again, and returns when it takes connections.
func (s *Server) Start() {
	s.t.Helper()
	s.must(s.command("pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o",
		"-p "+strconv.Itoa(s.Port)+" -k "+s.dir+" -c listen_addresses=127.0.0.1 -c max_connections=200", "start"))
}

// Stop stops it as an operator would: everyone is disconnected.
func (s *Server) Stop() {
	s.t.Helper()
	s.must(s.command("pg_ctl", "-D", s.data(), "-w", "-m", "fast", "stop"))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command runs as a user that PostgreSQL agrees to run as: never root.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	if os.Getuid() == 0 {
		cmd = exec.Command("runuser", append([]string{"-u", "postgres", "--", filepath.Join(s.bin, name)}, args...)...)
	}
	cmd.Dir = s.dir
	return cmd
}

func (s *Server) must(cmd *exec.Cmd) {
	s.t.Helper()
	// Into a file: pg_ctl leaves a server behind that would hold a pipe open.
	out, err := os.CreateTemp("", "pg-out-")
	if err != nil {
		s.t.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		s.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, text)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
