package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/limit/redistest"
	"postern.dev/postern/internal/store/storetest"
)

// limited makes a key with a limit that is not whole again while a test runs.
func (c *cluster) limited(as caller, name string, calls int64) string {
	c.t.Helper()
	var made api.ChangedKey
	as.must(c.t, http.StatusCreated, &made, "POST", "/v1/service-keys", api.NewServiceKey{Name: name, RateLimit: &api.RateLimit{Calls: calls, Seconds: 3600}})
	return made.Secret
}

// admitted calls each node so often by turns, and counts the calls that were allowed.
func (c *cluster) admitted(secret string, each int) (n int) {
	c.t.Helper()
	for range each {
		for _, s := range c.nodes {
			if a, _ := c.ask(c.t.Context(), s, secret); a == allows {
				n++
			}
		}
	}
	return n
}

// limits waits until every node lists itself as holding limits in a way.
func (c *cluster) limits(as caller, want api.NodeLimits) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		list, all := c.list(as), true
		for _, n := range list {
			all = all && n.Limits == want
		}
		if all && len(list) == len(c.nodes) {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("the nodes are %+v, want that they hold limits by %s", list, want)
		}
	}
}

// Two nodes without Redis: each allows its half of a limit.
func TestClusterSharesLimits(t *testing.T) {
	c := newCluster(t, storetest.Postgres(t))
	defer c.logs()
	admin := c.as(c.start(c.database), c.admin)
	c.start(c.database)
	c.limits(admin, api.LimitsShare)
	// They count who shares every few seconds; until then each allows the whole.
	for i, end := 0, time.Now().Add(time.Minute); ; i++ {
		if n := c.admitted(c.limited(admin, "shared "+strings.Repeat("i", i+1), 11), 12); n == 12 {
			return // half of it each, rounded up
		} else if time.Now().After(end) || n < 11 || n > 22 {
			t.Fatalf("two nodes allowed %d calls of a limit of 11, want 12", n)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// Two nodes with Redis allow a limit together, whichever of them is called; while
// it is away each allows its share, or refuses with 503 and the reason, and all of
// that is shown.
func TestClusterLimits(t *testing.T) {
	c, redis := newCluster(t, storetest.Postgres(t)), redistest.Start(t)
	defer c.logs()
	url := redis.URL()
	args := []string{"--limits", url, "--limits-timeout", "5s", "--limits-away", "refuse"}
	first := c.start(c.database, args...)
	admin := c.as(first, c.admin)
	c.start(c.database, args...)
	c.limits(admin, api.LimitsTogether)
	if n := c.admitted(c.limited(admin, "turns", 11), 12); n != 11 {
		t.Errorf("two nodes allowed %d calls of a limit of 11", n)
	}
	one := c.limited(admin, "one", 11)
	n := 0
	for range 15 {
		if a, _ := c.ask(t.Context(), first, one); a == allows {
			n++
		}
	}
	if n != 11 {
		t.Errorf("the one node that was called allowed %d calls of a limit of 11", n)
	}
	out, errs, code := first.cliRun(c.admin, "", "nodes")
	if code != 0 || strings.Count(out, "together") != 2 {
		t.Errorf("postern nodes: exit %d\n%s%s", code, out, errs)
	}

	redis.Kill()
	c.limits(admin, api.LimitsRefuse)
	status, body, err := admin.do("POST", "/v1/verify", map[string]string{"secret": c.limited(admin, "away", 11)})
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), "limits_away") {
		t.Errorf("a call while Redis is away = %d %s (%v), want 503 and limits_away", status, body, err)
	}
	var unlimited api.ChangedKey
	admin.must(t, http.StatusCreated, &unlimited, "POST", "/v1/service-keys", api.NewServiceKey{Name: "unlimited"})
	if a, why := c.ask(t.Context(), first, unlimited.Secret); a != allows {
		t.Errorf("a key without a limit while Redis is away: %s (%s)", a, why)
	}
	_, health, err := c.as(first, "").do("GET", "/healthz", nil)
	if err != nil || !strings.Contains(string(health), "Redis is away") {
		t.Errorf("health = %s, %v, want a warning", health, err)
	}
	_, figures, err := c.as(first, "").do("GET", "/metrics", nil)
	if err != nil || !strings.Contains(string(figures), `postern_limits_mode{mode="refuse"} 1`) || !strings.Contains(string(figures), `postern_limits_mode{mode="together"} 0`) {
		t.Errorf("metrics don't tell that Redis is away (%v)", err)
	}

	redis.Restart()
	c.limits(admin, api.LimitsTogether)
	if n := c.admitted(c.limited(admin, "again", 11), 12); n != 11 {
		t.Errorf("with Redis back, two nodes allowed %d calls of a limit of 11", n)
	}
}
