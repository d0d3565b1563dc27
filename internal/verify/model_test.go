package verify_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var modelLong = flag.Bool("model.long", false, "explore the model of revocation with three nodes, longer leases and more faults")

// The model of the protocol holds in every order of its steps, and each known
// mistake in it is found. README.md beside the model says what it covers.
func TestModel(t *testing.T) {
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed to check the model: install it, or run ./scripts/test, which does", tool)
		}
	}
	type run struct {
		defines string
		fails   bool
	}
	runs := []run{
		{"FAULTS=1", false},
		{"FAULTS=0 OTHER", false},
		{"FAULTS=0 FAILOVER", false},
		{"FAULTS=0 READ_FIRST", true},
		{"FAULTS=0 LATE_START", true},
		{"FAULTS=0 LOOK_FIRST", true},
		{"FAULTS=0 CONFIRM_FIRST", true},
		{"FAULTS=0 OTHER SEQUENCE", true},
		{"FAULTS=0 FAILOVER FORGETS", true},
		{"FAULTS=1 TRUSTS", true},
		{"FAULTS=1 DROP_FIRST", true},
		{"FAULTS=0 BLIND", true},
	}
	if *modelLong {
		runs = append(runs, run{"FAULTS=2", false}, run{"FAULTS=1 OTHER", false}, run{"FAULTS=1 FAILOVER", false}, run{"FAULTS=1 L=3", false},
			run{"FAULTS=0 OTHER FAILOVER", false}, run{"FAULTS=0 NODES=3", false})
	}
	for _, r := range runs {
		t.Run(r.defines, func(t *testing.T) {
			t.Parallel()
			states, violated := explore(t, r.defines)
			if violated != r.fails {
				t.Errorf("a promise is broken: %t, want %t (%s states)", violated, r.fails, states)
			}
			t.Logf("%s states, a promise broken: %t", states, violated)
		})
	}
}

var (
	modelStates = regexp.MustCompile(`(?m)^ *([0-9.e+]+) states, stored`)
	modelErrors = regexp.MustCompile(`errors: (\d+)`)
)

// explore has spin explore the model with some names defined, to the end or to the first broken promise.
func explore(t *testing.T, defines string) (states string, violated bool) {
	t.Helper()
	model, err := filepath.Abs("model/revoke.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	args := []string{"-a"}
	for d := range strings.FieldsSeq(defines) {
		args = append(args, "-D"+d)
	}
	command("spin", append(args, model)...)
	flags := []string{"-O1", "-w", "-DSAFETY", "-DMEMLIM=4000", "-o", "pan", "pan.c"}
	if *modelLong {
		flags = append(flags, "-DCOLLAPSE") // slower, in a third of the memory
	}
	command("gcc", flags...)
	out := command("./pan", "-n", "-m1000000", "-w22")
	found := modelErrors.FindStringSubmatch(out)
	count := modelStates.FindStringSubmatch(out)
	if found == nil || count == nil || strings.Contains(out, "max search depth too small") || strings.Contains(out, "out of memory") {
		t.Fatalf("the model wasn't explored to its end:\n%s", out)
	}
	return count[1], found[1] != "0"
}
