package httpapi_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/verify"
)

var (
	metricName   = regexp.MustCompile(`\b(?:postern|process|go)_[a-z0-9_]+`)
	metricSuffix = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// Every figure that the dashboard and the alerts look at is one that a server
// tells, or they would be silent for ever.
func TestDashboardAndAlertsNameMetrics(t *testing.T) {
	w := openWith(t, t.TempDir()+"/postern.db", verify.Config{Ledger: away{}}, func(c *httpapi.Config) { c.Journal = func() (int64, bool) { return 7, true } }).setUp()
	w.send("GET", "/v1/members/me", w.secret, "")
	there, _ := w.scrape()
	for file, least := range map[string]int{"grafana/postern.json": 20, "prometheus/postern.rules.yml": 12, "prometheus/postern.test.yml": 5} {
		text, err := os.ReadFile(filepath.Join("../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, name := range metricName.FindAllString(expressions(t, file, string(text)), -1) {
			seen[name] = true
			if there[name] == nil && there[metricSuffix.ReplaceAllString(name, "")] == nil {
				t.Errorf("%s looks at %s, which no server tells", file, name)
			}
		}
		if len(seen) < least {
			t.Errorf("%s names %d metrics, want at least %d", file, len(seen), least)
		}
	}
	if there["postern_nothing"] != nil {
		t.Error("a metric that isn't there is found")
	}
}

// away is a ledger that is away.
type away struct{}

func (away) Take([postern.KeyIDLen]byte, int64, int64) limit.Taken {
	return limit.Taken{Mode: limit.Allow}
}
func (away) State() limit.State { return limit.State{Mode: limit.Allow} }

// expressions are the parts of a file in which metrics are named.
func expressions(t *testing.T, file, text string) string {
	t.Helper()
	var b strings.Builder
	if filepath.Ext(file) != ".json" {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "expr:") || strings.Contains(line, "series:") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if s, ok := e.(string); ok && (name == "expr" || name == "query") {
					b.WriteString(s + "\n")
				}
				walk(e)
			}
		}
	}
	walk(v)
	return b.String()
}
