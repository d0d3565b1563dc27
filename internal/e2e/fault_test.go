package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// A disk that fails, is full or can't be written refuses changes in plain words,
// and decisions go on. After a sync that failed nothing is written until a
// restart; from a full disk the server comes back by itself. The faults are put
// into the system calls of the real server by strace.
func TestDiskFaults(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("strace is needed: install it, or run ./scripts/test, which does")
	}
	for _, f := range []struct {
		name, inject string
		status       int
		says         string
		lasts        bool // until a restart
	}{
		{"a failed sync", "fsync,fdatasync:error=EIO", http.StatusServiceUnavailable, "restart the server", true},
		{"a full disk", "pwrite64,write,ftruncate,fallocate:error=ENOSPC", http.StatusInsufficientStorage, "The disk is full", false},
		{"a disk that became read-only", "pwrite64,write,ftruncate,fallocate:error=EROFS", http.StatusServiceUnavailable, "can't be written", false},
	} {
		t.Run(f.name, func(t *testing.T) {
			p := place{data: t.TempDir()}
			admin := p.setup(t)
			s := start(t, p.data, p.args("serve", "--crm")...)
			var made api.ChangedKey
			s.as(admin).must(t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: "before", Scopes: []string{"crm.objects.deals.read", "crm.objects.deals.write"}})
			heal := inject(t, strace, s.cmd.Process.Pid, f.inject, p.data+"/postern.db", p.data+"/postern.db-wal", p.data+"/crm.db", p.data+"/crm.db-wal")
			try := func(name string) (int, string) {
				status, out, err := s.as(admin).do("POST", "/v1/service-keys", api.NewServiceKey{Name: name})
				if err != nil {
					t.Error(err)
				}
				return status, string(out)
			}
			// Many at once, so that it strikes a commit that several of them share: none of them is said to be made.
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() {
					if status, out := try(fmt.Sprint("during ", i)); status != f.status {
						t.Errorf("a change during it = %d %s, want %d", status, out, f.status)
					}
				})
			}
			clients.Wait()
			status, out := try("during too")
			if status != f.status || !strings.Contains(out, f.says) {
				t.Errorf("a change during it = %d %s, want %d and %q", status, out, f.status, f.says)
			}
			if allowed, reason := s.verified(t, made.Secret); !allowed {
				t.Errorf("a decision during it: %s", reason)
			}
			deal := func() int {
				status, _, err := caller{http.DefaultClient, s.Gateway, made.Secret}.do("POST", "/crm/v3/objects/deals", map[string]any{"properties": map[string]string{"dealname": "big"}})
				if err != nil {
					t.Fatal(err)
				}
				return status
			}
			_ = deal() // a sync that fails may fail after the first commit
			if got := deal(); got != f.status {
				t.Errorf("a deal during it = %d, want %d", got, f.status)
			}
			heal()
			if got := deal(); f.lasts && got != f.status || !f.lasts && got != http.StatusCreated {
				t.Errorf("a deal after it = %d", got)
			}
			if allowed, reason := s.verified(t, made.Secret); !allowed {
				t.Errorf("a decision after it: %s", reason)
			}
			status, out = try("after")
			if f.lasts && (status != f.status || !strings.Contains(out, f.says)) || !f.lasts && status != http.StatusCreated {
				t.Errorf("a change after it = %d %s", status, out)
			}
			s.kill()
			s = start(t, p.data, p.args("serve", "--crm")...)
			if allowed, reason := s.verified(t, made.Secret); !allowed {
				t.Errorf("a decision after a restart: %s", reason)
			}
			if status, out := try("restarted"); status != http.StatusCreated {
				t.Errorf("a change after a restart = %d %s", status, out)
			}
			var keys api.Page[api.ServiceKey]
			s.as(admin).must(t, http.StatusOK, &keys, "GET", "/v1/service-keys", nil)
			for _, k := range keys.Items {
				// What a sync failed on may be there: it was never said to be, nor not to be.
				if k.Name == "during too" || strings.HasPrefix(k.Name, "during ") && !f.lasts {
					t.Errorf("%q was refused and is there", k.Name)
				}
			}
		})
	}
}

// inject makes system calls of a process on some files fail, until heal is called.
func inject(t *testing.T, strace string, pid int, what string, files ...string) (heal func()) {
	t.Helper()
	calls, _, _ := strings.Cut(what, ":")
	args := []string{"-f", "-p", fmt.Sprint(pid), "-e", "trace=" + calls, "-e", "inject=" + what}
	for _, f := range files {
		args = append(args, "-P", f)
	}
	cmd := exec.CommandContext(t.Context(), strace, args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			select {
			case attached <- lines.Text():
			default:
			}
		}
	}()
	select {
	case line := <-attached:
		if !strings.Contains(line, "attached") {
			t.Fatalf("strace: %s", line)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("strace doesn't attach")
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-ended
		_ = cmd.Wait()
	}
}
