package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the drivers, to look at the data past the server
	_ "modernc.org/sqlite"

	"postern.dev/postern/api"
	"postern.dev/postern/internal/store/storetest"
)

// caller calls a server as the holder of one secret.
type caller struct {
	http   *http.Client
	base   string
	secret string
}

func (s *server) as(secret string) caller {
	return caller{http.DefaultClient, s.API, secret}
}

// do makes a call and reads its answer; an error means that there was none. A
// body that is no text is sent as JSON; headers are name and value in turn.
func (c caller) do(method, path string, body any, headers ...string) (int, []byte, error) {
	var in io.Reader
	if text, ok := body.(string); ok {
		in = strings.NewReader(text)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, c.base+path, in)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.secret != "" {
		req.Header.Set("Authorization", "Bearer "+c.secret)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return res.StatusCode, out, err
}

// must makes a call that shall be answered with a status, and reads its JSON.
func (c caller) must(t *testing.T, want int, into any, method, path string, body any, headers ...string) {
	t.Helper()
	status, out, err := c.do(method, path, body, headers...)
	for err == nil && status == http.StatusTooManyRequests && want != status {
		<-time.After(50 * time.Millisecond) // as a client shall
		status, out, err = c.do(method, path, body, headers...)
	}
	if err != nil || status != want {
		t.Fatalf("%s %s = %d %s (%v), want %d", method, path, status, out, err, want)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, out)
		}
	}
}

// invite makes a member with a role and gives their personal access key.
func (c caller) invite(t *testing.T, email, role string, scopes ...string) string {
	t.Helper()
	in := api.NewMember{Email: email, Name: email, RoleID: role}
	if scopes != nil {
		in.Scopes = &scopes
	}
	var invited api.Invited
	c.must(t, http.StatusCreated, &invited, "POST", "/v1/members", in)
	var joined api.Joined
	c.must(t, http.StatusCreated, &joined, "POST", "/v1/invitations/accept", api.AcceptInvitation{Invitation: invited.Invitation})
	return joined.Secret
}

// verified asks whether a secret may read deals.
func (s *server) verified(t *testing.T, secret string) (allowed bool, reason string) {
	t.Helper()
	var d struct {
		Allowed bool
		Reason  string
	}
	s.as("").must(t, http.StatusOK, &d, "POST", "/v1/verify", map[string]string{"secret": secret, "upstream": "crm", "method": "GET", "path": "/crm/v3/objects/deals"})
	return d.Allowed, d.Reason
}

// place is where a server keeps its records.
type place struct {
	data     string
	database string // URL of a PostgreSQL server, or empty
}

// args name the place on a command line.
func (p place) args(args ...string) []string {
	if p.database != "" {
		args = append(args, "--database", p.database)
	}
	return args
}

// places runs a test on each engine; on PostgreSQL where there is a server.
func places(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, place{data: t.TempDir()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		p := place{data: t.TempDir(), database: storetest.Postgres(t)}
		p.database = strings.ReplaceAll(p.database, "pool_max_conns=4", "pool_max_conns=8")
		test(t, p)
	})
}

// open opens one of the databases past the server: "postern", "activity" or "crm".
func (p place) open(t *testing.T, name string) *sql.DB {
	t.Helper()
	driver, target := "sqlite", "file:"+filepath.Join(p.data, name+".db")+"?_pragma=busy_timeout(5000)"
	if p.database != "" {
		driver, target = "pgx", strings.ReplaceAll(p.database, "&pool_max_conns=8", "")
		target = strings.ReplaceAll(target, "pool_max_conns=8&", "")
	}
	db, err := sql.Open(driver, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// setup sets a place up and gives the super admin's personal access key.
func (p place) setup(t *testing.T) string {
	t.Helper()
	return setup(t, p.data, p.args()...)
}

// rows reads a query whole, as text.
func rows(t *testing.T, db *sql.DB, query string, args ...any) (out [][]string) {
	t.Helper()
	rs, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rs.Close()
	cols, err := rs.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rs.Next() {
		row, into := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rs.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(cols))
		for i := range row {
			texts[i] = row[i].String
		}
		out = append(out, texts)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
