package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

// What is done once in a cluster is done once a period, by one node, also while
// the one that leads crashes and while the next one stands still beyond the end
// of its lead and goes on. The checkpoints of the audit log show it: each tells
// when it was signed. The nodes' time of day runs 120 times as fast.
func TestClusterPeriodic(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	since := time.Now()
	const rate = 120
	const period = time.Minute
	begin := func(name string) *server {
		return c.startShifted(c.database, shift{Rate: rate, Since: since, Lease: time.Minute, LeadFor: time.Second, Name: name})
	}
	first := begin("first")
	admin := c.as(first, c.admin)
	c.leader(admin, "first")
	others := map[string]*server{"second": begin("second"), "third": begin("third")}
	made := 0
	signed := func(as caller, more int) int { // makes changes until so many more are signed
		t.Helper()
		before := len(c.checkpoints(as))
		for end := time.Now().Add(time.Minute); ; <-time.After(100 * time.Millisecond) {
			made++
			c.key(as, fmt.Sprint("key-", made))
			if n := len(c.checkpoints(as)); n >= before+more {
				return n
			}
			if time.Now().After(end) {
				t.Fatalf("%d checkpoints, want %d more than %d", len(c.checkpoints(as)), more, before)
			}
		}
	}
	signed(admin, 1)

	first.kill()
	admin = c.as(others["third"], c.admin)
	name := c.anyLeader(admin, "first")
	paused := others[name]
	delete(others, name)
	for last, s := range others { // the one that is left
		admin = c.as(s, c.admin)
		signed(admin, 1)
		paused.cmd.Process.Signal(syscall.SIGSTOP)
		if got := c.anyLeader(admin, name); got != last {
			t.Fatalf("%s leads, want %s", got, last)
		}
	}
	signed(admin, 1)
	paused.cmd.Process.Signal(syscall.SIGCONT)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(paused.output(), "leads no more"); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a node that stood still beyond its lead doesn't say that it leads no more")
		}
	}
	n := signed(admin, 2)

	var longest time.Duration
	list := c.checkpoints(admin)
	for i := 1; i < len(list); i++ {
		if list[i-1].Number != list[i].Number+1 {
			t.Errorf("checkpoint %d comes after %d", list[i-1].Number, list[i].Number)
		}
		apart := list[i-1].At.Sub(list[i].At)
		if longest = max(longest, apart); apart < period {
			t.Errorf("checkpoints %d and %d are %s apart, want no two in a period of %s", list[i].Number, list[i-1].Number, apart, period)
		}
	}
	if n < 5 {
		t.Errorf("only %d checkpoints", n)
	}
	t.Logf("%d checkpoints by 3 nodes, of which one crashed and one stood still while it led: no two within %s, the longest pause %s (%s by the true clock)",
		n, period, longest.Round(time.Second), (longest / rate).Round(100*time.Millisecond))
}

// anyLeader waits until a node leads that isn't a given one, and only that one.
func (c *cluster) anyLeader(as caller, but string) string {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
		var leads []string
		for _, n := range c.list(as) {
			if n.Leads {
				leads = append(leads, n.Name)
			}
		}
		if len(leads) == 1 && leads[0] != but {
			return leads[0]
		}
		if time.Now().After(end) {
			c.t.Fatalf("%v lead, want one that isn't %s", leads, but)
		}
	}
}

func (c *cluster) checkpoints(as caller) []api.AuditCheckpoint {
	c.t.Helper()
	var page api.Page[api.AuditCheckpoint]
	as.must(c.t, http.StatusOK, &page, "GET", "/v1/audit/checkpoints?limit=100", nil)
	return page.Items
}
