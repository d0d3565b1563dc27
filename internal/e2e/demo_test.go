package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"postern.dev/postern/api"
)

// demoIn starts the demo as a newcomer does, in an empty directory for
// temporary files, and waits for what it prints.
func demoIn(t *testing.T, temp string, args ...string) *server {
	t.Helper()
	t.Setenv("TMPDIR", temp)
	s := launch(t, t.TempDir(), append([]string{"demo"}, args...)...)
	waitFor(t, s, "Press Ctrl-C to stop.")
	return s
}

// waitFor waits until a server has printed a text.
func waitFor(t *testing.T, s *server, text string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(s.output(), text); {
		select {
		case <-s.done:
			t.Fatalf("it ended: %v\n%s", s.err, s.output())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("it never printed %q:\n%s", text, s.output())
		}
	}
}

// interrupt ends a server as Ctrl-C does, and expects that it ends well.
func (s *server) interrupt() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
		if s.err != nil {
			s.t.Errorf("it ended with %v\n%s", s.err, s.output())
		}
	case <-time.After(time.Minute):
		s.t.Error("it does not stop")
	}
}

// sh runs lines exactly as they were printed.
func sh(t *testing.T, home, stdin, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", lines)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "NO_COLOR=1")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", lines, err, out)
	}
	return string(out)
}

var (
	curlLines  = regexp.MustCompile(`(?m)^  (curl -H '[^']+' \\\n    '[^']+')$`)
	loginLine  = regexp.MustCompile(`(?m)^  (\S.* login http\S+)$`)
	logLines   = regexp.MustCompile(`(?m)^  cd \S+\n  \S.* migrate inventory .*$`)
	personLine = regexp.MustCompile(`(?m)^  (\S[^\n]+): [^\n]+\n  (pst_pak_\S+)$`)
)

