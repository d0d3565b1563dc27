// Package redistest gives tests a Redis server of their own, which they may stop,
// kill and start again.
package redistest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Server is a server on a socket of the file system. It keeps nothing on disk.
type Server struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Start starts a server, with more arguments where a test wants them; it is gone with the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is needed: install it, or run ./scripts/test, which does")
	}
	dir, err := os.MkdirTemp("", "redis-") // short, since a socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, dir: dir, args: args}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

func (s *Server) socket() string { return filepath.Join(s.dir, "s") }

// URL is where it is reached, with a password where one is given.
func (s *Server) URL(password ...string) string {
	if len(password) > 0 {
		return "unix://:" + password[0] + "@" + s.socket()
	}
	return "unix://" + s.socket()
}

// Restart starts it, where it doesn't run, with nothing in it.
func (s *Server) Restart() {
	s.t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", s.socket(), "--save", "", "--appendonly", "no", "--dir", s.dir, "--logfile", "log"}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		c, err := net.Dial("unix", s.socket())
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("redis-server doesn't answer: %v\n%s", err, log)
		}
	}
}

// Stop lets it stand still: it takes connections and answers nothing.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue lets it go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

// Kill ends it at once.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	s.cmd.Wait()
}

func (s *Server) signal(n syscall.Signal) {
	if err := s.cmd.Process.Signal(n); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("redis-server: %v", err)
	}
}
