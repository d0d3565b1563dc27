package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/limit/ledger"
	"postern.dev/postern/internal/limit/redistest"
)

const ten = int64(10 * time.Second)

// watched is a ledger that runs, with its log.
type watched struct {
	*ledger.Ledger
	t       testing.TB
	mu      sync.Mutex
	log     bytes.Buffer
	changes chan struct{}
	next    int
}

func watch(t testing.TB, url string, away limit.Mode, timeout time.Duration) *watched {
	t.Helper()
	w := &watched{t: t, changes: make(chan struct{}, 100)}
	w.Ledger = open(t, url, func(c *ledger.Config) {
		c.Away, c.Timeout, c.Changed = away, timeout, func() { w.changes <- struct{}{} }
		c.Log = slog.New(slog.NewTextHandler(w, nil))
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *watched) lines() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), "\n")
}

// becomes waits until limits are held in a way.
func (w *watched) becomes(mode limit.Mode) limit.State {
	w.t.Helper()
	timer := time.After(time.Minute)
	for {
		if s := w.State(); s.Mode == mode {
			return s
		}
		select {
		case <-w.changes:
		case <-timer:
			w.t.Fatalf("limits are held by %+v, want %s", w.State(), mode)
		}
	}
}

// call takes one call of a key that nobody called before.
func (w *watched) call() limit.Taken {
	w.next++
	k := keyOf(w.next)
	return w.Take(k, 100, ten)
}

// What was chosen for when Redis is away holds while it stands still, is killed, or
// takes no writes; that is noticed by itself, told once, and so is that it is back.
func TestAway(t *testing.T) {
	for _, away := range limit.Modes() {
		t.Run(string(away), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			w := watch(t, s.URL(), away, time.Second)
			if got := w.call(); got.Mode != limit.Together || !got.OK {
				t.Fatalf("before: %+v", got)
			}
			for _, f := range []struct {
				what, why string
				harm, end func()
			}{
				{"it stands still", "it doesn't answer within 1s", s.Stop, s.Continue},
				{"it is killed", "dial unix", s.Kill, s.Restart},
			} {
				since, lines := time.Now(), w.lines()
				f.harm()
				for w.State().Mode == limit.Together {
					if got := w.call(); got.Mode != limit.Together && got.Mode != away {
						t.Fatalf("%s: %+v, want %s", f.what, got, away)
					}
				}
				w.LookNow() // at first it may only be that connections ended
				state := w.State()
				if state.Mode != away || !strings.Contains(state.Why, f.why) || state.Since.Before(since) {
					t.Errorf("%s: %+v, want %s because it %s", f.what, state, away, f.why)
				}
				asked := w.State().Asked
				for range 1000 {
					if got := w.call(); got.Mode != away || got.Retry <= 0 {
						t.Fatalf("%s: %+v, want %s", f.what, got, away)
					}
				}
				if n := w.State().Asked; n != asked {
					t.Errorf("%s: %d calls asked for nothing", f.what, n-asked)
				}
				f.end()
				w.becomes(limit.Together)
				if got := w.call(); got.Mode != limit.Together || !got.OK {
					t.Errorf("after %s: %+v", f.what, got)
				}
				if n := w.lines() - lines; n != 2 {
					t.Errorf("%s: %d lines in the log, want one when it went and one when it came back", f.what, n)
				}
			}
		})
	}
}

// That Redis is away is noticed though no call comes.
func TestAwayUnasked(t *testing.T) {
	s := redistest.Start(t)
	w := watch(t, s.URL(), limit.Allow, time.Second)
	s.Kill()
	w.Ledger.LookNow()
	w.Ledger.LookNow()
	w.Ledger.LookNow()
	w.becomes(limit.Allow)
}

// A call waits for the bound and no longer, whatever Redis does; after a few such
// calls none waits at all.
func TestBound(t *testing.T) {
	s := redistest.Start(t)
	const bound = 50 * time.Millisecond
	w := watch(t, s.URL(), limit.Shared, bound)
	w.becomes(limit.Together)
	s.Stop()
	defer s.Continue()
	var all sync.WaitGroup
	took := make([]time.Duration, 64)
	for i := range took {
		all.Go(func() {
			k, began := keyOf(i), time.Now()
			w.Take(k, 100, ten)
			took[i] = time.Since(began)
		})
	}
	all.Wait()
	w.becomes(limit.Shared)
	began := time.Now()
	for range 10_000 {
		w.call()
	}
	each := time.Since(began) / 10_000
	t.Logf("the slowest of 64 waited %s by a bound of %s; then each took %s", slices.Max(took), bound, each)
	// Far above, since the machine may be busy; far below what the network would take.
	if m := slices.Max(took); m > bound+2*time.Second {
		t.Errorf("a call waited %s, want at most %s", m, bound)
	}
	if each > bound/10 {
		t.Errorf("a call takes %s while Redis is away", each)
	}
}

