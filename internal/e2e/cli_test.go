package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"postern.dev/postern/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files of the command line's output")

// TestCLI runs the scripts in testdata/script, each against a server of its own.
// Beside testscript's commands they have those of scriptCmds.
func TestCLI(t *testing.T) {
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(all) < 5 {
		t.Fatalf("found %d scripts (%v)", len(all), err)
	}
	t.Run("sqlite", func(t *testing.T) { runScripts(t, place{}, all...) })
	t.Run("postgres", func(t *testing.T) {
		runScripts(t, place{database: storetest.Postgres(t)}, "testdata/script/journey.txtar")
	})
}

func runScripts(t *testing.T, p place, files ...string) {
	documents, err := filepath.Abs("../catalog/testdata/xero")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCmds,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("POSTERN_DATABASE", p.database) // by variable, as is right for what may hold a password
			env.Setenv("POSTERN_STANDBY", "none")
			env.Setenv("XERO", documents)
			env.Setenv("TZ", "UTC")
			env.Setenv("LANG", "C.UTF-8")
			return nil
		},
	})
}

var scriptCmds = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"postern": posternCmd,
	"exits":   exitsCmd,
	"serve":   serveCmd,
	"var":     varCmd,
	"call":    callCmd,
	"soon":    soonCmd,
	"golden":  goldenCmd,
	"live":    liveCmd,
}

// posternCmd runs the program and expects that it ends well: postern ARG…
func posternCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say how it ends: exits STATUS ARG…")
	}
	runProgram(ts, 0, args)
}

// exitsCmd runs the program and expects a status: exits STATUS ARG…
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("exits STATUS ARG…")
	}
	runProgram(ts, want, args[1:])
}

// runProgram runs the program; with <FILE as its last argument that is its
// input. What it writes fits 80 columns, and is JSON where that is asked for.
func runProgram(ts *testscript.TestScript, want int, args []string) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	var stdin io.Reader = strings.NewReader("")
	if last := args[len(args)-1]; strings.HasPrefix(last, "<") {
		stdin, args = strings.NewReader(ts.ReadFile(last[1:])), args[:len(args)-1]
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = ts.MkAbs("."), scriptEnv(ts), stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("postern: %v", err)
	}
	ts.Stdout().Write(out.Bytes())
	ts.Stderr().Write(errs.Bytes())
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("postern %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, want, out.String(), errs.String())
	}
	if want != 0 && out.Len()+errs.Len() == 0 {
		ts.Fatalf("postern %s: it failed and said nothing", strings.Join(args, " "))
	}
	asked := strings.Contains(" "+strings.Join(args, " ")+" ", " --json ")
	wide := strings.Contains(" "+strings.Join(args, " ")+" ", " --wide ")
	for line := range strings.Lines(out.String()) {
		line = strings.TrimRight(line, "\n")
		switch {
		case asked && !json.Valid([]byte(line)):
			ts.Fatalf("postern %s: this is no JSON: %s", strings.Join(args, " "), line)
		case !asked && !wide && ansi.StringWidth(line) > 80 && strings.Contains(line, " "): // what is one word may be something to copy
			ts.Fatalf("postern %s: %d columns: %s", strings.Join(args, " "), ansi.StringWidth(line), line)
		case line != strings.TrimRight(line, " "):
			ts.Fatalf("postern %s: this ends in blanks: %q", strings.Join(args, " "), line)
		}
	}
	if asked && want == 0 && out.Len() == 0 {
		ts.Fatalf("postern %s: wrote no JSON", strings.Join(args, " "))
	}
}

// scriptEnv is the environment of a script, as its commands see it.
func scriptEnv(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "TZ", "LANG", "POSTERN_DATABASE", "POSTERN_STANDBY", "POSTERN_SERVER", "POSTERN_SECRET", "POSTERN_SECRET_FILE", "POSTERN_PROFILE"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	if v := os.Getenv("GORACE"); v != "" {
		env = append(env, "GORACE="+v)
	}
	return env
}

// serveCmd starts the server on $DATA, and sets API and GATEWAY: serve ARG…
func serveCmd(ts *testscript.TestScript, _ bool, args []string) {
	args = append([]string{"serve", "--data", ts.Getenv("DATA"), "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), scriptEnv(ts)
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ready, done := make(chan []string, 1), make(chan error, 1)
	var log bytes.Buffer
	go func() {
		lines := bufio.NewScanner(io.TeeReader(stderr, &log))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m
			}
		}
		done <- cmd.Wait()
	}()
	select {
	case m := <-ready:
		ts.Setenv("API", m[1])
		ts.Setenv("GATEWAY", m[2])
	case err := <-done:
		ts.Fatalf("the server ended: %v\n%s", err, log.String())
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		ts.Fatalf("the server is not ready")
	}
	ts.Defer(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			if err != nil {
				ts.Fatalf("the server ended with %v\n%s", err, log.String())
			}
		case <-time.After(time.Minute):
			cmd.Process.Kill()
			ts.Fatalf("the server does not stop")
		}
	})
}

