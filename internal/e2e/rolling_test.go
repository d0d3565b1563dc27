package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store"
	"postern.dev/postern/internal/store/storetest"
)

var twoBinaries = flag.Bool("rolling", false, "TestClusterRolling builds the binaries of versions to come, instead of only making what their migrations make")

// tomorrow builds the binary of a version to come, which has one migration more.
func tomorrow(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	extra := filepath.Join(dir, "extra.sql")
	if err := os.WriteFile(extra, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for _, engine := range []string{"sqlite", "postgres"} {
		at, err := filepath.Abs(filepath.Join("../store/migrations", engine, name))
		if err != nil {
			t.Fatal(err)
		}
		replace[at] = extra
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "postern")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", out, "../../cmd/postern")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, said)
	}
	return out
}

// startBinary starts a node of another binary, or reports what it says instead.
func (c *cluster) startBinary(path string, args ...string) (s *server, says string) {
	c.t.Helper()
	was := binary
	binary = path
	defer func() { binary = was }()
	data := c.t.TempDir()
	s = launch(c.t, data, append([]string{"serve", "--database", c.database, "--pepper-path", filepath.Join(c.home, "pepper"), "--burst-calls", "0",
		"--gateway", "off", "--data", data, "--listen", "127.0.0.1:0", "--log-format", "text"}, args...)...)
	select {
	case m := <-s.ready:
		s.API, s.Gateway = m[1], m[2]
		c.nodes = append(c.nodes, s)
		return s, ""
	case <-s.done:
		return nil, s.output()
	}
}

// upgrade brings a version to come: a node of its binary, or why there is none. In
// the short form only its migration comes, and the node is one of today's.
func (c *cluster) upgrade(name, text string) (s *server, says string) {
	c.t.Helper()
	if *twoBinaries {
		return c.startBinary(tomorrow(c.t, name, text), "--lease", "20s", "--node-name", "newer")
	}
	p := store.Records()
	today, err := fs.Glob(p.Migrations, "postgres/*.sql")
	if err != nil {
		c.t.Fatal(err)
	}
	all := fstest.MapFS{"postgres/" + name: {Data: []byte(text)}}
	for _, file := range today {
		b, err := fs.ReadFile(p.Migrations, file)
		if err != nil {
			c.t.Fatal(err)
		}
		all[file] = &fstest.MapFile{Data: b}
	}
	pool, err := store.Open(c.t.Context(), store.PoolConfig{Target: c.database, Migrations: all, Table: p.Table, Nodes: true})
	if err != nil {
		return nil, err.Error()
	}
	pool.Close()
	return c.start(c.database, "--lease", "20s", "--node-name", "newer"), ""
}

// A cluster is upgraded node after node to a version that adds to the schema: the
// older one goes on, revocations reach both, and one version back works. A version
// that breaks the schema doesn't start beside it.
func TestClusterRolling(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	older := c.start(c.database, "--lease", "20s", "--node-name", "older")
	c.both(older, older, "before")

	newer, says := c.upgrade("9000_more.sql", fmt.Sprintf("-- works with: %d\nalter table accounts add column colour text not null default 'grey';\ncreate table colours (name text not null primary key);\n", store.LatestRecords()))
	if newer == nil {
		t.Fatalf("the newer version doesn't start beside the older one:\n%s", says)
	}
	c.both(older, newer, "made by the older")
	c.both(newer, older, "made by the newer")

	// One version back: the older one is started anew on what the newer one made.
	older.stop()
	older = c.start(c.database, "--lease", "20s", "--node-name", "older")
	c.both(older, newer, "after a start anew")
	newer.stop()
	c.both(older, older, "after the newer one left")

	if s, says := c.upgrade("9001_other.sql", "alter table accounts rename column name to title;\n"); s != nil || !strings.Contains(says, "the node older runs") {
		t.Errorf("a version that breaks the schema starts beside one that needs it, or says not why:\n%s", says)
	}
	c.both(older, older, "after that")
}

// both makes and ends a key by one node, and finds both in force on another.
func (c *cluster) both(by, other *server, name string) {
	c.t.Helper()
	as := c.as(by, c.admin)
	made := c.key(as, name)
	for _, s := range []*server{by, other} {
		if said, why := c.ask(c.t.Context(), s, made.Secret); said != allows {
			c.t.Errorf("%s: of a new key a node %s: %s", name, said, why)
		}
	}
	r, err := c.revoke(as, made.ID)
	if err != nil || r.Effective != api.EffectiveEverywhere {
		c.t.Errorf("%s: receipt %+v, %v; want everywhere", name, r, err)
	}
	for _, s := range []*server{by, other} {
		if said, why := c.ask(c.t.Context(), s, made.Secret); said != refuses || why != "revoked" {
			c.t.Errorf("%s: of an ended key a node %s: %s", name, said, why)
		}
	}
}
