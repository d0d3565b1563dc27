package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// cluster is a number of nodes that share a database, and one account in it.
type cluster struct {
	t        *testing.T
	database string
	home     string // holds the pepper
	admin    string
	nodes    []*server
	client   *http.Client
}

func newCluster(t *testing.T, database string) *cluster {
	t.Helper()
	// Nodes in one process each need fewer connections than one that has a machine.
	sep := "?"
	if strings.Contains(database, "?") {
		sep = "&"
	}
	database = strings.ReplaceAll(database, "pool_max_conns=4", "pool_max_conns=16")
	if !strings.Contains(database, "pool_max_conns") {
		database += sep + "pool_max_conns=16"
	}
	c := &cluster{t: t, database: database, home: t.TempDir(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	c.admin = setup(t, c.home, "--database", database)
	return c
}

// start starts a node; database is the cluster's, or a way to it.
func (c *cluster) start(database string, args ...string) *server {
	c.t.Helper()
	args = append([]string{"serve", "--database", database, "--pepper-path", filepath.Join(c.home, "pepper"), "--burst-calls", "0", "--gateway", "off"}, args...)
	s := startNode(c.t, c.t.TempDir(), args...)
	c.nodes = append(c.nodes, s)
	return s
}

// startNode is start for a node without a gateway.
func startNode(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := launch(t, data, append(args, "--data", data, "--listen", "127.0.0.1:0", "--log-format", "text")...)
	s.answers(args[0])
	return s
}

// answers waits until a server is ready.
func (s *server) answers(what string) {
	s.t.Helper()
	select {
	case m := <-s.ready:
		s.API, s.Gateway = m[1], m[2]
	case <-s.done:
		s.t.Fatalf("postern %s ended: %v\n%s", what, s.err, s.output())
	case <-time.After(2 * time.Minute):
		s.t.Fatalf("postern %s is not ready\n%s", what, s.output())
	}
}

// key makes a service key.
func (c *cluster) key(as caller, name string) api.ChangedKey {
	c.t.Helper()
	var made api.ChangedKey
	as.must(c.t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: name})
	return made
}

func (c *cluster) as(s *server, secret string) caller { return caller{c.client, s.API, secret} }

// revoke ends a key and gives the receipt.
func (c *cluster) revoke(as caller, id string) (*api.Receipt, error) {
	status, out, err := as.do("POST", "/v1/service-keys/"+id+"/revoke", nil)
	for err == nil && tryAgain(status) {
		<-time.After(20 * time.Millisecond)
		status, out, err = as.do("POST", "/v1/service-keys/"+id+"/revoke", nil)
	}
	var made api.ChangedKey
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("revoke %s = %d %s", id, status, out)
	}
	if err == nil {
		err = json.Unmarshal(out, &made)
	}
	if err == nil && made.Receipt == nil {
		err = fmt.Errorf("revoke %s: no receipt in %s", id, out)
	}
	return made.Receipt, err
}

// tryAgain is an answer that asks for patience and has changed nothing.
func tryAgain(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// answer is what a node says of a secret.
type answer string

const (
	allows  answer = "allows"
	refuses answer = "refuses"
	cannot  answer = "cannot tell" // 503
	silent  answer = "is silent"   // no answer at all
)

// ask asks a node whether a secret is good, within the context's time.
func (c *cluster) ask(ctx context.Context, s *server, secret string) (answer, string) {
	req, err := http.NewRequestWithContext(ctx, "POST", s.API+"/v1/verify", strings.NewReader(`{"secret":"`+secret+`"}`))
	if err != nil {
		return silent, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.client.Do(req)
	if err != nil {
		return silent, err.Error()
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	var said struct {
		Allowed *bool
		Reason  string
	}
	switch {
	case err != nil:
		return silent, err.Error()
	case res.StatusCode == http.StatusServiceUnavailable:
		return cannot, "503"
	case res.StatusCode != http.StatusOK || json.Unmarshal(out, &said) != nil || said.Allowed == nil:
		return refuses, fmt.Sprint(res.StatusCode, " ", string(out))
	case *said.Allowed:
		return allows, said.Reason
	}
	return refuses, said.Reason
}

// judge knows since when nobody may be allowed in with a secret.
type judge struct {
	mu    sync.Mutex
	since map[string]time.Time
	asked int
	wrong []string
}

func newJudge() *judge { return &judge{since: map[string]time.Time{}} }

// dead says that a secret must be refused from now on.
func (j *judge) dead(secret string, since time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.since[secret] = since
}

// hears takes in an answer to a question that was put at a time.
func (j *judge) hears(node, secret string, asked time.Time, a answer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	since, dead := j.since[secret]
	if !dead || asked.Before(since) {
		return
	}
	j.asked++
	if a == allows {
		j.wrong = append(j.wrong, fmt.Sprintf("%s allowed a secret %s after it was dead", node, asked.Sub(since)))
	}
}

// verdict fails the test for each secret that was allowed though it was dead.
func (j *judge) verdict(t *testing.T, least int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.wrong) > 0 {
		t.Errorf("%d of %d questions about dead secrets were answered with yes: %s", len(j.wrong), j.asked, strings.Join(j.wrong[:min(5, len(j.wrong))], "; "))
	}
	if j.asked < least {
		t.Errorf("only %d questions about dead secrets, want %d: too few to say anything", j.asked, least)
	}
}

// spread are times in their order.
type spread []time.Duration

func (s spread) at(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(share*float64(len(s))))]
}

func spreadOf(list []time.Duration) spread {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

func anyNode(nodes []*server) *server { return nodes[rand.IntN(len(nodes))] }

// long says that the long forms of the cluster's tests run.
func long() bool { return *clusterLong }

// logs shows what the nodes said, where a test failed and somebody wants to see it.
func (c *cluster) logs() {
	if c.t.Failed() && os.Getenv("CLUSTER_LOGS") != "" {
		for i, n := range c.nodes {
			c.t.Logf("node %d:\n%s", i, n.output())
		}
	}
}