// What the demo prints works as pasted, and leaves nothing behind.
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	s := demoIn(t, temp)
	text := s.output()
	curls := curlLines.FindAllStringSubmatch(text, -1)
	login := loginLine.FindStringSubmatch(text)
	people := personLine.FindAllStringSubmatch(text, -1)
	if len(curls) != 2 || login == nil || len(people) != 3 {
		t.Fatalf("%d curl lines, login line %q, %d people; want 2, one, 3:\n%s", len(curls), login, len(people), text)
	}
	for line := range strings.Lines(strings.NewReplacer(binary, "go run ./cmd/postern", temp, "/tmp").Replace(text)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.Contains(line, "curl") && !strings.Contains(line, "/signin/link/") && !strings.Contains(line, "ms") {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	home := t.TempDir()
	var deals struct {
		Results []struct{ Properties struct{ Dealname string } }
	}
	out := sh(t, home, "", strings.Replace(curls[0][1], "curl", "curl -sS --fail", 1))
	if err := json.Unmarshal([]byte(out), &deals); err != nil || len(deals.Results) != 3 || deals.Results[0].Properties.Dealname == "" {
		t.Errorf("the curl line answers %s (%v), want three deals", out, err)
	}
	out = sh(t, home, "", strings.Replace(curls[1][1], "curl", `curl -sS -w ' status %{http_code}'`, 1))
	if !strings.Contains(out, "MISSING_SCOPES") || !strings.Contains(out, "crm.objects.contacts.read") || !strings.HasSuffix(out, "status 403") {
		t.Errorf("the second curl line answers %s, want 403 MISSING_SCOPES", out)
	}
	for i, role := range []string{"Super admin", "Key manager", "Viewer"} {
		out := sh(t, home, people[i][2]+"\n", login[1])
		if !strings.Contains(out, "Signed in") || !strings.Contains(out, people[i][1]) || !strings.Contains(strings.ToLower(out), strings.ToLower(role)) {
			t.Errorf("signing in as %s says %q, want a %s", people[i][1], out, role)
		}
	}
	sh(t, home, people[0][2]+"\n", login[1])
	program := strings.Fields(login[1])[0]
	var seen struct{ Items []api.Call }
	for began := time.Now(); len(seen.Items) < 2; {
		seen.Items = nil
		// Recorded before the answer left, and written within a moment.
		out := sh(t, home, "", program+" activity --key nightly-deals-sync --since 1h --user-agent curl --json")
		if err := json.Unmarshal([]byte(out), &seen); err != nil || time.Since(began) > time.Minute {
			t.Fatalf("the activity = %s (%v), want both calls", out, err)
		}
	}
	reasons := []string{seen.Items[0].Reason, seen.Items[1].Reason}
	slices.Sort(reasons)
	if !slices.Equal(reasons, []string{"allowed", "insufficient_scope"}) {
		t.Errorf("the activity has %v, want one allowed and one insufficient_scope", reasons)
	}
	past := 0
	for _, key := range []string{"power-bi-sales", "stock-levels-to-erp", "support-bot"} {
		seen.Items = nil
		out := sh(t, home, "", program+" activity --key "+key+" --limit 0 --json")
		if err := json.Unmarshal([]byte(out), &seen); err != nil || len(seen.Items) < 50 {
			t.Errorf("%s has %d calls in the weeks before (%v), want some", key, len(seen.Items), err)
		}
		past += len(seen.Items)
	}
	t.Logf("%d calls in the weeks before", past)
	// Those calls were made with the secret that is shown, so a rotation knows who has to change.
	sh(t, home, "", program+" keys rotate nightly-deals-sync --grace 24h --json")
	if out := sh(t, home, "", program+" keys rotation nightly-deals-sync --json"); !strings.Contains(out, "python-requests") || !strings.Contains(out, `"quiet"`) {
		t.Errorf("the rotation = %s, want the nightly copy among its callers", out)
	}
	// The move off old credentials is in its middle, and the sample logs can be read.
	var moving api.Migration
	if out := sh(t, home, "", program+" migrate board --json"); json.Unmarshal([]byte(out), &moving) != nil || moving.All < 7 || moving.Off != 1 || len(moving.Calendar) != 5 {
		t.Errorf("the board = %.400s, want seven items, one of them off, and five brownouts", out)
	}
	stages := map[string]int{}
	for _, i := range moving.Items {
		stages[i.Stage]++
	}
	if len(stages) != 5 {
		t.Errorf("the items stand at %v, want some at each step", stages)
	}
	lines := logLines.FindString(text)
	if out := sh(t, home, "", lines); !strings.Contains(out, "BECOMES") || !strings.Contains(out, "used from two networks") {
		t.Errorf("%s says %.400s, want what the credentials of the logs become", lines, out)
	}
	var keys struct{ Items []api.PersonalKey }
	s.API = strings.Fields(login[1])[2]
	s.as(people[0][2]).must(t, 200, &keys, "GET", "/v1/personal-keys", nil)
	if len(keys.Items) != 1 || keys.Items[0].Name != "demo" {
		t.Errorf("the super admin's personal access keys: %+v, want the one that was shown", keys.Items)
	}
	s.interrupt()
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
}

// With --data the demo goes on where it was, and on other ports where its own
// are in use.
func TestDemoAgain(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		if l, err := net.Listen("tcp", addr); err == nil { // or someone else has it: in use either way
			defer l.Close()
		}
	}
	data, temp := filepath.Join(t.TempDir(), "demo"), t.TempDir()
	var secrets []string
	for round := range 2 {
		s := demoIn(t, temp, "--data", data)
		text := s.output()
		if strings.Contains(text, "127.0.0.1:8080") || strings.Contains(text, "127.0.0.1:8081") {
			t.Errorf("it says that it is on ports that are in use:\n%s", text)
		}
		curls, people := curlLines.FindAllStringSubmatch(text, -1), personLine.FindAllStringSubmatch(text, -1)
		if len(curls) != 2 || len(people) != 3 {
			t.Fatalf("start %d printed:\n%s", round+1, text)
		}
		if out := sh(t, temp, "", strings.Replace(curls[0][1], "curl", "curl -sS --fail", 1)); !strings.Contains(out, "dealname") {
			t.Errorf("the curl line of start %d answers %s", round+1, out)
		}
		s.API = strings.Fields(loginLine.FindStringSubmatch(text)[1])[2]
		admin := s.as(people[0][2])
		if round == 0 {
			admin.must(t, 201, nil, "POST", "/v1/service-keys", api.NewServiceKey{Name: "mine"})
		} else {
			var list struct{ Items []api.ServiceKey }
			admin.must(t, 200, &list, "GET", "/v1/service-keys", nil)
			if !slices.ContainsFunc(list.Items, func(k api.ServiceKey) bool { return k.Name == "mine" }) {
				t.Errorf("the key that was made before the second start is gone: %+v", list.Items)
			}
		}
		for _, secret := range secrets {
			if status, _, err := s.as(secret).do("GET", "/v1/members/me", nil); status != 401 || err != nil {
				t.Errorf("a personal access key of the start before = %d (%v), want 401", status, err)
			}
		}
		for _, p := range people {
			secrets = append(secrets, p[2])
		}
		s.interrupt()
	}
	if _, err := os.Stat(filepath.Join(data, "postern.db")); err != nil {
		t.Errorf("the data directory that was asked for is gone: %v", err)
	}
}
