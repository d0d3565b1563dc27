package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

// group is a command that only holds others. Called with something that it
// doesn't hold it says so, where cobra would show help and succeed.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			cmd.SuggestionsMinimumDistance = 2
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf(" Did you mean %q?", near[0])
			}
			return usagef("There is no command %q in %q.%s See %q.", screen.Cut(screen.Clean(args[0]), 40), cmd.CommandPath(), hint, cmd.CommandPath()+" --help")
		}}
}

// doesItself marks a command that holds others and does something without them too.
const doesItself = "doesItself"

// bare lets a command that holds others do something where none of them is named.
func bare(cmd *cobra.Command, run func(*cobra.Command, []string) error) {
	other := group(cmd.Use, "", "").RunE
	cmd.Args, cmd.Annotations = cobra.ArbitraryArgs, map[string]string{doesItself: "yes"}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return other(cmd, args)
		}
		return run(cmd, args)
	}
}

// noSecrets refuses a command line with a secret in it, wherever it stands:
// others on the machine can read arguments, and shells keep them.
func noSecrets(cmd *cobra.Command, args []string) (err error) {
	for _, arg := range args {
		if secretForm.MatchString(arg) {
			return tooMany(cmd, arg)
		}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && secretForm.MatchString(f.Value.String()) {
			err = secretGiven(cmd, "--"+f.Name+" was given what")
		}
	})
	return err
}

func secretGiven(cmd *cobra.Command, what string) error {
	return usagef("%s looks like a secret, and a secret is never an argument: others on this machine can read it. Replace it, and see %q.", what, cmd.CommandPath()+" --help")
}

// call is one run of a command that talks to a server.
type call struct {
	*client.Client
	*screen.Screen
	app  *app
	ctx  context.Context
	cmd  *cobra.Command
	args []string
}

// remote makes a command's RunE of a function that needs a server.
func (a *app) remote(run func(c *call) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		server, err := a.server(cmd)
		if err != nil {
			return err
		}
		cl, err := a.connect(server)
		if err != nil {
			return err
		}
		ctx, stop := a.limit(cmd)
		defer stop()
		return run(&call{Client: cl, Screen: a.Screen(cmd), app: a, ctx: ctx, cmd: cmd, args: args})
	}
}

// limit bounds a command's time, but for those that people wait at: they ask for no limit by the flag follow.
func (a *app) limit(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	if follow, err := cmd.Flags().GetBool("follow"); err == nil && follow {
		return context.WithCancel(cmd.Context())
	}
	d, err := cmd.Flags().GetDuration("timeout")
	if err != nil || d <= 0 {
		return context.WithCancel(cmd.Context())
	}
	return context.WithTimeout(cmd.Context(), d)
}

// exactly checks that a command got just these arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return missing(cmd, names[len(args)])
		case len(args) > len(names):
			return tooMany(cmd, args[len(names)])
		}
		return nil
	}
}

// atMost checks that a command got no more than these arguments.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return tooMany(cmd, args[len(names)])
		}
		return nil
	}
}

// tooMany doesn't repeat what was given: people paste secrets into the wrong place.
func tooMany(cmd *cobra.Command, extra string) error {
	if secretForm.MatchString(extra) {
		return secretGiven(cmd, "That")
	}
	return usagef("There are too many arguments. Write it like this: %s", useLine(cmd))
}

// atLeast checks that a command got one of these arguments or more.
func atLeast(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return missing(cmd, name)
		}
		return nil
	}
}

func missing(cmd *cobra.Command, name string) error {
	return usagef("%s is missing. Write it like this: %s", name, useLine(cmd))
}

// useLine is how a command is written, without what may be left out.
func useLine(cmd *cobra.Command) string {
	return strings.TrimSuffix(cmd.UseLine(), " [flags]")
}

// flagError says what is wrong with a flag, and where help is.
func flagError(cmd *cobra.Command, err error) error {
	see := cmd.CommandPath() + " --help"
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := bad.GetFlag()
		want := map[string]string{"int": "a number", "bool": "true or false", "duration": "a time, such as 30s or 5m"}[f.Value.Type()]
		if want == "" {
			want = "something else"
		}
		return usagef("--%s can't be %q: it takes %s. See %q.", f.Name, short(redact(bad.GetValue())), want, see)
	}
	if gone, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if secretFlags[gone.GetSpecifiedName()] {
			return usagef("There is no flag --%s: a secret is never an argument, where others on this machine can read it. See %q.", gone.GetSpecifiedName(), see)
		}
		name := "--" + gone.GetSpecifiedName()
		if gone.GetSpecifiedShortnames() != "" {
			name = "-" + gone.GetSpecifiedName()
		}
		return usagef("There is no flag %s. See %q.", short(redact(name)), see)
	}
	if bare, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usagef("--%s needs a value. See %q.", bare.GetFlag().Name, see)
	}
	return usagef("%s See %q.", sentence(redact(err.Error())), see)
}

// secretFlags are flags that people expect where a secret is needed.
var secretFlags = map[string]bool{"secret": true, "token": true, "password": true, "key-secret": true, "pepper": true, "sso-client-secret": true}

// looksSecret reports whether a text has the form of a secret of any brand.
func looksSecret(s string) bool {
	parts := strings.Split(s, "_")
	return len(parts) == 4 && len(parts[2]) == 16 && len(parts[3]) == 49
}

// flags read flags that a command has; asking for one that it hasn't is a mistake of ours.
func (c *call) str(name string) string {
	v, err := c.cmd.Flags().GetString(name)
	must(err)
	return v
}

func (c *call) list(name string) []string {
	v, err := c.cmd.Flags().GetStringSlice(name)
	must(err)
	return v
}

func (c *call) on(name string) bool {
	v, err := c.cmd.Flags().GetBool(name)
	must(err)
	return v
}

func (c *call) number(name string) int {
	v, err := c.cmd.Flags().GetInt(name)
	must(err)
	return v
}

// given reports whether a flag stands on the command line.
func (c *call) given(name string) bool { return c.cmd.Flags().Changed(name) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// helpWidth is what lines of help are broken at: also where a terminal is wider, they read best so.
const helpWidth = 80

// help writes all about a command.
func help(cmd *cobra.Command, _ []string) {
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, fold(long))
	if cmd.Runnable() || cmd.HasSubCommands() {
		fmt.Fprint(out, "\n", cmd.UsageString())
	}
}

// fold breaks the paragraphs of a text that don't fit. Lines that begin with a
// blank stay as they are.
func fold(text string) string {
	var out []string
	for para := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		fits := true
		for line := range strings.SplitSeq(para, "\n") {
			fits = fits && screen.Width(line) <= helpWidth
		}
		if !fits && !strings.HasPrefix(para, " ") && !strings.Contains(para, "\n ") {
			para = strings.Join(screen.Wrap(para, helpWidth), "\n")
		}
		out = append(out, para)
	}
	return strings.Join(out, "\n\n")
}

const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}{{if .Annotations.doesItself}}
  {{.UseLine}}{{end}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$all := .Commands}}{{range $g := .Groups}}

{{.Title}}:{{range $all}}{{if and (eq .GroupID $g.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

Commands:{{range $all}}{{if and (eq .GroupID "") .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasHelpSubCommands}}

More help:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .CommandPath .CommandPathPadding}}  {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" tells more of a command.{{end}}
`
