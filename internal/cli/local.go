package cli

import (
	"context"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

// What follows is for commands that need no server, or are one, and that are
// attached to the tree that New makes: they then look and end like the others.

// Group is a command that only holds others.
func Group(use, short, long string) *cobra.Command { return group(use, short, long) }

// Exactly checks that a command got just these arguments.
func Exactly(names ...string) cobra.PositionalArgs { return exactly(names...) }

// AtLeast checks that there is one argument or more.
func AtLeast(name string) cobra.PositionalArgs { return atLeast(name) }

// ScreenOf is where a command writes, as its flags ask.
func ScreenOf(cmd *cobra.Command) *screen.Screen { return screenOf(cmd) }

// Usage makes a command end with ExitUsage, saying err.
func Usage(err error) error { return exit(ExitUsage, err) }

// Exit makes a command end with a status, saying nothing more.
func Exit(status int) error { return exit(status, nil) }

// Fail makes a command end with the status that a code of the API has, saying err.
func Fail(code string, err error) error {
	status, _ := StatusOf(code)
	return exit(status, err)
}

// JSON reports whether a command shall write JSON.
func JSON(cmd *cobra.Command) bool { return screenOf(cmd).JSON }

// PrintJSON writes a value as a command's JSON.
func PrintJSON(cmd *cobra.Command, v any) error { return screenOf(cmd).WriteJSON(v) }

// Clean makes one line of text from elsewhere safe to show; see screen.Clean.
func Clean(text string) string { return screen.Clean(text) }

// Confirm asks whether something shall be done that takes something away, such
// as Confirm(cmd, "restore", "the data in ./data", "What is there now is lost.").
// It gives false where nothing shall be done, and an error where that is one.
// The command has its flags by AskFlags.
func Confirm(cmd *cobra.Command, verb, object, then string) (bool, error) {
	o := optionsOf(cmd)
	c := &call{Screen: o.Screen(cmd), app: &app{o}, ctx: cmd.Context(), cmd: cmd}
	return c.sure(act{Verb: verb, Object: object, Then: then})
}

// AskFlags gives a command the flags --yes and --dry-run.
func AskFlags(cmd *cobra.Command) { asks(cmd) }

// SecretFile is a new file, readable by its owner only, that a secret will go into.
type SecretFile = secretFile

// NewSecretFile makes a SecretFile before there is a secret, so that none is
// lost for want of a place; nil where path is empty.
func NewSecretFile(path string) (*SecretFile, error) { return newSecretFile(path) }

// Count is a number and what is counted: "1 scope", "1,204 scopes".
func Count(n int, one string) string { return screen.Count(n, one) }

// Entries is a number of entries in words.
func Entries(n int) string { return entries(n) }

// Bar is a sign of life, shown where somebody looks.
type Bar struct {
	spin *screen.Spinner
	text string
}

// Spinner starts a sign of life for what takes long.
func Spinner(cmd *cobra.Command, text string) *Bar { return Progress(cmd, text) }

// Progress starts a sign of life that says how far it is, once Set tells it.
func Progress(cmd *cobra.Command, text string) *Bar {
	return &Bar{screenOf(cmd).Spin(text + "…"), text}
}

// Set says how much of all is done; an all of 0 isn't told.
func (b *Bar) Set(done, all int64) {
	text := b.text + "… " + screen.Number(done)
	if all > 0 {
		text += " of " + screen.Number(all)
	}
	b.spin.Say(text)
}

// Done takes the sign away; it must be called before anything else is written.
func (b *Bar) Done() { b.spin.Stop() }

// optionsKey is where a run keeps the Options that its tree was made with.
type optionsKey struct{}

func (a *app) remember(cmd *cobra.Command, args []string) error {
	cmd.SetContext(context.WithValue(cmd.Context(), optionsKey{}, a.Options))
	return noSecrets(cmd, args)
}

func screenOf(cmd *cobra.Command) *screen.Screen { return optionsOf(cmd).Screen(cmd) }

func optionsOf(cmd *cobra.Command) Options {
	o, _ := cmd.Context().Value(optionsKey{}).(Options)
	return o.fill()
}

// Bare lets a command that holds others do something where none of them is named.
func Bare(cmd *cobra.Command, run func(*cobra.Command, []string) error) { bare(cmd, run) }
