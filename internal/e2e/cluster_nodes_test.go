package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

// Nodes join, are listed, crash and leave. What is done once has a new node to do
// it after a crash; a node that left in order, or that starts again where it
// crashed, lets no receipt wait.
func TestClusterNodes(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	first := c.start(c.database, "--lease", "60s", "--node-name", "first")
	admin := c.as(first, c.admin)
	c.leader(admin, "first")
	second := c.start(c.database, "--lease", "60s", "--node-name", "second")
	third := c.start(c.database, "--lease", "60s", "--node-name", "third")
	list := c.list(admin)
	if len(list) != 3 {
		t.Fatalf("%d nodes are listed, want 3: %+v", len(list), list)
	}
	for _, n := range list {
		if n.State == api.NodeGone || n.Version == "" || !strings.HasPrefix(n.Address, "http://127.0.0.1:") || n.LeaseUntil.Before(time.Now()) || n.Leads != (n.Name == "first") || n.Answers != (n.Name == "first") {
			t.Errorf("a node that is well is listed as %+v", n)
		}
	}
	out, errs, code := first.cliRun(c.admin, "", "nodes")
	if code != 0 || !strings.Contains(out, "second") || !strings.Contains(out, "leads") {
		t.Errorf("postern nodes: exit %d\n%s%s", code, out, errs)
	}

	// One leaves in order: nobody waits for it.
	third.stop()
	k := c.key(admin, "left")
	if r, err := c.revoke(admin, k.ID); err != nil || r.Effective != api.EffectiveEverywhere || r.TookMs > 2000 || len(r.Confirmed) != 2 {
		t.Errorf("after a node left in order: receipt %+v, %v; want everywhere at once, by two", r, err)
	}

	// The one that leads crashes: another does its work, and the receipt says who is awaited.
	first.kill()
	began := time.Now()
	admin = c.as(second, c.admin)
	k = c.key(admin, "crashed")
	r, err := c.revoke(admin, k.ID)
	if err != nil || r.Effective != "" || len(r.Awaiting) != 1 || !strings.HasPrefix(r.Awaiting[0].Node, "first.") {
		t.Errorf("after a crash: receipt %+v, %v; want that the crashed one is awaited", r, err)
	}
	c.leader(admin, "second")
	took := time.Since(began)
	c.signed(second)

	// It starts again where it crashed: it knows that its old lease is nobody's.
	again := startNode(t, first.Data, "serve", "--database", c.database, "--pepper-path", c.home+"/pepper", "--gateway", "off", "--lease", "60s", "--node-name", "first")
	c.nodes = append(c.nodes, again)
	var receipt api.Receipt
	admin.must(t, http.StatusOK, &receipt, "GET", "/v1/service-keys/"+k.ID+"/receipt", nil)
	if receipt.Effective != api.EffectiveEverywhere {
		t.Errorf("after the crashed node is back: receipt %+v, want everywhere", receipt)
	}
	t.Logf("another node led %s after the crash of the one that did", took.Round(10*time.Millisecond))
}

// A node that is two versions away is no neighbour; one step either way is.
func TestClusterVersions(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	db, err := sql.Open("pgx", strings.ReplaceAll(strings.ReplaceAll(c.database, "&pool_max_conns=16", ""), "pool_max_conns=16&", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	announce := func(protocol int) {
		t.Helper()
		until := time.Now().Add(time.Hour).UnixMicro()
		if _, err := db.Exec("delete from leases"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("insert into leases (node, name, version, started_at, until, confirmed, protocol) values ('other.1', 'other', '0.0.0', 0, $1, 0, $2)", until, protocol); err != nil {
			t.Fatal(err)
		}
	}
	for protocol, want := range map[int]string{0: "", 2: "", 3: "start a newer binary"} {
		announce(protocol)
		s := launch(t, t.TempDir(), "serve", "--database", c.database, "--pepper-path", c.home+"/pepper", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--gateway", "off")
		select {
		case <-s.ready:
			if want != "" {
				t.Errorf("beside protocol %d a node starts, want that it says %q", protocol, want)
			}
			s.stop()
		case <-s.done:
			if want == "" || !strings.Contains(s.output(), want) {
				t.Errorf("beside protocol %d a node ends: %v\n%s", protocol, s.err, s.output())
			}
		case <-time.After(time.Minute):
			t.Fatal("neither ready nor ended")
		}
	}
}

func (c *cluster) list(as caller) []api.Node {
	c.t.Helper()
	var page api.Page[api.Node]
	as.must(c.t, http.StatusOK, &page, "GET", "/v1/nodes", nil)
	return page.Items
}

// leader waits until a node leads, and only that one.
func (c *cluster) leader(as caller, name string) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
		var leads []string
		for _, n := range c.list(as) {
			if n.Leads {
				leads = append(leads, n.Name)
			}
		}
		if len(leads) == 1 && leads[0] == name {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%v lead, want %s", leads, name)
		}
	}
}

// signed waits until the metrics of a node say that it leads, and that checkpoints cover the audit log.
func (c *cluster) signed(s *server) {
	c.t.Helper()
	for end := time.Now().Add(90 * time.Second); ; <-time.After(100 * time.Millisecond) {
		_, out, err := c.as(s, "").do("GET", "/metrics", nil)
		if err != nil {
			c.t.Fatal(err)
		}
		figure := func(name string) (v float64) {
			for line := range strings.Lines(string(out)) {
				if rest, ok := strings.CutPrefix(line, "postern_"+name+" "); ok {
					fmt.Sscan(rest, &v)
				}
			}
			return v
		}
		if n := figure("audit_entries"); n > 0 && figure("leads") == 1 && figure("audit_covered_entries") > 0 {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("no checkpoint is signed by the new leader:\n%s", out)
		}
	}
}