// A server that isn't one, or not for us, is away from the start, with the reason
// in plain words and never with the password.
func TestRefusedFromTheStart(t *testing.T) {
	locked := redistest.Start(t, "--requirepass", "s3cret-word")
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 1")
	full := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	acl := redistest.Start(t, strings.Fields("--user default on nopass ~postern:limit:* +get +time +eval +evalsha")...)
	for _, tt := range []struct{ what, url, why string }{
		{"no password", locked.URL(), "it wants a password"},
		{"the wrong password", locked.URL("wrong-word"), "it refuses the user or the password"},
		{"a replica", replica.URL(), "it is a replica that takes no writes"},
		{"no memory", full.URL(), "its memory is full"},
		{"a user without rights", acl.URL(), "its user may not run the script: allow eval, evalsha, get, set and time on postern:limit:*"},
		{"nobody there", "unix:///nowhere/s", "no such file or directory"},
		{"another program", fake(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), ""},
		{"wrong numbers", fake(t, "*3\r\n:5\r\n:-1\r\n$1\r\n0\r\n"), "it gives answers that make no sense"},
		{"other types", fake(t, "*3\r\n+a\r\n+b\r\n+c\r\n"), "it gives answers that make no sense"},
		{"too few", fake(t, "*1\r\n:1\r\n"), "it gives answers that make no sense"},
		{"too old", fake(t, "-ERR Write commands not allowed after non deterministic commands\r\n"), "Write commands not allowed"},
		{"nothing", fake(t, ""), "it ended the connection"},
	} {
		w := watch(t, tt.url, limit.Refuse, time.Second)
		s := w.State()
		if s.Mode != limit.Refuse || !strings.Contains(s.Why, tt.why) || w.lines() != 1 {
			t.Errorf("%s: %+v and %d lines in the log, want %q", tt.what, s, w.lines(), tt.why)
		}
		if strings.Contains(w.log.String(), "wrong-word") {
			t.Errorf("%s: the password is in the log: %s", tt.what, w.log.String())
		}
		if got := w.call(); got.Mode != limit.Refuse {
			t.Errorf("%s: %+v", tt.what, got)
		}
		if _, err := ledger.Look(t.Context(), tt.url, time.Second); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Look at %s = %v, want %q", tt.what, err, tt.why)
		}
	}
	w := watch(t, locked.URL("s3cret-word"), limit.Refuse, time.Second)
	w.becomes(limit.Together)
	if took, err := ledger.Look(t.Context(), locked.URL("s3cret-word"), time.Second); err != nil || took <= 0 {
		t.Errorf("Look = %s, %v", took, err)
	}
	rights := redistest.Start(t, strings.Fields("--user default on nopass ~postern:limit:* +get +set +time +eval +evalsha")...)
	if _, err := ledger.Look(t.Context(), rights.URL(), time.Second); err != nil {
		t.Errorf("with the rights that the message names: %v", err)
	}
}

// fake is a server that gives the same answer to everything but greetings.
func fake(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	if len(path) > 100 {
		t.Fatal("the path is too long for a socket")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				answerAll(c, answer)
			}()
		}
	}()
	return "unix://" + path
}

// answerAll reads commands and answers them until the other ends.
func answerAll(c net.Conn, answer string) {
	in := bufio.NewReader(c)
	for {
		var args int
		if _, err := fmt.Fscanf(in, "*%d\r\n", &args); err != nil {
			return
		}
		name := ""
		for i := range args {
			var n int
			if _, err := fmt.Fscanf(in, "$%d\r\n", &n); err != nil {
				return
			}
			word := make([]byte, n+2)
			for j := range word {
				b, err := in.ReadByte()
				if err != nil {
					return
				}
				word[j] = b
			}
			if i == 0 {
				name = strings.ToLower(string(word[:n]))
			}
		}
		said := answer
		if name != "eval" && name != "evalsha" {
			said = "-ERR unknown command\r\n"
		}
		if said == "" {
			return
		}
		if _, err := c.Write([]byte(said)); err != nil {
			return
		}
	}
}

// What is wrong with a URL is said without it: it may hold a password.
func TestCheck(t *testing.T) {
	for url, want := range map[string]string{
		"redis://host":                    "",
		"redis://:pa%20ss@host:6379/3":    "",
		"rediss://user:pw@host":           "",
		"unix:///run/redis.sock?db=2":     "",
		"postgres://host":                 "begins with redis://",
		"host:6379":                       "begins with redis://",
		"redis://us er:pw@host":           "is no URL",
		"redis://:pw@":                    "names no host",
		"redis://:pw@host/a":              "number of a database",
		"redis://:pw@host/1/2":            "number of a database",
		"rediss://:pw@host?skip_verify=1": `takes no "skip_verify"`,
		"redis://host?sslrootcert=/x":     "goes with rediss",
		"rediss://host?sslrootcert=/x":    "sslrootcert: open /x",
	} {
		err := ledger.Check(url)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pw")) {
			t.Errorf("Check(%s) = %v, want %q", url, err, want)
		}
	}
}
