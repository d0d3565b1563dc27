package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/internal/cli"
)

var update = flag.Bool("update", false, "write files that are made from the code")

const repository = "../.."

const configurationHead = `# Settings

Everything that can be set of a server. A flag stands above the variable, that above the YAML file, and
that above the default. This page is made from the code.

` + "```" + `
postern serve --config postern.yaml
postern config check --config postern.yaml
` + "```" + `

` + "```yaml" + `
data: /var/lib/postern
public-url: https://keys.example.org
gateway-url: https://api.example.org
trusted-proxy: [10.0.0.0/8]
` + "```" + `

` + "`config check`" + ` reads the settings as the server would and names the one that can't work. The file is named by
` + "`--config`" + ` or ` + "`POSTERN_CONFIG`" + `. Each variable may end in ` + "`_FILE`" + ` instead: its value is then read from that
file, which keeps secrets out of the environment. Lengths of time are written as ` + "`60s`, `15m` or `720h`" + `, lists with
commas, and switches as true or false.

What the command line reads when it talks to a server is told by ` + "`postern environment`" + `.

| YAML name | flag | variable | default | meaning |
|---|---|---|---|---|
`

// configurationPage is docs/configuration.md as the tags of Config say it.
func configurationPage() string {
	var b strings.Builder
	b.WriteString(configurationHead)
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	new(Config).flags(set)
	new(Config).each(func(name string, f reflect.StructField, v reflect.Value) error {
		fl, def := "none: a secret", "none"
		if set.Lookup(name) != nil {
			fl = "`--" + name + "`"
		}
		switch d := f.Tag.Get("default"); {
		case d != "":
			def = "`" + d + "`"
		case v.Kind() == reflect.Bool:
			def = "`false`"
		}
		help := f.Tag.Get("help")
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", name, fl, envName(name), def, help)
		return nil
	})
	return b.String()
}

func TestDocsConfiguration(t *testing.T) {
	path := filepath.Join(repository, "docs", "configuration.md")
	want := configurationPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/configuration.md is not what the settings say; run: go test ./cmd/postern -run Docs -update\n%s", diff)
	}
}

// documents reads every Markdown file of the repository.
func documentsOf(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("found %d documents only", len(out))
	}
	return out
}

var linkForm = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestDocsLinks(t *testing.T) {
	docs := documentsOf(t)
	for path, text := range docs {
		for _, m := range linkForm.FindAllStringSubmatch(prose(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
				continue
			}
			if anchor != "" && !headings(docs[target])[anchor] {
				t.Errorf("%s links to %s, and there is no such heading", path, m[1])
			}
		}
	}
}

// blocks are the fenced blocks of a document that hold commands or what they print, and prose is the rest.
func blocks(text string) []string {
	var out []string
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 1 && strings.HasPrefix(part, "\n") {
			out = append(out, part)
		}
	}
	return out
}

func prose(text string) string {
	var out []string
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 0 {
			out = append(out, part)
		}
	}
	return strings.Join(out, "\n")
}

// headings are the names that GitHub gives to a document's headings.
func headings(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(prose(text)) {
		title, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		out[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
				return r
			}
			return -1
		}, strings.ToLower(title))] = true
	}
	return out
}

var inlineCommand = regexp.MustCompile("`(postern [^`]+)`")

func TestDocsCommands(t *testing.T) {
	seen := 0
	for path, text := range documentsOf(t) {
		for _, block := range blocks(text) {
			for line := range strings.SplitSeq(strings.ReplaceAll(block, "\\\n", " "), "\n") {
				line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
				for _, start := range []string{"go run ./cmd/postern ", "./postern ", "postern "} {
					rest, ok := strings.CutPrefix(line, start)
					if !ok {
						continue
					}
					seen++
					if err := parses(words(rest), true); err != nil {
						t.Errorf("%s: %s: %v", path, line, err)
					}
					break
				}
			}
		}
		for _, m := range inlineCommand.FindAllStringSubmatch(strings.Join(strings.Fields(prose(text)), " "), -1) {
			seen++
			if err := parses(words(strings.TrimPrefix(m[1], "postern ")), false); err != nil {
				t.Errorf("%s: %s: %v", path, m[1], err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("found %d commands only", seen)
	}
}

// TestDocsCommandsNotice shows that what a wrong command line is found by does find it.
func TestDocsCommandsNotice(t *testing.T) {
	for _, line := range []string{"keys craete x --scope a", "keys create x --skope a", "keys rotate x --grace", "login --server URL", "keys", "nothing"} {
		if parses(words(line), true) == nil {
			t.Errorf("postern %s was taken for a command", line)
		}
	}
}

// parses checks a command line against the commands there are. A whole one can
// be run as it stands; others may leave arguments to the reader.
func parses(args []string, whole bool) error {
	root := cli.New(cli.Options{Stdout: io.Discard, Stderr: io.Discard})
	attach(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		return root.ParseFlags(args)
	}
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c == root {
		return fmt.Errorf("there is no command %q", args[0])
	}
	if !c.Runnable() && !c.HasAvailableSubCommands() && c.Long != "" {
		return nil // a topic of help
	}
	c.InheritedFlags()
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if c.HasAvailableSubCommands() && c.Flags().NArg() > 0 {
		return fmt.Errorf("there is no command %q in %q", c.Flags().Arg(0), c.CommandPath())
	}
	if !whole {
		return nil
	}
	if c.HasAvailableSubCommands() && !c.HasParent() || !runs(c) {
		return fmt.Errorf("%q does nothing by itself", c.CommandPath())
	}
	return c.ValidateArgs(c.Flags().Args())
}

// runs reports whether a command does something by itself: most that hold
// others run only to say which they hold.
func runs(c *cobra.Command) bool {
	return c.Runnable() && (!c.HasAvailableSubCommands() || c.Annotations["doesItself"] != "")
}

// words splits a command line as a shell does, up to where it leads elsewhere.
func words(line string) (out []string) {
	var word strings.Builder
	quote, in := rune(0), false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		case !in && (r == '|' || r == '>' || r == '<' || r == '#' || r == '&'):
			return out
		default:
			word.WriteRune(r)
			in = true
		}
	}
	return out
}

var variableForm = regexp.MustCompile(`\bPOSTERN_[A-Z][A-Z_]*[A-Z]`)

func TestDocsVariables(t *testing.T) {
	known := map[string]bool{"POSTERN_CONFIG": true}
	new(Config).each(func(name string, _ reflect.StructField, _ reflect.Value) error {
		known[envName(name)], known[envName(name)+"_FILE"] = true, true
		return nil
	})
	root := cli.New(cli.Options{Stdout: io.Discard, Stderr: io.Discard})
	for _, c := range root.Commands() {
		if c.Name() == "environment" {
			for _, v := range variableForm.FindAllString(c.Long, -1) {
				known[v] = true
			}
		}
	}
	if !known["POSTERN_SERVER"] {
		t.Error("the topic \"environment\" names no variables")
	}
	script, err := os.ReadFile(filepath.Join(repository, "scripts", "test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variableForm.FindAllString(string(script), -1) {
		known[v] = true
	}
	for path, text := range documentsOf(t) {
		for _, v := range variableForm.FindAllString(text, -1) {
			if !known[v] {
				t.Errorf("%s speaks of %s, which nothing reads", path, v)
			}
		}
	}
}
