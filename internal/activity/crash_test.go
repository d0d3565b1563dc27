package activity_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
)

var crashSpan = flag.Duration("crash", time.Second, "how long TestKillUnderLoad records at full speed; the long form is 60s")

// crasher names the database, and crasherSpool the spool, that a child of this test
// writes to until it is killed, or told to end.
const (
	crasher      = "POSTERN_ACTIVITY_CRASHER"
	crasherSpool = "POSTERN_ACTIVITY_CRASHER_SPOOL"
	// clients is how many callers record at once; each tells of every 32nd call that it recorded.
	clients   = 4
	tellEvery = 32
)

// told is what a client said: that its call n was recorded at a time.
type told struct {
	n  int
	at postern.Micros
}

// TestKillUnderLoad records at full speed, kills the process in the middle, goes on
// in another one, and compares what is stored with what the clients were told. It
// kills up to three times, since a machine that others use may keep a process
// from running for longer than what may be lost.
func TestKillUnderLoad(t *testing.T) {
	if target := os.Getenv(crasher); target != "" {
		recordUntilKilled(t, target)
		return
	}
	engines(t, func(t *testing.T, target string) {
		open(t, activity.Config{Target: target}).Close() // makes the tables
		dir := filepath.Join(t.TempDir(), "spool")
		for try := range 3 {
			worth := killOnce(t, target, dir, try)
			if worth <= 100*time.Millisecond {
				return
			}
			if worth > 2*time.Second {
				t.Fatalf("the last %v are lost", worth)
			}
		}
		t.Error("each of three kills lost more than 100 ms")
	})
}

// killOnce kills one process under load and lets another go on; it returns how
// long before the kill the first call was recorded that is lost.
func killOnce(t *testing.T, target, dir string, try int) time.Duration {
	t.Helper()
	first := startClients(t, target, dir, fmt.Sprintf("a%d", try))
	time.Sleep(*crashSpan / 2)
	said := first.kill()
	second := startClients(t, target, dir, fmt.Sprintf("b%d", try))
	time.Sleep(*crashSpan / 2)
	after := second.end(t)

	l := open(t, activity.Config{Target: target, Spool: dir, Now: func() time.Time { return time.Now().UTC() }})
	defer l.Close()
	flush(t, l)
	// How often call n of a client is there, before and after the kill.
	before, later := stored(t, l, fmt.Sprintf("a%d", try)), stored(t, l, fmt.Sprintf("b%d", try))
	lost, recorded, worth := 0, 0, time.Duration(0)
	for c, list := range said {
		if len(list) == 0 {
			t.Fatalf("client %d said nothing", c)
		}
		end := list[len(list)-1]
		recorded += end.n
		first := postern.Micros(0) // when the first that is lost was recorded, or a little before
		for n := 1; n <= end.n; n++ {
			switch before[c].times(n) {
			case 1:
			case 0:
				if lost++; first == 0 {
					first = list[max(0, n/tellEvery-1)].at
				}
			default:
				t.Fatalf("call %d of client %d is there twice", n, c)
			}
		}
		if first != 0 {
			worth = max(worth, end.at.Time().Sub(first.Time()))
		}
	}
	kept := 0
	for c, list := range after {
		if len(list) == 0 {
			t.Fatalf("client %d said nothing after the kill", c)
		}
		for n := 1; n <= list[len(list)-1].n; n++ {
			if later[c].times(n) != 1 {
				t.Fatalf("call %d of client %d, after the kill, is there %d times", n, c, later[c].times(n))
			}
			kept++
		}
	}
	t.Logf("killed after %d calls in %v: %d lost, the last %v; then %d calls, all kept", recorded, *crashSpan/2, lost, worth, kept)
	equalTotals(t, l)
	if wrong, err := l.Check(ctx, acme, time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour)); err != nil || len(wrong) > 0 {
		t.Errorf("totals that aren't what their calls come to: %+v, %v", wrong, err)
	}
	return worth
}

// tally is how often each call of a client is stored, by its number.
type tally []uint8

func (y tally) times(n int) int {
	if n < len(y) {
		return int(y[n])
	}
	return 0
}

// stored counts the calls of a process, of each of its clients.
func stored(t *testing.T, l *activity.Log, name string) (out [clients]tally) {
	t.Helper()
	err := l.Each(ctx, activity.Filter{Account: acme, PathPrefix: "/" + name + "/"}, func(a *postern.Activity) error {
		client, number, _ := strings.Cut(a.Path[len(name)+2:], "/")
		c, err1 := strconv.Atoi(client)
		n, err2 := strconv.Atoi(number)
		if err1 != nil || err2 != nil || c >= clients {
			return fmt.Errorf("a call of %q", a.Path)
		}
		for len(out[c]) <= n {
			out[c] = append(out[c], 0)
		}
		out[c][n]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// loaded is a child that records.
type loaded struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{}
	mu   sync.Mutex
	said [clients][]told
}

func startClients(t *testing.T, target, dir, name string) *loaded {
	t.Helper()
	c := &loaded{cmd: exec.Command(os.Args[0], "-test.run=^TestKillUnderLoad$"), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), crasher+"="+target, crasherSpool+"="+dir, "POSTERN_ACTIVITY_CRASHER_NAME="+name)
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(c.done)
		begun := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var client int
			var s told
			if n, _ := fmt.Sscanf(lines.Text(), "said %d %d %d", &client, &s.n, &s.at); n != 3 {
				continue
			}
			c.mu.Lock()
			c.said[client] = append(c.said[client], s)
			c.mu.Unlock()
			if !begun {
				begun = true
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case <-c.done:
		t.Fatal("the process ended before it recorded anything")
	}
	return c
}

func (c *loaded) kill() [clients][]told {
	c.cmd.Process.Kill()
	<-c.done
	c.cmd.Wait()
	return c.said
}

func (c *loaded) end(t *testing.T) [clients][]told {
	t.Helper()
	c.in.Close()
	<-c.done
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the process ended with %v", err)
	}
	return c.said
}

// recordUntilKilled records as fast as the log takes it, until it is killed or its input ends.
func recordUntilKilled(t *testing.T, target string) {
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	l := open(t, activity.Config{Target: target, Spool: os.Getenv(crasherSpool), Now: now})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()
	name := os.Getenv("POSTERN_ACTIVITY_CRASHER_NAME")
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := 1; ; n++ {
				at := now()
				l.Record(call(at, by(postern.KeyID(fmt.Sprintf("crashkey%08d", c)), 1), func(e *postern.Event) { e.Path = fmt.Sprintf("/%s/%d/%d", name, c, n) }))
				if n%tellEvery != 0 {
					continue
				}
				fmt.Printf("said %d %d %d\n", c, n, postern.ToMicros(at))
				select {
				case <-ended:
					return
				default:
				}
				// As fast as calls are written, and no faster: what is lost shall be the kill's.
				for l.Stats().Buffered > 8192 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); len(st.Dropped) > 0 {
		t.Fatalf("dropped %v", st.Dropped)
	}
}
