package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/demo"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/notify"
)

func demoCommand() *cobra.Command {
	var cfg Config
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a server with a CRM and a made-up company to try",
		Long: "Run a server with the built-in CRM data API behind its gateway, an account with a made-up\n" +
			"company, three members and a few service keys, and print a call that works as pasted.\n\n" +
			"Without --data everything is kept in a temporary directory, which is removed at the end.\n" +
			"With it the demo goes on where it was; its own key gets a new secret at each start.",
		Example: "  postern demo\n  postern demo --data ./demo",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.load(cmd.Flags(), "", os.Getenv); err != nil {
				return cli.Usage(err)
			}
			return runDemo(cmd, cfg)
		},
	}
	cfg.flags(c.Flags(), "data", "listen", "gateway", "lease", "brand", "log-level", "log-format")
	c.Flags().Lookup("data").DefValue = "a temporary directory"
	c.Flags().Lookup("log-level").DefValue = "warn"
	return c
}

func runDemo(cmd *cobra.Command, cfg Config) (err error) {
	ctx := cmd.Context()
	if !cmd.Flags().Changed("data") && os.Getenv(envName("data")) == "" {
		if cfg.Data, err = os.MkdirTemp("", "postern-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(cfg.Data)
	}
	if !cmd.Flags().Changed("log-level") && os.Getenv(envName("log-level")) == "" {
		cfg.LogLevel = "warn"
	}
	cfg.CRM = true
	ls, moved, err := demoListen(cmd, cfg)
	if err != nil {
		return err
	}
	defer ls.close()
	as := cfg.node(ls)
	as.Mail = &notify.Folder{Dir: filepath.Join(cfg.Data, "mail"), From: mail.Address{Name: "Postern", Address: "postern@larkspur.example"}}
	n, err := node.Open(ctx, as)
	if err != nil {
		return err
	}
	spin := cli.Spinner(cmd, "Making a company")
	shown, err := demo.Prepare(ctx, n, time.Now().UTC())
	spin.Done()
	if err != nil {
		return errors.Join(err, n.Close())
	}
	return n.Run(ctx, ls.listeners(), cfg.StopTimeout, func() {
		w := cmd.OutOrStdout()
		printDemo(w, n, shown, moved)
		if err := printSignin(ctx, w, n); err != nil {
			n.Config.Log.Error("can't make a sign-in link", "err", err)
		}
		fmt.Fprint(w, "\nPress Ctrl-C to stop.\n")
	})
}

// demoListen takes the default addresses, or any free ones where those are in use and were not asked for;
// moved tells of that.
func demoListen(cmd *cobra.Command, cfg Config) (s sockets, moved bool, err error) {
	pick := func(name, addr string) (net.Listener, error) {
		l, err := net.Listen("tcp", addr)
		if err != nil && !cmd.Flags().Changed(name) && os.Getenv(envName(name)) == "" {
			moved = true
			return net.Listen("tcp", "127.0.0.1:0")
		}
		return l, err
	}
	if s.admin, err = pick("listen", cfg.Listen); err != nil {
		return s, moved, fmt.Errorf("--listen (%s): %w", envName("listen"), err)
	}
	if s.gateway, err = pick("gateway", cfg.Gateway); err != nil {
		s.admin.Close()
		return s, moved, fmt.Errorf("--gateway (%s): %w", envName("gateway"), err)
	}
	return s, moved, nil
}

func printDemo(w io.Writer, n *node.Node, d demo.Shown, moved bool) {
	cfg, run := n.Config, program()
	var people strings.Builder
	note := ""
	if moved {
		note = "\nPort 8080 or 8081 is in use. Where the documentation names them, use the\naddresses above.\n"
	}
	for _, p := range d.People {
		fmt.Fprintf(&people, "  %s: %s\n  %s\n\n", p.Name, p.May, p.Secret.Reveal())
	}
	fmt.Fprintf(w, `
Postern is running.

  Console and API   %s
  Gateway           %s  (the CRM data API is behind it)
  Data              %s
%s
%s: %s.

Read deals through the gateway, as a nightly job would:

  curl -H 'Authorization: Bearer %s' \
    '%s/crm/v3/objects/deals?limit=3'

The key %s holds %s and
nothing else, so this is refused:

  curl -H 'Authorization: Bearer %s' \
    '%s/crm/v3/objects/contacts?limit=3'

Sign in on the command line, and paste the personal access key of whoever you
want to be when it asks for one:

  %s login %s

%sThen see what was called, and make a key of your own:

  %s activity
  %s keys create my-first-key --scope crm.objects.deals.read

The company is in the middle of its move off old credentials. See how far each
is, and what access logs know of them:

  %s migrate board
  cd %s
  %s migrate inventory --openapi crm.yaml *.log*
`, cfg.PublicURL, cfg.GatewayURL, cfg.Data, note, d.Account, d.Summary, d.KeySecret.Reveal(), cfg.GatewayURL, d.KeyName, d.KeyScope,
		d.KeySecret.Reveal(), cfg.GatewayURL, run, cfg.PublicURL, people.String(), run, run, run, d.Logs, run)
}

// program is how this program was started, for lines to paste.
func program() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/postern"
	}
	return os.Args[0]
}
