package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
	"postern.dev/postern/internal/verify"
)

// shiftedNode names, in the environment of this test's binary, a node that is to
// run with its clock wrong: the binary that people use has no way to be told so.
const shiftedNode = "POSTERN_E2E_SHIFTED"

func init() {
	if by := os.Getenv(shiftedNode); by != "" {
		if err := runShifted(by); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// shift is what is special about such a node.
type shift struct {
	By      time.Duration // its clocks are ahead by this much
	Rate    int           // what is done by time of day is done this much faster
	Since   time.Time     // from when on
	Lease   time.Duration
	LeadFor time.Duration // 0: the default
	Name    string
}

// now is the time of day at which such a node believes itself.
func (s *shift) now() time.Time {
	t := time.Now().Add(s.By)
	if s.Rate > 1 {
		t = t.Add(time.Duration(s.Rate-1) * time.Since(s.Since))
	}
	return t.UTC().Truncate(time.Microsecond)
}

// shiftedClock is a machine whose wall clock somebody set wrong.
type shiftedClock struct {
	verify.Clock
	by time.Duration
}

func (c shiftedClock) Now() verify.Instant {
	i := c.Clock.Now()
	i.Wall += int64(c.by)
	return i
}

func runShifted(text string) error {
	var by shift
	if err := json.Unmarshal([]byte(text), &by); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, node.Config{Data: os.Getenv("DATA"), Name: by.Name, Database: os.Getenv("DATABASE"), PepperPath: os.Getenv("PEPPER"), Standby: store.Standby("none"),
		PublicURL: "http://" + l.Addr().String(), GatewayURL: "-", Lease: by.Lease, LeadFor: by.LeadFor, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Now: by.now, Clock: shiftedClock{verify.SystemClock(), by.By}})
	if err != nil {
		return err
	}
	return n.Run(ctx, node.Listeners{Admin: l}, time.Second)
}

// startShifted starts a node with something special about its clock.
func (c *cluster) startShifted(database string, by shift) *server {
	c.t.Helper()
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := json.Marshal(by)
	if err != nil {
		c.t.Fatal(err)
	}
	s := &server{t: c.t, Data: c.t.TempDir(), ready: make(chan []string, 1), done: make(chan struct{})}
	s.cmd = exec.Command(self)
	s.cmd.Env = append(os.Environ(), shiftedNode+"="+string(text), "DATA="+s.Data, "DATABASE="+database, "PEPPER="+filepath.Join(c.home, "pepper"))
	s.run()
	s.answers("with a wrong clock")
	c.nodes = append(c.nodes, s)
	return s
}

// cutter is a way that can be cut, and made whole again.
type cutter interface {
	hold()
	release()
}

// startInNamespace starts a node in a network namespace, where there is such a thing.
var startInNamespace func(c *cluster, args ...string) (*server, cutter)

// A patient is a node with something wrong, and what it answered meanwhile.
type patient struct {
	name string
	node *server
	way  cutter // to the database

	mu    sync.Mutex
	heard []heard
}

type heard struct {
	at, until time.Time // of the question and of the answer
	secret    string
	said      answer
	why       string
}

// A node is cut off, another is stopped, and two have clocks that are a day
// wrong and are cut off too. Until their leases end no call of a live key fails;
// afterwards nothing is allowed and every answer is 503; and after the time that
// a receipt names nothing that it is about is allowed.
func TestClusterFaults(t *testing.T) {
	lease, database := 5*time.Second, ""
	if long() {
		lease, database = 20*time.Second, storetest.NewServer(t).URL()
	} else {
		database = storetest.Postgres(t)
	}
	c := newCluster(t, database)
	defer c.logs()
	well := c.start(c.database, "--lease", lease.String())
	var cut []*patient
	add := func(name string, start func(database string) *server) *patient {
		w, by := through(t, c.database)
		p := &patient{name: name, node: start(by), way: w}
		cut = append(cut, p)
		return p
	}
	real := func(database string) *server { return c.start(database, "--lease", lease.String()) }
	add("cut off", real)
	stopped := add("stopped", real)
	add("a day ahead", func(d string) *server { return c.startShifted(d, shift{By: 24 * time.Hour, Lease: lease}) })
	add("a day behind", func(d string) *server { return c.startShifted(d, shift{By: -24 * time.Hour, Lease: lease}) })
	if long() && startInNamespace != nil {
		n, way := startInNamespace(c, "--lease", lease.String())
		cut = append(cut, &patient{name: "in a namespace that is cut off", node: n, way: way})
	}
	admin := c.as(well, c.admin)
	live, dead := c.key(admin, "live"), c.key(admin, "dead")
	for _, n := range c.nodes {
		c.until(n, live.Secret, allows)
		c.until(n, dead.Secret, allows)
	}
	j := newJudge()
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, p := range cut {
		all.Go(func() { c.watch(ctx, p, j, live.Secret, dead.Secret) })
	}
	healthy := &patient{name: "well", node: well}
	all.Go(func() { c.watch(ctx, healthy, j, live.Secret, dead.Secret) })

	at := time.Now()
	for _, p := range cut {
		if p != stopped {
			p.way.hold()
		}
	}
	stopped.node.cmd.Process.Signal(syscall.SIGSTOP)
	resumed := make(chan time.Time, 1)
	go func() {
		<-time.After(2 * lease)
		stopped.node.cmd.Process.Signal(syscall.SIGCONT)
		resumed <- time.Now()
	}()
	receipt, err := c.revoke(admin, dead.ID)
	if err != nil {
		t.Fatal(err)
	}
	by := time.Now()
	if receipt.Effective == "" {
		by = receipt.EffectiveBy
		if len(receipt.Awaiting) > len(cut) || by.Sub(at) > lease+lease/10+time.Second {
			t.Errorf("the receipt awaits %v until %s after the cut, want no longer than a lease of %s", receipt.Awaiting, by.Sub(at), lease)
		}
	}
	j.dead(dead.Secret, by)
	cont := <-resumed
	<-time.After(lease / 2)
	for _, p := range cut {
		if p != stopped {
			p.way.release()
		}
	}
	for _, n := range c.nodes { // they all come back by themselves
		c.until(n, live.Secret, allows)
		c.until(n, dead.Secret, refuses)
	}
	released := time.Now()
	stop()
	all.Wait()
	j.verdict(t, 20)
	for _, p := range append(cut, healthy) {
		p.judge(t, p == stopped, p == healthy, at, cont, released, lease, live.Secret)
	}
	t.Logf("lease %s: receipt %s after the cut (effectiveBy %s), %d questions about the dead key after that time, 0 answered with yes",
		lease, by.Sub(at).Round(time.Millisecond), receipt.EffectiveBy.Format(time.TimeOnly), j.asked)
}

// watch asks a node about secrets, again and again.
func (c *cluster) watch(ctx context.Context, p *patient, j *judge, secrets ...string) {
	for i := 0; ctx.Err() == nil; i++ {
		secret := secrets[i%len(secrets)]
		h := heard{at: time.Now(), secret: secret}
		h.said, h.why = c.ask(ctx, p.node, secret)
		h.until = time.Now()
		if ctx.Err() != nil {
			return
		}
		j.hears(p.name, secret, h.at, h.said)
		p.mu.Lock()
		p.heard = append(p.heard, h)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// judge looks at what a node said of the live key.
func (p *patient) judge(t *testing.T, stopped, healthy bool, cut, cont, released time.Time, lease time.Duration, live string) {
	t.Helper()
	// A lease is renewed each twentieth of its length or a little before, and a busy machine may take its time.
	sure := cut.Add(lease - lease/10 - 100*time.Millisecond)
	over := cut.Add(lease + 200*time.Millisecond)
	var well, before, after, unsure int
	for _, h := range p.heard {
		if stopped && h.at.Before(cont) && h.until.After(over) {
			after++ // of whichever secret: it is one question at a time
		}
		if h.secret != live {
			continue
		}
		fault := ""
		switch {
		case h.said == refuses:
			fault = "refused a live key"
		case h.said == silent && !stopped:
			fault = "did not answer"
		case healthy || h.until.Before(cut):
			if well++; h.said != allows {
				fault = "did not allow a live key while all was well"
			}
		case stopped:
			// What it was asked while it stood still it answers when it goes on: at first it knows nothing sure.
			if h.said != silent && h.until.Before(cont) && h.at.After(cut.Add(time.Second)) {
				fault = "answered while it stood still"
			}
		case h.until.Before(sure):
			if before++; h.said != allows {
				fault = "did not allow a live key although its lease ran"
			}
		case h.at.After(over) && h.until.Before(cut.Add(2*lease+lease/2)):
			if after++; h.said != cannot {
				fault = "answered something else than 503 although its lease was over"
			}
		default:
			unsure++
		}
		if fault != "" {
			t.Errorf("%s: %s: it %s (%s) from %s to %s after the cut", p.name, fault, h.said, h.why, h.at.Sub(cut), h.until.Sub(cut))
			return
		}
	}
	if !healthy && (after == 0 || !stopped && before == 0) {
		t.Errorf("%s: %d answers within the lease and %d after it: too few", p.name, before, after)
	}
	if stopped {
		t.Logf("%s: %d questions came while it stood still and were answered after it went on; what it said of the dead key is judged above", p.name, after)
		return
	}
	t.Logf("%s: of a live key, %d answers while all was well and %d within the lease, all yes; %d after it, all 503; %d at the edges", p.name, well, before, after, unsure)
}
