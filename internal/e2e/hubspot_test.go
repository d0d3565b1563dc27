package e2e

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// demo is what postern demo printed.
type demoServer struct {
	*server
	key, admin string
}

var demoSecrets = regexp.MustCompile(`pst_(sk|pak)_[0-9A-Za-z]+_[0-9A-Za-z]+`)

func startDemo(t *testing.T) demoServer {
	t.Helper()
	s := start(t, t.TempDir(), "demo", "--log-level", "info")
	waitFor(t, s, "Ctrl-C") // what is printed comes right after the server is ready
	d := demoServer{server: s}
	for _, m := range demoSecrets.FindAllStringSubmatch(s.output(), -1) {
		if m[1] == "sk" {
			d.key = m[0]
		} else if d.admin == "" { // the first is the super admin's
			d.admin = m[0]
		}
	}
	if d.key == "" || d.admin == "" {
		t.Fatalf("the demo printed no secrets:\n%s", s.output())
	}
	return d
}

type clientStatus struct {
	Code     int    `json:"code"`
	Category string `json:"category"`
}

// The whole life of a key, seen by HubSpot's own client.
func TestHubSpotClient(t *testing.T) {
	d := startDemo(t)
	var made struct {
		api.ServiceKey
		Secret string `json:"secret"`
	}
	d.cliJSON(d.admin, &made, "keys", "create", "node-client", "--scope", "crm.objects.deals.read")
	first := made.Secret

	var read struct {
		Paged, Distinct, Searched, Total, TooOld, Batch, Partial, Errors, Named int
		Status                                                                  string
	}
	since := strconv.FormatInt(time.Now().Add(-90*24*time.Hour).UnixMilli(), 10)
	d.nodeRun(first, &read, "api-client.mjs", "read", since)
	if read.Paged != 600 || read.Distinct != 600 || read.Batch != 100 || read.Named != 100 || read.Status != "COMPLETE" {
		t.Errorf("read %+v, want 600 distinct deals and a batch of 100", read)
	}
	if read.Total != read.Searched || read.Total == 0 || read.Total == 600 || read.TooOld != 0 {
		t.Errorf("searched %+v, want some of the deals, all changed since %s", read, since)
	}
	if read.Partial != 1 || read.Errors != 1 {
		t.Errorf("partial batch: %d results and %d errors, want 1 and 1", read.Partial, read.Errors)
	}

	var refused struct {
		Code          int
		Category      string
		Scopes        []string
		CorrelationID string `json:"correlationId"`
		Header        string
	}
	d.nodeRun(first, &refused, "api-client.mjs", "create")
	if refused.Code != 403 || refused.Category != "MISSING_SCOPES" || !slices.Equal(refused.Scopes, []string{"crm.objects.deals.write"}) {
		t.Errorf("creating a deal = %+v, want 403 MISSING_SCOPES for crm.objects.deals.write", refused)
	}
	if refused.CorrelationID == "" || refused.CorrelationID != refused.Header {
		t.Errorf("correlation id %q in the body and %q in the header", refused.CorrelationID, refused.Header)
	}

	status := func(secret, when string, want int) {
		t.Helper()
		var got clientStatus
		d.nodeRun(secret, &got, "api-client.mjs", "status")
		if got.Code != want {
			t.Errorf("%s: %d %s, want %d", when, got.Code, got.Category, want)
		}
	}
	var rotated struct {
		Secret string `json:"secret"`
	}
	d.cliJSON(d.admin, &rotated, "keys", "rotate", "node-client", "--grace", "10m")
	status(first, "old secret while rotating", 200)
	status(rotated.Secret, "new secret while rotating", 200)
	d.cliJSON(d.admin, nil, "keys", "finish", "node-client", "--yes")
	status(first, "old secret after finish", 401)
	status(rotated.Secret, "new secret after finish", 200)
	d.cliJSON(d.admin, nil, "keys", "revoke", "node-client", "--yes")
	status(first, "old secret after revoke", 401)
	status(rotated.Secret, "new secret after revoke", 401)

	// All of it was recorded, the refused calls too.
	var seen struct {
		Items []api.Call `json:"items"`
	}
	deadline := time.Now().Add(time.Minute)
	for {
		d.cliJSON(d.admin, &seen, "activity", "--key", made.ID, "--limit", "200")
		if len(seen.Items) >= 17 || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	reasons := map[string]int{}
	for _, a := range seen.Items {
		reasons[a.Reason]++
	}
	if reasons["allowed"] < 10 || reasons["insufficient_scope"] != 1 || reasons["secret_retired"] != 1 || reasons["revoked"] != 2 {
		t.Errorf("recorded reasons %v, want one insufficient_scope, one secret_retired, two revoked and the allowed calls", reasons)
	}
	d.stop()
}

// The second client that nobody here wrote.
func TestHubSpotMCPServer(t *testing.T) {
	d := startDemo(t)
	type answer struct {
		Error bool
		Text  string
	}
	var out struct {
		Tools                                         []string
		User, List, Read, Search, Properties, Refused answer
		ID                                            string
	}
	d.nodeRun(d.key, &out, "mcp-server.mjs")
	if len(out.Tools) < 15 {
		t.Errorf("the server offers %d tools", len(out.Tools))
	}
	for name, a := range map[string]answer{"user details": out.User, "list": out.List, "batch read": out.Read, "search": out.Search, "properties": out.Properties} {
		if a.Error {
			t.Errorf("%s failed: %s", name, a.Text)
		}
	}
	if out.ID == "" || !strings.Contains(out.Read.Text, out.ID) || !strings.Contains(out.Read.Text, "dealname") {
		t.Errorf("deal %q read back as %s", out.ID, out.Read.Text)
	}
	if !out.Refused.Error || !strings.Contains(out.Refused.Text, "403") || !strings.Contains(out.Refused.Text, "crm.objects.contacts.read") {
		t.Errorf("listing contacts without the scope = %+v, want an error with 403", out.Refused)
	}
	d.stop()
}
