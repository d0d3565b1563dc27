package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var helpLink = regexp.MustCompile(`^<([^>]+)>; rel="help"$`)

// TestOwnAPI goes the way that the README tells, with its own example, and
// follows what the refusals link to.
func TestOwnAPI(t *testing.T) {
	notes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("Postern-Scopes")+r.Header.Get("Authorization"))
	}))
	t.Cleanup(notes.Close)
	data := t.TempDir()
	admin := setup(t, data)
	s := start(t, data, "serve", "--crm")
	run := func(args ...string) {
		t.Helper()
		if out, stderr, code := s.cliRun(admin, "", args...); code != 0 {
			t.Fatalf("postern %s: exit %d\n%s%s", strings.Join(args, " "), code, out, stderr)
		}
	}
	run("catalog", "check", "../../docs/examples/notes/openapi.yaml", "--operations", "--strict")
	run("upstreams", "set", "notes", "--url", notes.URL, "--prefix", "/api")
	run("catalog", "load", "../../docs/examples/notes/openapi.yaml", "--upstream", "notes", "--yes")
	var key struct{ Secret string }
	s.cliJSON(admin, &key, "keys", "create", "notes-reader", "--scope", "notes.read")

	if status, body := get(t, s.Gateway+"/api/notes", key.Secret); status != 200 || body != "GET /api/notes notes.read" {
		t.Errorf("reading notes: %d %s", status, body)
	}
	if status, body := get(t, s.Gateway+"/api/status", ""); status != 200 || body != "GET /api/status " {
		t.Errorf("the public operation: %d %s", status, body)
	}
	for _, c := range []struct {
		method, url, secret string
		status              int
		place               string
	}{
		{"DELETE", s.Gateway + "/api/notes/7", key.Secret, 403, "insufficient_scope"},
		{"GET", s.Gateway + "/api/notes", "", 401, "no_credential"},
		{"GET", s.Gateway + "/api/other", key.Secret, 404, "unknown_operation"},
		{"GET", s.Gateway + "/crm/v3/objects/deals", key.Secret, 403, "insufficient_scope"},
		{"GET", s.API + "/v1/service-keys", key.Secret, 403, "wrong_kind"},
		{"GET", s.API + "/v1/service-keys/none", admin, 404, "not_found"},
	} {
		r, err := http.NewRequest(c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.secret != "" {
			r.Header.Set("Authorization", "Bearer "+c.secret)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		m := helpLink.FindStringSubmatch(res.Header.Get("Link"))
		if res.StatusCode != c.status || m == nil || !strings.HasSuffix(m[1], "#"+c.place) {
			t.Errorf("%s %s: %d with Link %q, want %d and one to %s\n%s", c.method, c.url, res.StatusCode, res.Header.Get("Link"), c.status, c.place, body)
			continue
		}
		explained(t, m[1], c.place)
		// In HubSpot's dialect the body names the page.
		if strings.Contains(c.url, "/crm/") {
			at := strings.Index(string(body), s.API+"/docs/scopes")
			if at < 0 {
				t.Errorf("the refusal names no page: %s", body)
			}
			explained(t, s.API+"/docs/scopes", "scopes")
		}
	}
}

// explained checks that a link leads to a page that has the place it names.
func explained(t *testing.T, link, place string) {
	t.Helper()
	res, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 || !strings.Contains(string(page), ` id="`+place+`"`) {
		t.Errorf("%s: %d, and no paragraph named %s", link, res.StatusCode, place)
	}
}
