package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"postern.dev/postern/internal/auditlog"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/store"
)

func auditVerifyCommand() *cobra.Command {
	var cfg Config
	var file string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that the audit log is as it was written",
		Long: "Read the audit log straight from the database, hold every entry against the hashes that were\n" +
			"stored with it, and name the first entry that was altered, removed or reordered. No server is\n" +
			"needed; it may be running. The exit status is 6 where something is wrong.",
		Example: "  postern audit verify --data /var/lib/postern",
		Args:    cli.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.settings(cmd, file); err != nil {
				return err
			}
			target := cfg.Database
			if target == "" {
				target = filepath.Join(cfg.Data, "postern.db")
				if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
					return cli.Fail("not_found", fmt.Errorf("there is no database in %s; name the server's data directory with --data", cfg.Data))
				}
			}
			db, err := store.OpenDB(cmd.Context(), target, nil, cfg.logger())
			if err != nil {
				return err
			}
			defer db.Close()
			bar := cli.Progress(cmd, "Checking the audit log")
			v, err := db.VerifyAudit(cmd.Context(), auditlog.Options{Progress: bar.Set})
			bar.Done()
			if err != nil {
				return err
			}
			if cli.JSON(cmd) {
				err = cli.PrintJSON(cmd, struct {
					Sound    bool   `json:"sound"`
					Entries  int64  `json:"entries"`
					Root     string `json:"root,omitempty"`
					FirstBad int64  `json:"firstBad,omitempty"`
					Why      string `json:"why,omitempty"`
				}{v.FirstBad == 0, v.Entries, v.Root, v.FirstBad, v.First().Why})
			} else if v.FirstBad == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "The audit log is sound: %s. Its root is\n%s.\n", cli.Entries(int(v.Entries)), v.Root)
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "The audit log was altered. First bad entry: %d (%s).\n", v.FirstBad, v.First().Why)
			}
			if err == nil && v.FirstBad != 0 {
				return cli.Exit(6)
			}
			return err
		},
	}
	c.Flags().StringVar(&file, "config", os.Getenv("POSTERN_CONFIG"), "YAML file of settings (POSTERN_CONFIG)")
	cfg.flags(c.Flags(), "data", "database", "log-level", "log-format")
	return c
}
