package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/cli/screen"
)

// tree is all commands, those that hold others too.
func tree(t *testing.T) (all []*cobra.Command) {
	t.Helper()
	root := cli.New(cli.Options{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	attach(root)
	root.InitDefaultHelpCmd()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	return all
}

// Help of every command says what it does, shows examples that name it, and fits.
func TestHelp(t *testing.T) {
	for _, c := range tree(t) {
		path := c.CommandPath()
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); screen.Width(line) > 80 {
				t.Errorf("%s --help: %d columns: %s", path, screen.Width(line), line)
			}
		}
		if c.Short == "" || screen.Width(c.Short) > 62 || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: what it does in short is %q", path, c.Short)
		}
		topic := c.IsAdditionalHelpTopicCommand()
		switch {
		case c.Name() == "help" || topic:
		case c.HasSubCommands() && (!runs(c) || c.Name() == "audit"):
			if c.Long == "" {
				t.Errorf("%s doesn't say what it is about", path)
			}
		case !strings.Contains(c.Example, path):
			t.Errorf("%s has no example", path)
		}
		if c.Runnable() && c.Flags().Lookup("json") == nil && c.InheritedFlags().Lookup("json") == nil {
			t.Errorf("%s has no --json", path)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s doesn't say what it is", path, f.Name)
			}
		})
	}
}

// What ends or removes something asks first, and can be tried.
func TestDestructiveCommandsAsk(t *testing.T) {
	asked := 0
	for _, c := range tree(t) {
		if !slices.Contains([]string{"revoke", "delete", "remove", "pause", "suspend", "finish", "cancel", "rotate"}, c.Name()) {
			continue
		}
		asked++
		if c.Flags().Lookup("yes") == nil || c.Flags().Lookup("dry-run") == nil {
			t.Errorf("%s has no --yes or no --dry-run", c.CommandPath())
		}
	}
	if asked < 10 {
		t.Errorf("found %d such commands", asked)
	}
}

// No flag takes a secret: arguments are seen by everyone on the machine, and
// kept by shells. Those that are about secrets name files.
func TestNoFlagTakesASecret(t *testing.T) {
	for _, c := range tree(t) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			for _, word := range []string{"secret", "password", "pepper", "token", "invitation"} {
				if strings.Contains(f.Name, word) && f.Value.Type() != "bool" && !slices.Contains([]string{"secret-file", "secret-out", "secrets-out", "invitation-file", "pepper-path"}, f.Name) {
					t.Errorf("%s --%s takes a secret", c.CommandPath(), f.Name)
				}
			}
		})
	}
}

const (
	listBegins = "<!-- The list of commands is made from the code: go test ./cmd/postern -run ListOfCommands -update -->\n"
	listEnds   = "<!-- The end of the list. -->\n"
)

// listOfCommands is the part of docs/cli.md that is made from the commands.
func listOfCommands(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n| command | what it does |\n|---|---|\n")
	for _, c := range tree(t) {
		if c.HasParent() && (!c.HasSubCommands() || runs(c)) {
			name := strings.TrimSuffix(c.UseLine(), " [flags]")
			fmt.Fprintf(&b, "| `%s` | %s |\n", name, c.Short)
		}
	}
	return b.String() + "\n"
}

// The page names every command there is, and none that isn't.
func TestListOfCommands(t *testing.T) {
	path := filepath.Join(repository, "docs", "cli.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), listBegins)
	got, after, ends := strings.Cut(rest, listEnds)
	if !ok || !ends {
		t.Fatalf("%s has no place for the list", path)
	}
	want := listOfCommands(t)
	if *update && got != want {
		if err := os.WriteFile(path, []byte(before+listBegins+want+listEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got), rewritten by -update:\n%s", path, diff)
	}
}
