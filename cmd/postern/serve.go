package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/limit"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

func serveCommand() *cobra.Command {
	var cfg Config
	var file string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server: the management API, the verify API and the gateway.\n\n" +
			"Where nothing is set up yet, it prints a set-up link that works once, for an hour.",
		Example: "  postern serve --data /var/lib/postern\n" +
			"  postern serve --config postern.yaml --database postgres://postern@db/postern\n" +
			"  postern serve --database postgres://postern@db/postern --standby none",
		Args: cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.settings(cmd, file); err != nil {
				return err
			}
			return serve(cmd.Context(), cmd, cfg)
		},
	}
	c.Flags().StringVar(&file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	cfg.flags(c.Flags())
	return c
}

// insteadOf says where the password of a URL goes instead of a flag.
var insteadOf = map[string]string{
	"database": "POSTERN_DATABASE_FILE, POSTERN_DATABASE or PGPASSFILE",
	"limits":   "POSTERN_LIMITS_FILE or POSTERN_LIMITS",
}

// settings reads the settings of a command, and warns of a password among its arguments.
func (c *Config) settings(cmd *cobra.Command, file string) error {
	if err := c.load(cmd.Flags(), file, os.Getenv); err != nil {
		return cli.Usage(err)
	}
	for _, name := range urls {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && hasPassword(f.Value.String()) {
			fmt.Fprintf(cmd.ErrOrStderr(), "postern: Others on this machine can read the password in --%s. Set\n%s instead.\n", name, insteadOf[name])
		}
	}
	return nil
}

func serve(ctx context.Context, cmd *cobra.Command, cfg Config) error {
	if err := harden(); err != nil {
		return err
	}
	ls, err := listen(cfg)
	if err != nil {
		return err
	}
	defer ls.close()
	n, err := node.Open(ctx, cfg.node(ls))
	if err != nil {
		return err
	}
	fresh, err := n.Keyring.NeedsSetup(ctx)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	if fresh {
		link, until, err := n.Keyring.SetupLink(ctx)
		if err != nil {
			return errors.Join(err, n.Close())
		}
		// To the terminal and not to the log: it is a secret.
		fmt.Fprintf(cmd.ErrOrStderr(), "\nThis server has no account yet. Set it up here (works once, until %s):\n\n  %s/setup/%s\n\n",
			until.Local().Format("15:04"), n.Config.PublicURL, link.Reveal())
	}
	return n.Run(ctx, ls.listeners(), cfg.StopTimeout)
}

// sockets are the listeners of a server, taken before anything else: an address
// that is in use is told at once, and port 0 has become a number.
type sockets struct{ admin, gateway net.Listener }

func listen(cfg Config) (s sockets, err error) {
	if s.admin, err = net.Listen("tcp", cfg.Listen); err != nil {
		return s, fmt.Errorf("--listen (%s): %w", envName("listen"), err)
	}
	if cfg.Gateway != "off" {
		if s.gateway, err = net.Listen("tcp", cfg.Gateway); err != nil {
			s.close()
			return s, fmt.Errorf("--gateway (%s): %w", envName("gateway"), err)
		}
	}
	return s, nil
}

func (s sockets) listeners() node.Listeners {
	return node.Listeners{Admin: s.admin, Gateway: s.gateway}
}

func (s sockets) close() {
	for _, l := range []net.Listener{s.admin, s.gateway} {
		if l != nil {
			l.Close()
		}
	}
}

// node turns settings into what a node takes.
func (c *Config) node(s sockets) node.Config {
	scheme := "http://"
	if c.TLSCert != "" {
		scheme = "https://"
	}
	public, gateway := c.PublicURL, c.GatewayURL
	if public == "" {
		public = scheme + s.admin.Addr().String()
	}
	if gateway == "" && s.gateway != nil {
		gateway = scheme + s.gateway.Addr().String()
	}
	proxies, _ := prefixes(c.TrustedProxy)
	peers, _ := prefixes(c.ForwardAuth)
	n := node.Config{Data: c.Data, Database: c.Database, Name: c.NodeName, Standby: store.Standby(c.Standby), Pepper: c.Pepper, PepperPath: c.pepperPath(), Journal: c.Journal, Brand: c.Brand,
		PublicURL: public, GatewayURL: gateway, TLSCert: c.TLSCert, TLSKey: c.TLSKey, Proxies: proxies, ForwardPeers: peers,
		LegacyHeader: c.LegacyHeader, LegacyQuery: c.LegacyQuery, LegacyLink: c.LegacyLink, InventoryUnpacked: int64(c.LogUnpacked) << 20,
		Limits:      node.Limits{URL: c.Limits, Away: limit.Mode(c.LimitsAway), Timeout: c.LimitsWait},
		GitHubLeaks: c.GitHubLeaks, CRM: c.CRM, Lease: c.Lease, DailyLimit: int64(c.DailyCalls), KeepActivity: c.KeepActivity, KeepTotals: c.KeepTotals, SpoolMax: int64(c.SpoolMiB) << 20,
		Providers: c.providers(), SessionIdle: c.SessionIdle, SessionLife: c.SessionLife, SessionFresh: c.SessionFresh, Mail: c.mailer(), Version: versionText(), Log: c.logger()}
	if c.BurstCalls > 0 {
		n.Burst = postern.Rate{Calls: int64(c.BurstCalls), Per: time.Duration(c.BurstSecs) * time.Second}
	}
	return n
}

func configCommand() *cobra.Command {
	var cfg Config
	var file string
	c := cli.Group("config", "Check the server's settings", "The settings of a server come from flags, POSTERN_… variables and a YAML file, in\nthis order of precedence. \"postern serve --help\" lists them.")
	check := &cobra.Command{
		Use:     "check",
		Short:   "Check the settings without starting anything",
		Long:    "Reads the settings as \"postern serve\" does, and says whether they can work. A\nsetting that can't is named. Nothing is started and nothing is changed.",
		Example: "  postern config check --config postern.yaml",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.settings(cmd, file); err != nil {
				return err
			}
			if cli.JSON(cmd) {
				return cli.PrintJSON(cmd, map[string]bool{"sound": true})
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The settings are sound.")
			return nil
		},
	}
	check.Flags().StringVar(&file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	cfg.flags(check.Flags())
	c.AddCommand(check)
	return c
}
