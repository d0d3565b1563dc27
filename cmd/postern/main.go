// Command postern is Postern: the server, and the command line that talks to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli"
)

// version is set at release with -ldflags "-X main.version=…".
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs one command and gives its exit status.
func run(ctx context.Context, args []string) int {
	root := cli.New(cli.Options{Version: versionText(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	root.SetArgs(args)
	attach(root)
	return cli.Execute(ctx, root)
}

// attach adds the commands that need no server, or are one.
func attach(root *cobra.Command) {
	for _, c := range []*cobra.Command{serveCommand(), demoCommand(), setupCommand(), configCommand(), backupCommand(), restoreCommand(), dbCommand(), doctorCommand()} {
		c.GroupID = cli.GroupServer
		root.AddCommand(c)
	}
	for _, parent := range root.Commands() {
		switch parent.Name() {
		case "migrate":
			parent.AddCommand(inventoryCommand())
		case "catalog":
			parent.AddCommand(catalogCheckCommand(), catalogDiffCommand())
		case "audit":
			parent.AddCommand(auditVerifyCommand())
			for _, c := range parent.Commands() {
				if c.Name() == "export" {
					exportLocally(c)
				}
			}
		}
	}
}

// versionText is the release, or what the build knows of itself.
func versionText() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				return "devel+" + s.Value[:min(12, len(s.Value))]
			}
		}
		if v := b.Main.Version; v != "" && v != "(devel)" {
			return v
		}
	}
	return "devel"
}