// varCmd keeps a member of the JSON that was written last: var NAME a.b.0.c
func varCmd(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for part := range strings.SplitSeq(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			i, err := strconv.Atoi(part)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: there are %d items", args[1], len(at))
			}
			v = at[i]
		}
	}
	if v == nil {
		ts.Fatalf("there is no %s in %s", args[1], ts.ReadFile("stdout"))
	}
	text := fmt.Sprint(v)
	ts.Setenv(args[0], text)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o600)) // for commands that read a secret
}

// callCmd calls the gateway and expects a status: call SECRET METHOD PATH STATUS
func callCmd(ts *testscript.TestScript, _ bool, args []string) {
	status, body := callOnce(ts, args[0], args[1], args[2])
	if strconv.Itoa(status) != args[3] {
		ts.Fatalf("%s %s = %d %s, want %s", args[1], args[2], status, body, args[3])
	}
}

// soonCmd runs the program until it writes a text, since activity is recorded in batches: soon TEXT ARG…
func soonCmd(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, func() bool {
		cmd := exec.Command(binary, args[1:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), scriptEnv(ts)
		out, err := cmd.Output()
		ts.Check(err)
		return bytes.Contains(out, []byte(args[0]))
	})
}

func until(ts *testscript.TestScript, done func() bool) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(20 * time.Second); !done(); <-again.C {
		if time.Now().After(end) {
			ts.Fatalf("it hasn't come in 20 seconds")
		}
	}
}

func callOnce(ts *testscript.TestScript, secret, method, path string) (int, string) {
	req, err := http.NewRequest(method, ts.Getenv("GATEWAY")+path, nil)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	return res.StatusCode, string(body)
}

// What differs from run to run, and what stands for it. Where columns may move
// with it, the blanks after it go too.
var unsteady = []struct {
	form *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`pst_([a-z]+)_\w{16}_\w{49}`), "pst_${1}_KEY-ID_RANDOM"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "YYYY-MM-DD HH:MM:SS"},
	{regexp.MustCompile(`\b\d\d-\d\d \d\d:\d\d:\d\d`), "MM-DD HH:MM:SS"},
	{regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`), "HH:MM:SS"},
	{regexp.MustCompile(`just now|\d+ seconds? ago|1 minute ago`), "JUST NOW"},
	{regexp.MustCompile(`(?m)(  +|made |used )(now|\d+s ago|1m ago)(,| +|$)`), "${1}NOW${3}"},
	{regexp.MustCompile(`(?m)NOW +(\S)`), "NOW  $1"},
	{regexp.MustCompile(`<?\d+ ms`), "N ms"},
	{regexp.MustCompile(`\b(acc|mem|rol)_[0-9A-Za-z]{16}\b`), "${1}_ID-OF-16-DIGITS"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA-256"},
	{regexp.MustCompile(`…[0-9A-Za-z]{4}\b`), "…LAST"},
}

// steady replaces what differs from run to run.
func steady(text string) string {
	for _, u := range unsteady {
		text = u.form.ReplaceAllString(text, u.to)
	}
	return keyID.ReplaceAllStringFunc(text, func(id string) string {
		if strings.ToLower(id) == id || !strings.ContainsAny(id, "0123456789") && strings.ToLower(id[1:]) == id[1:] {
			return id // a word
		}
		return "ID-OF-16-LETTERS"
	})
}

var keyID = regexp.MustCompile(`\b[0-9A-Za-z]{16}\b`)

// goldenCmd compares what was written last with testdata/golden/NAME: golden NAME
func goldenCmd(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join("testdata", "golden", args[0])
	got := steady(ts.ReadFile("stdout"))
	if *update {
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	ts.Check(err)
	if d := cmp.Diff(string(want), got); d != "" {
		ts.Fatalf("%s (-want +got), rewritten by go test ./internal/e2e -run CLI -update:\n%s", path, d)
	}
}

// liveCmd follows activity, calls the gateway until a line tells of it, and
// ends it with Ctrl-C: live SECRET METHOD PATH STATUS TEXT [ARG…]
func liveCmd(ts *testscript.TestScript, _ bool, args []string) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, binary, append([]string{"activity", "--follow"}, args[5:]...)...)
	cmd.Env = scriptEnv(ts)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	told := make(chan string)
	go func() {
		defer close(told)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.Contains(lines.Text(), args[4]) {
				told <- lines.Text()
				break
			}
		}
		io.Copy(io.Discard, stdout)
	}()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	line := ""
	for line == "" {
		if status, body := callOnce(ts, args[0], args[1], args[2]); strconv.Itoa(status) != args[3] {
			ts.Fatalf("%s %s = %d %s, want %s", args[1], args[2], status, body, args[3])
		}
		select {
		case l, ok := <-told:
			if !ok {
				ts.Fatalf("activity --follow ended: %v", cmd.Wait())
			}
			line = l
		case <-again.C:
		}
	}
	fmt.Fprintln(ts.Stdout(), line)
	if w := ansi.StringWidth(line); w > 80 && !json.Valid([]byte(line)) {
		ts.Fatalf("%d columns: %s", w, line)
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	for range told {
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 && code != 0 {
		ts.Fatalf("stopped by Ctrl-C, it ended with %d", code)
	}
}
