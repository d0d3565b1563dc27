package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/doctor"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

func doctorCommand() *cobra.Command {
	var cfg Config
	var file, backups string
	var age time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check a deployment, and say what to do",
		Long: "Look at everything that a server depends on, and say what is wrong and what to do:\n" +
			"the data directory, the pepper, the database and how safe its commits are, nodes and\n" +
			"their versions, the journal of revocations, backups, disks, the clock, listeners, TLS,\n" +
			"proxies, mail, Redis for limits, memory, and the server itself if it runs here.\n" +
			"Nothing is changed.\n\n" +
			"Run it as the server's user, with the server's settings. The exit status is 0 where\n" +
			"all is well, 1 where something should be better, and 2 where something is wrong.",
		Example: "  postern doctor --config /etc/postern/postern.yaml --backups /mnt/backups",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.settings(cmd, file); err != nil {
				return err
			}
			list := doctor.Look(cmd.Context(), cfg.doctor(backups, age))
			if err := tellFindings(cmd, list); err != nil {
				return err
			}
			switch doctor.Worst(list) {
			case doctor.Warning:
				return cli.Exit(1)
			case doctor.Problem:
				return cli.Exit(2)
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	c.Flags().StringVar(&backups, "backups", "", "directory of the backups, to look at the newest")
	c.Flags().DurationVar(&age, "backup-age", 26*time.Hour, "how old the newest backup may be")
	c.Flags().Lookup("backup-age").DefValue = "26h"
	cfg.flags(c.Flags())
	return c
}

func (c *Config) doctor(backups string, age time.Duration) doctor.Config {
	d := doctor.Config{Place: c.place(), Parts: node.Parts(), Standby: store.Standby(c.Standby), Pepper: c.loadPepper, Journal: c.Journal, Backups: backups, BackupAge: age,
		Limits: c.Limits, LimitsAway: c.LimitsAway, LimitsWait: c.LimitsWait, Lease: c.Lease, Version: versionText(), Listen: c.Listen, Gateway: c.Gateway, PublicURL: c.PublicURL, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		Proxies: c.TrustedProxy, ForwardPeers: c.ForwardAuth, MailHost: c.SMTPHost, MailPort: c.SMTPPort}
	if c.Pepper == "" {
		d.PepperPath = c.pepperPath()
	}
	return d
}

// tellFindings says what was found; what is well in a line.
func tellFindings(cmd *cobra.Command, list []doctor.Finding) error {
	if cli.JSON(cmd) {
		return cli.PrintJSON(cmd, struct {
			Worst    doctor.Level     `json:"worst"`
			Findings []doctor.Finding `json:"findings"`
		}{doctor.Worst(list), list})
	}
	s := cli.ScreenOf(cmd)
	for _, f := range list {
		s.Text(fmt.Sprintf("%s: %s: %s", f.Level, f.Check, cli.Clean(f.Says)))
		if f.Do != "" {
			s.Text("   → " + cli.Clean(f.Do))
		}
	}
	return nil
}
