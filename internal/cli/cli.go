// Package cli is the commands that talk to a Postern server: keys, members,
// scopes, catalogs, activity and audit, over the HTTP API and its Go client.
//
// What it promises: a secret is never an argument, and never in a message, a log
// or a file that others can read; what takes something away is asked for before
// it is done; every command can write JSON; and what a command's exit status
// means is in exit.go, and in `postern help exit-codes`.
package cli

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli/screen"
)

// The groups that help shows commands under.
const (
	GroupKeys    = "keys"
	GroupPeople  = "people"
	GroupCatalog = "catalog"
	GroupWatch   = "watch"
	GroupServer  = "server"
)

// Options are what the commands get from outside. Every field has a good zero value.
type Options struct {
	Version        string // of this program
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	// IsTerminal says whether Stdin, Stdout or Stderr is one. Left nil, the system is asked.
	IsTerminal func(stream any) bool
	// ReadSecret reads a line from the terminal without showing it. Left nil, Stdin is.
	ReadSecret func() (string, error)
}

// app is what all commands share.
type app struct{ Options }

// New is the root command with all commands of this package. Others may add
// theirs to it, and to its commands catalog and audit; Execute runs it.
func New(opts Options) *cobra.Command {
	a := &app{opts.fill()}
	return a.root()
}

func (o Options) fill() Options {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IsTerminal == nil {
		o.IsTerminal = screen.IsTerminal
	}
	if o.Version == "" {
		o.Version = "(devel)"
	}
	return o
}

func (a *app) root() *cobra.Command {
	root := group("postern", "Service keys for any HTTP API", `Postern gives an HTTP API service keys: scoped, rotatable, audited credentials
that an admin makes without writing code, enforced on every call.

Start with "postern demo" on this machine, or with "postern login URL" for a
server that runs already.`)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = a.remember
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	f := root.PersistentFlags()
	f.BoolP("help", "h", false, "show this help")
	f.Bool("json", false, "write JSON, for programs")
	f.Bool("utc", false, "tell times in UTC")
	f.Bool("wide", false, "don't cut tables to the width of the terminal")
	f.String("profile", "", "the saved login to use (POSTERN_PROFILE)")
	f.Duration("timeout", time.Minute, "the longest that the server is waited for")
	f.Lookup("timeout").DefValue = "1m"
	root.AddGroup(
		&cobra.Group{ID: GroupKeys, Title: "Keys"},
		&cobra.Group{ID: GroupPeople, Title: "People"},
		&cobra.Group{ID: GroupCatalog, Title: "Scopes and catalogs"},
		&cobra.Group{ID: GroupWatch, Title: "Watching"},
		&cobra.Group{ID: GroupServer, Title: "Server"},
	)
	add := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	add(GroupKeys, a.keys(), a.verify(), a.personalKeys(), a.scan(), a.leaks(), a.migrate())
	add(GroupPeople, a.login(), a.logout(), a.whoami(), a.profiles(), a.members())
	add(GroupCatalog, a.scopes(), a.catalog(), a.upstreams())
	add(GroupWatch, a.activity(), a.advice(), a.tripwires(), a.policy(), a.audit())
	add(GroupServer, a.accounts(), a.nodes(), a.completion(), a.version())
	root.AddCommand(topicExitCodes(), topicEnvironment())
	root.SetHelpCommandGroupID(GroupServer)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpFunc(help)
	_ = root.RegisterFlagCompletionFunc("profile", a.completeProfiles)
	return root
}

// Screen is where a command of the tree that New makes writes, as its flags ask.
func (o Options) Screen(cmd *cobra.Command) *screen.Screen {
	on := func(name string) bool {
		v, err := cmd.Flags().GetBool(name)
		return err == nil && v
	}
	s := screen.Settings{Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Getenv: o.Getenv, IsTerminal: o.IsTerminal, Now: o.Now,
		JSON: on("json"), UTC: on("utc"), Wide: on("wide")}
	return screen.New(s)
}
