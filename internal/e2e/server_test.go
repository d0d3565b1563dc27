// Package e2e tests the whole binary: it is built once, started as people start
// it, and called by clients that nobody here wrote.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the postern that is tested.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postern-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "postern")
	os.Setenv("POSTERN_STANDBY", "none") // the PostgreSQL of the tests is one server
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
		// A binary under the race detector sleeps for a second before it exits; hundreds of commands are run here.
		os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	}
	build := exec.Command("go", append(args, "../../cmd/postern")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running postern.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	API     string
	Gateway string
	Data    string

	mu    sync.Mutex
	out   bytes.Buffer  // all that it printed and logged
	ready chan []string // the addresses, once it answers
	done  chan struct{} // closed when it has ended
	err   error
}

// Write keeps what the server prints.
func (s *server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

// output is all that the server printed and logged.
func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

var readyLine = regexp.MustCompile(`msg=ready api=(\S+) gateway=(\S+)`)

// start runs postern with arguments on free ports, and waits until it answers.
func start(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := launch(t, data, append(args, "--data", data, "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--log-format", "text")...)
	select {
	case m := <-s.ready:
		s.API, s.Gateway = m[1], m[2]
	case <-s.done:
		t.Fatalf("postern %s ended: %v\n%s", args[0], s.err, s.output())
	case <-time.After(2 * time.Minute):
		t.Fatalf("postern %s is not ready\n%s", args[0], s.output())
	}
	return s
}

// launch runs postern with exactly these arguments, and waits for nothing.
func launch(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := &server{t: t, Data: data, ready: make(chan []string, 1), done: make(chan struct{})}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), "HOME="+data, "XDG_CONFIG_HOME="+filepath.Join(data, "config"))
	s.run()
	return s
}

// run starts the server's command, and keeps what it says.
func (s *server) run() {
	s.t.Helper()
	s.cmd.Stdout = s
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(io.TeeReader(stderr, s))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				s.ready <- m
			}
		}
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	s.t.Cleanup(s.kill)
}

// kill ends the server as a crash would.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// stop ends the server in order, and expects that it ends well.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		if s.err != nil {
			s.t.Errorf("the server ended with %v\n%s", s.err, s.output())
		}
	case <-time.After(time.Minute):
		s.t.Error("the server does not stop")
		s.kill()
	}
}

// get makes one call with a secret and gives its status and body.
func get(t *testing.T, url, secret string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// cliRun runs the command line against a server as someone who holds a personal
// access key, and gives its output and exit status.
func (s *server) cliRun(secret, stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "POSTERN_SERVER="+s.API, "POSTERN_SECRET="+secret, "XDG_CONFIG_HOME="+s.t.TempDir(), "NO_COLOR=1")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !asExit(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func asExit(err error, to **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*to = e
	return ok
}

// cliJSON runs a command with --json, which must succeed, and reads its answer.
func (s *server) cliJSON(secret string, into any, args ...string) {
	s.t.Helper()
	out, errs, code := s.cliRun(secret, "", append(args, "--json")...)
	if code != 0 {
		s.t.Fatalf("postern %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("postern %s: %v in %q", strings.Join(args, " "), err, out)
	}
}

// setup sets a data directory up and gives the super admin's personal access key.
func setup(t *testing.T, data string, more ...string) string {
	t.Helper()
	args := append([]string{"setup", "--data", data, "--account", "Acme", "--email", "ada@example.org", "--name", "Ada", "--json"}, more...)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("setup: %v\n%s", err, out)
	}
	var done struct{ Secret string }
	if err := json.Unmarshal(out, &done); err != nil || done.Secret == "" {
		t.Fatalf("setup: %v in %q", err, out)
	}
	return done.Secret
}

// nodeRun runs one of the scripts in node/ against the gateway with a secret.
func (s *server) nodeRun(secret string, into any, script string, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "node", append([]string{script}, args...)...)
	cmd.Dir = "node"
	cmd.Env = append(os.Environ(), "GATEWAY="+s.Gateway, "SECRET="+secret)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s%s", script, args, err, out, errs.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		s.t.Fatalf("%s %v: %v in %q", script, args, err, out)
	}
}
