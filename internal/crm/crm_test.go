package crm_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"postern.dev/postern"
	"postern.dev/postern/internal/crm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var correlation = regexp.MustCompile(`"correlationId": "[^"]*"`)

// t0 is when every test begins.
var t0 = time.Date(2026, 3, 5, 10, 0, 0, 100e6, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// both runs a test on SQLite, and on PostgreSQL where a server is named.
func both(t *testing.T, fn func(t *testing.T, target string)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, filepath.Join(t.TempDir(), "crm.db")) })
	t.Run("postgres", func(t *testing.T) { fn(t, postgresTarget(t)) })
}

// postgresTarget makes an empty schema and gives a URL that uses it.
func postgresTarget(t testing.TB) string {
	base := os.Getenv("POSTERN_TEST_POSTGRES")
	if base == "" {
		t.Skip("POSTERN_TEST_POSTGRES names no server")
	}
	db, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	name := "crm_" + strings.ToLower(postern.RandomText(12))
	if _, err := db.Exec("create schema " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Exec("drop schema " + name + " cascade")
		db.Close()
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// api calls a service as one account with some scopes.
type api struct {
	t       testing.TB
	s       *crm.Service
	clock   *clock
	account string
	number  string
	scopes  string
}

const allScopes = "oauth crm.objects.contacts.read crm.objects.contacts.write crm.objects.companies.read crm.objects.companies.write " +
	"crm.objects.deals.read crm.objects.deals.write tickets e-commerce crm.objects.custom.read crm.objects.custom.write crm.objects.owners.read " +
	"crm.schemas.contacts.read crm.schemas.contacts.write crm.schemas.companies.write crm.schemas.deals.read crm.schemas.deals.write " +
	"crm.schemas.custom.read crm.schemas.custom.write crm.objects.leads.read crm.objects.leads.write crm.objects.feedback_submissions.read"

func newAPI(t testing.TB, target string, change ...func(*crm.Config)) *api {
	c := &clock{at: t0}
	cfg := crm.Config{Target: target, UIBase: "https://crm.example.net/", Now: c.now, SearchPerSecond: -1,
		KeyLabel: func(context.Context, postern.KeyID) string { return "nightly-sync" }}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := crm.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &api{t: t, s: s, clock: c, account: "acc_A", number: "4242", scopes: allScopes}
}

// with gives the same API for a caller with other scopes.
func (a *api) with(scopes string) *api {
	b := *a
	b.scopes = scopes
	return &b
}

// as gives the same API for another account.
func (a *api) as(account, number string) *api {
	b := *a
	b.account, b.number = account, number
	return &b
}

type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// do makes a call. The body is JSON text, or empty for none.
func (a *api) do(method, path, body string) answer {
	a.t.Helper()
	req := httptest.NewRequest(method, "http://api.example.net"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.account != "" {
		req.Header.Set("Postern-Account", a.account)
		req.Header.Set("Postern-Account-Number", a.number)
		req.Header.Set("Postern-Key", "Kx7pQ2mN8vR4tW6z")
		req.Header.Set("Postern-Scopes", a.scopes)
	}
	return a.send(req)
}

func (a *api) send(req *http.Request) answer {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.s.Handler().ServeHTTP(w, req)
	res := answer{status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	if len(res.raw) > 0 {
		dec := json.NewDecoder(bytes.NewReader(res.raw))
		dec.UseNumber()
		if err := dec.Decode(&res.body); err != nil {
			a.t.Fatalf("%s %s: %v in %s", req.Method, req.URL.Path, err, res.raw)
		}
	}
	return res
}

// want makes a call that must answer with a status.
func (a *api) want(status int, method, path, body string) answer {
	a.t.Helper()
	res := a.do(method, path, body)
	if res.status != status {
		a.t.Fatalf("%s %s = %d %s, want %d", method, path, res.status, res.raw, status)
	}
	if (len(res.raw) == 0) != (status == 204) {
		a.t.Fatalf("%s %s: body %q with status %d", method, path, res.raw, status)
	}
	return res
}

// create makes a record of some properties and gives its id.
func (a *api) create(kind string, properties map[string]any) string {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"properties": properties})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.want(201, "POST", "/crm/v3/objects/"+kind, string(body)).str("id")
}

type crmConfig = crm.Config

type props = map[string]any

// at gives what stands at a path of members and indexes: "results.0.id".
func (r answer) at(path string) any {
	var v any = r.body
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := 0
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (r answer) str(path string) string {
	if s, ok := r.at(path).(string); ok {
		return s
	}
	if n, ok := r.at(path).(json.Number); ok {
		return n.String()
	}
	return ""
}

// ids are the ids of the results.
func (r answer) ids() []string {
	out := []string{}
	list, _ := r.at("results").([]any)
	for _, x := range list {
		out = append(out, x.(map[string]any)["id"].(string))
	}
	return out
}

// golden compares with a file of testdata, after ids that are made at random are replaced.
func golden(t *testing.T, name string, raw []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	got := correlation.ReplaceAllString(pretty.String(), `"correlationId": "00000000-0000-4000-8000-000000000000"`)
	got = strings.TrimSpace(got) + "\n"
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func itoa(n int) string { return fmt.Sprint(n) }
